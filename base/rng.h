/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11).
 *
 * A stream is a pure function of (seed, epoch, index, purpose): a sample's noise, timestep, caption choice and dropout
 * do not depend on ranks, workers, or where a run was resumed. No shared state; copy an rng_t freely. */
#ifndef LENS_BASE_RNG_H
#define LENS_BASE_RNG_H

#include <stdint.h>

/* One number a use, never reused for another: it keeps streams apart. */
typedef enum {
    RNG_ORDER = 1,     /* sample order */
    RNG_NOISE = 2,     /* flow noise */
    RNG_TIMESTEP = 3,  /* t */
    RNG_CAPTION = 4,   /* which caption, dropout */
    RNG_CROP = 5,      /* crop and flip */
    RNG_INIT = 6,      /* parameter initialisation */
    RNG_SAMPLER = 7,   /* initial latents of a sample */
    RNG_SCENE = 8,     /* procedural scenes */
    RNG_DESCRIBE = 9,  /* wording of the built-in describer */
    RNG_BENCH = 10,    /* pictures, texts and arrays to measure with */
    RNG_VALIDATE = 11, /* noise of held-out samples */
    RNG_JITTER = 12,   /* waiting before a server is asked again */
    RNG_JUDGE = 13,    /* what the detector is tested with */
    RNG_TEST = 100,
} rng_purpose;

typedef struct {
    uint32_t key[2], counter[4]; /* counter[0] counts blocks; [1..3] hold index, epoch, purpose */
    uint32_t block[4];
    int used; /* words of block handed out; 4: none left */
} rng_t;

/* index below 2^40, epoch below 2^32, purpose below 2^16. */
rng_t rng_stream(uint64_t seed, uint32_t epoch, uint64_t index, rng_purpose purpose);
/* To its n-th block of 4 words: the n-th normal, or pair of uniforms, of a stream that gives nothing else. */
void rng_seek(rng_t *r, uint32_t n);
uint32_t rng_u32(rng_t *r);
double rng_uniform(rng_t *r);             /* [0, 1), 53 bits */
double rng_normal(rng_t *r);              /* N(0, 1), Box-Muller, one value a call */
uint32_t rng_below(rng_t *r, uint32_t n); /* [0, n), unbiased; n > 0 */

/* The block function, for kernels: out = Philox4x32-10(counter, key). */
void rng_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* Position i of a keyed permutation of [0, n) (a Feistel network with cycle walking): the sample order as a function.
 */
uint64_t rng_permute(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t i);

#endif
