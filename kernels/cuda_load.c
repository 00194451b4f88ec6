/* The CUDA backend is a module beside the program, loaded when it is asked for: cuBLASLt alone costs each start of a
 * program linked with it 75 ms and 210 MB, and is not there on machines without CUDA. */
#include "base/log.h"
#include "kernels/collectives.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MODULE "lens_cuda.so"
#define DRIVER "/dev/nvidiactl" /* is there where NVIDIA's driver is loaded and this process may see it */

/* The module's own definition of `name`. It stays loaded. */
static lens_status cuda_symbol(void *function, const char *name) {
    char path[PATH_MAX + sizeof MODULE];
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n <= 0) return lens_fail(LENS_IO, "%s: where this program lies is not known", MODULE);
    path[n] = 0;
    char *slash = strrchr(path, '/');
    memcpy(slash ? slash + 1 : path, MODULE, sizeof MODULE);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *found = module ? dlsym(module, name) : NULL;
    if (!found) return lens_fail(LENS_STATE, "the CUDA backend cannot be loaded: %s", dlerror());
    memcpy(function, &found, sizeof found);
    return LENS_OK;
}

lens_status kernels_cuda_new(kernels_t **out, int device, bool deterministic) {
    lens_status (*make)(kernels_t **, int, bool);
    *out = NULL;
    LENS_TRY(cuda_symbol(&make, "kernels_cuda_new"));
    return make(out, device, deterministic);
}

/* A machine with a driver whose libraries are not all there is told of, not taken for one without GPUs. */
int kernels_cuda_count(void) {
    int (*count)(void);
    if (access(DRIVER, F_OK) != 0) return 0;
    if (cuda_symbol(&count, "kernels_cuda_count") == LENS_OK) return count();
    log_warn("a GPU's driver is here, but %s", lens_error());
    return 0;
}

lens_status collectives_cuda_new(collectives_t **out, kernels_t *k, comm_t *comm) {
    lens_status (*make)(collectives_t **, kernels_t *, comm_t *);
    *out = NULL;
    LENS_TRY(cuda_symbol(&make, "collectives_cuda_new"));
    return make(out, k, comm);
}
