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

/* Caption and metadata record of that kind; *there false where the layer lacks the shard. Kind 0 leaves *meta as it is:
 * its metadata is the base's, which is told elsewhere. */
static lens_status read_kind(const dataset_t *d, int kind, int64_t shard, int64_t within, str_t *text, str_t *meta,
                             bool *there) {
    const shard_t *s;
    LENS_TRY(dataset_pin(d, kind, shard, &s));
    *there = s != NULL;
    if (!s) return LENS_OK;
    lens_status st = column_get(&s->text, within, NULL, text);
    if (st == LENS_OK && kind > 0) st = column_get(&s->meta, within, NULL, meta);
    dataset_unpin(d, kind, shard);
    return st;
}

static void add_shape(str_t *out, const array_shape_t *shape) {
    str_addf(out, "%s [", array_dtype_name(shape->dtype));
    for (int i = 0; i < shape->n_dims; i++) str_addf(out, "%s%" PRId64, i ? ", " : "", shape->dims[i]);
    str_add_char(out, ']');
}

/* ---- text ---- */

static void print_field(str_t *out, const char *name, const str_t *value) {
    str_addf(out, "%-12s ", name);
    shards_add_printable(out, value);
    str_add_char(out, '\n');
}

static lens_status cat_captions(const dataset_t *d, int64_t shard, int64_t within, str_t *out, str_t *text) {
    str_t meta = {0};
    lens_status st = LENS_OK;
    for (int k = 0; k < dataset_n_kinds(d); k++) {
        bool there;
        LENS_GO(read_kind(d, k, shard, within, text, &meta, &there));
        if (!there) continue;
        print_field(out, dataset_kind(d, k), text);
        if (k > 0 && strcmp(str_text(&meta), "{}") != 0) print_field(out, "  its meta", &meta);
    }
done:
    str_free(&meta);
    return st;
}

static lens_status cat_text(const dataset_t *d, int64_t i, str_t *out, str_t *text) {
    int64_t shard, within;
    sample_info_t info;
    LENS_TRY(dataset_locate(d, i, &shard, &within));
    LENS_TRY(dataset_info(d, i, &info));
    LENS_TRY(dataset_key(d, i, text));
    str_addf(out, "%-12s %" PRId64 "\n", "index", i);
    print_field(out, "key", text);
    str_addf(out, "%-12s %s, sample %" PRId64 "\n", "shard", dataset_shard_name(d, shard), within);
    str_addf(out, "%-12s %d x %d px, %s (originally %d x %d px)\n", "picture", info.width, info.height,
             shards_size(info.image_bytes).text, info.original_width, info.original_height);
    LENS_TRY(dataset_meta(d, i, text));
    print_field(out, "meta", text);
    LENS_TRY(cat_captions(d, shard, within, out, text));
    for (int k = 0; k < dataset_n_arrays(d); k++) {
        array_shape_t shape;
        if (!d->arrays[k].present[shard]) continue;
        LENS_TRY(dataset_array_shape(d, i, dataset_array_kind(d, k), &shape));
        str_addf(out, "%-12s ", dataset_array_kind(d, k));
        add_shape(out, &shape);
        str_add_char(out, '\n');
    }
    return str_status(out);
}

/* ---- JSON ---- */

static lens_status add_arrays(const dataset_t *d, int64_t i, int64_t shard, str_t *out) {
    for (int k = 0, n = 0; k < dataset_n_arrays(d); k++) {
        array_shape_t shape;
        if (!d->arrays[k].present[shard]) continue;
        LENS_TRY(dataset_array_shape(d, i, dataset_array_kind(d, k), &shape));
        str_addf(out, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", n++ ? "," : "", dataset_array_kind(d, k),
                 array_dtype_name(shape.dtype));
        for (int j = 0; j < shape.n_dims; j++) str_addf(out, "%s%" PRId64, j ? "," : "", shape.dims[j]);
        str_add(out, "]}");
    }
    return LENS_OK;
}

/* The captions, and as *metas the members of the object caption_meta. */
static lens_status add_captions(const dataset_t *d, int64_t shard, int64_t within, str_t *out, str_t *metas,
                                str_t *text) {
    str_t meta = {0};
    lens_status st = LENS_OK;
    for (int k = 0, n = 0; k < dataset_n_kinds(d); k++) {
        bool there;
        LENS_GO(read_kind(d, k, shard, within, text, &meta, &there));
        if (!there) continue;
        str_addf(out, "%s\"%s\":", n++ ? "," : "", dataset_kind(d, k));
        str_add_json(out, text->s, text->len);
        if (k > 0) str_addf(metas, "%s\"%s\":%s", metas->len ? "," : "", dataset_kind(d, k), str_text(&meta));
    }
done:
    str_free(&meta);
    return st;
}

static lens_status cat_json(const dataset_t *d, int64_t i, str_t *out, str_t *text) {
    int64_t shard, within;
    sample_info_t info;
    str_t metas = {0};
    lens_status st;
    LENS_GO(dataset_locate(d, i, &shard, &within));
    LENS_GO(dataset_info(d, i, &info));
    LENS_GO(dataset_key(d, i, text));
    str_addf(out, "{\"index\":%" PRId64 ",\"key\":", i);
    str_add_json(out, text->s, text->len);
    str_addf(out, ",\"shard\":\"%s\",\"shard_index\":%" PRId64, dataset_shard_name(d, shard), within);
    str_addf(out, ",\"width\":%d,\"height\":%d,\"original_width\":%d,\"original_height\":%d,\"image_bytes\":%" PRIu64,
             info.width, info.height, info.original_width, info.original_height, info.image_bytes);
    LENS_GO(dataset_meta(d, i, text)); /* an object: the writer and verify see to it */
    str_addf(out, ",\"meta\":%s,\"captions\":{", text->s);
    LENS_GO(add_captions(d, shard, within, out, &metas, text));
    str_addf(out, "},\"caption_meta\":{%s}", str_text(&metas));
    if (dataset_n_arrays(d)) {
        str_add(out, ",\"arrays\":{");
        LENS_GO(add_arrays(d, i, shard, out));
        str_add_char(out, '}');
    }
    str_add(out, "}\n");
    st = str_status(out);
done:
    str_free(&metas);
    return st;
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
