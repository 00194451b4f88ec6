/* The plugin module that HDF5 loads from HDF5_PLUGIN_PATH: the filter's code, and the two functions it is found by. */
#include "data/zstd_filter.c" /* one translation unit: the module links nothing of ours */

#include <H5PLextern.h>

H5PL_type_t H5PLget_plugin_type(void) {
    return H5PL_TYPE_FILTER;
}

const void *H5PLget_plugin_info(void) {
    return &zstd_filter_class;
}
