/* Joint attention in plain arithmetic: softmax(q k^T / sqrt(K)) v over the valid keys, forward and backward, with no
 * library and no tensor cores: what cuDNN's (cuda_sdpa.cu) is compared with, in float as in bf16.
 *
 * Blocks of 16 x 16 threads go through the sequence in tiles of TILE rows kept in shared memory as floats. Rows are
 * padded by 16 bytes: threads read 16 at once, and those beside each other from different banks. Scores never leave the
 * block (FlashAttention: Dao et al., arXiv 2205.14135). Backward runs twice, once over tiles of queries for dq and once
 * over tiles of keys for dk and dv: scores are made twice, and each sum is one thread's, in one order.
 *
 * A thread (ty, tx) has the scores (ty + 16 a, tx + 16 c) of a tile, and of a tile of rows the elements (ty + 16 a, 64
 * c + 4 tx + 0..3). WIDTH is K rounded up to 64 or 128; what is past K, or past the valid rows, is zero. */
#include "kernels/cuda/cuda_linear.cuh"
#include "kernels/cuda/cuda_sdpa.cuh"

enum { SIDE = 16, ATTENTION_THREADS = SIDE * SIDE, TILE = 64, EACH = TILE / SIDE, WIDTH_MAX = 128, SCORES = TILE + 4 };

/* Rows of one head: [n_first] from `first` on, the others from `second` on, `stride` elements apart. */
template <typename T> struct rows_t {
    T *first, *second;
    int64_t n_first, stride;
    __device__ T *row(int64_t i) const { return i < n_first ? first + i * stride : second + (i - n_first) * stride; }
};

/* One block's sample and head, and what is valid of them. */
typedef struct {
    int64_t b, h, task, S, n_keys;
} head_t;

__device__ inline head_t block_head(const attention_shape_t &s) {
    int64_t task = blockIdx.y + (int64_t)blockIdx.z * gridDim.y;
    return {task / s.H, task % s.H, task, s.N + s.T, s.n_keys[task / s.H]};
}

/* Of x [B, H, S, K]. */
template <typename T> __device__ inline rows_t<T> head_rows(T *x, const head_t &at, const attention_shape_t &s) {
    return {x + at.task * at.S * s.K, NULL, at.S, s.K};
}

/* Of img [B, N, H*K] and txt [B, T, H*K]; txt may be NULL where no row of it is asked for. */
template <typename T>
__device__ inline rows_t<T> token_rows(T *img, T *txt, const head_t &at, const attention_shape_t &s) {
    int64_t D = s.H * s.K;
    return {img + at.b * s.N * D + at.h * s.K, txt ? txt + at.b * s.T * D + at.h * s.K : NULL, s.N, D};
}

/* Floats from a row of a tile to the next. */
template <int WIDTH> struct pitch_t {
    enum { N = WIDTH + 4 };
};

/* tile[i][x] = row `from` + i, as floats; zeros from row `n` and from column K on. aligned: 16 bytes at once, of which
 * K is a multiple. */
template <typename T, int WIDTH>
__device__ inline void load_tile(float *tile, const rows_t<const T> &rows, int64_t from, int64_t n, int64_t K,
                                 bool aligned) {
    const int N = vec_t<T>::N, EACH_ROW = WIDTH / N;
    for (int i = (int)threadIdx.x; aligned && i < TILE * EACH_ROW; i += ATTENTION_THREADS) {
        int64_t row = from + i / EACH_ROW;
        int x = i % EACH_ROW * N;
        vec_t<T> v = {};
        if (row < n && x < K) v = vec_load(rows.row(row) + x);
#pragma unroll
        for (int part = 0; part < N; part += 4) {
            vec_t<float> y;
#pragma unroll
            for (int j = 0; j < 4; j++) y.x[j] = to_float(v.x[part + j]);
            vec_store(tile + i / EACH_ROW * pitch_t<WIDTH>::N + x + part, y);
        }
    }
    for (int i = (int)threadIdx.x; !aligned && i < TILE * WIDTH; i += ATTENTION_THREADS) {
        int64_t row = from + i / WIDTH;
        int x = i % WIDTH;
        tile[i / WIDTH * pitch_t<WIDTH>::N + x] = row < n && x < K ? to_float(rows.row(row)[x]) : 0.0f;
    }
}

/* s = a b^T, both tiles of rows. */
template <int WIDTH> __device__ inline void tile_scores(float s[EACH][EACH], const float *a, const float *b) {
    const int PITCH = pitch_t<WIDTH>::N;
    const float *row = a + threadIdx.x / SIDE * PITCH, *column = b + threadIdx.x % SIDE * PITCH;
#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int j = 0; j < EACH; j++) s[i][j] = 0;
#pragma unroll 1
    for (int x = 0; x < WIDTH; x += 4) {
        vec_t<float> p[EACH];
#pragma unroll
        for (int i = 0; i < EACH; i++) p[i] = vec_load(row + i * SIDE * PITCH + x);
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            vec_t<float> y = vec_load(column + j * SIDE * PITCH + x);
#pragma unroll
            for (int i = 0; i < EACH; i++)
#pragma unroll
                for (int e = 0; e < 4; e++) s[i][j] += p[i].x[e] * y.x[e];
        }
    }
}

/* sum += p b: p [TILE, SCORES], b a tile of rows. */
template <int WIDTH> __device__ inline void tile_add(float sum[EACH][WIDTH / SIDE], const float *p, const float *b) {
    const float *row = p + threadIdx.x / SIDE * SCORES, *column = b + threadIdx.x % SIDE * 4;
#pragma unroll 1
    for (int j = 0; j < TILE; j += 4) {
        vec_t<float> x[EACH];
#pragma unroll
        for (int i = 0; i < EACH; i++) x[i] = vec_load(row + i * SIDE * SCORES + j);
#pragma unroll
        for (int e = 0; e < 4; e++)
#pragma unroll
            for (int c = 0; c < WIDTH / SIDE; c += 4) {
                vec_t<float> y = vec_load(column + (j + e) * pitch_t<WIDTH>::N + c * SIDE);
#pragma unroll
                for (int i = 0; i < EACH; i++)
#pragma unroll
                    for (int d = 0; d < 4; d++) sum[i][c + d] += x[i].x[e] * y.x[d];
            }
    }
}

__device__ inline void store_scores(float *p, const float s[EACH][EACH]) {
#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int j = 0; j < EACH; j++)
            p[(threadIdx.x / SIDE + i * SIDE) * SCORES + threadIdx.x % SIDE + j * SIDE] = s[i][j];
}

/* Rows from `from` on, below n. */
template <typename T, int WIDTH>
__device__ inline void store_rows(const rows_t<T> &rows, const float x[EACH][WIDTH / SIDE], int64_t from, int64_t n,
                                  int64_t K) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        int64_t row = from + threadIdx.x / SIDE + i * SIDE;
#pragma unroll
        for (int c = 0; c < WIDTH / SIDE; c++) {
            int at = (int)threadIdx.x % SIDE * 4 + c / 4 * 4 * SIDE + c % 4;
            if (row < n && at < K) rows.row(row)[at] = from_float<T>(x[i][c]);
        }
    }
}

/* Over the SIDE threads of a row, which are one half of a warp. */
__device__ inline float row_sum(float x) {
#pragma unroll
    for (int bits = SIDE / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(WARP_ALL, x, bits);
    return x;
}
__device__ inline float row_max(float x) {
#pragma unroll
    for (int bits = SIDE / 2; bits > 0; bits /= 2) x = fmaxf(x, __shfl_xor_sync(WARP_ALL, x, bits));
    return x;
}

/* Running softmax of a tile of scores: s to exp(s alpha - top), tops and sums of its rows brought up to date, and what
 * was summed before brought to the new top. Keys from n_left on take no part; the first tile has at least one. */
template <int WIDTH>
__device__ inline void softmax_tile(float s[EACH][EACH], float top[EACH], float sum[EACH], float o[EACH][WIDTH / SIDE],
                                    float alpha, int64_t n_left) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        float most = top[i], row = 0;
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            s[i][j] = (int)threadIdx.x % SIDE + j * SIDE < n_left ? s[i][j] * alpha : -INFINITY;
            most = fmaxf(most, s[i][j]);
        }
        most = row_max(most);
#pragma unroll
        for (int j = 0; j < EACH; j++) row += s[i][j] = expf(s[i][j] - most);
        float keep = expf(top[i] - most);
        sum[i] = sum[i] * keep + row_sum(row);
        top[i] = most;
#pragma unroll
        for (int c = 0; c < WIDTH / SIDE; c++) o[i][c] *= keep;
    }
}

/* A block has TILE queries of one head: grid (tiles of queries, heads, samples). Reads q once and k and v once a tile
 * of queries, mostly from the L2 cache; writes o and lse once. */
template <typename T, int WIDTH>
__global__ void __launch_bounds__(ATTENTION_THREADS)
    attention_fwd_kernel(T *o_img, T *o_txt, float *lse, const T *q, const T *key, const T *v, attention_shape_t s,
                         bool aligned) {
    SHARED_DYNAMIC(float, q_tile);
    float *kv_tile = q_tile + TILE * pitch_t<WIDTH>::N, *p = kv_tile + TILE * pitch_t<WIDTH>::N;
    head_t at = block_head(s);
    int64_t from = (int64_t)blockIdx.x * TILE;
    float o[EACH][WIDTH / SIDE] = {}, top[EACH], sum[EACH] = {}, alpha = 1.0f / sqrtf((float)s.K);
    for (int i = 0; i < EACH; i++) top[i] = -INFINITY;
    load_tile<T, WIDTH>(q_tile, head_rows(q, at, s), from, s.n_queries, s.K, aligned);
    for (int64_t first = 0; first < at.n_keys; first += TILE) {
        float x[EACH][EACH];
        load_tile<T, WIDTH>(kv_tile, head_rows(key, at, s), first, at.n_keys, s.K, aligned);
        __syncthreads();
        tile_scores<WIDTH>(x, q_tile, kv_tile);
        softmax_tile<WIDTH>(x, top, sum, o, alpha, at.n_keys - first);
        store_scores(p, x);
        __syncthreads();
        load_tile<T, WIDTH>(kv_tile, head_rows(v, at, s), first, at.n_keys, s.K, aligned);
        __syncthreads();
        tile_add<WIDTH>(o, p, kv_tile);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        int64_t row = from + threadIdx.x / SIDE + i * SIDE;
        if (row < s.n_queries && threadIdx.x % SIDE == 0) lse[at.task * at.S + row] = top[i] + logf(sum[i]);
        float inverse = 1.0f / sum[i];
#pragma unroll
        for (int c = 0; c < WIDTH / SIDE; c++) o[i][c] *= inverse;
    }
    store_rows<T, WIDTH>(token_rows(o_img, o_txt, at, s), o, from, s.n_queries, s.K);
}

/* delta[B, H, S] = do o^T of each query, a warp each: grid (warps of queries, heads, samples). */
template <typename T>
__global__ void attention_delta_kernel(float *delta, const T *do_img, const T *do_txt, const T *o_img, const T *o_txt,
                                       attention_shape_t s) {
    head_t at = block_head(s);
    int64_t i = (int64_t)blockIdx.x * (ATTENTION_THREADS / WARP) + threadIdx.x / WARP;
    if (i >= s.n_queries) return; /* the whole warp */
    const T *a = token_rows(do_img, do_txt, at, s).row(i), *b = token_rows(o_img, o_txt, at, s).row(i);
    float sum = 0;
    for (int64_t x = threadIdx.x % WARP; x < s.K; x += WARP) sum += to_float(a[x]) * to_float(b[x]);
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) delta[at.task * at.S + i] = sum;
}

/* Scores s to probabilities, and their gradient dp to that of the scores' products; zero outside. */
__device__ inline void score_bwd(float *s, float *dp, float lse, float delta, float alpha, bool valid) {
    *s = valid ? expf(*s * alpha - lse) : 0.0f;
    *dp = *s * (*dp - delta) * alpha;
}

/* A block has TILE queries: dq = ds k. Rows that nothing flows through become zeros. Grid as forward's. */
template <typename T, int WIDTH>
__global__ void __launch_bounds__(ATTENTION_THREADS)
    attention_dq_kernel(T *dq, const float *delta, const T *do_img, const T *do_txt, const float *lse, const T *q,
                        const T *key, const T *v, attention_shape_t s, bool aligned) {
    SHARED_DYNAMIC(float, q_tile);
    const int ROWS = TILE * pitch_t<WIDTH>::N;
    float *do_tile = q_tile + ROWS, *k_tile = do_tile + ROWS, *v_tile = k_tile + ROWS, *p = v_tile + ROWS;
    head_t at = block_head(s);
    int64_t from = (int64_t)blockIdx.x * TILE, n_keys = from < s.n_queries ? at.n_keys : 0;
    float sum[EACH][WIDTH / SIDE] = {}, alpha = 1.0f / sqrtf((float)s.K);
    load_tile<T, WIDTH>(q_tile, head_rows(q, at, s), from, s.n_queries, s.K, aligned);
    load_tile<T, WIDTH>(do_tile, token_rows(do_img, do_txt, at, s), from, s.n_queries, s.K, aligned);
    for (int64_t first = 0; first < n_keys; first += TILE) {
        float x[EACH][EACH], dx[EACH][EACH];
        load_tile<T, WIDTH>(k_tile, head_rows(key, at, s), first, n_keys, s.K, aligned);
        load_tile<T, WIDTH>(v_tile, head_rows(v, at, s), first, n_keys, s.K, aligned);
        __syncthreads();
        tile_scores<WIDTH>(x, q_tile, k_tile);
        tile_scores<WIDTH>(dx, do_tile, v_tile);
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int64_t row = from + threadIdx.x / SIDE + i * SIDE, stat = at.task * at.S + row;
            bool valid = row < s.n_queries;
            float row_lse = valid ? lse[stat] : 0.0f, row_delta = valid ? delta[stat] : 0.0f;
#pragma unroll
            for (int j = 0; j < EACH; j++)
                score_bwd(&x[i][j], &dx[i][j], row_lse, row_delta, alpha,
                          valid && first + threadIdx.x % SIDE + j * SIDE < n_keys);
        }
        store_scores(p, dx);
        __syncthreads();
        tile_add<WIDTH>(sum, p, k_tile);
        __syncthreads();
    }
    store_rows<T, WIDTH>(head_rows(dq, at, s), sum, from, at.S, s.K);
}

/* A block has TILE keys: dv = p^T do, dk = ds^T q. Keys past the valid ones get zeros. Grid as forward's, of keys. */
template <typename T, int WIDTH>
__global__ void __launch_bounds__(ATTENTION_THREADS)
    attention_dkv_kernel(T *dk, T *dv, const float *delta, const T *do_img, const T *do_txt, const float *lse,
                         const T *q, const T *key, const T *v, attention_shape_t s, bool aligned) {
    SHARED_DYNAMIC(float, k_tile);
    const int ROWS = TILE * pitch_t<WIDTH>::N;
    float *v_tile = k_tile + ROWS, *q_tile = v_tile + ROWS, *do_tile = q_tile + ROWS, *p = do_tile + ROWS;
    head_t at = block_head(s);
    int64_t from = (int64_t)blockIdx.x * TILE, n_queries = from < at.n_keys ? s.n_queries : 0;
    float to_k[EACH][WIDTH / SIDE] = {}, to_v[EACH][WIDTH / SIDE] = {}, alpha = 1.0f / sqrtf((float)s.K);
    load_tile<T, WIDTH>(k_tile, head_rows(key, at, s), from, at.n_keys, s.K, aligned);
    load_tile<T, WIDTH>(v_tile, head_rows(v, at, s), from, at.n_keys, s.K, aligned);
    for (int64_t first = 0; first < n_queries; first += TILE) {
        float x[EACH][EACH], dx[EACH][EACH];
        load_tile<T, WIDTH>(q_tile, head_rows(q, at, s), first, n_queries, s.K, aligned);
        load_tile<T, WIDTH>(do_tile, token_rows(do_img, do_txt, at, s), first, n_queries, s.K, aligned);
        __syncthreads();
        tile_scores<WIDTH>(x, k_tile, q_tile);
        tile_scores<WIDTH>(dx, v_tile, do_tile);
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            int64_t query = first + threadIdx.x % SIDE + j * SIDE, stat = at.task * at.S + query;
            bool valid = query < n_queries;
            float row_lse = valid ? lse[stat] : 0.0f, row_delta = valid ? delta[stat] : 0.0f;
#pragma unroll
            for (int i = 0; i < EACH; i++)
                score_bwd(&x[i][j], &dx[i][j], row_lse, row_delta, alpha,
                          valid && from + threadIdx.x / SIDE + i * SIDE < at.n_keys);
        }
        store_scores(p, x);
        __syncthreads();
        tile_add<WIDTH>(to_v, p, do_tile);
        __syncthreads();
        store_scores(p, dx);
        __syncthreads();
        tile_add<WIDTH>(to_k, p, q_tile);
        __syncthreads();
    }
    store_rows<T, WIDTH>(head_rows(dk, at, s), to_k, from, at.S, s.K);
    store_rows<T, WIDTH>(head_rows(dv, at, s), to_v, from, at.S, s.K);
}

/* ---- rows ---- */

/* Bytes of n_tiles tiles of rows and one of scores. */
template <int WIDTH> static size_t tiles_bytes(int n_tiles) {
    return sizeof(float) * TILE * (size_t)(n_tiles * pitch_t<WIDTH>::N + SCORES);
}

static dim3 attention_grid(const attention_shape_t *s, int64_t n, int64_t each) {
    return dim3(cuda_blocks(n, each), (unsigned)s->H, (unsigned)s->B);
}

/* Whole rows can be read 16 bytes at once. NULL: not read. */
template <typename T>
static bool rows_aligned(int64_t K, const T *q, const T *key, const T *v, const T *do_img, const T *do_txt) {
    return K % vec_t<T>::N == 0 && vec_aligned(q) && vec_aligned(key) && vec_aligned(v) && vec_aligned(do_img) &&
           vec_aligned(do_txt);
}

/* false, and the error is kept: heads are wider than the tiles. */
static bool heads_fit(kernels_t *k, const attention_shape_t *s) {
    if (s->K <= WIDTH_MAX) return true;
    cuda_note_status(k, lens_fail(LENS_ARGUMENT, "attention on a GPU: expected heads of at most %d, got %lld",
                                  WIDTH_MAX, (long long)s->K));
    return false;
}

template <typename T, int WIDTH>
static void start_fwd(kernels_t *k, T *o_img, T *o_txt, float *lse, const T *q, const T *key, const T *v,
                      const attention_shape_t *s) {
    LAUNCH(k, (attention_fwd_kernel<T, WIDTH>), attention_grid(s, s->n_queries, TILE), ATTENTION_THREADS,
           tiles_bytes<WIDTH>(2), o_img, o_txt, lse, q, key, v, *s,
           rows_aligned<T>(s->K, q, key, v, (const T *)NULL, (const T *)NULL));
}

template <typename T>
static void attention_fwd(kernels_t *k, act_t *o_img, act_t *o_txt, float *lse, const act_t *q, const act_t *key,
                          const act_t *v, const attention_shape_t *s) {
    if (!heads_fit(k, s)) return;
    void (*start)(kernels_t *, T *, T *, float *, const T *, const T *, const T *, const attention_shape_t *) =
        s->K <= 64 ? start_fwd<T, 64> : start_fwd<T, WIDTH_MAX>;
    start(k, (T *)o_img, (T *)o_txt, lse, (const T *)q, (const T *)key, (const T *)v, s);
}

template <typename T, int WIDTH>
static void start_bwd(kernels_t *k, T *dq, T *dk, T *dv, const float *delta, const T *do_img, const T *do_txt,
                      const float *lse, const T *q, const T *key, const T *v, const attention_shape_t *s) {
    dim3 grid = attention_grid(s, s->N + s->T, TILE);
    bool aligned = rows_aligned<T>(s->K, q, key, v, do_img, do_txt);
    size_t shared = tiles_bytes<WIDTH>(4);
    LAUNCH(k, (attention_dq_kernel<T, WIDTH>), grid, ATTENTION_THREADS, shared, dq, delta, do_img, do_txt, lse, q, key,
           v, *s, aligned);
    LAUNCH(k, (attention_dkv_kernel<T, WIDTH>), grid, ATTENTION_THREADS, shared, dk, dv, delta, do_img, do_txt, lse, q,
           key, v, *s, aligned);
}

template <typename T>
static void attention_bwd(kernels_t *k, act_t *dq, act_t *dk, act_t *dv, const act_t *do_img, const act_t *do_txt,
                          const act_t *o_img, const act_t *o_txt, const float *lse, const act_t *q, const act_t *key,
                          const act_t *v, const attention_shape_t *s) {
    if (!heads_fit(k, s)) return;
    float *delta = cuda_scratch(k, s->B * s->H * (s->N + s->T));
    if (!delta) return;
    LAUNCH(k, attention_delta_kernel<T>, attention_grid(s, s->n_queries, ATTENTION_THREADS / WARP), ATTENTION_THREADS,
           0, delta, (const T *)do_img, (const T *)do_txt, (const T *)o_img, (const T *)o_txt, *s);
    if (s->K <= 64)
        start_bwd<T, 64>(k, (T *)dq, (T *)dk, (T *)dv, delta, (const T *)do_img, (const T *)do_txt, lse, (const T *)q,
                         (const T *)key, (const T *)v, s);
    else
        start_bwd<T, WIDTH_MAX>(k, (T *)dq, (T *)dk, (T *)dv, delta, (const T *)do_img, (const T *)do_txt, lse,
                                (const T *)q, (const T *)key, (const T *)v, s);
}

/* ---- what is recorded, and who makes it ---- */

/* M x N x K products, one a sample and head, at the mean number of valid keys: two forward, five backward. */
static void trace_products(kernels_t *k, const attention_shape_t *s, bool backward) {
    int64_t n = s->all_keys ? s->all_keys / s->B : s->N + s->T, m = s->n_queries, count = s->B * s->H;
    cuda_product_t scores = {false, true, false, false, m, n, s->K, s->K, s->K, n, count},
                   values = {false, false, false, false, m, s->K, n, n, s->K, s->K, count},
                   to_keys = {true, false, false, false, n, s->K, m, n, s->K, s->K, count};
    cuda_trace(k, &scores);
    cuda_trace(k, &values);
    if (!backward) return;
    cuda_trace(k, &scores); /* of the probabilities' gradient */
    cuda_trace(k, &to_keys);
    cuda_trace(k, &to_keys);
}

template <typename T>
static void row_fwd(kernels_t *k, act_t *o_img, act_t *o_txt, float *lse, const act_t *q, const act_t *key,
                    const act_t *v, const attention_shape_t *s) {
    trace_products(k, s, false);
    if (sizeof(T) == sizeof(__nv_bfloat16) && cuda_sdpa_fwd(k, o_img, o_txt, lse, q, key, v, s)) return;
    attention_fwd<T>(k, o_img, o_txt, lse, q, key, v, s);
}

template <typename T>
static void row_bwd(kernels_t *k, act_t *dq, act_t *dk, act_t *dv, const act_t *do_img, const act_t *do_txt,
                    const act_t *o_img, const act_t *o_txt, const float *lse, const act_t *q, const act_t *key,
                    const act_t *v, const attention_shape_t *s) {
    trace_products(k, s, true);
    if (sizeof(T) == sizeof(__nv_bfloat16) &&
        cuda_sdpa_bwd(k, dq, dk, dv, do_img, do_txt, o_img, o_txt, lse, q, key, v, s))
        return;
    attention_bwd<T>(k, dq, dk, dv, do_img, do_txt, o_img, o_txt, lse, q, key, v, s);
}

void cuda_fill_attention(kernels_t *k, bool f32) {
    cuda_sdpa_open(k);
    k->attention_fwd = f32 ? row_fwd<float> : row_fwd<__nv_bfloat16>;
    k->attention_bwd = f32 ? row_bwd<float> : row_bwd<__nv_bfloat16>;
}
