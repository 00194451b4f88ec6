/* What hdf_write.c and hdf_read.c share. */
#ifndef LENS_DATA_HDF_PRIVATE_H
#define LENS_DATA_HDF_PRIVATE_H

#include "data/hdf.h"

void hdf_quiet(void); /* this thread's automatic printing off */
/* "path: what: HDF5's innermost message". */
lens_status hdf_fail(lens_status kind, const hdf_t *h, const char *what);
hid_t hdf_access(void); /* file access properties, to be closed; negative on failure */

typedef struct {
    hid_t set, type, space, properties;
    uint64_t n;
} hdf_found_t;
/* Opens a dataset of that type and layout, of one dimension, or [n, n_columns] where n_columns is not 0;
 * hdf_found_close it in every case. */
LENS_CHECKED lens_status hdf_find(hdf_t *h, const char *name, hid_t type, H5D_layout_t layout, uint64_t n_columns,
                                  hdf_found_t *f);
void hdf_found_close(hdf_found_t *f);
/* Elements of a chunk. FORMAT where it is not chunked through shuffle (elements of several bytes) and filter 32015. */
LENS_CHECKED lens_status hdf_check_frames(hdf_t *h, const char *name, const hdf_found_t *f, uint64_t *chunk);

#endif
