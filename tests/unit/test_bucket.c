/* Buckets: the published list, and a picture's bucket as a function of its size and hash. */
#include "data/bucket.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bucket_list_t parse(const char *spec, double max_upscale) {
    bucket_list_t l;
    if (bucket_list_parse(&l, spec, max_upscale) != LENS_OK) fail_msg("%s", lens_error());
    return l;
}

static void test_published(void **state) {
    (void)state;
    bucket_list_t l = parse("lens-27", 1);
    assert_int_equal(l.n, 27);
    assert_int_equal(l.n_areas, 3);
    int n_of_area[3] = {0};
    for (int i = 0; i < l.n; i++) {
        const bucket_t *b = &l.bucket[i];
        int base = b->area == 0 ? 512 : b->area == 1 ? 768 : 1024;
        n_of_area[b->area]++;
        assert_int_equal(b->width % 16, 0);
        assert_int_equal(b->height % 16, 0);
        assert_true(fabs((double)b->width * b->height / ((double)base * base) - 1) < 0.06);
        int n_transposes = 0;
        for (int k = 0; k < l.n; k++) n_transposes += l.bucket[k].width == b->height && l.bucket[k].height == b->width;
        assert_int_equal(n_transposes, 1);
    }
    for (int area = 0; area < 3; area++) assert_int_equal(n_of_area[area], 9);
    assert_int_equal(parse("lens-1024", 1).n, 9);
    assert_int_equal(parse("lens-1024", 1).n_areas, 1);
    bucket_list_t three = parse("lens-1024,lens-512,lens-768", 1);
    assert_memory_equal(&three, &l, sizeof l);
}

static void test_malformed(void **state) {
    (void)state;
    static const struct {
        const char *spec, *part;
    } specs[] = {{"", "''"},
                 {"lens-2", "'lens-2'"},
                 {"512", "'512'"},
                 {"512x", "'512x'"},
                 {"x512", "'x512'"},
                 {"512x512,", "''"},
                 {"512x-3", "'512x-3'"},
                 {"512 x512", "'512 x512'"},
                 {"0x5", "sides of 1 to 16383"},
                 {"16384x5", "sides of 1 to 16383"},
                 {"99999999999999999999x5", "expected lens-27"},
                 {"512x512,lens-512", "twice"}};
    bucket_list_t l;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        assert_int_equal(bucket_list_parse(&l, specs[i].spec, 1), LENS_ARGUMENT);
        if (!strstr(lens_error(), specs[i].part)) fail_msg("expected '%s' in: %s", specs[i].part, lens_error());
    }
    static const double scales[] = {-1, 0.5, 1e6, NAN};
    for (int i = 0; i < 4; i++) assert_int_equal(bucket_list_parse(&l, "8x8", scales[i]), LENS_ARGUMENT);
    char many[BUCKET_MAX * 8 + 16] = "";
    for (int i = 0, at = 0; i <= BUCKET_MAX; i++)
        at += snprintf(many + at, sizeof many - (size_t)at, "%s16x%d", i ? "," : "", i + 1);
    assert_int_equal(bucket_list_parse(&l, many, 1), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "more than 128"));
}

/* Every aspect goes to the bucket of the nearest log ratio, and the transposed picture to the transposed bucket. */
static void test_nearest_aspect(void **state) {
    (void)state;
    bucket_list_t l = parse("lens-512", 0);
    for (int32_t width = 40; width < 3000; width += 37) {
        int32_t height = 600;
        const bucket_t *b = &l.bucket[bucket_assign(&l, width, height, 99)];
        const bucket_t *turned = &l.bucket[bucket_assign(&l, height, width, 99)];
        double found = fabs(log((double)width / height) - log((double)b->width / b->height));
        for (int i = 0; i < l.n; i++) {
            double other = fabs(log((double)width / height) - log((double)l.bucket[i].width / l.bucket[i].height));
            assert_true(found <= other + 1e-12);
        }
        assert_int_equal(b->width, turned->height);
        assert_int_equal(b->height, turned->width);
    }
    bucket_list_t pair = parse("100x200,200x100", 0); /* a square is as near to both: the first */
    assert_int_equal(pair.bucket[bucket_assign(&pair, 300, 300, 5)].width, 100);
    assert_int_equal(bucket_assign(&l, INT32_MAX, INT32_MAX, 5), 4); /* nothing overflows */
}

/* Areas that would enlarge the picture are out; those left are as likely as each other. */
static void test_areas(void **state) {
    (void)state;
    enum { N = 3000 };
    bucket_list_t l = parse("lens-27", 1);
    int n_of_area[3] = {0};
    for (uint64_t i = 0; i < N; i++) {
        uint64_t hash = i * UINT64_C(0x9E3779B97F4A7C15);
        int large = bucket_assign(&l, 4000, 4000, hash);
        n_of_area[l.bucket[large].area]++;
        assert_true(l.bucket[bucket_assign(&l, 900, 900, hash)].area <= 1);
        assert_int_equal(l.bucket[bucket_assign(&l, 600, 600, hash)].area, 0);
        assert_int_equal(bucket_assign(&l, 511, 512, hash), -1);
        assert_int_equal(bucket_assign(&l, 512, 511, hash), -1);
    }
    for (int area = 0; area < 3; area++) assert_in_range(n_of_area[area], N / 3 - 110, N / 3 + 110);
    bucket_list_t half = parse("lens-512", 2);
    assert_int_equal(bucket_assign(&half, 256, 256, 1), 4);
    assert_int_equal(bucket_assign(&half, 255, 256, 1), -1);
    bucket_list_t any = parse("lens-512", 0);
    assert_int_equal(bucket_assign(&any, 1, 1, 1), 4);
}

static void test_hash(void **state) {
    (void)state;
    bucket_list_t a = parse("512x512,352x704", 1), b = parse("352x704,512x512", 1), c = parse("512x512,352x704", 1.5),
                  d = parse("512x512,352x688", 1);
    assert_int_equal(bucket_list_hash(&a), bucket_list_hash(&b));
    assert_int_not_equal(bucket_list_hash(&a), bucket_list_hash(&c));
    assert_int_not_equal(bucket_list_hash(&a), bucket_list_hash(&d));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_malformed), cmocka_unit_test(test_nearest_aspect),
        cmocka_unit_test(test_areas),     cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
