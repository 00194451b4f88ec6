#include "eval/compose.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* `lens scenes` takes seeds up to 1e15. */
#define SEED_OF_PROMPTS (UINT64_C(1) << 60)

/* ---- prompts ---- */
static lens_status plan_picture(compose_picture_t *p, const compose_t *c, compose_form form, int64_t i) {
    str_t prompt = {0};
    compose_draw(&p->facts, &p->scene, (compose_task)(i % COMPOSE_N_TASKS), c->options.seed + SEED_OF_PROMPTS,
                 (uint64_t)(i / COMPOSE_N_TASKS), c->options.rules);
    if (form == COMPOSE_SHORT)
        (void)scene_brief(&p->scene, &prompt);
    else
        (void)scene_dense(&p->scene, &prompt);
    lens_status st = str_status(&prompt);
    if (st == LENS_OK)
        p->prompt = prompt.s;
    else
        str_free(&prompt);
    return st;
}

lens_status compose_plan(compose_t *out, const compose_options_t *o) {
    lens_status st = LENS_OK;
    *out = (compose_t){.options = *o, .n = o->n * COMPOSE_N_TASKS};
    for (int f = 0; f < COMPOSE_N_FORMS && st == LENS_OK; f++) {
        if (!o->forms[f]) continue;
        out->pictures[f] = calloc((size_t)out->n, sizeof *out->pictures[f]);
        if (!out->pictures[f]) st = lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " pictures", out->n);
        for (int64_t i = 0; st == LENS_OK && i < out->n; i++)
            st = plan_picture(&out->pictures[f][i], out, (compose_form)f, i);
    }
    if (st != LENS_OK) compose_free(out);
    return st;
}

void compose_free(compose_t *c) {
    for (int f = 0; f < COMPOSE_N_FORMS; f++) {
        for (int64_t i = 0; c->pictures[f] && i < c->n; i++) {
            free(c->pictures[f][i].prompt);
            image_free(&c->pictures[f][i].picture);
        }
        free(c->pictures[f]);
    }
    free(c->checkpoint);
    free(c->device);
    *c = (compose_t){0};
}

/* ---- pictures ---- */
static lens_status sample_form(compose_t *c, drawer_t *d, compose_form form) {
    compose_picture_t *pictures = c->pictures[form];
    const char **prompts = malloc(sizeof *prompts * (size_t)c->n);
    image_t *images = calloc((size_t)c->n, sizeof *images);
    lens_status st = LENS_OK;
    if (!prompts || !images) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " pictures", c->n));
    for (int64_t i = 0; i < c->n; i++) prompts[i] = pictures[i].prompt;
    generator_options_t how = {c->options.steps, c->options.guidance, c->options.seed, 0};
    st = drawer_draw(d, images, prompts, c->n, &how);
    for (int64_t i = 0; i < c->n; i++) pictures[i].picture = images[i];
done:
    free(prompts);
    free(images);
    return st;
}

static lens_status sample_forms(compose_t *c, drawer_t *d) {
    c->width = drawer_width(d);
    c->height = drawer_height(d);
    c->averaged = drawer_is_averaged(d);
    c->device = strdup(drawer_device(d));
    if (!c->device) return lens_fail(LENS_MEMORY, "%s: out of memory", c->checkpoint);
    if (c->width < SCENE_MIN_SIZE_PX || c->height < SCENE_MIN_SIZE_PX)
        return lens_fail(LENS_ARGUMENT,
                         "%s: draws pictures of %" PRId64 "x%" PRId64 " px, expected sides of at least %d px",
                         c->checkpoint, c->width, c->height, SCENE_MIN_SIZE_PX);
    for (int f = 0; f < COMPOSE_N_FORMS; f++)
        if (c->pictures[f]) LENS_TRY(sample_form(c, d, (compose_form)f));
    return LENS_OK;
}

lens_status compose_sample(compose_t *c, const char *checkpoint, const drawer_options_t *o) {
    drawer_t *d;
    double begin_s = log_clock_s();
    c->checkpoint = strdup(checkpoint);
    if (!c->checkpoint) return lens_fail(LENS_MEMORY, "%s: out of memory", checkpoint);
    LENS_TRY(drawer_open(&d, checkpoint, o));
    lens_status st = sample_forms(c, d);
    drawer_close(d);
    c->draw_s = log_clock_s() - begin_s;
    return st;
}

/* ---- verdicts ---- */
static lens_status judge_form(compose_picture_t *pictures, int64_t n, const detector_t *d) {
    int64_t n_failed = 0;
#pragma omp parallel for schedule(dynamic) reduction(+ : n_failed)
    for (int64_t i = 0; i < n; i++) {
        compose_picture_t *p = &pictures[i];
        lens_status st = detect(&p->seen, d, p->picture.rgb, p->picture.width, p->picture.height);
        if (st == LENS_OK) p->verdict = compose_judge(&p->facts, &p->seen);
        n_failed += st != LENS_OK;
    }
    if (n_failed == 0) return LENS_OK;
    /* Messages are each thread's own: this one gets it from the picture that is judged again. */
    for (int64_t i = 0; i < n; i++)
        LENS_TRY(detect(&pictures[i].seen, d, pictures[i].picture.rgb, pictures[i].picture.width,
                        pictures[i].picture.height));
    return lens_fail(LENS_MEMORY, "%" PRId64 " pictures could not be judged", n_failed);
}

lens_status compose_judge_all(compose_t *c) {
    detector_t *d;
    double begin_s = log_clock_s();
    memset(c->counts, 0, sizeof c->counts);
    LENS_TRY(detector_new(&d));
    lens_status st = LENS_OK;
    for (int f = 0; f < COMPOSE_N_FORMS && st == LENS_OK; f++) {
        if (!c->pictures[f]) continue;
        st = judge_form(c->pictures[f], c->n, d);
        for (int64_t i = 0; st == LENS_OK && i < c->n; i++) {
            const compose_picture_t *p = &c->pictures[f][i];
            compose_count_t *count = &c->counts[f][p->facts.task];
            count->n++;
            count->right += p->verdict == COMPOSE_YES;
            count->unknown += p->verdict == COMPOSE_UNKNOWN;
        }
    }
    detector_free(d);
    c->judge_s = log_clock_s() - begin_s;
    return st;
}

interval_t compose_score(const compose_t *c, compose_form f, int task) {
    if (task < COMPOSE_N_TASKS) return interval_wilson((double)c->counts[f][task].right, (double)c->counts[f][task].n);
    /* Tasks have equally many prompts: the mean of their shares is the share of all. */
    int64_t right = 0, n = 0;
    for (int t = 0; t < COMPOSE_N_TASKS; t++) {
        right += c->counts[f][t].right;
        n += c->counts[f][t].n;
    }
    return interval_wilson((double)right, (double)n);
}
