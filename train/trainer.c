#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "data/loader.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/preview.h"
#include "train/run_record.h"
#include "train/step.h"

enum {
    TRACED_STEPS = 10, /* the last ones, whose products are replayed bare */
    REPLAYS = 3,       /* the median counts */
    LOG_LINES = 20,    /* of a run whose output is no terminal */
};

typedef struct {
    const train_config_t *c;
    comm_t *comm;
    kernels_t *k;
    dataset_t *dataset;
    pipeline_config_t pipeline;
    train_state_t state;
    stepper_t *stepper;
    loader_t *loader;
    metrics_t *metrics; /* rank 0 */
    preview_t *preview; /* rank 0, where samples are asked for */
    checkpoint_position_t position;
    run_record_t record;
    int64_t first_step; /* steps that a checkpoint holds */
    double begin_s;
    double traced_s; /* time of the traced steps */
    int64_t n_empty; /* empty captions met */
    double first_loss, last_loss;
} trainer_t;

static bool is_root(const trainer_t *t) {
    return comm_rank(t->comm) == 0;
}

/* ---- set-up ---- */

/* One bucket: every picture is trained at data.width x data.height, enlarged where it must be. */
static lens_status loader_options(loader_options_t *out, const trainer_t *t) {
    const train_config_t *c = t->c;
    const char *filter = c->data.resample;
    char size[48];
    snprintf(size, sizeof size, "%lldx%lld", (long long)c->data.width, (long long)c->data.height);
    *out = (loader_options_t){
        .batch_of_area = {c->train.global_batch},
        .slots = 1,
        .window_shards = c->data.window_shards,
        .seed = (uint64_t)c->run.seed,
        .pictures = true,
        .resampling = {.filter = strcmp(filter, "area") == 0       ? IMAGE_AREA
                                 : strcmp(filter, "triangle") == 0 ? IMAGE_TRIANGLE
                                                                   : IMAGE_LANCZOS,
                       .linear_light = c->data.linear_light},
        .flip = c->data.flip,
        .random_crop = c->data.random_crop,
        .captions = c->data.captions,
        .caption_dropout = c->data.caption_dropout,
        .rank = comm_rank(t->comm),
        .world = comm_world(t->comm),
        .n_threads = (int)c->data.threads,
        .n_prefetch = (int)c->data.prefetch,
    };
    return bucket_list_parse(&out->buckets, size, 0);
}

static lens_status open_data(trainer_t *t) {
    const train_config_t *c = t->c;
    LENS_TRY(dataset_open(&t->dataset, c->data.dataset));
    if (c->data.layers) LENS_TRY(dataset_add_layers(t->dataset, c->data.layers));
    if (dataset_n_samples(t->dataset) == 0) return lens_fail(LENS_FORMAT, "%s: no samples", c->data.dataset);
    loader_options_t o;
    LENS_TRY(loader_options(&o, t));
    t->position = (checkpoint_position_t){
        .seed = c->run.seed, .global_batch = c->train.global_batch, .n_samples = dataset_n_samples(t->dataset)};
    return loader_identity(&t->position.data_hash, t->dataset, &o);
}

static lens_status start_state(trainer_t *t, bool resume) {
    const train_config_t *c = t->c;
    LENS_TRY(train_state_init(&t->state, t->k, &t->pipeline));
    bool found = checkpoint_exists(c);
    if (found && !resume)
        return lens_fail(LENS_STATE,
                         "%s holds checkpoints: --resume goes on from the newest, another run.dir starts anew",
                         c->run.dir);
    if (!found) return train_state_start(&t->state, (uint64_t)c->run.seed);
    LENS_TRY(checkpoint_load(&t->first_step, &t->state, c, &t->position));
    if (t->first_step >= c->train.steps)
        return lens_fail(LENS_STATE, "%s: the newest checkpoint is of step %lld; train.steps is %lld", c->run.dir,
                         (long long)t->first_step, (long long)c->train.steps);
    log_info("resumed from step %lld", (long long)t->first_step);
    return LENS_OK;
}

static lens_status open_loader(trainer_t *t) {
    loader_options_t o;
    LENS_TRY(loader_options(&o, t));
    return loader_open(&t->loader, t->dataset, &o, t->first_step);
}

static lens_status open_outputs(trainer_t *t) {
    if (!is_root(t)) return LENS_OK;
    LENS_TRY(dir_make(t->c->run.dir));
    LENS_TRY(metrics_open(&t->metrics, t->c->run.dir, t->first_step + 1));
    if (t->c->sample.every > 0) LENS_TRY(preview_new(&t->preview, t->k, t->c, &t->pipeline, t->dataset));
    return LENS_OK;
}

static lens_status set_up(trainer_t *t, bool resume) {
    const train_config_t *c = t->c;
    int world = comm_world(t->comm);
    if (c->train.global_batch % world)
        return lens_fail(LENS_ARGUMENT, "train.global_batch = %lld: expected a multiple of the %d ranks",
                         (long long)c->train.global_batch, world);
    LENS_TRY(train_config_pipeline(&t->pipeline, c));
    LENS_TRY(kernels_cpu_new(&t->k, (int)c->run.threads, comm_core_ranks(t->comm)));
    LENS_TRY(open_data(t));
    LENS_TRY(start_state(t, resume));
    LENS_TRY(stepper_new(&t->stepper, t->k, c, &t->pipeline, c->train.global_batch / world));
    LENS_TRY(open_loader(t));
    return open_outputs(t);
}

static void log_summary(const trainer_t *t) {
    const plan_t *acts = stepper_activations(t->stepper);
    double mib = 1.0 / (1 << 20), flat = (double)t->state.n * sizeof(float) * mib;
    log_info("model: %.2f M parameters; data: %lld samples of %s; %d rank%s x %d thread%s, peak %.0f GFLOP/s",
             (double)t->record.parameters * 1e-6, (long long)dataset_n_samples(t->dataset), t->c->data.dataset,
             t->record.world, t->record.world == 1 ? "" : "s", t->record.threads, t->record.threads == 1 ? "" : "s",
             t->record.peak_gflops);
    log_info("memory: weights, gradients, two moments and average %.1f MiB each, activations %.1f MiB", flat,
             (double)acts->bytes * mib);
}

/* All ranks measure at once, as they will compute. */
static lens_status measure_peak(trainer_t *t) {
    LENS_TRY(comm_barrier(t->comm));
    LENS_TRY(t->k->peak_gflops(t->k, &t->record.peak_gflops));
    return comm_sum_f64(t->comm, &t->record.peak_gflops, 1, "peak");
}

/* ---- the loop ---- */

static lens_status record_step(trainer_t *t, int64_t step, const step_result_t *r, double step_s) {
    const train_config_t *c = t->c;
    static const char *const names[] = {"loss", "lr", "grad_norm", "images_per_s", "mfu", "step_s", "images", "wait_s"};
    double per_s = (double)c->train.global_batch / step_s, mfu = r->model_flop / (step_s * t->record.peak_gflops * 1e9);
    double values[] = {r->loss,
                       train_config_lr(c, step),
                       r->grad_norm,
                       per_s,
                       mfu,
                       step_s,
                       (double)(step * c->train.global_batch),
                       loader_wait_s(t->loader)};
    if (t->metrics) LENS_TRY(metrics_step(t->metrics, step, sizeof values / sizeof values[0], names, values));
    int64_t left = c->train.steps - step, every = c->train.steps / LOG_LINES;
    double eta_s = (double)left * (log_clock_s() - t->begin_s) / (double)(step - t->first_step);
    log_progress("step %lld/%lld  loss %.4f  %.0f images/s  MFU %.0f %%  %d:%02d left", (long long)step,
                 (long long)c->train.steps, r->loss, per_s, 100 * mfu, (int)(eta_s / 60), (int)fmod(eta_s, 60));
    if (every == 0 || step % every == 0 || left == 0)
        log_info("step %lld/%lld  loss %.4f  grad norm %.3f  %.0f images/s  MFU %.0f %%  %d:%02d left", (long long)step,
                 (long long)c->train.steps, r->loss, r->grad_norm, per_s, 100 * mfu, (int)(eta_s / 60),
                 (int)fmod(eta_s, 60));
    return LENS_OK;
}

static lens_status save_if_due(trainer_t *t, int64_t step) {
    const train_config_t *c = t->c;
    bool last = step == c->train.steps, due = c->train.checkpoint_every > 0 && step % c->train.checkpoint_every == 0;
    if (!is_root(t)) return LENS_OK;
    if (t->preview && (last || step % c->sample.every == 0))
        LENS_TRY(preview_draw(t->preview, &t->state, t->metrics, step));
    if (!last && !due) return LENS_OK;
    t->position.step = step;
    LENS_TRY(metrics_sync(t->metrics));
    return checkpoint_save(&t->state, c, &t->pipeline, &t->position);
}

/* How many of the last steps are traced: their products only, for a record of all would grow without end. */
static int64_t n_traced(const trainer_t *t) {
    int64_t n = t->c->train.steps - t->first_step;
    return n < TRACED_STEPS ? n : TRACED_STEPS;
}

static void trace_step(trainer_t *t, int64_t step) {
    if (step == t->c->train.steps - n_traced(t) + 1)
        t->k->trace_begin(t->k);
    else
        t->k->trace_continue(t->k);
}

static lens_status one_step(trainer_t *t, int64_t step) {
    double begin_s = log_clock_s();
    bool traced = step > t->c->train.steps - n_traced(t);
    const loader_batch_t *b;
    step_result_t result;
    LENS_TRY(loader_next(t->loader, &b));
    step_batch_t batch = {.n = b->n,
                          .sample = b->sample,
                          .epoch = b->epoch,
                          .pixels = b->pixels,
                          .caption = (const char *const *)b->caption};
    if (traced) trace_step(t, step);
    LENS_TRY(stepper_run(t->stepper, &t->state, t->comm, &batch, step, &result));
    t->k->trace_end(t->k); /* sheets of samples are no part of a step */
    double step_s = log_clock_s() - begin_s;
    if (traced) t->traced_s += step_s;
    t->n_empty += b->n_empty;
    if (step == t->first_step + 1) t->first_loss = result.loss;
    t->last_loss = result.loss;
    if (!isfinite(result.loss) || !isfinite(result.grad_norm))
        return lens_fail(LENS_STATE, "step %lld: the loss is %g, the gradient's norm %g; nothing was saved of it",
                         (long long)step, result.loss, result.grad_norm);
    LENS_TRY(record_step(t, step, &result, step_s));
    return save_if_due(t, step);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Time of the traced steps' products alone, over the time of those steps. */
static lens_status measure_ratio(trainer_t *t) {
    double replay_s[REPLAYS];
    LENS_TRY(comm_barrier(t->comm));
    for (int i = 0; i < REPLAYS; i++) LENS_TRY(t->k->trace_replay_s(t->k, &replay_s[i]));
    qsort(replay_s, REPLAYS, sizeof *replay_s, by_value);
    double median_s = replay_s[REPLAYS / 2];
    t->record.sgemm_ratio = median_s / t->traced_s;
    log_info("sgemm ratio G/T %.2f: the products of the last %lld steps alone take %.3f s of their %.3f s (%.0f "
             "GFLOP/s bare)",
             t->record.sgemm_ratio, (long long)n_traced(t), median_s, t->traced_s,
             t->k->trace_flop(t->k) / median_s * 1e-9);
    return LENS_OK;
}

static lens_status finish(trainer_t *t) {
    t->record.finished = time(NULL);
    t->record.wall_s = log_clock_s() - t->begin_s; /* of the training; what follows is measurement */
    LENS_TRY(measure_ratio(t));
    log_progress_end();
    int64_t cut = stepper_n_cut(t->stepper);
    if (cut)
        log_warn("%lld captions were longer than text.max_tok = %lld and cut", (long long)cut,
                 (long long)t->c->text.max_tok);
    if (t->n_empty) log_warn("%lld samples had an empty caption and trained as dropped ones", (long long)t->n_empty);
    log_info("loss %.4f -> %.4f in %lld steps, %.0f s; %s", t->first_loss, t->last_loss,
             (long long)(t->c->train.steps - t->first_step), t->record.wall_s, t->c->run.dir);
    return is_root(t) ? run_record_write(&t->record, t->c) : LENS_OK;
}

static lens_status run(trainer_t *t) {
    t->record.threads = kernels_cpu_threads();
    t->record.device = t->k->name;
    t->record.parameters = plan_n_elements(&t->state.weights.plan);
    LENS_TRY(measure_peak(t));
    log_summary(t);
    if (is_root(t)) LENS_TRY(run_record_write(&t->record, t->c));
    t->begin_s = log_clock_s();
    for (int64_t step = t->first_step + 1; step <= t->c->train.steps; step++) LENS_TRY(one_step(t, step));
    return finish(t);
}

static void tear_down(trainer_t *t) {
    preview_free(t->preview);
    metrics_close(t->metrics);
    loader_close(t->loader);
    stepper_free(t->stepper);
    train_state_free(&t->state);
    dataset_close(t->dataset);
    kernels_free(t->k);
}

lens_status trainer_run(const train_config_t *c, comm_t *comm, bool resume, const char *command) {
    trainer_t t = {
        .c = c, .comm = comm, .record = {.command = command, .world = comm_world(comm), .started = time(NULL)}};
    lens_status st = comm_agree(comm, set_up(&t, resume), "set-up");
    if (st == LENS_OK) {
        st = run(&t);
        if (st != LENS_OK && comm_world(comm) > 1) {
            log_error("%s", lens_error());
            comm_abort(comm, 1);
        }
    }
    tear_down(&t);
    return st;
}
