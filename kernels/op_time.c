#include "kernels/op_time.h"

#include <math.h>

/* Work of a block, and the share of a large tile's rate at which it is done: smaller tiles load more for a product. */
static const struct {
    int64_t rows, columns;
    double rate;
} TILES[] = {{128, 256, 1}, {256, 128, 1}, {128, 128, 0.9}, {64, 128, 0.7}, {64, 64, 0.5}};
enum { N_TILES = sizeof TILES / sizeof *TILES, MOST_SPLITS = 16, INNER = 64 /* elements a step of the inner loop */ };

/* Columns of a head that a score's softmax is worth: 0.65, 0.50 and 0.75 of H100's peak are published for forward
 * passes over heads of 128, 64 and 256 columns (FlashAttention-3: Shah et al., arXiv 2407.08608). */
#define SOFTMAX_COLUMNS 54.0

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static double bytes_s(double bytes, const gpu_t *gpu, const op_efficiency_t *e) {
    return bytes / (gpu->memory_tb_s * 1e12 * e->copies);
}

/* M x N x K, by the best tile and split. Splits write partial sums, which are read again. */
static double product_s(int64_t M, int64_t N, int64_t K, double bytes, const gpu_t *gpu, const op_efficiency_t *e) {
    double sm_flop_s = gpu->peak_tflops * 1e12 * e->products / gpu->n_sm, best_s = INFINITY;
    for (int i = 0; i < N_TILES; i++)
        for (int64_t splits = 1; splits <= MOST_SPLITS; splits *= 2) {
            int64_t tiles = divide_up(M, TILES[i].rows) * divide_up(N, TILES[i].columns) * splits;
            double inner = (double)(divide_up(divide_up(K, splits), INNER) * INNER);
            double tile_s = 2.0 * (double)(TILES[i].rows * TILES[i].columns) * inner / (sm_flop_s * TILES[i].rate);
            double partial = splits > 1 ? (double)(M * N) * 4 * 2 * (double)splits : 0;
            double s =
                fmax((double)divide_up(tiles, gpu->n_sm) * tile_s, bytes_s(bytes, gpu, e)) + bytes_s(partial, gpu, e);
            if (s < best_s) best_s = s;
        }
    return best_s;
}

static double attention_s(const op_call_t *c, const op_cost_t *cost, const gpu_t *gpu, const op_efficiency_t *e) {
    double K = (double)c->n[4], width = K / (K + SOFTMAX_COLUMNS) * (128 + SOFTMAX_COLUMNS) / 128;
    double rate = (c->row == OP_attention_fwd ? e->attention_fwd : e->attention_bwd) * width;
    return fmax(cost->flop / (gpu->peak_tflops * 1e12 * rate), bytes_s(cost->bytes, gpu, e));
}

static double work_s(const op_call_t *c, const op_cost_t *cost, const gpu_t *gpu, const op_efficiency_t *e) {
    const int64_t *n = c->n;
    switch (c->row) {
    case OP_linear_fwd:
    case OP_lora_fwd:
        return product_s(n[0], n[1], n[2], cost->bytes, gpu, e);
    case OP_linear_bwd_x:
    case OP_linear_bwd_x_add:
        return product_s(n[0], n[2], n[1], cost->bytes, gpu, e);
    case OP_linear_bwd_w:
    case OP_linear_bwd_w_first: /* what a bias needs beside comes after */
        return product_s(n[1], n[2], n[0], cost->least_bytes, gpu, e) +
               bytes_s(cost->bytes - cost->least_bytes, gpu, e);
    case OP_lora_bwd:
        return product_s(n[0], n[2], n[1], cost->bytes, gpu, e) +
               (n[4] ? product_s(n[1], n[2], n[0], cost->bytes, gpu, e) : 0);
    case OP_attention_fwd:
    case OP_attention_bwd:
        return attention_s(c, cost, gpu, e);
    default:
        return bytes_s(cost->bytes, gpu, e);
    }
}

double op_time_s(const op_call_t *c, size_t act_bytes, const gpu_t *gpu, const op_efficiency_t *e) {
    op_cost_t cost = op_cost(c, act_bytes);
    return work_s(c, &cost, gpu, e) + cost.launches * e->launch_us * 1e-6;
}
