#include "data/hdf_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/zstd_filter.h"

enum { ATTRIBUTE_MAX_BYTES = 1 << 20 };

/* Where closing a file fails, HDF5 1.10 frees it and keeps it in its list, and its handler at exit then reads freed
 * memory. All that we open we close: nothing is left for that handler. It must be off before HDF5's first call. */
__attribute__((constructor)) static void no_exit_handler(void) {
    H5dont_atexit();
}

void hdf_quiet(void) {
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static herr_t first_message(unsigned n, const H5E_error2_t *error, void *out) {
    if (n == 0) snprintf(out, 160, "%s", error->desc ? error->desc : "no message");
    return 0;
}

lens_status hdf_fail(lens_status kind, const hdf_t *h, const char *what) {
    char message[160] = "no message";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_message, message);
    for (char *p = message; *p; p++)
        if ((unsigned char)*p < ' ') *p = ' ';
    return lens_fail(kind, "%s: %s: HDF5: %s", h->path, what, message);
}

hid_t hdf_access(void) {
    hid_t p = H5Pcreate(H5P_FILE_ACCESS);
    if (p < 0) return p;
    /* Format 1.10 whatever the library: compact chunk indices, checksummed metadata, readable since 2016. Locks would
     * only fail on network file systems: shards never change. */
    if (H5Pset_libver_bounds(p, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 &&
        H5Pset_fclose_degree(p, H5F_CLOSE_STRONG) >= 0 && H5Pset_file_locking(p, false, true) >= 0)
        return p;
    H5Pclose(p);
    return H5I_INVALID_HID;
}

lens_status hdf_open(hdf_t *out, const char *path, int fd, uint64_t hdf5_bytes) {
    hdf_quiet();
    *out = (hdf_t){.id = H5I_INVALID_HID, .path = path, .fd = -1};
    hdf_t h = {.id = H5I_INVALID_HID, .path = path, .fd = fd, .end = hdf5_bytes};
    hid_t access = hdf_access();
    if (access >= 0) h.id = H5Fopen(path, H5F_ACC_RDONLY, access);
    lens_status st = h.id < 0 ? hdf_fail(LENS_FORMAT, &h, "cannot open") : LENS_OK;
    if (access >= 0) H5Pclose(access);
    if (st == LENS_OK) *out = h;
    return st;
}

void hdf_close(hdf_t *h) {
    if (!h->path) return;
    if (h->id >= 0) H5Fclose(h->id);
    if (h->owns_fd) close(h->fd);
    *h = (hdf_t){.id = H5I_INVALID_HID, .fd = -1};
}

/* Opens a scalar attribute with its type. */
static lens_status open_attribute(hdf_t *h, const char *name, hid_t *attribute, hid_t *type) {
    *type = H5I_INVALID_HID;
    *attribute = H5Aopen(h->id, name, H5P_DEFAULT);
    if (*attribute < 0) return lens_fail(LENS_FORMAT, "%s: attribute %s is missing", h->path, name);
    hid_t space = H5Aget_space(*attribute);
    bool scalar = space >= 0 && H5Sget_simple_extent_type(space) == H5S_SCALAR;
    if (space >= 0) H5Sclose(space);
    *type = H5Aget_type(*attribute);
    return scalar && *type >= 0 ? LENS_OK : lens_fail(LENS_FORMAT, "%s: attribute %s is no scalar", h->path, name);
}

lens_status hdf_get_number(hdf_t *h, const char *name, uint64_t *out) {
    hid_t attribute, type;
    lens_status st = open_attribute(h, name, &attribute, &type);
    *out = 0;
    if (st == LENS_OK && H5Tequal(type, H5T_STD_U64LE) <= 0)
        st = lens_fail(LENS_FORMAT, "%s: attribute %s is no uint64", h->path, name);
    if (st == LENS_OK && H5Aread(attribute, H5T_NATIVE_UINT64, out) < 0) st = hdf_fail(LENS_FORMAT, h, name);
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    return st;
}

lens_status hdf_get_string(hdf_t *h, const char *name, char **out) {
    hid_t attribute, type;
    lens_status st = open_attribute(h, name, &attribute, &type);
    *out = NULL;
    char *text = NULL;
    if (st == LENS_OK && (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0))
        st = lens_fail(LENS_FORMAT, "%s: attribute %s is no string of fixed length", h->path, name);
    size_t n = st == LENS_OK ? H5Tget_size(type) : 0;
    if (st == LENS_OK && (n == 0 || n > ATTRIBUTE_MAX_BYTES))
        st = lens_fail(LENS_FORMAT, "%s: attribute %s has %zu bytes", h->path, name, n);
    if (st == LENS_OK && !(text = calloc(n + 1, 1))) st = lens_fail(LENS_MEMORY, "%s: out of memory", h->path);
    if (st == LENS_OK && H5Aread(attribute, type, text) < 0) st = hdf_fail(LENS_FORMAT, h, name);
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    if (st == LENS_OK)
        *out = text;
    else
        free(text);
    return st;
}

void hdf_found_close(hdf_found_t *f) {
    if (f->properties >= 0) H5Pclose(f->properties);
    if (f->space >= 0) H5Sclose(f->space);
    if (f->type >= 0) H5Tclose(f->type);
    if (f->set >= 0) H5Dclose(f->set);
}

lens_status hdf_find(hdf_t *h, const char *name, hid_t type, H5D_layout_t layout, uint64_t n_columns, hdf_found_t *f) {
    *f = (hdf_found_t){H5I_INVALID_HID, H5I_INVALID_HID, H5I_INVALID_HID, H5I_INVALID_HID, 0};
    f->set = H5Dopen2(h->id, name, H5P_DEFAULT);
    if (f->set < 0) return lens_fail(LENS_FORMAT, "%s: dataset %s is missing", h->path, name);
    f->type = H5Dget_type(f->set);
    f->space = H5Dget_space(f->set);
    f->properties = H5Dget_create_plist(f->set);
    if (f->type < 0 || f->space < 0 || f->properties < 0) return hdf_fail(LENS_FORMAT, h, name);
    if (H5Tequal(f->type, type) <= 0) return lens_fail(LENS_FORMAT, "%s: dataset %s has another type", h->path, name);
    if (H5Pget_layout(f->properties) != layout)
        return lens_fail(LENS_FORMAT, "%s: dataset %s has another layout", h->path, name);
    hsize_t dims[2] = {0, 0};
    int rank = n_columns ? 2 : 1;
    if (H5Sget_simple_extent_ndims(f->space) != rank || H5Sget_simple_extent_dims(f->space, dims, NULL) != rank ||
        dims[1] != n_columns)
        return lens_fail(LENS_FORMAT, "%s: dataset %s has another number of dimensions or columns", h->path, name);
    f->n = dims[0];
    return LENS_OK;
}

static lens_status table_address(hdf_t *h, const char *name, const hdf_found_t *f, uint64_t n_columns,
                                 uint64_t *address) {
    if (H5Pget_nfilters(f->properties) != 0 || H5Pget_external_count(f->properties) != 0)
        return lens_fail(LENS_FORMAT, "%s: dataset %s is filtered or external", h->path, name);
    uint64_t element = H5Tget_size(f->type) * (n_columns ? n_columns : 1), at = H5Dget_offset(f->set);
    if (at == HADDR_UNDEF || at > h->end || element == 0 || f->n > (h->end - at) / element)
        return lens_fail(LENS_FORMAT, "%s: dataset %s reaches beyond the file", h->path, name);
    *address = at;
    return LENS_OK;
}

static lens_status find_table(hdf_t *h, const char *name, hid_t type, uint64_t n_columns, uint64_t *address,
                              uint64_t *n) {
    hdf_found_t f;
    *address = 0;
    lens_status st = hdf_find(h, name, type, H5D_CONTIGUOUS, n_columns, &f);
    if (st == LENS_OK) st = table_address(h, name, &f, n_columns, address);
    *n = f.n;
    hdf_found_close(&f);
    return st;
}

lens_status hdf_find_table(hdf_t *h, const char *name, hid_t type, uint64_t *address, uint64_t *n) {
    return find_table(h, name, type, 0, address, n);
}

static lens_status get(hdf_t *h, const char *name, hid_t type, uint64_t n, uint64_t n_columns, void **out) {
    *out = NULL;
    uint64_t address, found;
    LENS_TRY(find_table(h, name, type, n_columns, &address, &found));
    if (found != n)
        return lens_fail(LENS_FORMAT, "%s: dataset %s has %llu values, expected %llu", h->path, name,
                         (unsigned long long)found, (unsigned long long)n);
    /* Fits: it lies within the file. */
    size_t n_bytes = (size_t)n * (size_t)(n_columns ? n_columns : 1) * H5Tget_size(type);
    void *values = malloc(n_bytes ? n_bytes : 1);
    if (!values) return lens_fail(LENS_MEMORY, "%s: out of memory for %s", h->path, name);
    lens_status st = file_read_at(h->fd, values, n_bytes, address, h->path);
    if (st == LENS_OK)
        *out = values;
    else
        free(values);
    return st;
}

lens_status hdf_get_table(hdf_t *h, const char *name, hid_t type, uint64_t n, void **out) {
    return get(h, name, type, n, 0, out);
}

lens_status hdf_get_rows(hdf_t *h, const char *name, hid_t type, uint64_t n_rows, uint64_t n_columns, void **out) {
    return get(h, name, type, n_rows, n_columns, out);
}

lens_status hdf_check_frames(hdf_t *h, const char *name, const hdf_found_t *f, uint64_t *chunk) {
    static const H5Z_filter_t filters[] = {H5Z_FILTER_SHUFFLE, ZSTD_FILTER_ID};
    hsize_t elements = 0;
    int first = H5Tget_size(f->type) > 1 ? 0 : 1, n = 2 - first;
    bool fits = H5Pget_chunk(f->properties, 1, &elements) == 1 && elements > 0 && H5Pget_nfilters(f->properties) == n;
    for (int i = 0; i < n && fits; i++) {
        unsigned flags;
        size_t n_values = 0;
        fits = H5Pget_filter2(f->properties, (unsigned)i, &flags, &n_values, NULL, 0, NULL, NULL) == filters[first + i];
    }
    *chunk = elements;
    if (fits) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: dataset %s: expected chunks through shuffle and filter %d", h->path, name,
                     ZSTD_FILTER_ID);
}

lens_status hdf_find_frames(hdf_t *h, const char *name, hdf_frames_t *out) {
    hdf_found_t f;
    lens_status st = hdf_find(h, name, out->type, H5D_CHUNKED, 0, &f);
    if (st == LENS_OK) st = hdf_check_frames(h, name, &f, &out->chunk);
    out->n = f.n;
    hdf_found_close(&f);
    return st;
}
