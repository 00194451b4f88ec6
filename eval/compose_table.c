/* The composition score as text and as JSON; contract in eval/compose.h. */
#include <inttypes.h>
#include <string.h>

#include "base/build_info.h"
#include "eval/compose.h"

static compose_count_t count_of(const compose_t *c, compose_form f, int task) {
    if (task < COMPOSE_N_TASKS) return c->counts[f][task];
    compose_count_t all = {0};
    for (int t = 0; t < COMPOSE_N_TASKS; t++) {
        all.n += c->counts[f][t].n;
        all.right += c->counts[f][t].right;
        all.unknown += c->counts[f][t].unknown;
    }
    return all;
}

/* ---- text ---- */
static void row_text(const compose_t *c, compose_form f, int task, str_t *out) {
    compose_count_t n = count_of(c, f, task);
    interval_t s = compose_score(c, f, task);
    str_addf(out, "%-14s %6" PRId64 " %8.1f   %5.1f to %5.1f %8.1f\n", compose_task_word((compose_task)task), n.n,
             100 * s.value, 100 * s.low, 100 * s.high, 100 * (double)n.unknown / (double)n.n);
}

void compose_text(const compose_t *c, str_t *out) {
    const compose_options_t *o = &c->options;
    str_addf(out, "%s (%s weights): %" PRId64 "x%" PRId64 " px, %" PRId64 " steps, guidance %g, seed %" PRIu64 "\n",
             c->checkpoint, c->averaged ? "averaged" : "last", c->width, c->height, o->steps, o->guidance, o->seed);
    for (int f = 0; f < COMPOSE_N_FORMS; f++) {
        if (!c->pictures[f]) continue;
        str_addf(out, "\n%s prompts       n    right %%   95 %% interval  unknown %%\n",
                 compose_form_word((compose_form)f));
        for (int t = 0; t <= COMPOSE_OVERALL; t++) row_text(c, (compose_form)f, t, out);
    }
    str_addf(out, "\n%.1f s to draw, %.1f s to judge, on %s\n", c->draw_s, c->judge_s, c->device);
}

/* ---- JSON ---- */
static void count_json(const compose_t *c, compose_form f, int task, str_t *out) {
    compose_count_t n = count_of(c, f, task);
    interval_t s = compose_score(c, f, task);
    str_addf(out, "{\"n\": %" PRId64 ", \"right\": %" PRId64 ", \"unknown\": %" PRId64, n.n, n.right, n.unknown);
    str_addf(out, ", \"score\": %.6f, \"low\": %.6f, \"high\": %.6f}", s.value, s.low, s.high);
}

static void form_json(const compose_t *c, compose_form f, str_t *out) {
    str_addf(out, ", \"%s\": {\"tasks\": {", compose_form_word(f));
    for (int t = 0; t < COMPOSE_N_TASKS; t++) {
        str_addf(out, "%s\"%s\": ", t > 0 ? ", " : "", compose_task_word((compose_task)t));
        count_json(c, f, t, out);
    }
    str_add(out, "}, \"overall\": ");
    count_json(c, f, COMPOSE_OVERALL, out);
    str_add_char(out, '}');
}

void compose_json(const compose_t *c, str_t *out) {
    const compose_options_t *o = &c->options;
    str_add(out, "{\"checkpoint\": ");
    str_add_json(out, c->checkpoint, strlen(c->checkpoint));
    str_addf(out, ", \"weights\": \"%s\", \"size_px\": [%" PRId64 ", %" PRId64 "]", c->averaged ? "averaged" : "last",
             c->width, c->height);
    str_addf(out,
             ", \"n\": %" PRId64 ", \"seed\": %" PRIu64 ", \"max_objects\": %d, \"simple\": %s, \"steps\": %" PRId64
             ", \"guidance\": %g",
             o->n, o->seed, o->rules.max_objects, o->rules.simple ? "true" : "false", o->steps, o->guidance);
    /* The detector is part of the program, and so has its version. */
    str_addf(out, ", \"detector\": {\"version\": \"%s\", \"commit\": \"%s\"}", build_version(), build_commit());
    for (int f = 0; f < COMPOSE_N_FORMS; f++)
        if (c->pictures[f]) form_json(c, (compose_form)f, out);
    str_add(out, ", \"device\": ");
    str_add_json(out, c->device, strlen(c->device));
    str_addf(out, ", \"draw_s\": %.3f, \"judge_s\": %.3f}\n", c->draw_s, c->judge_s);
}
