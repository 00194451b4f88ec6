/* The op table: everything the model, the trainer and the sampler compute, as rows of one struct of functions.
 *
 * The model is written once against it. kernels/cpu is the reference; another device fills the same table. Pointers are
 * device pointers: only the memory rows may touch what is behind them. One thread drives a table.
 *
 * Letters: B samples, L tokens of a stream, N image tokens, T text tokens (padded to the longest of the batch), S = N +
 * T, D width, H heads, K head width (D = H * K), M hidden width of the MLP, R rows (B * L), I/O inputs and outputs, C
 * channels. act: element type of activations and of the weights that products read: float on the CPU, bf16 on a GPU.
 * All statistics, gradients of weights, moments and losses are float or double. Tensors are dense and row-major;
 * `slice` is not.
 *
 * Compute rows return nothing: a device keeps its first error and `finish` reports it. `_bwd` rows overwrite gradients
 * of activations and ADD to gradients of weights, except where they say otherwise. Nothing here uses atomics: equal
 * inputs and an equal number of threads give equal bits. */
#ifndef LENS_KERNELS_KERNELS_H
#define LENS_KERNELS_KERNELS_H

#include "base/error.h"
#include "base/rng.h"
#include "kernels/step_gate.h"

typedef void act_t; /* elements of kernels_t.act_bytes */

/* D consecutive columns of a matrix [B, stride], beginning at `column`: one of a block's shifts, scales or gates. */
typedef struct {
    act_t *data;
    int64_t stride, column;
} slice_t;

typedef struct {
    int64_t B, H, N, T, K;
    int64_t n_queries;     /* S, or N where the text's own result is not wanted */
    const int32_t *n_keys; /* i32 [B]: valid keys are the prefix [0, n_keys[b]) of S */
    int64_t all_keys; /* the sum of n_keys, for the accounting of a device that keeps them; 0: as if all are valid */
} attention_shape_t;

typedef struct {
    float lr, beta1, beta2, eps, weight_decay;
    /* Of the new masters, as the row `ema` makes it; on the device. NULL: none. */
    float *average; /* f32 [n] */
    double average_decay;
} adamw_t;

enum { KERNELS_MAX_FETCHES = 8 };

typedef struct kernels kernels_t;
struct kernels {
    const char *name;       /* "cpu", "cuda" */
    const char *device;     /* what its maker calls it, "NVIDIA H200"; "cpu" */
    size_t act_bytes;       /* of one act element */
    int64_t token_multiple; /* text is padded to such lengths: another length may cost seconds of preparation */
    void *context;          /* of the implementation */

    /* ---- memory ---- */
    lens_status (*alloc)(kernels_t *k, void **out, size_t bytes, const char *what); /* zeroed, 64-byte aligned */
    void (*free)(kernels_t *k, void *p);                                            /* NULL is allowed */
    void (*upload)(kernels_t *k, void *device, const void *host, size_t bytes);
    void (*download)(kernels_t *k, void *host, const void *device, size_t bytes); /* waits for it */
    void (*zero)(kernels_t *k, void *device, size_t bytes);
    void (*copy)(kernels_t *k, void *out, const void *in, size_t bytes);  /* both on the device, apart */
    void (*to_act)(kernels_t *k, act_t *out, const float *in, int64_t n); /* both on the device */
    void (*to_float)(kernels_t *k, float *out, const act_t *in, int64_t n);
    /* Bytes of *total: on a GPU what all processes hold now, on the CPU the most that this one ever held. 0: not known
     */
    void (*memory)(kernels_t *k, size_t *used, size_t *total);
    lens_status (*finish)(kernels_t *k); /* waits for all work; the first error since the last call */
    /* Starts to copy to the host what `device` holds once all that was asked for before is done; returns a number for
     * fetch_end. At most KERNELS_MAX_FETCHES are begun and not ended. */
    int (*fetch_begin)(kernels_t *k, const void *device, size_t bytes);
    /* Waits for that copy, and for nothing that was asked for after it. *out: valid until the next one begins. The
     * first error since the last finish, which will tell it again; *out is then NULL. */
    lens_status (*fetch_end)(kernels_t *k, int fetch, const void **out);
    void (*end)(kernels_t *k); /* releases the table and what it holds: kernels_free calls it */

    /* ---- matrix products: y = x w^T + b ---- */
    void (*linear_fwd)(kernels_t *k, act_t *y, const act_t *x, const act_t *w, const act_t *b, int64_t R, int64_t n_out,
                       int64_t n_in); /* act y[R,n_out] x[R,n_in] w[n_out,n_in] b[n_out] or NULL */
    void (*linear_bwd_x)(kernels_t *k, act_t *dx, const act_t *dy, const act_t *w, int64_t R, int64_t n_out,
                         int64_t n_in);
    void (*linear_bwd_x_add)(kernels_t *k, act_t *dx, const act_t *dy, const act_t *w, int64_t R, int64_t n_out,
                             int64_t n_in);
    void (*linear_bwd_w)(kernels_t *k, float *dw, float *db, const act_t *dy, const act_t *x, int64_t R, int64_t n_out,
                         int64_t n_in); /* db NULL where there is no bias */
    /* The same, but dw is overwritten: the first of a sum needs no zeros. db is added to. */
    void (*linear_bwd_w_first)(kernels_t *k, float *dw, float *db, const act_t *dy, const act_t *x, int64_t R,
                               int64_t n_out, int64_t n_in);

    /* ---- low-rank adapters: y += scale * xa b^T on n_out columns; xa = x a^T, act [R, r] (arXiv 2106.09685) ---- */
    void (*lora_fwd)(kernels_t *k, slice_t y, const act_t *xa, const act_t *b, float scale, int64_t R, int64_t n_out,
                     int64_t r); /* act b [n_out, r] */
    void (*lora_bwd)(kernels_t *k, act_t *dxa, float *db, slice_t dy, const act_t *xa, const act_t *b, float scale,
                     int64_t R, int64_t n_out, int64_t r); /* db NULL: not wanted */

    /* ---- norms with modulation; a gradient of weights (dw, dwq, dwk) may be NULL: not wanted ---- */
    /* y = x / rms(x) * w * (1 + scale_b) + shift_b; rstd f32 [R] is kept for backward. */
    void (*rms_mod_fwd)(kernels_t *k, act_t *y, float *rstd, const act_t *x, const act_t *w, slice_t shift,
                        slice_t scale, int64_t B, int64_t L, int64_t D, float eps);
    /* ADDS to dx, overwrites dshift and dscale. */
    void (*rms_mod_bwd)(kernels_t *k, act_t *dx, float *dw, slice_t dshift, slice_t dscale, const act_t *dy,
                        const act_t *x, const float *rstd, const act_t *w, slice_t scale, int64_t B, int64_t L,
                        int64_t D);
    /* y = layernorm(x) * (1 + scale_b) + shift_b, no affine weights; stats f32 [R, 2] = mean, 1 / deviation. */
    void (*layer_mod_fwd)(kernels_t *k, act_t *y, float *stats, const act_t *x, slice_t shift, slice_t scale, int64_t B,
                          int64_t L, int64_t D, float eps);
    void (*layer_mod_bwd)(kernels_t *k, act_t *dx, slice_t dshift, slice_t dscale, const act_t *dy, const act_t *x,
                          const float *stats, slice_t scale, int64_t B, int64_t L, int64_t D);
    /* y[:, column:column+D] = x / rms(x) * w, y [R, stride]: one layer of text features. */
    void (*rms_fwd)(kernels_t *k, slice_t y, float *rstd, const act_t *x, const act_t *w, int64_t R, int64_t D,
                    float eps);
    void (*rms_bwd)(kernels_t *k, act_t *dx, float *dw, slice_t dy, const act_t *x, const float *rstd, const act_t *w,
                    int64_t R, int64_t D); /* dx NULL where the features are frozen */

    /* ---- attention ---- */
    /* Splits qkv [B, L, 3, H, K], gives q and k an RMS norm over K with weights wq, wk [K] and rotates adjacent pairs
     * by rope f32 [L, K/2, 2] = (cos, sin); writes tokens first .. first+L-1 of q, k, v [B, H, S, K]. */
    void (*qkv_fwd)(kernels_t *k, act_t *q, act_t *key, act_t *v, const act_t *qkv, const act_t *wq, const act_t *wk,
                    const float *rope, int64_t B, int64_t L, int64_t H, int64_t K, int64_t S, int64_t first, float eps);
    void (*qkv_bwd)(kernels_t *k, act_t *dqkv, float *dwq, float *dwk, const act_t *dq, const act_t *dk,
                    const act_t *dv, const act_t *qkv, const act_t *wq, const act_t *wk, const float *rope, int64_t B,
                    int64_t L, int64_t H, int64_t K, int64_t S, int64_t first, float eps);
    /* softmax(q k^T / sqrt(K)) v over the valid keys; image rows to o_img [B, N, H*K], text rows (where n_queries is S)
     * to o_txt [B, T, H*K]; lse f32 [B, H, S]: logarithm of the softmax's denominator. */
    void (*attention_fwd)(kernels_t *k, act_t *o_img, act_t *o_txt, float *lse, const act_t *q, const act_t *key,
                          const act_t *v, const attention_shape_t *shape);
    void (*attention_bwd)(kernels_t *k, act_t *dq, act_t *dk, act_t *dv, const act_t *do_img, const act_t *do_txt,
                          const act_t *o_img, const act_t *o_txt, const float *lse, const act_t *q, const act_t *key,
                          const act_t *v,
                          const attention_shape_t *shape); /* writes all S rows, zeros where nothing flows */

    /* ---- element-wise ---- */
    void (*gated_add_fwd)(kernels_t *k, act_t *out, const act_t *x, const act_t *y, slice_t gate, int64_t B, int64_t L,
                          int64_t D); /* out = x + gate_b * y */
    void (*gated_add_bwd)(kernels_t *k, act_t *dy, slice_t dgate, const act_t *dout, const act_t *y, slice_t gate,
                          int64_t B, int64_t L, int64_t D); /* the gradient of x is dout itself */
    void (*swiglu_fwd)(kernels_t *k, act_t *h, const act_t *uv, int64_t R,
                       int64_t M); /* h = silu(u) * v, uv [R, 2, M] */
    void (*swiglu_bwd)(kernels_t *k, act_t *duv, const act_t *dh, const act_t *uv, int64_t R, int64_t M);
    void (*silu_fwd)(kernels_t *k, act_t *y, const act_t *x, int64_t n);
    void (*silu_bwd)(kernels_t *k, act_t *dx, const act_t *dy, const act_t *x, int64_t n);
    /* [cos a, sin a], a = 1000 t exp(-ln(10000) i / (dim/2)): f32 t[B] to act [B, dim]. */
    void (*timestep_fwd)(kernels_t *k, act_t *emb, const float *t, int64_t B, int64_t dim);
    /* out[r] = sum_j table[ids[r, j]]; ids i32 [R, n_ids], negative: nothing. */
    void (*embed_fwd)(kernels_t *k, act_t *out, const act_t *table, const int32_t *ids, int64_t R, int64_t n_ids,
                      int64_t E);
    void (*embed_bwd)(kernels_t *k, float *dtable, const act_t *dout, const int32_t *ids, int64_t R, int64_t n_ids,
                      int64_t E);

    /* ---- flow matching (t = 1 is noise) ---- */
    /* u8 [B, h*p, w*p, 3] in 0..255 to f32 tokens [B, h*w, 3*p*p] in [-1, 1]; channel order (c, p1, p2). And back,
     * rounded. */
    void (*patchify)(kernels_t *k, float *tokens, const uint8_t *pixels, int64_t B, int64_t h, int64_t w, int64_t p);
    void (*unpatchify)(kernels_t *k, uint8_t *pixels, const float *tokens, int64_t B, int64_t h, int64_t w, int64_t p);
    /* f32 [B, n] standard normal; row b is a function of streams[b] (host memory) alone: four values a Philox block. */
    void (*noise)(kernels_t *k, float *out, const rng_t *streams, int64_t B, int64_t n);
    void (*flow_mix)(kernels_t *k, act_t *x_t, const float *data, const float *noise, const float *t, int64_t B,
                     int64_t n);
    /* loss[b] = mean over n of (v - (noise - data))^2; dv = weight * d loss[b] / dv. */
    void (*flow_loss)(kernels_t *k, double *loss, act_t *dv, const act_t *v, const float *data, const float *noise,
                      float weight, int64_t B, int64_t n);
    /* v = comb * |cond| / |comb| a token, comb = uncond + g (cond - uncond). */
    void (*guide)(kernels_t *k, float *v, const act_t *cond, const act_t *uncond, float g, int64_t R, int64_t C);
    void (*axpy)(kernels_t *k, float *x, const float *v, float a, int64_t n); /* x += a v */

    /* ---- optimiser, over flat f32 buffers ---- */
    void (*sum_squares)(kernels_t *k, double *out, const float *x, int64_t n); /* ADDS to *out, on the device */
    void (*sum_losses)(kernels_t *k, double *out, const double *loss, double weight,
                       int64_t n); /* ADDS weight * (loss[0] + ... + loss[n-1]) to *out, on the device */
    /* Whether the step is taken, by sums [2] = of squares of its gradient, its loss. *gate is device memory; the rows
     * that read it do nothing where the verdict is another than STEP_TAKEN. */
    void (*judge)(kernels_t *k, step_gate_t *gate, const double *sums, const step_rule_t *rule);
    /* Decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101) on gradients times the gate's scale; writes
     * weights too. */
    void (*adamw)(kernels_t *k, float *master, act_t *weights, float *m, float *v, const float *g,
                  const step_gate_t *gate, int64_t n, const adamw_t *o);
    /* average += (1 - d) (master - average), d: the lesser of decay and the gate's ramp. */
    void (*ema)(kernels_t *k, float *average, const float *master, const step_gate_t *gate, int64_t n, double decay);
    /* Muon's (Jordan et al. 2024), beside products. m = momentum m + g scale; u = momentum m + g scale (Nesterov) */
    void (*nesterov)(kernels_t *k, act_t *u, float *m, const float *g, const step_gate_t *gate, float momentum,
                     int64_t n);
    void (*normalize)(kernels_t *k, act_t *y, const act_t *x, int64_t n); /* y = x / |x|; 0 where |x| is. y may be x */
    /* x[n, n] = a I + b s + c x: a polynomial of s, where x holds s^2. */
    void (*polynomial)(kernels_t *k, act_t *x, const act_t *s, float a, float b, float c, int64_t n);
    /* master = keep master - step u; writes weights too. */
    void (*decay_step)(kernels_t *k, float *master, act_t *weights, const act_t *u, const step_gate_t *gate, float keep,
                       float step, int64_t n);

    /* ---- accounting: when work was done ---- */
    void (*mark)(kernels_t *k, int slot); /* the moment when all that was asked for before is done; slot: any, from 0 */
    double (*marked_s)(kernels_t *k, int from, int to); /* seconds between two; fetch_end or finish came after both */

    /* ---- accounting: the matrix products a step made, and what they cost bare ---- */
    void (*trace_begin)(kernels_t *k);    /* forgets earlier ones */
    void (*trace_continue)(kernels_t *k); /* adds to them */
    void (*trace_end)(kernels_t *k);
    double (*trace_flop)(const kernels_t *k);                 /* 2 * multiply-adds of the recorded products */
    lens_status (*trace_replay_s)(kernels_t *k, double *out); /* seconds of the same products, nothing else */
    lens_status (*peak_gflops)(kernels_t *k, double *out);    /* of a large square product, measured now */
};

/* What the longest text of a batch is padded to, at most `most`; 0 stays 0. */
static inline int64_t kernels_padded_tokens(const kernels_t *k, int64_t longest, int64_t most) {
    int64_t padded = (longest + k->token_multiple - 1) / k->token_multiple * k->token_multiple;
    return padded < most ? padded : most;
}

/* A slice of a matrix that is wholly the slice. */
static inline slice_t slice_at(act_t *data, int64_t stride, int64_t column) {
    return (slice_t){.data = data, .stride = stride, .column = column};
}

/* n_threads 0: OMP_NUM_THREADS where it is set, else the cores that this process may run on, which `n_sharing`
 * processes share, itself included. */
LENS_CHECKED lens_status kernels_cpu_new(kernels_t **out, int n_threads, int n_sharing);
/* On one GPU, numbered as CUDA does. Activations are bf16; float where LENS_CUDA_F32=1 is in the environment, to
 * compare with the CPU. deterministic: equal inputs give equal bits, run after run. Fails where no such device answers;
 * always, where the build has no CUDA. */
LENS_CHECKED lens_status kernels_cuda_new(kernels_t **out, int device, bool deterministic);
int kernels_cuda_count(void);                   /* GPUs that answer this process; costs nothing where no driver is */
static inline void kernels_free(kernels_t *k) { /* NULL is allowed */
    if (k) k->end(k);
}
int64_t kernels_cpu_attention_floats(int64_t S, int64_t K); /* scratch of a thread's attention, forward and backward */
int kernels_cpu_threads(void);                              /* threads that a parallel region uses now */

#endif
