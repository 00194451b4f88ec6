/* Datasets in packed chunks: finding them through HDF5, reading them without it. */
#include <stdlib.h>

#include "base/file.h"
#include "data/hdf_private.h"
#include "data/shuffle.h"
#include "data/zstd_filter.h"

/* Fills chunks[n_chunks], each of chunk_n elements. */
static lens_status read_chunk_table(hdf_t *h, const char *name, const hdf_found_t *f, uint64_t chunk_n,
                                    hdf_chunk_t *chunks, uint64_t n_chunks) {
    for (uint64_t i = 0; i < n_chunks; i++) {
        hsize_t offset, n_bytes;
        unsigned mask;
        haddr_t address;
        if (H5Dget_chunk_info(f->set, f->space, i, &offset, &mask, &address, &n_bytes) < 0)
            return hdf_fail(LENS_FORMAT, h, name);
        uint64_t at = offset / chunk_n;
        bool fits = address <= h->end && n_bytes > 0 && n_bytes <= h->end - address &&
                    n_bytes <= zstd_filter_capacity(HDF_CHUNK_BYTES);
        if (mask != 0 || offset % chunk_n != 0 || at >= n_chunks || chunks[at].n_bytes != 0 || !fits)
            return lens_fail(LENS_FORMAT, "%s: dataset %s: chunk %llu is misplaced", h->path, name,
                             (unsigned long long)i);
        chunks[at] = (hdf_chunk_t){address, (uint32_t)n_bytes};
    }
    return LENS_OK;
}

/* n_chunks by the dataset's size: as many must be stored. */
static lens_status check_packed(hdf_t *h, const char *name, const hdf_found_t *f, uint64_t *chunk_n,
                                uint64_t *n_chunks) {
    hsize_t stored = 0;
    LENS_TRY(hdf_check_frames(h, name, f, chunk_n));
    if (*chunk_n != HDF_CHUNK_BYTES / H5Tget_size(f->type))
        return lens_fail(LENS_FORMAT, "%s: dataset %s: chunks of %llu values, expected %d bytes", h->path, name,
                         (unsigned long long)*chunk_n, HDF_CHUNK_BYTES);
    *n_chunks = f->n / *chunk_n + (f->n % *chunk_n != 0);
    if (H5Dget_num_chunks(f->set, f->space, &stored) < 0) return hdf_fail(LENS_FORMAT, h, name);
    if (stored == *n_chunks && *n_chunks <= h->end) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: dataset %s: %llu chunks stored, expected %llu", h->path, name,
                     (unsigned long long)stored, (unsigned long long)*n_chunks);
}

lens_status hdf_first_frame(hdf_t *h, const char *name, hid_t type, uint64_t *address) {
    hdf_found_t f;
    hsize_t offset, n_bytes;
    unsigned mask;
    haddr_t at = HADDR_UNDEF;
    lens_status st = hdf_find(h, name, type, H5D_CHUNKED, 0, &f);
    if (st == LENS_OK && (H5Dget_chunk_info(f.set, f.space, 0, &offset, &mask, &at, &n_bytes) < 0 || offset != 0))
        st = hdf_fail(LENS_FORMAT, h, name);
    *address = at;
    hdf_found_close(&f);
    return st;
}

lens_status hdf_get_chunks(hdf_t *h, const char *name, hid_t type, uint64_t *n, hdf_chunk_t **chunks) {
    *n = 0;
    *chunks = NULL;
    hdf_found_t f;
    hdf_chunk_t *table = NULL;
    uint64_t chunk_n, n_chunks;
    lens_status st;
    LENS_GO(hdf_find(h, name, type, H5D_CHUNKED, 0, &f));
    LENS_GO(check_packed(h, name, &f, &chunk_n, &n_chunks));
    table = calloc(n_chunks ? n_chunks : 1, sizeof *table);
    if (!table) LENS_GO(lens_fail(LENS_MEMORY, "%s: out of memory for %s", h->path, name));
    LENS_GO(read_chunk_table(h, name, &f, chunk_n, table, n_chunks));
    *n = f.n;
    *chunks = table;
    table = NULL;
done:
    free(table);
    hdf_found_close(&f);
    return st;
}

lens_status hdf_read_chunk(int fd, const hdf_chunk_t *at, void *raw, const char *name, const char *path) {
    void *frame = malloc(at->n_bytes);
    if (!frame) return lens_fail(LENS_MEMORY, "%s: out of memory", path);
    lens_status st = file_read_at(fd, frame, at->n_bytes, at->address, path);
    const char *fault = st == LENS_OK ? zstd_filter_decode(raw, HDF_CHUNK_BYTES, frame, at->n_bytes) : NULL;
    if (fault)
        st = lens_fail(LENS_FORMAT, "%s: dataset %s: chunk at %llu: %s", path, name, (unsigned long long)at->address,
                       fault);
    free(frame);
    return st;
}

lens_status hdf_get_packed(hdf_t *h, const char *name, hid_t type, uint64_t n, void **out) {
    *out = NULL;
    const size_t element = H5Tget_size(type), chunk_n = HDF_CHUNK_BYTES / element;
    uint64_t found;
    hdf_chunk_t *chunks;
    char *raw = NULL, *values = NULL;
    lens_status st;
    LENS_TRY(hdf_get_chunks(h, name, type, &found, &chunks));
    if (found != n)
        LENS_GO(lens_fail(LENS_FORMAT, "%s: dataset %s has %llu values, expected %llu", h->path, name,
                          (unsigned long long)found, (unsigned long long)n));
    raw = malloc(HDF_CHUNK_BYTES);
    values = malloc(n ? (size_t)n * element : 1);
    if (!raw || !values) LENS_GO(lens_fail(LENS_MEMORY, "%s: out of memory for %s", h->path, name));
    for (uint64_t at = 0; at < n; at += chunk_n) {
        size_t part = n - at < chunk_n ? (size_t)(n - at) : chunk_n;
        LENS_GO(hdf_read_chunk(h->fd, &chunks[at / chunk_n], raw, name, h->path));
        unshuffle_bytes(values + at * element, raw, chunk_n, element, 0, part);
    }
    *out = values;
    values = NULL;
done:
    free(raw);
    free(values);
    free(chunks);
    return st;
}
