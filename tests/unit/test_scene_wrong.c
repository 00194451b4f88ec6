/* Scenes told wrongly: how often, that what is told agrees with itself, and what a rate has to do with another. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "data/scene_wrong.h"

enum { N_SCENES = 4000, SEED = 11 };

static void make(scene_t *truth, scene_t *told, uint64_t i, double rate) {
    scene_make(truth, SEED, i, (scene_rules_t){.max_objects = SCENE_MAX_OBJECTS});
    *told = *truth;
    (void)scene_make_wrong(told, rate);
}

static void test_nothing_wrong(void **state) {
    (void)state;
    for (uint64_t i = 0; i < N_SCENES; i++) {
        scene_t truth, told;
        make(&truth, &told, i, 0);
        assert_memory_equal(&truth, &told, sizeof truth);
    }
}

/* Kinds of facts that can be compared one by one. */
enum { GROUND, GROUND_KIND, SHAPE, COLOUR, SIZE, TEXTURE, PLACE, COUNT, N_KINDS };

static void compare(const scene_t *truth, const scene_t *told, int *n, int *n_wrong) {
    n[GROUND]++;
    n[GROUND_KIND]++;
    n_wrong[GROUND] += truth->background.colour != told->background.colour;
    n_wrong[GROUND_KIND] += truth->background.kind != told->background.kind;
    for (int g = 0; g < truth->n_groups; g++) {
        const scene_group_t *a = &truth->groups[g], *b = &told->groups[g];
        bool carried = a->inside >= 0; /* follows the place of another */
        const bool differ[N_KINDS] = {[SHAPE] = a->shape != b->shape,
                                      [COLOUR] = a->colour != b->colour,
                                      [SIZE] = a->size != b->size,
                                      [TEXTURE] = a->texture != b->texture,
                                      [PLACE] = strcmp(scene_place_word(&a->box), scene_place_word(&b->box)) != 0,
                                      [COUNT] = a->count != b->count};
        for (int k = SHAPE; k < N_KINDS; k++) {
            /* One group can have another count in any case where it is the only one. */
            if ((k == PLACE && carried) || (k == COUNT && truth->n_groups > 1)) continue;
            n[k]++;
            n_wrong[k] += differ[k];
        }
    }
}

/* No lie tells of more than a set has. */
static void test_few_objects(void **state) {
    (void)state;
    for (uint64_t i = 0; i < N_SCENES; i++) {
        scene_t s;
        scene_make(&s, SEED, i, (scene_rules_t){.max_objects = 2});
        (void)scene_make_wrong(&s, 1);
        int n = 0;
        for (int g = 0; g < s.n_groups; g++) n += s.groups[g].count;
        assert_true(n <= 2 && n == s.n_objects);
    }
}

/* Nor of what a simple set never has. */
static void test_simple(void **state) {
    (void)state;
    for (uint64_t i = 0; i < N_SCENES; i++) {
        scene_t s;
        scene_make(&s, SEED, i, (scene_rules_t){.max_objects = 2, .simple = true});
        int n_facts = 1; /* colour of the background; of a group shape, colour, size, place, layout, count */
        for (int g = 0; g < s.n_groups; g++) n_facts += 4 + (s.groups[g].count > 1) + (s.n_groups == 1);
        scene_wrong_t counts = scene_make_wrong(&s, 1);
        assert_true(counts.n_facts == n_facts && counts.n_wrong == n_facts);
        assert_true(s.background.kind == SCENE_GROUND_KIND_PLAIN);
        for (int g = 0; g < s.n_groups; g++) assert_true(s.groups[g].texture == SCENE_TEXTURE_SOLID);
    }
}

/* Every kind of fact at the rate asked for: within four deviations of the binomial. */
static void test_rates(void **state) {
    (void)state;
    const double rates[] = {0.1, 0.25, 0.5, 1};
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        int n[N_KINDS] = {0}, n_wrong[N_KINDS] = {0}, n_all = 0, n_all_wrong = 0;
        for (uint64_t i = 0; i < N_SCENES; i++) {
            scene_t truth, told;
            scene_make(&truth, SEED, i, (scene_rules_t){.max_objects = SCENE_MAX_OBJECTS});
            told = truth;
            scene_wrong_t counts = scene_make_wrong(&told, rates[r]);
            n_all += counts.n_facts;
            n_all_wrong += counts.n_wrong;
            compare(&truth, &told, n, n_wrong);
        }
        double p = rates[r];
        assert_true(fabs(n_all_wrong - p * n_all) <= 4 * sqrt(p * (1 - p) * n_all));
        for (int k = 0; k < N_KINDS; k++) {
            assert_true(n[k] > 1000);
            assert_true(fabs(n_wrong[k] - p * n[k]) <= 4 * sqrt(p * (1 - p) * n[k]));
        }
    }
}

static int column_of(const scene_group_t *g) {
    const char *place = scene_place_word(&g->box);
    return strstr(place, "left") ? 0 : strstr(place, "right") ? 2 : 1;
}

static int row_of(const scene_group_t *g) {
    const char *place = scene_place_word(&g->box);
    return strstr(place, "top") ? 0 : strstr(place, "bottom") ? 2 : 1;
}

/* No relation contradicts the places, and each pair has one. */
static void check_relations(const scene_t *s) {
    bool pair[SCENE_MAX_OBJECTS][SCENE_MAX_OBJECTS] = {{0}};
    assert_in_range(s->n_facts, 0, SCENE_MAX_RELATIONS);
    for (int k = 0; k < s->n_facts; k++) {
        scene_fact_t f = s->facts[k];
        const scene_group_t *a = &s->groups[f.a], *b = &s->groups[f.b];
        if (f.relation == SCENE_RELATION_LEFT_OF) assert_true(column_of(a) <= column_of(b));
        if (f.relation == SCENE_RELATION_RIGHT_OF) assert_true(column_of(a) >= column_of(b));
        if (f.relation == SCENE_RELATION_ABOVE) assert_true(row_of(a) <= row_of(b));
        if (f.relation == SCENE_RELATION_BELOW) assert_true(row_of(a) >= row_of(b));
        if (f.relation == SCENE_RELATION_INSIDE) assert_int_equal(a->inside, f.b);
        pair[f.a][f.b] = true;
    }
    for (int a = 0; a < s->n_groups; a++)
        for (int b = 0; b < a; b++) assert_true(pair[a][b]);
}

static void check_group(const scene_t *s, int i) {
    const scene_group_t *g = &s->groups[i];
    for (int j = 0; j < i; j++) assert_true(g->shape != s->groups[j].shape || g->colour != s->groups[j].colour);
    assert_true((g->accent == g->colour) == (g->texture == SCENE_TEXTURE_SOLID));
    assert_true((g->count == 1) == (g->layout == SCENE_LAYOUT_SINGLE));
    assert_true(g->layout != SCENE_LAYOUT_CORNERS_3 || g->count == 3);
    assert_true(g->layout != SCENE_LAYOUT_CORNERS_4 || g->count == 4);
}

static void test_agrees_with_itself(void **state) {
    (void)state;
    str_t text = {0};
    for (int r = 1; r <= 4; r++)
        for (uint64_t i = 0; i < N_SCENES; i++) {
            scene_t truth, told;
            make(&truth, &told, i, r / 4.0);
            int total = 0;
            for (int g = 0; g < told.n_groups; g++) {
                check_group(&told, g);
                total += told.groups[g].count;
            }
            assert_int_equal(told.n_groups, truth.n_groups);
            assert_int_equal(total, told.n_objects);
            assert_in_range(total, 1, SCENE_MAX_OBJECTS);
            bool gradient = told.background.kind == SCENE_GROUND_KIND_GRADIENT;
            assert_int_equal(told.background.colour != told.background.to, gradient);
            check_relations(&told);
            str_clear(&text);
            assert_true(scene_dense(&told, &text) >= 7);
            assert_int_equal(str_status(&text), LENS_OK);
        }
    str_free(&text);
}

/* What is wrong at a tenth is wrong at a half. */
static void test_nested(void **state) {
    (void)state;
    for (uint64_t i = 0; i < N_SCENES; i++) {
        scene_t truth, little, much;
        make(&truth, &little, i, 0.1);
        make(&truth, &much, i, 0.5);
        for (int g = 0; g < truth.n_groups; g++) {
            if (little.groups[g].shape != truth.groups[g].shape)
                assert_int_not_equal(much.groups[g].shape, truth.groups[g].shape);
            if (little.groups[g].size != truth.groups[g].size)
                assert_int_equal(much.groups[g].size, little.groups[g].size);
        }
        if (little.background.colour != truth.background.colour)
            assert_int_equal(much.background.colour, little.background.colour);
    }
}

/* Facts that the two captions state, by hand. */
static void test_facts_said(void **state) {
    (void)state;
    int n_seen = 0;
    for (uint64_t i = 0; i < N_SCENES; i++) {
        scene_t s;
        str_t brief = {0}, dense = {0};
        scene_make(&s, SEED, i, (scene_rules_t){.max_objects = SCENE_MAX_OBJECTS});
        int n_brief = scene_brief(&s, &brief), n_dense = scene_dense(&s, &dense);
        assert_int_equal(str_status(&brief), LENS_OK);
        assert_int_equal(str_status(&dense), LENS_OK);
        if (s.n_groups == 1) {
            const scene_group_t *g = &s.groups[0];
            bool size = strstr(brief.s, scene_size_word(g->size)) != NULL, ground = strstr(brief.s, " on ") != NULL;
            assert_int_equal(n_brief, 3 + size + ground);
            /* count, size, colour, shape, place; texture, accent; layout; background */
            int texture = g->texture == SCENE_TEXTURE_SOLID ? 1 : 2;
            int background = s.background.kind == SCENE_GROUND_KIND_GRADIENT ? 4 : 2;
            assert_int_equal(n_dense, 5 + texture + (g->count > 1) + background);
            n_seen++;
        }
        assert_true(n_brief < n_dense);
        str_free(&brief);
        str_free(&dense);
    }
    assert_true(n_seen > N_SCENES / 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_wrong), cmocka_unit_test(test_few_objects),
        cmocka_unit_test(test_rates),         cmocka_unit_test(test_agrees_with_itself),
        cmocka_unit_test(test_nested),        cmocka_unit_test(test_facts_said),
        cmocka_unit_test(test_simple),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
