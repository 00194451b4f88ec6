#include "data/ingest_picture.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What libwebp's encoder takes beside the pixels it is given, its output included: bytes a pixel, and for any picture.
 * Measured as the growth of the process's peak on noise at quality 100, which needs the most (lossy 29, lossless 38; a
 * smooth picture 2 and 14). */
enum { LOSSY_BYTES = 30, LOSSLESS_BYTES = 40, LOSSY_ANY_BYTES = 2 << 20, LOSSLESS_ANY_BYTES = 18 << 20 };
/* Beside pictures: planes of 512 px, rows of the filter. */
enum { STATS_BYTES = 4 << 20, RESIZE_BYTES = 8 << 20 };

void ingest_job_clear(ingest_job_t *j) {
    raw_sample_t raw = j->raw;
    str_t picture = j->picture;
    raw_sample_clear(&raw);
    str_clear(&picture);
    *j = (ingest_job_t){.raw = raw, .picture = picture, .stage = -1};
}

void ingest_job_free(ingest_job_t *j) {
    raw_sample_free(&j->raw);
    str_free(&j->picture);
}

/* ---- sizes and memory ---- */

static void target_size(int32_t *width, int32_t *height, int32_t max_side_px) {
    const int32_t longer = *width > *height ? *width : *height;
    if (max_side_px == 0 || longer <= max_side_px) return;
    const double scale = (double)max_side_px / longer;
    *width = (int32_t)fmax(1, round(*width * scale));
    *height = (int32_t)fmax(1, round(*height * scale));
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static bool may_keep(const ingest_job_t *j, const image_facts_t *facts, const ingest_options_t *o) {
    return o->keep_jpeg && facts->plain && j->width == facts->width && j->height == facts->height;
}

/* The most that a picture takes at one time, of decoding, measuring, shrinking and encoding. The same in a dry run,
 * which is to reject the same. */
static uint64_t needed_bytes(const image_facts_t *facts, const ingest_job_t *j, const ingest_options_t *o) {
    const uint64_t pixels = (uint64_t)facts->width * (uint64_t)facts->height;
    const uint64_t kept_pixels = (uint64_t)j->width * (uint64_t)j->height;
    uint64_t need = larger(facts->decode_bytes, pixels * 3 + STATS_BYTES);
    if (kept_pixels < pixels) need = larger(need, (pixels + kept_pixels) * 3 + RESIZE_BYTES);
    if (may_keep(j, facts, o)) return need;
    return larger(need, kept_pixels * (uint64_t)(3 + (o->lossless ? LOSSLESS_BYTES : LOSSY_BYTES)) +
                            (uint64_t)(o->lossless ? LOSSLESS_ANY_BYTES : LOSSY_ANY_BYTES));
}

/* ---- metadata ---- */

static lens_status meta_without(str_t *meta, const char *name) {
    json_t *object = json_loadb(str_text(meta), meta->len, JSON_REJECT_DUPLICATES, NULL);
    if (!object || !json_object_get(object, name)) {
        json_decref(object);
        return LENS_OK;
    }
    json_object_del(object, name);
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (!text) return lens_fail(LENS_MEMORY, "out of memory for metadata");
    str_clear(meta);
    str_add(meta, text);
    free(text);
    return str_status(meta);
}

/* Puts the measures as "lens": {...} at the end of the metadata, in place of what an earlier ingest put there. The rest
 * is not parsed and printed again, which would change its numbers. */
static lens_status meta_add_stats(str_t *meta, const image_stats_t *s) {
    if (strstr(str_text(meta), "\"lens\"")) LENS_TRY(meta_without(meta, "lens"));
    while (meta->len > 0 && meta->s[meta->len - 1] != '}') meta->len--;
    if (meta->len > 0) meta->len--;
    size_t last = meta->len;
    while (last > 0 && strchr(" \t\r\n", meta->s[last - 1])) last--;
    const bool empty = last == 0 || meta->s[last - 1] == '{';
    if (meta->len == 0) str_add_char(meta, '{');
    str_addf(meta, "%s\"lens\":{\"blur\":%.4g,\"entropy\":%.4g,\"luminance\":%.4g,\"phash\":\"%016" PRIx64 "\"}}",
             empty ? "" : ",", s->blur, s->entropy, s->luminance, s->phash);
    return str_status(meta);
}

/* ---- the way of a picture ---- */

/* A failure that is the picture's own becomes a reject; OK then, too. */
static lens_status reject(ingest_job_t *j, lens_status st, reject_class c) {
    if (st == LENS_OK || st == LENS_MEMORY) return st;
    raw_sample_reject(&j->raw, c, "%s", lens_error());
    return LENS_OK;
}

/* stats NULL: by what is known before the picture is decoded. A score that must not be missing ends the run. */
static lens_status judge(ingest_job_t *j, const ingest_picture_context_t *c, const image_stats_t *stats) {
    const filter_sample_t sample = {.width = j->original_width,
                                    .height = j->original_height,
                                    .stats = stats,
                                    .alt = str_text(&j->raw.alt),
                                    .meta = str_text(&j->raw.meta)};
    filter_verdict_t verdict = {.stage = -1};
    lens_status st = filter_chain_judge(c->filters, &sample, &verdict);
    j->missing = verdict.missing;
    if (st == LENS_OK && verdict.stage >= 0) {
        str_clear(&j->raw.reason);
        str_add(&j->raw.reason, str_text(&verdict.reason));
        j->stage = verdict.stage;
        j->value = verdict.value;
        st = str_status(&j->raw.reason);
    }
    filter_verdict_free(&verdict);
    return lens_context(st, "sample %.200s", str_text(&j->raw.key));
}

static lens_status shrink(ingest_job_t *j, image_t *im) {
    if (im->width == j->width && im->height == j->height) return LENS_OK;
    image_t smaller;
    LENS_TRY(image_resize(&smaller, im, j->width, j->height));
    image_free(im);
    *im = smaller;
    return LENS_OK;
}

static lens_status keep_or_encode(ingest_job_t *j, const ingest_options_t *o, const image_facts_t *facts, image_t *im) {
    j->shrunk = im->width != j->width || im->height != j->height;
    j->kept = may_keep(j, facts, o);
    if (!o->out) return LENS_OK;
    if (j->kept) {
        str_t file = j->raw.image;
        j->raw.image = j->picture;
        j->picture = file;
        return LENS_OK;
    }
    lens_status st = shrink(j, im);
    if (st == LENS_OK) st = image_encode_webp(&j->picture, im, o->quality, o->lossless);
    return reject(j, st, REJECT_ENCODE);
}

static lens_status decode_and_all(ingest_job_t *j, const ingest_picture_context_t *c, const image_facts_t *facts) {
    image_t im = {0};
    image_stats_t stats;
    lens_status st = image_decode(&im, (const uint8_t *)j->raw.image.s, j->raw.image.len);
    if (st != LENS_OK) return reject(j, st, REJECT_DECODE);
    LENS_GO(image_stats(&stats, &im));
    j->phash = stats.phash;
    LENS_GO(judge(j, c, &stats));
    if (j->stage >= 0) goto done;
    LENS_GO(meta_add_stats(&j->raw.meta, &stats));
    LENS_GO(keep_or_encode(j, c->options, facts, &im));
done:
    image_free(&im);
    return st;
}

lens_status ingest_picture(ingest_job_t *j, const ingest_picture_context_t *c) {
    image_facts_t facts;
    lens_status st = image_inspect(&facts, (const uint8_t *)j->raw.image.s, j->raw.image.len);
    if (st != LENS_OK) return reject(j, st, REJECT_DECODE);
    j->original_width = j->width = facts.width;
    j->original_height = j->height = facts.height;
    target_size(&j->width, &j->height, c->options->max_side_px);
    LENS_TRY(judge(j, c, NULL));
    if (j->stage >= 0) return LENS_OK;
    const uint64_t need = needed_bytes(&facts, j, c->options);
    if (need > c->budget->total) {
        raw_sample_reject(&j->raw, REJECT_DECODE,
                          "%" PRId32 " x %" PRId32 " px: needs %" PRIu64 " MiB of memory, the budget is %" PRIu64
                          " MiB",
                          facts.width, facts.height, (need + (1 << 20) - 1) >> 20, c->budget->total >> 20);
        return LENS_OK;
    }
    ingest_budget_take(c->budget, need);
    st = decode_and_all(j, c, &facts);
    ingest_budget_give(c->budget, need);
    return st;
}
