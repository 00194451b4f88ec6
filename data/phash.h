/* A perceptual hash: 64 bits of which few change where a picture is encoded anew, scaled or brightened.
 *
 * 1. The grey plane (data/grey.h) is averaged over a 32 x 32 grid of equal cells: first along x, then along y.
 * 2. c[v][u] = 2/32 a(u) a(v) sum_{y,x} g[y][x] cos(pi (2x+1) u / 64) cos(pi (2y+1) v / 64), a(0) = sqrt(1/2), else 1:
 *    the orthonormal DCT-II.
 * 3. Bit 8v + u stands for c[v][u], u and v from 0 to 7; but bit 0 for c[0][8], since c[0][0] is the brightness.
 * 4. A bit is 1 where its coefficient is above the median of the 64 (mean of the 32nd and 33rd) plus PHASH_MARGIN. The
 *    margin keeps coefficients that are 0 but for noise, as a symmetric picture has, from being coin flips.
 * 5. Fewer than PHASH_MIN_BITS ones: the picture is flat, or a plain ramp, and all such would be alike. Its hash is
 *    PHASH_FLAT.
 *
 * Colour plays no part: a drawing in red and the same one in blue are alike.
 *
 * This is the hash of Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), with the
 * frequencies 0 kept, steps 4 (margin) and 5 added. */
#ifndef LENS_DATA_PHASH_H
#define LENS_DATA_PHASH_H

#include "data/grey.h"

#define PHASH_FLAT UINT64_C(0)
#define PHASH_MIN_BITS 8
#define PHASH_MARGIN 2.0 /* grey levels, in the scale of an orthonormal transform */

LENS_CHECKED lens_status phash_of_grey(uint64_t *out, const grey_t *g);
int phash_distance(uint64_t a, uint64_t b); /* bits that differ, 0..64 */

#endif
