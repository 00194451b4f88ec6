/* sRGB's transfer function (IEC 61966-2-1) by tables, for averages of light instead of code values. Private to data/.
 */
#ifndef LENS_DATA_IMAGE_LIGHT_H
#define LENS_DATA_IMAGE_LIGHT_H

#include "base/error.h"

/* Steps of light that the way back begins from: none holds more than two codes, however dark. */
#define IMAGE_LIGHT_STEPS 4096

typedef struct {
    float linear[256];                    /* light of a code, 0 to 1 */
    float above[256];                     /* light from which on code + 1 is the nearer one; the last: infinite */
    uint8_t begin[IMAGE_LIGHT_STEPS + 1]; /* the least code of a step */
} image_light_t;

LENS_CHECKED lens_status image_light_new(image_light_t **out); /* released with free */

double image_light_of_srgb(double code); /* both 0 to 1 */

/* The code nearest to `light` in sRGB's own scale; light outside 0 to 1 gives its ends. */
static inline uint8_t image_light_to_srgb(const image_light_t *t, float light) {
    if (!(light > 0)) return 0;
    uint8_t code = t->begin[light < 1 ? (int)(light * IMAGE_LIGHT_STEPS) : IMAGE_LIGHT_STEPS];
    while (light >= t->above[code]) code++;
    return code;
}

#endif
