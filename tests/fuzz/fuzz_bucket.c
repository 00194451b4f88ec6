/* Lists of buckets from text: what parses is sound, and any picture then goes to a bucket that is allowed to it. */
#include "data/bucket.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check(const bucket_list_t *l, int32_t width, int32_t height, uint64_t hash) {
    int bucket = bucket_assign(l, width, height, hash);
    if (bucket < 0) return;
    const bucket_t *b = &l->bucket[bucket];
    LENS_ASSERT(bucket < l->n && b->width <= width && b->height <= height, "bucket %d", bucket);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    bucket_list_t l;
    char *spec = malloc(n + 1);
    if (!spec) return 0;
    memcpy(spec, bytes, n);
    spec[n] = '\0';
    if (bucket_list_parse(&l, spec, 1) == LENS_OK) {
        LENS_ASSERT(l.n >= 1 && l.n <= BUCKET_MAX && l.n_areas >= 1 && l.n_areas <= l.n, "%d buckets", l.n);
        for (uint64_t i = 0; i < 64; i++)
            check(&l, 1 + (int32_t)(i * i * i * 7919), 1 + (int32_t)(i * i * 104729 % 65536),
                  i * UINT64_C(0x9E3779B97F4A7C15));
        check(&l, INT32_MAX, INT32_MAX, UINT64_MAX);
    }
    free(spec);
    return 0;
}
