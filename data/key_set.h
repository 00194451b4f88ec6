/* A set of keys by their 64-bit hashes: 16 bytes a key. Two keys of the same hash count as one: in 300 million keys the
 * chance of such a false alarm is 1 in 400. One thread. Zero-initialise: key_set_t s = {0}. */
#ifndef LENS_DATA_KEY_SET_H
#define LENS_DATA_KEY_SET_H

#include "base/error.h"

typedef struct {
    uint64_t *slots; /* open addressing, 0: empty; owned */
    uint64_t n, cap; /* cap: a power of two */
} key_set_t;

void key_set_free(key_set_t *s);
bool key_set_has(const key_set_t *s, const char *key, size_t n);
LENS_CHECKED lens_status key_set_add(key_set_t *s, const char *key, size_t n); /* MEMORY only; being there is fine */

#endif
