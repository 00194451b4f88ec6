#include "recaption/batch_id.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ---- texts ---- */

lens_status batch_id_write(str_t *out, const batch_id_t *id) {
    str_clear(out);
    str_addf(out, "%05" PRId64 "-%06" PRId64 "-%s-%d-%016" PRIx64, id->shard, id->within, id->kind, id->attempt,
             id->check);
    LENS_TRY(str_status(out));
    if (out->len <= BATCH_ID_MAX) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "a request's name '%s' of %zu characters, at most %d are allowed", out->s, out->len,
                     BATCH_ID_MAX);
}

/* A number at *at, which goes behind it and the '-' that follows. */
static bool take_number(const char **at, int64_t *out) {
    char *end;
    if (**at < '0' || **at > '9') return false;
    errno = 0;
    *out = strtoll(*at, &end, 10);
    if (errno || *end != '-') return false;
    *at = end + 1;
    return true;
}

/* Splits at the last '-' of text[*n]: what stands behind it, *n is then what stands before. NULL: there is none. */
static const char *split_last(const char *text, size_t *n) {
    for (size_t i = *n; i > 0; i--) {
        if (text[i - 1] != '-') continue;
        *n = i - 1;
        return text + i;
    }
    return NULL;
}

bool batch_id_parse(batch_id_t *out, const char *text) {
    *out = (batch_id_t){0};
    size_t n = strnlen(text, BATCH_ID_MAX + 1);
    const char *at = text;
    if (n > BATCH_ID_MAX || !take_number(&at, &out->shard) || !take_number(&at, &out->within)) return false;
    n -= (size_t)(at - text);
    const char *check = split_last(at, &n), *attempt = check ? split_last(at, &n) : NULL;
    int64_t number;
    if (!attempt || !take_number(&attempt, &number) || attempt != check || number > 1000000) return false;
    if (n == 0 || n >= sizeof out->kind) return false;
    memcpy(out->kind, at, n);
    out->attempt = (int)number;
    out->check = strtoull(check, NULL, 16);
    str_t again = {0};
    const bool same = batch_id_write(&again, out) == LENS_OK && strcmp(again.s, text) == 0;
    str_free(&again);
    return same;
}

/* ---- of a set ---- */

/* The shard that holds a sample. */
static int64_t shard_of(const dataset_t *d, int64_t sample) {
    int64_t low = 0, high = dataset_n_shards(d);
    while (high - low > 1) {
        const int64_t mid = low + (high - low) / 2;
        if (dataset_shard_begin(d, mid) <= sample)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static lens_status make(batch_id_t *out, const batch_ids_t *ids, int64_t sample, int kind, int attempt) {
    const dataset_t *d = ids->dataset;
    const int64_t shard = shard_of(d, sample);
    *out = (batch_id_t){.shard = shard, .within = sample - dataset_shard_begin(d, shard), .attempt = attempt};
    snprintf(out->kind, sizeof out->kind, "%s", ids->kinds[kind].name);
    uint64_t content;
    LENS_TRY(dataset_image_hash(d, sample, &content));
    const char *name = ids->kinds[kind].name;
    const uint64_t parts[] = {dataset_shard_hash(d, shard), (uint64_t)out->within,          (uint64_t)attempt, content,
                              ids->settings[kind],          XXH3_64bits(name, strlen(name))};
    out->check = XXH3_64bits(parts, sizeof parts);
    return LENS_OK;
}

lens_status batch_ids_name(str_t *out, const batch_ids_t *ids, int64_t sample, int kind, int attempt) {
    batch_id_t id;
    LENS_TRY(make(&id, ids, sample, kind, attempt));
    return batch_id_write(out, &id);
}

lens_status batch_ids_sample(int64_t *sample, const batch_ids_t *ids, const batch_id_t *id) {
    const dataset_t *d = ids->dataset;
    if (id->shard < 0 || id->shard >= dataset_n_shards(d))
        return lens_fail(LENS_FORMAT, "shard %" PRId64 ", the set has %" PRId64, id->shard, dataset_n_shards(d));
    if (id->within < 0 || id->within >= dataset_shard_n_samples(d, id->shard))
        return lens_fail(LENS_FORMAT, "sample %" PRId64 " of a shard with %" PRId64, id->within,
                         dataset_shard_n_samples(d, id->shard));
    *sample = dataset_shard_begin(d, id->shard) + id->within;
    return LENS_OK;
}

lens_status batch_ids_kind(int *kind, const batch_ids_t *ids, int64_t sample, const batch_id_t *id) {
    bool is_known = false;
    for (int k = 0; k < ids->n_kinds; k++) {
        batch_id_t own;
        LENS_TRY(make(&own, ids, sample, k, id->attempt));
        if (strcmp(own.kind, id->kind) != 0) continue;
        is_known = true;
        *kind = k;
        if (own.check == id->check) return LENS_OK;
    }
    if (!is_known) return lens_fail(LENS_FORMAT, "of kind %s, which --kinds does not name", id->kind);
    return lens_fail(LENS_FORMAT, "the answer to another question: another set, picture, model, prompt or sampling");
}
