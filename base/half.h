/* Halves to floats, exactly: every value of either type is a float. */
#ifndef LENS_BASE_HALF_H
#define LENS_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_from_bits(uint32_t bits) {
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

static inline float half_from_bf16(uint16_t h) {
    return half_from_bits((uint32_t)h << 16);
}

/* A subnormal half is its 10 bits times 2^-24. */
static inline float half_from_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023;
    if (exponent == 0) return half_from_bits(sign) + (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
    if (exponent == 31) return half_from_bits(sign | 0x7f800000 | fraction << 13);
    return half_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

#endif
