#include "data/key_set.h"

#include <stdlib.h>
#include <xxhash.h>

void key_set_free(key_set_t *s) {
    free(s->slots);
    *s = (key_set_t){0};
}

static uint64_t hash_of(const char *key, size_t n) {
    uint64_t hash = XXH3_64bits(key, n);
    return hash ? hash : 1;
}

/* The slot of hash, or the empty one where it belongs. */
static uint64_t *slot_of(uint64_t *slots, uint64_t cap, uint64_t hash) {
    uint64_t at = hash & (cap - 1);
    while (slots[at] != 0 && slots[at] != hash) at = (at + 1) & (cap - 1);
    return &slots[at];
}

bool key_set_has(const key_set_t *s, const char *key, size_t n) {
    return s->cap && *slot_of(s->slots, s->cap, hash_of(key, n)) != 0;
}

static lens_status grow(key_set_t *s) {
    uint64_t cap = s->cap ? 2 * s->cap : 1024, *slots = calloc((size_t)cap, sizeof *slots);
    if (!slots) return lens_fail(LENS_MEMORY, "out of memory for %llu keys", (unsigned long long)cap / 2);
    for (uint64_t i = 0; i < s->cap; i++)
        if (s->slots[i]) *slot_of(slots, cap, s->slots[i]) = s->slots[i];
    free(s->slots);
    s->slots = slots;
    s->cap = cap;
    return LENS_OK;
}

lens_status key_set_add(key_set_t *s, const char *key, size_t n) {
    if (2 * (s->n + 1) > s->cap) LENS_TRY(grow(s));
    uint64_t hash = hash_of(key, n), *slot = slot_of(s->slots, s->cap, hash);
    if (*slot == 0) s->n++;
    *slot = hash;
    return LENS_OK;
}
