/* What captions cost: sums, projection, the arithmetic of a budget, and the files of ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "recaption/account.h"
#include "recaption/account_counts.h"

static const caption_kind_t kinds[] = {{.name = "dense", .style = "detailed"}, {.name = "brief", .style = "brief"}};
static char dir[64];

static int set_up(void **state) {
    (void)state;
    char path[128];
    snprintf(dir, sizeof dir, "/tmp/lens-test-account-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/.recaption", dir);
    return dir_make(path) == LENS_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return dir_remove(dir) == LENS_OK ? 0 : -1;
}

/* Two endpoints, of which this process has asked the first. */
static void stats(captioner_t *c, captioner_stats_t *out) {
    (void)c;
    out->n = 2;
    out->endpoints[0] = (endpoint_stats_t){.name = "http://a:8000/v1",
                                           .answered = 30,
                                           .failed = 1,
                                           .tokens_in = 300,
                                           .latency_mean_s = 1,
                                           .latency_p50_s = 1,
                                           .latency_p95_s = 2};
    out->endpoints[1] = (endpoint_stats_t){.name = "http://b:8000/v1", .rested = true};
}

static const captioner_type_t plain = {.name = "plain"}, served = {.name = "served", .stats = stats};
static captioner_t captioner = {&plain};

/* 2 USD a million tokens in, 10 out: 1,000 in and 100 out are 0.003 USD. */
static account_options_t options(int rank, int world) {
    return (account_options_t){.dir = dir,
                               .kinds = kinds,
                               .n_kinds = 2,
                               .captioner = &captioner,
                               .rank = rank,
                               .world = world,
                               .price_in_usd = 2,
                               .price_out_usd = 10,
                               .guess_tokens_in = 1000,
                               .guess_tokens_out = 100,
                               .n_wanted = 40};
}

static account_t *open_account(const account_options_t *o) {
    account_t *a;
    captioner.type = &plain;
    assert_int_equal(account_open(&a, o), LENS_OK);
    return a;
}

static void answer(account_t *a, int kind, quality_reason judged, int64_t tokens_in, int64_t tokens_out) {
    const caption_reply_t reply = {
        .outcome = CAPTION_TEXT, .text = "", .tokens_in = tokens_in, .tokens_out = tokens_out};
    const recaption_watch_t w = account_watch(a);
    w.answered(w.context, kind, judged, &reply);
}

static recaption_may may_ask(account_t *a, int64_t n_in_flight) {
    const recaption_watch_t w = account_watch(a);
    return w.may_ask(w.context, n_in_flight);
}

/* What this rank has recorded in all, and the last look; the progress line. */
static str_t last_look(account_t *a, int64_t n_recorded) {
    const recaption_watch_t w = account_watch(a);
    str_t line = {0};
    assert_int_equal(w.look(w.context, &(recaption_result_t){.n_answers = n_recorded}, true, &line), LENS_OK);
    return line;
}

static void leave(account_t *a, int64_t n_recorded) {
    str_t line = last_look(a, n_recorded);
    str_free(&line);
    account_free(a);
}

static json_t *read_stats(void) {
    char path[128];
    json_error_t error;
    snprintf(path, sizeof path, "%s/stats.json", dir);
    json_t *root = json_load_file(path, 0, &error);
    assert_non_null(root);
    return root;
}

static double number(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_number(value)) fail_msg("no number %s", name);
    return json_number_value(value);
}

static void write_account(int rank, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/.recaption/account-%d.json", dir, rank);
    assert_int_equal(file_write(path, text, strlen(text)), LENS_OK);
}

#define COUNTS(wanted, captions, answers, in, out, ended, usd)                                                         \
    "{\"captions_wanted\":" #wanted ",\"captions\":" #captions ",\"answers\":" #answers ",\"unbilled\":0,"             \
    "\"tokens_in\":" #in ",\"tokens_out\":" #out ",\"ended_by_budget\":" #ended ",\"usd\":" #usd ",\"seconds\":8,"     \
    "\"kinds\":{\"dense\":{\"accepted\":" #captions ",\"loop\":1}}"

static void test_sums_and_projection(void **state) {
    (void)state;
    const account_options_t o = options(0, 1);
    account_t *a = open_account(&o);
    for (int i = 0; i < 10; i++) answer(a, i % 2, QUALITY_ACCEPTED, 1000, 100);
    answer(a, 1, QUALITY_LOOP, 2000, 400);
    str_t line = last_look(a, 10);
    json_t *s = read_stats(), *projection = json_object_get(s, "projection");
    assert_int_equal(number(s, "captions_wanted"), 40);
    assert_int_equal(number(s, "captions"), 10);
    assert_int_equal(number(s, "answers"), 11);
    assert_int_equal(number(s, "tokens_in"), 12000);
    assert_int_equal(number(s, "tokens_out"), 1400);
    assert_true(fabs(number(s, "usd") - 0.038) < 1e-9);
    assert_int_equal(number(json_object_get(json_object_get(s, "kinds"), "brief"), "loop"), 1);
    assert_int_equal(number(json_object_get(json_object_get(s, "kinds"), "dense"), "accepted"), 5);
    assert_int_equal(number(projection, "captions_left"), 30);
    assert_true(fabs(number(projection, "total_usd") - 4 * 0.038) < 1e-6); /* 30 more at the mean of 10 */
    /* Rates are printed with 3 decimals; the time left, which they are as well, in whole seconds. */
    assert_true(fabs(number(s, "captions_per_s") / 2 - number(s, "pictures_per_s")) < 0.0011);
    assert_true(fabs(number(projection, "seconds_left") - 30 / number(s, "captions_per_s")) <= 0.5 + 1e-3);
    static const char *const parts[] = {" of 40,",
                                        "pictures/s",
                                        "left",
                                        "0.038 USD of 0.152",
                                        "tokens 12.0k in, 1.4k out",
                                        "9.1 % turned down (loop 1)"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strstr(line.s, parts[i])) fail_msg("the line lacks \"%s\": %s", parts[i], line.s);
    json_decref(s);
    str_free(&line);
    account_free(a);
}

/* Before anything is known each request counts as the guess, 0.003 USD: 9 of them stay below 0.03. */
static void test_budget_by_the_guess(void **state) {
    (void)state;
    account_options_t o = options(0, 1);
    o.budget_usd = 0.03;
    account_t *a = open_account(&o);
    assert_int_equal(may_ask(a, 0), RECAPTION_ASK);
    assert_int_equal(may_ask(a, 8), RECAPTION_ASK);
    assert_int_equal(may_ask(a, 9), RECAPTION_WAIT);
    /* An answer that is dearer than the guess stands for the others: 0.0072 spent, 3 times 0.0072 left. */
    answer(a, 0, QUALITY_ACCEPTED, 1000, 520);
    assert_int_equal(may_ask(a, 2), RECAPTION_ASK);
    assert_int_equal(may_ask(a, 3), RECAPTION_WAIT);
    assert_null(account_verdict(a));
    account_free(a);
}

/* 8 answers of 0.002 USD and 8 of 0.004: m = 0.003, s = 0.001, 0.048 spent. */
static void answer_sixteen(account_t *a) {
    for (int i = 0; i < 16; i++) answer(a, 0, QUALITY_ACCEPTED, i % 2 ? 1000 : 500, i % 2 ? 200 : 100);
}

static void test_budget_by_mean_and_deviation(void **state) {
    (void)state;
    account_options_t o = options(0, 1);
    /* n = 25 in flight cost up to 25 m + 3 * 5 s = 0.09; n = 26 up to 0.078 + 0.015297. */
    o.budget_usd = 0.048 + 0.0901;
    account_t *a = open_account(&o);
    answer_sixteen(a);
    assert_int_equal(may_ask(a, 24), RECAPTION_ASK);
    assert_int_equal(may_ask(a, 25), RECAPTION_WAIT);
    /* 0.1372 spent; 0.0009 left are less than the 0.006 that one may cost: the end, and it stays the end. */
    for (int i = 0; i < 22; i++) answer(a, 0, QUALITY_ACCEPTED, 2000, 0);
    answer(a, 0, QUALITY_ACCEPTED, 600, 0);
    assert_int_equal(may_ask(a, 3), RECAPTION_ENOUGH);
    assert_int_equal(may_ask(a, 0), RECAPTION_ENOUGH);
    assert_non_null(strstr(account_verdict(a), "--budget 0.14USD"));
    account_free(a);
}

/* Answers that cost the same but for one: the dearest may come again, however rare it is. */
static void test_budget_knows_the_dearest(void **state) {
    (void)state;
    account_options_t o = options(0, 1);
    o.budget_usd = 0.4;
    account_t *a = open_account(&o);
    for (int i = 0; i < 99; i++) answer(a, 0, QUALITY_ACCEPTED, 1000, 0); /* 0.198 USD */
    answer(a, 0, QUALITY_LOOP, 0, 10000);                                 /* 0.1 USD: s = 0.0098 */
    assert_int_equal(may_ask(a, 0), RECAPTION_ASK);                       /* 0.102 left */
    answer(a, 0, QUALITY_ACCEPTED, 1500, 0);
    assert_int_equal(may_ask(a, 0), RECAPTION_ENOUGH); /* 0.099 left, m + 3 s = 0.032 */
    account_free(a);
}

static void test_budget_needs_usage(void **state) {
    (void)state;
    account_options_t o = options(0, 1);
    o.budget_usd = 1;
    account_t *a = open_account(&o);
    answer(a, 0, QUALITY_ACCEPTED, 0, 0);
    assert_int_equal(may_ask(a, 0), RECAPTION_ENOUGH);
    assert_non_null(strstr(account_verdict(a), "does not say how many tokens"));
    account_free(a);
    o.price_in_usd = o.price_out_usd = 0;
    assert_int_equal(account_open(&a, &o), LENS_ARGUMENT);
    assert_null(a);
}

static void test_no_budget(void **state) {
    (void)state;
    const account_options_t o = options(0, 1);
    account_t *a = open_account(&o);
    answer(a, 0, QUALITY_ACCEPTED, 0, 0);
    assert_int_equal(may_ask(a, 1000000), RECAPTION_ASK);
    account_free(a);
}

/* Three ranks leave 0.06 USD and 12 captions; one goes on, then two share what is left of a budget. */
static void test_resume_with_other_ranks(void **state) {
    (void)state;
    for (int rank = 0; rank < 3; rank++) {
        account_options_t o = options(rank, 3);
        account_t *a = open_account(&o);
        for (int i = 0; i < 4; i++) answer(a, 0, QUALITY_ACCEPTED, 0, 500);
        leave(a, 4);
    }
    account_options_t o = options(0, 1);
    o.n_wanted = 28; /* a shard of 12 was written meanwhile */
    account_t *a = open_account(&o);
    leave(a, 0);
    json_t *s = read_stats();
    assert_int_equal(number(s, "captions_wanted"), 40);
    assert_int_equal(number(s, "captions"), 12);
    assert_int_equal(number(s, "tokens_out"), 6000);
    assert_true(fabs(number(s, "usd") - 0.06) < 1e-9);
    assert_int_equal(number(json_object_get(s, "projection"), "captions_left"), 28);
    assert_true(number(s, "captions_per_s") == 0); /* of this run, which has asked nothing */
    json_decref(s);
    o = options(1, 2);
    o.budget_usd = 0.06 + 2 * 0.0061; /* a part of 0.0061: two guesses of 0.003 */
    a = open_account(&o);
    assert_int_equal(may_ask(a, 1), RECAPTION_ASK);
    assert_int_equal(may_ask(a, 2), RECAPTION_WAIT);
    account_free(a);
}

static void test_endpoints_of_ranks(void **state) {
    (void)state;
    write_account(
        1,
        COUNTS(0, 5, 6, 10, 10, 0,
               0.5) ",\"endpoints\":["
                    "{\"name\":\"http://a:8000/v1\",\"answered\":10,\"failed\":2,\"rested\":true,\"answers_per_s\":1,"
                    "\"tokens_in\":50,\"tokens_out\":7,\"latency_s\":{\"mean\":3,\"p50\":2,\"p95\":6}},"
                    "{\"name\":\"http://gone/v1\",\"answered\":10,\"failed\":2,\"rested\":true,\"answers_per_s\":1,"
                    "\"tokens_in\":50,\"tokens_out\":7,\"latency_s\":{\"mean\":3,\"p50\":2,\"p95\":6}}]}");
    account_options_t o = options(0, 2);
    account_t *a = open_account(&o);
    account_free(a);
    captioner.type = &served;
    assert_int_equal(account_open(&a, &o), LENS_OK);
    str_t line = last_look(a, 3);
    json_t *s = read_stats(), *endpoints = json_object_get(s, "endpoints"), *first = json_array_get(endpoints, 0);
    assert_int_equal(json_array_size(endpoints), 2);
    assert_int_equal(number(first, "answered"), 40);
    assert_int_equal(number(first, "failed"), 3);
    assert_int_equal(number(first, "tokens_in"), 350);
    assert_true(number(json_object_get(first, "latency_s"), "mean") == (30 * 1 + 10 * 3) / 40.0);
    assert_true(number(json_object_get(first, "latency_s"), "p95") == (30 * 2 + 10 * 6) / 40.0);
    assert_int_equal(number(json_array_get(endpoints, 1), "answered"), 0);
    json_decref(s);
    str_free(&line);
    account_free(a);
    /* The line has the endpoints as they were last written: the next look shows them. */
    assert_int_equal(account_open(&a, &o), LENS_OK);
    line = last_look(a, 3);
    str_free(&line);
    line = last_look(a, 3);
    assert_non_null(strstr(line.s, ", a:8000 "));
    assert_non_null(strstr(line.s, ", b:8000 0.0/s (rests)"));
    str_free(&line);
    account_free(a);
}

/* A rank that the budget has stopped says so to rank 0; one of an earlier, larger run does not. */
static void test_verdict_of_another_rank(void **state) {
    (void)state;
    const recaption_result_t stopped = {.stopped = true, .n_shards_left = 1};
    account_options_t o = options(0, 2);
    o.budget_usd = 5;
    write_account(2, COUNTS(0, 5, 6, 10, 10, 1, 0.5) "}");
    for (int is_ended = 0; is_ended < 2; is_ended++) {
        account_t *a = open_account(&o);
        const recaption_watch_t w = account_watch(a);
        if (is_ended) write_account(1, COUNTS(0, 5, 6, 10, 10, 1, 0.5) "}");
        assert_int_equal(w.ended(w.context, &stopped), LENS_OK);
        assert_int_equal(account_verdict(a) != NULL, is_ended);
        account_free(a);
    }
}

static void test_files_go_at_the_end(void **state) {
    (void)state;
    char path[128];
    write_account(1, COUNTS(0, 5, 6, 10, 10, 0, 0.5) "}");
    const account_options_t o = options(0, 2);
    account_t *a = open_account(&o);
    const recaption_watch_t w = account_watch(a);
    assert_int_equal(w.ended(w.context, &(recaption_result_t){0}), LENS_OK);
    account_free(a);
    for (int rank = 0; rank < 2; rank++) {
        snprintf(path, sizeof path, "%s/.recaption/account-%d.json", dir, rank);
        assert_false(file_exists(path));
    }
    json_t *s = read_stats();
    assert_int_equal(number(s, "captions"), 5);
    json_decref(s);
}

static void test_damaged_files(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        COUNTS(0, 5, 6, 10, 10, 0, 0.5),
        COUNTS(0, -5, 6, 10, 10, 0, 0.5) "}",
        COUNTS(0, 5.5, 6, 10, 10, 0, 0.5) "}",
        COUNTS(0, 5, 6, 10, 10, 0, -0.5) "}",
        COUNTS(0, 5, 6, 10, 9223372036854775807, 0, 0.5) "}",
        COUNTS(0, 5, 6, 10, 10, 0, 1e300) "}",
        COUNTS(0, 5, 6, 10, 10, 0, 0.5) ",\"usd\":0.5}",
        COUNTS(0, 5, 6, 10, 10, 0, null) "}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        account_t *a;
        const account_options_t o = options(0, 1);
        write_account(3, texts[i]);
        if (account_open(&a, &o) != LENS_FORMAT) fail_msg("taken: %s", texts[i]);
        assert_null(a);
        assert_non_null(strstr(lens_error(), "account-3.json"));
    }
    write_account(3, COUNTS(0, 5, 6, 10, 10, 0, 0.5) "}");
    account_t *a;
    const account_options_t o = options(0, 1);
    assert_int_equal(account_open(&a, &o), LENS_OK);
    account_free(a);
}

static void test_amounts(void **state) {
    (void)state;
    double usd;
    assert_int_equal(account_parse_usd(&usd, "50USD"), LENS_OK);
    assert_true(usd == 50);
    assert_int_equal(account_parse_usd(&usd, "49.50 usd"), LENS_OK);
    assert_true(usd == 49.5);
    assert_int_equal(account_parse_usd(&usd, "7"), LENS_OK);
    static const char *const wrong[] = {"", "USD", "-1", "0", "nan", "inf", "1e999", "5EUR", "5 USD per day"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (account_parse_usd(&usd, wrong[i]) != LENS_ARGUMENT) fail_msg("taken: %s", wrong[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_sums_and_projection),      TEST(test_budget_by_the_guess), TEST(test_budget_by_mean_and_deviation),
        TEST(test_budget_knows_the_dearest), TEST(test_budget_needs_usage),  TEST(test_no_budget),
        TEST(test_resume_with_other_ranks),  TEST(test_endpoints_of_ranks),  TEST(test_verdict_of_another_rank),
        TEST(test_files_go_at_the_end),      TEST(test_damaged_files),       TEST(test_amounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
