/* The memory of one rank, buffer by buffer, without allocating any of it: for `lens plan`, `lens train --dry-run` and
 * the trainer's log. It follows what train_state, step, loader and checkpoint allocate; tests/bench/memory_plan.sh
 * compares it with what a process really takes. */
#ifndef LENS_TRAIN_MEMORY_PLAN_H
#define LENS_TRAIN_MEMORY_PLAN_H

#include "kernels/device.h"
#include "train/train_config.h"

enum { MEMORY_MAX_ROWS = 24 };

typedef enum { MEMORY_DEVICE, MEMORY_HOST } memory_where; /* on the CPU both are the process's memory */

typedef struct {
    const char *name;
    size_t bytes;
    memory_where where;
} memory_row_t;

/* What the configuration does not say. */
typedef struct {
    int world;
    size_t act_bytes; /* 4 on the CPU, MEMORY_GPU_ACT_BYTES on a GPU */
    bool is_cpu;      /* counts what the process itself takes: libraries, threads, measuring */
    int threads;      /* of compute, where is_cpu */
} memory_machine_t;

enum { MEMORY_GPU_ACT_BYTES = 2 }; /* bf16 */

memory_machine_t memory_machine_cpu(const train_config_t *c, int world); /* with the threads of this process */
memory_machine_t memory_machine_gpu(int world, size_t act_bytes);
/* What run.device comes to for this process, with bf16 where that is a GPU. */
memory_machine_t memory_machine_here(const train_config_t *c, int world);
memory_machine_t memory_machine_of(const device_t *d, const train_config_t *c, int world);

typedef struct {
    int n_rows;
    memory_row_t row[MEMORY_MAX_ROWS]; /* those that are not 0 */
    size_t device_bytes, host_bytes;   /* sums */
    bool masters_apart;                /* products read copies of the master weights, not them */
    int64_t n_parameters;              /* elements of all tensors of the model, */
    int64_t n_trained;                 /* and of those that are trained: all, or the adapters */
    int64_t n_own;                     /* floats of each field of the optimiser on this rank, padding included */
    size_t largest_group_bytes;        /* of gradients (float32) that are reduced together */
    size_t checkpoint_bytes;           /* of one checkpoint on disk, of all ranks */
    mmdit_shape_t largest;             /* the micro-batch whose activations need most */
} memory_plan_t;

/* ARGUMENT where the ranks do not divide the step. Rank 0's, which has a little more to do than others. */
LENS_CHECKED lens_status memory_plan_make(memory_plan_t *out, const train_config_t *c, const memory_machine_t *m);
size_t memory_plan_bytes(const memory_plan_t *p, const char *name); /* of a row; 0 where there is none */
/* What of it the row `memory` of the op table should tell: all on the CPU, the device's part on a GPU. */
size_t memory_plan_seen(const memory_plan_t *p, const memory_machine_t *m);
/* The table of rows with sums, a line each. */
void memory_plan_print(str_t *out, const memory_plan_t *p);

#endif
