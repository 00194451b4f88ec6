/* Colours, shapes and measurements of pictures drawn here. */
#include "tests/unit/drawing.h"

#include <stdlib.h>

#include "recaption/measure.h"

static colour_table_t *colours;

static int set_up(void **state) {
    (void)state;
    colours = malloc(sizeof *colours);
    if (!colours) return -1;
    colour_table_init(colours);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free(colours);
    return 0;
}

static void measure(measure_t *m, image_t *im) {
    assert_int_equal(measure_image(m, colours, im), LENS_OK);
    image_free(im);
}

static void assert_colour(uint32_t rgb, colour_t expected) {
    const uint8_t bytes[3] = {(uint8_t)(rgb >> 16), (uint8_t)(rgb >> 8), (uint8_t)rgb};
    colour_t got = colour_of(colours, bytes);
    if (got != expected) fail_msg("%06x is %s, expected %s", rgb, colour_name(got), colour_name(expected));
}

static void test_colour_names(void **state) {
    (void)state;
    assert_colour(0x000000, COLOUR_BLACK);
    assert_colour(0xffffff, COLOUR_WHITE);
    assert_colour(0x808080, COLOUR_GREY);
    assert_colour(0xff0000, COLOUR_RED);
    assert_colour(0x00ff00, COLOUR_GREEN);
    assert_colour(0x0000ff, COLOUR_BLUE);
    assert_colour(0xffff00, COLOUR_YELLOW);
    assert_colour(0xff8800, COLOUR_ORANGE);
    assert_colour(0x8b4513, COLOUR_BROWN);
    assert_colour(0x800080, COLOUR_PURPLE);
    assert_colour(0x101850, COLOUR_NAVY);
    assert_colour(0x008080, COLOUR_TEAL);
    assert_colour(0xffc0cb, COLOUR_PALE_PINK);
    assert_colour(0x87ceeb, COLOUR_LIGHT_BLUE);
}

/* One shape on white, 200 px: its kind, and that it is the only object. */
static void assert_shape(image_t *im, shape_kind kind, shape_axis axis) {
    measure_t m;
    measure(&m, im);
    assert_int_equal(m.background, BACKGROUND_PLAIN);
    assert_int_equal(m.background_from, COLOUR_WHITE);
    assert_int_equal(m.n_objects, 1);
    if (m.objects[0].shape != kind) fail_msg("shape %d, expected %d", m.objects[0].shape, kind);
    assert_int_equal(m.objects[0].axis, axis);
    assert_int_equal(m.objects[0].n_colours, 1);
}

static void test_shapes(void **state) {
    (void)state;
    image_t im;
    for (int radius = 16; radius <= 80; radius += 16) { /* small and large */
        draw_new(&im, 200, 200, 0xffffff);
        draw_ellipse(&im, 100, 100, radius, radius, 0, 0xff0000);
        assert_shape(&im, SHAPE_ROUND, SHAPE_NO_AXIS);
        draw_new(&im, 200, 200, 0xffffff);
        draw_rectangle(&im, 100 - radius, 100 - radius, 100 + radius, 100 + radius, 0x0000ff);
        assert_shape(&im, SHAPE_SQUARE, SHAPE_NO_AXIS);
        draw_new(&im, 200, 200, 0xffffff);
        draw_polygon(&im, 100, 105, radius, 3, 1, 0x00a020);
        assert_shape(&im, SHAPE_TRIANGLE, SHAPE_NO_AXIS);
        draw_new(&im, 200, 200, 0xffffff);
        draw_ellipse(&im, 100, 100, radius, radius, 0.6, 0x0000ff);
        assert_shape(&im, SHAPE_RING, SHAPE_NO_AXIS);
        draw_new(&im, 200, 200, 0xffffff);
        draw_polygon(&im, 100, 100, radius, 4, 1, 0x0000ff);
        assert_shape(&im, SHAPE_DIAMOND, SHAPE_NO_AXIS);
        draw_new(&im, 200, 200, 0xffffff);
        draw_ellipse(&im, 100, 100, radius, radius * 0.6, 0, 0x0000ff);
        assert_shape(&im, SHAPE_OVAL, SHAPE_HORIZONTAL);
    }
    for (int radius = 32; radius <= 80; radius += 16) {
        draw_new(&im, 200, 200, 0xffffff);
        draw_polygon(&im, 100, 100, radius, 5, 0.4, 0xff0000);
        assert_shape(&im, SHAPE_STAR, SHAPE_NO_AXIS);
        draw_new(&im, 200, 200, 0xffffff);
        draw_polygon(&im, 100, 100, radius, 6, 1, 0xff0000);
        assert_shape(&im, SHAPE_HEXAGON, SHAPE_NO_AXIS);
    }
    draw_new(&im, 200, 200, 0xffffff);
    draw_rectangle(&im, 20, 90, 180, 110, 0xff0000);
    assert_shape(&im, SHAPE_BAR, SHAPE_HORIZONTAL);
    draw_new(&im, 200, 200, 0xffffff);
    draw_rectangle(&im, 60, 20, 140, 180, 0xff0000);
    assert_shape(&im, SHAPE_RECTANGLE, SHAPE_VERTICAL);
    draw_new(&im, 200, 200, 0xffffff);
    draw_rectangle(&im, 40, 85, 160, 115, 0xff0000);
    draw_rectangle(&im, 85, 40, 115, 160, 0xff0000);
    assert_shape(&im, SHAPE_CROSS, SHAPE_NO_AXIS);
}

static void test_places_sizes_and_shares(void **state) {
    (void)state;
    static const int at[3] = {33, 100, 167};
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 3; column++) {
            image_t im;
            measure_t m;
            draw_new(&im, 200, 200, 0xffffff);
            draw_rectangle(&im, at[column] - 28, at[row] - 28, at[column] + 28, at[row] + 28, 0xff0000);
            measure(&m, &im);
            assert_int_equal(m.n_objects, 1);
            assert_int_equal(m.objects[0].row, row);
            assert_int_equal(m.objects[0].column, column);
            assert_int_equal(m.objects[0].colours[0], COLOUR_RED);
            assert_true(fabs(m.objects[0].area_frac - 0.0784) < 0.01);
            assert_true(fabs(m.objects[0].x - at[column] / 200.0) < 0.01);
            assert_true(fabs(m.background_frac - 0.9216) < 0.01);
            assert_int_equal(m.n_palette, 2);
            assert_int_equal(m.palette[0], COLOUR_WHITE);
            assert_int_equal(m.palette[1], COLOUR_RED);
            assert_int_equal(m.cells[row][column], COLOUR_RED);
        }
}

static void test_alike_are_grouped(void **state) {
    (void)state;
    image_t im;
    measure_t m;
    draw_new(&im, 240, 240, 0x101850);
    for (int i = 0; i < 5; i++) draw_ellipse(&im, 30 + 45 * i, 50, 15, 15, 0, 0xffff00);
    draw_rectangle(&im, 80, 120, 160, 200, 0xff0000);
    measure(&m, &im);
    assert_int_equal(m.background_from, COLOUR_NAVY);
    assert_int_equal(m.n_objects_found, 6);
    assert_int_equal(m.n_groups, 2);
    assert_int_equal(m.group_size[0], 1);
    assert_int_equal(m.group_size[1], 5);
    assert_int_equal(m.objects[0].shape, SHAPE_SQUARE);
    assert_int_equal(m.objects[1].shape, SHAPE_ROUND);
}

static void test_parts_and_outline(void **state) {
    (void)state;
    image_t im;
    measure_t m;
    draw_new(&im, 160, 160, 0xffffff);
    draw_ellipse(&im, 80, 80, 60, 60, 0, 0x000000);
    draw_ellipse(&im, 80, 80, 57, 57, 0, 0xffe020);
    draw_ellipse(&im, 80, 60, 15, 15, 0, 0xff0000);
    measure(&m, &im);
    assert_int_equal(m.n_objects, 1);
    assert_true(m.objects[0].is_outlined);
    assert_int_equal(m.objects[0].outline, COLOUR_BLACK);
    assert_int_equal(m.objects[0].colours[0], COLOUR_YELLOW);
    bool red = false;
    for (int i = 0; i < m.n_parts; i++) {
        if (m.parts[i].colours[0] != COLOUR_RED) continue;
        red = true;
        assert_int_equal(m.parts[i].shape, SHAPE_ROUND);
        assert_int_equal(m.parts[i].object, 0);
    }
    assert_true(red);
}

static void test_backgrounds(void **state) {
    (void)state;
    image_t im;
    measure_t m;
    draw_new(&im, 100, 80, 0);
    for (int32_t y = 0; y < 80; y++)
        for (int32_t x = 0; x < 100; x++)
            draw_pixel(&im, x, y, (uint32_t)(y * 3) << 16 | (uint32_t)(y * 3) << 8 | 0xff);
    measure(&m, &im);
    assert_int_equal(m.background, BACKGROUND_GRADIENT);
    assert_int_equal(m.background_axis, SHAPE_VERTICAL);
    assert_int_equal(m.background_from, COLOUR_BLUE);
    assert_int_not_equal(m.background_to, COLOUR_BLUE);
    assert_int_equal(m.n_objects, 0);

    draw_new(&im, 100, 80, 0x87ceeb); /* sky over grass: two halves, no background */
    draw_rectangle(&im, 0, 40, 100, 80, 0x1f8a3a);
    measure(&m, &im);
    assert_int_equal(m.background, BACKGROUND_SCENE);
    assert_int_equal(m.n_parts, 2);
    assert_int_equal(m.cells[0][1], COLOUR_LIGHT_BLUE);
    assert_int_equal(m.cells[2][1], COLOUR_GREEN);
}

static void test_symmetry_and_light(void **state) {
    (void)state;
    image_t im;
    measure_t m;
    draw_new(&im, 120, 120, 0xffffff);
    draw_polygon(&im, 60, 60, 40, 3, 1, 0x000000);
    measure(&m, &im);
    assert_true(m.symmetry_left_right > 0.95);
    assert_true(m.symmetry_top_bottom < 0.8);
    assert_true(m.brightness > 0.7 && m.contrast > 0.25 && m.colourfulness < 0.01);
    assert_true(m.flat_frac > 0.9);
}

/* Sizes that leave no room for anything. */
static void test_tiny_and_long_pictures(void **state) {
    (void)state;
    static const int32_t sizes[][2] = {{1, 1}, {1, 500}, {500, 1}, {2, 2}, {3, 1000}, {160, 160}, {161, 7}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        image_t im;
        measure_t m;
        draw_new(&im, sizes[i][0], sizes[i][1], 0x3060c0);
        draw_rectangle(&im, 0, 0, sizes[i][0] / 2, sizes[i][1], 0xffd000);
        measure(&m, &im);
        assert_true(m.n_palette >= 1);
    }
}

static void test_is_deterministic(void **state) {
    (void)state;
    image_t im;
    draw_new(&im, 300, 200, 0xffffff);
    for (uint32_t i = 0; i < 300 * 200; i++)
        draw_pixel(&im, (int32_t)(i % 300), (int32_t)(i / 300), i * 2654435761u >> 8);
    measure_t a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 1, sizeof b);
    assert_int_equal(measure_image(&a, colours, &im), LENS_OK);
    assert_int_equal(measure_image(&b, colours, &im), LENS_OK);
    assert_int_equal(a.n_palette, b.n_palette);
    assert_int_equal(a.n_parts, b.n_parts);
    assert_true(a.contrast == b.contrast && a.edges_frac == b.edges_frac);
    image_free(&im);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_colour_names),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_places_sizes_and_shares),
        cmocka_unit_test(test_alike_are_grouped),
        cmocka_unit_test(test_parts_and_outline),
        cmocka_unit_test(test_backgrounds),
        cmocka_unit_test(test_symmetry_and_light),
        cmocka_unit_test(test_tiny_and_long_pictures),
        cmocka_unit_test(test_is_deterministic),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
