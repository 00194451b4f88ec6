/* Prompts of the composition score, its judge on rendered scenes whose truth is known, and what it says of them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "eval/compose.h"

enum { SIDE_PX = 48 };

static compose_options_t options(int64_t n) {
    return (compose_options_t){.n = n,
                               .seed = 7,
                               .rules = {.max_objects = SCENE_MAX_OBJECTS},
                               .forms = {true, true},
                               .steps = 3,
                               .guidance = 2};
}

static void plan(compose_t *c, int64_t n) {
    compose_options_t o = options(n);
    assert_int_equal(compose_plan(c, &o), LENS_OK);
    c->checkpoint = strdup("a \"run\"<&>/checkpoints/latest");
    c->device = strdup("cpu");
}

static void render(compose_picture_t *p, const scene_t *s) {
    image_free(&p->picture);
    assert_int_equal(image_new(&p->picture, SIDE_PX, SIDE_PX), LENS_OK);
    scene_render(s, SIDE_PX, p->picture.rgb);
}

/* What a detector without fault sees. */
static detection_t truth(const scene_t *s) {
    detection_t seen = {.n = s->n_objects};
    for (int i = 0; i < s->n_objects; i++) {
        const scene_object_t *o = &s->objects[i];
        const scene_group_t *g = &s->groups[o->group];
        seen.objects[i] =
            (detected_t){.shape = (int)g->shape, .colour = (int)g->colour, .x = o->x, .y = o->y, .box = o->box};
    }
    return seen;
}

/* Both forms are about the same scene, in the words of its captions; fewer prompts are the beginning of more. */
static void test_prompts(void **state) {
    (void)state;
    compose_t few, more;
    plan(&few, 3);
    plan(&more, 5);
    for (int64_t i = 0; i < few.n; i++) {
        const compose_picture_t *a = &few.pictures[COMPOSE_SHORT][i], *b = &few.pictures[COMPOSE_LONG][i];
        assert_int_equal(a->facts.task, i % COMPOSE_N_TASKS);
        assert_memory_equal(&a->facts, &b->facts, sizeof a->facts);
        assert_string_equal(a->prompt, more.pictures[COMPOSE_SHORT][i].prompt);
        assert_string_equal(b->prompt, more.pictures[COMPOSE_LONG][i].prompt);
        for (int t = 0; t < a->facts.n_things; t++) {
            assert_non_null(strstr(a->prompt, scene_shape_word(a->facts.things[t].shape)));
            assert_non_null(strstr(a->prompt, scene_colour_word(a->facts.things[t].colour)));
            assert_non_null(strstr(b->prompt, scene_shape_word(a->facts.things[t].shape)));
            assert_non_null(strstr(b->prompt, scene_colour_word(a->facts.things[t].colour)));
        }
        assert_true(strlen(b->prompt) > 2 * strlen(a->prompt));
        /* Out of reach of `lens scenes --seed`. */
        assert_true(a->scene.seed > 1000000000000000);
    }
    compose_free(&few);
    compose_free(&more);
}

/* Pictures of the prompts' own scenes are right, those of others are not, but where they happen to show what is asked:
 * the judge never contradicts the truth, and knows nearly all of it. */
static void test_judge(void **state) {
    (void)state;
    compose_t c;
    int n_unknown = 0, n_right = 0, n_wrong = 0;
    plan(&c, 4);
    for (int64_t i = 0; i < c.n; i++) {
        render(&c.pictures[COMPOSE_SHORT][i], &c.pictures[COMPOSE_SHORT][i].scene);
        render(&c.pictures[COMPOSE_LONG][i], &c.pictures[COMPOSE_LONG][(i + COMPOSE_N_TASKS) % c.n].scene);
    }
    assert_int_equal(compose_judge_all(&c), LENS_OK);
    for (int64_t i = 0; i < c.n; i++)
        for (int f = 0; f < COMPOSE_N_FORMS; f++) {
            const compose_picture_t *p = &c.pictures[f][i];
            const detection_t seen = truth(&c.pictures[f][f == COMPOSE_LONG ? (i + COMPOSE_N_TASKS) % c.n : i].scene);
            compose_verdict wanted = compose_judge(&p->facts, &seen);
            if (f == COMPOSE_SHORT) assert_int_equal(wanted, COMPOSE_YES);
            n_unknown += p->verdict == COMPOSE_UNKNOWN;
            n_right += p->verdict == wanted;
            n_wrong += p->verdict != wanted && p->verdict != COMPOSE_UNKNOWN;
        }
    print_message("%d right, %d unknown, %d wrong\n", n_right, n_unknown, n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(n_unknown <= 2);
    interval_t own = compose_score(&c, COMPOSE_SHORT, COMPOSE_OVERALL),
               other = compose_score(&c, COMPOSE_LONG, COMPOSE_OVERALL);
    assert_true(own.low > 0.75 && other.high < 0.5);
    compose_free(&c);
}

static detected_t object(int shape, int colour, double x) {
    return (detected_t){.shape = shape, .colour = colour, .x = x, .y = 0.5, .box = {x - 0.1, 0.4, x + 0.1, 0.6}};
}

/* GenEval's rules on detections written by hand. */
static void test_rules(void **state) {
    (void)state;
    const scene_colour RED = SCENE_COLOUR_RED, BLUE = SCENE_COLOUR_BLUE;
    const scene_shape CIRCLE = SCENE_SHAPE_CIRCLE, STAR = SCENE_SHAPE_STAR;
    const detected_t red_circle = object((int)CIRCLE, (int)RED, 0.2), blue_star = object((int)STAR, (int)BLUE, 0.8);
    detection_t both = {.n = 2, .objects = {red_circle, blue_star}};
    detection_t blurred = {.n = 2, .objects = {object((int)CIRCLE, DETECT_UNKNOWN, 0.2), blue_star}};
    const compose_thing_t circle = {CIRCLE, RED}, star = {STAR, BLUE}, blue_circle = {CIRCLE, BLUE},
                          red_star = {STAR, RED}, heart = {SCENE_SHAPE_HEART, RED};
    const struct {
        compose_facts_t facts;
        compose_verdict of_both, of_blurred;
    } cases[] = {
        /* More objects than asked for do no harm, but where they are counted. */
        {{COMPOSE_SINGLE, 1, {circle}, 1, 0}, COMPOSE_YES, COMPOSE_YES},
        {{COMPOSE_COUNTING, 1, {circle}, 1, 0}, COMPOSE_YES, COMPOSE_YES},
        {{COMPOSE_COUNTING, 1, {circle}, 2, 0}, COMPOSE_NO, COMPOSE_NO},
        /* A colour counts where it is asked for, and unknown is not yes. */
        {{COMPOSE_SINGLE, 1, {blue_circle}, 1, 0}, COMPOSE_YES, COMPOSE_YES},
        {{COMPOSE_COLOURS, 1, {circle}, 1, 0}, COMPOSE_YES, COMPOSE_UNKNOWN},
        {{COMPOSE_COLOURS, 1, {blue_circle}, 1, 0}, COMPOSE_NO, COMPOSE_UNKNOWN},
        {{COMPOSE_TWO, 2, {circle, star}, 1, 0}, COMPOSE_YES, COMPOSE_YES},
        {{COMPOSE_TWO, 2, {circle, heart}, 1, 0}, COMPOSE_NO, COMPOSE_NO},
        {{COMPOSE_ATTRIBUTION, 2, {circle, star}, 1, 0}, COMPOSE_YES, COMPOSE_UNKNOWN},
        {{COMPOSE_ATTRIBUTION, 2, {blue_circle, red_star}, 1, 0}, COMPOSE_NO, COMPOSE_NO},
        {{COMPOSE_POSITION, 2, {circle, star}, 1, SCENE_RELATION_LEFT_OF}, COMPOSE_YES, COMPOSE_YES},
        {{COMPOSE_POSITION, 2, {circle, star}, 1, SCENE_RELATION_RIGHT_OF}, COMPOSE_NO, COMPOSE_NO},
        {{COMPOSE_POSITION, 2, {circle, star}, 1, SCENE_RELATION_ABOVE}, COMPOSE_NO, COMPOSE_NO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        compose_verdict a = compose_judge(&cases[i].facts, &both), b = compose_judge(&cases[i].facts, &blurred);
        if (a != cases[i].of_both || b != cases[i].of_blurred)
            fail_msg("case %zu: %s, %s", i, compose_verdict_word(a), compose_verdict_word(b));
    }
}

/* The JSON has what launch/ablation.sh takes from it, and the folder what the header promises. */
static void test_words(void **state) {
    (void)state;
    compose_t c;
    str_t text = {0};
    char dir[] = "/tmp/test_compose.XXXXXX";
    assert_non_null(mkdtemp(dir));
    plan(&c, 13);
    for (int f = 0; f < COMPOSE_N_FORMS; f++)
        for (int64_t i = 0; i < c.n; i++) {
            compose_picture_t *p = &c.pictures[f][i];
            compose_count_t *count = &c.counts[f][p->facts.task];
            render(p, &p->scene);
            p->seen = truth(&p->scene);
            p->verdict = (compose_verdict)(i % 3);
            count->n++;
            count->right += p->verdict == COMPOSE_YES;
            count->unknown += p->verdict == COMPOSE_UNKNOWN;
        }
    compose_json(&c, &text);
    json_t *root = json_loads(str_text(&text), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    const char *checkpoint, *version;
    int n, right, unknown, n_all;
    double low, high;
    assert_int_equal(json_unpack(root, "{s:s, s:{s:s}, s:{s:{s:{s:i, s:i, s:i, s:f, s:f}}, s:{s:i}}}", "checkpoint",
                                 &checkpoint, "detector", "version", &version, "long", "tasks", "color_attr", "n", &n,
                                 "right", &right, "unknown", &unknown, "low", &low, "high", &high, "overall", "n",
                                 &n_all),
                     0);
    assert_string_equal(checkpoint, c.checkpoint);
    assert_true(n == 13 && n_all == 78 && right == c.counts[COMPOSE_LONG][COMPOSE_ATTRIBUTION].right);
    assert_true(unknown == c.counts[COMPOSE_LONG][COMPOSE_ATTRIBUTION].unknown && low < high);
    json_decref(root);

    str_clear(&text);
    assert_int_equal(compose_page(&c, &text), LENS_OK);
    assert_non_null(strstr(str_text(&text), "a &quot;run&quot;&lt;&amp;&gt;/checkpoints"));
    int n_images = 0;
    for (const char *at = str_text(&text); (at = strstr(at, "<img ")); at++) n_images++;
    assert_int_equal(n_images, 2 * 78);
    assert_int_equal(compose_write(&c, dir), LENS_OK);
    static const char *const NAMES[] = {"index.html", "scores.json", "pictures.jsonl"};
    for (int i = 0; i < 3; i++) {
        str_clear(&text);
        str_addf(&text, "%s/%s", dir, NAMES[i]);
        assert_true(file_exists(text.s));
    }
    assert_int_equal(dir_remove(dir), LENS_OK);
    str_free(&text);
    compose_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
