/* Gated residual, SwiGLU, SiLU, timestep and token embeddings. A thread has a chunk of consecutive elements; with
 * sigma(x) = 1 / (1 + exp(-x)),  silu(x) = x sigma(x),  silu'(x) = sigma(x) (1 + x (1 - sigma(x))). */
#include "kernels/cuda/cuda_rows.cuh"

enum { THREADS = 128 }; /* where nothing is made of rows */

/* exp may be infinite: 0. For bf16 by the fast functions, whose error is a few 1e-6 of the value: the exact ones need
 * more instructions than there is time for while memory delivers. */
template <typename act> static __device__ inline float sigmoid(float x) {
    return sizeof(act) == sizeof(float) ? 1.0f / (1.0f + expf(-x)) : __fdividef(1.0f, 1.0f + __expf(-x));
}
static __device__ inline float silu_slope(float x, float s) { /* s = sigma(x) */
    return s * (1.0f + x * (1.0f - s));
}
/* The first element of this thread, of a row or of all. */
static __device__ inline int64_t chunk_at(unsigned tile) {
    return ((int64_t)tile * blockDim.x + threadIdx.x) * CHUNK;
}

/* out = x + gate_b y. Grid: rows, tiles of a row. Bytes an element: 3 act, the least; gates come from L2. */
template <typename act>
__global__ void __launch_bounds__(ROW_THREADS)
    gated_add_kernel(act *out, const act *x, const act *y, columns_t<act> gate, uint32_t L, int64_t D, bool vec) {
    int64_t r = blockIdx.x, i = chunk_at(blockIdx.y);
    float g[CHUNK], a[CHUNK], b[CHUNK];
    if (i >= D) return;
    raw_t<act> raw_a = raw_load(x + r * D, i, D, vec), raw_b = raw_load(y + r * D, i, D, vec);
    chunk_load(g, (const act *)gate.row(blockIdx.x / L), i, D, vec);
    raw_floats(a, raw_a);
    raw_floats(b, raw_b);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) a[j] += g[j] * b[j];
    chunk_store(out + r * D, a, i, D, vec);
}

/* dy = gate_b dout, and partial f32 [B, n_pieces, D] = sum of dout y over a piece. Grid: pieces of all samples, tiles.
 * Bytes an element: 3 act, and 4 / PIECE_ROWS. */
template <typename act>
__global__ void __launch_bounds__(ROW_THREADS)
    gated_add_bwd_kernel(float *partial, act *dy, const act *dout, const act *y, columns_t<act> gate, uint32_t n_pieces,
                         int64_t L, int64_t D, bool vec) {
    uint32_t b = blockIdx.x / n_pieces;
    int64_t first = (int64_t)(blockIdx.x % n_pieces) * PIECE_ROWS, i = chunk_at(blockIdx.y);
    int64_t last = first + PIECE_ROWS < L ? first + PIECE_ROWS : L;
    float g[CHUNK], sum[CHUNK] = {}, up[CHUNK], v[CHUNK];
    raw_t<act> next_up = {}, next_v = {};
    if (i >= D) return;
    if (first < last) {
        next_up = raw_load(dout + (b * L + first) * D, i, D, vec);
        next_v = raw_load(y + (b * L + first) * D, i, D, vec);
    }
    chunk_load(g, (const act *)gate.row(b), i, D, vec);
    for (int64_t r = b * L + first; r < b * L + last; r++) {
        raw_floats(up, next_up);
        raw_floats(v, next_v);
        if (r + 1 < b * L + last) { /* under way while this row is worked on */
            next_up = raw_load(dout + (r + 1) * D, i, D, vec);
            next_v = raw_load(y + (r + 1) * D, i, D, vec);
        }
#pragma unroll
        for (int j = 0; j < CHUNK; j++) {
            sum[j] += up[j] * v[j];
            up[j] *= g[j];
        }
        chunk_store(dy + r * D, up, i, D, vec);
    }
    chunk_store(partial + (int64_t)blockIdx.x * D, sum, i, D, vec);
}

template <typename act>
__global__ void gate_sum_kernel(columns_t<act> dgate, const float *partial, int64_t n_pieces, int64_t D) {
    int64_t b = blockIdx.y, i = (int64_t)blockIdx.x * WARP + threadIdx.x;
    float sum = piece_sum(partial + b * n_pieces * D, n_pieces, D, i, D);
    if (threadIdx.y == 0 && i < D) dgate.row(b)[i] = from_float<act>(sum);
}

/* h = silu(u) v; uv [R, 2, M]. Grid: rows, tiles. Bytes an element of h: 3 act, the least. */
template <typename act>
__global__ void __launch_bounds__(ROW_THREADS) swiglu_kernel(act *h, const act *uv, int64_t M, bool vec) {
    int64_t r = blockIdx.x, i = chunk_at(blockIdx.y);
    float u[CHUNK], v[CHUNK];
    if (i >= M) return;
    raw_t<act> raw_u = raw_load(uv + 2 * r * M, i, M, vec), raw_v = raw_load(uv + (2 * r + 1) * M, i, M, vec);
    raw_floats(u, raw_u);
    raw_floats(v, raw_v);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) v[j] *= u[j] * sigmoid<act>(u[j]);
    chunk_store(h + r * M, v, i, M, vec);
}

/* du = dh v silu'(u), dv = dh silu(u). Bytes an element of h: 5 act, the least. */
template <typename act>
__global__ void __launch_bounds__(ROW_THREADS)
    swiglu_bwd_kernel(act *duv, const act *dh, const act *uv, int64_t M, bool vec) {
    int64_t r = blockIdx.x, i = chunk_at(blockIdx.y);
    float u[CHUNK], v[CHUNK], d[CHUNK];
    if (i >= M) return;
    raw_t<act> raw_u = raw_load(uv + 2 * r * M, i, M, vec), raw_v = raw_load(uv + (2 * r + 1) * M, i, M, vec),
               raw_d = raw_load(dh + r * M, i, M, vec);
    raw_floats(u, raw_u);
    raw_floats(v, raw_v);
    raw_floats(d, raw_d);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) {
        float s = sigmoid<act>(u[j]), dv = d[j] * u[j] * s;
        u[j] = d[j] * v[j] * silu_slope(u[j], s);
        v[j] = dv;
    }
    chunk_store(duv + 2 * r * M, u, i, M, vec);
    chunk_store(duv + (2 * r + 1) * M, v, i, M, vec);
}

/* Bytes an element: 2 act and 3 act, the least. dx may be dy. */
template <typename act>
__global__ void __launch_bounds__(THREADS) silu_kernel(act *y, const act *x, int64_t n, bool vec) {
    int64_t i = chunk_at(blockIdx.x);
    float v[CHUNK];
    chunk_load(v, x, i, n, vec);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) v[j] *= sigmoid<act>(v[j]);
    chunk_store(y, v, i, n, vec);
}
template <typename act>
__global__ void __launch_bounds__(THREADS) silu_bwd_kernel(act *dx, const act *dy, const act *x, int64_t n, bool vec) {
    int64_t i = chunk_at(blockIdx.x);
    float v[CHUNK], d[CHUNK];
    chunk_load(v, x, i, n, vec);
    chunk_load(d, dy, i, n, vec);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) d[j] *= silu_slope(v[j], sigmoid<act>(v[j]));
    chunk_store(dx, d, i, n, vec);
}

/* A thread a pair of cos and sin, in double: the angle reaches 1000. A few thousand elements a step. */
template <typename act> __global__ void timestep_kernel(act *emb, const float *t, int64_t B, int64_t dim) {
    int64_t half = dim / 2, at = (int64_t)blockIdx.x * THREADS + threadIdx.x, b = at / half, i = at % half;
    if (b >= B) return;
    double a = 1000.0 * (double)t[b] * exp(-log(10000.0) * (double)i / (double)half);
    emb[b * dim + i] = from_float<act>((float)cos(a));
    emb[b * dim + half + i] = from_float<act>((float)sin(a));
}

/* Grid: rows, tiles. Bytes an element of out: n_ids + 1 act, the least where no id repeats. */
template <typename act>
__global__ void __launch_bounds__(ROW_THREADS)
    embed_kernel(act *out, const act *table, const int32_t *ids, int64_t n_ids, int64_t E, bool vec) {
    int64_t r = blockIdx.x, i = chunk_at(blockIdx.y);
    float sum[CHUNK] = {}, x[CHUNK];
    if (i >= E) return;
    for (int64_t n = 0; n < n_ids; n++) {
        int64_t id = ids[r * n_ids + n];
        if (id < 0) continue;
        chunk_load(x, table + id * E, i, E, vec);
#pragma unroll
        for (int j = 0; j < CHUNK; j++) sum[j] += x[j];
    }
    chunk_store(out + r * E, sum, i, E, vec);
}

/* dtable[id] += sum of dout over the places of id, in their order. Grid: places, tiles. The block of an id's first
 * place does all of them, so that a row of the table is read and written once; the others leave. Finding them reads the
 * n_places ids in each block: from L2, n_places^2 * 4 bytes in all. */
template <typename act>
__global__ void __launch_bounds__(THREADS) embed_bwd_kernel(float *dtable, const act *dout, const int32_t *ids,
                                                            int64_t n_places, int64_t n_ids, int64_t E, bool vec) {
    __shared__ unsigned found[THREADS / WARP];
    int64_t place = blockIdx.x, i = chunk_at(blockIdx.y);
    int32_t id = ids[place];
    float sum[CHUNK], x[CHUNK];
    bool earlier = id < 0;
    for (int64_t p = threadIdx.x; p < place && !earlier; p += THREADS) earlier = ids[p] == id;
    if (__syncthreads_or(earlier)) return;
    chunk_load(sum, (const float *)dtable + (int64_t)id * E, i, E, vec);
    for (int64_t first = place; first < n_places; first += THREADS) {
        int64_t p = first + threadIdx.x;
        unsigned here = __ballot_sync(WARP_ALL, p < n_places && ids[p] == id);
        if (threadIdx.x % WARP == 0) found[threadIdx.x / WARP] = here;
        __syncthreads();
        for (int w = 0; w < THREADS / WARP; w++)
            for (unsigned bits = found[w]; bits; bits &= bits - 1) {
                int64_t r = (first + w * WARP + __ffs((int)bits) - 1) / n_ids;
                chunk_load(x, dout + r * E, i, E, vec);
#pragma unroll
                for (int j = 0; j < CHUNK; j++) sum[j] += x[j];
            }
        __syncthreads();
    }
    chunk_store(dtable + (int64_t)id * E, sum, i, E, vec);
}

/* ---- the rows of the table ---- */

static dim3 tiles(int64_t rows, int64_t width) {
    return dim3((unsigned)rows, row_tiles(width));
}

template <typename act>
static void gated_add_fwd(kernels_t *k, act_t *out, const act_t *x, const act_t *y, slice_t gate, int64_t B, int64_t L,
                          int64_t D) {
    columns_t<act> g = columns_of<act>(gate);
    bool vec = columns_aligned(g, D) && vec_aligned(out) && vec_aligned(x) && vec_aligned(y);
    LAUNCH(k, gated_add_kernel<act>, tiles(B * L, D), row_threads(D), 0, (act *)out, (const act *)x, (const act *)y, g,
           (uint32_t)L, D, vec);
}

template <typename act>
static void gated_add_bwd(kernels_t *k, act_t *dy, slice_t dgate, const act_t *dout, const act_t *y, slice_t gate,
                          int64_t B, int64_t L, int64_t D) {
    columns_t<act> g = columns_of<act>(gate);
    int64_t n_pieces = piece_count(L);
    float *partial = cuda_scratch(k, B * n_pieces * D);
    if (!partial) return;
    bool vec = columns_aligned(g, D) && vec_aligned(dy) && vec_aligned(dout) && vec_aligned(y);
    LAUNCH(k, gated_add_bwd_kernel<act>, tiles(B * n_pieces, D), row_threads(D), 0, partial, (act *)dy,
           (const act *)dout, (const act *)y, g, (uint32_t)n_pieces, L, D, vec);
    LAUNCH(k, gate_sum_kernel<act>, sum_grid(D, B), sum_block(), 0, columns_of<act>(dgate), partial, n_pieces, D);
}

template <typename act> static void swiglu_fwd(kernels_t *k, act_t *h, const act_t *uv, int64_t R, int64_t M) {
    LAUNCH(k, swiglu_kernel<act>, tiles(R, M), row_threads(M), 0, (act *)h, (const act *)uv, M,
           rows_aligned(h, M, M) && vec_aligned(uv));
}
template <typename act>
static void swiglu_bwd(kernels_t *k, act_t *duv, const act_t *dh, const act_t *uv, int64_t R, int64_t M) {
    LAUNCH(k, swiglu_bwd_kernel<act>, tiles(R, M), row_threads(M), 0, (act *)duv, (const act *)dh, (const act *)uv, M,
           rows_aligned(duv, M, M) && vec_aligned(dh) && vec_aligned(uv));
}

/* n need not be whole chunks: those of the last thread would end behind n. */
static bool all_aligned(const void *a, const void *b, int64_t n) {
    return n % CHUNK == 0 && vec_aligned(a) && vec_aligned(b);
}
template <typename act> static void silu_fwd(kernels_t *k, act_t *y, const act_t *x, int64_t n) {
    LAUNCH(k, silu_kernel<act>, cuda_blocks(n, THREADS * CHUNK), THREADS, 0, (act *)y, (const act *)x, n,
           all_aligned(y, x, n));
}
template <typename act> static void silu_bwd(kernels_t *k, act_t *dx, const act_t *dy, const act_t *x, int64_t n) {
    LAUNCH(k, silu_bwd_kernel<act>, cuda_blocks(n, THREADS * CHUNK), THREADS, 0, (act *)dx, (const act *)dy,
           (const act *)x, n, all_aligned(dx, dy, n) && vec_aligned(x));
}

template <typename act> static void timestep_fwd(kernels_t *k, act_t *emb, const float *t, int64_t B, int64_t dim) {
    LAUNCH(k, timestep_kernel<act>, cuda_blocks(B * (dim / 2), THREADS), THREADS, 0, (act *)emb, t, B, dim);
}

template <typename act>
static void embed_fwd(kernels_t *k, act_t *out, const act_t *table, const int32_t *ids, int64_t R, int64_t n_ids,
                      int64_t E) {
    LAUNCH(k, embed_kernel<act>, tiles(R, E), row_threads(E), 0, (act *)out, (const act *)table, ids, n_ids, E,
           rows_aligned(out, E, E) && vec_aligned(table));
}
template <typename act>
static void embed_bwd(kernels_t *k, float *dtable, const act_t *dout, const int32_t *ids, int64_t R, int64_t n_ids,
                      int64_t E) {
    LAUNCH(k, embed_bwd_kernel<act>, dim3((unsigned)(R * n_ids), cuda_blocks(E, THREADS * CHUNK)), THREADS, 0, dtable,
           (const act *)dout, ids, R * n_ids, n_ids, E, rows_aligned(dtable, E, E) && vec_aligned(dout));
}

template <typename act> static void fill_elementwise(kernels_t *k) {
    k->gated_add_fwd = gated_add_fwd<act>;
    k->gated_add_bwd = gated_add_bwd<act>;
    k->swiglu_fwd = swiglu_fwd<act>;
    k->swiglu_bwd = swiglu_bwd<act>;
    k->silu_fwd = silu_fwd<act>;
    k->silu_bwd = silu_bwd<act>;
    k->timestep_fwd = timestep_fwd<act>;
    k->embed_fwd = embed_fwd<act>;
    k->embed_bwd = embed_bwd<act>;
}

void cuda_fill_elementwise(kernels_t *k, bool f32) {
    if (f32)
        fill_elementwise<float>(k);
    else
        fill_elementwise<__nv_bfloat16>(k);
}
