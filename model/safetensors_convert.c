/* Elements of safetensors files to and from float32. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "model/safetensors.h"

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

/* To nearest, ties to even; what is too large becomes an infinity, a NaN stays one. */
static uint16_t f16_from_f32(float x) {
    uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* from 65520 on */
    if (rest < 0x38800000u) /* below 2^-14: a multiple of 2^-24, which adding 0.5 rounds to */
        return (uint16_t)(sign | (bits_of(fabsf(x) + 0.5f) - 0x3f000000u));
    return (uint16_t)(sign | (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13);
}

static uint16_t bf16_from_f32(float x) {
    uint32_t bits = bits_of(x);
    if (isnan(x)) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* The bytes may be unaligned, so each element goes through memcpy, which compiles to a plain load. */
#define READ_LOOP(type, expression)                                                                                    \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        type x;                                                                                                        \
        memcpy(&x, bytes + i * (int64_t)sizeof(x), sizeof(x));                                                         \
        out[i] = (expression);                                                                                         \
    }

lens_status safetensors_read_f32_range(const st_tensor_t *t, int64_t first, int64_t n, float *out) {
    LENS_ASSERT(first >= 0 && n >= 0 && first <= t->n - n, "elements %lld + %lld of %lld", (long long)first,
                (long long)n, (long long)t->n);
    if (n == 0) return LENS_OK;
    const uint8_t *bytes = (const uint8_t *)t->bytes + (size_t)first * st_dtype_bytes(t->dtype);
    switch (t->dtype) {
    case ST_F32:
        memcpy(out, bytes, (size_t)n * sizeof(float));
        return LENS_OK;
    case ST_F64:
        READ_LOOP(double, (float)x) return LENS_OK;
    case ST_F16:
        READ_LOOP(uint16_t, half_from_f16(x)) return LENS_OK;
    case ST_BF16:
        READ_LOOP(uint16_t, half_from_bf16(x)) return LENS_OK;
    case ST_I32:
        READ_LOOP(int32_t, (float)x) return LENS_OK;
    case ST_U8:
        READ_LOOP(uint8_t, (float)x) return LENS_OK;
    case ST_I64:
    case ST_BOOL:
    case ST_N_DTYPES:
        break;
    }
    return lens_fail(LENS_FORMAT, "tensor '%s': dtype %s cannot be read as numbers of type F32", t->name,
                     st_dtype_name(t->dtype));
}

lens_status safetensors_read_f32(const st_tensor_t *t, float *out) {
    return safetensors_read_f32_range(t, 0, t->n, out);
}

lens_status st_from_f32(st_dtype dtype, void *out, const float *in, int64_t n) {
    LENS_ASSERT(dtype == ST_F32 || dtype == ST_F16 || dtype == ST_BF16, "dtype %d", (int)dtype);
    if (dtype == ST_F32) {
        memcpy(out, in, (size_t)n * sizeof(float));
        return LENS_OK;
    }
    uint16_t *half = out, infinity = dtype == ST_F16 ? 0x7c00u : 0x7f80u;
    for (int64_t i = 0; i < n; i++) {
        half[i] = dtype == ST_F16 ? f16_from_f32(in[i]) : bf16_from_f32(in[i]);
        if ((half[i] & 0x7fffu) == infinity && isfinite(in[i]))
            return lens_fail(LENS_FORMAT, "element %lld, %g, is too large for %s", (long long)i, (double)in[i],
                             st_dtype_name(dtype));
    }
    return LENS_OK;
}
