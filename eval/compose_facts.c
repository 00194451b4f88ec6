#include "eval/compose_facts.h"

#include <string.h>

#define POSITION_MARGIN 0.1  /* GenEval's, of the boxes' mean side */
#define SCENES_A_PROMPT 4096 /* indices; far more than any task ever needs to find one that suits */

const char *compose_verdict_word(compose_verdict v) {
    static const char *const VERDICTS[] = {"yes", "no", "unknown"};
    return VERDICTS[v];
}

/* ---- what is asked ---- */
static bool says_relation(const scene_t *s) {
    static const char *const WORDS_OF_PLACE[] = {" left of ", " right of ", " above ", " below "};
    str_t text = {0};
    bool says = false;
    scene_brief(s, &text);
    for (int i = 0; i < 4; i++) says |= strstr(str_text(&text), WORDS_OF_PLACE[i]) != NULL;
    str_free(&text);
    return says;
}

static bool suits(const scene_t *s, compose_task task, int count) {
    const scene_group_t *g = s->groups;
    if (task == COMPOSE_COUNTING) return s->n_groups == 1 && g[0].count == count;
    if (task == COMPOSE_SINGLE || task == COMPOSE_COLOURS) return s->n_groups == 1 && g[0].count == 1;
    if (s->n_groups != 2 || g[0].count != 1 || g[1].count != 1 || g[0].shape == g[1].shape) return false;
    if (task == COMPOSE_ATTRIBUTION) return g[0].colour != g[1].colour;
    if (task != COMPOSE_POSITION) return true;
    return s->n_facts == 1 && s->facts[0].relation != SCENE_RELATION_INSIDE && says_relation(s);
}

void compose_draw(compose_facts_t *facts, scene_t *scene, compose_task task, uint64_t seed, uint64_t number,
                  scene_rules_t rules) {
    int count = 2 + (int)(number % (uint64_t)(rules.max_objects - 1));
    uint64_t first = ((uint64_t)task + COMPOSE_N_TASKS * number) * SCENES_A_PROMPT, at = 0;
    do {
        LENS_ASSERT(at < SCENES_A_PROMPT, "no scene suits task %d", (int)task);
        scene_make(scene, seed, first + at++, rules);
    } while (!suits(scene, task, count));
    *facts = (compose_facts_t){.task = task, .n_things = scene->n_groups, .count = scene->groups[0].count};
    for (int i = 0; i < scene->n_groups; i++)
        facts->things[i] = (compose_thing_t){scene->groups[i].shape, scene->groups[i].colour};
    if (task == COMPOSE_POSITION) {
        compose_thing_t a = facts->things[scene->facts[0].a], b = facts->things[scene->facts[0].b];
        facts->things[0] = a;
        facts->things[1] = b;
        facts->relation = scene->facts[0].relation;
    }
}

/* ---- what is there ---- */
static bool asks_colour(compose_task t) {
    return t == COMPOSE_COLOURS || t == COMPOSE_ATTRIBUTION;
}

/* Whether the object is the thing: 1 yes, 0 no, -1 perhaps. What has no known shape may be anything, two things that
 * run together among them. */
static int is_thing(const detected_t *o, const compose_thing_t *t, bool with_colour) {
    bool shape_unknown = o->shape == DETECT_UNKNOWN, colour_unknown = with_colour && o->colour == DETECT_UNKNOWN;
    if (!shape_unknown && o->shape != (int)t->shape) return 0;
    if (with_colour && !colour_unknown && o->colour != (int)t->colour) return 0;
    return shape_unknown || colour_unknown ? -1 : 1;
}

static bool relation_holds(const detected_t *a, const detected_t *b, scene_relation r) {
    double width = (a->box.x1 - a->box.x0 + b->box.x1 - b->box.x0) / 2 * POSITION_MARGIN;
    double height = (a->box.y1 - a->box.y0 + b->box.y1 - b->box.y0) / 2 * POSITION_MARGIN;
    switch (r) {
    case SCENE_RELATION_LEFT_OF:
        return b->x - a->x > width;
    case SCENE_RELATION_RIGHT_OF:
        return a->x - b->x > width;
    case SCENE_RELATION_ABOVE:
        return b->y - a->y > height;
    case SCENE_RELATION_BELOW:
        return a->y - b->y > height;
    default:
        return false;
    }
}

static compose_verdict judge_count(const compose_facts_t *f, const detection_t *seen) {
    int n = 0, perhaps = 0;
    for (int i = 0; i < seen->n; i++) {
        int is = is_thing(&seen->objects[i], &f->things[0], false);
        n += is == 1;
        perhaps += is == -1;
    }
    if (n > f->count) return COMPOSE_NO;
    if (perhaps > 0 || seen->crowded) return COMPOSE_UNKNOWN; /* what is not known may be one of them or several */
    return n == f->count ? COMPOSE_YES : COMPOSE_NO;
}

static compose_verdict judge_one(const compose_facts_t *f, const detection_t *seen) {
    compose_verdict best = seen->crowded ? COMPOSE_UNKNOWN : COMPOSE_NO;
    for (int i = 0; i < seen->n; i++) {
        int is = is_thing(&seen->objects[i], &f->things[0], asks_colour(f->task));
        if (is == 1) return COMPOSE_YES;
        if (is == -1) best = COMPOSE_UNKNOWN;
    }
    return best;
}

static compose_verdict judge_two(const compose_facts_t *f, const detection_t *seen) {
    compose_verdict best = seen->crowded ? COMPOSE_UNKNOWN : COMPOSE_NO;
    for (int i = 0; i < seen->n; i++)
        for (int j = 0; j < seen->n; j++) {
            const detected_t *a = &seen->objects[i], *b = &seen->objects[j];
            int is_a = is_thing(a, &f->things[0], asks_colour(f->task));
            int is_b = is_thing(b, &f->things[1], asks_colour(f->task));
            if (is_a == 0 || is_b == 0 || (i == j && a->shape != DETECT_UNKNOWN)) continue;
            if (i != j && f->task == COMPOSE_POSITION && !relation_holds(a, b, f->relation)) continue;
            if (is_a == 1 && is_b == 1) return COMPOSE_YES;
            best = COMPOSE_UNKNOWN;
        }
    return best;
}

compose_verdict compose_judge(const compose_facts_t *facts, const detection_t *seen) {
    if (facts->task == COMPOSE_COUNTING) return judge_count(facts, seen);
    return facts->n_things == 1 ? judge_one(facts, seen) : judge_two(facts, seen);
}

void compose_describe(const detection_t *seen, str_t *out) {
    for (int i = 0; i < seen->n; i++) {
        const detected_t *o = &seen->objects[i];
        if (i > 0) str_add(out, ", ");
        if (o->shape == DETECT_UNKNOWN && o->colour == DETECT_UNKNOWN)
            str_add(out, "unknown");
        else
            str_addf(out, "%s %s", o->colour == DETECT_UNKNOWN ? "unknown" : scene_colour_word((scene_colour)o->colour),
                     o->shape == DETECT_UNKNOWN ? "unknown" : scene_shape_word((scene_shape)o->shape));
    }
    if (seen->n == 0) str_add(out, "nothing");
    if (seen->crowded) str_add(out, ", and more");
}
