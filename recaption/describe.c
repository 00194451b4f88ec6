#include "recaption/describe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/log.h"

typedef struct {
    captioner_t base;
    int64_t min_words, max_words;
    colour_table_t colours;
} describer_t;

static lens_status check_kind(const caption_kind_t *k) {
    if (strcmp(k->name, "dense") != 0 || (*k->style && strcmp(k->style, "detailed") != 0))
        return lens_fail(LENS_ARGUMENT, "captioner 'describe' makes detailed captions of kind dense, not '%s%s%s'",
                         k->name, *k->style ? "=" : "", k->style);
    if (k->min_words > 45 || k->max_words < 70 || k->min_words > k->max_words)
        return lens_fail(LENS_ARGUMENT,
                         "captioner 'describe' needs --min-words of at most 45 and --max-words of at least 70, got "
                         "%lld and %lld",
                         (long long)k->min_words, (long long)k->max_words);
    return LENS_OK;
}

static lens_status describer_open(captioner_t **out, const captioner_options_t *options) {
    *out = NULL;
    for (int i = 0; i < options->n_kinds; i++) LENS_TRY(check_kind(&options->kinds[i]));
    describer_t *d = calloc(1, sizeof *d);
    if (!d) return lens_fail(LENS_MEMORY, "out of memory for the describer");
    d->base.type = &captioner_describe;
    d->min_words = options->kinds[0].min_words;
    d->max_words = options->kinds[0].max_words;
    colour_table_init(&d->colours);
    *out = &d->base;
    return LENS_OK;
}

static uint64_t content_hash(const image_t *im, const char *alt) {
    size_t n = (size_t)im->width * (size_t)im->height * 3;
    uint64_t seed = (uint64_t)(uint32_t)im->width << 32 | (uint32_t)im->height;
    return XXH3_64bits_withSeed(im->rgb, n, XXH3_64bits_withSeed(alt, strlen(alt), seed));
}

static lens_status describe_request(const describer_t *d, const caption_request_t *r, str_t *text) {
    describe_options_t o = {.content = content_hash(r->image, r->alt),
                            .attempt = r->attempt,
                            .min_words = d->min_words,
                            .max_words = d->max_words};
    measure_t m;
    LENS_TRY(measure_image(&m, &d->colours, r->image));
    alttext_t alt;
    LENS_TRY(alttext_clean(&alt, r->alt));
    lens_status st = describe_text(text, &m, &alt, &o);
    alttext_free(&alt);
    return st;
}

static lens_status describer_submit(captioner_t *c, const caption_request_t *request) {
    double start_s = log_clock_s();
    str_t text = {0};
    lens_status st = describe_request((const describer_t *)c, request, &text);
    /* Only memory can fail here, and that is nobody's picture. */
    if (st == LENS_OK) {
        caption_reply_t reply = {.outcome = CAPTION_TEXT,
                                 .text = str_text(&text),
                                 .reason = "",
                                 .seconds = log_clock_s() - start_s,
                                 .mean_logprob = NAN};
        request->done(request, &reply);
    }
    str_free(&text);
    return st;
}

static lens_status describer_wait(captioner_t *c) {
    (void)c;
    return LENS_OK;
}

static void describer_settings(const captioner_t *c, int kind, str_t *json) {
    (void)kind;
    const describer_t *d = (const describer_t *)c;
    str_addf(json, "\"min_words\":%lld,\"max_words\":%lld", (long long)d->min_words, (long long)d->max_words);
}

static void describer_close(captioner_t *c) {
    free(c);
}

const captioner_type_t captioner_describe = {
    .name = "describe",
    .version = "1",
    .summary = "built-in: colours, shapes and places as measured, with the alt-text; needs no model",
    .attempts = 64,
    .unique = true,
    .wants_pixels = true,
    .open = describer_open,
    .submit = describer_submit,
    .wait = describer_wait,
    .settings = describer_settings,
    .close = describer_close,
};
