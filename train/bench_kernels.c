#include "train/bench_kernels.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/median.h"
#include "train/step_count.h"
#include "train/train_plan.h"

enum {
    MAX_COPIES = 8,
    RUNS = 7,                  /* of a call; the median counts */
    MAX_REPEATS = 4096,        /* of a call in a run */
    RANDOM_BYTES = 1 << 20,    /* of random numbers, one piece after the other */
    COPY_CALL_BYTES = 64 << 20 /* of the copy that is the ceiling */
};

/* The operands of one call, in several copies that are taken in turn. */
typedef struct {
    kernels_t *k;
    op_call_t call;
    int n_operands, n_copies;
    op_operand_t operand[OP_MAX_OPERANDS];
    void *p[MAX_COPIES][OP_MAX_OPERANDS];
} operands_t;

typedef struct {
    op_call_t call;
    op_cost_t cost;
    double times, s; /* of a step; of one call */
} timed_t;

typedef struct {
    kernels_t *k;
    const bench_kernels_options_t *o;
    float *random[2]; /* host: between -1 and 1; between 0.5 and 1.5 */
    double copy_gb_s, peak_gflops;
    timed_t *calls;
    int n_calls;
    double calls_s; /* of a step, all together */
} bench_kernels_t;

/* ---- random operands ---- */

/* More than what the caches hold: 50 MB on H100 and H200, 32 MB and less on the processors at hand. */
static double rotated_bytes(const kernels_t *k) {
    return strcmp(k->name, "cuda") == 0 ? 200e6 : 64e6;
}

static lens_status make_random(bench_kernels_t *b) {
    for (int positive = 0; positive < 2; positive++) {
        rng_t r = rng_stream(1, 0, (uint64_t)positive, RNG_TEST);
        float *x = b->random[positive] = malloc(RANDOM_BYTES);
        if (!x) return lens_fail(LENS_MEMORY, "bench: random numbers");
        for (size_t i = 0; i < RANDOM_BYTES / sizeof *x; i++)
            x[i] = (float)(positive ? 0.5 + rng_uniform(&r) : 2 * rng_uniform(&r) - 1);
    }
    return LENS_OK;
}

/* Uploads the same random bytes until all is full. */
static void fill_bytes(kernels_t *k, void *device, const void *host, size_t bytes) {
    for (size_t at = 0; at < bytes; at += RANDOM_BYTES)
        k->upload(k, (char *)device + at, host, bytes - at < RANDOM_BYTES ? bytes - at : RANDOM_BYTES);
}

/* Of OP_ACT: floats go through memory of the device. */
static lens_status fill_act(kernels_t *k, void *device, const void *host, int64_t n) {
    const int64_t piece = RANDOM_BYTES / sizeof(float);
    void *stage;
    LENS_TRY(k->alloc(k, &stage, RANDOM_BYTES, "random numbers"));
    k->upload(k, stage, host, RANDOM_BYTES);
    for (int64_t at = 0; at < n; at += piece)
        k->to_act(k, (char *)device + (size_t)at * k->act_bytes, stage, n - at < piece ? n - at : piece);
    lens_status st = k->finish(k);
    k->free(k, stage);
    return st;
}

/* All different, or the lengths of keys that the call's sum came from, as even as can be. */
static lens_status fill_integers(kernels_t *k, void *device, const op_operand_t *operand, const op_call_t *call) {
    int32_t *x = malloc(sizeof *x * (size_t)operand->n);
    if (!x) return lens_fail(LENS_MEMORY, "bench: %lld integers", (long long)operand->n);
    int64_t B = operand->n, keys = operand->type == OP_KEYS ? call->n[6] : 0;
    for (int64_t i = 0; i < B; i++) x[i] = operand->type == OP_KEYS ? (int32_t)(keys / B + (i < keys % B)) : (int32_t)i;
    k->upload(k, device, x, sizeof *x * (size_t)operand->n);
    lens_status st = k->finish(k);
    free(x);
    return st;
}

static lens_status fill(operands_t *o, void *device, const op_operand_t *operand, float *const random[2]) {
    kernels_t *k = o->k;
    const float *values = random[operand->type == OP_POSITIVE];
    if (operand->type == OP_IDS || operand->type == OP_KEYS) return fill_integers(k, device, operand, &o->call);
    if (operand->type == OP_F64 || operand->type == OP_GATE) return LENS_OK; /* zeros are good ones */
    if (operand->type == OP_ACT) return fill_act(k, device, values, operand->room);
    fill_bytes(k, device, values, op_type_bytes(operand->type, k->act_bytes) * (size_t)operand->room);
    return k->finish(k);
}

static lens_status operands_new(operands_t *o, kernels_t *k, const op_call_t *call, float *const random[2]) {
    *o = (operands_t){.k = k, .call = *call};
    double bytes = 1;
    o->n_operands = op_operands(o->operand, call);
    for (int i = 0; i < o->n_operands; i++)
        bytes += (double)o->operand[i].room * (double)op_type_bytes(o->operand[i].type, k->act_bytes);
    double copies = rotated_bytes(k) / bytes + 1;
    o->n_copies = copies < MAX_COPIES ? (int)copies : MAX_COPIES;
    for (int c = 0; c < o->n_copies; c++)
        for (int i = 0; i < o->n_operands; i++) {
            const op_operand_t *operand = &o->operand[i];
            size_t n = op_type_bytes(operand->type, k->act_bytes) * (size_t)operand->room;
            if (operand->n == 0) continue;
            LENS_TRY(k->alloc(k, &o->p[c][i], n, op_name(call->row)));
            LENS_TRY(fill(o, o->p[c][i], operand, random));
        }
    return LENS_OK;
}

static void operands_free(operands_t *o) {
    for (int c = 0; c < o->n_copies; c++)
        for (int i = 0; i < o->n_operands; i++) o->k->free(o->k, o->p[c][i]);
}

/* ---- timing ---- */

static lens_status time_run(operands_t *o, int repeats, double *s) {
    o->k->mark(o->k, 0);
    for (int i = 0; i < repeats; i++) op_make(o->k, &o->call, o->p[i % o->n_copies]);
    o->k->mark(o->k, 1);
    LENS_TRY(o->k->finish(o->k));
    *s = o->k->marked_s(o->k, 0, 1) / repeats;
    return LENS_OK;
}

/* Seconds of one call: the median of runs that are long enough beside a wait for the device. The first calls are for
 * pages, plans of products and scratch. */
static lens_status time_operands(operands_t *o, double budget_s, double *out) {
    double run[RUNS], s;
    LENS_TRY(time_run(o, o->n_copies, &s));
    LENS_TRY(time_run(o, 1, &s));
    double fits = budget_s / (RUNS * (s > 1e-9 ? s : 1e-9));
    int repeats = fits < 1 ? 1 : fits > MAX_REPEATS ? MAX_REPEATS : (int)fits;
    for (int i = 0; i < RUNS; i++) LENS_TRY(time_run(o, repeats, &run[i]));
    *out = median(run, RUNS);
    return LENS_OK;
}

static lens_status time_call(bench_kernels_t *b, const op_call_t *call, double budget_s, double *s) {
    operands_t o;
    lens_status st = operands_new(&o, b->k, call, b->random);
    if (st == LENS_OK) st = time_operands(&o, budget_s, s);
    operands_free(&o);
    return st == LENS_OK ? LENS_OK : lens_context(st, "%s", op_name(call->row));
}

static lens_status measure_ceilings(bench_kernels_t *b) {
    const op_call_t copy = {OP_copy, {COPY_CALL_BYTES}};
    double s;
    LENS_TRY(time_call(b, &copy, 0.05 * b->o->seconds, &s));
    b->copy_gb_s = 2.0 * COPY_CALL_BYTES / s * 1e-9;
    return b->k->peak_gflops(b->k, &b->peak_gflops);
}

static lens_status measure(bench_kernels_t *b, const step_count_t *counted) {
    int n;
    const counted_t *calls = counting_calls(counted->k, &n);
    b->calls = calloc((size_t)n, sizeof *b->calls);
    if (!b->calls) return lens_fail(LENS_MEMORY, "bench: %d calls", n);
    LENS_TRY(measure_ceilings(b));
    for (int i = 0; i < n; i++) {
        timed_t *t = &b->calls[b->n_calls];
        if (op_is_on_host(calls[i].call.row)) continue;
        *t = (timed_t){calls[i].call, op_cost(&calls[i].call, b->k->act_bytes), (double)calls[i].times, 0};
        LENS_TRY(time_call(b, &t->call, 0.9 * b->o->seconds / n, &t->s));
        b->calls_s += t->times * t->s;
        b->n_calls++;
    }
    return LENS_OK;
}

/* ---- printing ---- */

static int by_share(const void *a, const void *b) {
    const timed_t *x = a, *y = b;
    return (x->times * x->s < y->times * y->s) - (x->times * x->s > y->times * y->s);
}

static bool is_product(const timed_t *t) {
    return t->cost.flop > 0;
}

/* TFLOP/s of products, GB/s of all else. */
static double rate(const timed_t *t) {
    return is_product(t) ? t->cost.flop / t->s * 1e-12 : t->cost.least_bytes / t->s * 1e-9;
}

static double of_ceiling(const bench_kernels_t *b, const timed_t *t) {
    return rate(t) / (is_product(t) ? b->peak_gflops * 1e-3 : b->copy_gb_s);
}

static lens_status print_text(const bench_kernels_t *b) {
    printf("%s: a product %.0f GFLOP/s, a copy %.1f GB/s; all calls of a step, one after the other: %.4f s\n",
           b->k->device, b->peak_gflops, b->copy_gb_s, b->calls_s);
    printf("%-17s %6s %11s %19s %8s %7s  %s\n", "row", "calls", "us", "rate", "ceiling", "share", "sizes");
    for (int i = 0; i < b->n_calls; i++) {
        const timed_t *t = &b->calls[i];
        str_t sizes = {0};
        op_describe(&sizes, &t->call);
        LENS_TRY(str_status(&sizes));
        printf("%-17s %6.0f %11.2f %11.4f %s %6.1f %% %5.1f %%  %s\n", op_name(t->call.row), t->times, t->s * 1e6,
               rate(t), is_product(t) ? "TFLOP/s" : "GB/s   ", 100 * of_ceiling(b, t),
               100 * t->times * t->s / b->calls_s, str_text(&sizes));
        str_free(&sizes);
    }
    return LENS_OK;
}

static json_t *call_json(const bench_kernels_t *b, const timed_t *t) {
    str_t sizes = {0};
    op_describe(&sizes, &t->call);
    json_t *j = json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "row", op_name(t->call.row), "sizes",
                          str_text(&sizes), "calls", t->times, "s", t->s, "flop", t->cost.flop, "least_bytes",
                          t->cost.least_bytes, "of_ceiling", of_ceiling(b, t), "share", t->times * t->s / b->calls_s);
    str_free(&sizes);
    return j;
}

static lens_status print_json(const bench_kernels_t *b) {
    json_t *calls = json_array();
    for (int i = 0; i < b->n_calls; i++) json_array_append_new(calls, call_json(b, &b->calls[i]));
    json_t *j = json_pack("{s:s, s:f, s:f, s:f, s:o}", "device", b->k->device, "peak_gflops", b->peak_gflops,
                          "copy_gb_s", b->copy_gb_s, "calls_s", b->calls_s, "calls", calls);
    char *text = j ? json_dumps(j, JSON_REAL_PRECISION(6)) : NULL;
    json_decref(j);
    if (!text) return lens_fail(LENS_MEMORY, "bench: result");
    puts(text);
    free(text);
    return LENS_OK;
}

/* ---- all ---- */

static lens_status count_calls(step_count_t *out, const train_config_t *c, comm_t *comm,
                               const bench_kernels_options_t *o, size_t act_bytes) {
    bucket_list_t l;
    step_count_options_t count = {
        .act_bytes = act_bytes, .world = 1, .text_tok = o->text_tok ? o->text_tok : train_plan_caption_tok(c)};
    LENS_TRY(train_config_buckets(&l, c));
    count.bucket = step_count_bucket(&l, 0);
    return step_count_make(out, c, comm, &count);
}

lens_status bench_kernels(const train_config_t *c, comm_t *comm, const bench_kernels_options_t *o) {
    device_t device = {0};
    step_count_t counted = {0};
    bench_kernels_t b = {.o = o};
    lens_status st = LENS_OK;
    LENS_GO(make_random(&b));
    const device_options_t wanted = train_config_device(c);
    LENS_GO(device_open(&device, &wanted, NULL));
    b.k = device.k;
    LENS_GO(count_calls(&counted, c, comm, o, b.k->act_bytes));
    LENS_GO(measure(&b, &counted));
    qsort(b.calls, (size_t)b.n_calls, sizeof *b.calls, by_share);
    st = o->json ? print_json(&b) : print_text(&b);
done:
    step_count_free(&counted);
    device_close(&device);
    free(b.calls);
    for (int i = 0; i < 2; i++) free(b.random[i]);
    return st;
}
