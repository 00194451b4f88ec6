#include "eval/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "data/dataset.h"
#include "data/image_grid.h"
#include "eval/run_log.h"
#include "eval/run_stats.h"

#define ATTACK "<script>alert('x')</script>&\""

/* A temporary folder, and paths in it. */
typedef struct {
    char dir[64];
    char run[96], data[96], page[96];
} place_t;

static int set_up(void **state) {
    place_t *p = calloc(1, sizeof *p);
    if (p == NULL) return -1;
    snprintf(p->dir, sizeof p->dir, "/tmp/lens-test-report-XXXXXX");
    if (mkdtemp(p->dir) == NULL) return -1;
    snprintf(p->run, sizeof p->run, "%s/run", p->dir);
    snprintf(p->data, sizeof p->data, "%s/data", p->dir);
    snprintf(p->page, sizeof p->page, "%s/page.html", p->dir);
    *state = p;
    return dir_make(p->run) == LENS_OK ? 0 : -1;
}

static int tear_down(void **state) {
    place_t *p = *state;
    lens_status st = dir_remove(p->dir);
    free(p);
    return st == LENS_OK ? 0 : -1;
}

static void write_text(const char *dir, const char *name, const char *text) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_write(path, text, strlen(text)), LENS_OK);
}

static void make_picture(image_t *out, int32_t width, int32_t height, int seed) {
    assert_int_equal(image_new(out, width, height), LENS_OK);
    for (int64_t i = 0; i < (int64_t)width * height * 3; i++) out->rgb[i] = (uint8_t)(i * seed);
}

static void write_sheet(const char *samples, int step) {
    char path[200];
    image_t pictures[2], sheet;
    for (int i = 0; i < 2; i++) make_picture(&pictures[i], 8, 8, step + i);
    assert_int_equal(image_grid(&sheet, pictures, 2, 2, 2), LENS_OK);
    snprintf(path, sizeof path, "%s/step-%08d.png", samples, step);
    assert_int_equal(image_write(path, &sheet), LENS_OK);
    for (int i = 0; i < 2; i++) image_free(&pictures[i]);
    image_free(&sheet);
}

static void make_run(const place_t *p) {
    char samples[128];
    str_t text = {0};
    str_addf(&text,
             "{\"model\":{\"parameters\":6921984},\"world\":2,\"threads\":1,\"device\":\"cpu\",\"version\":\"0.1.0\","
             "\"build\":\"Release\",\"datasets\":[\"%s\"],\"started\":\"2026-01-02T03:04:05Z\",\"global_batch\":4,"
             "\"steps\":100,\"peak_gflops\":98.3,\"command\":\"lens train ",
             p->data);
    str_add(&text, "<script>\",\"finished\":\"2026-01-02T03:14:05Z\",\"sgemm_ratio\":0.5,\"wall_s\":600}");
    write_text(p->run, "run.json", str_text(&text));
    str_clear(&text);
    for (int s = 1; s <= 100; s++)
        str_addf(&text,
                 "{\"step\":%d,\"loss\":%.6f,\"lr\":0.001,\"grad_norm\":1.5,\"images_per_s\":%d,\"mfu\":0.25,"
                 "\"images\":%d,\"news\":[]}\n",
                 s, 1.0 / s, 40 + s % 3, s * 4);
    write_text(p->run, "metrics.jsonl", str_text(&text));
    write_text(p->run, "config.yaml", "model:\n  name: " ATTACK "\n");
    snprintf(samples, sizeof samples, "%s/samples", p->run);
    assert_int_equal(dir_make(samples), LENS_OK);
    for (int s = 10; s <= 300; s += 10) write_sheet(samples, s);
    write_text(samples, "prompts.txt", "a red square\n" ATTACK "\n");
    str_free(&text);
}

static void make_dataset(const place_t *p, int n) {
    dataset_writer_t *w;
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.shard_max_samples = 8;
    assert_int_equal(dataset_writer_open(&w, p->data, &options), LENS_OK);
    for (int i = 0; i < n; i++) {
        image_t picture;
        str_t webp = {0};
        char key[32];
        int32_t width = i == 1 ? 700 : 20 + i, height = 16;
        make_picture(&picture, width, height, i + 1);
        assert_int_equal(image_encode_webp(&webp, &picture, 80, false), LENS_OK);
        snprintf(key, sizeof key, "key-%03d", i);
        sample_t sample = {.key = key,
                           .picture = webp.s,
                           .picture_bytes = webp.len,
                           .width = width,
                           .height = height,
                           .original_width = width,
                           .original_height = height,
                           .alt = i % 4 == 1 ? ATTACK : ""};
        assert_int_equal(dataset_writer_add(w, &sample), LENS_OK);
        image_free(&picture);
        str_free(&webp);
    }
    assert_int_equal(dataset_writer_close(w), LENS_OK);
}

/* A caption layer over the first n_shards shards alone. */
static void make_layer(const place_t *p, int n_shards) {
    dataset_t *d;
    assert_int_equal(dataset_open(&d, p->data), LENS_OK);
    for (int s = 0; s < n_shards; s++) {
        layer_writer_t *w;
        assert_int_equal(layer_writer_open(&w, d, s, p->data, "dense", NULL), LENS_OK);
        for (int64_t i = 0; i < dataset_shard_n_samples(d, s); i++)
            assert_int_equal(layer_writer_add(w, "five words in dense caption", NULL), LENS_OK);
        assert_int_equal(layer_writer_close(w), LENS_OK);
    }
    dataset_close(d);
}

/* The page on the run (NULL: none) and the dataset (NULL: none); free with str_free. */
static str_t build(const char *run, const char *data) {
    str_t html = {0};
    report_options_t o = {.runs = &run, .n_runs = run != NULL, .datasets = &data, .n_datasets = data != NULL};
    assert_int_equal(report_build(&html, &o), LENS_OK);
    return html;
}

static int count(const char *text, const char *what) {
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what)) n++;
    return n;
}

/* Every element closes in the order it opened, no attribute lets a '<' through: as XML wants it. */
static void assert_well_formed(const char *html) {
    enum { DEPTH_MAX = 64, NAME_MAX_LEN = 15 };
    char open[DEPTH_MAX][NAME_MAX_LEN + 1], name[NAME_MAX_LEN + 1];
    int depth = 0, n_elements = 0;
    for (const char *p = strchr(html + 1, '<'); p != NULL; p = strchr(p + 1, '<')) {
        const char *end = p + 1;
        for (bool quoted = false; quoted || *end != '>'; end++) {
            assert_int_not_equal(*end, '\0');
            assert_int_not_equal(*end, '<');
            if (*end == '"') quoted = !quoted;
        }
        if (p[1] == '/') {
            assert_true(depth > 0);
            assert_int_equal(sscanf(p + 2, "%15[a-z0-9]", name), 1);
            assert_string_equal(name, open[--depth]);
        } else {
            assert_int_equal(sscanf(p + 1, "%15[a-z0-9]", name), 1);
            assert_true(depth < DEPTH_MAX);
            if (end[-1] != '/') memcpy(open[depth++], name, sizeof name);
            n_elements++;
        }
    }
    assert_int_equal(depth, 0);
    assert_true(n_elements > 20);
}

static void test_whole_page(void **state) {
    place_t *p = *state;
    make_run(p);
    make_dataset(p, 20);
    make_layer(p, 3);
    str_t html = build(p->run, p->data);
    assert_well_formed(html.s);
    static const char *const expected[] = {
        "Training report: run",
        "6.92\u00a0M",
        "98.3\u00a0GFLOP/s",
        "1 \u2192 0.0101", /* mean of 1/98, 1/99, 1/100 */
        "10\u00a0min 00\u00a0s",
        "<b>Loss</b>",
        "<b>Learning rate</b>",
        "<b>Gradient norm</b>",
        "<b>Throughput</b>",
        "<b>Words a caption</b>",
        "key-001",
        "five words in dense caption",
        "in 3 shards",
        "Step 300",
        "12 of 29 earlier sheets",
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (strstr(html.s, expected[i]) == NULL) fail_msg("the page lacks: %s", expected[i]);
    assert_int_equal(count(html.s, "src=\"data:image/png;base64,"), 13);
    assert_int_equal(count(html.s, "src=\"data:image/webp;base64,"), 10);
    assert_int_equal(count(html.s, "class=\"note\""), 0);
    assert_int_equal(count(html.s, "<section id=\"data-"), 1); /* named by the run and by the caller, shown once */
    assert_null(strstr(html.s, "http"));
    str_free(&html);
}

/* Prompts, captions, command and configuration hold a script; none of it may come through. */
static void test_texts_are_escaped(void **state) {
    place_t *p = *state;
    make_run(p);
    make_dataset(p, 20);
    str_t html = build(p->run, p->data);
    assert_null(strstr(html.s, "<script"));
    assert_int_equal(count(html.s, "&lt;script&gt;alert("), 5 + 2); /* alt of half the cards, prompt, config */
    assert_well_formed(html.s);
    str_free(&html);
}

static void test_two_runs(void **state) {
    place_t *p = *state;
    str_t html = {0};
    make_run(p);
    const char *runs[] = {p->run, p->run};
    assert_int_equal(report_build(&html, &(report_options_t){.title = "<two>", .runs = runs, .n_runs = 2}), LENS_OK);
    assert_non_null(strstr(html.s, "<h1>&lt;two&gt;</h1>"));
    assert_non_null(strstr(html.s, "Runs side by side"));
    assert_int_equal(count(html.s, "<svg"), 1 + 2 * 4);
    assert_int_equal(count(html.s, "id=\"run-1\""), 1);
    assert_well_formed(html.s);
    str_free(&html);
}

static void test_same_page_each_time(void **state) {
    place_t *p = *state;
    make_run(p);
    make_dataset(p, 20);
    str_t a = build(p->run, p->data), b = build(p->run, p->data);
    assert_string_equal(a.s, b.s);
    str_free(&a);
    str_free(&b);
}

static void test_partial_layer(void **state) {
    place_t *p = *state;
    make_dataset(p, 20);
    make_layer(p, 1);
    str_t html = build(NULL, p->data);
    assert_non_null(strstr(html.s, "40\u00a0%")); /* 8 of 20 captions */
    assert_non_null(strstr(html.s, "not written yet"));
    assert_non_null(strstr(html.s, "Dataset report: "));
    assert_well_formed(html.s);
    str_free(&html);
}

static void test_funnel(void **state) {
    const place_t *p = *state;
    make_dataset(p, 3);
    write_text(p->data, "ingest.json",
               "{\"read\":1000,\"accepted\":850,\"rejected\":150,\"funnel\":["
               "{\"stage\":\"area\",\"limit\":\"min 147456\",\"dropped\":100,\"left\":900,\"missing\":0},"
               "{\"stage\":\"blur\",\"limit\":\"min 50\",\"dropped\":50,\"left\":850,\"missing\":0}]}\n");
    str_t html = build(NULL, p->data);
    assert_well_formed(html.s);
    assert_non_null(strstr(html.s, "Of 1,000 samples read, 850 were kept"));
    assert_non_null(strstr(html.s, "min 147456</td><td>100</td><td>10\u00a0%</td><td>900</td>"));
    assert_non_null(strstr(html.s, "width=\"85.000\""));
    str_free(&html);
}

static void test_damaged_funnel_is_said(void **state) {
    const place_t *p = *state;
    make_dataset(p, 3);
    write_text(p->data, "ingest.json", "{\"funnel\":");
    str_t html = build(NULL, p->data);
    assert_int_equal(count(html.s, "class=\"note\""), 1);
    assert_non_null(strstr(html.s, "ingest.json"));
    str_free(&html);
}

static void test_missing_parts_are_said(void **state) {
    place_t *p = *state;
    write_text(p->run, "run.json", "{\"datasets\":[\"/nowhere\"]}");
    str_t html = build(p->run, NULL);
    assert_non_null(strstr(html.s, "metrics.jsonl is missing"));
    assert_non_null(strstr(html.s, "samples/ is missing"));
    assert_non_null(strstr(html.s, "config.yaml is missing"));
    assert_non_null(strstr(html.s, "has not finished"));
    assert_int_equal(count(html.s, "class=\"note\""), 5); /* the fifth: /nowhere */
    assert_null(strstr(html.s, "<svg"));
    assert_well_formed(html.s);
    str_free(&html);
}

static void test_damaged_sheet_is_said(void **state) {
    place_t *p = *state;
    make_run(p);
    char samples[128];
    snprintf(samples, sizeof samples, "%s/samples", p->run);
    write_text(samples, "step-00000300.png", "<svg onload=x>");
    str_t html = build(p->run, NULL);
    assert_non_null(strstr(html.s, "step-00000300.png: not a PNG file"));
    assert_null(strstr(html.s, "onload"));
    assert_int_equal(count(html.s, "src=\"data:image/png;base64,"), 12);
    str_free(&html);
}

static void test_cut_short_last_line(void **state) {
    place_t *p = *state;
    run_log_t r;
    write_text(p->run, "metrics.jsonl", "{\"step\":1,\"loss\":2}\n{\"step\":2,\"loss\":1}\n{\"step\":3,\"lo");
    assert_int_equal(run_log_open(&r, p->run), LENS_OK);
    assert_int_equal(r.n, 2);
    assert_true(run_stats_last_mean(&r, RUN_LOSS, 1) == 1);
    bool said = false;
    for (int64_t i = 0; i < r.n_notes; i++)
        said |= strstr(r.notes[i], "last line of metrics.jsonl (3) is cut short") != NULL;
    assert_true(said);
    run_log_free(&r);
}

/* A null, a line of rubbish, a step without a value, and steps done again after a resume. */
static void test_odd_metrics(void **state) {
    place_t *p = *state;
    run_log_t r;
    write_text(p->run, "metrics.jsonl",
               "{\"step\":1,\"loss\":5}\n{\"step\":2,\"loss\":null}\nrubbish\n[]\n\n{\"step\":3,\"loss\":\"x\"}\n"
               "{\"step\":2,\"loss\":4}\n{\"step\":3,\"loss\":3}");
    assert_int_equal(run_log_open(&r, p->run), LENS_OK);
    assert_int_equal(r.n, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(r.step[i] == i + 1);
        assert_true(r.metric[RUN_LOSS][i] == 5 - i);
        assert_true(isnan(r.metric[RUN_LR][i]));
    }
    str_t notes = {0};
    for (int64_t i = 0; i < r.n_notes; i++) str_addf(&notes, "%s\n", r.notes[i]);
    assert_non_null(strstr(notes.s, "line 3 cannot be read"));
    assert_non_null(strstr(notes.s, "2 lines in all"));
    assert_non_null(strstr(notes.s, "2 steps were done again"));
    assert_null(strstr(notes.s, "cut short"));
    str_free(&notes);
    run_log_free(&r);
}

static void test_smoothing(void **state) {
    (void)state;
    double loss[] = {1, 2, NAN, 4, 9}, step[] = {1, 2, 3, 4, 5}, out[5];
    run_log_t r = {.n = 5, .step = step, .metric = {[RUN_LOSS] = loss}};
    run_stats_smooth(out, &r, RUN_LOSS, 3);
    const double expected[] = {1.5, 1.5, 3, 6.5, 6.5};
    for (int i = 0; i < 5; i++) assert_true(fabs(out[i] - expected[i]) < 1e-12);
    run_stats_smooth(out, &r, RUN_LOSS, 1);
    assert_true(isnan(out[2]) && out[4] == 9);
    double median;
    assert_int_equal(run_stats_median(&median, &r, RUN_LOSS), LENS_OK);
    assert_true(median == 3);
}

static void test_errors(void **state) {
    place_t *p = *state;
    const char *run = "/nowhere/run";
    report_options_t o = {.runs = &run, .n_runs = 1};
    assert_int_equal(report_write(p->page, &o), LENS_IO);
    assert_string_equal(lens_error(), "/nowhere/run: no such run folder");
    run = p->run;
    assert_int_equal(report_write(p->page, &o), LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "neither run.json nor metrics.jsonl"));
    o.n_runs = 0;
    assert_int_equal(report_write(p->page, &o), LENS_ARGUMENT);
    assert_false(file_exists(p->page));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_whole_page),
        TEST(test_texts_are_escaped),
        TEST(test_two_runs),
        TEST(test_same_page_each_time),
        TEST(test_partial_layer),
        TEST(test_funnel),
        TEST(test_damaged_funnel_is_said),
        TEST(test_missing_parts_are_said),
        TEST(test_damaged_sheet_is_said),
        TEST(test_cut_short_last_line),
        TEST(test_odd_metrics),
        TEST(test_smoothing),
        TEST(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
