#include "data/image_grid.h"

#include <string.h>

static lens_status check_pictures(const image_t *pictures, int n) {
    for (int i = 0; i < n; i++) {
        if (pictures[i].width < 1 || pictures[i].height < 1)
            return lens_fail(LENS_ARGUMENT, "picture %d of the grid is empty", i);
        if (pictures[i].width != pictures[0].width || pictures[i].height != pictures[0].height)
            return lens_fail(LENS_ARGUMENT, "picture %d of the grid is %dx%d px, expected %dx%d px like the first", i,
                             pictures[i].width, pictures[i].height, pictures[0].width, pictures[0].height);
    }
    return LENS_OK;
}

static void paste(image_t *out, const image_t *in, int64_t x, int64_t y) {
    size_t row_bytes = (size_t)in->width * 3;
    for (int64_t r = 0; r < in->height; r++)
        memcpy(out->rgb + ((size_t)(y + r) * (size_t)out->width + (size_t)x) * 3, in->rgb + (size_t)r * row_bytes,
               row_bytes);
}

lens_status image_grid(image_t *out, const image_t *pictures, int n, int columns, int gutter_px) {
    *out = (image_t){0};
    if (n < 1 || columns < 1 || gutter_px < 0)
        return lens_fail(LENS_ARGUMENT, "a grid of %d pictures in %d columns with gutters of %d px cannot be made", n,
                         columns, gutter_px);
    LENS_TRY(check_pictures(pictures, n));
    int64_t n_columns = columns < n ? columns : n, n_rows = (n - 1) / n_columns + 1;
    int64_t step_x = (int64_t)pictures[0].width + gutter_px, step_y = (int64_t)pictures[0].height + gutter_px;
    int64_t side_max = INT32_MAX;
    /* Both sides are bounded first, so that their product cannot overflow. */
    if (step_x > side_max / n_columns || step_y > side_max / n_rows ||
        (n_columns * step_x - gutter_px) * (n_rows * step_y - gutter_px) > IMAGE_MAX_PIXELS)
        return lens_fail(LENS_ARGUMENT, "a grid of %d pictures of %dx%d px is larger than %lld pixels", n,
                         pictures[0].width, pictures[0].height, (long long)IMAGE_MAX_PIXELS);
    LENS_TRY(image_new(out, (int32_t)(n_columns * step_x - gutter_px), (int32_t)(n_rows * step_y - gutter_px)));
    memset(out->rgb, 0xff, (size_t)out->width * (size_t)out->height * 3);
    for (int i = 0; i < n; i++) paste(out, &pictures[i], i % n_columns * step_x, i / n_columns * step_y);
    return LENS_OK;
}
