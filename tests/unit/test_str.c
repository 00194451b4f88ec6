/* Strings: growth, JSON and UTF-8 of hostile bytes, HTML, nearest names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/str.h"

#define REPLACED "\xEF\xBF\xBD"

static void adding(void **state) {
    (void)state;
    str_t s = {0};
    assert_string_equal(str_text(&s), "");
    str_add(&s, "a");
    str_add_char(&s, 'b');
    str_add_n(&s, "c\0d", 3);
    str_addf(&s, "%d-%s", 42, "x");
    assert_int_equal(s.len, 9);
    assert_memory_equal(s.s, "abc\0d42-x", 10);
    str_clear(&s);
    assert_string_equal(str_text(&s), "");
    for (int i = 0; i < 10000; i++) str_addf(&s, "%d,", i % 10);
    assert_int_equal(s.len, 20000);
    assert_int_equal(strlen(s.s), 20000);
    assert_int_equal(str_status(&s), LENS_OK);
    str_free(&s);
    assert_null(s.s);
    str_add_n(&s, "", 0); /* nothing, but a string from now on */
    assert_non_null(s.s);
    str_free(&s);
}

static void running_out_is_remembered(void **state) {
    (void)state;
    str_t s = {0};
    str_add(&s, "kept");
    str_add_n(&s, "", SIZE_MAX / 2);
    assert_int_equal(str_status(&s), LENS_MEMORY);
    str_add(&s, " lost");
    assert_string_equal(str_text(&s), "kept");
    str_free(&s);
    assert_int_equal(str_status(&s), LENS_OK);
}

static void expect_json(const char *bytes, size_t n, const char *want) {
    str_t s = {0};
    str_add_json(&s, bytes, n);
    assert_string_equal(str_text(&s), want);
    str_free(&s);
}

static void json(void **state) {
    (void)state;
    expect_json("", 0, "\"\"");
    expect_json("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
    expect_json("\b\t\n\f\r", 5, "\"\\b\\t\\n\\f\\r\"");
    expect_json("\x01\x1F\x7F", 3, "\"\\u0001\\u001f\\u007f\"");
    expect_json("\0", 1, "\"\\u0000\"");
    expect_json("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x99\x82", 9, "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x99\x82\"");
    expect_json("a\x80z", 3, "\"a" REPLACED "z\"");                                    /* a lone continuation */
    expect_json("\xC3", 1, "\"" REPLACED "\"");                                        /* cut short */
    expect_json("\xE2\x82", 2, "\"" REPLACED REPLACED "\"");                           /* cut short */
    expect_json("\xC0\xAF", 2, "\"" REPLACED REPLACED "\"");                           /* overlong slash */
    expect_json("\xE0\x80\xAF", 3, "\"" REPLACED REPLACED REPLACED "\"");              /* overlong slash */
    expect_json("\xED\xA0\x80", 3, "\"" REPLACED REPLACED REPLACED "\"");              /* surrogate */
    expect_json("\xF4\x90\x80\x80", 4, "\"" REPLACED REPLACED REPLACED REPLACED "\""); /* above U+10FFFF */
    expect_json("\xFF\"", 2, "\"" REPLACED "\\\"\"");                                  /* the quote is not swallowed */
    expect_json("\xC3\"", 2, "\"" REPLACED "\\\"\"");
}

/* Whatever the bytes, another parser reads the literal, and it is the bytes where they were UTF-8. */
static void json_of_random_bytes_is_json(void **state) {
    (void)state;
    rng_t r = rng_stream(1, 0, 0, RNG_TEST);
    for (int i = 0; i < 2000; i++) {
        char bytes[24];
        size_t n = rng_below(&r, sizeof bytes);
        for (size_t j = 0; j < n; j++)
            bytes[j] = (char)(rng_below(&r, 4) ? 0x70 + rng_below(&r, 0x90) : rng_below(&r, 0x80));
        str_t s = {0}, clean = {0};
        str_add_json(&s, bytes, n);
        bool repaired = str_add_utf8(&clean, bytes, n);
        json_t *read = json_loads(str_text(&s), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(read);
        assert_true(str_is_utf8(str_text(&clean)));
        if (!repaired) {
            assert_int_equal(json_string_length(read), n);
            assert_memory_equal(json_string_value(read), bytes, n);
        }
        json_decref(read);
        str_free(&s);
        str_free(&clean);
    }
}

static void utf8(void **state) {
    (void)state;
    str_t s = {0};
    assert_false(str_add_utf8(&s, "gr\xC3\xBC\xC3\x9F", 6));
    assert_string_equal(s.s, "gr\xC3\xBC\xC3\x9F");
    str_clear(&s);
    assert_true(str_add_utf8(&s, "a\0b\xFF", 4));
    assert_string_equal(s.s, "a" REPLACED "b" REPLACED);
    str_free(&s);
    assert_true(str_is_utf8(""));
    assert_true(str_is_utf8("\xF0\x9F\x99\x82"));
    assert_false(str_is_utf8("\xF0\x9F\x99"));
    assert_false(str_is_utf8("\x80"));
}

static void html(void **state) {
    (void)state;
    str_t s = {0};
    str_add_html(&s, "<a href='x' b=\"&amp;\">");
    assert_string_equal(s.s, "&lt;a href=&#39;x&#39; b=&quot;&amp;amp;&quot;&gt;");
    str_free(&s);
}

static void prefixes(void **state) {
    (void)state;
    assert_true(str_starts_with("abc", "ab") && str_starts_with("abc", "") && !str_starts_with("ab", "abc"));
    assert_true(str_ends_with("abc", "bc") && str_ends_with("abc", "") && !str_ends_with("bc", "abc"));
}

static void nearest(void **state) {
    (void)state;
    static const char *const names[] = {"train", "ingest", "shards", "recaption"};
    char longer[200];
    assert_string_equal(str_nearest("trian", names, 4), "train");
    assert_string_equal(str_nearest("train", names, 4), "train");
    assert_string_equal(str_nearest("ingset", names, 4), "ingest");
    assert_string_equal(str_nearest("recapton", names, 4), "recaption");
    assert_null(str_nearest("version", names, 4));
    assert_null(str_nearest("train", names, 0));
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_null(str_nearest(longer, names, 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding),   cmocka_unit_test(running_out_is_remembered),
        cmocka_unit_test(json),     cmocka_unit_test(json_of_random_bytes_is_json),
        cmocka_unit_test(utf8),     cmocka_unit_test(html),
        cmocka_unit_test(prefixes), cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
