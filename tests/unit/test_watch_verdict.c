/* Which ranks are blamed for a hang. */
#include "base/watch_verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { WORLD = 3 };

/* All three wait in a sum of step 8 for a short time. */
static void all_well(watch_rank_t *ranks) {
    static const char *const hosts[WORLD] = {"a", "b", "c"};
    for (int i = 0; i < WORLD; i++)
        ranks[i] = (watch_rank_t){
            .report = {.step = 8, .beat_s = 3, .stand_s = 2, .what = "losses"}, .silent_s = 0.5, .host = hosts[i]};
}

static void expect(const watch_rank_t *ranks, const char *lines) {
    str_t got = {0};
    assert_int_equal(watch_judge(ranks, WORLD, 10, &got), lines != NULL);
    assert_string_equal(str_text(&got), lines ? lines : "");
    str_free(&got);
}

static void test_nobody(void **state) {
    (void)state;
    watch_rank_t ranks[WORLD];
    all_well(ranks);
    expect(ranks, NULL);
    ranks[0].report.stand_s = ranks[1].report.stand_s = 60; /* the third has just come */
    expect(ranks, NULL);
    ranks[2].report.stand_s = -1; /* or works, and gets on with it */
    expect(ranks, NULL);
    ranks[2].report.beat_s = 60; /* or may take its time */
    ranks[2].report.suspended = true;
    expect(ranks, NULL);
    all_well(ranks);
    for (int i = 0; i < WORLD; i++)
        ranks[i].report.stand_s = -1, ranks[i].report.beat_s = 60; /* nobody waits for them */
    expect(ranks, NULL);
    all_well(ranks);
    ranks[1].report.left = true; /* and is silent therefore */
    ranks[1].silent_s = 100;
    expect(ranks, NULL);
}

static void test_silent(void **state) {
    (void)state;
    watch_rank_t ranks[WORLD];
    all_well(ranks);
    ranks[0].report.stand_s = 11;
    ranks[2].report.step = 7;
    ranks[2].report.suspended = true; /* when it was heard of last */
    ranks[2].silent_s = 12;
    expect(ranks,
           "rank 2 (host c) has not reached step 8 for 11 s: it was last heard of 12 s ago, in step 7; rank 0 (host "
           "a) waits for it in \"losses\" of step 8");
    ranks[0].report.stand_s = 9;
    expect(ranks, NULL);
    ranks[1].report.stand_s = 20; /* who waits longest is named */
    ranks[2].report.step = 8;
    expect(ranks,
           "rank 2 (host c) stopped in step 8: it was last heard of 12 s ago, in step 8; rank 1 (host b) waits for "
           "it in \"losses\" of step 8");
}

static void test_gone(void **state) {
    (void)state;
    watch_rank_t ranks[WORLD];
    all_well(ranks);
    for (int i = 0; i < WORLD; i++) { /* a slow disk */
        ranks[i].report.stand_s = -1;
        ranks[i].report.suspended = true;
    }
    ranks[0].silent_s = 19;
    expect(ranks, NULL);
    ranks[0].silent_s = 21;
    expect(ranks, "rank 0 (host a) is gone: it was last heard of 21 s ago, in step 8");
    ranks[0].report.left = true;
    expect(ranks, NULL);
}

static void test_stuck(void **state) {
    (void)state;
    watch_rank_t ranks[WORLD];
    all_well(ranks);
    ranks[0].report.stand_s = 11;
    for (int i = 1; i < WORLD; i++) {
        ranks[i].report.step = 7;
        ranks[i].report.stand_s = -1;
        ranks[i].report.beat_s = 14;
    }
    expect(ranks,
           "rank 1 (host b) has not reached step 8 for 11 s: it is in step 7, in no collective, without progress for "
           "14 s; rank 0 (host a) waits for it in \"losses\" of step 8\n"
           "rank 2 (host c) has not reached step 8 for 11 s: it is in step 7, in no collective, without progress for "
           "14 s; rank 0 (host a) waits for it in \"losses\" of step 8");
}

static void test_deadlock(void **state) {
    (void)state;
    watch_rank_t ranks[WORLD];
    all_well(ranks);
    for (int i = 0; i < WORLD; i++) ranks[i].report.stand_s = 30;
    memcpy(ranks[1].report.what, "barrier", 8);
    expect(ranks, "all ranks wait for each other: rank 0 (host a) in \"losses\" of step 8 for 30 s, rank 1 (host b) in "
                  "\"barrier\" of step 8 for 30 s, rank 2 (host c) in \"losses\" of step 8 for 30 s");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody), cmocka_unit_test(test_silent),   cmocka_unit_test(test_gone),
        cmocka_unit_test(test_stuck),  cmocka_unit_test(test_deadlock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
