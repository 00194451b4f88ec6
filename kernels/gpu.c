#include "kernels/gpu.h"

#include <string.h>

static const gpu_t gpus[] = {
    {"a100-80g", "NVIDIA A100-SXM4-80GB", 108, 312, 85.9, 2.04, 240, 25},
    {"h100", "NVIDIA H100 80GB HBM3", 132, 989.5, 85.5, 3.35, 360, 50},
    {"h200", "NVIDIA H200", 132, 989.5, 150.8, 4.8, 360, 50},
};
enum { N_GPUS = sizeof gpus / sizeof *gpus };

const gpu_t *gpu_find(const char *name) {
    for (int i = 0; i < N_GPUS; i++)
        if (strcmp(gpus[i].name, name) == 0) return &gpus[i];
    return NULL;
}

const gpu_t *gpu_of_device(const char *device) {
    for (int i = 0; i < N_GPUS; i++)
        if (strcmp(gpus[i].device, device) == 0) return &gpus[i];
    return NULL;
}
