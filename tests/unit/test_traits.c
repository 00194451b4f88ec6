/* What is counted in a caption, and how many different words a sketch finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#include "recaption/sketch.h"
#include "recaption/traits.h"

static traits_t take(const char *text, const char *alt) {
    word_hashes_t own = {0}, alt_words = {0};
    traits_t t;
    assert_int_equal(word_hashes_take(&own, text), LENS_OK);
    assert_int_equal(word_hashes_take(&alt_words, alt), LENS_OK);
    assert_int_equal(traits_take(&t, text, alt, &own, &alt_words), LENS_OK);
    assert_int_equal(own.n, t.n_words);
    word_hashes_free(&own);
    word_hashes_free(&alt_words);
    return t;
}

static void test_counts(void **state) {
    (void)state;
    const traits_t t = take("Two red cups stand next to a blue box, 3 cm high. It is above the \"table\"!", "");
    assert_int_equal(t.n_words, 17);
    assert_int_equal(t.n_sentences, 2);
    assert_int_equal(t.n_colours, 2);
    assert_int_equal(t.n_numbers, 2);
    assert_int_equal(t.n_relations, 2);
    assert_int_equal(t.n_pairs, 16);
    assert_int_equal(t.n_new_pairs, 16);
    assert_int_equal(t.n_names, 0);
}

static void test_against_alt(void **state) {
    (void)state;
    const traits_t t = take("a red cup in Paris", "A RED cup by Anna in Paris, \"open late\"");
    assert_int_equal(t.n_pairs, 4);
    assert_int_equal(t.n_new_pairs, 1); /* "cup in" */
    assert_int_equal(t.n_names, 4);     /* RED, Anna, Paris, the quotation */
    assert_int_equal(t.n_names_kept, 2);
    assert_int_equal(take("a cup", "The Red Cup Of Anna").n_names, 0); /* a title */
}

static void test_odd_texts(void **state) {
    (void)state;
    assert_int_equal(take("", "").n_sentences, 0);
    assert_int_equal(take("... !!! \"", "\"").n_words, 0);
    assert_int_equal(take("no end", "\"\"").n_sentences, 1);
    assert_int_equal(take("3.5 metres. 1,000", "").n_sentences, 2);
}

static void test_sketch(void **state) {
    (void)state;
    static sketch_t whole, halves[2];
    for (int64_t i = 0; i < 300000; i++) {
        const int64_t value = i % 200000;
        const uint64_t hash = XXH3_64bits(&value, sizeof value);
        sketch_add(&whole, hash);
        sketch_add(&halves[i % 2], hash);
        if (i == 999) assert_true(fabs(sketch_count(&whole) - 1000) < 1000 * 0.03);
    }
    assert_true(fabs(sketch_count(&whole) - 200000) < 200000 * 0.032); /* 4 times the standard error */
    sketch_join(&halves[0], &halves[1]);
    assert_true(sketch_count(&halves[0]) == sketch_count(&whole));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_against_alt),
        cmocka_unit_test(test_odd_texts),
        cmocka_unit_test(test_sketch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
