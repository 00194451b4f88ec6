#include "data/near_dup.h"

#include <stdlib.h>
#include <string.h>

#include "data/phash.h"

enum {
    BUFFER_MAX = 2048,
    BUCKET = 16,        /* hashes under one prefix, about */
    BUCKET_LARGE = 128, /* more than these are told apart by further bits */
    HALF_BITS = 32,
    RUNS_MAX = 32, /* BUFFER_MAX * 2^21 is 2^32 */
};

/* A sorted array in both families. Family 0: the hashes; family 1: their halves swapped. */
typedef struct {
    uint64_t n;
    uint64_t *key[2];
    uint32_t *start[2]; /* [2^bits + 1]: where the keys of each prefix begin */
    int bits;
} run_t;

struct near_dup {
    int flips[2]; /* bits that may differ in the half that comes first in a family; -1: the family is not searched */
    int radius;
    uint64_t n;
    run_t run[RUNS_MAX]; /* each more than twice, or once merged, as large as the next */
    int n_runs, n_buffer;
    uint64_t buffer[BUFFER_MAX];
};

static uint64_t swapped(uint64_t hash) {
    return hash << HALF_BITS | hash >> HALF_BITS;
}

static void run_free(run_t *r) {
    for (int f = 0; f < 2; f++) {
        free(r->key[f]);
        free(r->start[f]);
    }
    *r = (run_t){0};
}

lens_status near_dup_new(near_dup_t **out, int radius) {
    *out = NULL;
    if (radius < 0 || radius > NEAR_DUP_RADIUS_MAX)
        return lens_fail(LENS_ARGUMENT, "radius of near-duplicates %d, expected 0 to %d", radius, NEAR_DUP_RADIUS_MAX);
    near_dup_t *n = calloc(1, sizeof *n);
    if (!n) return lens_fail(LENS_MEMORY, "cannot allocate the hashes of near-duplicates");
    n->radius = radius;
    n->flips[0] = radius / 2;
    n->flips[1] = radius ? (radius - 1) / 2 : -1; /* radius 0: the first family finds what is equal */
    *out = n;
    return LENS_OK;
}

void near_dup_free(near_dup_t *n) {
    if (!n) return;
    for (int i = 0; i < n->n_runs; i++) run_free(&n->run[i]);
    free(n);
}

int64_t near_dup_n(const near_dup_t *n) {
    return (int64_t)n->n;
}

uint64_t near_dup_bytes(const near_dup_t *n) {
    uint64_t bytes = sizeof *n;
    for (int i = 0; i < n->n_runs; i++)
        bytes += 2 * (n->run[i].n * sizeof *n->run[i].key[0] +
                      ((UINT64_C(1) << n->run[i].bits) + 1) * sizeof *n->run[i].start[0]);
    return bytes;
}

/* ---- adding ---- */

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* start[p]: the first key whose prefix is p or more. */
static lens_status run_index(run_t *r) {
    r->bits = 1;
    while (r->bits < HALF_BITS - 1 && (UINT64_C(1) << (r->bits + 1)) * BUCKET <= r->n) r->bits++;
    size_t n_prefixes = (size_t)1 << r->bits;
    for (int f = 0; f < 2; f++) {
        free(r->start[f]);
        r->start[f] = malloc((n_prefixes + 1) * sizeof *r->start[f]);
        if (!r->start[f]) return lens_fail(LENS_MEMORY, "%zu places of perceptual hashes", n_prefixes);
        size_t p = 0;
        for (uint64_t i = 0; i < r->n; i++)
            for (; p <= r->key[f][i] >> (64 - r->bits); p++) r->start[f][p] = (uint32_t)i;
        for (; p <= n_prefixes; p++) r->start[f][p] = (uint32_t)r->n;
    }
    return LENS_OK;
}

/* Merges `from` into `into` and frees it: from the end, in the memory that `into` grows by, one family after the other,
 * so that at most a quarter more is held meanwhile. */
static lens_status run_merge(run_t *into, run_t *from) {
    uint64_t n = into->n + from->n;
    for (int f = 0; f < 2; f++) {
        uint64_t *a = realloc(into->key[f], n * sizeof *a), *b = from->key[f], i = into->n, j = from->n;
        if (!a) return lens_fail(LENS_MEMORY, "%llu perceptual hashes", (unsigned long long)n);
        into->key[f] = a;
        while (j > 0) {
            bool take_a = i > 0 && a[i - 1] > b[j - 1];
            a[i + j - 1] = take_a ? a[i - 1] : b[j - 1];
            i -= take_a;
            j -= !take_a;
        }
        free(b);
        from->key[f] = NULL;
    }
    into->n = n;
    run_free(from);
    return run_index(into);
}

static lens_status flush(near_dup_t *n) {
    if (n->n > UINT32_MAX - BUFFER_MAX)
        return lens_fail(LENS_STATE, "more than %llu pictures: near-duplicates are found among 2^32 at most",
                         (unsigned long long)n->n);
    LENS_ASSERT(n->n_runs < RUNS_MAX, "%d runs of hashes", n->n_runs);
    run_t *r = &n->run[n->n_runs++];
    *r = (run_t){.n = BUFFER_MAX};
    for (int f = 0; f < 2; f++) {
        r->key[f] = malloc(sizeof n->buffer);
        if (!r->key[f]) return lens_fail(LENS_MEMORY, "%d perceptual hashes", BUFFER_MAX);
        for (int i = 0; i < BUFFER_MAX; i++) r->key[f][i] = f ? swapped(n->buffer[i]) : n->buffer[i];
        qsort(r->key[f], BUFFER_MAX, sizeof *r->key[f], by_value);
    }
    n->n_buffer = 0;
    if (n->n_runs == 1 || n->run[n->n_runs - 2].n > r->n) return run_index(r);
    for (; n->n_runs > 1 && n->run[n->n_runs - 2].n <= n->run[n->n_runs - 1].n; n->n_runs--)
        LENS_TRY(run_merge(&n->run[n->n_runs - 2], &n->run[n->n_runs - 1]));
    return LENS_OK;
}

lens_status near_dup_add(near_dup_t *n, uint64_t phash) {
    if (phash == PHASH_FLAT) return LENS_OK;
    if (n->n_buffer == BUFFER_MAX) LENS_TRY(flush(n));
    n->buffer[n->n_buffer++] = phash;
    n->n++;
    return LENS_OK;
}

/* ---- looking ---- */

typedef struct {
    uint64_t hash; /* as in the family that is searched */
    bool swapped;
    int best; /* distance of the nearest so far; radius + 1: none */
    uint64_t of;
} search_t;

static void look_at(search_t *s, uint64_t key) {
    int distance = phash_distance(key, s->hash);
    uint64_t of = s->swapped ? swapped(key) : key;
    if (distance < s->best || (distance == s->best && of < s->of)) s->of = of;
    if (distance < s->best) s->best = distance;
}

/* Hardly any key is near: eight at a time are passed over without a branch. */
static void scan(search_t *s, const uint64_t *keys, uint64_t n) {
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t nearest = 64;
        for (int k = 0; k < 8; k++) {
            uint64_t distance = (uint64_t)__builtin_popcountll(keys[i + (uint64_t)k] ^ s->hash);
            nearest = distance < nearest ? distance : nearest;
        }
        for (uint64_t k = 0; nearest <= (uint64_t)s->best && k < 8; k++) look_at(s, keys[i + k]);
    }
    for (; i < n; i++) look_at(s, keys[i]);
}

/* keys[n] are equal in their first `bit` bits; up to `flips` of the bits from there to the half may differ. */
static void descend(search_t *s, const uint64_t *keys, uint64_t n, int bit, int flips) {
    if (n <= BUCKET_LARGE || bit == HALF_BITS) {
        scan(s, keys, n);
        return;
    }
    uint64_t mask = UINT64_C(1) << (63 - bit), lo = 0, hi = n; /* the first key that has the bit */
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (keys[mid] & mask)
            hi = mid;
        else
            lo = mid + 1;
    }
    bool set = s->hash & mask;
    if (!set || flips > 0) descend(s, keys, lo, bit + 1, flips - set);
    if (set || flips > 0) descend(s, keys + lo, n - lo, bit + 1, flips - !set);
}

/* The prefix, and all that differ from it in up to `flips` of the bits from `bit` on, each once. */
static void visit(search_t *s, const run_t *r, int family, uint64_t prefix, int bit, int flips) {
    uint32_t begin = r->start[family][prefix], end = r->start[family][prefix + 1];
    descend(s, r->key[family] + begin, end - begin, r->bits, flips);
    for (int b = bit; flips > 0 && b < r->bits; b++) visit(s, r, family, prefix ^ UINT64_C(1) << b, b + 1, flips - 1);
}

/* Of `bits` bits, in how many ways up to `flips` (0 to 3) change. */
static uint64_t n_places(int bits, int flips) {
    uint64_t n = flips < 0 ? 0 : 1, ways = 1, b = (uint64_t)bits;
    for (uint64_t k = 1; (int)k <= flips && k <= b; k++) {
        ways = ways * (b - k + 1) / k;
        n += ways;
    }
    return n;
}

static void search_run(search_t *s, const near_dup_t *n, const run_t *r, uint64_t phash) {
    s->hash = phash;
    s->swapped = false;
    if (2 * BUCKET * (n_places(r->bits, n->flips[0]) + n_places(r->bits, n->flips[1])) >= r->n) {
        scan(s, r->key[0], r->n);
        return;
    }
    for (int f = 0; f < 2; f++) {
        s->hash = f ? swapped(phash) : phash;
        s->swapped = f;
        if (n->flips[f] >= 0) visit(s, r, f, s->hash >> (64 - r->bits), 0, n->flips[f]);
    }
}

bool near_dup_find(const near_dup_t *n, uint64_t phash, int *distance, uint64_t *of) {
    search_t s = {.hash = phash, .best = n->radius + 1};
    *distance = -1;
    *of = 0;
    if (phash == PHASH_FLAT) return false;
    scan(&s, n->buffer, (uint64_t)n->n_buffer);
    for (int i = 0; i < n->n_runs; i++) search_run(&s, n, &n->run[i], phash);
    if (s.best > n->radius) return false;
    *distance = s.best;
    *of = s.of;
    return true;
}

lens_status near_dup_check(near_dup_t *n, uint64_t phash, bool *is_dup, int *distance, uint64_t *of) {
    *is_dup = near_dup_find(n, phash, distance, of);
    return *is_dup ? LENS_OK : near_dup_add(n, phash);
}
