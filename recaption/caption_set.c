#include "recaption/caption_set.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "recaption/words.h"

struct caption_set_slot {
    uint64_t hash;
    int64_t sample; /* +1: 0 is a free slot */
};

void caption_set_free(caption_set_t *s) {
    free(s->slots);
    *s = (caption_set_t){0};
}

uint64_t caption_hash(const char *text) {
    uint64_t h = 0;
    size_t n;
    for (const char *w; (w = words_next(&text, &n));)
        for (size_t i = 0; i < n; i += 32) {
            char lower[32];
            size_t m = n - i < sizeof lower ? n - i : sizeof lower;
            for (size_t k = 0; k < m; k++) lower[k] = (char)tolower((unsigned char)w[i + k]);
            h = XXH3_64bits_withSeed(lower, m, h + (i == 0)); /* +1 at a word's start keeps "a b" from "ab" */
        }
    return h;
}

static struct caption_set_slot *slot_of(const caption_set_t *s, uint64_t hash) {
    uint64_t mask = (uint64_t)s->cap - 1, at = hash & mask;
    while (s->slots[at].sample != 0 && s->slots[at].hash != hash) at = (at + 1) & mask;
    return &s->slots[at];
}

int64_t caption_set_find(const caption_set_t *s, uint64_t hash) {
    return s->cap ? slot_of(s, hash)->sample - 1 : -1;
}

static lens_status grow(caption_set_t *s) {
    caption_set_t larger = {.cap = s->cap ? s->cap * 2 : 1024, .n = s->n};
    larger.slots = calloc((size_t)larger.cap, sizeof *larger.slots);
    if (!larger.slots) return lens_fail(LENS_MEMORY, "out of memory for %lld captions", (long long)larger.cap);
    for (int64_t i = 0; i < s->cap; i++)
        if (s->slots[i].sample) *slot_of(&larger, s->slots[i].hash) = s->slots[i];
    free(s->slots);
    *s = larger;
    return LENS_OK;
}

lens_status caption_set_add(caption_set_t *s, uint64_t hash, int64_t sample) {
    if (3 * (s->n + 1) > 2 * s->cap) LENS_TRY(grow(s));
    struct caption_set_slot *slot = slot_of(s, hash);
    if (slot->sample) return LENS_OK;
    *slot = (struct caption_set_slot){.hash = hash, .sample = sample + 1};
    s->n++;
    return LENS_OK;
}
