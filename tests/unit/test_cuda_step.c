/* Training steps on the CPU and on the emulated device: the host waits for nothing but the results of the step before,
 * both devices come to the same, and a step that is left out changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/collectives.h"
#include "tests/cuda_on_host/include/emulated_device.h"
#include "train/bench_batch.h"
#include "train/step.h"

enum { STEPS = 4, BATCHES = 2 }; /* batches of a step */

typedef struct {
    train_config_t c;
    pipeline_config_t pipeline;
    bucket_list_t buckets;
    comm_t *comm;
    kernels_t *k;
    collectives_t *coll;
    train_state_t state;
    stepper_t *stepper;
    bench_batch_t *batch;
} run_t;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != LENS_OK) fail_msg("%s", lens_error());                                                           \
    } while (0)

static void open_run(run_t *r, bool cuda, const char *optimizer) {
    char chosen[40], *overrides[] = {"run.dir=x",
                                     "data.dataset=y",
                                     "data.buckets=16x8,8x16",
                                     "model.layers=2",
                                     "model.heads=2",
                                     "model.head_dim=16",
                                     "model.patch=4",
                                     "model.rope_frame=4",
                                     "model.rope_row=6",
                                     "model.rope_column=6",
                                     "text.rows=300",
                                     "text.dim=16",
                                     "text.max_tok=6",
                                     "train.batch=4",
                                     "train.accumulate=2",
                                     "train.slots=2",
                                     "train.warmup=2",
                                     "train.skip_zscore=6",
                                     "train.ema=0.9,0.99",
                                     "train.clip=0.5",
                                     "sample.every=0",
                                     "train.schedule=constant",
                                     chosen};
    int64_t rows[2] = {4, 4};
    mmdit_shape_t shapes[2];
    snprintf(chosen, sizeof chosen, "train.optimizer=%s", optimizer);
    *r = (run_t){0};
    OK(train_config_load(&r->c, "configs/nano.yaml", (int)(sizeof overrides / sizeof *overrides), overrides));
    OK(train_config_pipeline(&r->pipeline, &r->c));
    OK(train_config_buckets(&r->buckets, &r->c));
    for (int i = 0; i < 2; i++) shapes[i] = train_config_shape(&r->c, &r->buckets.bucket[i], rows[i] / 2);
    OK(comm_init(&r->comm));
    OK(cuda ? kernels_cuda_new(&r->k, 0, true) : kernels_cpu_new(&r->k, 1, 1));
    OK(collectives_host_new(&r->coll, r->comm));
    OK(train_state_init(&r->state, r->k, r->coll, &r->c, &r->pipeline));
    OK(train_state_start(&r->state, 1));
    OK(stepper_new(&r->stepper, r->k, &r->c, &r->pipeline, shapes, 2, BATCHES));
    OK(bench_batch_new(&r->batch, &r->pipeline, &r->buckets, rows, false, 0));
}

static void close_run(run_t *r) {
    OK(r->k->finish(r->k));
    bench_batch_free(r->batch);
    stepper_free(r->stepper);
    train_state_free(&r->state);
    collectives_free(r->coll);
    kernels_free(r->k);
    comm_free(r->comm);
    train_config_free(&r->c);
}

/* The two batches of a step are of different sizes, and change places from step to step. */
static void ask(run_t *r, int step) {
    const step_update_t u = {.adamw = {.lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-8f, .weight_decay = 0.1f},
                             .vote = step};
    stepper_begin(r->stepper, &r->state);
    for (int i = 0; i < BATCHES; i++) {
        step_batch_t b;
        bench_batch_fill(r->batch, (step + i) % 2, &b);
        b.px_step = 16 * 8 * 8;
        OK(stepper_batch(r->stepper, &r->state, &b, i + 1 == BATCHES));
    }
    OK(stepper_end(r->stepper, &r->state, &u));
}

static step_result_t result(run_t *r) {
    step_result_t out;
    OK(stepper_result(r->stepper, &r->state, r->comm, &out));
    return out;
}

/* lag: steps that are asked for before a result is read. */
static void take_steps(run_t *r, step_result_t *out, int lag) {
    int n_read = 0;
    for (int step = 0; step < STEPS; step++) {
        ask(r, step);
        while (n_read <= step - lag) out[n_read++] = result(r);
    }
    while (n_read < STEPS) out[n_read++] = result(r);
}

static void nothing_waits_within_a_step(void **state) {
    (void)state;
    static const char *const optimizers[] = {"adamw", "muon"};
    setenv("LENS_CUDA_STREAMS", "strict", 1);
    for (int o = 0; o < 2; o++) {
        run_t r;
        open_run(&r, true, optimizers[o]);
        ask(&r, 0); /* sizes are seen, pinned memory is made */
        ask(&r, 1);
        (void)result(&r);
        for (int step = 2; step < STEPS; step++) {
            emulated_waits_t before = emulated_waits();
            ask(&r, step);
            emulated_waits_t asked = emulated_waits();
            assert_int_equal(asked.of_all, before.of_all);
            assert_int_equal(asked.of_events, before.of_events);
            assert_int_equal(result(&r).votes, step - 1);
            emulated_waits_t read = emulated_waits();
            assert_int_equal(read.of_all, asked.of_all);
            assert_int_equal(read.of_events, asked.of_events + 2); /* losses and gate of the step before */
        }
        (void)result(&r);
        close_run(&r);
    }
    unsetenv("LENS_CUDA_STREAMS");
}

static void when_results_are_read_changes_nothing(void **state) {
    (void)state;
    for (int cuda = 0; cuda < 2; cuda++) {
        run_t r;
        step_result_t at_once[STEPS], later[STEPS];
        open_run(&r, cuda, "adamw");
        take_steps(&r, at_once, 0);
        close_run(&r);
        open_run(&r, cuda, "adamw");
        take_steps(&r, later, 1);
        close_run(&r);
        for (int i = 0; i < STEPS; i++) {
            const step_result_t *a = &at_once[i], *b = &later[i];
            assert_true(a->loss == b->loss && a->gate.norm == b->gate.norm && a->gate.mean == b->gate.mean);
            assert_memory_equal(&a->bins, &b->bins, sizeof a->bins);
            assert_true(a->votes == i && b->votes == i && a->n_images == 8 && b->n_images == 8);
            assert_true(a->gate.n_updates == i + 1 && b->gate.n_updates == i + 1);
            const step_times_t *t = &b->times;
            assert_true(t->step_s > 0 && t->forward_s > 0 && t->backward_s > 0 && t->update_s > 0);
            assert_true(t->input_s + t->forward_s + t->backward_s + t->update_s < t->step_s * 1.0001);
        }
    }
}

static void devices_agree(void **state) {
    (void)state;
    static const char *const optimizers[] = {"adamw", "muon"};
    setenv("LENS_CUDA_F32", "1", 1);
    for (int o = 0; o < 2; o++) {
        run_t r;
        step_result_t results[2][STEPS];
        for (int cuda = 0; cuda < 2; cuda++) {
            open_run(&r, cuda, optimizers[o]);
            take_steps(&r, results[cuda], 1);
            close_run(&r);
        }
        for (int i = 0; i < STEPS; i++) {
            const step_result_t *cpu = &results[0][i], *cuda = &results[1][i];
            double loss = fabs(cuda->loss / cpu->loss - 1), norm = fabs(cuda->gate.norm / cpu->gate.norm - 1);
            if (getenv("CHECK_PRINT")) printf("observed %s: loss %.2g, norm %.2g\n", optimizers[o], loss, norm);
            assert_true(loss < 1e-8 && norm < 7e-8); /* observed 2.6e-9, 1.9e-8 */
        }
    }
    unsetenv("LENS_CUDA_F32");
}

static char *bytes_of(run_t *r, const void *device, size_t n) {
    char *host = malloc(n);
    assert_non_null(host);
    r->k->download(r->k, host, device, n);
    return host;
}

/* Every field of the optimiser, and the weights. */
static char *state_of(run_t *r, size_t *n) {
    size_t each = sizeof(float) * (size_t)r->state.partition.n_own;
    *n = each * (size_t)r->state.n_fields;
    char *all = malloc(*n);
    assert_non_null(all);
    for (int i = 0; i < r->state.n_fields; i++)
        r->k->download(r->k, all + (size_t)i * each, r->state.field[i].own, each);
    return all;
}

/* One of the last product's weights is no number. */
static void poison(run_t *r) {
    static const unsigned char nan[4] = {0xFF, 0xFF, 0xFF, 0xFF}; /* in float and bf16 */
    size_t at = plan_find(r->state.plan, "proj_out.weight")->offset_bytes / sizeof(float) * r->k->act_bytes;
    r->k->upload(r->k, (char *)r->state.acts + at, nan, r->k->act_bytes);
}

static void a_step_left_out_changes_nothing(void **state) {
    (void)state;
    /* Norms that were all but 0: whatever comes is an outlier. */
    const step_gate_t still = {.n = 1000, .mean = -100, .var = 1e-4, .n_updates = 7};
    for (int which = 0; which < 4; which++) {
        run_t r;
        size_t n, n_acts;
        open_run(&r, which % 2, which / 2 ? "muon" : "adamw");
        n_acts = r.k->act_bytes * (size_t)r.state.partition.n;
        train_state_set_gate(&r.state, &still);
        char *before = state_of(&r, &n), *acts = bytes_of(&r, r.state.acts, n_acts);
        for (int step = 0; step < 2; step++) {
            ask(&r, step);
            step_result_t got = result(&r);
            assert_int_equal(got.gate.verdict, STEP_OUTLIER);
            assert_true(got.gate.n_in_row == step + 1 && got.gate.n_updates == 7 && got.gate.mean == -100);
            assert_true(got.gate.zscore > 6 && isfinite(got.loss));
        }
        char *after = state_of(&r, &n), *acts_after = bytes_of(&r, r.state.acts, n_acts);
        assert_memory_equal(before, after, n);
        assert_memory_equal(acts, acts_after, n_acts);
        char *all[] = {before, after, acts, acts_after};
        for (int i = 0; i < 4; i++) free(all[i]);
        train_state_set_gate(&r.state, &(step_gate_t){0});
        ask(&r, 2);
        assert_int_equal(result(&r).gate.verdict, STEP_TAKEN);
        poison(&r);
        ask(&r, 3);
        step_result_t got = result(&r);
        assert_true(got.gate.verdict == STEP_NOT_FINITE && isnan(got.loss) && got.gate.n_updates == 1);
        close_run(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_waits_within_a_step),
        cmocka_unit_test(when_results_are_read_changes_nothing),
        cmocka_unit_test(devices_agree),
        cmocka_unit_test(a_step_left_out_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
