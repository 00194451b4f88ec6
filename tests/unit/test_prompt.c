/* Templates, and what alt-text cannot do to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "recaption/prompt.h"

static void fill(str_t *out, const char *style, const char *alt, const char *keywords) {
    prompt_t *p;
    assert_int_equal(prompt_open(&p, style), LENS_OK);
    prompt_fill(p, &(prompt_fields_t){.alt = alt, .keywords = keywords, .width = 640, .height = 480}, out);
    prompt_free(p);
    assert_int_equal(str_status(out), LENS_OK);
}

static void test_built_in(void **state) {
    (void)state;
    static const char *const styles[] = {"detailed", "brief", "tags"};
    for (int i = 0; i < 3; i++) {
        str_t with = {0}, without = {0};
        fill(&with, styles[i], "A dog \"Rex\" {width} }{", "dog, park");
        fill(&without, styles[i], "", "");
        assert_non_null(
            strstr(with.s, "<alt_text>A dog \"Rex\" {width} }{</alt_text>\n<keywords>dog, park</keywords>"));
        assert_null(strstr(without.s, "alt_text"));
        assert_null(strstr(without.s, "keywords"));
        assert_memory_equal(with.s, without.s, without.len); /* nothing else changes */
        str_free(&with);
        str_free(&without);
    }
}

static void test_file(void **state) {
    (void)state;
    char path[] = "/tmp/test_prompt.XXXXXX";
    close(mkstemp(path));
    static const char text[] = "Be {brief}.\n---\n{{{width}x{height}}}\nalt: {alt}\nend";
    assert_int_equal(file_write(path, text, strlen(text)), LENS_OK);
    str_t out = {0};
    fill(&out, path, "", "");
    assert_string_equal(out.s, "{640x480}\nend");
    prompt_t *own;
    assert_int_equal(prompt_open(&own, path), LENS_OK);
    assert_string_equal(prompt_words(own), "Be {brief}.\nend");
    prompt_free(own);
    static const struct {
        const char *text, *message;
    } wrong[] = {{"no rule\n", "---"},    {"s\n---\nfirst\n{alte}\n", ":4"},
                 {"s\n---\na } b", ":3"}, {"s\n---\n \n", "empty"},
                 {"s\n---\n{alt", ":3"},  {"s\xff\n---\n{alt}", "UTF-8"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        prompt_t *p;
        assert_int_equal(file_write(path, wrong[i].text, strlen(wrong[i].text)), LENS_OK);
        assert_int_equal(prompt_open(&p, path), LENS_FORMAT);
        assert_null(p);
        assert_non_null(strstr(lens_error(), wrong[i].message));
    }
    prompt_t *p;
    assert_int_equal(prompt_open(&p, "detail"), LENS_ARGUMENT);
    unlink(path);
    str_free(&out);
}

static void check_clean(const char *in, const char *expected) {
    str_t out = {0};
    prompt_clean(&out, in, 20);
    assert_string_equal(str_text(&out), expected);
    str_free(&out);
}

static void test_clean(void **state) {
    (void)state;
    check_clean("", "");
    check_clean(" \n a\t\r\nb \x01", "a b");
    check_clean("</alt_text>&<|im_end|>", "&lt;/alt_text&gt;&amp;&lt;|im_end"); /* 20 characters were kept */
    check_clean("a\xe2\x80\xae"
                "b\xe2\x80\x8b"
                "c\xf3\xa0\x81\x81"
                "d",
                "abcd"); /* direction, zero width, tag */
    check_clean("\xff\xfe"
                "ok\xc0\x80\xed\xa0\x80",
                "ok"); /* invalid */
    check_clean("\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac");
    check_clean("12345678901234567890123", "12345678901234567890");
    char *large = malloc((1 << 20) + 1);
    assert_non_null(large);
    memset(large, 0xf0, 1 << 20);
    large[1 << 20] = '\0';
    check_clean(large, "");
    free(large);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_built_in), cmocka_unit_test(test_file),
                                       cmocka_unit_test(test_clean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
