/* What a caption says of colours and counts, against drawings; what the pixels cannot exclude is left alone. */
#include "tests/unit/drawing.h"

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_claims), cmocka_unit_test(test_unsure),
                                       cmocka_unit_test(test_odd_pictures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
