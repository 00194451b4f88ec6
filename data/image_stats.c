#include "data/image_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/grey.h"
#include "data/phash.h"

enum { N_BINS = 256, N_TABLES = 4, CHUNK = 1 << 16 };

/* Counts go to several tables in turn: neighbours are often equal, and one counter would wait for itself. */
typedef struct {
    uint32_t bin[N_TABLES][N_BINS];
    uint64_t v_sum;
} tally_t;

/* n is at most CHUNK, so that the sum fits. */
static void luma_chunk(uint8_t *restrict luma, const uint8_t *restrict rgb, int32_t n, tally_t *t) {
    uint32_t v_sum = 0;
    for (int32_t x = 0; x < n; x++) {
        uint32_t r = rgb[3 * x], g = rgb[3 * x + 1], b = rgb[3 * x + 2];
        uint32_t rg = r > g ? r : g;
        v_sum += rg > b ? rg : b;
        luma[x] = (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
    }
    t->v_sum += v_sum;
    int32_t x = 0;
    for (; x + N_TABLES <= n; x += N_TABLES)
        for (int k = 0; k < N_TABLES; k++) t->bin[k][luma[x + k]]++;
    for (; x < n; x++) t->bin[0][luma[x]]++;
}

static void add_row(float *restrict sum, const uint8_t *restrict luma, int32_t n, float weight) {
    for (int32_t x = 0; x < n; x++) sum[x] += weight * (float)luma[x];
}

/* One pass over the rows: counts, and the plane's rows as sums of the picture's rows under them, then reduced along x.
 * luma: u8 [width]; sum: f32 [width]. */
static void scan(const grey_t *g, tally_t *t, const image_t *im, uint8_t *luma, float *sum) {
    int32_t width = im->width, at = 0; /* at: the plane's row that is being summed */
    double step = (double)im->height / g->height, begin = 0;
    memset(sum, 0, (size_t)width * sizeof *sum);
    for (int32_t y = 0; y < im->height; y++) {
        const uint8_t *row = im->rgb + (size_t)y * (size_t)width * 3;
        for (int32_t x = 0; x < width; x += CHUNK)
            luma_chunk(luma + x, row + 3 * (size_t)x, width - x < CHUNK ? width - x : CHUNK, t);
        double end = at + 1 == g->height ? im->height : (at + 1) * step;
        double from = fmax(y, begin);
        if (y + 1 < end) {
            add_row(sum, luma, width, (float)((y + 1 - from) / step));
            continue;
        }
        add_row(sum, luma, width, (float)((end - from) / step));
        grey_area_row(g->y + (size_t)at * (size_t)g->width, g->width, sum, width);
        memset(sum, 0, (size_t)width * sizeof *sum);
        begin = end;
        if (++at < g->height) add_row(sum, luma, width, (float)((y + 1 - end) / step));
    }
    LENS_ASSERT(at == g->height, "%d of %d rows of the grey plane", (int)at, (int)g->height);
}

static double entropy(const tally_t *t, double n_pixels) {
    double bits = 0;
    for (int i = 0; i < N_BINS; i++) {
        double count = 0;
        for (int k = 0; k < N_TABLES; k++) count += t->bin[k][i];
        if (count > 0) bits -= count / n_pixels * log2(count / n_pixels);
    }
    return fmax(bits, 0); /* a single bin would give -0 */
}

static double laplacian_variance(const grey_t *g) {
    int32_t width = g->width, height = g->height;
    if (width < 3 || height < 3) return 0;
    double sum = 0, square_sum = 0;
    for (int32_t y = 1; y + 1 < height; y++) {
        const float *row = g->y + (size_t)y * (size_t)width, *above = row - width, *below = row + width;
        float row_sum = 0, row_square = 0; /* of at most GREY_SIDE values */
        for (int32_t x = 1; x + 1 < width; x++) {
            float l = above[x] + below[x] + row[x - 1] + row[x + 1] - 4 * row[x];
            row_sum += l;
            row_square += l * l;
        }
        sum += (double)row_sum;
        square_sum += (double)row_square;
    }
    double n = (double)(width - 2) * (height - 2), mean = sum / n;
    return fmax(square_sum / n - mean * mean, 0);
}

lens_status image_stats(image_stats_t *out, const image_t *im) {
    *out = (image_stats_t){0};
    double n_pixels = (double)im->width * im->height;
    size_t width = (size_t)im->width;
    tally_t t = {0};
    grey_t g;
    LENS_TRY(grey_new(&g, im->width, im->height));
    uint8_t *luma = malloc(width);
    float *sum = malloc(width * sizeof *sum);
    lens_status st = LENS_OK;
    if (!luma || !sum) {
        st = lens_fail(LENS_MEMORY, "%zu bytes for a row of a picture", width * (1 + sizeof *sum));
        goto done;
    }
    scan(&g, &t, im, luma, sum);
    out->blur = laplacian_variance(&g);
    out->entropy = entropy(&t, n_pixels);
    out->luminance = (double)t.v_sum / (255 * n_pixels);
    LENS_GO(phash_of_grey(&out->phash, &g));
done:
    free(luma);
    free(sum);
    grey_free(&g);
    return st;
}
