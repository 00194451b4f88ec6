#include "train/train_log.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"

enum { LOG_LINES = 20 }; /* of a run whose output is no terminal */

static lens_status write_metrics(metrics_t *m, const train_log_step_t *s, double images_per_s, double mfu) {
    enum { N_FIXED = 11 };
    static const char *const fixed[N_FIXED] = {"loss",   "lr",     "grad_norm", "images_per_s", "mfu",    "step_s",
                                               "images", "wait_s", "comm_s",    "exposed_s",    "skipped"};
    const step_result_t *r = s->result;
    const char *names[N_FIXED + STEP_T_BINS];
    char bins[STEP_T_BINS][16];
    double values[N_FIXED + STEP_T_BINS] = {
        r->loss,   s->lr,           r->grad_norm,       images_per_s, mfu, s->step_s, (double)s->n_images,
        s->wait_s, r->times.comm_s, r->times.exposed_s, r->skipped};
    for (int i = 0; i < N_FIXED; i++) names[i] = fixed[i];
    for (int i = 0; i < STEP_T_BINS; i++) {
        snprintf(bins[i], sizeof bins[i], "loss_t%d", i);
        names[N_FIXED + i] = bins[i];
        values[N_FIXED + i] = r->t_loss[i];
    }
    return metrics_step(m, s->step, N_FIXED + STEP_T_BINS, names, values);
}

lens_status train_log_step(const train_log_t *l, metrics_t *m, const train_log_step_t *s) {
    const step_result_t *r = s->result;
    double per_s = r->n_images / s->step_s, mfu = r->model_flop / (s->step_s * l->peak_gflops * 1e9);
    if (m) LENS_TRY(write_metrics(m, s, per_s, mfu));
    int64_t left = l->steps - s->step, every = l->steps / LOG_LINES;
    double eta_s = (double)left * (log_clock_s() - l->begin_s) / (double)(s->step - l->first_step);
    log_progress("step %lld/%lld  loss %.4f  %.0f images/s  MFU %.0f %%  %d:%02d left", (long long)s->step,
                 (long long)l->steps, r->loss, per_s, 100 * mfu, (int)(eta_s / 60), (int)fmod(eta_s, 60));
    if (every == 0 || s->step % every == 0 || left == 0)
        log_info("step %lld/%lld  loss %.4f  grad norm %.3f  %.0f images/s  MFU %.0f %%  %d:%02d left",
                 (long long)s->step, (long long)l->steps, r->loss, r->grad_norm, per_s, 100 * mfu, (int)(eta_s / 60),
                 (int)fmod(eta_s, 60));
    if (r->skipped)
        log_warn("step %lld was skipped: loss %g, norm of the gradient %g", (long long)s->step, r->loss, r->grad_norm);
    return LENS_OK;
}
