#include "eval/chart.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/chart_axis.h"
#include "eval/html.h"

static int count(const char *text, const char *what) {
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what)) n++;
    return n;
}

/* The labels of all ticks, joined by spaces. */
static void assert_labels(chart_axis_t a, const char *expected) {
    double ticks[CHART_AXIS_MAX_TICKS];
    str_t text = {0};
    int n = chart_axis_ticks(&a, ticks);
    for (int i = 0; i < n; i++) {
        if (i > 0) str_add_char(&text, ' ');
        chart_axis_add_label(&text, &a, ticks[i]);
    }
    assert_string_equal(str_text(&text), expected);
    str_free(&text);
}

static void test_ticks_are_round(void **state) {
    (void)state;
    assert_labels(chart_axis_linear(0.13, 0.91, 5, true), "0 0.2 0.4 0.6 0.8 1.0");
    assert_labels(chart_axis_linear(-3, 7, 5, true), "\u22124 \u22122 0 2 4 6 8");
    assert_labels(chart_axis_linear(0, 3e-4, 5, true), "0 1e\u22124 2e\u22124 3e\u22124");
    assert_labels(chart_axis_linear(0, 20000, 4, true), "0 5k 10k 15k 20k");
    assert_labels(chart_axis_linear(5, 5, 5, true), "4.4 4.6 4.8 5.0 5.2 5.4 5.6");
    assert_labels(chart_axis_log(0.13, 4), "0.1 0.2 0.5 1 2 5");
    assert_labels(chart_axis_log(1, 1), "1 2");
    assert_labels(chart_axis_log(0.5, 30000), "1 10 100 1000 10k");
}

static void test_ticks_stay_inside(void **state) {
    (void)state;
    static const double lows[] = {-1e6, -123.4, -1, -1e-3, 0, 1e-6, 0.7, 36, 1e5};
    for (size_t k = 0; k < sizeof lows / sizeof lows[0]; k++)
        for (double range = 1e-7; range < 1e7; range *= 2.7) {
            double ticks[CHART_AXIS_MAX_TICKS];
            chart_axis_t a = chart_axis_linear(lows[k], lows[k] + range, 6, false);
            int n = chart_axis_ticks(&a, ticks);
            assert_in_range(n, 1, 7);
            for (int i = 0; i < n; i++)
                assert_true(ticks[i] >= a.low - a.step * 1e-6 && ticks[i] <= a.high + a.step * 1e-6);
        }
}

static void draw(str_t *out, const double *x, const double *y, int64_t n, bool log_y) {
    chart_series_t s = {.name = "loss", .x = x, .y = y, .n = n};
    chart_lines(out, &(chart_lines_t){.title = "Loss", .x_label = "step", .series = &s, .n_series = 1, .log_y = log_y});
}

static void test_line_ends_in_the_corners(void **state) {
    (void)state;
    str_t out = {0};
    double x[] = {0, 10}, y[] = {1, 0};
    draw(&out, x, y, 2, false);
    assert_non_null(strstr(str_text(&out), "<path class=\"line c0\" d=\"M54.0 12.0L466.0 206.0\"/>"));
    assert_int_equal(count(str_text(&out), "<title>"), 2);
    assert_non_null(strstr(str_text(&out), "<title>step 10\nloss: 0</title>"));
    str_free(&out);
}

static void test_gap_and_lone_point(void **state) {
    (void)state;
    str_t out = {0};
    double x[] = {0, 1, 2, 3, 4}, y[] = {1, 1, NAN, 2, NAN};
    draw(&out, x, y, 5, false);
    const char *line = strstr(str_text(&out), "class=\"line");
    assert_non_null(line);
    char path[200];
    assert_int_equal(sscanf(line, "class=\"line c0\" d=\"%199[^\"]", path), 1);
    assert_int_equal(count(path, "M"), 2);
    assert_int_equal(count(path, "L"), 1);
    assert_int_equal(count(path, "h0"), 1); /* the lone point is a dot */
    assert_null(strstr(str_text(&out), "nan"));
    str_free(&out);
}

static void test_nothing_to_draw(void **state) {
    (void)state;
    str_t out = {0};
    double x[] = {0, 1}, y[] = {NAN, INFINITY};
    draw(&out, x, y, 2, false);
    draw(&out, x, y, 0, true);
    chart_histogram(&out, &(chart_histogram_t){.title = "t", .count_noun = "n"});
    assert_int_equal(out.len, 0);
}

/* A spike of one step among 100000 is in the picture, and the picture stays small. */
static void test_long_series_keep_their_spikes(void **state) {
    (void)state;
    enum { N = 100000 };
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    assert_true(x != NULL && y != NULL);
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = 0.5 + 0.1 * sin(i);
    }
    y[77777] = 10;
    str_t out = {0};
    draw(&out, x, y, N, false);
    assert_true(out.len < 40000);
    assert_non_null(strstr(str_text(&out), "374.4 12.0L"));
    str_free(&out);
    free(x);
    free(y);
}

static void test_log_axis_needs_positive_values(void **state) {
    (void)state;
    str_t out = {0};
    double x[] = {0, 1, 2}, y[] = {0, 1, 1000};
    draw(&out, x, y, 3, true);
    assert_non_null(strstr(str_text(&out), ">1000</text>"));
    assert_null(strstr(str_text(&out), ">100</text>"));
    assert_null(strstr(str_text(&out), "inf"));
    str_free(&out);
}

static void test_histogram_counts_every_value(void **state) {
    (void)state;
    str_t out = {0};
    double a[] = {3, 3, 3, 9}, b[] = {5};
    chart_sample_t samples[] = {{"alt", a, 4, 0}, {"dense", b, 1, 1}};
    chart_histogram(&out, &(chart_histogram_t){.title = "Words",
                                               .unit = "words",
                                               .count_noun = "captions",
                                               .samples = samples,
                                               .n_samples = 2,
                                               .whole = true});
    const char *text = str_text(&out);
    assert_non_null(strstr(text, "<title>3 words\nalt: 3 captions\ndense: 0 captions</title>"));
    assert_non_null(strstr(text, "<title>5 words\nalt: 0 captions\ndense: 1 captions</title>"));
    assert_non_null(strstr(text, "<title>9 words\nalt: 1 captions\ndense: 0 captions</title>"));
    str_free(&out);
}

static void test_points_stand_where_they_belong(void **state) {
    (void)state;
    str_t out = {0};
    const chart_point_t points[] = {{"alt", 0, 0, 0}, {"dense <b>", 100, 50, 1}};
    chart_points(&out, &(chart_points_t){.title = "Density", .unit = "bits", .x_label = "words"});
    assert_int_equal(out.len, 0);
    chart_points(&out, &(chart_points_t){.title = "Density", .unit = "bits", .x_label = "words", points, 2});
    assert_non_null(strstr(out.s, "<circle class=\"mark c0\" cx=\"54.0\" cy=\"206.0\" r=\"6\">"));
    assert_non_null(strstr(out.s, "<circle class=\"mark c1\" cx=\"466.0\" cy=\"12.0\" r=\"6\">"));
    assert_non_null(strstr(out.s, "<title>dense &lt;b&gt;\nwords: 100\nbits: 50</title>"));
    assert_int_equal(count(out.s, "class=\"key c"), 2);
    str_free(&out);
}

static void test_bars_are_as_high_as_their_values(void **state) {
    (void)state;
    str_t out = {0};
    static const char *const groups[] = {"colours", "counts"};
    const double alt[] = {0, 5}, dense[] = {10, 2.5};
    const chart_bar_t few[] = {{"alt", alt, 0}, {"dense", dense, 1}};
    const chart_bars_t c = {.title = "Facts", .groups = groups, .n_groups = 2, .bars = few, .n_bars = 2};
    chart_bars(&out, &c);
    /* Room for a label makes the axis end at 12.5: 10 of it are 155.2 of 194 px. Each group is 206 px wide, each
     * bar 77. */
    assert_non_null(strstr(out.s, "<rect class=\"mark c0\" x=\"79.8\" y=\"206.0\" width=\"77.2\" height=\"0.0\">"));
    assert_non_null(strstr(out.s, "<rect class=\"mark c1\" x=\"157.0\" y=\"50.8\" width=\"77.2\" height=\"155.2\">"));
    assert_non_null(strstr(out.s, "<title>dense, counts: 2.50</title>"));
    assert_non_null(strstr(out.s, "x=\"157.0\" y=\"224\">colours</text>"));
    assert_int_equal(count(out.s, "class=\"key c"), 2);
    str_clear(&out);
    chart_bars(&out, &(chart_bars_t){.title = "none", .groups = groups, .n_groups = 2});
    assert_int_equal(out.len, 0);
    str_free(&out);
}

static void test_texts_are_escaped(void **state) {
    (void)state;
    str_t out = {0};
    double x[] = {0, 1}, y[] = {0, 1};
    chart_series_t s[2] = {{.name = "<q>&", .x = x, .y = y, .n = 2}, {.name = "\"", .x = x, .y = y, .n = 2}};
    chart_lines(&out, &(chart_lines_t){.title = "<i>", .unit = "<u>", .x_label = "<x>", .series = s, .n_series = 2});
    chart_sample_t sample = {"<s>", y, 2, 0};
    chart_histogram(&out, &(chart_histogram_t){"<i>", "<u>", "<n>", &sample, 1, false});
    static const char *const raw[] = {"<i>", "<u>", "<x>", "<s>", "<n>", "<q>&"};
    for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++) assert_null(strstr(str_text(&out), raw[i]));
    assert_non_null(strstr(str_text(&out), "&lt;q&gt;&amp;"));
    str_free(&out);
}

static void assert_text(str_t *s, const char *expected) {
    assert_string_equal(str_text(s), expected);
    str_clear(s);
}

static void test_numbers_for_people(void **state) {
    (void)state;
    str_t s = {0};
    html_add_int(&s, INT64_MIN);
    assert_text(&s, "\u22129,223,372,036,854,775,808");
    html_add_number(&s, 0.99951);
    assert_text(&s, "1.00");
    html_add_number(&s, -0.0123456);
    assert_text(&s, "\u22120.0123");
    html_add_number(&s, 999.6);
    assert_text(&s, "1,000");
    html_add_number(&s, 1.5e-5);
    assert_text(&s, "1.50e-05");
    html_add_number(&s, NAN);
    assert_text(&s, "none");
    html_add_short(&s, 6921984);
    assert_text(&s, "6.92\u00a0M");
    html_add_bytes(&s, 999999);
    assert_text(&s, "1.00\u00a0MB");
    html_add_duration(&s, 59.96);
    assert_text(&s, "60.0\u00a0s");
    html_add_duration(&s, 1354.2);
    assert_text(&s, "22\u00a0min 34\u00a0s");
    html_add_duration(&s, 100000);
    assert_text(&s, "27\u00a0h 47\u00a0min");
    html_add_percent(&s, 0.3456);
    assert_text(&s, "34.6\u00a0%");
    str_free(&s);
}

/* The vectors of RFC 4648, section 10. */
static void test_base64(void **state) {
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    str_t s = {0}, expected = {0};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        html_add_data_uri(&s, "image/png", vectors[i][0], strlen(vectors[i][0]));
        str_addf(&expected, "data:image/png;base64,%s", vectors[i][1]);
        assert_text(&s, str_text(&expected));
        str_clear(&expected);
    }
    html_add_data_uri(&s, "image/png", "\xff\xef\xbe", 3);
    assert_text(&s, "data:image/png;base64,/+++");
    str_free(&expected);
    str_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks_are_round),
        cmocka_unit_test(test_ticks_stay_inside),
        cmocka_unit_test(test_line_ends_in_the_corners),
        cmocka_unit_test(test_gap_and_lone_point),
        cmocka_unit_test(test_nothing_to_draw),
        cmocka_unit_test(test_long_series_keep_their_spikes),
        cmocka_unit_test(test_log_axis_needs_positive_values),
        cmocka_unit_test(test_histogram_counts_every_value),
        cmocka_unit_test(test_points_stand_where_they_belong),
        cmocka_unit_test(test_bars_are_as_high_as_their_values),
        cmocka_unit_test(test_texts_are_escaped),
        cmocka_unit_test(test_numbers_for_people),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
