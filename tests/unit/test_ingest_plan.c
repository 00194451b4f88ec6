/* The plan as a function of logs: packing by samples and bytes, duplicates over parts, what is needed of a part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "data/ingest_log.h"
#include "data/ingest_plan.h"

static char dir[] = "/tmp/lens-test-XXXXXX";

/* Three parts: folders with nothing in them, whose logs the tests make up. */
static source_units_t *units_of_three(void) {
    static char paths[3][64];
    char *list[3];
    for (int i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/part%d", dir, i);
        assert_int_equal(dir_make(paths[i]), LENS_OK);
        list[i] = paths[i];
    }
    source_units_t *units;
    assert_int_equal(source_units_open(&units, list, 3, 100), LENS_OK);
    assert_int_equal(source_units_n(units), 3);
    return units;
}

typedef struct {
    const char *key;
    uint64_t phash, bytes;
} entry_t;

static void add(ingest_plan_t *p, const entry_t *entries, int n) {
    str_t log = {0};
    for (int i = 0; i < n; i++)
        ingest_log_add(&log, &(ingest_record_t){.accepted = true,
                                                .key = entries[i].key,
                                                .key_bytes = strlen(entries[i].key),
                                                .phash = entries[i].phash,
                                                .picture_bytes = entries[i].bytes});
    ingest_log_end(&log, n);
    if (ingest_plan_add(p, log.s, log.len, "log") != LENS_OK) fail_msg("%s", lens_error());
    str_free(&log);
}

static void assert_runs(const ingest_plan_t *p, int64_t shard, const ingest_run_t *runs, int n) {
    const ingest_runs_t *got = ingest_plan_shard(p, shard);
    assert_int_equal(got->n, n);
    assert_memory_equal(got->runs, runs, (size_t)n * sizeof *runs);
}

static void plan_three(const char *yaml, int64_t max_samples, uint64_t max_bytes, void (*check)(ingest_plan_t *)) {
    char config[64];
    snprintf(config, sizeof config, "%s/config.yaml", dir);
    assert_int_equal(file_write(config, yaml, strlen(yaml)), LENS_OK);
    filter_chain_t *filters;
    ingest_plan_t *p;
    source_units_t *units = units_of_three();
    if (filter_chain_new(&filters, config) != LENS_OK) fail_msg("%s", lens_error());
    const ingest_options_t options = {.shard_max_samples = max_samples, .shard_max_bytes = max_bytes};
    char *text = NULL;
    size_t n = 0;
    FILE *rejects = open_memstream(&text, &n);
    assert_int_equal(ingest_plan_new(&p, &options, units, filters, NULL, rejects), LENS_OK);
    check(p);
    ingest_plan_free(p);
    fclose(rejects);
    free(text);
    filter_chain_free(filters);
    source_units_close(units);
}

static void check_packing(ingest_plan_t *p) {
    add(p, (entry_t[]){{"a", 1, 10}, {"b", 2, 10}, {"c", 3, 60}, {"d", 4, 50}}, 4);
    assert_int_equal(ingest_plan_n_shards(p), 1); /* a, b, c: d would be beyond 100 bytes */
    assert_runs(p, 0, (ingest_run_t[]){{0, 0, 3}}, 1);
    assert_false(ingest_plan_part_is_free(p, 0));
    ingest_plan_drop_shard(p, 0);
    assert_false(ingest_plan_part_is_free(p, 0)); /* for d */
    add(p, (entry_t[]){{"b", 5, 1}, {"e", 6, 10}, {"a", 7, 1}, {"f", 8, 10}, {"g", 9, 500}}, 5);
    assert_int_equal(ingest_plan_n_shards(p), 2); /* d, e, f: three samples; twice a key is none */
    assert_runs(p, 1, (ingest_run_t[]){{0, 3, 4}, {1, 1, 2}, {1, 3, 4}}, 3);
    ingest_plan_drop_shard(p, 1);
    assert_true(ingest_plan_part_is_free(p, 0));
    assert_false(ingest_plan_part_is_free(p, 1));
    assert_false(ingest_plan_part_is_free(p, 2)); /* not even added */
    add(p, (entry_t[]){{"g", 9, 1}}, 1);
    assert_int_equal(ingest_plan_n_shards(p),
                     3); /* one sample may be larger than a shard; the last closes with the last part */
    assert_runs(p, 2, (ingest_run_t[]){{1, 4, 5}}, 1);
    assert_true(ingest_plan_part_is_free(p, 2)); /* all of it was dropped */
    const ingest_report_t *r = ingest_plan_report(p);
    assert_int_equal(r->n_read, 10);
    assert_int_equal(r->n_accepted, 7);
    assert_int_equal(r->n_rejected[REJECT_DUPLICATE], 3);
    assert_true(r->picture_bytes == 650);
}

static void test_packing(void **state) {
    (void)state;
    plan_three("filters: []\n", 3, 100, check_packing);
}

static void check_near(ingest_plan_t *p) {
    const uint64_t hash = UINT64_C(0x123456789abcdef0);
    add(p, (entry_t[]){{"a", hash, 1}, {"b", hash ^ 1, 1}}, 2);
    add(p, (entry_t[]){{"c", ~hash, 1}, {"d", hash ^ 7, 1}}, 2);
    add(p, (entry_t[]){{"e", ~hash ^ 6, 1}, {"c", hash ^ 0xf0f0, 1}}, 2);
    const ingest_report_t *r = ingest_plan_report(p);
    assert_int_equal(r->n_accepted, 3); /* a, c, d: d is three bits from a and two from b, which was dropped */
    assert_int_equal(r->by_filter.dropped[1], 2);
    assert_int_equal(r->by_filter.passed, 3);
    assert_int_equal(r->n_rejected[REJECT_DUPLICATE], 1);
    assert_runs(p, 0, (ingest_run_t[]){{0, 0, 1}, {1, 0, 2}}, 2);
}

static void test_near_duplicates(void **state) {
    (void)state;
    plan_three("filters: [corrupt, near_duplicate: {radius: 2}]\n", 10, 100, check_near);
}

static void check_refused(ingest_plan_t *p) {
    static const char log[] = "r 0 0 5 {}\nend 1\n"; /* a filter that is not there */
    assert_int_equal(ingest_plan_add(p, log, sizeof log - 1, "log"), LENS_FORMAT);
}

static void test_foreign_log(void **state) {
    (void)state;
    plan_three("filters: [corrupt]\n", 10, 100, check_refused);
}

static int set_up(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return dir_remove(dir) == LENS_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_packing), cmocka_unit_test(test_near_duplicates),
                                       cmocka_unit_test(test_foreign_log)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
