#include "data/ingest_embeddings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <xxhash.h>

#include "base/file.h"
#include "data/embedding_dup.h"
#include "data/embedding_file.h"

struct ingest_embeddings {
    const source_units_t *units;
    filter_near_duplicate_t near;
    embedding_dup_t *kept;
    int d;
    uint64_t hash;
    uint16_t *row; /* [d] */
    /* the source that is under way */
    embedding_file_t *file; /* NULL: none is */
    str_t path;             /* of the file */
    int input;
    int64_t part, n; /* samples so far */
    bool cut_short;  /* and so not all of them */
};

/* Opens the file of the part's source. */
static lens_status open_file(ingest_embeddings_t *e, int64_t part) {
    str_clear(&e->path);
    embedding_path(&e->path, e->near.embedding_dir, e->near.embedding_name, source_units_path(e->units, part));
    LENS_TRY(str_status(&e->path));
    return lens_context(embedding_file_open(&e->file, e->path.s), "near_duplicate: embeddings of %s",
                        source_units_path(e->units, part));
}

static void close_file(ingest_embeddings_t *e) {
    embedding_file_close(e->file);
    e->file = NULL;
}

/* What the next source's file is, before anything is done. */
static lens_status look_at(ingest_embeddings_t *e, int64_t part) {
    struct stat info;
    LENS_TRY(open_file(e, part));
    const int d = embedding_file_d(e->file);
    close_file(e);
    if (e->d == 0) e->d = d;
    if (e->d != d)
        return lens_fail(LENS_FORMAT, "%s: %d components, expected %d as in the files before it", e->path.s, d, e->d);
    if (stat(e->path.s, &info) != 0) return lens_fail(file_error_kind(errno), "%s: %s", e->path.s, strerror(errno));
    const int64_t seen[] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    e->hash = XXH3_64bits_withSeed(seen, sizeof seen, e->hash);
    return LENS_OK;
}

static lens_status fill(ingest_embeddings_t *e) {
    for (int64_t part = 0; part < source_units_n(e->units); part++)
        if (part == 0 || source_units_input(e->units, part) != source_units_input(e->units, part - 1))
            LENS_TRY(look_at(e, part));
    e->row = malloc((size_t)e->d * sizeof *e->row);
    if (!e->row) return lens_fail(LENS_MEMORY, "out of memory for an embedding of %d components", e->d);
    return embedding_dup_new(&e->kept, e->d, e->near.embedding_cosine, e->near.embedding_max_samples);
}

lens_status ingest_embeddings_new(ingest_embeddings_t **out, const source_units_t *units,
                                  const filter_chain_t *filters) {
    filter_near_duplicate_t near;
    *out = NULL;
    if (!filter_chain_near_duplicate(filters, &near) || !near.embedding_dir) return LENS_OK;
    ingest_embeddings_t *e = calloc(1, sizeof *e);
    if (!e) return lens_fail(LENS_MEMORY, "out of memory for embeddings");
    e->units = units;
    e->near = near;
    lens_status st = fill(e);
    if (st == LENS_OK)
        *out = e;
    else
        ingest_embeddings_free(e);
    return st;
}

void ingest_embeddings_free(ingest_embeddings_t *e) {
    if (!e) return;
    close_file(e);
    embedding_dup_free(e->kept);
    str_free(&e->path);
    free(e->row);
    free(e);
}

uint64_t ingest_embeddings_hash(const ingest_embeddings_t *e) {
    return e->hash;
}

lens_status ingest_embeddings_end(ingest_embeddings_t *e) {
    if (!e->file) return LENS_OK;
    const int64_t n_rows = embedding_file_n(e->file);
    close_file(e);
    if (e->n == n_rows || (e->cut_short && e->n < n_rows)) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: %" PRId64 " rows, but %s has %s%" PRId64 " samples", e->path.s, n_rows,
                     source_units_path(e->units, e->part), e->cut_short ? "at least " : "", e->n);
}

lens_status ingest_embeddings_part(ingest_embeddings_t *e, int64_t part) {
    const int input = source_units_input(e->units, part);
    if (e->file && e->input == input && e->cut_short)
        return lens_fail(LENS_FORMAT,
                         "%s: damaged in the middle: which rows of %s belong to the samples behind that is unknown",
                         source_units_path(e->units, part), e->path.s);
    if (e->file && e->input == input) return LENS_OK;
    LENS_TRY(ingest_embeddings_end(e));
    e->input = input;
    e->part = part;
    e->n = 0;
    e->cut_short = false;
    return open_file(e, part);
}

void ingest_embeddings_next(ingest_embeddings_t *e) {
    e->n++;
}

void ingest_embeddings_cut_short(ingest_embeddings_t *e) {
    e->cut_short = true;
}

lens_status ingest_embeddings_check(ingest_embeddings_t *e, bool *is_dup, double *cosine) {
    *is_dup = false;
    *cosine = 0;
    if (e->n > embedding_file_n(e->file)) return LENS_OK; /* ingest_embeddings_end will name both numbers */
    LENS_TRY(embedding_file_row(e->file, e->n - 1, e->row));
    return lens_context(embedding_dup_check(e->kept, e->row, is_dup, cosine), "%s: row %" PRId64, e->path.s, e->n - 1);
}
