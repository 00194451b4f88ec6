/* Decoding and encoding of pictures. */
#include "tests/unit/picture.h"

#include <math.h>
#include <unistd.h>

#include "base/file.h"
#include "data/image_codecs.h"

static lens_status decode(image_t *out, const str_t *file) {
    return image_decode(out, (const uint8_t *)file->s, file->len);
}

static double mean_difference(const image_t *a, const image_t *b) {
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    double sum = 0;
    size_t n = (size_t)a->width * (size_t)a->height * 3;
    for (size_t i = 0; i < n; i++) sum += abs(a->rgb[i] - b->rgb[i]);
    return sum / (double)n;
}

static void assert_same(const image_t *a, const image_t *b) {
    assert_true(mean_difference(a, b) == 0);
}

static void assert_fails(const uint8_t *bytes, size_t n, lens_status kind, const char *reason) {
    image_t im;
    assert_int_equal(image_decode(&im, bytes, n), kind);
    assert_null(im.rgb);
    if (!strstr(lens_error(), reason)) fail_msg("'%s' lacks '%s'", lens_error(), reason);
}

static void assert_pixel(const image_t *im, int32_t x, int32_t y, int r, int g, int b) {
    const uint8_t *p = im->rgb + 3 * ((size_t)y * (size_t)im->width + (size_t)x);
    if (p[0] != r || p[1] != g || p[2] != b)
        fail_msg("pixel (%d, %d) is %d %d %d, expected %d %d %d", (int)x, (int)y, p[0], p[1], p[2], r, g, b);
}

static void test_lossless_round_trips(void **state) {
    (void)state;
    image_t im, back;
    str_t png = {0}, webp = {0};
    picture_gradient(&im, 37, 23);
    assert_int_equal(image_encode_png(&png, &im), LENS_OK);
    assert_int_equal(decode(&back, &png), LENS_OK);
    assert_same(&im, &back);
    image_free(&back);
    assert_int_equal(image_encode_webp(&webp, &im, 0, true), LENS_OK);
    assert_int_equal(decode(&back, &webp), LENS_OK);
    assert_same(&im, &back);
    image_free(&back);
    image_free(&im);
    str_free(&png);
    str_free(&webp);
}

static void test_lossy_webp(void **state) {
    (void)state;
    image_t im, back;
    str_t good = {0}, bad = {0};
    picture_gradient(&im, 64, 48);
    assert_int_equal(image_encode_webp(&good, &im, 90, false), LENS_OK);
    assert_int_equal(image_encode_webp(&bad, &im, 5, false), LENS_OK);
    assert_true(bad.len < good.len);
    assert_int_equal(decode(&back, &good), LENS_OK);
    assert_true(mean_difference(&im, &back) < 2);
    image_free(&back);
    assert_int_equal(image_encode_webp(&good, &im, 100.5, false), LENS_ARGUMENT);
    assert_int_equal(image_encode_webp(&good, &im, NAN, false), LENS_ARGUMENT);
    image_free(&im);
    picture_gradient(&im, IMAGE_WEBP_MAX_SIDE + 1, 1);
    assert_int_equal(image_encode_webp(&good, &im, 90, false), LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "16383"));
    image_free(&im);
    str_free(&good);
    str_free(&bad);
}

static void test_jpeg_kinds(void **state) {
    (void)state;
    const picture_jpeg_t kinds[] = {
        {.file_space = JCS_YCbCr}, {.file_space = JCS_YCbCr, .progressive = true},
        {.file_space = JCS_RGB},   {.file_space = JCS_CMYK},
        {.file_space = JCS_YCCK},  {.file_space = JCS_CMYK, .no_adobe_marker = true},
    };
    image_t im, back;
    str_t file = {0};
    picture_gradient(&im, 50, 30);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        picture_jpeg(&file, &im, kinds[i]);
        assert_int_equal(decode(&back, &file), LENS_OK);
        assert_true(mean_difference(&im, &back) < 4);
        image_free(&back);
    }
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_GRAYSCALE});
    assert_int_equal(decode(&back, &file), LENS_OK);
    for (size_t i = 0; i < 50 * 30; i++) assert_memory_equal(back.rgb + 3 * i, back.rgb + 3 * i + 1, 2);
    image_free(&back);
    image_free(&im);
    str_free(&file);
}

/* A JPEG that was cut short anywhere is an error, even where libjpeg would have filled the rest with grey. */
static void test_jpeg_cut_short(void **state) {
    (void)state;
    image_t im;
    str_t file = {0};
    picture_gradient(&im, 50, 30);
    for (int progressive = 0; progressive < 2; progressive++) {
        picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr, .progressive = progressive});
        for (size_t n = 3; n < file.len; n += n + 8 < file.len ? 8 : 1)
            assert_fails((uint8_t *)file.s, n, LENS_FORMAT, "JPEG: ");
        assert_fails((uint8_t *)file.s, file.len / 2, LENS_FORMAT, "Premature end");
    }
    image_free(&im);
    str_free(&file);
}

static void test_png_kinds(void **state) {
    (void)state;
    image_t im;
    str_t file = {0};
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        /* palette of 2 bits with alpha: opaque red, half green, clear, opaque blue */
        const png_color palette[4] = {{255, 0, 0}, {0, 255, 0}, {9, 9, 9}, {0, 0, 255}};
        const uint8_t alpha[4] = {255, 128, 0, 255}, indices[] = {0x1B};
        picture_png(&file, (picture_png_t){.width = 4,
                                           .height = 1,
                                           .depth = 2,
                                           .color_type = PNG_COLOR_TYPE_PALETTE,
                                           .rows = indices,
                                           .stride = 1,
                                           .palette = palette,
                                           .n_palette = 4,
                                           .palette_alpha = alpha,
                                           .interlaced = interlaced});
        assert_int_equal(decode(&im, &file), LENS_OK);
        assert_pixel(&im, 0, 0, 255, 0, 0);
        assert_pixel(&im, 1, 0, 127, 255, 127);
        assert_pixel(&im, 2, 0, 255, 255, 255);
        assert_pixel(&im, 3, 0, 0, 0, 255);
        image_free(&im);

        const uint8_t bits[] = {0x40, 0x80};
        picture_png(&file, (picture_png_t){.width = 2,
                                           .height = 2,
                                           .depth = 1,
                                           .color_type = PNG_COLOR_TYPE_GRAY,
                                           .rows = bits,
                                           .stride = 1,
                                           .interlaced = interlaced});
        assert_int_equal(decode(&im, &file), LENS_OK);
        assert_pixel(&im, 0, 0, 0, 0, 0);
        assert_pixel(&im, 1, 0, 255, 255, 255);
        assert_pixel(&im, 0, 1, 255, 255, 255);
        image_free(&im);

        /* 16 bit: 0x80FF of 0xFFFF is 128.5 of 255 */
        const uint8_t deep[] = {0x80, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0};
        picture_png(&file, (picture_png_t){.width = 2,
                                           .height = 1,
                                           .depth = 16,
                                           .color_type = PNG_COLOR_TYPE_RGB_ALPHA,
                                           .rows = deep,
                                           .stride = 16,
                                           .interlaced = interlaced});
        assert_int_equal(decode(&im, &file), LENS_OK);
        assert_pixel(&im, 0, 0, 128, 0, 255);
        assert_pixel(&im, 1, 0, 255, 255, 255);
        image_free(&im);

        const uint8_t grey_alpha[] = {0, 255, 0, 51};
        picture_png(&file, (picture_png_t){.width = 2,
                                           .height = 1,
                                           .depth = 8,
                                           .color_type = PNG_COLOR_TYPE_GRAY_ALPHA,
                                           .rows = grey_alpha,
                                           .stride = 4,
                                           .interlaced = interlaced});
        assert_int_equal(decode(&im, &file), LENS_OK);
        assert_pixel(&im, 0, 0, 0, 0, 0);
        assert_pixel(&im, 1, 0, 204, 204, 204);
        image_free(&im);

        const png_color_16 clear = {.red = 1, .green = 2, .blue = 3};
        const uint8_t rgb[] = {1, 2, 3, 1, 2, 4};
        picture_png(&file, (picture_png_t){.width = 2,
                                           .height = 1,
                                           .depth = 8,
                                           .color_type = PNG_COLOR_TYPE_RGB,
                                           .rows = rgb,
                                           .stride = 6,
                                           .transparent = &clear,
                                           .interlaced = interlaced});
        assert_int_equal(decode(&im, &file), LENS_OK);
        assert_pixel(&im, 0, 0, 255, 255, 255);
        assert_pixel(&im, 1, 0, 1, 2, 4);
        image_free(&im);
    }
    str_free(&file);
}

static void test_webp_alpha(void **state) {
    (void)state;
    const uint8_t rgba[] = {255, 0, 0, 255, 0, 0, 0, 51, 7, 7, 7, 0};
    image_t im;
    str_t file = {0};
    picture_webp_rgba(&file, rgba, 3, 1);
    assert_int_equal(decode(&im, &file), LENS_OK);
    assert_pixel(&im, 0, 0, 255, 0, 0);
    assert_pixel(&im, 1, 0, 204, 204, 204);
    assert_pixel(&im, 2, 0, 255, 255, 255);
    image_free(&im);
    str_free(&file);
}

/* Of an animation the first frame, where it stands on its canvas, over white. */
static void test_webp_animation(void **state) {
    (void)state;
    image_t im, back;
    str_t first = {0}, second = {0}, file = {0};
    picture_gradient(&im, 16, 12);
    assert_int_equal(image_encode_webp(&first, &im, 0, true), LENS_OK);
    memset(im.rgb, 0, 16 * 12 * 3);
    assert_int_equal(image_encode_webp(&second, &im, 0, true), LENS_OK);
    image_free(&im);
    picture_gradient(&im, 16, 12);
    picture_webp_animation(&file, &first, &second, 0, 0, 0, 0);
    assert_int_equal(decode(&back, &file), LENS_OK);
    assert_same(&im, &back);
    image_free(&back);

    picture_webp_animation(&file, &first, &second, 4, 2, 21, 15);
    assert_int_equal(decode(&back, &file), LENS_OK);
    assert_int_equal(back.width, 21);
    assert_int_equal(back.height, 15);
    for (int32_t y = 0; y < 15; y++)
        for (int32_t x = 0; x < 21; x++) {
            const uint8_t white[3] = {255, 255, 255};
            bool inside = x >= 4 && x < 20 && y >= 2 && y < 14;
            const uint8_t *expected = inside ? im.rgb + 3 * ((y - 2) * 16 + x - 4) : white;
            assert_memory_equal(back.rgb + 3 * (y * 21 + x), expected, 3);
        }
    image_free(&back);

    const uint8_t rgba[] = {255, 0, 0, 255, 0, 0, 0, 51, 7, 7, 7, 0};
    picture_webp_rgba(&first, rgba, 3, 1);
    picture_webp_animation(&file, &first, &second, 0, 0, 16, 12);
    assert_int_equal(decode(&back, &file), LENS_OK);
    assert_pixel(&back, 0, 0, 255, 0, 0);
    assert_pixel(&back, 1, 0, 204, 204, 204);
    assert_pixel(&back, 2, 0, 255, 255, 255);
    assert_pixel(&back, 15, 11, 255, 255, 255);
    image_free(&back);
    assert_fails((uint8_t *)file.s, file.len - 20, LENS_FORMAT, "animated WebP: damaged or cut short");
    image_free(&im);
    str_free(&first);
    str_free(&second);
    str_free(&file);
}

/* ---- what the header says ---- */

static image_facts_t inspect(const str_t *file) {
    image_facts_t facts;
    assert_int_equal(image_inspect(&facts, (const uint8_t *)file->s, file->len), LENS_OK);
    return facts;
}

static void test_inspect(void **state) {
    (void)state;
    image_t im;
    str_t file = {0}, frame = {0};
    picture_gradient(&im, 20, 10);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr});
    image_facts_t f = inspect(&file);
    assert_true(f.format == IMAGE_JPEG && f.width == 20 && f.height == 10 && f.orientation == 1);
    assert_true(f.plain && !f.has_alpha && !f.animated);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_GRAYSCALE, .progressive = true});
    assert_true(inspect(&file).plain);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_CMYK});
    assert_false(inspect(&file).plain);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr, .orientation = 6});
    f = inspect(&file);
    assert_true(!f.plain && f.orientation == 6 && f.width == 10 && f.height == 20);

    uint8_t rgba[20 * 10 * 4] = {1, 2, 3, 4};
    picture_png(
        &file,
        (picture_png_t){
            .width = 20, .height = 10, .depth = 8, .color_type = PNG_COLOR_TYPE_RGB_ALPHA, .rows = rgba, .stride = 80});
    f = inspect(&file);
    assert_true(f.format == IMAGE_PNG && f.has_alpha && !f.plain);
    picture_webp_rgba(&file, rgba, 20, 10);
    f = inspect(&file);
    assert_true(f.format == IMAGE_WEBP && f.has_alpha && !f.animated);
    assert_int_equal(image_encode_webp(&frame, &im, 80, false), LENS_OK);
    assert_false(inspect(&frame).has_alpha);
    picture_webp_animation(&file, &frame, &frame, 0, 0, 64, 32);
    f = inspect(&file);
    assert_true(f.animated && f.width == 64 && f.height == 32);
    image_free(&im);
    str_free(&file);
    str_free(&frame);
}

/* A caller's own limit is kept before anything is decoded. */
static void test_decode_within(void **state) {
    (void)state;
    image_t im, back;
    str_t file = {0};
    picture_gradient(&im, 300, 200);
    assert_int_equal(image_encode_png(&file, &im), LENS_OK);
    uint64_t needed = inspect(&file).decode_bytes;
    assert_int_equal(image_decode_within(&back, (uint8_t *)file.s, file.len, needed), LENS_OK);
    image_free(&back);
    assert_int_equal(image_decode_within(&back, (uint8_t *)file.s, file.len, needed - 1), LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "picture of 300 x 200 px takes "));
    assert_null(back.rgb);
    image_free(&im);
    str_free(&file);
}

/* ---- orientation ---- */

/* EXIF's own words: where the stored row 0 and column 0 are in the picture as it should be seen. */
static const struct {
    char row0, column0;
} orientation_sides[9] = {[1] = {'T', 'L'}, [2] = {'T', 'R'}, [3] = {'B', 'R'}, [4] = {'B', 'L'},
                          [5] = {'L', 'T'}, [6] = {'R', 'T'}, [7] = {'R', 'B'}, [8] = {'L', 'B'}};

static void place(int32_t *x, int32_t *y, char side, int32_t index, int32_t width, int32_t height) {
    if (side == 'L') *x = index;
    if (side == 'R') *x = width - 1 - index;
    if (side == 'T') *y = index;
    if (side == 'B') *y = height - 1 - index;
}

static void check_orientation(const image_t *stored, const str_t *file, int orientation, double tolerance) {
    image_t im;
    int32_t width, height;
    assert_int_equal(decode(&im, file), LENS_OK);
    assert_int_equal(image_probe(&width, &height, (const uint8_t *)file->s, file->len), LENS_OK);
    assert_int_equal(im.width, orientation >= 5 ? stored->height : stored->width);
    assert_int_equal(width, im.width);
    assert_int_equal(height, im.height);
    image_t expected;
    assert_int_equal(image_new(&expected, width, height), LENS_OK);
    for (int32_t row = 0; row < stored->height; row++)
        for (int32_t column = 0; column < stored->width; column++) {
            int32_t x = -1, y = -1;
            place(&x, &y, orientation_sides[orientation].row0, row, width, height);
            place(&x, &y, orientation_sides[orientation].column0, column, width, height);
            memcpy(expected.rgb + 3 * (y * width + x), stored->rgb + 3 * (row * stored->width + column), 3);
        }
    if (mean_difference(&im, &expected) > tolerance)
        fail_msg("orientation %d: off by %g", orientation, mean_difference(&im, &expected));
    image_free(&im);
    image_free(&expected);
}

static void test_orientation(void **state) {
    (void)state;
    image_t stored;
    str_t file = {0};
    picture_gradient(&stored, 40, 24);
    for (int o = 1; o <= 8; o++) {
        picture_jpeg(&file, &stored, (picture_jpeg_t){.file_space = JCS_YCbCr, .orientation = o});
        check_orientation(&stored, &file, o, 2);
        picture_png(&file, (picture_png_t){.width = 40,
                                           .height = 24,
                                           .depth = 8,
                                           .color_type = PNG_COLOR_TYPE_RGB,
                                           .rows = stored.rgb,
                                           .stride = 120,
                                           .orientation = o});
        check_orientation(&stored, &file, o, 0);
        str_clear(&file);
        assert_int_equal(image_encode_webp(&file, &stored, 0, true), LENS_OK);
        picture_webp_add_exif(&file, o);
        check_orientation(&stored, &file, o, 0);
    }
    image_free(&stored);
    str_free(&file);
}

static void test_exif_hostile(void **state) {
    (void)state;
    for (int big = 0; big < 2; big++) {
        uint8_t exif[PICTURE_EXIF_BYTES];
        picture_exif(exif, 6, big);
        assert_int_equal(image_exif_orientation(exif, sizeof exif), 6);
        for (size_t n = 0; n <= sizeof exif; n++) {
            uint8_t *cut = malloc(n ? n : 1); /* on the heap: AddressSanitizer sees a read past the end */
            assert_non_null(cut);
            memcpy(cut, exif, n);
            assert_int_equal(image_exif_orientation(cut, n), n >= 22 ? 6 : 1);
            free(cut);
        }
        picture_exif(exif, 9, big);
        assert_int_equal(image_exif_orientation(exif, sizeof exif), 1);
        picture_exif(exif, 6, big);
        memset(exif + 4, 0xFF, 4); /* the directory 4 GiB away */
        assert_int_equal(image_exif_orientation(exif, sizeof exif), 1);
        picture_exif(exif, 6, big);
        memset(exif + 12, 0, 2); /* a type that is none */
        assert_int_equal(image_exif_orientation(exif, sizeof exif), 1);
    }
}

/* ---- refusals ---- */

static void test_refusals(void **state) {
    (void)state;
    /* A whole PNG header of 60000 x 60000 px, and nothing behind it. */
    const uint8_t bomb[] = {0x89, 'P',  'N',  'G', '\r', '\n', 0x1A, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0,
                            0,    0xEA, 0x60, 0,   0,    0xEA, 0x60, 8,    2, 0, 0, 0,  0,   0,   0,   0};
    assert_fails(bomb, sizeof bomb, LENS_FORMAT, "60000 x 60000 px is too large: at most 178956970 pixels");
    int32_t width, height;
    assert_int_equal(image_probe(&width, &height, bomb, sizeof bomb), LENS_FORMAT);
    assert_fails(bomb, 20, LENS_FORMAT, "cut short");

    assert_fails((const uint8_t *)"GIF89a..........", 16, LENS_FORMAT, "GIF: expected JPEG, PNG or WebP");
    assert_fails((const uint8_t *)"BM..............", 16, LENS_FORMAT, "not a picture: expected JPEG, PNG or WebP");
    assert_fails((const uint8_t *)"", 0, LENS_FORMAT, "not a picture");
    assert_fails((const uint8_t *)"\xff\xd8\xff", 3, LENS_FORMAT, "JPEG: ");

    image_t im;
    str_t webp = {0};
    picture_gradient(&im, 16, 16);
    assert_int_equal(image_encode_webp(&webp, &im, 90, false), LENS_OK);
    assert_fails((uint8_t *)webp.s, webp.len - 20, LENS_FORMAT, "WebP: cut short");
    image_free(&im);
    str_free(&webp);

    assert_int_equal(image_new(&im, 0, 5), LENS_FORMAT);
    assert_int_equal(image_new(&im, INT32_MAX, INT32_MAX), LENS_FORMAT);
    assert_null(im.rgb);
}

static void test_flip(void **state) {
    (void)state;
    for (int32_t width = 1; width <= 4; width++) {
        image_t im, twin;
        picture_gradient(&im, width, 2);
        picture_gradient(&twin, width, 2);
        image_flip_horizontal(&im);
        for (int32_t i = 0; i < 2 * width; i++) {
            const uint8_t *p = im.rgb + 3 * (i / width * width + width - 1 - i % width);
            assert_memory_equal(p, twin.rgb + 3 * i, 3);
        }
        image_free(&im);
        image_free(&twin);
    }
}

static void test_write(void **state) {
    (void)state;
    char dir[] = "/tmp/lens-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    image_t im, back;
    picture_gradient(&im, 48, 32);
    const char *const names[] = {"a.png", "a.webp", "a.jpg"};
    for (int i = 0; i < 3; i++) {
        str_t path = {0};
        char *bytes = NULL;
        size_t n;
        str_addf(&path, "%s/%s", dir, names[i]);
        assert_int_equal(image_write(path.s, &im), i < 2 ? LENS_OK : LENS_ARGUMENT);
        assert_int_equal(file_exists(path.s), i < 2);
        if (i < 2) {
            assert_int_equal(file_read(&bytes, &n, path.s, 1 << 20), LENS_OK);
            assert_int_equal(image_decode(&back, (uint8_t *)bytes, n), LENS_OK);
            assert_true(mean_difference(&im, &back) < 3);
            image_free(&back);
        }
        free(bytes);
        str_free(&path);
    }
    image_free(&im);
    assert_int_equal(dir_remove(dir), LENS_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lossless_round_trips),
        cmocka_unit_test(test_lossy_webp),
        cmocka_unit_test(test_jpeg_kinds),
        cmocka_unit_test(test_jpeg_cut_short),
        cmocka_unit_test(test_png_kinds),
        cmocka_unit_test(test_webp_alpha),
        cmocka_unit_test(test_webp_animation),
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_decode_within),
        cmocka_unit_test(test_orientation),
        cmocka_unit_test(test_exif_hostile),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_flip),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
