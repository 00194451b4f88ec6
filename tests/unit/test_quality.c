/* The quality gate, rule by rule, and the set of captions. */
// clang-format off: CMocka needs these first
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
// clang-format on

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "recaption/caption_set.h"
#include "recaption/quality.h"

static quality_t check(const char *text) {
    quality_t q;
    quality_options_t few = QUALITY_DEFAULTS;
    few.min_words = 3;
    few.max_words = 30;
    quality_input_t in = {.text = text};
    assert_int_equal(quality_check(&q, &few, &in), LENS_OK);
    return q;
}

static void assert_reason(const char *text, quality_reason reason) {
    quality_t q = check(text);
    if (q.reason != reason) fail_msg("'%s' is %s, expected %s", text, quality_name(q.reason), quality_name(reason));
    quality_free(&q);
}

/* Accepted, by what is left of it. */
static void assert_cleaned(const char *text, const char *left) {
    quality_t q = check(text);
    assert_int_equal(q.reason, QUALITY_ACCEPTED);
    assert_string_equal(str_text(&q.text), left);
    quality_free(&q);
}

static void test_rules(void **state) {
    (void)state;
    assert_reason("A red circle on white.", QUALITY_ACCEPTED);
    assert_reason("", QUALITY_EMPTY);
    assert_reason("  \n ", QUALITY_EMPTY);
    assert_reason("Too short.", QUALITY_SHORT);
    assert_reason("A broken \xff byte here.", QUALITY_ENCODING);
    assert_reason("A \x07 bell rings here.", QUALITY_ENCODING);
    assert_reason("I'm sorry, but I can't help with that.", QUALITY_REFUSED);
    assert_reason("A dog on a beach and", QUALITY_UNFINISHED);
    assert_reason("A sign that reads \"Stop!\"", QUALITY_ACCEPTED);
    assert_reason("The imagery of a dream fills it.", QUALITY_ACCEPTED);
    assert_reason("Caf\xc3\xa9 tables in the sun.", QUALITY_ACCEPTED);
}

static void test_cleaning(void **state) {
    (void)state;
    assert_cleaned("Two paragraphs are one.\n\nAfter cleaning.", "Two paragraphs are one. After cleaning.");
    assert_cleaned("The image shows a red circle.", "A red circle.");
    assert_cleaned("Sure! Here is a caption: In this picture, a dog runs.", "A dog runs.");
    assert_cleaned("The image shows \"the end\" in red.", "\"the end\" in red.");
    assert_cleaned("A **red** sign says \"**SALE** - 50%\" here.", "A red sign says \"**SALE** - 50%\" here.");
    assert_cleaned("- a dog\n- two cats\n- a hat.", "A dog, two cats, a hat.");
    assert_cleaned("\"A dog runs on grass.\"", "A dog runs on grass.");
    assert_cleaned("A dog runs on grass. There are no people in the scene.", "A dog runs on grass.");
    assert_cleaned("A grey wall in the sun with no text.", "A grey wall in the sun.");
    assert_cleaned("The image shows \xc3\xa9toiles in a sky.", "\xc3\x89toiles in a sky.");
    assert_cleaned("A note says \"There is no text here.\" in ink.", "A note says \"There is no text here.\" in ink.");
}

/* Talk goes, what it tells stays. */
static void test_talk(void **state) {
    (void)state;
    assert_cleaned("This is an aerial photograph of a brown delta.", "An aerial photograph of a brown delta.");
    assert_cleaned("This is a stunning photograph that shows a brown delta.", "A brown delta.");
    assert_cleaned("The illustration you shared beautifully captures a fox in fog.", "A fox in fog.");
    assert_cleaned("The photo is an old one of a fox.", "An old one of a fox.");
    assert_cleaned("Seen in this picture are two red foxes.", "Two red foxes.");
    assert_cleaned("At the center of the image, we see a red fox.", "A red fox.");
    assert_cleaned("A fox digs in snow. Overall, the image evokes a sense of calm.", "A fox digs in snow.");
    assert_cleaned("A fox digs in snow. The overall mood is calm. Let me know if more is needed!",
                   "A fox digs in snow.");
    assert_cleaned("A fox digs in snow. Overall the picture is dark, with strong contrast.",
                   "A fox digs in snow. Overall the picture is dark, with strong contrast.");
    assert_cleaned("An illustration of a fox in a hat.", "An illustration of a fox in a hat.");
    assert_cleaned("The image of a saint hangs over an altar.", "The image of a saint hangs over an altar.");
    assert_reason("The image shows.", QUALITY_BOILERPLATE);
}

/* The first person and the request refuse; people in a picture may fail at what they like. */
static void test_refusals(void **state) {
    (void)state;
    assert_reason("I really am not able to make this out.", QUALITY_REFUSED);
    assert_reason("The assistant is unable to describe people.", QUALITY_REFUSED);
    assert_reason("The file that you sent could not be opened.", QUALITY_REFUSED);
    assert_reason("Kindly upload it again.", QUALITY_REFUSED);
    assert_reason("Ich kann dieses Bild leider nicht sehen.", QUALITY_REFUSED);
    assert_reason("Je ne peux pas voir la photo.", QUALITY_REFUSED);
    assert_reason("No puedo ver la foto que mencionas.", QUALITY_REFUSED);
    assert_reason("\xe6\x8a\xb1\xe6\xad\x89\xef\xbc\x8c\xe6\x88\x91\xe6\x97\xa0\xe6\xb3\x95\xe6\x9f\xa5\xe7\x9c\x8b\xe3"
                  "\x80\x82",
                  QUALITY_REFUSED);
    assert_reason("A model declines a glass of wine.", QUALITY_ACCEPTED);
    assert_reason("We cannot see who holds the rope.", QUALITY_ACCEPTED);
    assert_reason("A sign says \"I cannot help you\" in red.", QUALITY_ACCEPTED);
    assert_reason("A torn photo. Its owner cannot come.", QUALITY_ACCEPTED);
    assert_reason("A sorry row of tents stands in mud.", QUALITY_ACCEPTED);
}

static void test_values(void **state) {
    (void)state;
    quality_t q = check("Two words");
    assert_int_equal(q.reason, QUALITY_SHORT);
    assert_true(q.fired == (1u << QUALITY_UNFINISHED | 1u << QUALITY_SHORT));
    assert_int_equal(q.n_words, 2);
    assert_true(q.values[QUALITY_SHORT] == 2);
    quality_free(&q);
    q = check(NULL);
    assert_int_equal(q.reason, QUALITY_EMPTY);
    quality_free(&q);
}

static void test_lengths(void **state) {
    (void)state;
    str_t text = {0};
    for (int i = 0; i < 60; i++) str_addf(&text, "%sword%c%c ", i % 4 ? "" : "the ", 'a' + i % 26, 'a' + i / 26);
    str_add(&text, "ends.");
    assert_reason(str_text(&text), QUALITY_LONG);
    while (text.len <= 70000) str_add(&text, " and on");
    assert_reason(str_text(&text), QUALITY_LONG);
    str_free(&text);
}

static void test_truncated(void **state) {
    (void)state;
    quality_options_t o = QUALITY_DEFAULTS;
    o.min_words = 3;
    quality_input_t in = {.text = "A dog runs on grass. Behind it a", .truncated = true};
    quality_t q;
    assert_int_equal(quality_check(&q, &o, &in), LENS_OK);
    assert_int_equal(q.reason, QUALITY_TRUNCATED);
    quality_free(&q);
    o.rules[QUALITY_TRUNCATED].action = QUALITY_STRIP;
    assert_int_equal(quality_check(&q, &o, &in), LENS_OK);
    assert_int_equal(q.reason, QUALITY_ACCEPTED);
    assert_string_equal(str_text(&q.text), "A dog runs on grass.");
    quality_t less;
    o.min_words = 6;
    assert_int_equal(quality_check(&less, &o, &in), LENS_OK);
    assert_int_equal(less.reason, QUALITY_SHORT);
    assert_true(less.value == 5);
    quality_free(&less);
    str_t json = {0};
    quality_add_json(&json, &q);
    assert_string_equal(str_text(&json), ",\"stripped\":[\"truncated\"],\"values\":{\"truncated\":1}");
    str_free(&json);
    quality_free(&q);
}

/* ---- configuration ---- */

static const char *const yaml_path = "/tmp/lens_test_quality.yaml";

static lens_status load(quality_options_t *o, const char *yaml) {
    assert_int_equal(file_write(yaml_path, yaml, strlen(yaml)), LENS_OK);
    lens_status st = quality_options_load(o, yaml_path);
    remove(yaml_path);
    return st;
}

static void assert_same(const quality_options_t *a, const quality_options_t *b) {
    str_t one = {0}, other = {0};
    assert_int_equal(quality_options_write(&one, a), LENS_OK);
    assert_int_equal(quality_options_write(&other, b), LENS_OK);
    assert_string_equal(str_text(&one), str_text(&other));
    str_free(&one);
    str_free(&other);
}

static lens_status read_record(quality_t *q, const char *text) {
    *q = (quality_t){0};
    json_t *record = json_loads(text, 0, NULL);
    assert_non_null(record);
    lens_status st = quality_read_json(q, record);
    json_decref(record);
    return st;
}

/* What a record holds comes back; what names no rule is refused. */
static void test_records(void **state) {
    (void)state;
    quality_t q;
    str_t json = {0};
    static const char members[] =
        ",\"flags\":[\"names\"],\"stripped\":[\"markup\"],\"values\":{\"markup\":2,\"names\":0.875}";
    char text[256];
    snprintf(text, sizeof text, "{\"words\":3%s}", members);
    assert_int_equal(read_record(&q, text), LENS_OK);
    assert_true(q.fired == (1u << QUALITY_MARKUP | 1u << QUALITY_NAMES) && q.stripped == 1u << QUALITY_MARKUP);
    quality_add_json(&json, &q);
    assert_string_equal(str_text(&json), members);
    str_free(&json);
    static const char *const wrong[] = {
        "{\"values\":[1]}",          "{\"values\":{\"none\":1}}", "{\"values\":{\"loop\":\"1\"}}",
        "{\"stripped\":[\"loop\"]}", "{\"stripped\":[1]}",        "{\"stripped\":{}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(read_record(&q, wrong[i]), LENS_FORMAT);
}

static void test_options(void **state) {
    (void)state;
    quality_options_t o = QUALITY_DEFAULTS, same = QUALITY_DEFAULTS;
    assert_int_equal(
        load(&o, "caption-language: de\nloop:\n  limit: 0.5\nabsent:\n  action: reject\nnames:\n  action: off\n"),
        LENS_OK);
    assert_string_equal(o.language, "de");
    assert_true(o.rules[QUALITY_LOOP].limit == 0.5);
    assert_int_equal(o.rules[QUALITY_LOOP].action, QUALITY_REJECT);
    assert_int_equal(o.rules[QUALITY_ABSENT].action, QUALITY_REJECT);
    assert_int_equal(o.rules[QUALITY_NAMES].action, QUALITY_OFF);
    str_t yaml = {0};
    assert_int_equal(quality_options_write(&yaml, &o), LENS_OK);
    assert_int_equal(load(&same, str_text(&yaml)), LENS_OK);
    assert_same(&o, &same);
    str_free(&yaml);
    assert_int_equal(load(&o, "lop:\n  limit: 1\n"), LENS_ARGUMENT);
    assert_int_equal(load(&o, "loop:\n  action: strip\n"), LENS_ARGUMENT);
    assert_int_equal(load(&o, "short:\n  limit: 3\n"), LENS_ARGUMENT);
    assert_int_equal(load(&o, "picture:\n  action: off\n"), LENS_ARGUMENT);
    assert_int_equal(load(&o, "caption-language: klingon\n"), LENS_ARGUMENT);
    assert_same(&o, &same);
}

static void test_caption_set(void **state) {
    (void)state;
    caption_set_t s = {0};
    assert_int_equal(caption_set_find(&s, caption_hash("anything")), -1);
    char text[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "caption number %d of the set", i);
        assert_int_equal(caption_set_find(&s, caption_hash(text)), -1);
        assert_int_equal(caption_set_add(&s, caption_hash(text), i), LENS_OK);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "Caption  NUMBER %d of the set ", i);
        assert_int_equal(caption_set_find(&s, caption_hash(text)), i);
    }
    assert_int_equal(caption_set_add(&s, caption_hash("caption number 7 of the set"), 99), LENS_OK);
    assert_int_equal(caption_set_find(&s, caption_hash("caption number 7 of the set")), 7);
    assert_int_equal(caption_set_find(&s, caption_hash("captionnumber 7 of the set")), -1);
    caption_set_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),       cmocka_unit_test(test_talk),     cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_values),      cmocka_unit_test(test_cleaning), cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_truncated),   cmocka_unit_test(test_options),  cmocka_unit_test(test_records),
        cmocka_unit_test(test_caption_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
