/* What a caption says of colours and counts, against drawings; what the pixels cannot exclude is left alone. */
#include "tests/unit/drawing.h"
#include "tests/unit/picture.h"

#include <stdlib.h>

#include "recaption/facts.h"

static colour_table_t colours;

static facts_t four_dots(void) {
    image_t im = {0};
    draw_new(&im, 320, 160, 0x208030);
    for (int i = 0; i < 4; i++) draw_ellipse(&im, 40 + i * 80, 80, 22, 22, 0, 0xffffff);
    facts_t f;
    assert_int_equal(facts_measure(&f, &colours, &im), LENS_OK);
    image_free(&im);
    return f;
}

static int contradictions(const facts_t *f, const char *text) {
    quality_text_t t;
    assert_int_equal(quality_text_read(&t, text), LENS_OK);
    int n = facts_contradictions(f, &t);
    quality_text_free(&t);
    return n;
}

static void test_claims(void **state) {
    (void)state;
    facts_t f = four_dots();
    assert_true(f.is_flat);
    assert_int_equal(f.n_objects, 4);
    assert_int_equal(contradictions(&f, "Four white circles on a solid green background."), 0);
    assert_int_equal(contradictions(&f, "Two white circles, and two more, on a turquoise background."), 0);
    assert_int_equal(contradictions(&f, "Four white circles on a purple background."), 1);
    assert_int_equal(contradictions(&f, "Nine white circles on a red background."), 2);
    assert_int_equal(contradictions(&f, "A sign says \"nine white circles\"."), 0);
    assert_int_equal(contradictions(&f, "The background is black."), 1);
    assert_int_equal(contradictions(&f, "The picture is dominated by orange."), 1);
    assert_int_equal(contradictions(&f, "Four orange circles."), 1);
    assert_int_equal(contradictions(&f, "Four white circles, and one thinks of an orange sun."), 0);
    assert_int_equal(contradictions(&f, ""), 0);
}

/* Whatever any picture could exclude is a claim; other captions need no picture. */
static void test_claimed(void **state) {
    (void)state;
    const struct {
        const char *text;
        bool claimed;
    } cases[] = {
        {"Nine white circles on a red background.", true},
        {"The picture is dominated by orange.", true},
        {"Mostly white, it holds two dots.", true},
        {"Four circles in a row.", true},
        {"A red barn stands in a yellow field of three hectares.", false},
        {"A sign says \"nine white circles on a red background\".", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        quality_text_t t;
        assert_int_equal(quality_text_read(&t, cases[i].text), LENS_OK);
        if (facts_claimed(&t) != cases[i].claimed) fail_msg("'%s'", cases[i].text);
        quality_text_free(&t);
    }
}

/* An encoded picture has the facts of its pixels, also where it is decoded at a quarter of its size. */
static void test_stored(void **state) {
    (void)state;
    image_t im = {0};
    str_t webp = {0}, jpeg = {0};
    facts_t drawn, f;
    draw_new(&im, 1024, 512, 0x208030);
    for (int i = 0; i < 4; i++) draw_ellipse(&im, 128 + i * 256, 256, 70, 70, 0, 0xffffff);
    assert_int_equal(facts_measure(&drawn, &colours, &im), LENS_OK);
    assert_int_equal(image_encode_webp(&webp, &im, 0, true), LENS_OK);
    assert_int_equal(facts_measure_stored(&f, &colours, (const uint8_t *)webp.s, webp.len), LENS_OK);
    assert_true(f.colours == drawn.colours && f.large == drawn.large && f.background == drawn.background);
    assert_true(f.is_flat && f.n_objects == 4);
    picture_jpeg(&jpeg, &im, (picture_jpeg_t){.file_space = JCS_YCbCr});
    assert_int_equal(facts_measure_stored(&f, &colours, (const uint8_t *)jpeg.s, jpeg.len), LENS_OK);
    assert_true(f.large == drawn.large && f.background == drawn.background);
    assert_true(f.is_flat && f.n_objects == 4);
    assert_int_equal(facts_measure_stored(&f, &colours, (const uint8_t *)webp.s, webp.len / 2), LENS_FORMAT);
    assert_int_equal(facts_measure_stored(&f, &colours, (const uint8_t *)jpeg.s, jpeg.len / 2), LENS_FORMAT);
    str_free(&webp);
    str_free(&jpeg);
    image_free(&im);
}

/* In a noisy picture nothing can be counted, and there is no background. */
static void test_unsure(void **state) {
    (void)state;
    image_t im = {0};
    draw_new(&im, 300, 200, 0);
    uint32_t x = 1;
    for (int64_t i = 0; i < 3 * 300 * 200; i++) im.rgb[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
    facts_t f;
    assert_int_equal(facts_measure(&f, &colours, &im), LENS_OK);
    image_free(&im);
    assert_false(f.is_flat);
    assert_int_equal(contradictions(&f, "Nine white circles on a red background, dominated by green."), 0);
}

static void test_odd_pictures(void **state) {
    (void)state;
    facts_t f;
    image_t none = {0}, thin = {0};
    assert_int_equal(facts_measure(&f, &colours, &none), LENS_ARGUMENT);
    draw_new(&thin, 1000, 1, 0xff0000);
    assert_int_equal(facts_measure(&f, &colours, &thin), LENS_OK);
    assert_true(f.colours == f.large);
    image_free(&thin);
}

int main(void) {
    colour_table_init(&colours);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_claims), cmocka_unit_test(test_claimed),
                                       cmocka_unit_test(test_stored), cmocka_unit_test(test_unsure),
                                       cmocka_unit_test(test_odd_pictures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
