/* `lens recaption`: writes a caption layer for a dataset. */
#include "base/command.h"
#include "base/file.h"
#include "recaption/recaption.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    int64_t min_words, max_words, threads, attempts;
    char *captioner, *kind, *out, *gate;
    bool json, gate_list;
} values_t;

static const option_t rows[] = {
    {.name = "captioner",
     .type = OPTION_STRING,
     .offset = offsetof(values_t, captioner),
     .initial = "describe",
     .choices = "NAME",
     .help = "who writes: describe (built in, needs no model)"},
    {.name = "kind",
     .type = OPTION_STRING,
     .offset = offsetof(values_t, kind),
     .initial = "dense",
     .choices = "KIND",
     .help = "kind of caption, and name of the layer"},
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     .offset = offsetof(values_t, out),
     .choices = "DIR",
     .help = "folder that gets the layer (default: the dataset's own)"},
    {.name = "min-words",
     .type = OPTION_INT,
     .offset = offsetof(values_t, min_words),
     .initial = "40",
     .min = 1,
     .max = 10000,
     .help = "shorter captions are rejected"},
    {.name = "max-words",
     .type = OPTION_INT,
     .offset = offsetof(values_t, max_words),
     .initial = "120",
     .min = 1,
     .max = 10000,
     .help = "longer captions are rejected"},
    {.name = "attempts",
     .type = OPTION_INT,
     .offset = offsetof(values_t, attempts),
     .initial = "0",
     .max = 1000,
     .help = "times to ask for a sample before its caption is given up; 0: as the captioner advises"},
    {.name = "threads",
     .type = OPTION_INT,
     .offset = offsetof(values_t, threads),
     .initial = "0",
     .max = 256,
     .help = "threads that read and decode pictures; 0: one a core"},
    {.name = "gate",
     .type = OPTION_STRING,
     .offset = offsetof(values_t, gate),
     .choices = "FILE.yaml",
     .help = "rules of the quality gate; what it leaves out is as --gate-list prints"},
    {.name = "gate-list",
     .type = OPTION_FLAG,
     .offset = offsetof(values_t, gate_list),
     .help = "print the gate's rules as such a file, and end"},
    {.name = "json", .type = OPTION_FLAG, .offset = offsetof(values_t, json), .help = "summary as one JSON object"},
};

static void print_json(const recaption_result_t *r, const char *dir, const char *kind) {
    str_t s = {0};
    int64_t accepted = r->n_by_reason[QUALITY_ACCEPTED];
    str_add(&s, "{\"layer\":");
    str_add_json(&s, kind, strlen(kind));
    str_add(&s, ",\"dir\":");
    str_add_json(&s, dir, strlen(dir));
    str_addf(&s, ",\"shards_written\":%" PRId64 ",\"shards_skipped\":%" PRId64 ",\"samples\":%" PRId64,
             r->n_shards_written, r->n_shards_skipped, r->n_samples);
    str_addf(&s, ",\"captions\":%" PRId64 ",\"rejected\":{", accepted);
    const char *comma = "";
    for (int i = QUALITY_ACCEPTED + 1; i < QUALITY_N; i++) {
        if (!r->n_by_reason[i]) continue;
        str_addf(&s, "%s\"%s\":%" PRId64, comma, quality_name((quality_reason)i), r->n_by_reason[i]);
        comma = ",";
    }
    str_addf(&s, "},\"retried\":%" PRId64 ",\"mean_words\":%.1f,\"seconds\":%.3f,\"captions_per_s\":%.1f}",
             r->n_retried, accepted ? (double)r->n_words / (double)accepted : 0, r->seconds,
             r->seconds > 0 ? (double)accepted / r->seconds : 0);
    puts(str_text(&s));
    str_free(&s);
}

static void print_summary(const recaption_result_t *r, const char *dir, const char *kind) {
    int64_t accepted = r->n_by_reason[QUALITY_ACCEPTED];
    printf("%s/%s: %" PRId64 " captions in %" PRId64 " shards", dir, kind, accepted, r->n_shards_written);
    if (r->n_shards_skipped) printf(", %" PRId64 " shards were there already", r->n_shards_skipped);
    putchar('\n');
    for (int i = QUALITY_ACCEPTED + 1; i < QUALITY_N; i++)
        if (r->n_by_reason[i])
            printf("rejected: %" PRId64 " %s (%s)\n", r->n_by_reason[i], quality_name((quality_reason)i),
                   quality_meaning((quality_reason)i));
    if (accepted)
        printf("mean %.1f words, %.0f captions/s, %" PRId64 " asked for more than once\n",
               (double)r->n_words / (double)accepted, (double)accepted / r->seconds, r->n_retried);
}

static int n_threads(int64_t asked) {
    long cores = asked ? (long)asked : sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > 256 ? 256 : (int)cores;
}

static lens_status print_gate(const quality_options_t *o) {
    str_t yaml = {0};
    lens_status st = quality_options_write(&yaml, o);
    if (st == LENS_OK) fputs(str_text(&yaml), stdout);
    str_free(&yaml);
    return st;
}

static lens_status run(const void *values, int n_args, char **args) {
    const values_t *v = values;
    quality_options_t gate = QUALITY_DEFAULTS;
    if (v->gate) LENS_TRY(quality_options_load(&gate, v->gate));
    if (v->gate_list) return print_gate(&gate);
    if (n_args != 1) return lens_fail(LENS_ARGUMENT, "expected one DATASET, got %d arguments", n_args);
    if (v->min_words > v->max_words)
        return lens_fail(LENS_ARGUMENT, "--min-words %" PRId64 " is above --max-words %" PRId64, v->min_words,
                         v->max_words);
    const char *dir = v->out ? v->out : args[0];
    recaption_options_t o = {.dir = dir,
                             .kind = v->kind,
                             .threads = n_threads(v->threads),
                             .max_attempts = (int)v->attempts,
                             .quality = gate};
    o.quality.min_words = v->min_words;
    o.quality.max_words = v->max_words;
    captioner_options_t options = {
        .kind = v->kind, .min_words = v->min_words, .max_words = v->max_words, .max_in_flight = 1};
    captioner_t *captioner = NULL;
    dataset_t *d = NULL;
    lens_status st = LENS_OK;
    recaption_result_t result;
    LENS_GO(captioner_open(&captioner, v->captioner, &options));
    if (o.max_attempts == 0) o.max_attempts = captioner->type->attempts;
    LENS_GO(dataset_open_partial(&d, args[0]));
    if (v->out) {
        LENS_GO(dir_make(v->out));
        LENS_GO(dataset_add_layers(d, v->out));
    }
    LENS_GO(recaption_run(&result, d, captioner, &o));
    v->json ? print_json(&result, dir, v->kind) : print_summary(&result, dir, v->kind);
done:
    captioner_close(captioner);
    dataset_close(d);
    return st;
}

const command_t cmd_recaption = {
    .name = "recaption",
    .usage = "DATASET",
    .summary = "write a caption layer for a dataset",
    .details =
        "For each shard without the layer, every picture is shown to the captioner and its answer passes a quality\n"
        "gate. What is rejected is kept with its reason in the layer's metadata, and its text is empty. Shards\n"
        "that have the layer are skipped, so a run that was cut short goes on where it stopped. Pictures are\n"
        "read, never copied or changed.",
    .options = {rows, sizeof rows / sizeof rows[0]},
    .values_size = sizeof(values_t),
    .run = run,
};
