/* The journal: what was appended is there again, a torn tail at any byte is dropped, other settings are told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "recaption/journal.h"

static char folder[] = "/tmp/lens-test-journal-XXXXXX";
static char path[256];
static const char settings[] = "{\"attempts\":3,\"kinds\":{\"dense\":{\"model\":\"a\",\"prompt\":\"p\"}}}";

typedef struct {
    str_t all; /* payloads, each with a line feed */
    uint64_t last;
    int n;
} seen_t;

static lens_status see(void *context, const char *payload, size_t n, uint64_t offset) {
    seen_t *s = context;
    str_add_n(&s->all, payload, n);
    str_add_char(&s->all, '\n');
    s->last = offset;
    s->n++;
    return LENS_OK;
}

static int open_and_count(seen_t *s, uint64_t *offset) {
    journal_t *j;
    *s = (seen_t){0};
    assert_int_equal(journal_open(&j, path, settings, see, s), LENS_OK);
    if (offset) {
        str_t payload = {0};
        assert_int_equal(journal_read(j, *offset, &payload), LENS_OK);
        str_add(&s->all, str_text(&payload));
        str_free(&payload);
    }
    journal_close(j);
    return s->n;
}

static void append(journal_t *j, const char *text, uint64_t *offset) {
    assert_int_equal(journal_append(j, text, strlen(text), offset), LENS_OK);
}

static void test_comes_again(void **state) {
    (void)state;
    journal_t *j;
    seen_t s = {0};
    uint64_t first, second;
    assert_int_equal(journal_open(&j, path, settings, see, &s), LENS_OK);
    assert_int_equal(s.n, 0);
    append(j, "one", &first);
    append(j, "two", &second);
    assert_int_equal(journal_sync(j), LENS_OK);
    journal_close(j);
    assert_int_equal(open_and_count(&s, &first), 2);
    assert_string_equal(str_text(&s.all), "one\ntwo\none");
    assert_int_equal(s.last, second);
    str_free(&s.all);
}

/* At each length the file may have been cut to: whole records stay, the rest goes, and what is appended then is read.
 */
static void test_torn_tail(void **state) {
    (void)state;
    char *whole;
    size_t n;
    assert_int_equal(file_read(&whole, &n, path, 1 << 20), LENS_OK);
    for (size_t cut = 0; cut <= n; cut++) {
        journal_t *j;
        seen_t s = {0};
        uint64_t offset;
        assert_int_equal(file_write(path, whole, cut), LENS_OK);
        assert_int_equal(journal_open(&j, path, settings, see, &s), LENS_OK);
        const int kept = s.n;
        assert_int_equal(kept, cut == n ? 2 : cut >= n - 15 ? 1 : 0);
        append(j, "three", &offset);
        journal_close(j);
        str_free(&s.all);
        assert_int_equal(open_and_count(&s, NULL), kept + 1);
        assert_non_null(strstr(s.all.s, "three\n"));
        str_free(&s.all);
    }
    whole[n - 1] ^= 1; /* a byte that changed */
    seen_t s;
    assert_int_equal(file_write(path, whole, n), LENS_OK);
    assert_int_equal(open_and_count(&s, NULL), 1);
    str_free(&s.all);
    free(whole);
}

static void test_other_settings(void **state) {
    (void)state;
    journal_t *j;
    seen_t s = {0};
    assert_int_equal(
        journal_open(&j, path, "{\"attempts\":3,\"kinds\":{\"dense\":{\"model\":\"b\",\"prompt\":\"p\"}}}", see, &s),
        LENS_STATE);
    assert_null(j);
    assert_non_null(strstr(lens_error(), "kinds.dense.model was \"a\", now \"b\""));
    assert_non_null(strstr(lens_error(), "--restart"));
    assert_int_equal(journal_open(&j, path, "{\"attempts\":3}", see, &s), LENS_STATE);
    assert_non_null(strstr(lens_error(), "kinds is missing now"));
    assert_int_equal(file_write(path, "something else", 14), LENS_OK);
    assert_int_equal(journal_open(&j, path, settings, see, &s), LENS_FORMAT);
    char *text;
    size_t n;
    assert_int_equal(file_read(&text, &n, path, 100), LENS_OK);
    assert_string_equal(text, "something else"); /* not ours: untouched */
    free(text);
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/shard-00000.journal", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return dir_remove(folder) == LENS_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_again),
        cmocka_unit_test(test_torn_tail),
        cmocka_unit_test(test_other_settings),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
