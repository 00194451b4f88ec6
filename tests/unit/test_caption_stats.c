/* Figures of captions on a set so small that each is known by hand; layers in two folders. */
#include "tests/unit/drawing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "recaption/caption_stats.h"

enum { N = 4, PER_SHARD = 2 };

static const char *const alts[N] = {"A dog of Anna Lee in Paris", "two cats", "", "red sign \"Open Late\" here"};
/* 11, 7, 0 and 8 words. */
static const char *const dense[N] = {"A brown dog sits next to Anna in Paris, below trees.",
                                     "Two grey cats and 3 black cats.", "", "A red sign says \"Open late\" above it!"};
static char folder[] = "/tmp/lens-test-caption-stats-XXXXXX";
static char base[64], other[64];

static void make_dataset(void) {
    dataset_writer_t *w;
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.shard_max_samples = PER_SHARD;
    assert_int_equal(dataset_writer_open(&w, base, &options), LENS_OK);
    for (int i = 0; i < N; i++) {
        image_t im;
        str_t webp = {0};
        char key[32];
        draw_new(&im, 16, 16, (uint32_t)i);
        assert_int_equal(image_encode_webp(&webp, &im, 0, true), LENS_OK);
        snprintf(key, sizeof key, "sample-%d", i);
        const sample_t sample = {.key = key,
                                 .picture = webp.s,
                                 .picture_bytes = webp.len,
                                 .width = 16,
                                 .height = 16,
                                 .original_width = 16,
                                 .original_height = 16,
                                 .alt = alts[i]};
        assert_int_equal(dataset_writer_add(w, &sample), LENS_OK);
        image_free(&im);
        str_free(&webp);
    }
    assert_int_equal(dataset_writer_close(w), LENS_OK);
}

static void make_layer(const dataset_t *d, const char *dir, const char *kind, int64_t shard, const char *const *texts) {
    layer_writer_t *w;
    assert_int_equal(layer_writer_open(&w, d, shard, dir, kind, NULL), LENS_OK);
    for (int i = 0; i < PER_SHARD; i++) {
        const char *text = texts[shard * PER_SHARD + i];
        const char *meta = *text ? "{\"status\":\"accepted\"}" : "{\"status\":\"rejected\",\"reason\":\"loop\"}";
        assert_int_equal(layer_writer_add(w, text, meta), LENS_OK);
    }
    assert_int_equal(layer_writer_close(w), LENS_OK);
}

static int set_up(void **state) {
    (void)state;
    static const char *const same[N] = {"the same", "the same", "The Same", "another"};
    dataset_t *d;
    if (!mkdtemp(folder)) return -1;
    snprintf(base, sizeof base, "%s/set", folder);
    snprintf(other, sizeof other, "%s/layers", folder);
    make_dataset();
    assert_int_equal(dataset_open(&d, base), LENS_OK);
    for (int64_t s = 0; s < N / PER_SHARD; s++) make_layer(d, base, "dense", s, dense);
    make_layer(d, other, "brief", 0, same); /* the second shard is missing */
    make_layer(d, other, "same", 0, same);
    make_layer(d, other, "same", 1, same);
    dataset_close(d);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return dir_remove(folder) == LENS_OK ? 0 : -1;
}

/* Of the kinds alt, brief, dense, same. */
static caption_stats_t *take(int threads) {
    static const char *const kinds[] = {"alt", "brief", "dense", "same"};
    dataset_t *d;
    caption_stats_t *s = calloc(4, sizeof *s);
    assert_non_null(s);
    assert_int_equal(dataset_open_partial(&d, base), LENS_OK);
    assert_int_equal(dataset_add_layers(d, other), LENS_OK);
    assert_int_equal(caption_stats_take(s, d, other, kinds, 4, threads), LENS_OK);
    dataset_close(d);
    return s;
}

static void test_known_by_hand(void **state) {
    (void)state;
    caption_stats_t *all = take(1);
    const caption_stats_t *s = &all[2];
    assert_int_equal(s->n_captions, 3);
    assert_int_equal(s->n_empty, 1);
    assert_int_equal(s->n_missing, 0);
    assert_int_equal(s->n_by_reason[QUALITY_LOOP], 1);
    assert_int_equal(s->sum.n_words, 11 + 7 + 8);
    assert_int_equal(s->sum.n_different, 11 + 6 + 8);
    assert_int_equal(caption_stats_words(s, 0.5), 8);
    assert_int_equal(caption_stats_words(s, 1), 11);
    assert_int_equal(s->sum.n_sentences, 3);
    assert_int_equal(s->sum.n_colours, 1 + 2 + 1); /* brown; grey, black; red */
    assert_int_equal(s->sum.n_numbers, 2);         /* two, 3 */
    assert_int_equal(s->sum.n_relations, 2 + 1);   /* next to, below; above */
    /* All pairs but "in paris", "red sign", "open late". */
    assert_int_equal(s->sum.n_pairs, 10 + 6 + 7);
    assert_int_equal(s->sum.n_new_pairs, 23 - 3);
    /* dog, anna, lee, paris; two, cats; red, sign, open, late, here: without lee and here. */
    assert_int_equal(s->sum.n_alt_words, 4 + 2 + 5);
    assert_int_equal(s->sum.n_alt_kept, 3 + 2 + 4);
    /* Anna, Lee, Paris; Open, Late, and the two as quoted: all but Lee, whatever their case. */
    assert_int_equal(s->sum.n_names, 3 + 3);
    assert_int_equal(s->sum.n_names_kept, 2 + 3);
    /* Different over all: "a" is there twice, "cats" too. */
    assert_int_equal(s->n_runs[0], 26);
    assert_true(fabs(sketch_count(&s->runs[0]) - 24) < 0.5);
    assert_int_equal(s->n_runs[2], 8 + 4 + 5);
    assert_int_equal(s->n_sampled, 3);
    assert_int_equal(s->sampled_words, 26);
    assert_int_equal(s->n_doubled, 0);
    free(all);
}

static void test_alt_against_itself(void **state) {
    (void)state;
    caption_stats_t *all = take(1);
    assert_int_equal(all[0].n_captions, 3);
    assert_int_equal(all[0].n_empty, 1);
    assert_int_equal(all[0].sum.n_new_pairs, 0);
    assert_int_equal(all[0].sum.n_alt_kept, all[0].sum.n_alt_words);
    assert_int_equal(all[0].sum.n_names_kept, all[0].sum.n_names);
    free(all);
}

static void test_missing_and_doubled(void **state) {
    (void)state;
    caption_stats_t *all = take(1);
    assert_int_equal(all[1].n_captions, 2);
    assert_int_equal(all[1].n_missing, 2);
    assert_int_equal(all[1].n_sampled, 2);
    assert_int_equal(all[1].n_doubled, 1);
    assert_int_equal(all[3].n_captions, 4);
    assert_int_equal(all[3].n_doubled, 2);
    assert_int_equal(all[3].doubles[0].n, 3);
    assert_int_equal(all[3].doubles[0].sample, 0);
    assert_int_equal(all[3].doubles[1].n, 0);
    free(all);
}

static void test_threads_change_nothing(void **state) {
    (void)state;
    caption_stats_t *one = take(1), *four = take(4);
    for (int k = 0; k < 4; k++) one[k].kind = four[k].kind = NULL;
    assert_memory_equal(one, four, 4 * sizeof *one);
    free(one);
    free(four);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_by_hand),
        cmocka_unit_test(test_alt_against_itself),
        cmocka_unit_test(test_missing_and_doubled),
        cmocka_unit_test(test_threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
