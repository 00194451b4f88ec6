#include "data/bucket.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

typedef struct {
    const char *name;
    int n;
    struct {
        int16_t width, height;
    } row[5]; /* upright and square: the transposes complete them */
} named_list_t;

static const named_list_t NAMED[] = {
    {"lens-512", 5, {{352, 704}, {384, 672}, {416, 640}, {448, 608}, {512, 512}}},
    {"lens-768", 5, {{544, 1088}, {576, 1024}, {640, 960}, {672, 896}, {768, 768}}},
    {"lens-1024", 5, {{736, 1472}, {768, 1376}, {832, 1248}, {864, 1152}, {1024, 1024}}},
};
enum { N_NAMED = sizeof NAMED / sizeof NAMED[0] };

static int64_t pixels(const bucket_t *b) {
    return (int64_t)b->width * b->height;
}

static int order(int64_t a, int64_t b) {
    return (a > b) - (a < b);
}

static int compare_pixels(const void *a, const void *b) {
    return order(pixels(a), pixels(b));
}

static int compare_area_then_side(const void *a, const void *b) {
    const bucket_t *x = a, *y = b;
    if (x->area != y->area) return order(x->area, y->area);
    return x->width != y->width ? order(x->width, y->width) : order(x->height, y->height);
}

static lens_status add(bucket_list_t *l, int64_t width, int64_t height) {
    if (width < 1 || width > BUCKET_MAX_SIDE || height < 1 || height > BUCKET_MAX_SIDE)
        return lens_fail(LENS_ARGUMENT, "buckets: %lldx%lld px, expected sides of 1 to %d", (long long)width,
                         (long long)height, BUCKET_MAX_SIDE);
    for (int i = 0; i < l->n; i++) {
        if (l->bucket[i].width == width && l->bucket[i].height == height)
            return lens_fail(LENS_ARGUMENT, "buckets: %lldx%lld is given twice", (long long)width, (long long)height);
    }
    if (l->n == BUCKET_MAX) return lens_fail(LENS_ARGUMENT, "buckets: more than %d", BUCKET_MAX);
    l->bucket[l->n++] = (bucket_t){.width = (int32_t)width, .height = (int32_t)height};
    return LENS_OK;
}

static lens_status add_named(bucket_list_t *l, const named_list_t *named) {
    for (int i = 0; i < named->n; i++) {
        int64_t width = named->row[i].width, height = named->row[i].height;
        LENS_TRY(add(l, width, height));
        if (width != height) LENS_TRY(add(l, height, width));
    }
    return LENS_OK;
}

/* Decimal digits alone; *end is after them. -1 where there are none, or too many for a side. */
static int64_t parse_side(const char *text, const char **end) {
    int64_t side = 0;
    for (*end = text; **end >= '0' && **end <= '9' && *end - text < 9; (*end)++) side = 10 * side + (**end - '0');
    return *end == text ? -1 : side;
}

/* One item of n bytes. */
static lens_status add_item(bucket_list_t *l, const char *item, size_t n) {
    if (n == 7 && memcmp(item, "lens-27", n) == 0) {
        for (int i = 0; i < N_NAMED; i++) LENS_TRY(add_named(l, &NAMED[i]));
        return LENS_OK;
    }
    for (int i = 0; i < N_NAMED; i++) {
        if (n == strlen(NAMED[i].name) && memcmp(item, NAMED[i].name, n) == 0) return add_named(l, &NAMED[i]);
    }
    const char *end;
    int64_t width = parse_side(item, &end), height = -1;
    if (width >= 0 && *end == 'x') height = parse_side(end + 1, &end);
    if (height < 0 || end != item + n)
        return lens_fail(LENS_ARGUMENT,
                         "buckets: '%.*s': expected lens-27, lens-512, lens-768, lens-1024 or WIDTHxHEIGHT",
                         n < 64 ? (int)n : 64, item);
    return add(l, width, height);
}

static void group_by_area(bucket_list_t *l) {
    qsort(l->bucket, (size_t)l->n, sizeof l->bucket[0], compare_pixels);
    int64_t smallest = pixels(&l->bucket[0]);
    int area = 0;
    for (int i = 0; i < l->n; i++) {
        if (2 * pixels(&l->bucket[i]) > 3 * smallest) {
            smallest = pixels(&l->bucket[i]);
            area++;
        }
        l->bucket[i].area = area;
    }
    l->n_areas = area + 1;
    qsort(l->bucket, (size_t)l->n, sizeof l->bucket[0], compare_area_then_side);
}

lens_status bucket_list_parse(bucket_list_t *out, const char *spec, double max_upscale) {
    memset(out, 0, sizeof *out);
    if (max_upscale != 0 && !(max_upscale >= 1 && max_upscale <= 1000))
        return lens_fail(LENS_ARGUMENT, "buckets: enlarging by up to %g, expected 0 (no limit) or 1 to 1000",
                         max_upscale);
    out->max_upscale = max_upscale;
    for (const char *item = spec;; item++) {
        size_t n = strcspn(item, ",");
        LENS_TRY(add_item(out, item, n));
        item += n;
        if (*item == '\0') break;
    }
    group_by_area(out);
    return LENS_OK;
}

/* How far two aspects are apart, as the fraction max(r, 1 / r) >= 1 of r = (width / height) / (w / h). Compared as
 * integers: logarithms of another library could round a tie the other way. */
typedef struct {
    uint64_t above, below;
} distance_t;

static distance_t distance(const bucket_t *b, int32_t width, int32_t height) {
    uint64_t x = (uint64_t)width * (uint64_t)b->height, y = (uint64_t)height * (uint64_t)b->width;
    return x > y ? (distance_t){x, y} : (distance_t){y, x};
}

static bool is_nearer(distance_t a, distance_t b) {
    return (unsigned __int128)a.above * b.below < (unsigned __int128)b.above * a.below;
}

int bucket_nearest(const bucket_list_t *l, int area, int32_t width, int32_t height, const bool *allowed) {
    int best = -1;
    distance_t best_distance = {0};
    for (int i = 0; i < l->n; i++) {
        if (l->bucket[i].area != area || (allowed && !allowed[i])) continue;
        distance_t d = distance(&l->bucket[i], width, height);
        if (best >= 0 && !is_nearer(d, best_distance)) continue;
        best = i;
        best_distance = d;
    }
    return best;
}

static bool is_large_enough(const bucket_list_t *l, int bucket, int32_t width, int32_t height) {
    const bucket_t *b = &l->bucket[bucket];
    return l->max_upscale == 0 || (b->width <= l->max_upscale * width && b->height <= l->max_upscale * height);
}

int bucket_assign(const bucket_list_t *l, int32_t width, int32_t height, uint64_t image_hash) {
    int candidate[BUCKET_MAX], n = 0;
    for (int area = 0; area < l->n_areas; area++) {
        int bucket = bucket_nearest(l, area, width, height, NULL);
        if (is_large_enough(l, bucket, width, height)) candidate[n++] = bucket;
    }
    return n == 0 ? -1 : candidate[(unsigned __int128)image_hash * (unsigned)n >> 64];
}

uint64_t bucket_list_hash(const bucket_list_t *l) {
    uint64_t numbers[2 + 2 * BUCKET_MAX] = {(uint64_t)l->n};
    memcpy(&numbers[1], &l->max_upscale, sizeof l->max_upscale);
    for (int i = 0; i < l->n; i++) {
        numbers[2 + 2 * i] = (uint64_t)l->bucket[i].width;
        numbers[3 + 2 * i] = (uint64_t)l->bucket[i].height;
    }
    uint8_t bytes[sizeof numbers];
    size_t n = (size_t)(2 + 2 * l->n) * 8;
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(numbers[i / 8] >> 8 * (i % 8));
    return XXH3_64bits(bytes, n);
}
