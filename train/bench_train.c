#include "train/bench_train.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/median.h"
#include "kernels/gpu.h"
#include "train/bench_batch.h"
#include "train/memory_plan.h"
#include "train/step.h"

enum { MAX_ROUNDS = 64 };

/* One number a round; medians are printed. */
enum {
    STEP_S,
    IMAGES_PER_S,
    MFU,
    SHEET_MFU,
    PRODUCTS_S,
    RATIO,
    CPU_S,
    CPU_RATIO,
    INPUT_S,
    FORWARD_S,
    BACKWARD_S,
    UPDATE_S,
    EXPOSED_S,
    HIDDEN_S,
    N_FIGURES
};

static const struct {
    const char *name, *text;
} FIGURES[N_FIGURES] = {
    [STEP_S] = {"step_s", "a step, s"},
    [IMAGES_PER_S] = {"images_per_s", "images/s"},
    [MFU] = {"mfu", "useful products' FLOP over what the measured peak would do meanwhile"},
    [SHEET_MFU] = {"mfu_sheet", "the same by the peak of the data sheet"},
    [PRODUCTS_S] = {"products_s", "the step's products alone, s"},
    [RATIO] = {"ratio", "G/T: products alone over the step"},
    [CPU_S] = {"cpu_s", "processor time of a step, this rank's, s"},
    [CPU_RATIO] = {"cpu_ratio", "G/T by processor time"},
    [INPUT_S] = {"input_s", "input: noise, tokens, text features, s"},
    [FORWARD_S] = {"forward_s", "forward and loss, s"},
    [BACKWARD_S] = {"backward_s", "backward, s"},
    [UPDATE_S] = {"update_s", "gradient norm and update, s"},
    [EXPOSED_S] = {"exposed_s", "of these: waiting for other ranks, s"},
    [HIDDEN_S] = {"hidden_s", "communication beside compute, s"},
};

typedef struct {
    const train_config_t *c;
    comm_t *comm;
    bool full_text;
    device_t device;
    kernels_t *k;     /* of the device */
    const gpu_t *gpu; /* NULL: its data sheet is not known */
    pipeline_config_t pipeline;
    bucket_list_t buckets;
    int64_t rows[BUCKET_MAX], sharing, per_step; /* this rank's samples of a batch */
    train_state_t state;
    stepper_t *stepper;
    bench_batch_t *batch;
    int64_t n_steps;
    double peak_gflops, used_mib, planned_mib;
    double figure[N_FIGURES][MAX_ROUNDS];
} bench_train_t;

static double cpu_clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static lens_status open_stepper(bench_train_t *b) {
    mmdit_shape_t shapes[BUCKET_MAX];
    int64_t batch[BUCKET_MAX];
    LENS_TRY(train_config_batch(batch, b->c, &b->buckets));
    for (int i = 0; i < b->buckets.n; i++) {
        b->rows[i] = batch[b->buckets.bucket[i].area] / b->sharing;
        shapes[i] = train_config_shape(b->c, &b->buckets.bucket[i], b->rows[i] / b->c->train.accumulate);
    }
    return stepper_new(&b->stepper, b->k, b->c, &b->pipeline, shapes, b->buckets.n, b->per_step);
}

/* Nothing of the plan but a checkpoint's copy is large here and not taken. */
static lens_status plan_memory(bench_train_t *b) {
    memory_plan_t plan;
    memory_machine_t machine = memory_machine_of(&b->device, b->c, comm_world(b->comm));
    LENS_TRY(memory_plan_make(&plan, b->c, &machine));
    size_t bytes = memory_plan_seen(&plan, &machine);
    if (machine.is_cpu) bytes -= memory_plan_bytes(&plan, "checkpoint on its way");
    b->planned_mib = (double)bytes / (1 << 20);
    return LENS_OK;
}

static lens_status set_up(bench_train_t *b) {
    const train_config_t *c = b->c;
    LENS_TRY(train_config_shares(&b->sharing, &b->per_step, c, comm_world(b->comm)));
    LENS_TRY(train_config_pipeline(&b->pipeline, c));
    LENS_TRY(train_config_buckets(&b->buckets, c));
    LENS_TRY(plan_memory(b));
    LENS_TRY(train_state_init(&b->state, b->k, b->device.coll, c, &b->pipeline));
    LENS_TRY(train_state_start(&b->state, (uint64_t)c->run.seed));
    LENS_TRY(open_stepper(b));
    return bench_batch_new(&b->batch, &b->pipeline, &b->buckets, b->rows, b->full_text, comm_rank(b->comm));
}

/* One step of one bucket, on all ranks. */
static lens_status run_step(bench_train_t *b, int bucket, step_result_t *out) {
    const train_config_t *c = b->c;
    const bucket_t *size = &b->buckets.bucket[bucket];
    schedule_t schedule;
    LENS_TRY(train_config_schedule(&schedule, c));
    stepper_begin(b->stepper, &b->state);
    for (int64_t i = 0; i < b->per_step; i++) {
        step_batch_t batch;
        bench_batch_fill(b->batch, bucket, &batch);
        batch.px_step = (int64_t)size->width * size->height * b->rows[bucket] * b->per_step * comm_world(b->comm);
        LENS_TRY(stepper_batch(b->stepper, &b->state, &batch, i + 1 == b->per_step));
    }
    b->n_steps++;
    step_update_t u = {.adamw = {.lr = (float)schedule_lr(&schedule, b->n_steps),
                                 .beta1 = (float)c->train.beta1,
                                 .beta2 = (float)c->train.beta2,
                                 .eps = (float)c->train.eps,
                                 .weight_decay = (float)c->train.weight_decay}};
    LENS_TRY(stepper_end(b->stepper, &b->state, &u));
    return stepper_result(b->stepper, &b->state, b->comm, out);
}

static lens_status run_round(bench_train_t *b, int round) {
    step_result_t r;
    double products_s;
    LENS_TRY(comm_barrier(b->comm));
    b->k->trace_begin(b->k);
    double begin_s = log_clock_s(), cpu_s = cpu_clock_s();
    LENS_TRY(run_step(b, round % b->buckets.n, &r));
    double step_s = log_clock_s() - begin_s, step_cpu_s = cpu_clock_s() - cpu_s;
    b->k->trace_end(b->k);
    LENS_TRY(comm_barrier(b->comm));
    LENS_TRY(b->k->trace_replay_s(b->k, &products_s)); /* a first time for its buffers' pages */
    cpu_s = cpu_clock_s();
    LENS_TRY(b->k->trace_replay_s(b->k, &products_s));
    double values[N_FIGURES] = {
        [STEP_S] = step_s,
        [IMAGES_PER_S] = r.n_images / step_s,
        [MFU] = r.model_flop / (step_s * b->peak_gflops * 1e9),
        [SHEET_MFU] = b->gpu ? r.model_flop / (step_s * b->gpu->peak_tflops * 1e12 * comm_world(b->comm)) : 0,
        [PRODUCTS_S] = products_s,
        [RATIO] = products_s / step_s,
        [CPU_S] = step_cpu_s,
        [CPU_RATIO] = (cpu_clock_s() - cpu_s) / step_cpu_s,
        [INPUT_S] = r.times.input_s,
        [FORWARD_S] = r.times.forward_s,
        [BACKWARD_S] = r.times.backward_s,
        [UPDATE_S] = r.times.update_s,
        [EXPOSED_S] = r.times.exposed_s,
        [HIDDEN_S] = r.times.comm_s > r.times.exposed_s ? r.times.comm_s - r.times.exposed_s : 0,
    };
    for (int i = 0; i < N_FIGURES; i++) b->figure[i][round] = values[i];
    return LENS_OK;
}

static lens_status measure(bench_train_t *b, int64_t rounds) {
    step_result_t r;
    LENS_TRY(comm_barrier(b->comm));
    LENS_TRY(b->k->peak_gflops(b->k, &b->peak_gflops));
    LENS_TRY(comm_sum_f64(b->comm, &b->peak_gflops, 1, "peak"));
    for (int i = 0; i < b->buckets.n; i++) LENS_TRY(run_step(b, i, &r)); /* touches every page once */
    size_t used, total;
    b->k->memory(b->k, &used, &total);
    b->used_mib = (double)used / (1 << 20);
    for (int i = 0; i < rounds; i++) LENS_TRY(run_round(b, i));
    return LENS_OK;
}

static bool is_known(const bench_train_t *b, int figure) {
    return figure != SHEET_MFU || b->gpu;
}

static lens_status print_json(bench_train_t *b, int64_t rounds) {
    json_t *j = json_pack("{s:I, s:s, s:i, s:i, s:I, s:f, s:f, s:f}", "parameters",
                          (json_int_t)plan_n_elements(b->state.plan), "device", b->k->device, "ranks",
                          comm_world(b->comm), "threads", kernels_cpu_threads(), "rounds", (json_int_t)rounds,
                          "peak_gflops", b->peak_gflops, "used_mib", b->used_mib, "planned_mib", b->planned_mib);
    bool failed = !j;
    if (b->gpu) failed |= json_object_set_new(j, "sheet_gflops", json_real(b->gpu->peak_tflops * 1e3)) != 0;
    for (int i = 0; i < N_FIGURES; i++)
        if (is_known(b, i))
            failed |= json_object_set_new(j, FIGURES[i].name, json_real(median(b->figure[i], rounds))) != 0;
    char *text = failed ? NULL : json_dumps(j, JSON_REAL_PRECISION(5));
    json_decref(j);
    if (!text) return lens_fail(LENS_MEMORY, "bench: result");
    puts(text);
    free(text);
    return LENS_OK;
}

static void print_text(bench_train_t *b, int64_t rounds) {
    bool is_cpu = b->device.kind == DEVICE_CPU;
    printf("%.2f M parameters, %d bucket%s, %d rank%s x %d thread%s, medians of %lld steps\n",
           (double)plan_n_elements(b->state.plan) * 1e-6, b->buckets.n, b->buckets.n == 1 ? "" : "s",
           comm_world(b->comm), comm_world(b->comm) == 1 ? "" : "s", kernels_cpu_threads(),
           kernels_cpu_threads() == 1 ? "" : "s", (long long)rounds);
    printf("on %s: measured peak %.0f GFLOP/s", b->k->device, b->peak_gflops);
    if (b->gpu) printf(", by its data sheet %.0f a GPU", b->gpu->peak_tflops * 1e3);
    puts("");
    for (int i = 0; i < N_FIGURES; i++)
        if (is_known(b, i)) printf("%12.4f  %s\n", median(b->figure[i], rounds), FIGURES[i].text);
    printf("%12.1f  %s, MiB; lens plan%s: %.1f MiB\n", b->used_mib,
           is_cpu ? "resident at the most" : "of the device in use", is_cpu ? ", without a checkpoint's copy" : "",
           b->planned_mib);
}

static lens_status run(bench_train_t *b, int64_t rounds, bool json) {
    const train_config_t *c = b->c;
    const device_options_t wanted = train_config_device(c);
    LENS_TRY(device_open(&b->device, &wanted, b->comm));
    b->k = b->device.k;
    b->gpu = gpu_of_device(b->k->device);
    LENS_TRY(comm_agree(b->comm, set_up(b), "set-up"));
    lens_status st = measure(b, rounds);
    if (st != LENS_OK && comm_world(b->comm) > 1) {
        log_error("%s", lens_error());
        comm_abort(b->comm, 1);
    }
    if (st != LENS_OK || comm_rank(b->comm) != 0) return st;
    if (json) return print_json(b, rounds);
    print_text(b, rounds);
    return LENS_OK;
}

lens_status bench_train(const train_config_t *c, comm_t *comm, int64_t rounds, bool full_text, bool json) {
    bench_train_t *b = calloc(1, sizeof *b);
    if (!b) return lens_fail(LENS_MEMORY, "bench");
    LENS_ASSERT(rounds >= 1 && rounds <= MAX_ROUNDS, "%lld rounds of at most %d", (long long)rounds, MAX_ROUNDS);
    b->c = c;
    b->comm = comm;
    b->full_text = full_text;
    lens_status st = run(b, rounds, json);
    bench_batch_free(b->batch);
    stepper_free(b->stepper);
    train_state_free(&b->state);
    device_close(&b->device);
    free(b);
    return st;
}
