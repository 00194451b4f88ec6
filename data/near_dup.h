/* Near-duplicates over a run: 64-bit perceptual hashes (data/phash.h) within a Hamming distance, in memory. Exact:
 * nothing within the radius is missed. One thread; the answers depend on the order of the calls alone.
 *
 * Each hash stands in two families of sorted arrays, in one as it is and in the other with its halves swapped: 16 bytes
 * a hash, and 0.25 to 0.5 bytes for a table of where each prefix begins. New hashes gather in a buffer; full, it
 * becomes an array, and arrays of like size are merged, so that there are at most log2(n / 2048) of them, and half as
 * many on average.
 *
 * Two hashes within radius r differ by at most a = floor(r / 2) bits in one half or at most b = floor((r - 1) / 2) in
 * the other: a lookup visits, in each array, the prefixes within a (or b) bits of its own. With p bits of prefix, about
 * log2(n / 16), that is C(p, <= a) + C(p, <= b) places of 16 to 32 hashes: at 10 million hashes (p = 19) 2 for r = 1,
 * 40 for r = 3, 382 for r = 5, 2320 for r = 7 in the largest array. Where many hashes share a prefix, the search goes
 * on by further bits; small arrays are read whole.
 *
 * PHASH_FLAT says nothing about a picture: it is never a duplicate, and is not kept. */
#ifndef LENS_DATA_NEAR_DUP_H
#define LENS_DATA_NEAR_DUP_H

#include "base/error.h"

#define NEAR_DUP_RADIUS_MAX 7

typedef struct near_dup near_dup_t;

/* ARGUMENT: radius outside 0..NEAR_DUP_RADIUS_MAX. */
LENS_CHECKED lens_status near_dup_new(near_dup_t **out, int radius);
void near_dup_free(near_dup_t *n); /* NULL is allowed */
/* Whether a hash within the radius was added before: then *of is the nearest one (of several, the smallest number) and
 * *distance its distance. Otherwise the hash is added, and *distance is -1. */
LENS_CHECKED lens_status near_dup_check(near_dup_t *n, uint64_t phash, bool *is_dup, int *distance, uint64_t *of);
/* The same, but nothing is added: for a caller that has more to ask before it keeps the picture. */
bool near_dup_find(const near_dup_t *n, uint64_t phash, int *distance, uint64_t *of);
/* Adds a hash that is known to be kept: how a run that goes on fills its memory again. */
LENS_CHECKED lens_status near_dup_add(near_dup_t *n, uint64_t phash);
uint64_t near_dup_bytes(const near_dup_t *n); /* memory held; a merge needs up to a quarter more for a moment */
int64_t near_dup_n(const near_dup_t *n);      /* hashes kept */

#endif
