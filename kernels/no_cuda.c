/* What stands for the CUDA backend in a build without it. */
#include "kernels/collectives.h"

lens_status kernels_cuda_new(kernels_t **out, int device, bool deterministic) {
    (void)deterministic;
    *out = NULL;
    return lens_fail(LENS_STATE, "GPU %d: this build has no CUDA", device);
}

int kernels_cuda_count(void) {
    return 0;
}

lens_status collectives_cuda_new(collectives_t **out, kernels_t *k, comm_t *comm) {
    (void)k, (void)comm;
    *out = NULL;
    return lens_fail(LENS_STATE, "collectives by NCCL: this build has no CUDA");
}
