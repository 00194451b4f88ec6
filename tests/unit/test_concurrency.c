/* The window against servers made of arithmetic: each answers after a latency that depends on what is in flight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "recaption/concurrency.h"

typedef struct {
    double base_s;
    double slots;  /* more in flight than this wait: latency grows, throughput does not */
    int64_t limit; /* 429 beyond; 0: none */
} server_t;

/* `seconds` of it in steps of a window: all in flight are answered together. Returns answers a second of the last
 * half. */
static double run(concurrency_t *c, const server_t *s, double seconds) {
    double now_s = 1, counted = 0;
    while (now_s < 1 + seconds) {
        const int64_t n = concurrency_window(c);
        for (int64_t i = 1; i <= n; i++) concurrency_sent(c, i, now_s);
        const double latency_s = s->base_s * fmax(1, (double)n / s->slots);
        now_s += latency_s;
        for (int64_t i = 0; i < n; i++) {
            if (s->limit && i >= s->limit)
                concurrency_turned_down(c, now_s);
            else
                concurrency_answered(c, latency_s, now_s);
        }
        if (now_s > 1 + seconds / 2) counted += (double)(s->limit && n > s->limit ? s->limit : n);
    }
    return counted / (seconds / 2);
}

static void test_reaches_what_is_allowed(void **state) {
    (void)state;
    concurrency_t c;
    concurrency_init(&c, 256);
    assert_int_equal(concurrency_window(&c), CONCURRENCY_START);
    run(&c, &(server_t){.base_s = 0.2, .slots = 1e9}, 1.5);
    assert_int_equal(concurrency_window(&c), 256);
    run(&c, &(server_t){.base_s = 0.2, .slots = 1e9}, 30);
    assert_int_equal(concurrency_window(&c), 256);
}

static void test_small_limit(void **state) {
    (void)state;
    concurrency_t c;
    concurrency_init(&c, 3);
    run(&c, &(server_t){.base_s = 0.2, .slots = 1e9}, 30);
    assert_int_equal(concurrency_window(&c), 3);
    concurrency_init(&c, 1);
    run(&c, &(server_t){.base_s = 0.2, .slots = 1, .limit = 1}, 30);
    assert_int_equal(concurrency_window(&c), 1);
}

/* A server with 40 places: full throughput, and no queue of many times that. */
static void test_stops_where_throughput_does(void **state) {
    (void)state;
    concurrency_t c;
    concurrency_init(&c, 1024);
    const double per_s = run(&c, &(server_t){.base_s = 0.2, .slots = 40}, 120);
    assert_true(per_s > 0.95 * 200 && per_s < 1.05 * 200);
    assert_in_range(concurrency_window(&c), 36, 80);
}

static void test_turned_down(void **state) {
    (void)state;
    concurrency_t c;
    concurrency_init(&c, 1024);
    const double per_s = run(&c, &(server_t){.base_s = 0.2, .slots = 1e9, .limit = 100}, 120);
    assert_true(per_s > 0.9 * 500);
    assert_in_range(concurrency_window(&c), 80, 120);
}

/* Three in a hundred turned down at random say nothing of how many fit. */
static void test_hiccups(void **state) {
    (void)state;
    concurrency_t c;
    concurrency_init(&c, 256);
    double now_s = 1;
    for (int i = 0; i < 20000; i++) {
        concurrency_sent(&c, concurrency_window(&c), now_s);
        now_s += 0.2 / c.size;
        if (i % 33 == 0)
            concurrency_turned_down(&c, now_s);
        else
            concurrency_answered(&c, 0.2, now_s);
    }
    assert_true(concurrency_window(&c) > 200);
}

static void test_idle_says_nothing(void **state) {
    (void)state;
    concurrency_t c;
    concurrency_init(&c, 256);
    for (int i = 0; i < 1000; i++) {
        concurrency_sent(&c, 2, 1 + i);
        concurrency_answered(&c, 0.2, 1.2 + i);
    }
    assert_int_equal(concurrency_window(&c), CONCURRENCY_START);
    concurrency_restart(&c);
    assert_int_equal(concurrency_window(&c), CONCURRENCY_START / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reaches_what_is_allowed),
        cmocka_unit_test(test_small_limit),
        cmocka_unit_test(test_stops_where_throughput_does),
        cmocka_unit_test(test_turned_down),
        cmocka_unit_test(test_hiccups),
        cmocka_unit_test(test_idle_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
