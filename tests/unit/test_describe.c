/* The built-in describer: lengths, facts, wording, determinism. */
#include "tests/unit/drawing.h"

#include <stdlib.h>

#include "base/rng.h"
#include "recaption/describe.h"
#include "recaption/quality.h"
#include "recaption/words.h"

static captioner_t *describer;

static int set_up(void **state) {
    (void)state;
    static const caption_kind_t dense = {.name = "dense", .style = "", .min_words = 40, .max_words = 120};
    const captioner_options_t options = {.captioner = "describe", .kinds = &dense, .n_kinds = 1};
    return captioner_open(&describer, &options) == LENS_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    captioner_close(describer);
    return 0;
}

static void keep_text(const caption_request_t *request, const caption_reply_t *reply) {
    assert_int_equal(reply->outcome, CAPTION_TEXT);
    str_add(request->context, reply->text);
}

/* The caption, owned by the caller; passes the gate. */
static str_t describe(const image_t *im, const char *alt, int attempt) {
    str_t text = {0};
    const caption_request_t request = {
        .image = im, .alt = alt, .meta = "{}", .attempt = attempt, .done = keep_text, .context = &text};
    assert_int_equal(describer->type->submit(describer, &request), LENS_OK);
    quality_t q;
    quality_options_t o = QUALITY_DEFAULTS;
    quality_input_t in = {.text = str_text(&text)};
    assert_int_equal(quality_check(&q, &o, &in), LENS_OK);
    if (q.reason != QUALITY_ACCEPTED) fail_msg("%s: %s", quality_name(q.reason), str_text(&text));
    quality_free(&q);
    return text;
}

static void assert_says(const char *text, const char *phrase) {
    if (!words_find(text, phrase)) fail_msg("'%s' is not in: %s", phrase, text);
}

static void assert_does_not_say(const char *text, const char *phrase) {
    if (words_find(text, phrase)) fail_msg("'%s' is in: %s", phrase, text);
}

/* Every attempt words it anew; the facts stay. */
static void test_red_circle_on_white(void **state) {
    (void)state;
    image_t im;
    draw_new(&im, 256, 256, 0xffffff);
    draw_ellipse(&im, 60, 60, 35, 35, 0, 0xff0000);
    for (int attempt = 0; attempt < 40; attempt++) {
        str_t text = describe(&im, "", attempt);
        assert_says(text.s, "red");
        assert_says(text.s, "white");
        assert_says(text.s, "upper left");
        assert_true(words_find(text.s, "circle") || words_find(text.s, "disc"));
        static const char *const wrong[] = {"red square", "blue", "right", "green", "lower",
                                            "no",         "not",  "two",   "image"};
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_does_not_say(text.s, wrong[i]);
        str_free(&text);
    }
    image_free(&im);
}

static void test_two_shapes(void **state) {
    (void)state;
    image_t im;
    draw_new(&im, 256, 256, 0x101850);
    draw_rectangle(&im, 150, 30, 230, 110, 0xffe020);
    draw_polygon(&im, 70, 190, 40, 3, 1, 0x00a020);
    for (int attempt = 0; attempt < 20; attempt++) {
        str_t text = describe(&im, "IMG_0001.jpg", attempt);
        assert_says(text.s, "yellow square");
        assert_says(text.s, "green triangle");
        assert_says(text.s, "navy blue");
        assert_says(text.s, "upper right");
        assert_says(text.s, "lower left");
        assert_does_not_say(text.s, "IMG");
        str_free(&text);
    }
    image_free(&im);
}

static void test_counts(void **state) {
    (void)state;
    image_t im;
    draw_new(&im, 256, 256, 0xffffff);
    for (int i = 0; i < 4; i++) draw_polygon(&im, 40 + 58 * i, 128, 24, 5, 0.4, 0x0000ff);
    for (int attempt = 0; attempt < 10; attempt++) {
        str_t text = describe(&im, "", attempt);
        assert_says(text.s, "four");
        assert_says(text.s, "blue");
        assert_true(words_find(text.s, "stars") || words_find(text.s, "star shapes"));
        assert_says(text.s, "in a row");
        str_free(&text);
    }
    image_free(&im);
}

static void test_alt_text_is_woven_in(void **state) {
    (void)state;
    image_t im;
    draw_new(&im, 200, 256, 0xffffff);
    draw_ellipse(&im, 100, 140, 70, 80, 0, 0xff0000);
    draw_rectangle(&im, 96, 20, 104, 70, 0x1f8a3a);
    static const char *const alts[][2] = {{"Ripe tomato with a stem stock photo", "ripe tomato with a stem"},
                                          {"tomato, vegetable, garden", "tomato, vegetable and garden"},
                                          {"two_tomatoes.png", "two tomatoes"},
                                          {"The tomato is still on the vine", "The tomato is still on the vine."}};
    for (size_t i = 0; i < sizeof alts / sizeof alts[0]; i++)
        for (int attempt = 0; attempt < 10; attempt++) {
            str_t text = describe(&im, alts[i][0], attempt);
            if (!strcasestr(text.s, alts[i][1])) fail_msg("'%s' is not in: %s", alts[i][1], text.s);
            assert_says(text.s, "red");
            str_free(&text);
        }
    image_free(&im);
}

/* A random picture of one of many families, scenes and blanks included. */
static void draw_any(image_t *im, uint64_t i) {
    static const uint32_t colours[] = {0xffffff, 0x000000, 0xff0000, 0x0000ff, 0x1f8a3a, 0xffe020, 0x808080,
                                       0x8b4513, 0xff82b4, 0x87ceeb, 0x800080, 0xff8c00, 0x101850, 0xf5ecd2};
    enum { N = sizeof colours / sizeof colours[0] };
    rng_t r = rng_stream(5, 0, i, RNG_TEST);
    int32_t w = 16 + (int32_t)rng_below(&r, 120), h = 16 + (int32_t)rng_below(&r, 120);
    draw_new(im, w, h, colours[rng_below(&r, N)]);
    bool noisy = rng_below(&r, 6) == 0;
    for (int32_t k = 0; noisy && k < w * h; k++) draw_pixel(im, k % w, k / w, rng_u32(&r) & 0xffffff);
    for (uint32_t n = rng_below(&r, 9); n > 0; n--) {
        uint32_t rgb = colours[rng_below(&r, N)];
        double x = rng_below(&r, (uint32_t)w), y = rng_below(&r, (uint32_t)h),
               size = 2 + rng_below(&r, (uint32_t)w / 2);
        switch (rng_below(&r, 4)) {
        case 0:
            draw_ellipse(im, x, y, size, size, 0, rgb);
            break;
        case 1:
            draw_ellipse(im, x, y, size, size * 0.7, 0.5, rgb);
            break;
        case 2:
            draw_polygon(im, x, y, size, 3 + (int)rng_below(&r, 5), rng_below(&r, 2) ? 1 : 0.4, rgb);
            break;
        default:
            draw_rectangle(im, (int32_t)x, (int32_t)y, (int32_t)(x + size), (int32_t)(y + size * 2), rgb);
            break;
        }
    }
}

/* describe() holds each to the gate: 40 to 120 words, whole sentences, no loops. */
static void test_any_picture_passes_the_gate(void **state) {
    (void)state;
    static const char *const alts[] = {"",
                                       "",
                                       "old boat on the shore",
                                       "IMG_7.jpg",
                                       "sea, sand, sun",
                                       "We sat there, all of us, until the evening came.",
                                       "a b c d e f g h i j k l m n o p q r s t u v w x y z and a great many more "
                                       "words than any alt-text ought to hold",
                                       "Men",
                                       "\xc3\x89"
                                       "clair"};
    for (uint64_t i = 0; i < 400; i++) {
        image_t im;
        draw_any(&im, i);
        str_t text = describe(&im, alts[i % (sizeof alts / sizeof alts[0])], (int)(i % 3)), again;
        again = describe(&im, alts[i % (sizeof alts / sizeof alts[0])], (int)(i % 3));
        assert_string_equal(text.s, again.s);
        assert_does_not_say(text.s, "there is no");
        assert_null(strstr(text.s, "  "));
        assert_null(strstr(text.s, " ,"));
        assert_null(strstr(text.s, ".."));
        assert_null(strstr(text.s, " a orange"));
        str_free(&text);
        str_free(&again);
        image_free(&im);
    }
}

/* The pictures with least to say: one colour, one pixel. */
static void test_blank_pictures(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 120; i++) {
        image_t im;
        draw_new(&im, 1 + (int32_t)(i % 7) * 9, 1 + (int32_t)(i % 5) * 30, i * 2147483u & 0xffffff);
        for (int attempt = 0; attempt < 5; attempt++) {
            str_t text = describe(&im, "", attempt);
            str_free(&text);
        }
        image_free(&im);
    }
}

static void test_options_are_checked(void **state) {
    (void)state;
    captioner_t *c;
    caption_kind_t kind = {.name = "dense", .style = "", .min_words = 40, .max_words = 120};
    captioner_options_t o = {.captioner = "nobody", .kinds = &kind, .n_kinds = 1};
    assert_int_equal(captioner_open(&c, &o), LENS_ARGUMENT);
    assert_null(c);
    assert_non_null(strstr(lens_error(), "describe"));
    o.captioner = "describe";
    kind.name = "brief";
    assert_int_equal(captioner_open(&c, &o), LENS_ARGUMENT);
    kind.name = "dense";
    kind.min_words = 100;
    assert_int_equal(captioner_open(&c, &o), LENS_ARGUMENT);
    str_t json = {0};
    assert_int_equal(captioner_provenance(describer, 0, &json), LENS_OK);
    assert_non_null(strstr(json.s, "\"captioner\":\"describe\""));
    assert_non_null(strstr(json.s, "\"min_words\":40"));
    str_free(&json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_red_circle_on_white),
        cmocka_unit_test(test_two_shapes),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_alt_text_is_woven_in),
        cmocka_unit_test(test_any_picture_passes_the_gate),
        cmocka_unit_test(test_blank_pictures),
        cmocka_unit_test(test_options_are_checked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
