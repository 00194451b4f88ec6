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

static void print_libraries(void) {
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    int webp = WebPGetDecoderVersion();
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int n_mpi = 0;
    MPI_Get_library_version(mpi, &n_mpi); /* allowed before MPI_Init */
    printf("HDF5:      %u.%u.%u\n", major, minor, release);
    printf("zstd:      %s\n", ZSTD_versionString());
    printf("libwebp:   %d.%d.%d\n", webp >> 16, (webp >> 8) & 0xff, webp & 0xff);
    printf("libjpeg:   %s\n", JPEG_TEXT);
    printf("libpng:    %s\n", png_get_libpng_ver(NULL));
    printf("OpenBLAS:  %s (core %s)\n", openblas_get_config(), openblas_get_corename());
    printf("MPI:       %.*s\n", (int)strcspn(mpi, ",\n"), mpi);
    printf("CUDA:      no\n");
}

void version_print(void) {
    printf("lens %s\n", build_version());
    printf("commit:    %s\n", build_commit());
    printf("build:     %s\n", build_type());
    printf("flags:     %s\n", build_flags());
    printf("compiler:  %s\n", build_compiler());
    print_libraries();
}
