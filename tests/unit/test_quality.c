/* The quality gate, rule by rule, and the set of captions. */
// clang-format off: CMocka needs these first
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>

#include "base/str.h"
#include "recaption/caption_set.h"
#include "recaption/quality.h"

static const quality_options_t few = {.min_words = 3, .max_words = 30, .max_repeated_frac = 0.2};

static quality_t check(const char *text) {
    quality_t q;
    assert_int_equal(quality_check(&q, &few, text), LENS_OK);
    return q;
}

static void assert_reason(const char *text, quality_reason reason) {
    quality_t q = check(text);
    if (q.reason != reason) fail_msg("'%s' is %s, expected %s", text, quality_name(q.reason), quality_name(reason));
}

static void test_rules(void **state) {
    (void)state;
    assert_reason("A red circle on white.", QUALITY_ACCEPTED);
    assert_reason("", QUALITY_EMPTY);
    assert_reason("  \n ", QUALITY_EMPTY);
    assert_reason("Too short.", QUALITY_SHORT);
    assert_reason("A broken \xff byte here.", QUALITY_ENCODING);
    assert_reason("A \x07 bell rings here.", QUALITY_ENCODING);
    assert_reason("Two paragraphs are\n\nnot one.", QUALITY_ENCODING);
    assert_reason("The image shows a red circle.", QUALITY_BOILERPLATE);
    assert_reason("In this picture, a dog runs.", QUALITY_BOILERPLATE);
    assert_reason("I'm sorry, but I can't help with that.", QUALITY_REFUSED);
    assert_reason("A dog on a beach and", QUALITY_UNFINISHED);
    assert_reason("A sign that reads \"Stop!\"", QUALITY_ACCEPTED);
    assert_reason("The imagery of a dream fills it.", QUALITY_ACCEPTED);
    assert_reason("Caf\xc3\xa9 tables in the sun.", QUALITY_ACCEPTED);
}

static void test_values(void **state) {
    (void)state;
    assert_int_equal(check("Two words").n_words, 2);
    assert_true(check("Two words").value == 2);
    assert_true(check("ab \x01 cd ef gh.").value == 3);
}

static void test_loops(void **state) {
    (void)state;
    quality_options_t o = QUALITY_DEFAULTS;
    str_t loop = {0}, prose = {0};
    for (int i = 0; i < 20; i++) str_add(&loop, "and a small red house ");
    str_add(&loop, ".");
    for (int i = 0; i < 60; i++) str_addf(&prose, "word%d ", i);
    str_add(&prose, "ends.");
    quality_t q;
    assert_int_equal(quality_check(&q, &o, str_text(&loop)), LENS_OK);
    assert_int_equal(q.reason, QUALITY_LOOP);
    assert_true(q.value > 0.8);
    assert_int_equal(quality_check(&q, &o, str_text(&prose)), LENS_OK);
    assert_int_equal(q.reason, QUALITY_ACCEPTED);
    for (int i = 0; i < 80; i++) str_addf(&prose, " more%d.", i);
    assert_int_equal(quality_check(&q, &o, str_text(&prose)), LENS_OK);
    assert_int_equal(q.reason, QUALITY_LONG);
    str_free(&loop);
    str_free(&prose);
}

static void test_caption_set(void **state) {
    (void)state;
    caption_set_t s = {0};
    assert_int_equal(caption_set_find(&s, "anything"), -1);
    char text[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "caption number %d of the set", i);
        assert_int_equal(caption_set_find(&s, text), -1);
        assert_int_equal(caption_set_add(&s, text, i), LENS_OK);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "Caption  NUMBER %d of the set ", i);
        assert_int_equal(caption_set_find(&s, text), i);
    }
    assert_int_equal(caption_set_add(&s, "caption number 7 of the set", 99), LENS_OK);
    assert_int_equal(caption_set_find(&s, "caption number 7 of the set"), 7);
    assert_int_equal(caption_set_find(&s, "captionnumber 7 of the set"), -1);
    caption_set_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_caption_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
