#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/ingest_log.h"

static ingest_log_reader_t reader_of(const str_t *log) {
    return (ingest_log_reader_t){.text = log->s, .n = log->len, .name = "log"};
}

static void test_round_trip(void **state) {
    (void)state;
    str_t log = {0};
    const ingest_record_t records[] = {
        {.accepted = true,
         .phash = UINT64_MAX,
         .picture_bytes = 7,
         .source_bytes = UINT64_MAX,
         .key = "a b/c",
         .key_bytes = 5,
         .stage = -1,
         .missing = 0x80000001},
        {.reject = REJECT_DECODE, .stage = -1, .line = "{\"key\":\"x y\"}", .line_bytes = 13},
        {.reject = REJECT_NONE, .stage = 3, .line = "{}", .line_bytes = 2, .missing = 4},
        {.accepted = true, .shrunk = true, .kept = true, .repaired = true, .key = "-", .key_bytes = 1, .stage = -1},
    };
    const size_t n = sizeof records / sizeof *records;
    for (size_t i = 0; i < n; i++) ingest_log_add(&log, &records[i]);
    ingest_log_end(&log, (int64_t)n);
    ingest_log_reader_t r = reader_of(&log);
    for (size_t i = 0; i < n; i++) {
        ingest_record_t got;
        const ingest_record_t *wanted = &records[i];
        assert_int_equal(ingest_log_next(&r, &got), LENS_OK);
        assert_int_equal(got.accepted, wanted->accepted);
        assert_int_equal(got.missing, wanted->missing);
        assert_int_equal(got.stage, wanted->stage);
        assert_int_equal(got.reject, wanted->reject);
        assert_true(got.phash == wanted->phash && got.source_bytes == wanted->source_bytes);
        assert_true(got.picture_bytes == wanted->picture_bytes);
        assert_true(got.shrunk == wanted->shrunk && got.kept == wanted->kept && got.repaired == wanted->repaired);
        assert_int_equal(got.key_bytes, wanted->key_bytes);
        assert_int_equal(got.line_bytes, wanted->line_bytes);
        if (got.accepted)
            assert_memory_equal(got.key, wanted->key, got.key_bytes);
        else
            assert_memory_equal(got.line, wanted->line, got.line_bytes);
    }
    ingest_record_t got;
    assert_int_equal(ingest_log_next(&r, &got), LENS_END);
    str_free(&log);
}

/* Every prefix of a log but the whole is refused, at the place where it is cut. */
static void test_cut(void **state) {
    (void)state;
    str_t log = {0};
    ingest_log_add(&log, &(ingest_record_t){.accepted = true, .key = "k", .key_bytes = 1});
    ingest_log_add(&log, &(ingest_record_t){.reject = REJECT_TEXT, .stage = -1, .line = "{}", .line_bytes = 2});
    ingest_log_end(&log, 2);
    for (size_t n = 0; n < log.len; n++) {
        char *copy = malloc(n + 1); /* so that reading beyond it shows */
        memcpy(copy, log.s, n);
        ingest_log_reader_t r = {.text = copy, .n = n, .name = "log"};
        ingest_record_t got;
        lens_status st;
        while ((st = ingest_log_next(&r, &got)) == LENS_OK) {
        }
        assert_int_equal(st, LENS_FORMAT);
        free(copy);
    }
    str_free(&log);
}

static void test_malformed(void **state) {
    (void)state;
    static const char *const bad[] = {
        "x\nend 0\n",
        "a 0 0 0 0 - \nend 1\n",                  /* no key */
        "a 0 0 0 0 q k\nend 1\n",                 /* unknown flag */
        "a 0 0 0 - k\nend 1\n",                   /* a number is missing */
        "a 100000000 0 0 0 - k\nend 1\n",         /* beyond 32 bits */
        "a 0 10000000000000000 0 0 - k\nend 1\n", /* beyond 64 */
        "a 0 0 +1 0 - k\nend 1\n",
        "r 0 99 -1 {}\nend 1\n", /* no such class */
        "r 0 0 -1 {}\nend 1\n",  /* rejected by nobody */
        "r 0 3 2 {}\nend 1\n",   /* by two */
        "end 1\n",
        "end 0\nmore\n",
        "end 0",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ingest_log_reader_t r = {.text = bad[i], .n = strlen(bad[i]), .name = "log"};
        ingest_record_t got;
        lens_status st;
        while ((st = ingest_log_next(&r, &got)) == LENS_OK) {
        }
        if (st != LENS_FORMAT || strncmp(lens_error(), "log: ", 5) != 0) fail_msg("%s: %s", bad[i], lens_error());
    }
}

static void test_reject_line(void **state) {
    (void)state;
    str_t line = {0};
    ingest_reject_line(&line, "a\"b.tar", "k", 1, "blur", "too \xff", &(double){1.5});
    assert_string_equal(line.s, "{\"source\":\"a\\\"b.tar\",\"key\":\"k\",\"class\":\"blur\",\"reason\":\"too "
                                "\xEF\xBF\xBD\",\"value\":1.5}");
    str_clear(&line);
    ingest_reject_line(&line, "s", "", 0, "no picture", "", NULL);
    assert_string_equal(line.s, "{\"source\":\"s\",\"key\":\"\",\"class\":\"no picture\",\"reason\":\"\"}");
    str_free(&line);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_malformed), cmocka_unit_test(test_reject_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
