/* Lists of endpoints, who is given the next request, rests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "recaption/endpoints.h"

static void test_lists(void **state) {
    (void)state;
    endpoints_t e;
    assert_int_equal(endpoints_open(&e, "http://a:1/v1/,https://b/v1", 16), LENS_OK);
    assert_int_equal(e.n, 2);
    assert_string_equal(e.endpoints[0].url, "http://a:1/v1/chat/completions");
    assert_string_equal(e.endpoints[1].name, "https://b/v1");
    endpoints_free(&e);
    static const char *const wrong[] = {"",
                                        "ftp://a",
                                        "http://",
                                        "http://a/v1,",
                                        "http://a b",
                                        "http:///",
                                        "http://u:p@a/v1",
                                        "http://a,http://a/",
                                        "http://a/?key=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(endpoints_open(&e, wrong[i], 16), LENS_ARGUMENT);
        assert_null(strstr(lens_error(), "u:p")); /* a password is not repeated */
    }
}

static void test_files(void **state) {
    (void)state;
    char list[] = "@/tmp/test_endpoints.XXXXXX";
    close(mkstemp(list + 1));
    static const char text[] = "# ours\nhttp://a/v1 2.5\n\n  https://b/v1 # slow\n";
    assert_int_equal(file_write(list + 1, text, strlen(text)), LENS_OK);
    endpoints_t e;
    assert_int_equal(endpoints_open(&e, list, 16), LENS_OK);
    assert_int_equal(e.n, 2);
    assert_true(e.endpoints[0].weight == 2.5 && e.endpoints[1].weight == 1);
    endpoints_free(&e);
    static const char *const wrong[] = {"# none\n", "http://a/v1 0\n", "http://a/v1 1 2\n", "http://a/v1 nan", "b 1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(file_write(list + 1, wrong[i], strlen(wrong[i])), LENS_OK);
        assert_int_equal(endpoints_open(&e, list, 16), LENS_ARGUMENT);
    }
    unlink(list + 1);
    assert_int_equal(endpoints_open(&e, list, 16), LENS_IO);
}

/* One that answers in a tenth of the time gets most, and the slow one is not left out. */
static void test_speed(void **state) {
    (void)state;
    endpoints_t e;
    assert_int_equal(endpoints_open(&e, "http://fast,http://slow", 64), LENS_OK);
    double free_s[2][64] = {{0}};
    for (double now_s = 1; now_s < 60; now_s += 0.01) {
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < 64; k++)
                if (free_s[i][k] > 0 && free_s[i][k] <= now_s) {
                    endpoints_finish(&e, i, ENDPOINT_ANSWERED, i ? 1 : 0.1, 0, now_s);
                    free_s[i][k] = 0;
                }
        for (int which; (which = endpoints_send(&e, -1, now_s)) >= 0;) {
            int k = 0;
            while (free_s[which][k] > 0) k++;
            free_s[which][k] = now_s + (which ? 1 : 0.1);
        }
    }
    const double ratio = (double)e.endpoints[0].n_answered / (double)e.endpoints[1].n_answered;
    assert_true(ratio > 7 && ratio < 14);
    endpoints_free(&e);
}

static void test_rest(void **state) {
    (void)state;
    endpoints_t e;
    assert_int_equal(endpoints_open(&e, "http://a,http://b", 64), LENS_OK);
    const int gone = endpoints_send(&e, -1, 1);
    endpoints_finish(&e, gone, ENDPOINT_GONE, 0, 0, 1);
    assert_true(e.failing_since_s == 1);
    for (int i = 0; i < CONCURRENCY_START; i++) assert_int_equal(endpoints_send(&e, -1, 1.1), !gone);
    assert_int_equal(endpoints_send(&e, -1, 1.1), -1);
    assert_true(endpoints_next_s(&e, 1.1) == 0);
    /* Back after 0.25 to 0.75 s, with one request to try. */
    assert_int_equal(endpoints_send(&e, -1, 1.2), -1);
    assert_int_equal(endpoints_send(&e, -1, 1.8), gone);
    assert_int_equal(endpoints_send(&e, -1, 1.8), -1);
    endpoints_finish(&e, gone, ENDPOINT_FAILED, 0, 0, 2); /* the trial failed: longer, 0.5 to 1.5 s */
    assert_int_equal(endpoints_send(&e, -1, 2.45), -1);
    assert_int_equal(endpoints_send(&e, -1, 3.6), gone);
    endpoints_finish(&e, gone, ENDPOINT_ANSWERED, 0.1, 0, 3.7);
    assert_true(e.failing_since_s == 0);
    assert_int_equal(endpoints_send(&e, -1, 3.7), gone);
    assert_int_equal(endpoints_send(&e, -1, 3.7), gone);
    endpoints_free(&e);
}

static void test_retry_after(void **state) {
    (void)state;
    endpoints_t e;
    assert_int_equal(endpoints_open(&e, "http://a", 64), LENS_OK);
    for (int i = 0; i < ENDPOINT_FAILURES; i++) assert_int_equal(endpoints_send(&e, -1, 1), 0);
    for (int i = 0; i < ENDPOINT_FAILURES; i++) endpoints_finish(&e, 0, ENDPOINT_TURNED_DOWN, 0, 30, 1);
    assert_int_equal(endpoints_send(&e, -1, 30.9), -1);
    assert_true(endpoints_next_s(&e, 2) == 31);
    assert_int_equal(endpoints_send(&e, -1, 31.1), 0);
    endpoints_free(&e);
}

/* A retry goes elsewhere where there is an elsewhere. */
static void test_avoid(void **state) {
    (void)state;
    endpoints_t e;
    assert_int_equal(endpoints_open(&e, "http://a,http://b", 1), LENS_OK);
    assert_int_equal(endpoints_send(&e, 0, 1), 1);
    assert_int_equal(endpoints_send(&e, 0, 1), 0);
    assert_int_equal(endpoints_send(&e, 0, 1), -1);
    endpoints_free(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists), cmocka_unit_test(test_files),       cmocka_unit_test(test_speed),
        cmocka_unit_test(test_rest),  cmocka_unit_test(test_retry_after), cmocka_unit_test(test_avoid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
