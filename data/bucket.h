/* Buckets: the sizes that pictures are trained at, and which of them a picture goes to.
 *
 * A batch is of one bucket, so that its pictures have one shape. Buckets of about as many pixels form an area, and a
 * batch's number of samples belongs to the area. Lens (arXiv 2605.21573) trains on 27 of them: nine aspects at each of
 * the bases 512, 768 and 1024. Pure functions of integers: the same on every machine. Any thread. */
#ifndef LENS_DATA_BUCKET_H
#define LENS_DATA_BUCKET_H

#include "base/error.h"

#define BUCKET_MAX 128
#define BUCKET_MAX_SIDE 16383 /* px */

typedef struct {
    int32_t width, height; /* px */
    int area;              /* [0, n_areas), smallest first */
} bucket_t;

typedef struct {
    int n, n_areas;
    bucket_t bucket[BUCKET_MAX]; /* by area, then width, then height: the order of the spec does not matter */
    double max_upscale;          /* largest enlargement of a side; 1: no enlarging; 0: no limit */
} bucket_list_t;

/* spec: items with commas, each "lens-27", "lens-512", "lens-768", "lens-1024" or WIDTHxHEIGHT. Sorted by pixels, a new
 * area begins where a bucket has more than 1.5 times the pixels of the area's smallest. ARGUMENT: malformed, a bucket
 * twice, more than BUCKET_MAX, sides outside [1, BUCKET_MAX_SIDE], max_upscale neither 0 nor in [1, 1000]. */
LENS_CHECKED lens_status bucket_list_parse(bucket_list_t *out, const char *spec, double max_upscale);

/* The bucket of a picture of width x height px, both at least 1; -1 where none is allowed to it.
 * In each area the bucket of the nearest aspect, the smallest |log((width / height) / (w / h))|, the first of equals,
 * is the candidate. Those that would enlarge the picture by more than max_upscale to cover them are out; of the others
 * image_hash, which is uniform in 64 bits, draws one, each as likely as the others. */
int bucket_assign(const bucket_list_t *l, int32_t width, int32_t height, uint64_t image_hash);
/* The bucket of that area whose aspect is nearest to width / height, of those where allowed[bucket] (NULL: all); -1
 * where there is none. */
int bucket_nearest(const bucket_list_t *l, int area, int32_t width, int32_t height, const bool *allowed);
/* Of everything that bucket_assign depends on; the same on every machine. */
uint64_t bucket_list_hash(const bucket_list_t *l);

#endif
