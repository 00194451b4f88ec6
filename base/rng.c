#include "base/rng.h"

#include <math.h>

static void philox_round(uint32_t c[4], uint32_t k0, uint32_t k1) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
    c[1] = (uint32_t)p1;
    c[3] = (uint32_t)p0;
    c[0] = n0;
    c[2] = n2;
}

void rng_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]) {
    uint32_t k0 = key[0], k1 = key[1];
    for (int i = 0; i < 4; i++) out[i] = counter[i];
    for (int round = 0; round < 10; round++) {
        philox_round(out, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

rng_t rng_stream(uint64_t seed, uint32_t epoch, uint64_t index, rng_purpose purpose) {
    return (rng_t){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                   .counter = {0, (uint32_t)index, epoch, (uint32_t)purpose << 8 | (uint32_t)(index >> 32 & 0xFF)},
                   .used = 4};
}

void rng_seek(rng_t *r, uint32_t n) {
    r->counter[0] = n;
    r->used = 4;
}

uint32_t rng_u32(rng_t *r) {
    if (r->used == 4) {
        rng_philox(r->block, r->counter, r->key);
        r->counter[0]++;
        r->used = 0;
    }
    return r->block[r->used++];
}

double rng_uniform(rng_t *r) {
    uint64_t high = rng_u32(r) >> 5, low = rng_u32(r) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

double rng_normal(rng_t *r) {
    double u = 1.0 - rng_uniform(r), v = rng_uniform(r); /* u in (0, 1] */
    return sqrt(-2.0 * log(u)) * cos(2.0 * 3.14159265358979323846 * v);
}

uint32_t rng_below(rng_t *r, uint32_t n) {
    /* Lemire's method: reject the few values that would make some results likelier. */
    uint64_t product = (uint64_t)rng_u32(r) * n;
    if ((uint32_t)product < n) {
        uint32_t threshold = -n % n;
        while ((uint32_t)product < threshold) product = (uint64_t)rng_u32(r) * n;
    }
    return (uint32_t)(product >> 32);
}

/* Balanced Feistel network of 4 rounds over 2 * half_bits bits: a bijection whatever the round function. */
static uint64_t feistel(uint64_t x, int half_bits, uint32_t epoch, const uint32_t key[2]) {
    uint64_t mask = (UINT64_C(1) << half_bits) - 1, left = x >> half_bits, right = x & mask;
    for (uint32_t round = 0; round < 4; round++) {
        uint32_t counter[4] = {(uint32_t)right, round, epoch, (uint32_t)RNG_ORDER << 8}, out[4];
        rng_philox(out, counter, key);
        uint64_t next = left ^ (out[0] & mask);
        left = right;
        right = next;
    }
    return left << half_bits | right;
}

uint64_t rng_permute(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t i) {
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    int half_bits = 1;
    while (half_bits < 32 && (UINT64_C(1) << 2 * half_bits) < n) half_bits++;
    do i = feistel(i, half_bits, epoch, key); /* walks the cycle until it is back inside [0, n): at most 4 n values */
    while (i >= n);
    return i;
}
