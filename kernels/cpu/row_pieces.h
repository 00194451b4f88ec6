/* Backward passes that sum over a sample's rows: pieces of rows are the tasks of threads, few samples or many. A
 * piece's sums are kept apart and added in order; pieces depend on the number of rows alone, and so does each sum's
 * order. */
#ifndef LENS_KERNELS_CPU_ROW_PIECES_H
#define LENS_KERNELS_CPU_ROW_PIECES_H

#include <stdint.h>
#include <string.h>

enum { PIECE_ROWS = 64 };

static inline int64_t row_pieces(int64_t n_rows) {
    return (n_rows + PIECE_ROWS - 1) / PIECE_ROWS;
}

/* Where piece i of n_rows ends; it begins at i * PIECE_ROWS. */
static inline int64_t row_piece_end(int64_t i, int64_t n_rows) {
    int64_t end = (i + 1) * PIECE_ROWS;
    return end < n_rows ? end : n_rows;
}

/* out[n] = the sum of n_pieces rows of partial, `stride` apart. */
static inline void row_pieces_sum(float *restrict out, const float *restrict partial, int64_t n_pieces, int64_t stride,
                                  int64_t n) {
    memset(out, 0, sizeof(float) * (size_t)n);
    for (int64_t p = 0; p < n_pieces; p++)
        for (int64_t i = 0; i < n; i++) out[i] += partial[p * stride + i];
}

#endif
