#include "eval/detect_check.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rng.h"

/* ---- damage ---- */
static void blur_line(float *line, float *scratch, int n, int stride, const double *taps, int reach) {
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int k = -reach; k <= reach; k++) {
            int at = i + k < 0 ? 0 : i + k >= n ? n - 1 : i + k;
            sum += taps[abs(k)] * line[at * stride];
        }
        scratch[i] = (float)sum;
    }
    for (int i = 0; i < n; i++) line[i * stride] = scratch[i];
}

static void blur(float *plane, float *scratch, int side, double sigma) {
    double taps[33], sum = 0;
    int reach = (int)ceil(3.5 * sigma);
    LENS_ASSERT(reach <= 32, "blur %g", sigma);
    for (int k = 0; k <= reach; k++) {
        taps[k] = exp(-0.5 * k * k / (sigma * sigma));
        sum += k == 0 ? taps[k] : 2 * taps[k];
    }
    for (int k = 0; k <= reach; k++) taps[k] /= sum;
    for (int i = 0; i < side; i++) blur_line(plane + i * side, scratch, side, 1, taps, reach);
    for (int i = 0; i < side; i++) blur_line(plane + i, scratch, side, side, taps, reach);
}

static lens_status damage(uint8_t *rgb, const detect_check_options_t *o, int64_t number) {
    int side = (int)o->size_px, n = side * side;
    float *plane = malloc(sizeof(float) * (size_t)(n + side));
    if (!plane) return lens_fail(LENS_MEMORY, "detector: out of memory for a picture");
    rng_t r = rng_stream(o->seed, 0, (uint64_t)number, RNG_JUDGE);
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < n; i++) plane[i] = rgb[3 * i + k];
        if (o->blur_px > 0) blur(plane, plane + n, side, o->blur_px);
        for (int i = 0; i < n; i++) {
            double v = plane[i] + (o->noise > 0 ? o->noise * rng_normal(&r) : 0);
            rgb[3 * i + k] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
        }
    }
    free(plane);
    return LENS_OK;
}

/* ---- objects ---- */
/* The seen object whose centre is nearest to the drawn one's, and within half its box. */
static int match(const scene_object_t *drawn, const detection_t *seen, const bool *used) {
    int best = -1;
    double nearest = 1e9;
    for (int i = 0; i < seen->n; i++) {
        double dx = fabs(seen->objects[i].x - drawn->x), dy = fabs(seen->objects[i].y - drawn->y);
        double reach = fmax(drawn->box.x1 - drawn->box.x0, drawn->box.y1 - drawn->box.y0) / 2;
        double size = fabs((seen->objects[i].box.x1 - seen->objects[i].box.x0) - (drawn->box.x1 - drawn->box.x0));
        if (used[i] || dx > reach || dy > reach || dx + dy + size >= nearest) continue;
        nearest = dx + dy + size;
        best = i;
    }
    return best;
}

static void rate(detect_rates_t *r, bool unknown, bool right) {
    r->n++;
    r->unknown += unknown;
    r->right += !unknown && right;
    r->wrong += !unknown && !right;
}

static void check_objects(detect_check_t *out, const scene_t *s, const detection_t *seen) {
    bool used[DETECT_MAX_OBJECTS] = {false};
    for (int i = 0; i < s->n_objects; i++) {
        const scene_group_t *g = &s->groups[s->objects[i].group];
        int at = match(&s->objects[i], seen, used);
        int shape = at < 0 ? DETECT_UNKNOWN : seen->objects[at].shape;
        int colour = at < 0 ? DETECT_UNKNOWN : seen->objects[at].colour;
        if (at >= 0) used[at] = true;
        out->confusion[g->shape][shape == DETECT_UNKNOWN ? SCENE_N_SHAPES : shape]++;
        rate(&out->shapes, shape == DETECT_UNKNOWN, shape == (int)g->shape);
        rate(&out->colours, colour == DETECT_UNKNOWN, colour == (int)g->colour);
    }
    for (int i = 0; i < seen->n; i++) out->n_invented += !used[i] && seen->objects[i].shape != DETECT_UNKNOWN;
}

/* ---- tasks ---- */
static bool is_drawn(const compose_facts_t *f, scene_shape shape) {
    return f->things[0].shape == shape || (f->n_things == 2 && f->things[1].shape == shape);
}

/* Changes what the task asks for, so that the scene no longer shows it. */
static void make_false(compose_facts_t *f, rng_t *r) {
    static const scene_relation OPPOSITE[] = {[SCENE_RELATION_LEFT_OF] = SCENE_RELATION_RIGHT_OF,
                                              [SCENE_RELATION_RIGHT_OF] = SCENE_RELATION_LEFT_OF,
                                              [SCENE_RELATION_ABOVE] = SCENE_RELATION_BELOW,
                                              [SCENE_RELATION_BELOW] = SCENE_RELATION_ABOVE};
    compose_thing_t *t = &f->things[rng_below(r, (uint32_t)f->n_things)];
    scene_shape shape;
    switch (f->task) {
    case COMPOSE_COUNTING:
        f->count += f->count == 2 ? 1 : f->count == SCENE_MAX_OBJECTS ? -1 : rng_below(r, 2) ? 1 : -1;
        return;
    case COMPOSE_POSITION:
        f->relation = OPPOSITE[f->relation];
        return;
    case COMPOSE_COLOURS:
        t->colour = (scene_colour)((t->colour + 1 + rng_below(r, SCENE_N_COLOURS - 1)) % SCENE_N_COLOURS);
        return;
    case COMPOSE_ATTRIBUTION: { /* exchanged, as models that mix them up draw */
        scene_colour colour = f->things[0].colour;
        f->things[0].colour = f->things[1].colour;
        f->things[1].colour = colour;
        return;
    }
    default:
        do shape = (scene_shape)rng_below(r, SCENE_N_SHAPES);
        while (is_drawn(f, shape));
        t->shape = shape;
    }
}

lens_status detect_check_scene(detect_check_t *out, const detector_t *d, const detect_check_options_t *o,
                               int64_t number, uint8_t *rgb) {
    compose_facts_t facts;
    scene_t scene;
    detection_t seen;
    compose_task task = (compose_task)(number % COMPOSE_N_TASKS);
    compose_draw(&facts, &scene, task, o->seed, (uint64_t)number / COMPOSE_N_TASKS, o->rules);
    scene_render(&scene, (int32_t)o->size_px, rgb);
    LENS_TRY(damage(rgb, o, number));
    LENS_TRY(detect(&seen, d, rgb, (int32_t)o->size_px, (int32_t)o->size_px));
    check_objects(out, &scene, &seen);
    compose_verdict v = compose_judge(&facts, &seen);
    rate(&out->tasks[task], v == COMPOSE_UNKNOWN, v == COMPOSE_YES);
    rng_t r = rng_stream(o->seed, 1, (uint64_t)number, RNG_JUDGE);
    make_false(&facts, &r);
    v = compose_judge(&facts, &seen);
    rate(&out->tasks[task], v == COMPOSE_UNKNOWN, v == COMPOSE_NO);
    return LENS_OK;
}

static void rates_add(detect_rates_t *to, const detect_rates_t *from) {
    to->n += from->n;
    to->right += from->right;
    to->unknown += from->unknown;
    to->wrong += from->wrong;
}

static void check_add(detect_check_t *to, const detect_check_t *from) {
    for (int t = 0; t < COMPOSE_N_TASKS; t++) rates_add(&to->tasks[t], &from->tasks[t]);
    rates_add(&to->shapes, &from->shapes);
    rates_add(&to->colours, &from->colours);
    for (int i = 0; i < SCENE_N_SHAPES; i++)
        for (int j = 0; j <= SCENE_N_SHAPES; j++) to->confusion[i][j] += from->confusion[i][j];
    to->n_invented += from->n_invented;
}

lens_status detect_check(detect_check_t *out, const detect_check_options_t *o) {
    *out = (detect_check_t){0};
    double begin_s = log_clock_s();
    detector_t *d = NULL;
    size_t picture_bytes = (size_t)(3 * o->size_px * o->size_px);
    uint8_t *rgb = malloc(picture_bytes);
    lens_status st = rgb ? detector_new(&d) : lens_fail(LENS_MEMORY, "detector: out of memory for a picture");
    for (int64_t i = 0; st == LENS_OK && i < o->n; i++) {
        detect_check_t one = {0};
        st = detect_check_scene(&one, d, o, i, rgb);
        check_add(out, &one);
        log_progress("%" PRId64 " of %" PRId64 " scenes", i + 1, o->n);
    }
    log_progress_end();
    free(rgb);
    detector_free(d);
    out->seconds = log_clock_s() - begin_s;
    return st;
}

/* ---- words ---- */
static double percent(int64_t part, int64_t n) {
    return n > 0 ? 100.0 * (double)part / (double)n : 0;
}

static void rates_text(const char *name, const detect_rates_t *r, str_t *out) {
    str_addf(out, "%-14s %7" PRId64 " %8.2f %8.2f %8.2f\n", name, r->n, percent(r->right, r->n),
             percent(r->unknown, r->n), percent(r->wrong, r->n));
}

void detect_check_text(const detect_check_t *c, const detect_check_options_t *o, str_t *out) {
    str_addf(out, "%" PRId64 " scenes of %" PRId64 " px, seed %" PRIu64 ", blur %g px, noise %g; %.2f ms a scene\n\n",
             o->n, o->size_px, o->seed, o->blur_px, o->noise, 1e3 * c->seconds / (double)(o->n > 0 ? o->n : 1));
    str_add(out, "%                    n    right  unknown    wrong\n");
    for (int t = 0; t < COMPOSE_N_TASKS; t++) rates_text(compose_task_word((compose_task)t), &c->tasks[t], out);
    rates_text("shapes", &c->shapes, out);
    rates_text("colors", &c->colours, out);
    str_addf(out, "shapes said where nothing is drawn: %" PRId64 "\n\ndrawn \\ seen", c->n_invented);
    for (int j = 0; j < SCENE_N_SHAPES; j++) str_addf(out, " %5.5s", scene_shape_word((scene_shape)j));
    str_add(out, "     ?\n");
    for (int i = 0; i < SCENE_N_SHAPES; i++) {
        str_addf(out, "%-12s", scene_shape_word((scene_shape)i));
        for (int j = 0; j <= SCENE_N_SHAPES; j++) str_addf(out, " %5" PRId64, c->confusion[i][j]);
        str_add_char(out, '\n');
    }
}

static void rates_json(const char *name, const detect_rates_t *r, str_t *out) {
    str_addf(out,
             "\"%s\": {\"n\": %" PRId64 ", \"right\": %" PRId64 ", \"unknown\": %" PRId64 ", \"wrong\": %" PRId64 "}",
             name, r->n, r->right, r->unknown, r->wrong);
}

void detect_check_json(const detect_check_t *c, const detect_check_options_t *o, str_t *out) {
    str_addf(out,
             "{\"n\": %" PRId64 ", \"size_px\": %" PRId64 ", \"seed\": %" PRIu64 ", \"blur_px\": %g, \"noise\": %g",
             o->n, o->size_px, o->seed, o->blur_px, o->noise);
    str_addf(out, ", \"seconds\": %.3f, \"tasks\": {", c->seconds);
    for (int t = 0; t < COMPOSE_N_TASKS; t++) {
        if (t > 0) str_add(out, ", ");
        rates_json(compose_task_word((compose_task)t), &c->tasks[t], out);
    }
    str_add(out, "}, ");
    rates_json("shapes", &c->shapes, out);
    str_add(out, ", ");
    rates_json("colors", &c->colours, out);
    str_addf(out, ", \"invented\": %" PRId64 ", \"confusion\": {", c->n_invented);
    for (int i = 0; i < SCENE_N_SHAPES; i++) {
        str_addf(out, "%s\"%s\": [", i > 0 ? ", " : "", scene_shape_word((scene_shape)i));
        for (int j = 0; j <= SCENE_N_SHAPES; j++) str_addf(out, "%s%" PRId64, j > 0 ? ", " : "", c->confusion[i][j]);
        str_add_char(out, ']');
    }
    str_add(out, "}}\n");
}
