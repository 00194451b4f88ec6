#include "data/image_light.h"

#include <math.h>
#include <stdlib.h>

double image_light_of_srgb(double code) {
    return code <= 0.04045 ? code / 12.92 : pow((code + 0.055) / 1.055, 2.4);
}

lens_status image_light_new(image_light_t **out) {
    image_light_t *t = *out = malloc(sizeof *t);
    if (!t) return lens_fail(LENS_MEMORY, "%zu bytes for tables of light", sizeof *t);
    for (int code = 0; code < 256; code++) {
        t->linear[code] = (float)image_light_of_srgb(code / 255.0);
        t->above[code] = (float)image_light_of_srgb((code + 0.5) / 255.0);
    }
    t->above[255] = INFINITY;
    uint8_t code = 0;
    for (int step = 0; step <= IMAGE_LIGHT_STEPS; step++) {
        while ((float)step / IMAGE_LIGHT_STEPS >= t->above[code]) code++;
        t->begin[step] = code;
    }
    return LENS_OK;
}
