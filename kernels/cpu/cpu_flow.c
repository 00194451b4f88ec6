/* Flow matching: pixels and tokens, noise, mixing, loss, guidance. */
#include <math.h>

#include "kernels/cpu/cpu_kernels.h"

/* Element of a picture for token (r, c) of an h x w grid, channel ch, patch row p1, column p2. */
static int64_t pixel_at(int64_t b, int64_t r, int64_t c, int64_t p1, int64_t p2, int64_t ch, int64_t h, int64_t w,
                        int64_t p) {
    return ((b * h * p + r * p + p1) * w * p + c * p + p2) * 3 + ch;
}

static void patchify(kernels_t *k, float *tokens, const uint8_t *pixels, int64_t B, int64_t h, int64_t w, int64_t p) {
    (void)k;
#pragma omp parallel for schedule(static)
    for (int64_t token = 0; token < B * h * w; token++) {
        int64_t b = token / (h * w), r = token / w % h, c = token % w;
        float *out = tokens + token * 3 * p * p;
        for (int64_t ch = 0; ch < 3; ch++)
            for (int64_t p1 = 0; p1 < p; p1++)
                for (int64_t p2 = 0; p2 < p; p2++)
                    *out++ = (float)pixels[pixel_at(b, r, c, p1, p2, ch, h, w, p)] / 127.5f - 1.0f;
    }
}

static uint8_t to_byte(float x) {
    float scaled = (x + 1.0f) * 127.5f + 0.5f;
    return scaled <= 0 ? 0 : scaled >= 255 ? 255 : (uint8_t)scaled; /* not a number gives 255, seen at once */
}

static void unpatchify(kernels_t *k, uint8_t *pixels, const float *tokens, int64_t B, int64_t h, int64_t w, int64_t p) {
    (void)k;
#pragma omp parallel for schedule(static)
    for (int64_t token = 0; token < B * h * w; token++) {
        int64_t b = token / (h * w), r = token / w % h, c = token % w;
        const float *in = tokens + token * 3 * p * p;
        for (int64_t ch = 0; ch < 3; ch++)
            for (int64_t p1 = 0; p1 < p; p1++)
                for (int64_t p2 = 0; p2 < p; p2++) pixels[pixel_at(b, r, c, p1, p2, ch, h, w, p)] = to_byte(*in++);
    }
}

/* Box-Muller on the two pairs of a Philox block; u in (0, 1]. */
static void four_normals(float out[4], const rng_t *stream, uint32_t block) {
    uint32_t counter[4] = {block, stream->counter[1], stream->counter[2], stream->counter[3]}, word[4];
    rng_philox(word, counter, stream->key);
    for (int i = 0; i < 4; i += 2) {
        float u = ((float)(word[i] >> 8) + 1.0f) * 0x1p-24f,
              angle = (float)(word[i + 1] >> 8) * 0x1p-24f * 6.28318530718f;
        float radius = sqrtf(-2.0f * logf(u));
        out[i] = radius * cosf(angle);
        out[i + 1] = radius * sinf(angle);
    }
}

static void noise(kernels_t *k, float *out, const rng_t *streams, int64_t B, int64_t n) {
    (void)k;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < n; i += 4) {
            float four[4];
            four_normals(four, &streams[b], (uint32_t)(i / 4));
            for (int64_t j = i; j < n && j < i + 4; j++) out[b * n + j] = four[j - i];
        }
}

static void flow_mix(kernels_t *k, act_t *x_t, const float *data, const float *e, const float *t, int64_t B,
                     int64_t n) {
    (void)k;
    float *x = x_t;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < B; b++) {
        float keep = 1.0f - t[b];
#pragma omp simd
        for (int64_t i = b * n; i < (b + 1) * n; i++) x[i] = keep * data[i] + t[b] * e[i];
    }
}

static void flow_loss(kernels_t *k, double *loss, act_t *dv_, const act_t *v_, const float *data, const float *e,
                      float weight, int64_t B, int64_t n) {
    (void)k;
    const float *v = v_;
    float *dv = dv_, slope = 2.0f * weight / (float)n;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < B; b++) {
        double sum = 0;
        for (int64_t i = b * n; i < (b + 1) * n; i++) {
            float error = v[i] - (e[i] - data[i]);
            sum += (double)error * (double)error;
            dv[i] = slope * error;
        }
        loss[b] = sum / (double)n;
    }
}

static void guide(kernels_t *k, float *v_, const act_t *cond_, const act_t *uncond_, float g, int64_t R, int64_t C) {
    (void)k;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < R; r++) {
        const float *cond = (const float *)cond_ + r * C, *uncond = (const float *)uncond_ + r * C;
        float *v = v_ + r * C, norm_cond = 0, norm_comb = 0;
        for (int64_t i = 0; i < C; i++) {
            v[i] = uncond[i] + g * (cond[i] - uncond[i]);
            norm_cond += cond[i] * cond[i];
            norm_comb += v[i] * v[i];
        }
        float ratio = norm_comb > 0 ? sqrtf(norm_cond) / fmaxf(sqrtf(norm_comb), 1e-12f) : 1.0f;
        for (int64_t i = 0; i < C; i++) v[i] *= ratio;
    }
}

static void axpy(kernels_t *k, float *x, const float *v, float a, int64_t n) {
    (void)k;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) x[i] += a * v[i];
}

void cpu_fill_flow(kernels_t *k) {
    k->patchify = patchify;
    k->unpatchify = unpatchify;
    k->noise = noise;
    k->flow_mix = flow_mix;
    k->flow_loss = flow_loss;
    k->guide = guide;
    k->axpy = axpy;
}
