/* Elements to and from float32: every half there and back, ties, subnormals, what is too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "model/safetensors.h"

static float read_one(st_dtype dtype, uint16_t bits) {
    st_tensor_t t = {.name = "t", .dtype = dtype, .n = 1, .bytes = &bits};
    float x;
    assert_int_equal(safetensors_read_f32(&t, &x), LENS_OK);
    return x;
}

static uint16_t write_one(st_dtype dtype, float x) {
    uint16_t bits;
    assert_int_equal(st_from_f32(dtype, &bits, &x, 1), LENS_OK);
    return bits;
}

static void every_half_comes_back(void **state) {
    (void)state;
    for (int dtype = 0; dtype < 2; dtype++)
        for (uint32_t bits = 0; bits < 65536; bits++) {
            st_dtype type = dtype ? ST_F16 : ST_BF16;
            float x = read_one(type, (uint16_t)bits);
            uint16_t back = write_one(type, x);
            if (isnan(x))
                assert_true(isnan(read_one(type, back)));
            else
                assert_int_equal(back, bits);
        }
}

/* Between two neighbours: the nearer, the even one in the middle. */
static void halves_are_rounded_to_nearest_even(void **state) {
    (void)state;
    static const st_dtype types[] = {ST_F16, ST_BF16};
    for (size_t k = 0; k < 2; k++) {
        uint32_t n = types[k] == ST_F16 ? 0x7bff : 0x7f7f;
        for (uint32_t bits = 0; bits < n; bits++) {
            float low = read_one(types[k], (uint16_t)bits), high = read_one(types[k], (uint16_t)(bits + 1));
            float middle = low + (high - low) / 2; /* a float: it has more digits than either */
            assert_int_equal(write_one(types[k], middle), bits + (bits & 1));
            if (nextafterf(middle, INFINITY) < high)
                assert_int_equal(write_one(types[k], nextafterf(middle, INFINITY)), bits + 1);
            if (nextafterf(middle, -INFINITY) > low)
                assert_int_equal(write_one(types[k], -nextafterf(middle, -INFINITY)), bits | 0x8000);
        }
    }
}

static void what_is_too_large_is_refused(void **state) {
    (void)state;
    float x[] = {1, 65519.9f, 65520, 3.4e38f, INFINITY};
    uint16_t out[2];
    assert_int_equal(write_one(ST_F16, x[1]), 0x7bff);
    assert_int_equal(st_from_f32(ST_F16, out, &x[2], 1), LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "65520, is too large for F16"));
    assert_int_equal(st_from_f32(ST_BF16, out, &x[3], 1), LENS_FORMAT);
    assert_int_equal(write_one(ST_F16, x[4]), 0x7c00);
    assert_int_equal(write_one(ST_BF16, -x[4]), 0xff80);
}

static void ranges_are_read(void **state) {
    (void)state;
    uint16_t bits[] = {0x3f80, 0x4000, 0x4040, 0x4080};
    float x[2], f32[] = {5, 6, 7};
    st_tensor_t t = {.name = "t", .dtype = ST_BF16, .n = 4, .bytes = bits};
    assert_int_equal(safetensors_read_f32_range(&t, 1, 2, x), LENS_OK);
    assert_true(x[0] == 2 && x[1] == 3);
    assert_int_equal(safetensors_read_f32_range(&t, 4, 0, x), LENS_OK);
    t = (st_tensor_t){.name = "t", .dtype = ST_F32, .n = 3, .bytes = f32};
    assert_int_equal(safetensors_read_f32_range(&t, 2, 1, x), LENS_OK);
    assert_true(x[0] == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_comes_back),
        cmocka_unit_test(halves_are_rounded_to_nearest_even),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(ranges_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
