/* Random batches for `lens bench train`: pictures or latents of noise, texts of random words or features. */
#ifndef LENS_TRAIN_BENCH_BATCH_H
#define LENS_TRAIN_BENCH_BATCH_H

#include "train/step.h"

typedef struct bench_batch bench_batch_t;
/* rows: this rank's samples of a batch of each bucket; full_text: every text has max_tok tokens. Filled once, with all
 * that batches of any bucket borrow. */
LENS_CHECKED lens_status bench_batch_new(bench_batch_t **out, const pipeline_config_t *p, const bucket_list_t *buckets,
                                         const int64_t *rows, bool full_text, int rank);
void bench_batch_free(bench_batch_t *b); /* NULL is allowed */
/* *out borrows from b; px_step is left 0. */
void bench_batch_fill(const bench_batch_t *b, int bucket, step_batch_t *out);
/* Tokens of sample i of n: from max_tok down to half of it. */
int32_t bench_batch_n_tok(int64_t i, int64_t n, int64_t max_tok);

#endif
