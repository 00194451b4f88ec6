/* Near-duplicates over a run by embeddings: cosine above a limit (Lens-800M: CLIP ViT-L/14, 0.985) to one that was
 * kept.
 *
 * Exact but for rounding (float sums: an error of about 1e-6 in the cosine): every kept vector is compared. Memory: 2 d
 * + 8 bytes a vector, d rounded up to a multiple of 16 (768: 1.5 GB a million). Time grows with the square of what is
 * kept. Most pairs are settled by their first 64 components, which are kept apart and read alone: by Cauchy and
 * Schwarz, the rest adds at most the product of the norms of the rest. So a look-up reads 136 bytes a vector and seldom
 * more. That holds where the components share the norm about evenly; vectors whose norm lies in a few components beyond
 * the first 64 cost up to d / 64 times as much. Sets larger than max_samples are refused rather than compared in part:
 * split them, or use the perceptual hash alone (data/near_dup.h). One thread; the answers depend on the order of the
 * calls alone.
 *
 * The zero vector has no direction: it is never a duplicate and is not kept. */
#ifndef LENS_DATA_EMBEDDING_DUP_H
#define LENS_DATA_EMBEDDING_DUP_H

#include "base/error.h"

typedef struct embedding_dup embedding_dup_t;

/* d: components, 1..EMBEDDING_DIM_MAX; cosine: above it is a duplicate, 0..1; ARGUMENT outside of them, or max_samples
 * below 1. */
LENS_CHECKED lens_status embedding_dup_new(embedding_dup_t **out, int d, double cosine, int64_t max_samples);
void embedding_dup_free(embedding_dup_t *e); /* NULL is allowed */
/* f16: [d]. A duplicate: *cosine is that to the first one kept that is near enough. Else the vector is kept, *cosine is
 * 0. STATE: max_samples are kept already. FORMAT: a number that is not finite. */
LENS_CHECKED lens_status embedding_dup_check(embedding_dup_t *e, const uint16_t *f16, bool *is_dup, double *cosine);
/* Keeps a vector without looking: how a run that goes on fills its memory again. */
LENS_CHECKED lens_status embedding_dup_add(embedding_dup_t *e, const uint16_t *f16);
uint64_t embedding_dup_bytes(const embedding_dup_t *e);
int64_t embedding_dup_n(const embedding_dup_t *e);

#endif
