#include "data/image_grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { W = 3, H = 2, N = 5 };

/* Pictures of one colour each: picture i is (10 + i, 20 + i, 30 + i). */
static void make_pictures(image_t pictures[N]) {
    for (int i = 0; i < N; i++) {
        assert_int_equal(image_new(&pictures[i], W, H), LENS_OK);
        for (int p = 0; p < W * H; p++)
            for (int c = 0; c < 3; c++) pictures[i].rgb[p * 3 + c] = (uint8_t)(10 * (c + 1) + i);
    }
}

static void free_pictures(image_t pictures[N]) {
    for (int i = 0; i < N; i++) image_free(&pictures[i]);
}

static void test_every_pixel_in_its_place(void **state) {
    (void)state;
    image_t pictures[N], grid;
    make_pictures(pictures);
    assert_int_equal(image_grid(&grid, pictures, N, 3, 2), LENS_OK);
    assert_int_equal(grid.width, 3 * W + 2 * 2);
    assert_int_equal(grid.height, 2 * H + 2);
    for (int y = 0; y < grid.height; y++)
        for (int x = 0; x < grid.width; x++) {
            int column = x / (W + 2), row = y / (H + 2), i = row * 3 + column;
            bool white = x % (W + 2) >= W || y % (H + 2) >= H || i >= N;
            for (int c = 0; c < 3; c++)
                assert_int_equal(grid.rgb[(y * grid.width + x) * 3 + c], white ? 255 : 10 * (c + 1) + i);
        }
    image_free(&grid);
    free_pictures(pictures);
}

static void test_row_no_wider_than_its_pictures(void **state) {
    (void)state;
    image_t pictures[N], grid;
    make_pictures(pictures);
    assert_int_equal(image_grid(&grid, pictures, 2, 8, 0), LENS_OK);
    assert_int_equal(grid.width, 2 * W);
    assert_int_equal(grid.height, H);
    image_free(&grid);
    free_pictures(pictures);
}

static void test_refuses(void **state) {
    (void)state;
    image_t pictures[N], grid;
    make_pictures(pictures);
    assert_int_equal(image_grid(&grid, pictures, 0, 1, 0), LENS_ARGUMENT);
    assert_int_equal(image_grid(&grid, pictures, N, 0, 0), LENS_ARGUMENT);
    assert_int_equal(image_grid(&grid, pictures, N, 1, -1), LENS_ARGUMENT);
    assert_int_equal(image_grid(&grid, pictures, N, 1, INT32_MAX), LENS_ARGUMENT);
    pictures[4].width = 2;
    assert_int_equal(image_grid(&grid, pictures, N, 2, 1), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "picture 4 of the grid is 2x2 px"));
    assert_null(grid.rgb);
    free_pictures(pictures);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pixel_in_its_place),
        cmocka_unit_test(test_row_no_wider_than_its_pictures),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
