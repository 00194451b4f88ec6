#include "data/grey.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

lens_status grey_new(grey_t *out, int32_t picture_width, int32_t picture_height) {
    *out = (grey_t){0};
    LENS_ASSERT(picture_width > 0 && picture_height > 0, "picture of %d x %d px", (int)picture_width,
                (int)picture_height);
    int32_t longer = picture_width > picture_height ? picture_width : picture_height;
    double scale = longer > GREY_SIDE ? (double)GREY_SIDE / longer : 1;
    out->width = (int32_t)fmax(1, floor(picture_width * scale + 0.5));
    out->height = (int32_t)fmax(1, floor(picture_height * scale + 0.5));
    size_t n = (size_t)out->width * (size_t)out->height;
    out->y = malloc(n * sizeof *out->y);
    if (!out->y) return lens_fail(LENS_MEMORY, "%zu bytes for a grey plane", n * sizeof *out->y);
    return LENS_OK;
}

void grey_free(grey_t *g) {
    if (!g) return;
    free(g->y);
    *g = (grey_t){0};
}

void grey_area_row(float *out, int32_t n_out, const float *in, int32_t n_in) {
    if (n_out == n_in) {
        memcpy(out, in, (size_t)n_in * sizeof *in);
        return;
    }
    double step = (double)n_in / n_out;
    for (int32_t i = 0; i < n_out; i++) {
        double begin = i * step, end = i + 1 == n_out ? n_in : (i + 1) * step;
        int32_t first = (int32_t)begin, last = (int32_t)ceil(end) - 1; /* the inputs that it overlaps */
        if (first >= last) {
            out[i] = in[first];
            continue;
        }
        float sum = 0;
        for (int32_t k = first + 1; k < last; k++) sum += in[k];
        out[i] = (float)((sum + (first + 1 - begin) * in[first] + (end - last) * in[last]) / (end - begin));
    }
}
