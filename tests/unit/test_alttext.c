/* What is left of alt-text as it is found. */
// clang-format off: CMocka needs these first
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "recaption/alttext.h"
#include "recaption/phrase.h"
#include "recaption/words.h"

static void assert_cleans(const char *raw, alttext_kind kind, const char *text) {
    alttext_t a;
    assert_int_equal(alttext_clean(&a, raw), LENS_OK);
    if (a.kind != kind || strcmp(str_text(&a.text), text) != 0)
        fail_msg("'%s' became %d '%s', expected %d '%s'", raw, a.kind, str_text(&a.text), kind, text);
    alttext_free(&a);
}

static void test_says_nothing(void **state) {
    (void)state;
    static const char *const empty[] = {"",
                                        "   ",
                                        "IMG_1234.jpg",
                                        "DSC00042.JPG",
                                        "dsc-0042",
                                        "P1010203",
                                        "image",
                                        "Untitled-2",
                                        "photo (3).jpeg",
                                        "https://example.com/a/b.jpg",
                                        "stock photo",
                                        "Royalty Free Stock Image",
                                        "clip art",
                                        "1024x768",
                                        "a1b2c3d4e5f6.png",
                                        "Screenshot 2021-03-04 at 10.11.12",
                                        "--- | ---",
                                        "\x01\x02",
                                        "\xff\xfe\xff"};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) assert_cleans(empty[i], ALTTEXT_NONE, "");
}

static void test_phrases(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"red apple", "red apple"},
        {"Red apple, free vector", "Red apple"},
        {"Red apple stock photo - 123RF", "Red apple"},
        {"Eiffel Tower at night | Shutterstock", "Eiffel Tower at night"},
        {"jigsaw_blue_01.png", "jigsaw blue"},
        {"two-dogs-on-a-beach.webp", "two dogs on a beach"},
        {"images/garden/WhiteRose.svg", "white rose"},
        {"Photo of a white cat", "a white cat"},
        {"TWO DOGS ON A BEACH", "two dogs on a beach"},
        {"NASA", "NASA"},
        {"A cat &amp; a dog", "A cat & a dog"},
        {"<b>Old</b> windmill, see www.example.com", "Old windmill, see"},
        {"sunset over sea 1920x1080 HD wallpaper", "sunset over sea"},
        {"star (2)", "star"},
        {"  tabs\tand\nlines  ", "tabs and lines"},
        {"#sunset at the #beach", "sunset at the beach"},
        {"Three Red Rectangles And Brown Diamond", "three red rectangles and brown diamond"},
        {"Caf\xc3\xa9 terrace", "Caf\xc3\xa9 terrace"},
        {"bad \xff byte", "bad byte"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) assert_cleans(pairs[i][0], ALTTEXT_PHRASE, pairs[i][1]);
}

static void test_keywords(void **state) {
    (void)state;
    alttext_t a;
    assert_int_equal(alttext_clean(&a, "Apple, red fruit, apple, harvest; autumn"), LENS_OK);
    assert_int_equal(a.kind, ALTTEXT_KEYWORDS);
    assert_int_equal(a.n_keywords, 4);
    assert_string_equal(str_text(&a.keywords[0]), "Apple");
    assert_string_equal(str_text(&a.keywords[1]), "red fruit");
    assert_string_equal(str_text(&a.keywords[3]), "autumn");
    assert_string_equal(str_text(&a.text), "Apple, red fruit, harvest, autumn");
    alttext_free(&a);
    assert_int_equal(alttext_clean(&a, "a man with the red hat"), LENS_OK);
    assert_int_equal(a.n_keywords, 3);
    assert_string_equal(str_text(&a.keywords[0]), "man");
    alttext_free(&a);
}

static void test_long_text_stays_whole(void **state) {
    (void)state;
    assert_cleans("The old mill stands by the river. It was built in 1820 and is open to visitors from May to October "
                  "each year, on all days but Monday.",
                  ALTTEXT_PHRASE, "The old mill stands by the river");
    alttext_t a;
    str_t many = {0};
    for (int i = 0; i < 5000; i++) str_add(&many, "word, and more of it ");
    assert_int_equal(alttext_clean(&a, str_text(&many)), LENS_OK);
    assert_true(words_count(str_text(&a.text)) <= ALTTEXT_WORD_MAX);
    alttext_free(&a);
    str_free(&many);
}

static void test_subjects(void **state) {
    (void)state;
    static const struct {
        const char *alt, *subject;
        bool plural, sentence;
    } cases[] = {
        {"Red apple", "a red apple", false, false},
        {"orange", "an orange", false, false},
        {"old unicorn with wings", "an old unicorn with wings", false, false},
        {"unicorn", "a unicorn", false, false},
        {"Two dogs on a beach", "two dogs on a beach", true, false},
        {"dogs", "dogs", true, false},
        {"bus", "a bus", false, false},
        {"The old bridge", "the old bridge", false, false},
        {"Eiffel Tower at night", "Eiffel Tower at night", false, false},
        {"apple and pear", "apple and pear", true, false},
        {"jigsaw_blue_01.png", "a blue jigsaw", false, false},
        {"man riding a horse", "a man riding a horse", false, false},
        {"The dog is asleep", "The dog is asleep", false, true},
        {"fresh water", "fresh water", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        alttext_t a;
        phrase_subject_t s;
        assert_int_equal(alttext_clean(&a, cases[i].alt), LENS_OK);
        phrase_subject(&s, &a);
        assert_string_equal(str_text(&s.text), cases[i].subject);
        if (s.is_plural != cases[i].plural && !s.is_sentence) fail_msg("%s: plural %d", cases[i].alt, s.is_plural);
        assert_int_equal(s.is_sentence, cases[i].sentence);
        str_free(&s.text);
        alttext_free(&a);
    }
}

/* Any bytes at all give clean text or none. */
static void test_hostile_bytes(void **state) {
    (void)state;
    static const char alphabet[] = "aB1 _-.,;:|/&<>#@()\"'%\xc3\xa9\xff\x01\n";
    rng_t r = rng_stream(1, 0, 0, RNG_TEST);
    for (int round = 0; round < 3000; round++) {
        char raw[64];
        size_t n = rng_below(&r, sizeof raw - 1);
        for (size_t i = 0; i < n; i++) raw[i] = alphabet[rng_below(&r, sizeof alphabet - 1)];
        raw[n] = '\0';
        alttext_t a;
        assert_int_equal(alttext_clean(&a, raw), LENS_OK);
        const char *text = str_text(&a.text);
        assert_int_equal(a.kind == ALTTEXT_NONE, *text == '\0');
        size_t left = strlen(text);
        for (const char *p = text; left;) {
            uint32_t code = 0;
            size_t len = words_utf8(p, left, &code);
            assert_true(len > 0 && code >= 0x20);
            p += len;
            left -= len;
        }
        alttext_free(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_says_nothing), cmocka_unit_test(test_phrases),
        cmocka_unit_test(test_keywords),     cmocka_unit_test(test_long_text_stays_whole),
        cmocka_unit_test(test_subjects),     cmocka_unit_test(test_hostile_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
