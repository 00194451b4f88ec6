/* Words and bytes to tokens, and tokens to features and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "model/text_encoder.h"

enum { MAX_TOK = 8, IDS = MAX_TOK * TEXT_IDS_PER_TOKEN, UNTOUCHED = -77 };
static const text_config_t words = {.tokens = TEXT_WORDS, .n_rows = 1000, .dim = 4, .max_tok = MAX_TOK};
static const text_config_t bytes = {.tokens = TEXT_BYTES, .n_rows = 256, .dim = 4, .max_tok = MAX_TOK};

/* Tokenizes with guard words behind the room that the header asks for. */
static int64_t tokenize(const text_config_t *c, const char *text, int32_t ids[IDS]) {
    int32_t guarded[IDS + 8];
    for (int i = 0; i < IDS + 8; i++) guarded[i] = UNTOUCHED;
    int64_t n = text_tokenize(c, text, guarded);
    for (int i = IDS; i < IDS + 8; i++) assert_int_equal(guarded[i], UNTOUCHED);
    for (int64_t i = 0; i < IDS; i++) {
        bool used = i < n * TEXT_IDS_PER_TOKEN;
        assert_true(used ? guarded[i] >= -1 && guarded[i] < c->n_rows : guarded[i] == UNTOUCHED);
    }
    memcpy(ids, guarded, IDS * sizeof *ids);
    return n;
}

static void expect_words(const char *text, int64_t n) {
    int32_t ids[IDS];
    int64_t got = tokenize(&words, text, ids);
    if (got != n) fail_msg("\"%s\": expected %lld tokens, got %lld", text, (long long)n, (long long)got);
}

static bool same_tokens(const char *a, const char *b) {
    int32_t x[IDS], y[IDS];
    return tokenize(&words, a, x) == tokenize(&words, b, y) && memcmp(x, y, sizeof x) == 0;
}

static void counting_words(void **state) {
    (void)state;
    expect_words("", 0);
    expect_words(" \t\r\n ", 0);
    expect_words("a red circle", 3);
    expect_words("  a  red\ncircle ", 3);
    expect_words("a red, round circle.", 6);
    expect_words("blue-green", 3);
    expect_words("the cat's 3 toys", 4);
    expect_words("...", 3);
    expect_words("K\xC3\xB6ln caf\xC3\xA9", 2); /* UTF-8 is part of words */
    expect_words("\xF0\x9F\x90\x88", 1);
    expect_words("\xFF\xFE", 1); /* not UTF-8, still a token */
    expect_words("1 2 3 4 5 6 7 8 9 10", 10);
}

static void equal_words_have_equal_ids(void **state) {
    (void)state;
    assert_true(same_tokens("A Red CIRCLE", "a red circle"));
    assert_true(same_tokens("a red circle", " a\tred  circle\n"));
    assert_false(same_tokens("a red circle", "a circle red"));
    assert_false(same_tokens("red", "rec"));
    assert_false(same_tokens("caf\xC3\xA9", "caf\xC3\xA8"));
    char longer[101], other[101];
    memset(longer, 'x', 100);
    longer[100] = '\0';
    memcpy(other, longer, sizeof other);
    other[70] = 'y'; /* beyond the part that counts */
    assert_true(same_tokens(longer, other));
    other[60] = 'y';
    assert_false(same_tokens(longer, other));
    int32_t ids[IDS];
    assert_int_equal(tokenize(&words, "circle", ids), 1);
    assert_int_not_equal(ids[0], ids[1]); /* two hashes */
    int32_t after_red[IDS], after_blue[IDS];
    tokenize(&words, "red circle", after_red);
    tokenize(&words, "blue circle", after_blue);
    assert_memory_equal(after_red + 3, after_blue + 3, 2 * sizeof *ids); /* the word's own rows */
    assert_int_not_equal(after_red[5], after_blue[5]);                   /* the pair's */
}

static void counting_bytes(void **state) {
    (void)state;
    int32_t ids[IDS];
    assert_int_equal(tokenize(&bytes, "", ids), 0);
    assert_int_equal(tokenize(&bytes, "a \xC3\xA9", ids), 4);
    static const int32_t want[] = {'a', -1, -1, ' ', -1, -1, 0xC3, -1, -1, 0xA9, -1, -1};
    assert_memory_equal(ids, want, sizeof want);
    assert_int_equal(tokenize(&bytes, "longer than eight", ids), 17);
    assert_int_equal(ids[IDS - TEXT_IDS_PER_TOKEN], 't');
}

static void features_and_gradients(void **state) {
    (void)state;
    kernels_t *k;
    text_encoder_t *e;
    assert_int_equal(kernels_cpu_new(&k, 1, 1), LENS_OK);
    assert_int_equal(text_encoder_new(&e, k, &words, 3), LENS_OK);
    static float table[1000 * 4], dtable[1000 * 4];
    memset(dtable, 0, sizeof dtable);
    for (int i = 0; i < 4000; i++) table[i] = (float)(i % 97);
    const char *texts[] = {"red", "", "red blue 3 4 5 6 7 8 9"};
    act_t *features;
    const int32_t *lengths;
    int32_t ids[IDS];
    int64_t T;
    assert_int_equal(text_encoder_forward(e, table, texts, 2, &features, &lengths, &T), LENS_OK);
    assert_int_equal(T, 1); /* the longest of the two */
    assert_int_equal(text_encoder_forward(e, table, texts, 3, &features, &lengths, &T), LENS_OK);
    assert_int_equal(T, MAX_TOK);
    assert_true(lengths[0] == 1 && lengths[1] == 0 && lengths[2] == MAX_TOK);
    assert_int_equal(text_encoder_n_cut(e), 1);
    tokenize(&words, "red", ids);
    const float *x = features;
    for (int i = 0; i < 4; i++) {
        assert_true(x[i] == table[ids[0] * 4 + i] + table[ids[1] * 4 + i] + table[ids[2] * 4 + i]);
        assert_true(x[2 * MAX_TOK * 4 + i] == x[i]);
    }
    for (int i = 4; i < 2 * MAX_TOK * 4; i++) assert_true(x[i] == 0); /* padding */
    float *d = text_encoder_dfeatures(e);
    for (int i = 0; i < 3 * MAX_TOK * 4; i++) d[i] = i < 2 * MAX_TOK * 4 ? 1 : 0;
    for (int twice = 1; twice <= 2; twice++) {
        text_encoder_backward(e, dtable);
        for (int i = 0; i < 4000; i++)
            assert_true(dtable[i] == (float)((i / 4 == ids[0] || i / 4 == ids[1] || i / 4 == ids[2]) ? twice : 0));
    }
    assert_int_equal(text_encoder_forward(e, table, (const char *[]){"", " "}, 2, &features, &lengths, &T), LENS_OK);
    assert_int_equal(T, 0);
    text_encoder_backward(e, dtable);
    text_encoder_free(e);
    text_encoder_free(NULL);
    kernels_free(k);
}

static void bad_configurations_are_refused(void **state) {
    (void)state;
    kernels_t *k;
    text_encoder_t *e;
    assert_int_equal(kernels_cpu_new(&k, 1, 1), LENS_OK);
    text_config_t c = words;
    c.n_rows = 255;
    assert_int_equal(text_encoder_new(&e, k, &c, 1), LENS_ARGUMENT);
    assert_null(e);
    c = words;
    c.max_tok = 0;
    assert_int_equal(text_encoder_new(&e, k, &c, 1), LENS_ARGUMENT);
    kernels_free(k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_words),
        cmocka_unit_test(equal_words_have_equal_ids),
        cmocka_unit_test(counting_bytes),
        cmocka_unit_test(features_and_gradients),
        cmocka_unit_test(bad_configurations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
