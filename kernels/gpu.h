/* The GPUs that are known by name, and what their data sheets say of them. */
#ifndef LENS_KERNELS_GPU_H
#define LENS_KERNELS_GPU_H

/* SXM versions; GB and TB are 10^9 and 10^12 bytes. */
typedef struct {
    const char *name;
    const char *device;  /* as CUDA calls it */
    int n_sm;            /* multiprocessors */
    double peak_tflops;  /* bf16, dense */
    double memory_gb;    /* of the card, as the driver lists it: 81920, 81559 and 143771 MiB */
    double memory_tb_s;  /* its bandwidth */
    double node_gb_s;    /* a GPU's NVLink, each way, as collectives reach it: about 0.8 of the sheet's */
    double network_gb_s; /* a GPU's share of the network between nodes: 200 Gb/s beside A100, 400 beside H100 */
} gpu_t;

#define GPU_NAMES "a100-80g|h100|h200" /* as option_t.choices */
#define GPU_NODE 8                     /* GPUs that NVLink connects */

const gpu_t *gpu_find(const char *name);        /* NULL: no such one */
const gpu_t *gpu_of_device(const char *device); /* by kernels_t.device; NULL: another one, or the CPU */

#endif
