/* RMS and layer norms, with and without modulation.
 *
 * With mean 0 for RMS, xh = (x - mean) * s and a factor f of each column: w, w (1 + scale_b) or 1 + scale_b,
 *   forward   y = xh f + shift_b
 *   backward  g = dy f,  dx = s (g - mean(g) [layer] - xh mean(g xh)),
 *             dshift_b = sum_l dy,  P_b = sum_l dy xh,  dscale_b = w P_b,  dw = sum_b (1 + scale_b) P_b.
 *
 * A row is held in registers, CHUNKS chunks a thread, so that every activation is read and written once. Forward gives
 * a row to a warp, which needs no barrier and has CHUNKS loads under way; backward, which holds four rows and two sums,
 * gives it to a block, and loads the next row before it adds up this one. Threads and chunks are chosen by D, the
 * fewest that hold it. */
#include "kernels/cuda/cuda_rows.cuh"

enum norm_kind { RMS, RMS_MOD, LAYER_MOD };
enum { MOST_WIDTH = 4096, FWD_WARPS = 4 };

/* What forward and backward have in common. Backward's y is dy. */
template <typename act> struct norm_t {
    const act *x, *w;               /* [R, D], [D]; w NULL for layers */
    columns_t<act> y, shift, scale; /* of R rows; of B rows, where modulated */
    float *stats;                   /* rstd [R]; mean and 1 / deviation [R, 2] for layers */
    int64_t L, D;
    bool vec; /* all rows are aligned */
};

template <norm_kind KIND, typename act>
__device__ inline void factor_load(float *f, const norm_t<act> &o, int64_t b, int64_t i) {
    float scale[CHUNK];
    if (KIND == LAYER_MOD)
#pragma unroll
        for (int j = 0; j < CHUNK; j++) f[j] = 1.0f;
    else
        chunk_load(f, o.w, i, o.D, o.vec);
    if (KIND == RMS) return;
    chunk_load(scale, (const act *)o.scale.row(b), i, o.D, o.vec);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) f[j] *= 1.0f + scale[j];
}

template <int THREADS> __device__ inline int64_t chunk_column(int c) {
    return ((int64_t)c * THREADS + threadIdx.x % THREADS) * CHUNK;
}

/* A warp a row. Bytes an element: x and y, 2 act; w and the modulation come from L2 after a sample's first row. */
template <norm_kind KIND, typename act, int CHUNKS>
__global__ void __launch_bounds__(FWD_WARPS *WARP) norm_fwd_kernel(norm_t<act> o, uint32_t R, float eps) {
    uint32_t row = blockIdx.x * FWD_WARPS + threadIdx.x / WARP, b = KIND == RMS ? 0 : row / (uint32_t)o.L;
    int64_t r = row;
    raw_t<act> raw[CHUNKS];
    float x[CHUNK], mean = 0, square = 0;
    if (row >= R) return; /* the whole warp */
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) raw[c] = raw_load(o.x + r * o.D, chunk_column<WARP>(c), o.D, o.vec);
#pragma unroll
    for (int c = 0; c < CHUNKS && KIND == LAYER_MOD; c++) {
        raw_floats(x, raw[c]);
#pragma unroll
        for (int j = 0; j < CHUNK; j++) mean += x[j];
    }
    if (KIND == LAYER_MOD) mean = warp_sum(mean) / (float)o.D;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        raw_floats(x, raw[c]);
#pragma unroll
        for (int j = 0; j < CHUNK; j++) {
            bool inside = KIND != LAYER_MOD || chunk_column<WARP>(c) + j < o.D;
            float d = inside ? x[j] - mean : 0.0f;
            square += d * d;
        }
    }
    float s = 1.0f / sqrtf(warp_sum(square) / (float)o.D + eps);
    if (threadIdx.x % WARP == 0) {
        if (KIND == LAYER_MOD) o.stats[2 * r] = mean;
        o.stats[KIND == LAYER_MOD ? 2 * r + 1 : r] = s;
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int64_t i = chunk_column<WARP>(c);
        float f[CHUNK], y[CHUNK], shift[CHUNK] = {0};
        if (i >= o.D) break;
        factor_load<KIND>(f, o, b, i);
        if (KIND != RMS) chunk_load(shift, (const act *)o.shift.row(b), i, o.D, o.vec);
        raw_floats(x, raw[c]);
#pragma unroll
        for (int j = 0; j < CHUNK; j++) y[j] = (x[j] - mean) * s * f[j] + shift[j];
        chunk_store(o.y.row(r), y, i, o.D, o.vec);
    }
}

/* What backward reads of a row. */
template <typename act, int CHUNKS> struct norm_row_t {
    raw_t<act> x[CHUNKS], dy[CHUNKS], dx[CHUNKS];
    float mean, s;
};

template <norm_kind KIND, typename act, int THREADS, int CHUNKS>
__device__ inline void norm_row_load(norm_row_t<act, CHUNKS> *row, const norm_t<act> &o, const act *dx, int64_t r) {
    row->mean = KIND == LAYER_MOD ? o.stats[2 * r] : 0.0f;
    row->s = o.stats[KIND == LAYER_MOD ? 2 * r + 1 : r];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int64_t i = chunk_column<THREADS>(c);
        row->x[c] = raw_load(o.x + r * o.D, i, o.D, o.vec);
        row->dy[c] = raw_load((const act *)o.y.row(r), i, o.D, o.vec);
        if (KIND == RMS_MOD) row->dx[c] = raw_load(dx + r * o.D, i, o.D, o.vec);
    }
}

/* One row of backward: dx, and adds to the thread's sums. */
template <norm_kind KIND, typename act, int THREADS, int CHUNKS>
__device__ inline void norm_row_bwd(float (*sum_dy)[CHUNK], float (*sum_dy_xh)[CHUNK], const float (*f)[CHUNK],
                                    const norm_t<act> &o, const norm_row_t<act, CHUNKS> &row, act *dx, float *shared) {
    float xh[CHUNKS][CHUNK], g[CHUNKS][CHUNK], dot = 0, sum_g = 0;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        raw_floats(xh[c], row.x[c]);
        raw_floats(g[c], row.dy[c]);
#pragma unroll
        for (int j = 0; j < CHUNK; j++) {
            float dy = g[c][j]; /* zero behind the row's end, and so is all that is summed */
            xh[c][j] = (xh[c][j] - row.mean) * row.s;
            sum_dy[c][j] += dy;
            sum_dy_xh[c][j] += dy * xh[c][j];
            g[c][j] = dy * f[c][j];
            dot += g[c][j] * xh[c][j];
            sum_g += g[c][j];
        }
    }
    if (KIND == RMS && !dx) return;
    dot = block_sum<THREADS>(dot, shared) / (float)o.D;
    sum_g = KIND == LAYER_MOD ? block_sum<THREADS>(sum_g, shared) / (float)o.D : 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        float out[CHUNK], before[CHUNK] = {0};
        if (KIND == RMS_MOD) raw_floats(before, row.dx[c]);
#pragma unroll
        for (int j = 0; j < CHUNK; j++) out[j] = row.s * (g[c][j] - sum_g - xh[c][j] * dot) + before[j];
        chunk_store(dx, out, chunk_column<THREADS>(c), o.D, o.vec);
    }
}

/* Grid: the pieces of all samples, of one sample for RMS (its L is R). partial f32 [B, n_pieces, 2, D]: sums of dy and
 * of dy xh; of the latter alone, [n_pieces, D], for RMS. Bytes an element: x, dy, dx, 3 act (4 where dx is added to),
 * and 4 * 2 / PIECE_ROWS for partial. */
template <norm_kind KIND, typename act, int THREADS, int CHUNKS>
__global__ void __launch_bounds__(THREADS) norm_bwd_kernel(float *partial, act *dx, norm_t<act> o, uint32_t n_pieces) {
    __shared__ float shared[THREADS / WARP];
    uint32_t b = blockIdx.x / n_pieces;
    int64_t first = (int64_t)(blockIdx.x % n_pieces) * PIECE_ROWS;
    int64_t last = first + PIECE_ROWS < o.L ? first + PIECE_ROWS : o.L;
    norm_row_t<act, CHUNKS> row, next = {};
    if (first < last) norm_row_load<KIND, act, THREADS, CHUNKS>(&next, o, dx, b * o.L + first);
    float sum_dy[CHUNKS][CHUNK] = {}, sum_dy_xh[CHUNKS][CHUNK] = {}, f[CHUNKS][CHUNK];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int64_t i = chunk_column<THREADS>(c);
        if (KIND == LAYER_MOD && i >= o.D)
#pragma unroll
            for (int j = 0; j < CHUNK; j++) f[c][j] = 0.0f;
        else
            factor_load<KIND>(f[c], o, b, i);
    }
    for (int64_t r = b * o.L + first; r < b * o.L + last; r++) {
        row = next;
        if (r + 1 < b * o.L + last) norm_row_load<KIND, act, THREADS, CHUNKS>(&next, o, dx, r + 1);
        norm_row_bwd<KIND, act, THREADS, CHUNKS>(sum_dy, sum_dy_xh, f, o, row, dx ? dx + r * o.D : NULL, shared);
    }
    float *sums = partial + (int64_t)blockIdx.x * (KIND == RMS ? 1 : 2) * o.D;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int64_t i = chunk_column<THREADS>(c);
        if (KIND != RMS) chunk_store(sums, sum_dy[c], i, o.D, o.vec);
        chunk_store(KIND == RMS ? sums : sums + o.D, sum_dy_xh[c], i, o.D, o.vec);
    }
}

/* dshift, dscale and P f32 [B, D] from partial; bytes: partial once. */
template <typename act>
__global__ void mod_sum_kernel(columns_t<act> dshift, columns_t<act> dscale, float *P, const float *partial,
                               const act *w, int64_t n_pieces, int64_t D) {
    int64_t b = blockIdx.y, i = (int64_t)blockIdx.x * WARP + threadIdx.x;
    const float *first = partial + b * n_pieces * 2 * D;
    float dy = piece_sum(first, n_pieces, 2 * D, i, D), dy_xh = piece_sum(first + D, n_pieces, 2 * D, i, D);
    if (threadIdx.y != 0 || i >= D) return;
    dshift.row(b)[i] = from_float<act>(dy);
    dscale.row(b)[i] = from_float<act>(w ? dy_xh * to_float(w[i]) : dy_xh);
    P[b * D + i] = dy_xh;
}

/* dw += sum_b (1 + scale_b) P_b; a thread a column. */
template <typename act>
__global__ void mod_dw_kernel(float *dw, const float *P, columns_t<act> scale, int64_t B, int64_t D) {
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= D) return;
    float sum = 0;
    for (int64_t b = 0; b < B; b++) sum += (1.0f + to_float(scale.row(b)[i])) * P[b * D + i];
    dw[i] += sum;
}

/* dw += the sum of the pieces [n_pieces, D]. */
__global__ void rms_dw_kernel(float *dw, const float *partial, int64_t n_pieces, int64_t D) {
    int64_t i = (int64_t)blockIdx.x * WARP + threadIdx.x;
    float sum = piece_sum(partial, n_pieces, D, i, D);
    if (threadIdx.y == 0 && i < D) dw[i] += sum;
}

/* ---- the rows of the table ---- */

static bool width_held(kernels_t *k, int64_t D) {
    if (D <= MOST_WIDTH) return true;
    cuda_note_status(k, lens_fail(LENS_ARGUMENT, "norm on a GPU: rows of at most %d elements, got %lld",
                                  (int)MOST_WIDTH, (long long)D));
    return false;
}

template <norm_kind KIND, typename act>
static void launch_fwd(kernels_t *k, const norm_t<act> &o, int64_t R, float eps) {
    if (!width_held(k, o.D)) return;
    unsigned grid = cuda_blocks(R, FWD_WARPS);
    if (o.D <= 2 * WARP * CHUNK)
        LAUNCH(k, (norm_fwd_kernel<KIND, act, 2>), grid, FWD_WARPS * WARP, 0, o, (uint32_t)R, eps);
    else if (o.D <= 6 * WARP * CHUNK)
        LAUNCH(k, (norm_fwd_kernel<KIND, act, 6>), grid, FWD_WARPS * WARP, 0, o, (uint32_t)R, eps);
    else if (o.D <= 12 * WARP * CHUNK)
        LAUNCH(k, (norm_fwd_kernel<KIND, act, 12>), grid, FWD_WARPS * WARP, 0, o, (uint32_t)R, eps);
    else
        LAUNCH(k, (norm_fwd_kernel<KIND, act, 16>), grid, FWD_WARPS * WARP, 0, o, (uint32_t)R, eps);
}

template <norm_kind KIND, typename act, int THREADS, int CHUNKS>
static void launch_bwd_of(kernels_t *k, float *partial, act *dx, const norm_t<act> &o, int64_t B, int64_t n_pieces) {
    LAUNCH(k, (norm_bwd_kernel<KIND, act, THREADS, CHUNKS>), (unsigned)(B * n_pieces), THREADS, 0, partial, dx, o,
           (uint32_t)n_pieces);
}

template <norm_kind KIND, typename act>
static void launch_bwd(kernels_t *k, float *partial, act *dx, const norm_t<act> &o, int64_t B, int64_t n_pieces) {
    if (o.D <= 128 * CHUNK)
        launch_bwd_of<KIND, act, 128, 1>(k, partial, dx, o, B, n_pieces);
    else if (o.D <= 192 * CHUNK)
        launch_bwd_of<KIND, act, 192, 1>(k, partial, dx, o, B, n_pieces);
    else if (o.D <= 256 * CHUNK)
        launch_bwd_of<KIND, act, 256, 1>(k, partial, dx, o, B, n_pieces);
    else if (o.D <= 2 * 192 * CHUNK)
        launch_bwd_of<KIND, act, 192, 2>(k, partial, dx, o, B, n_pieces);
    else
        launch_bwd_of<KIND, act, 256, 2>(k, partial, dx, o, B, n_pieces);
}

/* Backward of both modulated norms; w and dw NULL for layers. */
template <norm_kind KIND, typename act>
static void mod_bwd(kernels_t *k, act *dx, float *dw, slice_t dshift, slice_t dscale, const norm_t<act> &o, int64_t B) {
    int64_t n_pieces = piece_count(o.L), n = B * n_pieces * 2 * o.D;
    float *partial = width_held(k, o.D) ? cuda_scratch(k, n + B * o.D) : NULL;
    if (!partial) return;
    launch_bwd<KIND>(k, partial, dx, o, B, n_pieces);
    LAUNCH(k, mod_sum_kernel<act>, sum_grid(o.D, B), sum_block(), 0, columns_of<act>(dshift), columns_of<act>(dscale),
           partial + n, partial, o.w, n_pieces, o.D);
    if (dw) LAUNCH(k, mod_dw_kernel<act>, cuda_blocks(o.D, 128), 128, 0, dw, partial + n, o.scale, B, o.D);
}

template <typename act>
static void rms_mod_fwd(kernels_t *k, act_t *y, float *rstd, const act_t *x, const act_t *w, slice_t shift,
                        slice_t scale, int64_t B, int64_t L, int64_t D, float eps) {
    norm_t<act> o = {
        (const act *)x, (const act *)w, {(act *)y, D}, columns_of<act>(shift), columns_of<act>(scale), rstd, L, D,
        false};
    o.vec = rows_aligned(x, D, D) && vec_aligned(w) && vec_aligned(y) && columns_aligned(o.shift, D) &&
            columns_aligned(o.scale, D);
    launch_fwd<RMS_MOD>(k, o, B * L, eps);
}

template <typename act>
static void rms_mod_bwd(kernels_t *k, act_t *dx, float *dw, slice_t dshift, slice_t dscale, const act_t *dy,
                        const act_t *x, const float *rstd, const act_t *w, slice_t scale, int64_t B, int64_t L,
                        int64_t D) {
    norm_t<act> o = {(const act *)x, (const act *)w, {(act *)dy, D}, {}, columns_of<act>(scale), (float *)rstd, L, D,
                     false};
    o.vec =
        rows_aligned(x, D, D) && vec_aligned(w) && vec_aligned(dy) && vec_aligned(dx) && columns_aligned(o.scale, D);
    mod_bwd<RMS_MOD>(k, (act *)dx, dw, dshift, dscale, o, B);
}

template <typename act>
static void layer_mod_fwd(kernels_t *k, act_t *y, float *stats, const act_t *x, slice_t shift, slice_t scale, int64_t B,
                          int64_t L, int64_t D, float eps) {
    norm_t<act> o = {(const act *)x, NULL, {(act *)y, D}, columns_of<act>(shift), columns_of<act>(scale), stats, L, D,
                     false};
    o.vec = rows_aligned(x, D, D) && vec_aligned(y) && columns_aligned(o.shift, D) && columns_aligned(o.scale, D);
    launch_fwd<LAYER_MOD>(k, o, B * L, eps);
}

template <typename act>
static void layer_mod_bwd(kernels_t *k, act_t *dx, slice_t dshift, slice_t dscale, const act_t *dy, const act_t *x,
                          const float *stats, slice_t scale, int64_t B, int64_t L, int64_t D) {
    norm_t<act> o = {(const act *)x, NULL, {(act *)dy, D}, {}, columns_of<act>(scale), (float *)stats, L, D, false};
    o.vec = rows_aligned(x, D, D) && vec_aligned(dy) && vec_aligned(dx) && columns_aligned(o.scale, D);
    mod_bwd<LAYER_MOD>(k, (act *)dx, NULL, dshift, dscale, o, B);
}

template <typename act>
static void rms_fwd(kernels_t *k, slice_t y, float *rstd, const act_t *x, const act_t *w, int64_t R, int64_t D,
                    float eps) {
    norm_t<act> o = {(const act *)x, (const act *)w, columns_of<act>(y), {}, {}, rstd, R, D, false};
    o.vec = rows_aligned(x, D, D) && vec_aligned(w) && columns_aligned(o.y, D);
    launch_fwd<RMS>(k, o, R, eps);
}

template <typename act>
static void rms_bwd(kernels_t *k, act_t *dx, float *dw, slice_t dy, const act_t *x, const float *rstd, const act_t *w,
                    int64_t R, int64_t D) {
    norm_t<act> o = {(const act *)x, (const act *)w, columns_of<act>(dy), {}, {}, (float *)rstd, R, D, false};
    int64_t n_pieces = piece_count(R);
    float *partial = width_held(k, D) ? cuda_scratch(k, n_pieces * D) : NULL;
    if (!partial) return;
    o.vec = rows_aligned(x, D, D) && vec_aligned(w) && vec_aligned(dx) && columns_aligned(o.y, D);
    launch_bwd<RMS>(k, partial, (act *)dx, o, 1, n_pieces);
    if (dw) LAUNCH(k, rms_dw_kernel, sum_grid(D, 1), sum_block(), 0, dw, partial, n_pieces, D);
}

template <typename act> static void fill_norm(kernels_t *k) {
    k->rms_mod_fwd = rms_mod_fwd<act>;
    k->rms_mod_bwd = rms_mod_bwd<act>;
    k->layer_mod_fwd = layer_mod_fwd<act>;
    k->layer_mod_bwd = layer_mod_bwd<act>;
    k->rms_fwd = rms_fwd<act>;
    k->rms_bwd = rms_bwd<act>;
}

void cuda_fill_norm(kernels_t *k, bool f32) {
    if (f32)
        fill_norm<float>(k);
    else
        fill_norm<__nv_bfloat16>(k);
}
