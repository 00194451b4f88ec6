/* Conditions: what they mean, what is refused and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/where.h"

/* n: null, t: "a cat", b: true, x: 3, y: -0.5, d: damaged */
static lens_status lookup(void *context, int name, where_value_t *out) {
    const char *text = where_name(context, name);
    *out = (where_value_t){0};
    if (strcmp(text, "t") == 0) *out = (where_value_t){.type = WHERE_TEXT, .text = "a cat"};
    if (strcmp(text, "b") == 0) *out = (where_value_t){.type = WHERE_BOOL, .truth = true};
    if (strcmp(text, "x") == 0) *out = (where_value_t){.type = WHERE_NUMBER, .number = 3};
    if (strcmp(text, "y") == 0) *out = (where_value_t){.type = WHERE_NUMBER, .number = -0.5};
    return strcmp(text, "d") == 0 ? lens_fail(LENS_FORMAT, "damaged") : LENS_OK;
}

static lens_status eval(const char *text, bool *out) {
    where_t *w;
    *out = false;
    LENS_TRY(where_parse(&w, text));
    lens_status st = where_eval(w, lookup, w, out);
    where_free(w);
    return st;
}

static void means_what_it_says(void **state) {
    (void)state;
    static const char *const yes[] = {
        "true",
        "b",
        "b = true",
        "b != false",
        "x = 3",
        "x == 3 and y = -0.5",
        "x >= 3 and x <= 3 and not x < 3 and not (x > 3)",
        "1 + 2 * 3 = 7",
        "(1 + 2) * 3 = 9",
        "10 - 2 - 3 = 5",
        "12 / 2 / 3 = 2",
        "-x + 3 = 0",
        "--x = 3",
        "1 / 0 > 1e300",
        "x != 4",
        "t = 'a cat'",
        "t == \"a cat\"",
        "t contains 'cat' and t contains ''",
        "t startswith \"a \"",
        "t < 'b' and t > 'a'",
        "x in (1, 2, 3)",
        "x not in (1, 2)",
        "t in ('dog', 'a cat')",
        "n is null and x is not null",
        "not (n = 1) and not (n != 1) and not (n < 1)",
        "n + 1 is null and -n is null",
        "not n",
        "not (n in (1)) and not (1 in (n))",
        "false or true and true",
        "true or false and false",
        "not false and true",
        "false and d or true", /* d is not looked at */
        "true or d > 1",
        ".5 = 0.5 and 5e-1 = 0.5",
        " x\t>\n2 ",
        "inx is null and notes is null and order is null", /* names that begin like words */
        "caption.a-b is null and meta.x is null",
    };
    static const char *const no[] = {"false",
                                     "n",
                                     "n = n",
                                     "n != n",
                                     "n contains 'a'",
                                     "x = 4",
                                     "t contains 'Cat'",
                                     "t startswith 'cat'",
                                     "x in (1, 2)",
                                     "not b",
                                     "b and n",
                                     "x - 3 > 0"};
    bool got;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (eval(yes[i], &got) != LENS_OK) fail_msg("%s: %s", yes[i], lens_error());
        if (!got) fail_msg("%s: false", yes[i]);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        if (eval(no[i], &got) != LENS_OK) fail_msg("%s: %s", no[i], lens_error());
        if (got) fail_msg("%s: true", no[i]);
    }
}

static void says_where_it_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "column 1: expected a value, but it ends"},
        {"x >", "column 4: expected a value, but it ends"},
        {"x > > 2", "column 5: expected a value at \"> 2\""},
        {"(x > 2", "column 7: expected \")\", but it ends"},
        {"x > 2)", "column 6: expected an operator or the end at \")\""},
        {"x > 2 3", "column 7: expected an operator or the end"},
        {"x > 1.2.3", "column 5: expected a number"},
        {"x > 12px", "column 5: expected a number"},
        {"x > .", "column 5: expected a number"},
        {"x > 1e999", "column 5: expected a number"},
        {"t = 'open", "column 5: the text that begins here has no closing '"},
        {"x in 3", "column 6: expected \"(\""},
        {"x in (3", "column 8: expected \",\" or \")\""},
        {"x in ()", "column 7: expected a value"},
        {"x not 3", "column 7: expected \"in\""},
        {"x is 3", "column 6: expected \"null\""},
        {"and x", "column 1: expected a value"},
        {"x # 2", "column 3: expected an operator or the end"},
        {"x < 2 < 3", "column 7: expected an operator or the end"},
        {"x > 't'", "column 3: compares a number with a text"},
        {"b < true", "column 3: expected numbers or texts, got true or false"},
        {"x", "column 1: expected a condition, got a number"},
        {"true and t", "column 10: expected a condition, got a text"},
        {"x + t > 1", "column 3: expected a number on the right, got a text"},
        {"-t > 1", "column 1: expected a number, got a text"},
        {"x contains 'a'", "column 3: expected a text on the left, got a number"},
        {"1 < 2 and d > 1", "column 11: damaged"},
    };
    bool got;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        lens_status st = eval(wrong[i].text, &got);
        if (st == LENS_OK || !strstr(lens_error(), wrong[i].message))
            fail_msg("%s: %s, expected %s", wrong[i].text, st == LENS_OK ? "fine" : lens_error(), wrong[i].message);
    }
}

/* Depth, length and names are bounded; a long list and a long chain are not deep. */
static void is_bounded(void **state) {
    (void)state;
    str_t text = {0};
    bool got;
    for (int i = 0; i < 5000; i++) str_add(&text, "(");
    assert_int_equal(eval(text.s, &got), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "levels"));
    str_clear(&text);
    for (int i = 0; i < 5000; i++) str_add(&text, "not ");
    assert_int_equal(eval(text.s, &got), LENS_ARGUMENT);
    str_clear(&text);
    for (int i = 0; i < 5000; i++) str_add(&text, "1+");
    str_add(&text, "1 > 0");
    assert_int_equal(eval(text.s, &got), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "operators in a row"));
    str_clear(&text);
    str_add(&text, "x in (0");
    for (int i = 0; i < 5000; i++) str_addf(&text, ",%d", i % 4);
    str_add(&text, ")");
    assert_int_equal(eval(text.s, &got), LENS_OK);
    assert_true(got);
    str_clear(&text);
    for (int i = 0; i < 100; i++) str_addf(&text, "%sn%d is null", i ? " and " : "", i);
    assert_int_equal(eval(text.s, &got), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "more than 64 names"));
    str_clear(&text);
    for (int i = 0; i < 70000; i++) str_add(&text, " ");
    assert_int_equal(eval(text.s, &got), LENS_ARGUMENT);
    str_free(&text);
}

/* Of a dataset's samples. */
static void names_of_samples(void **state) {
    (void)state;
    char dir[] = "/tmp/lens-test-where-XXXXXX";
    assert_non_null(mkdtemp(dir));
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    dataset_writer_t *w;
    assert_int_equal(dataset_writer_open(&w, dir, &options), LENS_OK);
    assert_int_equal(dataset_writer_add(w, &(sample_t){.key = "k",
                                                       .picture = "\xFF\xD8\xFF\xE0 a JPEG begins like this",
                                                       .picture_bytes = 20,
                                                       .width = 40,
                                                       .height = 20,
                                                       .original_width = 400,
                                                       .original_height = 200,
                                                       .alt = "two  words",
                                                       .meta = "{\"p\":0.25,\"lang\":\"en\",\"ok\":true,\"none\":null,"
                                                               "\"list\":[1],\"width\":7}"}),
                     LENS_OK);
    assert_int_equal(dataset_writer_close(w), LENS_OK);
    dataset_t *d;
    assert_int_equal(dataset_open(&d, dir), LENS_OK);
    static const struct {
        const char *text, *error; /* NULL: true */
    } cases[] = {
        {"width = 40 and height = 20 and original_width = 400 and original_height = 200", NULL},
        {"aspect = 2 and area = 800 and bytes = 20 and format = 'jpg'", NULL},
        {"key = 'k' and alt = 'two  words' and words = 2 and caption.alt = alt and words.alt = 2", NULL},
        {"p < 0.5 and lang = 'en' and ok and none is null and missing is null", NULL},
        {"meta.width = 7 and meta.p = p and meta.alt is null", NULL},
        {"list = 1", "list of sample 0 is a list"},
        {"lang > 1", "compares a text with a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        where_t *e;
        where_sample_t *s;
        bool got;
        assert_int_equal(where_parse(&e, cases[i].text), LENS_OK);
        assert_int_equal(where_sample_new(&s, e, d), LENS_OK);
        lens_status st = where_sample_eval(s, 0, &got);
        if (cases[i].error ? st != LENS_ARGUMENT || !strstr(lens_error(), cases[i].error) : st != LENS_OK || !got)
            fail_msg("%s: %s", cases[i].text, st == LENS_OK ? "false" : lens_error());
        where_sample_free(s);
        where_free(e);
    }
    dataset_close(d);
    assert_int_equal(dir_remove(dir), LENS_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(means_what_it_says), cmocka_unit_test(says_where_it_is_wrong),
                                       cmocka_unit_test(is_bounded), cmocka_unit_test(names_of_samples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
