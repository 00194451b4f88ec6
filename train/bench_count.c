#include "train/bench_count.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/memory_plan.h"
#include "train/step_count.h"
#include "train/train_plan.h"

enum { ACT_BYTES = MEMORY_GPU_ACT_BYTES, MAX_CASES = 16, NAME_BYTES = 48 };

/* All calls of a row. */
typedef struct {
    op_row row;
    double calls, s;
    op_cost_t cost;
} row_sum_t;

/* One step of one configuration. */
typedef struct {
    char name[NAME_BYTES];
    row_sum_t row[OP_N]; /* the dearest first */
    int n_rows;
    row_sum_t sum;
    double model_flop, n_images, link_s, memory_gb;
} step_cost_t;

/* ---- adding up ---- */

static void add_call(row_sum_t *r, const counted_t *c, double s) {
    op_cost_t cost = op_cost(&c->call, ACT_BYTES);
    double times = (double)c->times;
    r->calls += times;
    r->s += times * s;
    r->cost.flop += times * cost.flop;
    r->cost.ops += times * cost.ops;
    r->cost.bytes += times * cost.bytes;
    r->cost.least_bytes += times * cost.least_bytes;
    r->cost.launches += times * cost.launches;
}

static int by_time(const void *a, const void *b) {
    double x = ((const row_sum_t *)a)->s, y = ((const row_sum_t *)b)->s;
    return (x < y) - (x > y);
}

static void add_up(step_cost_t *out, const step_count_t *counted, const gpu_t *gpu, const op_efficiency_t *e) {
    int n;
    const counted_t *calls = counting_calls(counted->k, &n);
    row_sum_t all[OP_N] = {0};
    for (int i = 0; i < n; i++) {
        double s = op_time_s(&calls[i].call, ACT_BYTES, gpu, e);
        add_call(&all[calls[i].call.row], &calls[i], s);
        add_call(&out->sum, &calls[i], s);
    }
    for (int i = 0; i < OP_N; i++) {
        if (all[i].calls == 0) continue;
        all[i].row = (op_row)i;
        out->row[out->n_rows++] = all[i];
    }
    qsort(out->row, (size_t)out->n_rows, sizeof *out->row, by_time);
}

static lens_status cost_step(step_cost_t *out, const train_config_t *c, comm_t *comm, const bench_count_options_t *o,
                             const step_count_options_t *count) {
    const gpu_t *gpu = gpu_find(o->gpu);
    step_count_t counted;
    memory_plan_t memory;
    memory_machine_t machine = memory_machine_gpu(count->world, ACT_BYTES);
    LENS_TRY(memory_plan_make(&memory, c, &machine));
    LENS_TRY(step_count_make(&counted, c, comm, count));
    add_up(out, &counted, gpu, &o->efficiency);
    double link_gb_s = count->world <= GPU_NODE ? gpu->node_gb_s : gpu->network_gb_s;
    out->model_flop = counted.model_flop;
    out->n_images = counted.n_images;
    out->link_s = counted.sent_bytes / (link_gb_s * 1e9);
    out->memory_gb = (double)memory.device_bytes * 1e-9;
    step_count_free(&counted);
    return LENS_OK;
}

/* ---- cases ---- */

typedef struct {
    const train_config_t *c;
    comm_t *comm;
    const bench_count_options_t *o;
    const gpu_t *gpu;
    step_count_options_t count;
    bucket_list_t buckets;
    step_cost_t area[BUCKET_MAX], other[MAX_CASES];
    int n_others;
} bench_count_t;

static lens_status count_areas(bench_count_t *b) {
    for (int i = 0; i < b->buckets.n_areas; i++) {
        step_count_options_t count = b->count;
        count.bucket = step_count_bucket(&b->buckets, i);
        const bucket_t *bucket = &b->buckets.bucket[count.bucket];
        LENS_TRY(cost_step(&b->area[i], b->c, b->comm, b->o, &count));
        snprintf(b->area[i].name, NAME_BYTES, "%dx%d, %.0f images", bucket->width, bucket->height, b->area[i].n_images);
    }
    return LENS_OK;
}

static lens_status count_other(bench_count_t *b, const train_config_t *c, int world, const char *name) {
    LENS_ASSERT(b->n_others < MAX_CASES, "%d cases", b->n_others);
    step_cost_t *out = &b->other[b->n_others++];
    step_count_options_t count = b->count;
    count.world = world;
    snprintf(out->name, NAME_BYTES, "%s", name);
    return cost_step(out, c, b->comm, b->o, &count);
}

static lens_status count_checkpointing(bench_count_t *b) {
    for (int i = 0; i < MMDIT_N_CHECKPOINTING; i++) {
        train_config_t c = *b->c; /* borrows its strings */
        char name[NAME_BYTES];
        c.train.checkpointing = (char *)mmdit_checkpointing_name((mmdit_checkpointing)i);
        snprintf(name, sizeof name, "checkpointing %s", c.train.checkpointing);
        LENS_TRY(count_other(b, &c, b->count.world, name));
    }
    return LENS_OK;
}

/* Where an area's samples do not divide, the case is left out. */
static lens_status count_micro_batches(bench_count_t *b) {
    for (int64_t n = 1; n <= 4; n *= 2) {
        train_config_t c = *b->c;
        int64_t sharing, per_step;
        char name[NAME_BYTES];
        c.train.accumulate = n;
        if (train_config_shares(&sharing, &per_step, &c, b->count.world) != LENS_OK) continue;
        snprintf(name, sizeof name, "micro-batches of a batch: %lld", (long long)n);
        LENS_TRY(count_other(b, &c, b->count.world, name));
    }
    return LENS_OK;
}

static lens_status count_averages(bench_count_t *b) {
    static char one[] = "0.9999", two[] = "0.999,0.9999";
    char *const ema[] = {one, two};
    for (int i = 0; i < 2; i++) {
        train_config_t c = *b->c;
        char name[NAME_BYTES];
        c.train.ema = ema[i];
        snprintf(name, sizeof name, "averages: %d", i + 1);
        LENS_TRY(count_other(b, &c, b->count.world, name));
    }
    return LENS_OK;
}

/* Ranks of one node with as many batches each as the rank that was counted. */
static lens_status count_zero(bench_count_t *b) {
    int64_t sharing, per_step;
    LENS_TRY(train_config_shares(&sharing, &per_step, b->c, b->count.world));
    for (int64_t zero = 0; zero <= 2; zero++) {
        train_config_t c = *b->c;
        char name[NAME_BYTES];
        if (sharing > 1) return LENS_OK;
        c.train.slots = GPU_NODE * per_step;
        c.train.zero = zero;
        snprintf(name, sizeof name, "%d ranks, zero %lld", GPU_NODE, (long long)zero);
        LENS_TRY(count_other(b, &c, GPU_NODE, name));
    }
    return LENS_OK;
}

static lens_status count_all(bench_count_t *b) {
    LENS_TRY(count_areas(b));
    LENS_TRY(count_checkpointing(b));
    LENS_TRY(count_micro_batches(b));
    LENS_TRY(count_averages(b));
    return count_zero(b);
}

/* ---- printing ---- */

static double mfu(const bench_count_t *b, const step_cost_t *s) {
    return s->model_flop / (s->sum.s * b->gpu->peak_tflops * 1e12);
}

static void print_row(const char *name, const row_sum_t *r, double step_s) {
    printf("%-18s %7.0f %10.4f %9.3f %9.3f %9.3f %6.1f %%\n", name, r->calls, r->cost.flop * 1e-12,
           r->cost.bytes * 1e-9, r->cost.least_bytes * 1e-9, r->s * 1e3, 100 * r->s / step_s);
}

static void print_case(const bench_count_t *b, const step_cost_t *s) {
    printf("%-30s %9.1f %9.1f %6.1f %% %9.1f %9.1f %9.1f\n", s->name, s->sum.s * 1e3, s->n_images / s->sum.s,
           100 * mfu(b, s), s->sum.cost.bytes * 1e-9, s->memory_gb, s->link_s * 1e3);
}

static void print_text(const bench_count_t *b) {
    const step_cost_t *s = &b->area[0];
    const op_efficiency_t *e = &b->o->efficiency;
    printf("predicted, not measured: %s, %.1f TFLOP/s (bf16, dense), %.2f TB/s\n", b->gpu->name, b->gpu->peak_tflops,
           b->gpu->memory_tb_s);
    printf("of these: products %.2f in full waves, attention %.2f and %.2f at heads of 128, copies %.2f; %.1f us a "
           "launch\n",
           e->products, e->attention_fwd, e->attention_bwd, e->copies, e->launch_us);
    printf("a step of %s, captions of %lld tokens\n\n", s->name, (long long)b->count.text_tok);
    printf("%-18s %7s %10s %9s %9s %9s %8s\n", "row", "calls", "TFLOP", "GB", "least GB", "ms", "share");
    for (int i = 0; i < s->n_rows; i++) print_row(op_name(s->row[i].row), &s->row[i], s->sum.s);
    print_row("sum", &s->sum, s->sum.s);
    printf("\nstep      %.1f ms, of which %.0f launches %.1f ms\n", s->sum.s * 1e3, s->sum.cost.launches,
           s->sum.cost.launches * e->launch_us * 1e-3);
    printf("images/s  %.1f\n", s->n_images / s->sum.s);
    printf("MFU       %.1f %%: %.2f TFLOP useful, %.2f made, and %.2f of other arithmetic\n", 100 * mfu(b, s),
           s->model_flop * 1e-12, s->sum.cost.flop * 1e-12, s->sum.cost.ops * 1e-12);
    printf("memory    %.1f GB of %.0f\n\n", s->memory_gb, b->gpu->memory_gb);
    printf("%-30s %9s %9s %8s %9s %9s %9s\n", "", "ms", "images/s", "MFU", "GB moved", "GB memory", "link ms");
    for (int i = 0; i < b->buckets.n_areas; i++) print_case(b, &b->area[i]);
    puts("or, of the first:");
    for (int i = 0; i < b->n_others; i++) print_case(b, &b->other[i]);
    puts("link ms: what ranks send, beside the compute and not in its time");
}

static json_t *case_json(const bench_count_t *b, const step_cost_t *s) {
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "name", s->name, "step_s", s->sum.s,
                     "images_per_s", s->n_images / s->sum.s, "mfu", mfu(b, s), "model_flop", s->model_flop, "bytes",
                     s->sum.cost.bytes, "launches", s->sum.cost.launches, "memory_gb", s->memory_gb, "link_s",
                     s->link_s);
}

static json_t *rows_json(const step_cost_t *s) {
    json_t *rows = json_array();
    for (int i = 0; i < s->n_rows; i++) {
        const row_sum_t *r = &s->row[i];
        json_array_append_new(rows,
                              json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "row", op_name(r->row), "calls",
                                        r->calls, "flop", r->cost.flop, "ops", r->cost.ops, "bytes", r->cost.bytes,
                                        "least_bytes", r->cost.least_bytes, "launches", r->cost.launches, "s", r->s));
    }
    return rows;
}

static lens_status print_json(const bench_count_t *b) {
    json_t *areas = json_array(), *others = json_array();
    for (int i = 0; i < b->buckets.n_areas; i++) json_array_append_new(areas, case_json(b, &b->area[i]));
    for (int i = 0; i < b->n_others; i++) json_array_append_new(others, case_json(b, &b->other[i]));
    json_t *j =
        json_pack("{s:s, s:f, s:f, s:I, s:o, s:o, s:o}", "gpu", b->gpu->name, "peak_tflops", b->gpu->peak_tflops,
                  "memory_tb_s", b->gpu->memory_tb_s, "text_tok", (json_int_t)b->count.text_tok, "rows",
                  rows_json(&b->area[0]), "areas", areas, "others", others);
    char *text = j ? json_dumps(j, JSON_REAL_PRECISION(10)) : NULL;
    json_decref(j);
    if (!text) return lens_fail(LENS_MEMORY, "bench: result");
    puts(text);
    free(text);
    return LENS_OK;
}

lens_status bench_count(const train_config_t *c, comm_t *comm, const bench_count_options_t *o) {
    bench_count_t *b = calloc(1, sizeof *b);
    lens_status st = LENS_OK;
    if (!b) return lens_fail(LENS_MEMORY, "bench");
    *b = (bench_count_t){.c = c, .comm = comm, .o = o, .gpu = gpu_find(o->gpu)};
    b->count = (step_count_options_t){.act_bytes = ACT_BYTES,
                                      .world = (int)o->ranks,
                                      .text_tok = o->text_tok ? o->text_tok : train_plan_caption_tok(c)};
    LENS_GO(train_config_buckets(&b->buckets, c));
    b->count.bucket = step_count_bucket(&b->buckets, 0);
    LENS_GO(count_all(b));
    if (o->json)
        st = print_json(b);
    else
        print_text(b);
done:
    free(b);
    return st;
}
