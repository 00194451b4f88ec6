#include "train/train_log.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"

enum {
    LOG_LINES = 20,  /* of a run whose output is no terminal */
    MAX_VALUES = 40, /* of a line of metrics.jsonl */
};

/* The numbers of one line. */
typedef struct {
    int n;
    const char *name[MAX_VALUES];
    double value[MAX_VALUES];
    char level_name[VALIDATION_LEVELS][20];
} line_t;

static void add(line_t *l, const char *name, double value) {
    LENS_ASSERT(l->n < MAX_VALUES, "%d values of a step", l->n);
    l->name[l->n] = name;
    l->value[l->n++] = value;
}

static void add_valid(line_t *l, const train_log_valid_t *v) {
    add(l, "valid_loss", v->weights.loss);
    add(l, "valid_loss_ema", v->average.loss);
    for (int i = 0; i < VALIDATION_LEVELS; i++) {
        snprintf(l->level_name[i], sizeof l->level_name[i], "valid_loss_t%d", i);
        add(l, l->level_name[i], v->weights.loss_of_t[i]);
    }
}

static lens_status write_metrics(metrics_t *m, const train_log_step_t *s, double images_per_s, double mfu) {
    const step_result_t *r = s->result;
    line_t l = {.n = 0};
    add(&l, "loss", r->loss);
    add(&l, "lr", s->lr);
    add(&l, "grad_norm", r->gate.norm);
    add(&l, "images_per_s", images_per_s);
    add(&l, "mfu", mfu);
    add(&l, "step_s", r->times.step_s);
    add(&l, "images", (double)s->n_images);
    add(&l, "model_flop", r->model_flop);
    add(&l, "text_tok", r->n_text_tok);
    add(&l, "wait_s", s->wait_s);
    add(&l, "comm_s", r->times.comm_s);
    add(&l, "exposed_s", r->times.exposed_s);
    add(&l, "skipped", r->gate.verdict != STEP_TAKEN);
    for (int i = 0; i < N_LOSS_BINS; i++) add(&l, loss_bin_names[i], loss_bins_mean(&r->bins, i));
    if (s->valid->is_there) add_valid(&l, s->valid);
    return metrics_step(m, s->step, l.n, l.name, l.value);
}

static void tell_valid(const train_log_step_t *s) {
    const train_log_valid_t *v = s->valid;
    if (v->is_there)
        log_info("step %lld: loss on %lld held-out samples %.5f, of the averaged weights %.5f", (long long)s->step,
                 (long long)v->weights.n_samples, v->weights.loss, v->average.loss);
}

lens_status train_log_step(const train_log_t *l, metrics_t *m, const train_log_step_t *s) {
    const step_result_t *r = s->result;
    double step_s = r->times.step_s, per_s = r->n_images / step_s,
           mfu = r->model_flop / (step_s * l->peak_gflops * 1e9);
    if (m) LENS_TRY(write_metrics(m, s, per_s, mfu));
    int64_t left = l->steps - s->step, every = l->steps / LOG_LINES;
    double eta_s = (double)left * (log_clock_s() - l->begin_s) / (double)(s->step - l->first_step);
    log_progress("step %lld/%lld  loss %.4f  %.0f images/s  MFU %.0f %%  %d:%02d left", (long long)s->step,
                 (long long)l->steps, r->loss, per_s, 100 * mfu, (int)(eta_s / 60), (int)fmod(eta_s, 60));
    if (every == 0 || s->step % every == 0 || left == 0)
        log_info("step %lld/%lld  loss %.4f  grad norm %.3f  %.0f images/s  MFU %.0f %%  %d:%02d left",
                 (long long)s->step, (long long)l->steps, r->loss, r->gate.norm, per_s, 100 * mfu, (int)(eta_s / 60),
                 (int)fmod(eta_s, 60));
    tell_valid(s);
    if (r->gate.verdict != STEP_TAKEN && m) /* one rank says it */
        log_warn("step %lld was skipped: loss %g, norm of the gradient %g, %.1f deviations above the mean",
                 (long long)s->step, r->loss, r->gate.norm, r->gate.zscore);
    return LENS_OK;
}
