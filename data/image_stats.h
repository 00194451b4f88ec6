/* What the cleaning stages measure on a picture's pixels. Reentrant; any thread.
 *
 * Grey is the luma of Rec. 601, a byte: L = (19595 R + 38470 G + 7471 B + 32768) >> 16. Pillow's convert("L") gives the
 * same bytes.
 *
 *   entropy    Shannon entropy in bits of the 256-bin histogram of L at full size: -sum p log2 p, 0..8.
 *   luminance  mean of max(R, G, B) / 255 at full size: the V of HSV, 0..1.
 *   blur       population variance of the Laplacian on L scaled to a longer side of 512 px, so that one limit serves
 * all resolutions. Scaling is exact area averaging, unrounded (data/grey.h). The Laplacian is L(x-1,y) + L(x+1,y) +
 * L(x,y-1) + L(x,y+1) - 4 L(x,y), of the inner pixels alone, no border made up. A picture whose longer side is below
 * 512 px is measured as it is: enlarged, it would count as blurred. With a side below 3 px after scaling there is no
 * inner pixel, and blur is 0. The lower, the more blurred. phash      data/phash.h, of the scaled grey plane.
 */
#ifndef LENS_DATA_IMAGE_STATS_H
#define LENS_DATA_IMAGE_STATS_H

#include "data/image.h"

typedef struct {
    double blur, entropy, luminance;
    uint64_t phash;
} image_stats_t;

/* MEMORY only. One pass over the picture. */
LENS_CHECKED lens_status image_stats(image_stats_t *out, const image_t *im);

#endif
