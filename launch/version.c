/* Versions are those of the libraries loaded now, where the library can say; libjpeg can only be asked when compiling.
 */
#include "launch/version.h"

#include <stdio.h>
#include <string.h>

#include <cblas.h>
#include <hdf5.h>
#include <jpeglib.h>
#include <mpi.h>
#include <png.h>
#include <webp/decode.h>
#include <zstd.h>

#include "base/build_info.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)
#ifdef LIBJPEG_TURBO_VERSION
#define JPEG_TEXT "libjpeg-turbo " TEXT_OF(LIBJPEG_TURBO_VERSION)
#else
#define JPEG_TEXT "libjpeg " TEXT_OF(JPEG_LIB_VERSION)
#endif

static void add_libraries(str_t *out) {
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    int webp = WebPGetDecoderVersion();
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int n_mpi = 0;
    MPI_Get_library_version(mpi, &n_mpi); /* allowed before MPI_Init */
    str_addf(out, "HDF5:      %u.%u.%u\n", major, minor, release);
    str_addf(out, "zstd:      %s\n", ZSTD_versionString());
    str_addf(out, "libwebp:   %d.%d.%d\n", webp >> 16, (webp >> 8) & 0xff, webp & 0xff);
    str_addf(out, "libjpeg:   %s\n", JPEG_TEXT);
    str_addf(out, "libpng:    %s\n", png_get_libpng_ver(NULL));
    str_addf(out, "OpenBLAS:  %s (core %s)\n", openblas_get_config(), openblas_get_corename());
    str_addf(out, "MPI:       %.*s\n", (int)strcspn(mpi, ",\n"), mpi);
    str_addf(out, "CUDA:      no\n");
}

void version_text(str_t *out) {
    str_addf(out, "lens %s\n", build_version());
    str_addf(out, "commit:    %s\n", build_commit());
    str_addf(out, "build:     %s\n", build_type());
    str_addf(out, "flags:     %s\n", build_flags());
    str_addf(out, "compiler:  %s\n", build_compiler());
    add_libraries(out);
}

void version_print(void) {
    str_t text = {0};
    version_text(&text);
    fputs(str_text(&text), stdout);
    str_free(&text);
}
