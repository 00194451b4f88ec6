/* Chains of filters: reading them, judging by them, counting what they drop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "data/columns_known.h"
#include "data/filter_chain.h"
#include "data/filter_counts.h"

static const char *const path = "test_filter_chain.tmp.yaml";

static lens_status read_text(filter_chain_t **out, const char *yaml) {
    assert_int_equal(file_write(path, yaml, strlen(yaml)), LENS_OK);
    lens_status st = filter_chain_new(out, path);
    unlink(path);
    return st;
}

static filter_chain_t *chain_of(const char *yaml) {
    filter_chain_t *c;
    if (read_text(&c, yaml) != LENS_OK) fail_msg("%s", lens_error());
    return c;
}

static void assert_describes(const filter_chain_t *c, const char *expected) {
    str_t text = {0};
    filter_chain_describe(c, &text);
    assert_string_equal(str_text(&text), expected);
    str_free(&text);
}

/* ---- reading ---- */

static void test_paper_config(void **state) {
    (void)state;
    static const char *const names[] = {"corrupt", "area",    "nsfw",      "aesthetic",     "watermark",
                                        "blur",    "entropy", "luminance", "near_duplicate"};
    filter_chain_t *c;
    filter_near_duplicate_t near;
    if (filter_chain_new(&c, "configs/ingest-lens-800m.yaml") != LENS_OK) fail_msg("%s", lens_error());
    assert_int_equal(filter_chain_n(c), 9);
    for (int i = 0; i < 9; i++) {
        assert_string_equal(filter_chain_name(c, i), names[i]);
        assert_int_equal(filter_chain_find(c, names[i]), i);
    }
    assert_int_equal(filter_chain_find(c, "side"), -1);
    assert_true(filter_chain_near_duplicate(c, &near));
    assert_int_equal(near.stage, 8);
    assert_int_equal(near.radius, 3);
    assert_null(near.embedding_dir);
    filter_chain_free(c);
}

/* What the file spells out is what a bare name means. */
static void test_defaults(void **state) {
    (void)state;
    filter_chain_t *bare = chain_of("filters: [corrupt, area, nsfw, aesthetic, watermark, blur, entropy, luminance, "
                                    "near_duplicate]"),
                   *paper;
    str_t text = {0};
    assert_int_equal(filter_chain_new(&paper, "configs/ingest-lens-800m.yaml"), LENS_OK);
    filter_chain_describe(paper, &text);
    assert_describes(bare, text.s);
    str_free(&text);
    filter_chain_free(bare);
    filter_chain_free(paper);
}

static void test_describe(void **state) {
    (void)state;
    filter_chain_t *c = chain_of("# any order\n"
                                 "filters:\n"
                                 "  - luminance: {max: ~}\n"
                                 "  - entropy: {enabled: false}\n"
                                 "  - nsfw: {column: \"N \\\"S\", missing: keep, min: -1}\n"
                                 "  - side: {min: 64, max: 4096}\n"
                                 "  - aspect:\n"
                                 "  - alt_text: {min_words: 2, min_letters: 0.5}\n"
                                 "  - near_duplicate:\n"
                                 "      embedding: {dir: /e, max_samples: 50}\n");
    filter_near_duplicate_t near;
    assert_describes(c, "luminance: min 0.05\n"
                        "nsfw: min -1, max 0.3, column \"N \\\"S\", missing keep\n"
                        "side: min 64, max 4096\n"
                        "aspect: max 3\n"
                        "alt_text: min_words 2, min_letters 0.5, boilerplate true\n"
                        "near_duplicate: radius 3, cosine 0.985, embedding name \"{source}.npy\"\n");
    assert_true(filter_chain_near_duplicate(c, &near));
    assert_string_equal(near.embedding_dir, "/e");
    assert_int_equal(near.embedding_max_samples, 50);
    filter_chain_free(c);

    assert_int_equal(filter_chain_new(&c, NULL), LENS_OK);
    assert_int_equal(filter_chain_n(c), 0);
    assert_false(filter_chain_near_duplicate(c, &near));
    assert_describes(c, "");
    filter_chain_free(c);
    c = chain_of("filters: []");
    assert_int_equal(filter_chain_n(c), 0);
    filter_chain_free(c);
    filter_chain_free(NULL);
}

static const struct {
    const char *yaml, *reason;
} refused_files[] = {
    {"", "got nothing"},
    {"3", ":1: expected \"filters:\" and a list"},
    {"filter: []", ":1: unknown key \"filter\""},
    {"filters: {}", ":1: expected a list"},
    {"filters: []\nfilters: []", ":2: \"filters\" is given twice"},
    {"filters: []\n---\nfilters: []", ":3: expected one document"},
    {"filters: [\n", ":2: YAML: "},
    {"filters:\n  - blurr\n", ":2: unknown filter \"blurr\" (did you mean \"blur\"?)"},
    {"filters:\n  - zzzzzzzzzz\n", ":2: unknown filter \"zzzzzzzzzz\": expected one of corrupt, area, "},
    {"filters:\n  - blur\n  - area\n  - blur\n", ":4: filter \"blur\" is given twice, first on line 2"},
    {"filters:\n  - blur:\n    min: 3\n", ":2: expected one filter in each item of the list, got 2 keys"},
    {"filters:\n  - blur:\n      minn: 3\n", ":3: unknown parameter of blur \"minn\" (did you mean \"min\"?)"},
    {"filters:\n  - blur: {column: x}\n", "unknown parameter of blur \"column\": expected one of enabled, min, max"},
    {"filters:\n  - corrupt: {min: 3}\n", "unknown parameter of corrupt \"min\""},
    {"filters:\n  - blur: 3\n", ":2: blur: expected {PARAMETER: VALUE, ...}"},
    {"filters:\n  - blur: {min: abc}\n", ":2: min: expected a number, got \"abc\""},
    {"filters:\n  - blur: {min: \"3\"}\n", ":2: min: expected a number, got \"3\""},
    {"filters:\n  - blur: {min: 0x10}\n", "expected a number"},
    {"filters:\n  - blur: {min: nan}\n", "expected a number"},
    {"filters:\n  - blur: {min: 1e999}\n", "expected 0 to 10000000"},
    {"filters:\n  - blur: {min: -1}\n", ":2: min: expected 0 to 10000000, got -1"},
    {"filters:\n  - blur: {min: [1]}\n", ":2: min: expected one value"},
    {"filters:\n  - blur: {min: 1, min: 2}\n", ":2: \"min\" is given twice, first on line 2"},
    {"filters:\n  - blur: {min: 9, max: 2}\n", ":2: blur: min 9 is above max 2"},
    {"filters:\n  - blur: {min: null}\n", ":2: blur: expected min or max"},
    {"filters:\n  - side\n", ":2: side: expected min or max"},
    {"filters:\n  - entropy: {min: 8.5}\n", "expected 0 to 8"},
    {"filters:\n  - blur: !x {min: 1}\n  - !x area\n", ":3: filters: tags"},
    {"filters:\n  - nsfw: {missing: ignore}\n", "expected fail, keep or drop, got \"ignore\""},
    {"filters:\n  - nsfw: {column: []}\n", "expected 1 to 16 names, got 0"},
    {"filters:\n  - nsfw: {column: [a, \"\"]}\n", "an empty name"},
    {"filters:\n  - nsfw: {column: \"a\\0b\"}\n", "a NUL character"},
    {"filters:\n  - nsfw: {enabled: yes}\n", "expected true or false, got \"yes\""},
    {"filters:\n  - near_duplicate: {radius: 8}\n", "expected 0 to 7, got 8"},
    {"filters:\n  - near_duplicate: {radius: 2.5}\n", "expected a whole number"},
    {"filters:\n  - near_duplicate: {embedding: yes}\n", "embedding: expected {dir: DIR"},
    {"filters:\n  - near_duplicate: {embedding: {cosine: 0.9}}\n", "embedding: expected \"dir\""},
    {"filters:\n  - near_duplicate: {embedding: {radius: 1}}\n", "unknown parameter of near_duplicate's embedding"},
    {"filters:\n  - near_duplicate\n  - blur\n", ":2: near_duplicate: expected last in the list, got blur after it"},
    {"filters:\n  - alt_text: {min_chars: 5, max_chars: 4}\n", "a minimum is above its maximum"},
    {"filters:\n  - alt_text: {boilerplate_file: /nowhere/at/all}\n", "/nowhere/at/all"},
    {"filters: &a [*a]\n", "expected one value"},
    {"filters:\n  - [blur]\n", ":2: filters: expected one value"},
    {"filters:\n  - blur: {min: \xff}\n", ":2: YAML: "},
};

static void test_refused_files(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused_files / sizeof *refused_files; i++) {
        filter_chain_t *c;
        lens_status st = read_text(&c, refused_files[i].yaml);
        if (st == LENS_OK) fail_msg("read: %s", refused_files[i].yaml);
        assert_null(c);
        if (!strstr(lens_error(), refused_files[i].reason))
            fail_msg("\"%s\" lacks \"%s\"", lens_error(), refused_files[i].reason);
    }
    filter_chain_t *c;
    assert_int_equal(filter_chain_new(&c, "/nowhere/at/all.yaml"), LENS_IO);
    assert_null(c);
}

/* ---- judging ---- */

static void judge(const filter_chain_t *c, const filter_sample_t *s, filter_verdict_t *v) {
    if (filter_chain_judge(c, s, v) != LENS_OK) fail_msg("%s", lens_error());
}

static void assert_refused(const char *yaml, const filter_sample_t *s, double value, const char *reason) {
    filter_chain_t *c = chain_of(yaml);
    filter_verdict_t v = {0};
    judge(c, s, &v);
    assert_string_equal(str_text(&v.reason), reason);
    assert_int_equal(v.stage, 0);
    assert_false(v.pending);
    if (isnan(value))
        assert_true(isnan(v.value));
    else
        assert_float_equal(v.value, value, 1e-9);
    filter_verdict_free(&v);
    filter_chain_free(c);
}

static void assert_passes(const char *yaml, const filter_sample_t *s) {
    filter_chain_t *c = chain_of(yaml);
    filter_verdict_t v = {0};
    judge(c, s, &v);
    if (v.stage != -1 || v.reason.len || v.pending) fail_msg("%s: %s", yaml, str_text(&v.reason));
    filter_verdict_free(&v);
    filter_chain_free(c);
}

static void assert_fails(const char *yaml, const filter_sample_t *s, const char *reason) {
    filter_chain_t *c = chain_of(yaml);
    filter_verdict_t v = {0};
    assert_int_equal(filter_chain_judge(c, s, &v), LENS_FORMAT);
    if (!strstr(lens_error(), reason)) fail_msg("\"%s\" lacks \"%s\"", lens_error(), reason);
    filter_verdict_free(&v);
    filter_chain_free(c);
}

static void test_sizes(void **state) {
    (void)state;
    filter_sample_t s = {.width = 383, .height = 384};
    assert_refused("filters: [area]", &s, 383 * 384, "area 147072, expected at least 147456");
    assert_refused("filters: [side: {min: 384}]", &s, 383, "shorter side 383, expected at least 384");
    assert_refused("filters: [side: {max: 383}]", &s, 384, "longer side 384, expected at most 383");
    assert_passes("filters: [side: {min: 383, max: 384}]", &s);
    s = (filter_sample_t){.width = 384, .height = 384};
    assert_passes("filters: [area, aspect]", &s);
    s = (filter_sample_t){.width = 300, .height = 901};
    assert_refused("filters: [aspect]", &s, 901.0 / 300, "aspect 3.003, expected at most 3");
    s = (filter_sample_t){.width = 900, .height = 300};
    assert_passes("filters: [aspect]", &s);
    s = (filter_sample_t){.width = INT32_MAX, .height = INT32_MAX};
    assert_passes("filters: [area]", &s);
}

static void test_pixels(void **state) {
    (void)state;
    image_stats_t stats = {.blur = 31.2, .entropy = 2.5, .luminance = 0.981};
    filter_sample_t s = {.width = 9, .height = 9, .stats = &stats};
    assert_refused("filters: [blur: {min: 100}]", &s, 31.2, "blur 31.2, expected at least 100");
    assert_refused("filters: [blur: {min: null, max: 10}]", &s, 31.2, "blur 31.2, expected at most 10");
    assert_refused("filters: [entropy]", &s, 2.5, "entropy 2.5, expected at least 3");
    assert_refused("filters: [luminance]", &s, 0.981, "luminance 0.981, expected at most 0.98");
    stats.entropy = 2.99999; /* a reason says what differs */
    assert_refused("filters: [entropy]", &s, 2.99999, "entropy 2.99999, expected at least 3");
    stats = (image_stats_t){.blur = 50, .entropy = 3, .luminance = 0.05};
    assert_passes("filters: [blur, entropy, luminance]", &s);
}

static void test_scores(void **state) {
    (void)state;
    filter_sample_t s = {.meta = "{\"aesthetic\": 2.41, \"pwatermark\": \"0.75\", \"NSFW\": \"UNSURE\"}"};
    assert_refused("filters: [aesthetic]", &s, 2.41, "aesthetic 2.41, expected at least 3");
    assert_refused("filters: [watermark]", &s, 0.75, "watermark 0.75, expected at most 0.5");
    assert_refused("filters: [nsfw]", &s, 0.5, "nsfw 0.5, expected at most 0.3");
    assert_passes("filters: [nsfw: {max: 0.5}]", &s);
    assert_passes("filters: [aesthetic: {min: 2.41}]", &s);
    s.meta =
        "{\"aesthetic\": null, \"AESTHETIC_SCORE\": \"\", \"aesthetic_score_laion_v2\": 7, \"NSFW\": \"unlikely\"}";
    assert_passes("filters: [aesthetic, nsfw]", &s); /* the first that has a value */
    assert_fails("filters: [aesthetic: {column: NSFW}]", &s,
                 "aesthetic: column \"NSFW\": expected a number, got \"unlikely\"");
    static const char *const scores[] = {"aesthetic", "nsfw", "watermark"}; /* every name that is known for one */
    static const char *const reasons[] = {"aesthetic 0, expected at least 3", "nsfw 1, expected at most 0.3",
                                          "watermark 1, expected at most 0.5"};
    for (int i = 0; i < 3; i++)
        for (const char *const *name = columns_known(scores[i]); *name; name++) {
            char meta[64], yaml[32];
            snprintf(meta, sizeof meta, "{\"%s\": %s}", *name, i == 0 ? "0" : "1");
            snprintf(yaml, sizeof yaml, "filters: [%s]", scores[i]);
            s.meta = meta;
            assert_refused(yaml, &s, i == 0 ? 0 : 1, reasons[i]);
        }
    s.meta = "{\"aesthetic\": [1]}";
    assert_fails("filters: [aesthetic]", &s, "aesthetic: column \"aesthetic\": expected a number");
    s.meta = "{\"aesthetic\": true}";
    assert_fails("filters: [aesthetic]", &s, "expected a number");
    s.meta = "[]";
    assert_fails("filters: [aesthetic]", &s, "expected a JSON object");
    s.meta = "{";
    assert_fails("filters: [aesthetic]", &s, "metadata: ");
}

static void test_missing_scores(void **state) {
    (void)state;
    static const char *const metas[] = {NULL, "", "{}", "{\"a\": null}", "{\"a\": \"nan\"}", "{\"a\": \"\"}"};
    for (size_t i = 0; i < sizeof metas / sizeof *metas; i++) {
        filter_sample_t s = {.meta = metas[i]};
        filter_verdict_t v = {0};
        assert_fails("filters: [watermark: {column: [a, b]}]", &s,
                     "watermark: the metadata has none of the columns \"a\", \"b\"");
        assert_refused("filters: [watermark: {column: a, missing: drop}]", &s, NAN,
                       "watermark missing, expected one of the columns \"a\"");
        filter_chain_t *c = chain_of("filters: [corrupt, watermark: {column: a, missing: keep}]");
        judge(c, &s, &v);
        assert_int_equal(v.stage, -1);
        assert_int_equal(v.missing, 2);
        filter_verdict_free(&v);
        filter_chain_free(c);
    }
}

/* Without stats the stages before the first that needs them judge; the rest waits. */
static void test_pending(void **state) {
    (void)state;
    filter_chain_t *c = chain_of("filters: [corrupt, area, blur, aspect, near_duplicate]");
    image_stats_t stats = {.blur = 100};
    filter_sample_t s = {.width = 10, .height = 10};
    filter_verdict_t v = {0};
    judge(c, &s, &v);
    assert_int_equal(v.stage, 1);
    assert_false(v.pending);
    s = (filter_sample_t){.width = 4000, .height = 400};
    judge(c, &s, &v);
    assert_int_equal(v.stage, -1);
    assert_true(v.pending);
    s.stats = &stats;
    judge(c, &s, &v);
    assert_int_equal(v.stage, 3);
    assert_string_equal(v.reason.s, "aspect 10, expected at most 3");
    s.width = s.height = 400;
    judge(c, &s, &v);
    assert_int_equal(v.stage, -1);
    assert_false(v.pending);
    filter_verdict_free(&v);
    filter_chain_free(c);
}

static void test_alt_text(void **state) {
    (void)state;
    filter_sample_t s = {.alt = "IMG_0001"};
    assert_refused("filters: [alt_text]", &s, 1, "alt_text boilerplate \"IMG_0001\"");
    assert_passes("filters: [alt_text: {boilerplate: false}]", &s);
    s.alt = NULL;
    assert_passes("filters: [alt_text]", &s);
    assert_refused("filters: [alt_text: {min_words: 1}]", &s, 0, "alt_text 0 words, expected at least 1");
}

/* ---- counting ---- */

static void test_counts(void **state) {
    (void)state;
    filter_chain_t *c = chain_of("filters: [corrupt, area, aesthetic: {missing: keep}, near_duplicate]");
    filter_counts_t n = {0};
    filter_verdict_t v = {0};
    str_t table = {0};
    image_stats_t stats = {0};
    filter_sample_t small = {.width = 1, .height = 1, .stats = &stats},
                    ugly = {.width = 999, .height = 999, .stats = &stats, .meta = "{\"aesthetic\": 1}"},
                    unknown = {.width = 999, .height = 999, .stats = &stats};
    const filter_sample_t *samples[] = {&small, &ugly, &unknown, &unknown, &unknown};
    for (size_t i = 0; i < 5; i++) {
        judge(c, samples[i], &v);
        filter_counts_add(&n, &v);
    }
    filter_counts_drop(&n, 0, false);
    filter_counts_drop(&n, 3, true);
    assert_int_equal(n.passed, 2);
    assert_int_equal(filter_counts_total(&n), 6);
    filter_funnel_print(&table, &n, c);
    assert_string_equal(
        table.s,
        "stage            keeps                             dropped    share         left\n"
        "read                                                                           6\n"
        "corrupt                                                  1   16.67%            5\n"
        "area             min 147456                              1   20.00%            4\n"
        "aesthetic        min 3                                   1   25.00%            3  (3 without a score)\n"
        "near_duplicate   radius 3                                1   33.33%            2\n");
    str_free(&table);
    filter_verdict_free(&v);
    filter_chain_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paper_config),  cmocka_unit_test(test_defaults),       cmocka_unit_test(test_describe),
        cmocka_unit_test(test_refused_files), cmocka_unit_test(test_sizes),          cmocka_unit_test(test_pixels),
        cmocka_unit_test(test_scores),        cmocka_unit_test(test_missing_scores), cmocka_unit_test(test_pending),
        cmocka_unit_test(test_alt_text),      cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests_name("filter_chain", tests, NULL, NULL);
}
