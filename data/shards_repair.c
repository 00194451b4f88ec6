/* `lens shards repair`: the whole samples of a damaged set as a new set, and a list of what is lost.
 *
 * Nothing is changed in place. A shard whose seal or structure is damaged is opened all the same: HDF5's checksums, the
 * checksums of zstd frames and the hashes of pictures and arrays then say of each part whether it is whole. A sample is
 * taken only where its picture, key, alt-text and metadata are what they must be, and every array of it is whole: a
 * shard of arrays has one for each sample, so that one sample less costs less than the layer of the shard. A caption
 * that is damaged becomes an empty one. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "data/dataset_private.h"
#include "data/shards.h"
#include "data/shards_copy.h"
#include "data/text.h"

#define LOST_NAME "lost.jsonl"

typedef struct {
    const dataset_t *d;                  /* NULL while it is being opened */
    str_t lines;                         /* lost.jsonl */
    int64_t n_files, n_samples, n_texts; /* lost: shard files, samples, texts */
    str_t key, text;
} repair_t;

static void lost_file(void *context, const char *path, const char *reason) {
    repair_t *r = context;
    r->n_files++;
    str_add(&r->lines, "{\"file\":");
    str_add_json(&r->lines, path, strlen(path));
    str_add(&r->lines, ",\"reason\":");
    str_add_json(&r->lines, reason, strlen(reason));
    str_add(&r->lines, "}\n");
}

/* kind NULL: the sample itself. */
static void add_lost(repair_t *r, int64_t i, const char *kind, const char *reason) {
    int64_t shard, within;
    if (dataset_locate(r->d, i, &shard, &within) != LENS_OK) return;
    str_addf(&r->lines, "{\"shard\":\"%s\",\"sample\":%" PRId64 ",\"key\":", dataset_shard_name(r->d, shard), within);
    if (r->key.len)
        str_add_json(&r->lines, r->key.s, r->key.len);
    else
        str_add(&r->lines, "null");
    if (kind) str_addf(&r->lines, ",\"layer\":\"%s\"", kind);
    str_add(&r->lines, ",\"reason\":");
    str_add_json(&r->lines, reason, strlen(reason));
    str_add(&r->lines, "}\n");
}

static void lost_layer(void *context, int64_t sample, const char *kind, const char *reason) {
    repair_t *r = context;
    str_t why = {0};
    str_add(&why, reason); /* reading the key may overwrite it */
    r->n_texts++;
    if (dataset_key(r->d, sample, &r->key) != LENS_OK) str_clear(&r->key);
    add_lost(r, sample, kind, str_text(&why));
    str_free(&why);
}

static lens_status check_arrays(repair_t *r, int64_t i) {
    int64_t shard, within;
    array_shape_t shape;
    size_t n_bytes;
    LENS_TRY(dataset_locate(r->d, i, &shard, &within));
    for (int k = 0; k < dataset_n_arrays(r->d); k++) {
        if (!r->d->arrays[k].present[shard]) continue;
        const char *kind = dataset_array_kind(r->d, k);
        LENS_TRY(dataset_array_shape(r->d, i, kind, &shape));
        LENS_TRY(array_bytes(&shape, &n_bytes));
        str_clear(&r->text);
        str_reserve(&r->text, n_bytes);
        LENS_TRY(str_status(&r->text));
        LENS_TRY(dataset_array(r->d, i, kind, r->text.s, n_bytes));
    }
    return LENS_OK;
}

static lens_status check_sample(repair_t *r, int64_t i) {
    str_clear(&r->key);
    LENS_TRY(dataset_key(r->d, i, &r->key));
    if (r->key.len == 0 || text_has_control(r->key.s, r->key.len)) {
        str_clear(&r->key);
        return lens_fail(LENS_FORMAT, "its key is empty or has control characters");
    }
    LENS_TRY(dataset_image(r->d, i, &r->text));
    LENS_TRY(dataset_caption(r->d, i, "alt", &r->text));
    LENS_TRY(dataset_meta(r->d, i, &r->text));
    if (!text_is_json_object(r->text.s, r->text.len)) return lens_fail(LENS_FORMAT, "its metadata is no JSON object");
    return check_arrays(r, i);
}

static lens_status repair_shard(repair_t *r, copier_t *c, int64_t shard) {
    int64_t begin = dataset_shard_begin(r->d, shard), end = begin + dataset_shard_n_samples(r->d, shard);
    for (int64_t i = begin; i < end; i++) {
        lens_status st = check_sample(r, i);
        if (st == LENS_OK) st = copier_add(c, 0, i);
        if (st == LENS_OK) continue;
        if (st != LENS_FORMAT && st != LENS_ARGUMENT) return st; /* ARGUMENT: a key that is there already */
        r->n_samples++;
        add_lost(r, i, NULL, lens_error());
    }
    return copier_end_shard(c);
}

static lens_status write_lost(const repair_t *r, const char *out) {
    str_t path = {0};
    str_addf(&path, "%s/" LOST_NAME, out);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = str_status(&r->lines);
    if (st == LENS_OK) st = dir_make(out);
    if (st == LENS_OK) st = file_write(path.s, str_text(&r->lines), r->lines.len);
    str_free(&path);
    return st;
}

lens_status shards_repair(const char *dir, const shards_options_t *o) {
    repair_t r = {0};
    dataset_t *d = NULL;
    copier_t *c = NULL;
    int64_t n = 0;
    lens_status st;
    LENS_GO(dataset_open_damaged(&d, dir, lost_file, &r));
    r.d = d;
    LENS_GO(copier_open(&c, o->out,
                        &(copy_options_t){.action = "repair",
                                          .sources = &d,
                                          .n_sources = 1,
                                          .shard_max_samples = INT64_MAX, /* a shard stays a shard */
                                          .shard_max_bytes = UINT64_MAX,
                                          .lost = lost_layer,
                                          .lost_context = &r}));
    for (int64_t i = 0; i < dataset_n_shards(d); i++) {
        log_progress("repair: shard %" PRId64 " of %" PRId64, i + 1, dataset_n_shards(d));
        LENS_GO(repair_shard(&r, c, i));
    }
    log_progress_end();
    LENS_GO(write_lost(&r, o->out));
    n = copier_n_samples(c);
    st = copier_close(c);
    c = NULL;
    if (st == LENS_OK)
        printf("%s: %" PRId64 " samples; lost: %" PRId64 " files, %" PRId64 " samples, %" PRId64
               " texts, told in %s/" LOST_NAME "\n",
               o->out, n, r.n_files, r.n_samples, r.n_texts, o->out);
done:
    log_progress_end();
    copier_abort(c);
    dataset_close(d);
    str_free(&r.lines);
    str_free(&r.key);
    str_free(&r.text);
    return st;
}
