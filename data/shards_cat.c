/* `lens shards cat`: one sample as text or JSON. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset_private.h"
#include "data/shards.h"

static lens_status parse_index(int64_t *out, const char *text) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
        return lens_fail(LENS_ARGUMENT, "\"%s\": expected the index of a sample, from 0", text);
    *out = value;
    return LENS_OK;
}

static lens_status find_key(int64_t *out, const dataset_t *d, const char *key) {
    str_t text = {0};
    lens_status st = LENS_OK;
    int64_t i = 0, n = dataset_n_samples(d);
    for (; i < n; i++) {
        LENS_GO(dataset_key(d, i, &text));
        if (strcmp(text.s, key) == 0) break;
    }
    *out = i;
    if (i == n) st = lens_fail(LENS_ARGUMENT, "%s: no sample with the key \"%s\"", dataset_dir(d), key);
done:
    str_free(&text);
    return st;
}

static int64_t shard_of(const dataset_t *d, int64_t i) {
    int64_t shard = 0;
    while (i >= dataset_shard_begin(d, shard) + dataset_shard_n_samples(d, shard)) shard++;
    return shard;
}

/* ---- text ---- */

static void print_field(str_t *out, const char *name, const str_t *value) {
    str_addf(out, "%-12s ", name);
    shards_add_printable(out, value);
    str_add_char(out, '\n');
}

static lens_status cat_text(const dataset_t *d, int64_t i, str_t *out, str_t *text) {
    int64_t shard = shard_of(d, i), within = i - dataset_shard_begin(d, shard);
    sample_info_t info;
    LENS_TRY(dataset_info(d, i, &info));
    LENS_TRY(dataset_key(d, i, text));
    str_addf(out, "%-12s %" PRId64 "\n", "index", i);
    print_field(out, "key", text);
    str_addf(out, "%-12s %s, sample %" PRId64 "\n", "shard", dataset_shard_name(d, shard), within);
    str_addf(out, "%-12s %d x %d px, ", "picture", info.width, info.height);
    shards_add_size(out, info.image_bytes);
    str_addf(out, " (originally %d x %d px)\n", info.original_width, info.original_height);
    LENS_TRY(dataset_meta(d, i, text));
    print_field(out, "meta", text);
    for (int k = 0; k < dataset_n_kinds(d); k++) {
        const shard_t *s = dataset_layer_shard(d, k, shard);
        if (!s) continue;
        LENS_TRY(column_get(&s->text, within, NULL, text));
        print_field(out, dataset_kind(d, k), text);
        if (k == 0) continue;
        LENS_TRY(column_get(&s->meta, within, NULL, text));
        if (strcmp(text->s, "{}") != 0) print_field(out, "  its meta", text);
    }
    return str_status(out);
}

/* ---- JSON ---- */

static lens_status cat_json(const dataset_t *d, int64_t i, str_t *out, str_t *text) {
    int64_t shard = shard_of(d, i), within = i - dataset_shard_begin(d, shard);
    sample_info_t info;
    LENS_TRY(dataset_info(d, i, &info));
    LENS_TRY(dataset_key(d, i, text));
    str_addf(out, "{\"index\":%" PRId64 ",\"key\":", i);
    str_add_json(out, text->s, text->len);
    str_addf(out, ",\"shard\":\"%s\",\"shard_index\":%" PRId64, dataset_shard_name(d, shard), within);
    str_addf(out, ",\"width\":%d,\"height\":%d,\"original_width\":%d,\"original_height\":%d,\"image_bytes\":%" PRIu64,
             info.width, info.height, info.original_width, info.original_height, info.image_bytes);
    LENS_TRY(dataset_meta(d, i, text)); /* an object: the writer and verify see to it */
    str_addf(out, ",\"meta\":%s,\"captions\":{", text->s);
    for (int k = 0, n = 0; k < dataset_n_kinds(d); k++) {
        const shard_t *s = dataset_layer_shard(d, k, shard);
        if (!s) continue;
        LENS_TRY(column_get(&s->text, within, NULL, text));
        str_addf(out, "%s\"%s\":", n++ ? "," : "", dataset_kind(d, k));
        str_add_json(out, text->s, text->len);
    }
    str_add(out, "},\"caption_meta\":{");
    for (int k = 1, n = 0; k < dataset_n_kinds(d); k++) {
        const shard_t *s = dataset_layer_shard(d, k, shard);
        if (!s) continue;
        LENS_TRY(column_get(&s->meta, within, NULL, text));
        str_addf(out, "%s\"%s\":%s", n++ ? "," : "", dataset_kind(d, k), text->s);
    }
    str_add(out, "}}\n");
    return str_status(out);
}

lens_status shards_cat(const dataset_t *d, const char *index, const shards_options_t *o) {
    int64_t i;
    LENS_TRY(index ? parse_index(&i, index) : find_key(&i, d, o->key));
    sample_info_t info;
    LENS_TRY(dataset_info(d, i, &info)); /* refuses an index beyond the end */
    str_t out = {0}, text = {0};
    lens_status st;
    LENS_GO(o->json ? cat_json(d, i, &out, &text) : cat_text(d, i, &out, &text));
    if (o->image) {
        LENS_GO(dataset_image(d, i, &text));
        LENS_GO(file_write(o->image, text.s, text.len));
    }
    fwrite(out.s, 1, out.len, stdout);
done:
    str_free(&text);
    str_free(&out);
    return st;
}
