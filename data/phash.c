#include "data/phash.h"

#include <math.h>
#include <stdlib.h>

enum { GRID = 32, LOW = 8, N_BITS = 64 };

int phash_distance(uint64_t a, uint64_t b) {
    return __builtin_popcountll(a ^ b);
}

/* grid: [GRID, GRID], x fastest. */
static lens_status to_grid(float grid[GRID][GRID], const grey_t *g) {
    size_t height = (size_t)g->height;
    float *rows = malloc(height * GRID * sizeof *rows), *column = malloc(height * sizeof *column);
    if (!rows || !column) {
        free(rows);
        free(column);
        return lens_fail(LENS_MEMORY, "%zu bytes for a perceptual hash", height * (GRID + 1) * sizeof *rows);
    }
    for (size_t y = 0; y < height; y++) grey_area_row(rows + y * GRID, GRID, g->y + y * (size_t)g->width, g->width);
    for (size_t x = 0; x < GRID; x++) {
        float cells[GRID];
        for (size_t y = 0; y < height; y++) column[y] = rows[y * GRID + x];
        grey_area_row(cells, GRID, column, g->height);
        for (size_t y = 0; y < GRID; y++) grid[y][x] = cells[y];
    }
    free(rows);
    free(column);
    return LENS_OK;
}

/* c[v][u] for v below LOW, u up to LOW. */
static void low_frequencies(double c[LOW][LOW + 1], float grid[GRID][GRID]) {
    double basis[LOW + 1][GRID], across[GRID][LOW + 1];
    for (int u = 0; u <= LOW; u++)
        for (int x = 0; x < GRID; x++)
            basis[u][x] = sqrt((u ? 2.0 : 1.0) / GRID) * cos(M_PI * (2 * x + 1) * u / (2.0 * GRID));
    for (int y = 0; y < GRID; y++)
        for (int u = 0; u <= LOW; u++) {
            across[y][u] = 0;
            for (int x = 0; x < GRID; x++) across[y][u] += (double)grid[y][x] * basis[u][x];
        }
    for (int v = 0; v < LOW; v++)
        for (int u = 0; u <= LOW; u++) {
            c[v][u] = 0;
            for (int y = 0; y < GRID; y++) c[v][u] += across[y][u] * basis[v][y];
        }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

lens_status phash_of_grey(uint64_t *out, const grey_t *g) {
    float grid[GRID][GRID];
    double c[LOW][LOW + 1], value[N_BITS], sorted[N_BITS];
    LENS_TRY(to_grid(grid, g));
    low_frequencies(c, grid);
    for (int i = 0; i < N_BITS; i++) sorted[i] = value[i] = i ? c[i / LOW][i % LOW] : c[0][LOW];
    qsort(sorted, N_BITS, sizeof *sorted, by_value);
    double limit = (sorted[N_BITS / 2 - 1] + sorted[N_BITS / 2]) / 2 + PHASH_MARGIN;
    uint64_t hash = 0;
    for (int i = 0; i < N_BITS; i++) hash |= (uint64_t)(value[i] > limit) << i;
    *out = __builtin_popcountll(hash) < PHASH_MIN_BITS ? PHASH_FLAT : hash;
    return LENS_OK;
}
