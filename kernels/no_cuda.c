/* What stands for the CUDA backend in a build without it. */
#include "kernels/kernels.h"

lens_status kernels_cuda_new(kernels_t **out, int device, bool deterministic) {
    (void)deterministic;
    *out = NULL;
    return lens_fail(LENS_STATE, "GPU %d: this build has no CUDA", device);
}

int kernels_cuda_count(void) {
    return 0;
}
