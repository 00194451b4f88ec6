/* Decisions of people: lines that are none, what each does to a record, and what is refused. */
#include "tests/unit/reviewed_set.h"

#include <inttypes.h>
#include <string.h>

#include "data/shard.h"
#include "recaption/decision_list.h"
#include "recaption/decisions.h"

static char folder[] = "/tmp/lens-test-decisions-XXXXXX";
static char set[256], file[256];

static const reviewed_t rows[N_REVIEWED] = {
    {"A red cat.", "{\"status\":\"accepted\",\"attempts\":1,\"words\":3}"},
    {"", "{\"status\":\"rejected\",\"reason\":\"loop\",\"value\":0.41,\"attempts\":3,\"raw\":\"cat cat\",\"values\":{"
         "\"loop\":0.41}}"},
    {"", "{\"status\":\"rejected\",\"reason\":\"failed\",\"value\":0,\"attempts\":3,\"raw\":\"\"}"},
    {"A blue dog.", "{\"status\":\"accepted\",\"attempts\":2,\"words\":3,\"flags\":[\"names\"]}"},
    {"A bird.", NULL},
};

/* ---- lines ---- */

static void refuse(const char *line, const char *expected) {
    decision_list_t list;
    assert_int_equal(decision_list_parse(&list, line, strlen(line), "file"), LENS_FORMAT);
    if (!strstr(lens_error(), expected)) fail_msg("%s: %s, not %s", line, lens_error(), expected);
    decision_list_free(&list);
}

static void test_lines(void **state) {
    (void)state;
    decision_list_t list;
    const char *text = "{\"sample\":\"a\",\"kind\":\"dense\",\"decision\":\"accept\",\"text\":\"x\"}\r\n \n"
                       "{\"sample\":7,\"kind\":\"b\",\"decision\":\"edit\",\"text\":\"y\",\"of\":\"00000000000000ff\"}";
    assert_int_equal(decision_list_parse(&list, text, strlen(text), "file"), LENS_OK);
    assert_int_equal(list.n, 2);
    assert_string_equal(list.rows[0].key, "a");
    assert_null(list.rows[0].text);
    assert_false(list.rows[0].has_of);
    assert_int_equal(list.rows[1].sample, 7);
    assert_int_equal(list.rows[1].number, 3);
    assert_int_equal(list.rows[1].of, 255);
    assert_string_equal(list.rows[1].text, "y");
    decision_list_free(&list);
    refuse("\n{", "file:2: ");
    refuse("[]", "file:1: sample: expected");
    refuse("{\"sample\":-1,\"kind\":\"d\",\"decision\":\"accept\"}", "sample: expected");
    refuse("{\"sample\":1.5,\"kind\":\"d\",\"decision\":\"accept\"}", "sample: expected");
    refuse("{\"sample\":1,\"kind\":2,\"decision\":\"accept\"}", "kind: expected");
    refuse("{\"sample\":1,\"kind\":\"d\",\"decision\":\"keep\"}", "decision: expected");
    refuse("{\"sample\":1,\"kind\":\"d\",\"decision\":\"edit\",\"text\":\"\"}", "text: expected");
    refuse("{\"sample\":1,\"kind\":\"d\",\"decision\":\"edit\",\"text\":\"\\ud800\"}", "file:1: ");
    refuse("{\"sample\":1,\"kind\":\"d\",\"decision\":\"edit\",\"text\":\"a\\u0000b\"}", "file:1: ");
    refuse("{\"sample\":1,\"kind\":\"d\",\"decision\":\"accept\",\"of\":\"00000000000000FF\"}", "of: expected");
    refuse("{\"sample\":1,\"kind\":\"d\",\"decision\":\"accept\",\"of\":null}", "of: expected");
    refuse("{\"sample\":1,\"sample\":2,\"kind\":\"d\",\"decision\":\"accept\"}", "duplicate");
}

/* ---- layers ---- */

static int set_up(void **state) {
    (void)state;
    memset(folder + sizeof folder - 7, 'X', 6);
    if (!mkdtemp(folder)) return -1;
    snprintf(set, sizeof set, "%s/set", folder);
    snprintf(file, sizeof file, "%s/decisions.jsonl", folder);
    reviewed_set(set);
    reviewed_layer(set, "dense", rows);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return dir_remove(folder) == LENS_OK ? 0 : -1;
}

static lens_status apply(decisions_result_t *result, const char *lines) {
    dataset_t *d;
    assert_int_equal(file_write(file, lines, strlen(lines)), LENS_OK);
    assert_int_equal(dataset_open(&d, set), LENS_OK);
    lens_status st = decisions_apply(result, d, set, file);
    dataset_close(d);
    return st;
}

static void expect(int64_t sample, const char *text, const char *meta) {
    char path[300];
    shard_t *layer;
    str_t got = {0};
    snprintf(path, sizeof path, "%s/dense/shard-%05" PRId64 ".h5", set, sample / REVIEWED_PER_SHARD);
    assert_int_equal(shard_open(&layer, path), LENS_OK);
    assert_string_equal(layer->provenance, "{\"captioner\":\"test\"}");
    assert_int_equal(column_get(&layer->text, sample % REVIEWED_PER_SHARD, NULL, &got), LENS_OK);
    assert_string_equal(str_text(&got), text);
    assert_int_equal(column_get(&layer->meta, sample % REVIEWED_PER_SHARD, NULL, &got), LENS_OK);
    assert_string_equal(str_text(&got), meta);
    str_free(&got);
    shard_close(layer);
}

static void expect_as_made(int64_t sample) {
    expect(sample, rows[sample].text, rows[sample].meta);
}

static void test_records(void **state) {
    (void)state;
    decisions_result_t r;
    const char *lines = "{\"sample\":\"key-1\",\"kind\":\"dense\",\"decision\":\"accept\"}\n"
                        "{\"sample\":3,\"kind\":\"dense\",\"decision\":\"reject\"}\n"
                        "{\"sample\":\"key-2\",\"kind\":\"dense\",\"decision\":\"edit\",\"text\":\"Two hats.\"}\n"
                        "{\"sample\":0,\"kind\":\"dense\",\"decision\":\"edit\",\"text\":\"A red fox runs.\"}\n";
    for (int again = 0; again < 2; again++) {
        assert_int_equal(apply(&r, lines), LENS_OK);
        assert_int_equal(r.n_accepted, !again);
        assert_int_equal(r.n_rejected, !again);
        assert_int_equal(r.n_edited, again ? 0 : 2);
        assert_int_equal(r.n_unchanged, again ? 4 : 0);
        expect(0, "A red fox runs.",
               "{\"status\":\"accepted\",\"attempts\":1,\"words\":4,\"raw\":\"A red cat.\",\"by\":\"review\"}");
        expect(1, "cat cat",
               "{\"status\":\"accepted\",\"attempts\":3,\"values\":{\"loop\":0.41},\"words\":2,\"by\":\"review\"}");
        expect(2, "Two hats.", "{\"status\":\"accepted\",\"attempts\":3,\"raw\":\"\",\"words\":2,\"by\":\"review\"}");
        expect(3, "",
               "{\"status\":\"rejected\",\"attempts\":2,\"flags\":[\"names\"],\"raw\":\"A blue "
               "dog.\",\"reason\":\"review\",\"value\":0,\"by\":\"review\"}");
        expect(4, "A bird.", "{}");
    }
    /* What the captioner said outlives a second edit; what was taken out comes back. */
    assert_int_equal(apply(&r, "{\"sample\":0,\"kind\":\"dense\",\"decision\":\"edit\",\"text\":\"A fox.\"}\n"
                               "{\"sample\":3,\"kind\":\"dense\",\"decision\":\"accept\"}\n"),
                     LENS_OK);
    expect(0, "A fox.",
           "{\"status\":\"accepted\",\"attempts\":1,\"words\":2,\"raw\":\"A red cat.\",\"by\":\"review\"}");
    expect(3, "A blue dog.",
           "{\"status\":\"accepted\",\"attempts\":2,\"flags\":[\"names\"],\"by\":\"review\",\"words\":3}");
}

static void test_last_counts(void **state) {
    (void)state;
    decisions_result_t r;
    assert_int_equal(apply(&r, "{\"sample\":\"key-1\",\"kind\":\"dense\",\"decision\":\"accept\"}\n"
                               "{\"sample\":1,\"kind\":\"dense\",\"decision\":\"reject\"}\n"),
                     LENS_OK);
    assert_int_equal(r.n_rejected, 1);
    assert_int_equal(r.n_accepted, 0);
    expect(1, "", /* the gate's reason stays where a person agrees */
           "{\"status\":\"rejected\",\"reason\":\"loop\",\"value\":0.41,\"attempts\":3,\"raw\":\"cat "
           "cat\",\"values\":{\"loop\":0.41},\"by\":\"review\"}");
}

static void test_refused(void **state) {
    (void)state;
    decisions_result_t r;
    char lines[600];
    snprintf(lines, sizeof lines,
             "{\"sample\":0,\"kind\":\"dense\",\"decision\":\"reject\",\"of\":\"%016" PRIx64 "\"}\n"
             "{\"sample\":1,\"kind\":\"dense\",\"decision\":\"accept\",\"of\":\"%016" PRIx64 "\"}\n"
             "{\"sample\":1,\"kind\":\"dense\",\"decision\":\"reject\",\"of\":\"%016" PRIx64 "\"}\n",
             decision_hash("An older text."), decision_hash("cat cat"), decision_hash("dog dog"));
    assert_int_equal(apply(&r, lines), LENS_STATE);
    assert_non_null(strstr(lens_error(), "2 of 3 decisions were not applied"));
    assert_int_equal(r.n_refused, 2);
    assert_int_equal(r.n_accepted, 1); /* the last one over the text that is there */
    expect_as_made(0);
    expect(1, "cat cat",
           "{\"status\":\"accepted\",\"attempts\":3,\"values\":{\"loop\":0.41},\"words\":2,\"by\":\"review\"}");
    /* An older one that a newer one of the same file supersedes is not. */
    snprintf(lines, sizeof lines,
             "{\"sample\":0,\"kind\":\"dense\",\"decision\":\"reject\",\"of\":\"%016" PRIx64 "\"}\n"
             "{\"sample\":0,\"kind\":\"dense\",\"decision\":\"edit\",\"text\":\"A fox.\",\"of\":\"%016" PRIx64 "\"}\n",
             decision_hash("A red cat."), decision_hash("A red cat."));
    for (int again = 0; again < 2; again++) assert_int_equal(apply(&r, lines), LENS_OK);
    assert_int_equal(r.n_unchanged, 1);
}

/* An error of any line leaves all layers as they were. */
static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *line, *message;
    } wrong[] = {
        {"{\"sample\":5,\"kind\":\"dense\",\"decision\":\"reject\"}",
         ":2: sample: expected a key, or an index below 5"},
        {"{\"sample\":\"key-9\",\"kind\":\"dense\",\"decision\":\"reject\"}", ":2: the set has no sample 'key-9'"},
        {"{\"sample\":1,\"kind\":\"brief\",\"decision\":\"reject\"}", ":2: kind: the set has no caption layer 'brief'"},
        {"{\"sample\":1,\"kind\":\"alt\",\"decision\":\"reject\"}", ":2: kind: the set has no"},
        {"{\"sample\":2,\"kind\":\"dense\",\"decision\":\"accept\"}", ":2: there is no answer to accept"},
    };
    decisions_result_t r;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char lines[400];
        snprintf(lines, sizeof lines, "{\"sample\":0,\"kind\":\"dense\",\"decision\":\"reject\"}\n%s\n", wrong[i].line);
        assert_int_equal(apply(&r, lines), LENS_FORMAT);
        if (!strstr(lens_error(), wrong[i].message)) fail_msg("%s, not %s", lens_error(), wrong[i].message);
        expect_as_made(0);
    }
    /* A run over the shard is not finished. */
    char journal[300];
    snprintf(journal, sizeof journal, "%s/.recaption", set);
    assert_int_equal(dir_make(journal), LENS_OK);
    snprintf(journal, sizeof journal, "%s/.recaption/shard-00001.journal", set);
    assert_int_equal(file_write(journal, "", 0), LENS_OK);
    assert_int_equal(apply(&r, "{\"sample\":4,\"kind\":\"dense\",\"decision\":\"reject\"}\n"), LENS_STATE);
    assert_non_null(strstr(lens_error(), "not finished"));
    assert_int_equal(apply(&r, "{\"sample\":0,\"kind\":\"dense\",\"decision\":\"reject\"}\n"), LENS_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test_setup_teardown(test_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_last_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
