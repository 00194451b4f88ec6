/* The review page as a file: what is drawn, by which shares, and that no text of a set becomes markup. */
#include "tests/unit/reviewed_set.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "recaption/decision_list.h"
#include "recaption/review.h"

static char folder[] = "/tmp/lens-test-review-XXXXXX";
static char set[256], page[256];
static dataset_t *dataset;

static const reviewed_t dense[N_REVIEWED] = {
    {"A red <b>cat</b>.", "{\"status\":\"accepted\",\"attempts\":1,\"words\":3}"},
    {"", "{\"status\":\"rejected\",\"reason\":\"loop\",\"value\":0.41,\"attempts\":3,\"raw\":\"cat </script>\"}"},
    {"", "{\"status\":\"rejected\",\"reason\":\"failed\",\"value\":0,\"attempts\":3,\"raw\":\"\"}"},
    {"A blue dog.", NULL},
    {"A green dog.", NULL},
};
static const reviewed_t brief[N_REVIEWED] = {{"A", NULL}, {"B", NULL}, {"C", NULL}, {"D", NULL}, {"E", NULL}};
static const char *const kinds[] = {"brief", "dense"};

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(set, sizeof set, "%s/set", folder);
    snprintf(page, sizeof page, "%s/page.html", folder);
    reviewed_set(set);
    reviewed_layer(set, "dense", dense);
    reviewed_layer(set, "brief", brief);
    return dataset_open(&dataset, set) == LENS_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    dataset_close(dataset);
    return dir_remove(folder) == LENS_OK ? 0 : -1;
}

static review_options_t options(void) {
    return (review_options_t){.dir = set, .kinds = kinds, .n_kinds = 2, .n = 100};
}

/* The page's data; html is the caller's to free. */
static json_t *write_page(const review_options_t *o, int64_t n_items, char **html) {
    static const char begin[] = "<script type=\"application/json\" id=\"data\">";
    review_result_t result;
    size_t n;
    assert_int_equal(review_write(&result, page, dataset, o), LENS_OK);
    assert_int_equal(result.n_items, n_items);
    assert_int_equal(file_read(html, &n, page, 1 << 24), LENS_OK);
    char *data = strstr(*html, begin);
    assert_non_null(data);
    data += strlen(begin);
    json_error_t error;
    json_t *out = json_loadb(data, (size_t)(strstr(data, "</script>") - data), JSON_REJECT_DUPLICATES, &error);
    if (!out) fail_msg("%s", error.text);
    assert_int_equal(json_array_size(json_object_get(out, "items")), n_items);
    return out;
}

static const char *text_of(const json_t *data, size_t i, const char *name) {
    return json_string_value(json_object_get(json_array_get(json_object_get(data, "items"), i), name));
}

static void test_items(void **state) {
    (void)state;
    char *html, of[17];
    const review_options_t o = options();
    json_t *data = write_page(&o, 10, &html);
    assert_string_equal(text_of(data, 1, "sample"), "key-0"); /* kinds of a picture side by side */
    assert_string_equal(text_of(data, 1, "kind"), "dense");
    assert_string_equal(text_of(data, 1, "text"), "A red <b>cat</b>.");
    assert_string_equal(text_of(data, 1, "alt"), "An alt-text </script>");
    assert_string_equal(text_of(data, 3, "raw"), "cat </script>");
    assert_string_equal(text_of(data, 3, "reason"), "loop");
    assert_string_equal(text_of(data, 9, "shard"), "shard-00001");
    snprintf(of, sizeof of, "%016" PRIx64, decision_hash("cat </script>"));
    assert_string_equal(text_of(data, 3, "of"), of);
    assert_null(strstr(html, "<b>cat"));
    assert_null(strstr(html, "alt-text <"));
    for (int i = 0; i < N_REVIEWED; i++) {
        char picture[64];
        snprintf(picture, sizeof picture, "id=\"picture-%d\">data:image/webp;base64,", i);
        assert_non_null(strstr(html, picture));
    }
    assert_null(strstr(html, "id=\"picture-5\""));
    assert_true(strstr(html, "id=\"picture-0\"") >
                strstr(html, "\"use strict\"")); /* a page is usable while it loads */
    free(html);
    json_decref(data);
}

static void test_draw(void **state) {
    (void)state;
    char *html, *again;
    review_options_t o = options();
    o.rejected = true;
    json_decref(write_page(&o, 2, &html));
    free(html);
    /* One of each: brief accepted, dense accepted, loop, failed. */
    o = (review_options_t){.dir = set, .kinds = kinds, .n_kinds = 2, .n = 4, .by_kind = true, .by_reason = true};
    json_t *data = write_page(&o, 4, &html);
    int n_brief = 0, n_reasons = 0;
    for (size_t i = 0; i < 4; i++) {
        n_brief += strcmp(text_of(data, i, "kind"), "brief") == 0;
        n_reasons += text_of(data, i, "reason") != NULL;
    }
    assert_int_equal(n_brief, 1);
    assert_int_equal(n_reasons, 2);
    json_decref(data);
    json_decref(write_page(&o, 4, &again)); /* the same draw, the same bytes */
    assert_string_equal(html, again);
    free(html);
    free(again);
    /* Every caption is drawn about as often over many seeds: 400 draws of 5 of 10, 200 +- 5 standard deviations. */
    int times[2][N_REVIEWED] = {{0}};
    o = options();
    o.n = 5;
    for (o.seed = 0; o.seed < 400; o.seed++) {
        data = write_page(&o, 5, &html);
        for (size_t i = 0; i < 5; i++)
            times[strcmp(text_of(data, i, "kind"), "dense") == 0][text_of(data, i, "sample")[4] - '0']++;
        json_decref(data);
        free(html);
    }
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < N_REVIEWED; i++) assert_in_range(times[k][i], 150, 250);
}

static void test_errors(void **state) {
    (void)state;
    review_result_t result;
    review_options_t o = options();
    o.n_kinds = 1;
    o.rejected = true; /* brief has none */
    char nothing[300];
    snprintf(nothing, sizeof nothing, "%s/nothing.html", folder);
    assert_int_equal(review_write(&result, nothing, dataset, &o), LENS_STATE);
    assert_non_null(strstr(lens_error(), "no rejected captions to review"));
    assert_false(file_exists(nothing));
    /* A damaged layer: half of it. */
    char path[300], *bytes;
    size_t n;
    snprintf(path, sizeof path, "%s/dense/shard-00001.h5", set);
    assert_int_equal(file_read(&bytes, &n, path, 1 << 24), LENS_OK);
    assert_int_equal(file_write(path, bytes, n / 2), LENS_OK);
    o = options();
    assert_int_equal(review_write(&result, nothing, dataset, &o), LENS_FORMAT);
    assert_non_null(strstr(lens_error(), "shard-00001.h5"));
    assert_false(file_exists(nothing));
    assert_int_equal(file_write(path, bytes, n), LENS_OK);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_draw),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
