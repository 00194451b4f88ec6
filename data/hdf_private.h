/* What hdf_write.c and hdf_read.c share. */
#ifndef LENS_DATA_HDF_PRIVATE_H
#define LENS_DATA_HDF_PRIVATE_H

#include "data/hdf.h"

void hdf_quiet(void); /* this thread's automatic printing off */
/* "path: what: HDF5's innermost message". */
lens_status hdf_fail(lens_status kind, const hdf_t *h, const char *what);
hid_t hdf_access(void); /* file access properties, to be closed; negative on failure */

#endif
