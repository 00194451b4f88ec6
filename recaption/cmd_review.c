/* `lens review`: a page on which a person judges captions. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/command.h"
#include "recaption/captioner.h"
#include "recaption/review.h"

typedef struct {
    int64_t n, seed;
    char *kinds, *layers, *out, *by;
    bool rejected;
} values_t;

#define AT(field) .offset = offsetof(values_t, field)
static const option_t rows[] = {
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     AT(out),
     .initial = "review.html",
     .choices = "FILE",
     .help = "the page to write"},
    {.name = "kinds",
     .type = OPTION_STRING,
     AT(kinds),
     .choices = "KIND,...",
     .help = "layers to review (default: all caption layers)"},
    {.name = "layers",
     .type = OPTION_STRING,
     AT(layers),
     .choices = "DIR",
     .help = "folder that holds the layers, where lens recaption had -o"},
    {.name = "n",
     .letter = 'n',
     .type = OPTION_INT,
     AT(n),
     .initial = "200",
     .min = 1,
     .max = 100000,
     .unit = "captions",
     .help = "how many are drawn"},
    {.name = "seed", .type = OPTION_INT, AT(seed), .initial = "0", .min = 0, .max = 1e15, .help = "of the draw"},
    {.name = "rejected", .type = OPTION_FLAG, AT(rejected), .help = "only captions that the gate rejected"},
    {.name = "by",
     .type = OPTION_STRING,
     AT(by),
     .choices = "kind|reason|kind,reason",
     .help = "draw the same number of each (default: each caption is as likely)"},
};
#undef AT

/* Splits `list` in place; the kinds point into it. */
static lens_status name_kinds(const char **kinds, int *n, char *list, const dataset_t *d) {
    for (char *name; (name = strsep(&list, ",")) != NULL;) {
        if (*n == CAPTION_MAX_KINDS) return lens_fail(LENS_ARGUMENT, "--kinds: more than %d kinds", CAPTION_MAX_KINDS);
        if (strcmp(name, "alt") == 0 || !dataset_has_kind(d, name))
            return lens_fail(LENS_ARGUMENT, "--kinds: the set has no caption layer '%s'", name);
        for (int k = 0; k < *n; k++)
            if (strcmp(kinds[k], name) == 0) return lens_fail(LENS_ARGUMENT, "--kinds: %s is there twice", name);
        kinds[(*n)++] = name;
    }
    return LENS_OK;
}

static lens_status all_kinds(const char **kinds, int *n, const dataset_t *d) {
    for (int k = 0; k < dataset_n_kinds(d); k++) {
        if (strcmp(dataset_kind(d, k), "alt") == 0) continue;
        if (*n == CAPTION_MAX_KINDS)
            return lens_fail(LENS_ARGUMENT, "the set has more than %d kinds: choose by --kinds", CAPTION_MAX_KINDS);
        kinds[(*n)++] = dataset_kind(d, k);
    }
    return LENS_OK;
}

static lens_status parse_by(review_options_t *o, const char *by) {
    if (!by) return LENS_OK;
    o->by_kind = strcmp(by, "kind") == 0 || strcmp(by, "kind,reason") == 0;
    o->by_reason = strcmp(by, "reason") == 0 || strcmp(by, "kind,reason") == 0;
    if (o->by_kind || o->by_reason) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "--by %s: expected kind, reason or kind,reason", by);
}

static lens_status run(const void *values, int n_args, char **args) {
    const values_t *v = values;
    if (n_args != 1) return lens_fail(LENS_ARGUMENT, "expected one DATASET, got %d arguments", n_args);
    const char *kinds[CAPTION_MAX_KINDS];
    review_options_t o = {.dir = v->layers ? v->layers : args[0],
                          .kinds = kinds,
                          .n = v->n,
                          .seed = (uint64_t)v->seed,
                          .rejected = v->rejected};
    review_result_t result;
    dataset_t *d = NULL;
    char *list = NULL;
    lens_status st;
    LENS_GO(parse_by(&o, v->by));
    LENS_GO(dataset_open_partial(&d, args[0]));
    if (v->layers) LENS_GO(dataset_add_layers(d, v->layers));
    if (v->kinds && !(list = strdup(v->kinds))) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for --kinds"));
    LENS_GO(list ? name_kinds(kinds, &o.n_kinds, list, d) : all_kinds(kinds, &o.n_kinds, d));
    LENS_GO(review_write(&result, v->out, d, &o));
    printf("%s: %" PRId64 " of %" PRId64 " captions\n", v->out, result.n_items, result.n_captions);
done:
    dataset_close(d);
    free(list);
    return st;
}

const command_t cmd_review = {
    .name = "review",
    .usage = "DATASET [-o FILE]",
    .summary = "write a page on which a person judges captions",
    .details =
        "The page needs no other file and no network: it shows captions that were drawn beside their pictures and\n"
        "alt-texts, and takes decisions by keyboard, mouse or touch (? shows the keys). They are kept in the browser,\n"
        "and exported as JSON lines for `lens recaption DATASET --apply FILE`.",
    .options = {rows, sizeof rows / sizeof rows[0]},
    .values_size = sizeof(values_t),
    .run = run,
};
