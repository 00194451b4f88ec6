/* The ablation's scores as text and as JSON; contract in eval/ablation.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/ablation.h"

/* "62.3 [58.1, 66.4]" in percent. */
static void add_cell(str_t *out, interval_t v) {
    char text[64];
    int n = isfinite(v.low) ? snprintf(text, sizeof text, "%.1f [%.1f, %.1f]", 100 * v.value, 100 * v.low, 100 * v.high)
                            : snprintf(text, sizeof text, "%.1f", 100 * v.value);
    str_addf(out, " %*s", n > 20 ? n : 20, text);
}

static void add_head(str_t *out, const char *first) {
    str_addf(out, "%-22s %5s", first, "seeds");
    for (int t = 0; t <= COMPOSE_OVERALL; t++) str_addf(out, " %20s", compose_task_title((compose_task)t));
    str_add_char(out, '\n');
}

void ablation_text(const ablation_t *a, str_t *out) {
    const ablation_arm_t *detailed = ablation_find(a, "detailed");
    char name[64];
    str_add(
        out,
        "Right pictures in %, at the end of training; 95 % intervals: over seeds (Student), of one seed over prompts "
        "(Wilson)\n\n");
    add_head(out, "arm, prompts");
    for (int i = 0; i < a->n_arms; i++)
        for (int f = 0; f < COMPOSE_N_FORMS; f++) {
            const ablation_arm_t *arm = &a->arms[i];
            snprintf(name, sizeof name, "%.40s, %s", arm->name, compose_form_word((compose_form)f));
            str_addf(out, "%-22s %5d", name, arm->n_runs);
            for (int t = 0; t <= COMPOSE_OVERALL; t++)
                add_cell(out, ablation_score(arm, arm->runs[0]->n_points - 1, (compose_form)f, (compose_task)t));
            str_add_char(out, '\n');
        }
    if (!detailed || a->n_arms == 1) return;
    str_add(out, "\ndetailed minus another arm, paired by seed\n\n");
    add_head(out, "arm, prompts");
    for (int i = 0; i < a->n_arms; i++)
        for (int f = 0; f < COMPOSE_N_FORMS && &a->arms[i] != detailed; f++) {
            int n;
            interval_t v = ablation_difference(detailed, &a->arms[i], (compose_form)f, COMPOSE_OVERALL, &n);
            if (n == 0) continue;
            snprintf(name, sizeof name, "%.40s, %s", a->arms[i].name, compose_form_word((compose_form)f));
            str_addf(out, "%-22s %5d", name, n);
            for (int t = 0; t <= COMPOSE_OVERALL; t++) {
                v = ablation_difference(detailed, &a->arms[i], (compose_form)f, (compose_task)t, &n);
                add_cell(out, v);
            }
            str_add_char(out, '\n');
        }
}

/* ---- JSON ---- */

static void json_number(str_t *out, const char *key, double v) {
    str_addf(out, "\"%s\":", key);
    if (isfinite(v))
        str_addf(out, "%.6g", v);
    else
        str_add(out, "null");
}

static void json_interval(str_t *out, const char *key, interval_t v) {
    str_addf(out, "\"%s\":{", key);
    json_number(out, "value", v.value);
    str_add_char(out, ',');
    json_number(out, "low", v.low);
    str_add_char(out, ',');
    json_number(out, "high", v.high);
    str_add_char(out, '}');
}

static void json_name(str_t *out, const char *key, const char *name) {
    str_addf(out, "{\"%s\":", key);
    str_add_json(out, name, strlen(name));
    str_add_char(out, ',');
}

static void json_arm(str_t *out, const ablation_arm_t *arm) {
    const ablation_run_t *r = arm->runs[0];
    json_name(out, "arm", arm->name);
    str_addf(out, "\"seeds\":%d,\"interval\":\"%s\",", arm->n_runs, arm->n_runs > 1 ? "student" : "wilson");
    json_number(out, "words", r->words);
    str_add_char(out, ',');
    json_number(out, "facts", r->facts);
    str_add_char(out, ',');
    json_number(out, "wrong", r->wrong);
    str_add_char(out, ',');
    json_number(out, "bits", r->bits);
    for (int f = 0; f < COMPOSE_N_FORMS; f++) {
        str_addf(out, ",\"%s\":{", compose_form_word((compose_form)f));
        for (int t = 0; t <= COMPOSE_OVERALL; t++) {
            if (t > 0) str_add_char(out, ',');
            json_interval(out, compose_task_word((compose_task)t),
                          ablation_score(arm, r->n_points - 1, (compose_form)f, (compose_task)t));
        }
        str_add_char(out, '}');
    }
    str_add_char(out, '}');
}

void ablation_json(const ablation_t *a, str_t *out) {
    const ablation_arm_t *detailed = ablation_find(a, "detailed");
    const char *comma = "";
    str_add(out, "{\"arms\":[");
    for (int i = 0; i < a->n_arms; i++) {
        if (i > 0) str_add_char(out, ',');
        json_arm(out, &a->arms[i]);
    }
    str_add(out, "],\"detailed_minus\":[");
    for (int i = 0; detailed && i < a->n_arms; i++) {
        int n = 0;
        if (&a->arms[i] == detailed) continue;
        interval_t forms[COMPOSE_N_FORMS];
        for (int f = 0; f < COMPOSE_N_FORMS; f++)
            forms[f] = ablation_difference(detailed, &a->arms[i], (compose_form)f, COMPOSE_OVERALL, &n);
        str_add(out, comma);
        json_name(out, "arm", a->arms[i].name);
        str_addf(out, "\"seeds\":%d,", n);
        json_interval(out, "short", forms[COMPOSE_SHORT]);
        str_add_char(out, ',');
        json_interval(out, "long", forms[COMPOSE_LONG]);
        str_add_char(out, '}');
        comma = ",";
    }
    str_add(out, "]}\n");
}
