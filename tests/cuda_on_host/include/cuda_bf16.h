/* bfloat16 on the host: the upper half of a float, rounded to nearest even. No operators: kernels compute in float. */
#ifndef LENS_TESTS_HOST_CUDA_BF16_H
#define LENS_TESTS_HOST_CUDA_BF16_H

#include "tests/cuda_on_host/include/cuda_runtime.h"

struct __nv_bfloat16 {
    uint16_t bits;
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

static inline float __bfloat162float(__nv_bfloat16 x) {
    return __uint_as_float((unsigned)x.bits << 16);
}
static inline __nv_bfloat16 __float2bfloat16_rn(float x) {
    unsigned u = __float_as_uint(x);
    if (x != x) return {0x7FFF};
    return {(uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16)};
}
static inline __nv_bfloat16 __float2bfloat16(float x) {
    return __float2bfloat16_rn(x);
}
static inline __nv_bfloat16 __double2bfloat16(double x) {
    float f = (float)x; /* to odd where it is not exact, so that rounding twice is rounding once */
    if ((double)f != x && x == x && !(__float_as_uint(f) & 1))
        f = nextafterf(f, (double)f < x ? (float)INFINITY : (float)-INFINITY);
    return __float2bfloat16_rn(f);
}
static inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
    return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
static inline __nv_bfloat162 __float22bfloat162_rn(float2 v) {
    return __floats2bfloat162_rn(v.x, v.y);
}
static inline float2 __bfloat1622float2(__nv_bfloat162 v) {
    return {__bfloat162float(v.x), __bfloat162float(v.y)};
}
static inline float __low2float(__nv_bfloat162 v) {
    return __bfloat162float(v.x);
}
static inline float __high2float(__nv_bfloat162 v) {
    return __bfloat162float(v.y);
}
static inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) {
    return {x, y};
}
static inline uint16_t __bfloat16_as_ushort(__nv_bfloat16 x) {
    return x.bits;
}
static inline __nv_bfloat16 __ushort_as_bfloat16(uint16_t bits) {
    return {bits};
}

#endif
