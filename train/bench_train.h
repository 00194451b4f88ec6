/* `lens bench train`: what a training step costs and where its time goes, on random data: no dataset is read, nothing
 * is written. Alone or under mpirun, every rank with its own batches. One thread a rank. */
#ifndef LENS_TRAIN_BENCH_TRAIN_H
#define LENS_TRAIN_BENCH_TRAIN_H

#include "base/comm.h"
#include "train/train_config.h"

/* Prints medians of `rounds` rounds on rank 0's stdout. A round is one step, buckets in turn, then the products of that
 * step made bare: their ratio G/T is of the same seconds of a busy machine. Steps differ in nothing but their bucket:
 * texts are as long as text.max_tok allows in the first sample of each batch, and, but for full_text, down to half of
 * it in the others. The memory of rank 0 (kernels_t.memory) is printed beside its plan (memory_plan.h); MFU is told by
 * the peak that was measured, and by the data sheet's where the device has one (kernels/gpu.h). */
LENS_CHECKED lens_status bench_train(const train_config_t *c, comm_t *comm, int64_t rounds, bool full_text, bool json);

/* Writes the model of the configuration's first bucket with random weights, a random batch and their loss and gradients
 * to a safetensors file, in the layout of tests/golden: for comparison with other implementations. One
 * process: no communication. */
LENS_CHECKED lens_status bench_train_dump(const train_config_t *c, const char *path);

#endif
