#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "data/ingest_summary.h"

static char dir[] = "/tmp/test_ingest_summary.XXXXXX";

static lens_status read_of(ingest_summary_t *out, const char *json) {
    str_t path = {0};
    str_addf(&path, "%s/ingest.json", dir);
    assert_int_equal(file_write(path.s, json, strlen(json)), LENS_OK);
    str_free(&path);
    return ingest_summary_read(out, dir);
}

static void test_absent(void **state) {
    (void)state;
    ingest_summary_t s;
    assert_int_equal(ingest_summary_read(&s, dir), LENS_OK);
    assert_int_equal(s.n_stages, 0);
    assert_int_equal(s.n_read, 0);
    ingest_summary_free(&s);
}

static void test_round_trip(void **state) {
    (void)state;
    ingest_summary_t s;
    assert_int_equal(read_of(&s, "{\"read\":9,\"accepted\":5,\"rejected\":4,\"seconds\":1.5,\"funnel\":["
                                 "{\"stage\":\"decode\",\"limit\":\"\",\"dropped\":1,\"missing\":0,\"left\":8},"
                                 "{\"stage\":\"blur\",\"limit\":\"min 3\",\"dropped\":3,\"missing\":2,\"left\":5}]}"),
                     LENS_OK);
    assert_int_equal(s.n_stages, 2);
    assert_true(s.n_read == 9 && s.n_accepted == 5 && s.n_rejected == 4);
    assert_string_equal(s.stages[0].stage, "decode");
    assert_string_equal(s.stages[0].limit, "");
    assert_string_equal(s.stages[1].stage, "blur");
    assert_string_equal(s.stages[1].limit, "min 3");
    assert_true(s.stages[1].dropped == 3 && s.stages[1].missing == 2 && s.stages[1].left == 5);
    ingest_summary_free(&s);
}

#define COUNTS "{\"read\":9,\"accepted\":5,\"rejected\":4,\"funnel\":"
#define STAGE(limit, dropped, left)                                                                                    \
    COUNTS "[{\"stage\":\"a\",\"limit\":" limit ",\"dropped\":" dropped ",\"missing\":0,\"left\":" left "}]}"

static void test_hostile(void **state) {
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "line 1"},
        {"[]", "\"read\": expected a whole number"},
        {"{\"read\":-1}", "\"read\": expected a whole number"},
        {"{\"read\":1.5}", "\"read\": expected a whole number"},
        {"{\"read\":1,\"read\":2}", "duplicate"},
        {COUNTS "{}}", "\"funnel\": expected a list"},
        {COUNTS "[7]}", "stage 0: \"stage\": expected a string"},
        {STAGE("3", "1", "8"), "stage 0: \"limit\": expected a string"},
        {STAGE("\"\\u001b[2J\"", "1", "8"), "without control characters"},
        {STAGE("\"\"", "\"1\"", "8"), "\"dropped\": expected a whole number"},
        {STAGE("\"\"", "10", "-1"), "\"left\": expected a whole number"},
        {STAGE("\"\"", "10", "0"), "10 dropped and 0 left of 9"},
        {STAGE("\"\"", "1", "9"), "1 dropped and 9 left of 9"},
        {STAGE("\"\"", "9223372036854775807", "9223372036854775807"), "left of 9"},
        {STAGE("\"\"", "92233720368547758080", "1"), "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ingest_summary_t s;
        assert_int_equal(read_of(&s, cases[i].json), LENS_FORMAT);
        assert_null(s.stages);
        if (!strstr(lens_error(), cases[i].message)) fail_msg("%s: %s", cases[i].json, lens_error());
    }
}

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : 1;
}

static int remove_dir(void **state) {
    (void)state;
    return dir_remove(dir) == LENS_OK ? 0 : 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
