/* exp and other pieces, written so that the compiler turns loops over them into vector code. */
#ifndef LENS_KERNELS_CPU_VEC_MATH_H
#define LENS_KERNELS_CPU_VEC_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* e^x within 2 ulp on [-87, 88]; outside, the value at the nearer end: what softmax and sigmoid need, no infinities.
 * x = n ln 2 + r with |r| <= ln(2)/2, e^r by its degree-6 polynomial (Cephes expf), 2^n through the exponent bits. */
static inline float vec_exp(float x) {
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    float shifted = x * 1.44269504088896341f + magic;
    float n = shifted - magic;
    float r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (int32_t)((uint32_t)(bits + 127 - 0x4B400000) << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline float vec_sigmoid(float x) {
    return 1.0f / (1.0f + vec_exp(-x));
}

/* 1 / sqrt(mean(x^2) + eps) over n elements. */
static inline float vec_inverse_rms(const float *x, int64_t n, float eps) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return 1.0f / sqrtf(sum / (float)n + eps);
}

#endif
