/* Attention by cuDNN beside the plain kernels on one GPU: how far apart they are, whether the same inputs give the same
 * bits again, and what each takes.
 *
 *   check_attention [B H N T K]      without: a list of shapes; exit 1 where a difference is too large
 *
 * Forward and backward, with text that asks and without, deterministic and not. Errors are in units of bf16's rounding
 * (2^-8) of the largest value; LIMIT is what the emulated device's tests allow, doubled, since both sides round here.
 * The sides share no code but the rows' copies. One JSON line a shape on stdout; ms: of the second call, host and
 * device. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kernels/kernels.h"

#define LIMIT 4.0

enum { O_IMG, O_TXT, LSE, DQ, DK, DV, N_OUTPUTS };
static const char *const names[N_OUTPUTS] = {"o_img", "o_txt", "lse", "dq", "dk", "dv"};

typedef struct {
    kernels_t *k;
    attention_shape_t s;
    void *q, *key, *v, *do_img, *do_txt, *n_keys, *out[N_OUTPUTS];
    int64_t n[N_OUTPUTS];
    float *host[N_OUTPUTS]; /* after the second call; the first call's in `first` */
    float *first[N_OUTPUTS];
    double fwd_ms, bwd_ms;
} side_t;

/* Device memory of n act elements; random: of the same values each time for a purpose. */
static lens_status new_act(kernels_t *k, void **out, int64_t n, uint64_t purpose, bool random) {
    rng_t rng = rng_stream(7, 0, purpose, RNG_TEST);
    void *wide = NULL;
    LENS_TRY(k->alloc(k, out, k->act_bytes * (size_t)n + 1, "a check"));
    if (!random || n == 0) return LENS_OK;
    float *x = malloc(sizeof *x * (size_t)n);
    if (!x) return lens_fail(LENS_MEMORY, "out of memory for %lld values", (long long)n);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(rng_uniform(&rng) * 4 - 2);
    lens_status st = k->alloc(k, &wide, sizeof *x * (size_t)n, "a check");
    if (st == LENS_OK) {
        k->upload(k, wide, x, sizeof *x * (size_t)n);
        k->to_act(k, *out, wide, n);
        k->free(k, wide);
    }
    free(x);
    return st;
}

/* An output as floats. */
static lens_status read_back(const side_t *a, int i, float *x) {
    void *wide = NULL;
    if (i == LSE) {
        a->k->download(a->k, x, a->out[i], sizeof *x * (size_t)a->n[i]);
        return a->k->finish(a->k);
    }
    LENS_TRY(a->k->alloc(a->k, &wide, sizeof *x * (size_t)a->n[i] + 1, "a check"));
    a->k->to_float(a->k, wide, a->out[i], a->n[i]);
    a->k->download(a->k, x, wide, sizeof *x * (size_t)a->n[i]);
    a->k->free(a->k, wide);
    return a->k->finish(a->k);
}

static lens_status set_up(side_t *a, const char *choice, bool deterministic, const attention_shape_t *shape,
                          const int32_t *n_keys) {
    int64_t S = shape->N + shape->T, D = shape->H * shape->K, all = shape->B * S * D;
    *a = (side_t){.s = *shape};
    if (setenv("LENS_CUDA_ATTENTION", choice, 1) != 0) return lens_fail(LENS_MEMORY, "no room in the environment");
    LENS_TRY(kernels_cuda_new(&a->k, 0, deterministic));
    const int64_t n[N_OUTPUTS] = {
        shape->B * shape->N * D, shape->B * shape->T * D, shape->B * shape->H * S, all, all, all};
    memcpy(a->n, n, sizeof n);
    LENS_TRY(new_act(a->k, &a->q, all, 1, true));
    LENS_TRY(new_act(a->k, &a->key, all, 2, true));
    LENS_TRY(new_act(a->k, &a->v, all, 3, true));
    LENS_TRY(new_act(a->k, &a->do_img, n[O_IMG], 4, true));
    LENS_TRY(new_act(a->k, &a->do_txt, n[O_TXT], 5, true));
    LENS_TRY(a->k->alloc(a->k, &a->n_keys, sizeof *n_keys * (size_t)shape->B, "a check"));
    a->k->upload(a->k, a->n_keys, n_keys, sizeof *n_keys * (size_t)shape->B);
    a->s.n_keys = a->n_keys;
    for (int i = 0; i < N_OUTPUTS; i++) {
        a->host[i] = calloc((size_t)n[i] + 1, sizeof(float));
        a->first[i] = calloc((size_t)n[i] + 1, sizeof(float));
        if (!a->host[i] || !a->first[i]) return lens_fail(LENS_MEMORY, "out of memory for results");
        LENS_TRY(i == LSE ? a->k->alloc(a->k, &a->out[i], sizeof(float) * (size_t)n[i], "a check")
                          : new_act(a->k, &a->out[i], n[i], 0, false));
    }
    return LENS_OK;
}

static void tear_down(side_t *a) {
    for (int i = 0; i < N_OUTPUTS; i++) {
        if (a->k) a->k->free(a->k, a->out[i]);
        free(a->host[i]);
        free(a->first[i]);
    }
    void *const all[] = {a->q, a->key, a->v, a->do_img, a->do_txt, a->n_keys};
    for (size_t i = 0; a->k && i < sizeof all / sizeof all[0]; i++) a->k->free(a->k, all[i]);
    kernels_free(a->k);
}

/* Both passes; results to x. */
static lens_status run_once(side_t *a, float *const x[N_OUTPUTS]) {
    kernels_t *k = a->k;
    LENS_TRY(k->finish(k));
    double begin_s = log_clock_s();
    k->attention_fwd(k, a->out[O_IMG], a->out[O_TXT], a->out[LSE], a->q, a->key, a->v, &a->s);
    LENS_TRY(k->finish(k));
    double between_s = log_clock_s();
    k->attention_bwd(k, a->out[DQ], a->out[DK], a->out[DV], a->do_img, a->do_txt, a->out[O_IMG], a->out[O_TXT],
                     a->out[LSE], a->q, a->key, a->v, &a->s);
    LENS_TRY(k->finish(k));
    a->fwd_ms = (between_s - begin_s) * 1e3;
    a->bwd_ms = (log_clock_s() - between_s) * 1e3;
    for (int i = 0; i < N_OUTPUTS; i++) LENS_TRY(read_back(a, i, x[i]));
    return LENS_OK;
}

/* In units; infinite where one is no number. */
static double difference(const float *want, const float *got, int64_t n) {
    double most = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - (double)want[i]);
        if (!(error <= worst)) worst = isnan(error) ? (double)INFINITY : error;
        if (fabs((double)want[i]) > most) most = fabs((double)want[i]);
    }
    return worst == 0 ? 0 : worst / (most / 256);
}

/* A JSON line; false: too far apart. */
static bool report(const side_t *own, const side_t *fused, bool deterministic) {
    const attention_shape_t *s = &own->s;
    bool good = true, same = true;
    printf("{\"B\": %lld, \"H\": %lld, \"N\": %lld, \"T\": %lld, \"K\": %lld, \"queries\": %lld, \"deterministic\": %s",
           (long long)s->B, (long long)s->H, (long long)s->N, (long long)s->T, (long long)s->K, (long long)s->n_queries,
           deterministic ? "true" : "false");
    for (int i = 0; i < N_OUTPUTS; i++) {
        double units = difference(own->host[i], fused->host[i], own->n[i]);
        printf(", \"%s\": %.2f", names[i], units);
        good = good && units <= LIMIT;
        same = same && !memcmp(fused->host[i], fused->first[i], sizeof(float) * (size_t)own->n[i]);
    }
    good = good && (same || !deterministic);
    printf(", \"same_again\": %s, \"own_ms\": [%.3f, %.3f], \"cudnn_ms\": [%.3f, %.3f], \"good\": %s}\n",
           same ? "true" : "false", own->fwd_ms, own->bwd_ms, fused->fwd_ms, fused->bwd_ms, good ? "true" : "false");
    return good;
}

static lens_status compare(attention_shape_t s, bool deterministic, bool *good) {
    side_t own = {0}, fused = {0};
    int32_t *n_keys = calloc((size_t)s.B, sizeof *n_keys);
    lens_status st = n_keys ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for lengths");
    for (int64_t b = 0; n_keys && b < s.B; b++) n_keys[b] = (int32_t)(s.N + s.T * (b + 1) / s.B);
    if (st == LENS_OK) st = set_up(&own, "own", deterministic, &s, n_keys);
    if (st == LENS_OK) st = set_up(&fused, "cudnn", deterministic, &s, n_keys);
    for (int i = 0; i < 2 && st == LENS_OK; i++) {
        st = run_once(&own, i ? own.host : own.first);
        if (st == LENS_OK) st = run_once(&fused, i ? fused.host : fused.first);
    }
    if (st == LENS_OK && !report(&own, &fused, deterministic)) *good = false;
    tear_down(&own);
    tear_down(&fused);
    free(n_keys);
    return st;
}

static const int64_t shapes[][5] = {{1, 2, 9, 5, 64},      {3, 4, 77, 13, 128},    {2, 3, 256, 0, 64},
                                    {4, 24, 1024, 77, 64}, {2, 24, 4096, 256, 64}, {2, 12, 4096, 511, 128}};

int main(int argc, char **argv) {
    enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };
    int64_t one[5];
    bool good = true;
    for (int i = 0; i < 5 && argc == 6; i++) one[i] = strtoll(argv[i + 1], NULL, 10);
    for (int i = 0; i < (argc == 6 ? 1 : N_SHAPES); i++) {
        const int64_t *x = argc == 6 ? one : shapes[i];
        for (int way = 0; way < 4; way++) {
            attention_shape_t s = {.B = x[0], .H = x[1], .N = x[2], .T = x[3], .K = x[4], .n_queries = x[2]};
            if (way < 2) s.n_queries += s.T;
            if (way >= 2 && s.T == 0) continue;
            if (compare(s, way % 2 == 0, &good) != LENS_OK) {
                fprintf(stderr, "check_attention: %s\n", lens_error());
                return 1;
            }
        }
    }
    return good ? 0 : 1;
}
