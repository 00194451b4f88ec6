#include "data/shuffle.h"

#include <stdint.h>
#include <string.h>

void shuffle_bytes(void *out, const void *in, size_t n, size_t element) {
    const uint8_t *from = in;
    uint8_t *to = out;
    for (size_t j = 0; j < element; j++)
        for (size_t i = 0; i < n; i++) to[j * n + i] = from[i * element + j];
}

void unshuffle_bytes(void *out, const void *in, size_t n, size_t element, size_t begin, size_t count) {
    const uint8_t *from = (const uint8_t *)in + begin;
    uint8_t *restrict to = out;
    if (element == 1) {
        memcpy(to, from, count);
    } else if (element == 2) { /* of its own, so that the compiler interleaves vectors */
        const uint8_t *restrict low = from, *restrict high = from + n;
        for (size_t i = 0; i < count; i++) {
            to[2 * i] = low[i];
            to[2 * i + 1] = high[i];
        }
    } else {
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < element; j++) to[i * element + j] = from[j * n + i];
    }
}
