#include "data/hdf_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/shuffle.h"
#include "data/zstd_filter.h"

enum { ALIGNMENT = 4096, PUNCH_BYTES = 16 << 20 };

lens_status hdf_create(hdf_t *out, const char *path, uint64_t align_bytes) {
    *out = (hdf_t){.id = H5I_INVALID_HID, .path = path, .fd = -1};
    hdf_quiet();
    hdf_t h = *out;
    h.fd = memfd_create("lens-shard", MFD_CLOEXEC);
    if (h.fd < 0) return lens_fail(LENS_IO, "%s: cannot make a file in memory: %s", path, strerror(errno));
    h.owns_fd = true;
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", h.fd);
    hid_t access = hdf_access(), creation = H5Pcreate(H5P_FILE_CREATE);
    /* Small raw data stands for itself, not in blocks shared with others: the first dataset then begins at ALIGNMENT.
     */
    /* The stdio driver, for the default one resolves the name as a link and finds no such file. */
    if (access >= 0 && H5Pset_fapl_stdio(access) >= 0 && H5Pset_alignment(access, align_bytes, ALIGNMENT) >= 0 &&
        H5Pset_small_data_block_size(access, 0) >= 0 && creation >= 0 && H5Pset_obj_track_times(creation, false) >= 0)
        h.id = H5Fcreate(name, H5F_ACC_TRUNC, creation, access);
    lens_status st = h.id < 0 ? hdf_fail(LENS_IO, &h, "cannot create") : LENS_OK;
    if (access >= 0) H5Pclose(access);
    if (creation >= 0) H5Pclose(creation);
    if (st == LENS_OK && H5Zregister(&zstd_filter_class) < 0) st = hdf_fail(LENS_STATE, &h, "cannot register zstd");
    if (st != LENS_OK)
        hdf_close(&h);
    else
        *out = h;
    return st;
}

lens_status hdf_finish(hdf_t *h) {
    hid_t id = h->id;
    h->id = H5I_INVALID_HID;
    return H5Fclose(id) < 0 ? hdf_fail(LENS_IO, h, "cannot close") : LENS_OK;
}

/* Creation properties with deterministic bytes: no times, nothing filled. H5I_INVALID_HID on failure. */
static hid_t dataset_properties(void) {
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    if (p < 0) return p;
    if (H5Pset_obj_track_times(p, false) >= 0 && H5Pset_fill_time(p, H5D_FILL_TIME_NEVER) >= 0) return p;
    H5Pclose(p);
    return H5I_INVALID_HID;
}

static lens_status put(hdf_t *h, const char *name, hid_t type, const void *values, int rank, const hsize_t *dims,
                       uint64_t *address) {
    lens_status st = LENS_OK;
    hid_t set = H5I_INVALID_HID, properties = dataset_properties(), space = H5Screate_simple(rank, dims, NULL);
    if (properties >= 0 && space >= 0 && H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY) >= 0)
        set = H5Dcreate2(h->id, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (set < 0 || (values && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0))
        st = hdf_fail(LENS_IO, h, name);
    else if (address)
        *address = H5Dget_offset(set);
    if (set >= 0) H5Dclose(set);
    if (space >= 0) H5Sclose(space);
    if (properties >= 0) H5Pclose(properties);
    return st;
}

lens_status hdf_put_table(hdf_t *h, const char *name, hid_t type, const void *values, uint64_t n, uint64_t *address) {
    hsize_t dims = n;
    return put(h, name, type, values, 1, &dims, address);
}

lens_status hdf_put_rows(hdf_t *h, const char *name, hid_t type, const void *values, uint64_t n_rows,
                         uint64_t n_columns) {
    hsize_t dims[2] = {n_rows, n_columns};
    return put(h, name, type, values, 2, dims, NULL);
}

/* Chunk by chunk as frames made here: HDF5 stores them as they are. */
static lens_status write_chunks(hdf_t *h, hid_t set, const char *name, const char *bytes, size_t n_bytes,
                                size_t element, int level) {
    size_t capacity = zstd_filter_capacity(HDF_CHUNK_BYTES), frame_bytes;
    char *padded = malloc(HDF_CHUNK_BYTES), *raw = malloc(HDF_CHUNK_BYTES), *frame = malloc(capacity);
    lens_status st = padded && raw && frame ? LENS_OK : lens_fail(LENS_MEMORY, "%s: out of memory", h->path);
    for (size_t at = 0; at < n_bytes && st == LENS_OK; at += HDF_CHUNK_BYTES) {
        size_t part = n_bytes - at < HDF_CHUNK_BYTES ? n_bytes - at : HDF_CHUNK_BYTES;
        memcpy(padded, bytes + at, part);
        memset(padded + part, 0, HDF_CHUNK_BYTES - part);
        shuffle_bytes(raw, padded, HDF_CHUNK_BYTES / element, element);
        const char *fault = zstd_filter_encode(frame, capacity, &frame_bytes, raw, HDF_CHUNK_BYTES, level);
        hsize_t offset = at / element;
        if (fault)
            st = lens_fail(LENS_MEMORY, "%s: %s: zstd: %s", h->path, name, fault);
        else if (H5Dwrite_chunk(set, H5P_DEFAULT, 0, &offset, frame_bytes, frame) < 0)
            st = hdf_fail(LENS_IO, h, name);
    }
    free(padded);
    free(raw);
    free(frame);
    return st;
}

/* A dataset of f->n elements in chunks through shuffle, where they have several bytes, and zstd. Negative on failure.
 */
static hid_t create_chunked(hdf_t *h, const char *name, const hdf_frames_t *f, hsize_t most) {
    hsize_t dims = f->n, chunk = f->chunk;
    unsigned value = (unsigned)f->level;
    bool shuffled = H5Tget_size(f->type) > 1;
    hid_t set = H5I_INVALID_HID, properties = dataset_properties(), space = H5Screate_simple(1, &dims, &most);
    if (properties >= 0 && space >= 0 && H5Pset_chunk(properties, 1, &chunk) >= 0 &&
        (!shuffled || H5Pset_shuffle(properties) >= 0) &&
        H5Pset_filter(properties, ZSTD_FILTER_ID, H5Z_FLAG_MANDATORY, 1, &value) >= 0)
        set = H5Dcreate2(h->id, name, f->type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (space >= 0) H5Sclose(space);
    if (properties >= 0) H5Pclose(properties);
    return set;
}

lens_status hdf_put_packed(hdf_t *h, const char *name, hid_t type, const void *values, size_t n, int level) {
    const size_t element = H5Tget_size(type);
    hid_t set = create_chunked(h, name, &(hdf_frames_t){type, n, HDF_CHUNK_BYTES / element, level}, H5S_UNLIMITED);
    lens_status st =
        set < 0 ? hdf_fail(LENS_IO, h, name) : write_chunks(h, set, name, values, n * element, element, level);
    if (set >= 0) H5Dclose(set);
    return st;
}

/* Lets go of the memory of [begin, end) of the file, which nobody reads again. */
static void punch(const hdf_t *h, uint64_t begin, uint64_t end) {
    if (end > begin) fallocate(h->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)begin, (off_t)(end - begin));
}

static lens_status chunk_address(hdf_t *h, hid_t set, const char *name, uint64_t chunk, uint64_t *address) {
    hsize_t offset, n_bytes;
    unsigned mask;
    haddr_t at;
    hid_t space = H5Dget_space(set);
    herr_t error = space < 0 ? -1 : H5Dget_chunk_info(set, space, chunk, &offset, &mask, &at, &n_bytes);
    if (space >= 0) H5Sclose(space);
    if (error < 0) return hdf_fail(LENS_IO, h, name);
    *address = at;
    return LENS_OK;
}

/* Writes blanks of the frames' sizes. */
static lens_status reserve_frames(hdf_t *h, hid_t set, const char *name, const hdf_frames_t *f, const uint64_t *ends,
                                  uint64_t n_frames, uint64_t *address) {
    uint64_t largest = 0, last = 0, punched = 0;
    for (uint64_t i = 0; i < n_frames; i++) {
        uint64_t n = ends[i] - (i ? ends[i - 1] : 0);
        if (n > largest) largest = n;
    }
    char *blank = calloc(largest ? largest : 1, 1);
    lens_status st = blank ? LENS_OK : lens_fail(LENS_MEMORY, "%s: out of memory", h->path);
    /* The first chunk makes HDF5 place the index of all behind it. So one of a single byte comes first; in its true
     * size the chunk is then placed anew, behind the index, and the others follow. */
    hsize_t first = 0;
    if (st == LENS_OK && H5Dwrite_chunk(set, H5P_DEFAULT, 0, &first, 1, blank) < 0) st = hdf_fail(LENS_IO, h, name);
    for (uint64_t i = 0; i < n_frames && st == LENS_OK; i++) {
        hsize_t offset = i * f->chunk;
        uint64_t begin = i ? ends[i - 1] : 0;
        if (H5Dwrite_chunk(set, H5P_DEFAULT, 0, &offset, (size_t)(ends[i] - begin), blank) < 0)
            st = hdf_fail(LENS_IO, h, name);
        if (st == LENS_OK && i == 0) st = chunk_address(h, set, name, 0, address);
        if (st == LENS_OK && begin > punched + PUNCH_BYTES) { /* not the latest: the driver may still hold it */
            punch(h, *address + punched, *address + begin);
            punched = begin;
        }
    }
    if (st == LENS_OK) st = chunk_address(h, set, name, n_frames - 1, &last);
    uint64_t expected = n_frames > 1 ? ends[n_frames - 2] : 0;
    if (st == LENS_OK && last != *address + expected)
        st = lens_fail(LENS_STATE, "%s: %s: this HDF5 leaves gaps between chunks: the last at %llu, expected %llu",
                       h->path, name, (unsigned long long)last, (unsigned long long)(*address + expected));
    free(blank);
    return st;
}

lens_status hdf_put_frames(hdf_t *h, const char *name, const hdf_frames_t *f, const uint64_t *ends, uint64_t n_frames,
                           uint64_t *address) {
    hid_t set = create_chunked(h, name, f, f->n > f->chunk ? f->n : f->chunk); /* a chunk must fit in it */
    lens_status st = set < 0 ? hdf_fail(LENS_IO, h, name) : reserve_frames(h, set, name, f, ends, n_frames, address);
    if (set >= 0) H5Dclose(set);
    return st;
}

static lens_status put_attribute(hdf_t *h, const char *name, hid_t type, const void *value) {
    hid_t attribute = H5I_INVALID_HID, space = H5Screate(H5S_SCALAR);
    if (space >= 0) attribute = H5Acreate2(h->id, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    lens_status st = attribute < 0 || H5Awrite(attribute, type, value) < 0 ? hdf_fail(LENS_IO, h, name) : LENS_OK;
    if (attribute >= 0) H5Aclose(attribute);
    if (space >= 0) H5Sclose(space);
    return st;
}

lens_status hdf_put_number(hdf_t *h, const char *attribute, uint64_t value) {
    return put_attribute(h, attribute, H5T_STD_U64LE, &value);
}

lens_status hdf_put_string(hdf_t *h, const char *attribute, const char *text) {
    size_t n = strlen(text);
    hid_t type = H5Tcopy(H5T_C_S1);
    lens_status st = LENS_OK;
    /* A string type has at least one byte: "" is one NUL. */
    if (type < 0 || H5Tset_size(type, n ? n : 1) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 ||
        H5Tset_cset(type, H5T_CSET_UTF8) < 0)
        st = hdf_fail(LENS_IO, h, attribute);
    else
        st = put_attribute(h, attribute, type, text);
    if (type >= 0) H5Tclose(type);
    return st;
}
