/* The memory plan against what the state and the step really allocate, and the plan of a run against arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "kernels/collectives.h"
#include "train/step.h"
#include "train/train_plan.h"

static void load(train_config_t *c, int n, char **overrides) {
    char *fixed[16] = {"run.dir=x",      "data.dataset=y", "model.heads=3",
                       "model.layers=3", "text.rows=300",  "sample.every=0"};
    int n_fixed = 6;
    for (int i = 0; i < n; i++) fixed[n_fixed + i] = overrides[i];
    lens_status st = train_config_load(c, "configs/nano.yaml", n_fixed + n, fixed);
    if (st != LENS_OK) fail_msg("%s", lens_error());
}

static memory_plan_t plan_of(int world, size_t act_bytes, int n, char **overrides) {
    train_config_t c;
    memory_plan_t p;
    memory_machine_t m = {.world = world, .act_bytes = act_bytes};
    load(&c, n, overrides);
    lens_status st = memory_plan_make(&p, &c, &m);
    if (st != LENS_OK) fail_msg("%s", lens_error());
    train_config_free(&c);
    return p;
}

static size_t state_bytes(const memory_plan_t *p) {
    static const char *const rows[] = {
        "weights", "master weights",     "frozen weights", "gradients", "gradients on their way",
        "moments", "averages of weights"};
    size_t sum = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) sum += memory_plan_bytes(p, rows[i]);
    return sum;
}

/* Byte for byte what train_state and the model allocate. */
static void test_matches_allocation(void **unused) {
    (void)unused;
    char *cases[][2] = {{"train.checkpointing=none", "train.ema=0.9"},
                        {"train.checkpointing=selective", "train.ema=0.9,0.99"},
                        {"train.checkpointing=full", "train.accumulate=4"},
                        {"lora.rank=3", "train.init_from=z"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        train_config_t c;
        pipeline_config_t pipeline;
        comm_t *comm;
        kernels_t *k;
        collectives_t *coll;
        train_state_t s;
        stepper_t *stepper;
        load(&c, 2, cases[i]);
        assert_int_equal(train_config_pipeline(&pipeline, &c), LENS_OK);
        assert_int_equal(comm_init(&comm), LENS_OK);
        assert_int_equal(kernels_cpu_new(&k, 1, 1), LENS_OK);
        assert_int_equal(collectives_host_new(&coll, comm), LENS_OK);
        assert_int_equal(train_state_init(&s, k, coll, &c, &pipeline), LENS_OK);
        mmdit_shape_t shape = {.B = 32 / c.train.accumulate, .N = 64, .T = c.text.max_tok};
        assert_int_equal(stepper_new(&stepper, k, &c, &pipeline, &shape, 1), LENS_OK);
        memory_plan_t p = plan_of(1, sizeof(float), 2, cases[i]);
        assert_int_equal(state_bytes(&p), train_state_bytes(&s));
        assert_int_equal(memory_plan_bytes(&p, "activations"), stepper_activations(stepper)->bytes);
        assert_int_equal(p.n_parameters, plan_n_elements(&s.weights.plan));
        assert_int_equal(p.n_trained, plan_n_elements(s.plan));
        stepper_free(stepper);
        train_state_free(&s);
        collectives_free(coll);
        kernels_free(k);
        comm_free(comm);
        train_config_free(&c);
    }
}

static void test_sums(void **unused) {
    (void)unused;
    memory_plan_t p = plan_of(2, 2, 0, NULL);
    size_t device = 0, host = 0;
    for (int i = 0; i < p.n_rows; i++) *(p.row[i].where == MEMORY_DEVICE ? &device : &host) += p.row[i].bytes;
    assert_int_equal(device, p.device_bytes);
    assert_int_equal(host, p.host_bytes);
    assert_int_equal(memory_plan_bytes(&p, "no such row"), 0);
}

/* What the stages of ZeRO shard: moments and masters at 1, gradients too at 2. */
static void test_zero(void **unused) {
    (void)unused;
    char *zero[3][2] = {{"train.zero=0", "train.group_mb=0.1"},
                        {"train.zero=1", "train.group_mb=0.1"},
                        {"train.zero=2", "train.group_mb=0.1"}};
    memory_plan_t p[3];
    for (int i = 0; i < 3; i++) p[i] = plan_of(4, 2, 2, zero[i]);
    double pad = 1.001; /* groups end at multiples of the pieces */
    size_t flat = memory_plan_bytes(&p[0], "gradients");
    assert_int_equal(memory_plan_bytes(&p[0], "moments"), 2 * flat);
    assert_true((double)memory_plan_bytes(&p[1], "moments") < 0.5 * pad * (double)flat);
    assert_true(memory_plan_bytes(&p[1], "gradients") >= flat);
    assert_true((double)memory_plan_bytes(&p[2], "gradients") < 0.25 * pad * (double)flat);
    assert_int_equal(memory_plan_bytes(&p[2], "gradients on their way"), 2 * p[2].largest_group_bytes);
    assert_int_equal(memory_plan_bytes(&p[0], "gradients on their way"), 0);
    /* An act of 4 bytes is the master itself where nothing is shared out. */
    memory_plan_t cpu = plan_of(1, 4, 0, NULL), gpu = plan_of(1, 2, 0, NULL);
    assert_int_equal(memory_plan_bytes(&cpu, "master weights"), 0);
    assert_int_equal(memory_plan_bytes(&gpu, "master weights"), 2 * memory_plan_bytes(&gpu, "weights"));
}

static void test_refused(void **unused) {
    (void)unused;
    train_config_t c;
    memory_plan_t p;
    memory_machine_t m = {.world = 5, .act_bytes = 4};
    load(&c, 0, NULL);
    assert_int_equal(memory_plan_make(&p, &c, &m), LENS_ARGUMENT); /* a batch of 32 over 5 ranks */
    train_config_free(&c);
}

/* Two areas: as many images of each, so twice as many batches of the one whose batch is half as large. */
static void test_step_of_areas(void **unused) {
    (void)unused;
    char *overrides[] = {"data.buckets=32x32,64x64", "train.batch=8,4", "train.slots=6", "text.max_tok=20"};
    train_config_t c;
    train_plan_t p;
    memory_machine_t m = {.world = 2, .act_bytes = 4};
    load(&c, 4, overrides);
    lens_status st = train_plan_make(&p, &c, &m, 0);
    if (st != LENS_OK) fail_msg("%s", lens_error());
    assert_int_equal(p.text_tok, 10);
    assert_int_equal(p.per_step, 3);
    assert_float_equal(p.area[0].share, 1.0 / 3, 1e-6);
    assert_float_equal(p.step_images, 6 * (8 / 3.0 + 4 * 2 / 3.0), 1e-4);
    double small = 8 * p.bucket[0].image_flop, large = 4 * p.bucket[1].image_flop, mean = (small + 2 * large) / 3;
    assert_true(p.bucket[0].image_flop == 3 * mmdit_forward_flop(&p.pipeline.mmdit, 64, 10));
    assert_float_equal(p.step_flop / (6 * mean), 1, 1e-6);
    assert_float_equal(p.slowest_flop / (large + 2 * mean), 1, 1e-6);
    assert_int_equal(train_plan_make(&p, &c, &m, 21), LENS_ARGUMENT);
    train_config_free(&c);
}

static void test_peak(void **unused) {
    (void)unused;
    kernels_t *k;
    size_t peak, total;
    assert_int_equal(kernels_cpu_new(&k, 1, 1), LENS_OK);
    k->memory(k, &peak, &total);
    assert_in_range(peak, (size_t)1 << 20, (size_t)1 << 40);
    assert_in_range(total, peak, (size_t)1 << 50);
    kernels_free(k);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matches_allocation),
                                       cmocka_unit_test(test_sums),
                                       cmocka_unit_test(test_zero),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_step_of_areas),
                                       cmocka_unit_test(test_peak)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
