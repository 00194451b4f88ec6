#include "data/ingest_shard.h"

#include <inttypes.h>

#include "data/ingest_dir.h"
#include "data/shard.h"

typedef struct {
    const char *dir;
    shard_writer_t *out;
    shard_t *part; /* open one, or NULL */
    int64_t part_number;
    chunk_cache_t *cache; /* chunks of the open part's texts */
    str_t picture, key, alt, meta;
} copy_t;

static void close_part(copy_t *c) {
    shard_close(c->part);
    chunk_cache_free(c->cache);
    c->part = NULL;
    c->cache = NULL;
}

static lens_status open_part(copy_t *c, int64_t number) {
    str_t path = {0};
    if (c->part && c->part_number == number) return LENS_OK;
    close_part(c);
    ingest_part_path(&path, c->dir, number, "h5");
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = shard_open(&c->part, path.s);
    str_free(&path);
    c->part_number = number;
    return st == LENS_OK ? chunk_cache_new(&c->cache, 4) : st;
}

static lens_status copy_sample(copy_t *c, int64_t i) {
    const shard_t *p = c->part;
    LENS_TRY(shard_image(p, i, &c->picture));
    LENS_TRY(column_get(&p->keys, i, c->cache, &c->key));
    LENS_TRY(column_get(&p->text, i, c->cache, &c->alt));
    LENS_TRY(column_get(&p->meta, i, c->cache, &c->meta));
    const sample_t sample = {.key = c->key.s,
                             .picture = c->picture.s,
                             .picture_bytes = c->picture.len,
                             .width = p->width[i],
                             .height = p->height[i],
                             .original_width = p->original_width[i],
                             .original_height = p->original_height[i],
                             .alt = str_text(&c->alt),
                             .meta = str_text(&c->meta)};
    return shard_writer_add_sample(c->out, &sample);
}

static lens_status copy_run(copy_t *c, const ingest_run_t *run) {
    LENS_TRY(open_part(c, run->part));
    if (run->begin < 0 || run->end > c->part->n_samples)
        return lens_fail(LENS_FORMAT, "%s: samples up to %" PRId64 " by its log, %" PRId64 " in the file",
                         c->part->path, run->end, c->part->n_samples);
    for (int64_t i = run->begin; i < run->end; i++) LENS_TRY(copy_sample(c, i));
    return LENS_OK;
}

lens_status ingest_shard_write(const ingest_options_t *options, int64_t shard, const ingest_runs_t *runs,
                               const char *provenance) {
    copy_t c = {.dir = options->out};
    str_t path = {0};
    const shard_identity_t identity = {.kind = "base", .provenance = provenance, .zstd_level = options->zstd_level};
    lens_status st;
    ingest_shard_path(&path, options->out, shard);
    LENS_GO(str_status(&path));
    LENS_GO(shard_writer_open(&c.out, path.s, &identity));
    for (int64_t i = 0; i < runs->n; i++) LENS_GO(copy_run(&c, &runs->runs[i]));
    shard_writer_t *out = c.out;
    c.out = NULL;
    LENS_GO(shard_writer_close(out));
done:
    shard_writer_abort(c.out);
    close_part(&c);
    str_t *const texts[] = {&c.picture, &c.key, &c.alt, &c.meta, &path};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) str_free(texts[i]);
    return st;
}
