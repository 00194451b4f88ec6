/* Batch files: names of requests, lines of results as they should not be, limits of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "recaption/batch_id.h"
#include "recaption/batch_out.h"
#include "recaption/batch_result.h"

static char folder[] = "/tmp/lens-test-batch-XXXXXX";

static void test_names(void **state) {
    (void)state;
    batch_id_t id = {.shard = 12, .within = 345, .kind = "a-b_2", .attempt = 3, .check = 0x123}, again;
    str_t text = {0};
    assert_int_equal(batch_id_write(&text, &id), LENS_OK);
    assert_string_equal(text.s, "00012-000345-a-b_2-3-0000000000000123");
    assert_true(batch_id_parse(&again, text.s));
    assert_int_equal(again.shard, 12);
    assert_int_equal(again.within, 345);
    assert_int_equal(again.attempt, 3);
    assert_int_equal(again.check, 0x123);
    assert_string_equal(again.kind, "a-b_2");
    /* The largest that is written is as long as it may be, or refused. */
    id = (batch_id_t){.shard = 9999999999, .within = 9999999999, .attempt = 1000, .check = UINT64_MAX};
    memset(id.kind, 'k', sizeof id.kind - 1);
    assert_int_equal(batch_id_write(&text, &id), LENS_OK);
    assert_int_equal(text.len, BATCH_ID_MAX);
    assert_true(batch_id_parse(&again, text.s));
    id.shard *= 10;
    assert_int_equal(batch_id_write(&text, &id), LENS_ARGUMENT);
    str_free(&text);
}

static void test_hostile_names(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "-",
        "----",
        "mine",
        "00012-000345-dense-3",
        "00012-000345--3-0000000000000123",
        "00012-000345-3-0000000000000123",
        "12-000345-dense-3-0000000000000123",
        "-0012-000345-dense-3-0000000000000123",
        "00012-000345-dense-+3-0000000000000123",
        "00012-000345-dense-3-000000000000012",
        "00012-000345-dense-3-000000000000012G",
        "00012-000345-dense-3-00000000000000AB",
        "00012-000345-dense-3-0000000000000123-",
        "00012-000345-dense-99999999999999999999-0000000000000123",
        "99999999999999999999-000345-dense-3-0000000000000123",
        "00012-000345-a-kind-of-21-letters-x-3-0000000000000123",
        "00012-000345-dense-3-0000000000000123 and more than sixty-four characters",
    };
    batch_id_t id;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (batch_id_parse(&id, texts[i])) fail_msg("'%s' was taken", texts[i]);
}

static batch_outcome outcome_of(const char *line, openai_reply_t *reply) {
    batch_result_t r;
    batch_outcome outcome;
    if (batch_result_parse(&r, line, strlen(line)) != LENS_OK) fail_msg("%s: %s", line, lens_error());
    assert_int_equal(batch_result_reply(&outcome, reply, &r), LENS_OK);
    batch_result_free(&r);
    return outcome;
}

#define RESPONSE(status, body)                                                                                         \
    "{\"custom_id\":\"x\",\"response\":{\"status_code\":" #status ",\"request_id\":\"r\",\"body\":" body               \
    "},\"error\":null}"

static void test_outcomes(void **state) {
    (void)state;
    openai_reply_t reply = {0};
    assert_int_equal(outcome_of(RESPONSE(200, "{\"choices\":[{\"message\":{\"content\":\"A hill.\"},"
                                              "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5}}"),
                                &reply),
                     BATCH_ANSWERED);
    assert_string_equal(reply.text.s, "A hill.");
    assert_int_equal(reply.tokens_in, 5);
    assert_int_equal(outcome_of(RESPONSE(400, "{\"error\":{\"code\":\"content_filter\"}}"), &reply), BATCH_REFUSED);
    assert_string_equal(str_text(&reply.text), ""); /* nothing of the one before */
    assert_int_equal(outcome_of(RESPONSE(400, "{\"error\":{\"message\":\"bad image\"}}"), &reply), BATCH_PICTURE);
    assert_string_equal(reply.reason.s, "HTTP 400: bad image");
    static const char *const failed[] = {
        RESPONSE(200, "{}"),
        RESPONSE(200, "null"),
        RESPONSE(200, "[1]"),
        RESPONSE(200, "\"text\""),
        RESPONSE(429, "{}"),
        RESPONSE(500, "null"),
        RESPONSE(401, "{\"error\":7}"),
        "{\"custom_id\":\"x\",\"response\":{\"status_code\":200},\"error\":null}",
        "{\"custom_id\":\"x\",\"response\":null,\"error\":{\"code\":\"batch_expired\",\"message\":\"late\"}}",
        "{\"custom_id\":\"x\",\"response\":null,\"error\":{}}",
        "{\"custom_id\":\"x\",\"response\":{\"status_code\":200,\"body\":{\"choices\":[{\"message\":{\"content\":\"A\"}"
        ","
        "\"finish_reason\":\"stop\"}]}},\"error\":{\"code\":\"c\",\"message\":\"m\"}}",
    };
    for (size_t i = 0; i < sizeof failed / sizeof failed[0]; i++)
        assert_int_equal(outcome_of(failed[i], &reply), BATCH_FAILED);
    openai_reply_free(&reply);
}

static void test_hostile_lines(void **state) {
    (void)state;
    static const char *const lines[] = {
        "",
        "null",
        "[]",
        "{",
        "{}",
        "{\"custom_id\":7,\"response\":null,\"error\":{}}",
        "{\"custom_id\":\"x\"}",
        "{\"custom_id\":\"x\",\"response\":null,\"error\":null}",
        "{\"custom_id\":\"x\",\"response\":\"200\",\"error\":null}",
        "{\"custom_id\":\"x\",\"response\":{},\"error\":null}",
        "{\"custom_id\":\"x\",\"response\":{\"status_code\":\"200\"},\"error\":null}",
        "{\"custom_id\":\"x\",\"response\":{\"status_code\":4294967496},\"error\":null}",
        "{\"custom_id\":\"x\",\"response\":{\"status_code\":-200},\"error\":null}",
    };
    batch_result_t r;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (batch_result_parse(&r, lines[i], strlen(lines[i])) != LENS_FORMAT) fail_msg("'%s' was taken", lines[i]);
        assert_null(r.line);
    }
}

/* Files end at their limits exactly, and are there only when whole. */
static void test_limits(void **state) {
    (void)state;
    batch_out_t *b;
    char path[256];
    str_t name = {0}, body = {0};
    str_add(&name, "name");
    str_add(&body, "{}");
    const char line[] = "{\"custom_id\":\"name\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{}}\n";
    const int64_t n_line = (int64_t)sizeof line - 1;
    assert_int_equal(batch_out_open(&b, folder, 2, 3 * n_line - 1), LENS_OK);
    snprintf(path, sizeof path, "%s/requests-00000.jsonl", folder);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(batch_out_add(b, &name, &body), LENS_OK);
        assert_true(file_exists(path) == (i >= 2));
    }
    assert_int_equal(batch_out_finish(b), LENS_OK);
    assert_int_equal(batch_out_n_files(b), 3);
    assert_int_equal(batch_out_n_requests(b), 5);
    batch_out_close(b);
    char *text;
    size_t n;
    assert_int_equal(file_read(&text, &n, path, 1000), LENS_OK);
    assert_int_equal(n, 2 * n_line);
    assert_memory_equal(text, line, (size_t)n_line);
    free(text);
    assert_int_equal(batch_out_open(&b, folder, 2, 1000), LENS_STATE);
    snprintf(path, sizeof path, "%s/other", folder);
    assert_int_equal(batch_out_open(&b, path, 9, 2 * n_line), LENS_OK);
    for (int i = 0; i < 4; i++) assert_int_equal(batch_out_add(b, &name, &body), LENS_OK);
    assert_int_equal(batch_out_finish(b), LENS_OK);
    assert_int_equal(batch_out_n_files(b), 2);
    batch_out_close(b);
    assert_int_equal(batch_out_open(&b, path, 9, n_line - 1), LENS_STATE);
    snprintf(path, sizeof path, "%s/small", folder);
    assert_int_equal(batch_out_open(&b, path, 9, n_line - 1), LENS_OK);
    assert_int_equal(batch_out_add(b, &name, &body), LENS_ARGUMENT);
    assert_int_equal(batch_out_finish(b), LENS_OK);
    assert_int_equal(batch_out_n_files(b), 0);
    batch_out_close(b);
    str_free(&name);
    str_free(&body);
}

static int set_up(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return dir_remove(folder) == LENS_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),         cmocka_unit_test(test_hostile_names), cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_hostile_lines), cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
