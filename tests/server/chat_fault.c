#include "tests/server/chat_fault.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/rng.h"

typedef enum { KIND_OK, KIND_WAY, KIND_NAMED, KIND_BAD } fault_kind;

static const struct {
    const char *name;
    fault_kind kind;
} table[] = {
#define CHAT_FAULT_ROW(identifier, name, kind) {name, KIND_##kind},
    CHAT_FAULT_LIST(CHAT_FAULT_ROW)
#undef CHAT_FAULT_ROW
};

struct seen_slot {
    uint64_t key; /* 0: free */
    uint32_t times;
};

const char *chat_fault_name(chat_fault fault) {
    return table[fault].name;
}

lens_status chat_faults_allow(chat_faults_t *f, const char *names) {
    uint32_t allowed = 0;
    for (const char *at = names; *at; at += strspn(at, ",")) {
        const size_t n = strcspn(at, ",");
        int i = 1;
        while (i < CHAT_N_FAULTS && (strlen(table[i].name) != n || memcmp(table[i].name, at, n) != 0)) i++;
        if (i == CHAT_N_FAULTS && !(n == 3 && memcmp(at, "all", 3) == 0))
            return lens_fail(LENS_ARGUMENT, "faults: there is none named '%.*s'", (int)n, at);
        allowed |= i == CHAT_N_FAULTS ? 0 : 1u << i;
        at += n;
    }
    f->allowed = allowed;
    return LENS_OK;
}

/* ---- how often ---- */

static void put_seen(struct seen_slot *slots, size_t cap, struct seen_slot one) {
    size_t i = one.key >> 1 & (cap - 1);
    while (slots[i].key) i = (i + 1) & (cap - 1);
    slots[i] = one;
}

static lens_status grow_seen(chat_faults_t *f) {
    const size_t cap = f->cap_seen ? 2 * f->cap_seen : 1024;
    struct seen_slot *slots = calloc(cap, sizeof *slots);
    if (!slots) return lens_fail(LENS_MEMORY, "cannot allocate what was asked: %zu entries", cap);
    for (size_t i = 0; i < f->cap_seen; i++)
        if (f->seen[i].key) put_seen(slots, cap, f->seen[i]);
    free(f->seen);
    f->seen = slots;
    f->cap_seen = cap;
    return LENS_OK;
}

static lens_status count_seen(chat_faults_t *f, uint64_t key, uint32_t *times) {
    if (4 * f->n_seen >= 3 * f->cap_seen) LENS_TRY(grow_seen(f));
    size_t i = (key |= 1) >> 1 & (f->cap_seen - 1);
    while (f->seen[i].key && f->seen[i].key != key) i = (i + 1) & (f->cap_seen - 1);
    f->n_seen += !f->seen[i].key;
    f->seen[i].key = key;
    *times = f->seen[i].times++;
    return LENS_OK;
}

/* ---- the draw ---- */

static bool is_in(const chat_faults_t *f, int i, bool is_bad) {
    const fault_kind kind = table[i].kind;
    if (f->allowed ? !(f->allowed >> i & 1) : kind == KIND_NAMED) return false;
    return is_bad ? kind == KIND_BAD : kind == KIND_WAY || kind == KIND_NAMED;
}

static chat_fault draw(const chat_faults_t *f, uint64_t key, uint32_t times, bool is_bad) {
    rng_t rng = rng_stream(key, times, is_bad, RNG_TEST);
    if (rng_uniform(&rng) >= (is_bad ? f->bad_rate : f->error_rate)) return CHAT_FAULT_NONE;
    int among[CHAT_N_FAULTS];
    uint32_t n = 0;
    for (int i = 0; i < CHAT_N_FAULTS; i++)
        if (is_in(f, i, is_bad)) among[n++] = i;
    return n ? (chat_fault)among[rng_below(&rng, n)] : CHAT_FAULT_NONE;
}

lens_status chat_faults_draw(chat_faults_t *f, uint64_t picture, uint64_t seed, chat_draw_t *out) {
    const uint64_t parts[3] = {f->seed, picture, seed}, key = XXH64(parts, sizeof parts, 0);
    *out = (chat_draw_t){0};
    LENS_TRY(count_seen(f, key, &out->times));
    out->on_the_way = draw(f, key, out->times, false);
    out->bad = draw(f, key, 0, true);
    return LENS_OK;
}

void chat_faults_free(chat_faults_t *f) {
    free(f->seen);
}
