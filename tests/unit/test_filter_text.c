/* Rules for alt-texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "data/filter_text.h"

static bool passes(const filter_text_t *t, const char *alt) {
    double value;
    str_t reason = {0};
    bool passed = filter_text_passes(t, alt, &value, &reason);
    assert_int_equal(passed, reason.len == 0);
    str_free(&reason);
    return passed;
}

static void assert_refused(const filter_text_t *t, const char *alt, double expected, const char *expected_reason) {
    double value = -1;
    str_t reason = {0};
    assert_false(filter_text_passes(t, alt, &value, &reason));
    assert_string_equal(str_text(&reason), expected_reason);
    assert_float_equal(value, expected, 1e-12);
    str_free(&reason);
}

static void test_lengths(void **state) {
    (void)state;
    filter_text_t t;
    filter_text_init(&t);
    t.min_chars = 5;
    t.max_chars = 12;
    t.min_words = 2;
    t.max_words = 3;
    assert_true(passes(&t, "red car"));
    assert_true(passes(&t, "\xc3\xa9t\xc3\xa9 \xe2\x80\x93")); /* 5 characters, 2 words */
    assert_true(passes(&t, "  a   b c  "));
    assert_refused(&t, "a b", 3, "alt_text 3 characters, expected at least 5");
    assert_refused(&t, "one two three", 13, "alt_text 13 characters, expected at most 12");
    assert_refused(&t, "landscape", 1, "alt_text 1 words, expected at least 2");
    assert_refused(&t, "a b c d", 4, "alt_text 4 words, expected at most 3");
    assert_refused(&t, "", 0, "alt_text 0 characters, expected at least 5");
    filter_text_free(&t);
}

static void test_letters(void **state) {
    (void)state;
    filter_text_t t;
    filter_text_init(&t);
    t.min_letters = 0.5;
    assert_true(passes(&t, "ab12"));
    assert_true(passes(&t, "\xd0\xba\xd0\xbe\xd1\x82"));               /* Cyrillic */
    assert_true(passes(&t, "\xe7\xba\xa2\xe8\x89\xb2\xe6\xb1\xbd 3")); /* Han */
    assert_refused(&t, "a1234", 0.2, "alt_text 20.0 % letters, expected at least 50 %");
    assert_refused(&t, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80 a", 1.0 / 3,
                   "alt_text 33.3 % letters, expected at least 50 %"); /* emoji */
    assert_true(passes(&t, ""));
    filter_text_free(&t);
}

static void test_boilerplate(void **state) {
    (void)state;
    static const char *const empty[] = {"image",
                                        "Image 3",
                                        "IMG_1234",
                                        "img-20210304-WA0001.jpg",
                                        "DSC 0042",
                                        "Stock Photo",
                                        "stock-photo (12)",
                                        "Click to enlarge!",
                                        "sunset_final.JPG",
                                        "my holiday.png ",
                                        "Screenshot 2021-03-04 at 10.21.33",
                                        "PXL_20210304_102030",
                                        "12345",
                                        "---",
                                        "null",
                                        "No Image Available",
                                        "N/A"};
    static const char *const full[] = {"image of a cat",
                                       "a photo of a red car",
                                       "IMG_1234 Eiffel Tower",
                                       "Boeing 747",
                                       "Nikon DSC",
                                       "click",
                                       "Picture of Dorian Gray",
                                       "\xe5\x9b\xbe\xe7\x89\x87",
                                       ""};
    filter_text_t t;
    filter_text_init(&t);
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        if (passes(&t, empty[i])) fail_msg("\"%s\" passes", empty[i]);
    for (size_t i = 0; i < sizeof full / sizeof *full; i++)
        if (!passes(&t, full[i])) fail_msg("\"%s\" is refused", full[i]);
    assert_refused(&t, "IMG_0001", 1, "alt_text boilerplate \"IMG_0001\"");
    t.boilerplate = false;
    assert_true(passes(&t, "image"));
    filter_text_free(&t);
}

static void test_boilerplate_file(void **state) {
    (void)state;
    const char *path = "test_filter_text.tmp.txt";
    const char lines[] = "# a comment\nBuy now!\n\n\xe5\x9b\xbe\xe7\x89\x87\r\nFree shipping 24";
    filter_text_t t;
    filter_text_init(&t);
    assert_int_equal(file_write(path, lines, sizeof lines - 1), LENS_OK);
    t.file = strdup(path);
    assert_int_equal(filter_text_load(&t), LENS_OK);
    assert_int_equal(t.n_list, 3);
    assert_false(passes(&t, "buy now"));
    assert_false(passes(&t, "\xe5\x9b\xbe\xe7\x89\x87 2"));
    assert_false(passes(&t, "FREE SHIPPING"));
    assert_true(passes(&t, "buy now a bicycle"));
    filter_text_free(&t);

    assert_int_equal(file_write(path, "\xff\n", 2), LENS_OK);
    filter_text_init(&t);
    t.file = strdup(path);
    assert_int_equal(filter_text_load(&t), LENS_ARGUMENT);
    filter_text_free(&t);
    unlink(path);
    filter_text_init(&t);
    t.file = strdup(path);
    assert_int_equal(filter_text_load(&t), LENS_IO);
    filter_text_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_boilerplate),
        cmocka_unit_test(test_boilerplate_file),
    };
    return cmocka_run_group_tests_name("filter_text", tests, NULL, NULL);
}
