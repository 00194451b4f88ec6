#include "train/trainer.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/comm_watchdog.h"
#include "base/file.h"
#include "base/log.h"
#include "base/median.h"
#include "kernels/gpu.h"
#include "train/stop_signal.h"
#include "train/trainer_private.h"

enum {
    TRACED_STEPS = 10, /* the last ones, whose products are replayed bare */
    REPLAYS = 3,       /* at most; the median counts */
    REPLAYS_S = 10,    /* none is begun after: nobody is to take the end of a run for a hang */
};

static void log_device(const trainer_t *t) {
    const gpu_t *gpu = gpu_of_device(t->k->device);
    int world = t->record.world, threads = t->record.threads;
    if (t->device.kind == DEVICE_CPU) {
        log_info("device: cpu, %d rank%s x %d thread%s, peak %.0f GFLOP/s", world, world == 1 ? "" : "s", threads,
                 threads == 1 ? "" : "s", t->record.peak_gflops);
        return;
    }
    log_info("device: cuda, %d x %s, act %s, peak measured %.0f TFLOP/s", world, t->k->device,
             t->k->act_bytes == sizeof(float) ? "float32" : "bfloat16", t->record.peak_gflops * 1e-3);
    if (gpu) log_info("device: by its data sheet %.0f TFLOP/s", gpu->peak_tflops * world);
}

static void log_summary(const trainer_t *t) {
    double mib = 1.0 / (1 << 20);
    log_info("model: %.2f M parameters; data: %lld samples of %s", (double)t->record.parameters * 1e-6,
             (long long)dataset_n_samples(t->dataset), t->c->data.dataset);
    log_device(t);
    log_info(
        "memory of a rank: weights, gradients and the optimiser's state %.1f MiB, activations %.1f MiB, in all %.1f "
        "MiB",
        (double)train_state_bytes(&t->state) * mib, (double)stepper_activations(t->stepper)->bytes * mib,
        (double)(t->memory.device_bytes + t->memory.host_bytes) * mib);
}

/* All ranks measure at once, as they will compute. */
static lens_status measure_peak(trainer_t *t) {
    LENS_TRY(comm_barrier(t->comm));
    LENS_TRY(t->k->peak_gflops(t->k, &t->record.peak_gflops));
    return comm_sum_f64(t->comm, &t->record.peak_gflops, 1, "peak");
}

/* ---- the loop ---- */

/* How many of the last steps are traced: their products only, for a record of all would grow without end. */
static int64_t n_traced(const trainer_t *t) {
    int64_t n = t->c->train.steps - t->first_step;
    return n < TRACED_STEPS ? n : TRACED_STEPS;
}

static bool is_traced(const trainer_t *t, int64_t step) {
    return step > t->c->train.steps - n_traced(t);
}

static void trace_step(trainer_t *t, int64_t step) {
    if (!is_traced(t, step)) return;
    if (step == t->c->train.steps - n_traced(t) + 1)
        t->k->trace_begin(t->k);
    else
        t->k->trace_continue(t->k);
}

/* Asks for all of this rank's batches, and for the update. */
static lens_status ask_step(trainer_t *t, int64_t step) {
    const train_config_t *c = t->c;
    int64_t n = loader_batches_of_step(t->loader);
    stepper_begin(t->stepper, &t->state);
    for (int64_t i = 0; i < n; i++) {
        const loader_batch_t *b;
        step_batch_t batch;
        LENS_TRY(loader_next(t->loader, &b));
        LENS_TRY(train_input_batch(t->input, b, &batch));
        LENS_TRY(stepper_batch(t->stepper, &t->state, &batch, i + 1 == n));
        t->n_empty += b->n_empty;
    }
    step_update_t u = {.adamw = {.lr = (float)schedule_lr(&t->schedule, step),
                                 .beta1 = (float)c->train.beta1,
                                 .beta2 = (float)c->train.beta2,
                                 .eps = (float)c->train.eps,
                                 .weight_decay = (float)c->train.weight_decay},
                       .vote = stop_signal_received() != 0};
    LENS_TRY(stepper_end(t->stepper, &t->state, &u));
    t->asked = step;
    return LENS_OK;
}

/* STATE once more than train.max_skips steps in a row were left out, with what the last one had. */
static lens_status check_skips(const trainer_t *t, int64_t step, const step_result_t *r) {
    if (r->gate.n_in_row <= t->c->train.max_skips) return LENS_OK;
    return lens_fail(LENS_STATE,
                     "step %lld: the loss is %g, the gradient's norm %g: %lld steps in a row had to be left out, "
                     "train.max_skips is %lld",
                     (long long)step, r->loss, r->gate.norm, (long long)r->gate.n_in_row,
                     (long long)t->c->train.max_skips);
}

/* Where the run stands after the step. */
static void move_on(trainer_t *t, int64_t step, const step_result_t *r) {
    t->at.step = step;
    t->at.n_images += (int64_t)r->n_images;
    t->at.n_updates = r->gate.n_updates;
    t->at.n_skipped += r->gate.verdict != STEP_TAKEN;
    t->at.guard_mean = r->gate.mean;
    t->at.guard_var = r->gate.var;
    t->at.guard_n = r->gate.n;
    t->stops |= r->votes > 0;
    if (step == t->first_step + 1) t->first_loss = r->loss;
    t->last_loss = r->loss;
    if (is_traced(t, step)) t->traced_s += r->times.step_s;
    t->gave_up = check_skips(t, step, r);
}

static bool is_due(const trainer_t *t, int64_t step, int64_t every) {
    return step % every == 0 || step == t->c->train.steps;
}

static bool validates_after(const trainer_t *t, int64_t step) {
    return t->validator && is_due(t, step, t->c->valid.every);
}
static bool draws_after(const trainer_t *t, int64_t step) {
    return t->preview && is_due(t, step, t->c->sample.every);
}

/* The held-out loss of the weights and of their average, and a sheet of samples; *told is what the log says of it. */
static lens_status evaluate_if_due(trainer_t *t, int64_t step, train_log_valid_t *told) {
    bool validates = validates_after(t, step), draws = draws_after(t, step);
    const pipeline_tensors_t *average;
    *told = (train_log_valid_t){.is_there = validates};
    if (!validates && !draws) return LENS_OK;
    LENS_TRY(t->coll->finish(t->coll)); /* weights may still be on their way */
    if (validates) LENS_TRY(validator_run(t->validator, t->stepper, &t->state.weights, &told->weights));
    LENS_TRY(averaged_begin(&t->averaged, &average));
    if (validates) LENS_TRY(validator_run(t->validator, t->stepper, average, &told->average));
    if (draws) LENS_TRY(preview_draw(t->preview, average, t->metrics, step));
    return averaged_end(&t->averaged);
}

static bool saves_after(const trainer_t *t, int64_t step) {
    const train_config_t *c = t->c;
    return step == c->train.steps || t->stops ||
           (c->train.checkpoint_every > 0 && step % c->train.checkpoint_every == 0);
}

static lens_status save(trainer_t *t) {
    if (t->metrics) LENS_TRY(metrics_sync(t->metrics));
    comm_watchdog_suspend(t->comm); /* a slow disk is not a hung rank */
    lens_status st = checkpointer_start(t->checkpointer, &t->state, &t->at);
    comm_watchdog_resume(t->comm);
    return st;
}

/* The device must have nothing to do but that, and the host must know of all steps. */
static bool drains_after(const trainer_t *t, int64_t step) {
    return saves_after(t, step) || validates_after(t, step) || draws_after(t, step);
}

/* Of the oldest step that was asked for: into the log; and where it is the last one, what is due after it. */
static lens_status take_result(trainer_t *t) {
    int64_t step = t->at.step + 1;
    step_result_t result;
    train_log_valid_t valid = {0};
    LENS_TRY(stepper_result(t->stepper, &t->state, t->comm, &result));
    move_on(t, step, &result);
    if (t->gave_up != LENS_OK) return LENS_OK;
    comm_watchdog_suspend(t->comm);
    if (step == t->asked) LENS_TRY(evaluate_if_due(t, step, &valid));
    comm_watchdog_resume(t->comm);
    train_log_step_t told = {.step = step,
                             .n_images = t->at.n_images,
                             .lr = schedule_lr(&t->schedule, step),
                             .wait_s = loader_wait_s(t->loader),
                             .result = &result,
                             .valid = &valid};
    LENS_TRY(train_log_step(&t->log, t->metrics, &told));
    return step == t->asked && saves_after(t, step) ? save(t) : LENS_OK;
}

/* The next step; then, as the device works on it, the results of the one before. Where something is due after a step
 * or the run is to stop, the results of all: a checkpoint is of the last step that was asked for. */
static lens_status one_step(trainer_t *t) {
    int64_t step = t->asked + 1;
    comm_watchdog_beat(t->comm, step);
    trace_step(t, step);
    LENS_TRY(ask_step(t, step));
    t->k->trace_end(t->k); /* validation and sheets of samples are no part of a step */
    while (t->gave_up == LENS_OK && t->at.step < step) {
        if (t->at.step == step - 1 && !drains_after(t, step)) break;
        LENS_TRY(take_result(t));
    }
    return LENS_OK;
}

/* Time of the traced steps' products alone, over the time of those steps. */
static lens_status measure_ratio(trainer_t *t) {
    double replay_s[REPLAYS], spent_s = 0;
    int n = 0;
    LENS_TRY(comm_barrier(t->comm));
    while (n < REPLAYS && spent_s < REPLAYS_S) {
        LENS_TRY(t->k->trace_replay_s(t->k, &replay_s[n]));
        spent_s += replay_s[n++];
    }
    double median_s = median(replay_s, n);
    t->record.sgemm_ratio = median_s / t->traced_s;
    log_info("sgemm ratio G/T %.2f: the products of the last %lld steps alone take %.3f s of their %.3f s (%.0f "
             "GFLOP/s bare)",
             t->record.sgemm_ratio, (long long)n_traced(t), median_s, t->traced_s,
             t->k->trace_flop(t->k) / median_s * 1e-9);
    return LENS_OK;
}

static void log_warnings(const trainer_t *t) {
    int64_t cut = stepper_n_cut(t->stepper);
    if (cut)
        log_warn("%lld captions were longer than text.max_tok = %lld and cut", (long long)cut,
                 (long long)t->c->text.max_tok);
    if (t->n_empty) log_warn("%lld samples had an empty caption and trained as dropped ones", (long long)t->n_empty);
    int64_t n_failed = checkpointer_n_failed(t->checkpointer);
    if (trainer_is_root(t) && n_failed) log_warn("%lld checkpoints could not be written", (long long)n_failed);
    if (trainer_is_root(t) && t->at.n_skipped)
        log_warn("%lld steps were skipped since the start", (long long)t->at.n_skipped);
}

static lens_status finish(trainer_t *t) {
    t->record.finished = time(NULL);
    t->record.wall_s = log_clock_s() - t->log.begin_s; /* of the training; what follows is measurement */
    size_t used, total, planned = memory_plan_seen(&t->memory, &t->machine);
    t->k->memory(t->k, &used, &total);
    log_info("memory: at most %.1f MiB, %.3f of what was planned", (double)used / (1 << 20),
             (double)used / (double)planned);
    LENS_TRY(measure_ratio(t));
    log_progress_end();
    log_warnings(t);
    log_info("loss %.4f -> %.4f in %lld steps, %.0f s; %s", t->first_loss, t->last_loss,
             (long long)(t->c->train.steps - t->first_step), t->record.wall_s, t->c->run.dir);
    return trainer_is_root(t) ? run_record_write(&t->record, t->c) : LENS_OK;
}

/* RUN/requeue asks launch scripts to start the run again: its one line is the signal and the step. */
static lens_status requeue_path(str_t *out, const trainer_t *t) {
    str_addf(out, "%s/requeue", t->c->run.dir);
    return str_status(out);
}

static lens_status forget_requeue(const trainer_t *t) {
    str_t path = {0};
    lens_status st = requeue_path(&path, t);
    if (st == LENS_OK) st = dir_remove(path.s);
    str_free(&path);
    return st;
}

/* Every rank: what some were told. SIGTERM where that differs. */
static lens_status share_signal(const trainer_t *t, int *number) {
    double n_term = stop_signal_received() == SIGTERM;
    LENS_TRY(comm_sum_f64(t->comm, &n_term, 1, "signal"));
    *number = n_term > 0 ? SIGTERM : SIGUSR1;
    return LENS_OK;
}

static lens_status ask_requeue(const trainer_t *t) {
    str_t path = {0}, text = {0};
    int number;
    LENS_TRY(share_signal(t, &number));
    if (!trainer_is_root(t)) return LENS_OK;
    log_progress_end();
    log_info("told to stop: a checkpoint of step %lld is saved; --resume goes on from it", (long long)t->at.step);
    lens_status st = requeue_path(&path, t);
    str_addf(&text, "%s step %lld\n", stop_signal_name(number), (long long)t->at.step);
    if (st == LENS_OK) st = str_status(&text);
    if (st == LENS_OK) st = file_write(path.s, text.s, text.len);
    str_free(&path);
    str_free(&text);
    return st;
}

static bool goes_on(const trainer_t *t) {
    return t->at.step < t->c->train.steps && !t->stops && t->gave_up == LENS_OK;
}

/* *agreed: how the steps and the last checkpoint ended, by all ranks. */
static lens_status take_steps(trainer_t *t, lens_status *agreed) {
    bool watched = t->c->train.watchdog_s > 0;
    if (watched) LENS_TRY(comm_watchdog_start(t->comm, t->c->train.watchdog_s));
    t->asked = t->at.step;
    while (goes_on(t)) LENS_TRY(one_step(t));
    LENS_TRY(t->coll->finish(t->coll)); /* of a run that gave up, a step is still under way */
    comm_watchdog_suspend(t->comm);
    *agreed = t->gave_up != LENS_OK ? t->gave_up : checkpointer_finish(t->checkpointer);
    *agreed = comm_agree(t->comm, *agreed, "training");
    comm_watchdog_resume(t->comm);
    if (watched) comm_watchdog_stop(t->comm);
    return LENS_OK;
}

/* A failure is this rank's alone; *agreed is that of all. */
static lens_status run(trainer_t *t, lens_status *agreed) {
    t->record.threads = kernels_cpu_threads();
    t->record.device = t->k->device;
    t->record.parameters = plan_n_elements(t->state.plan);
    LENS_TRY(measure_peak(t));
    log_summary(t);
    if (trainer_is_root(t)) LENS_TRY(run_record_write(&t->record, t->c));
    if (trainer_is_root(t)) LENS_TRY(forget_requeue(t));
    t->log = (train_log_t){.first_step = t->first_step,
                           .steps = t->c->train.steps,
                           .begin_s = log_clock_s(),
                           .peak_gflops = t->record.peak_gflops};
    LENS_TRY(take_steps(t, agreed));
    if (*agreed != LENS_OK) return LENS_OK;
    if (t->stops && t->at.step < t->c->train.steps) return ask_requeue(t);
    return finish(t);
}

lens_status trainer_run(const train_config_t *c, comm_t *comm, bool resume, const char *command) {
    trainer_t t = {
        .c = c, .comm = comm, .record = {.command = command, .world = comm_world(comm), .started = time(NULL)}};
    stop_signal_install();
    lens_status st = trainer_set_up(&t, resume);
    if (st == LENS_OK) {
        lens_status own = run(&t, &st);
        if (own != LENS_OK && comm_world(comm) > 1) {
            log_error("%s", lens_error());
            comm_abort(comm, 1);
        }
        if (own != LENS_OK) st = own;
    }
    trainer_tear_down(&t);
    return st;
}
