/* `lens plan`: what a configuration needs on GPUs, before any is rented. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/command.h"
#include "launch/gpu_plan.h"

typedef struct {
    int64_t gpus, text_tok;
    char *gpu, *get;
    double mfu, link;
    bool json;
} plan_values_t;

static const option_t options[] = {
    {.name = "gpus",
     .type = OPTION_INT,
     .offset = offsetof(plan_values_t, gpus),
     .initial = "1",
     .min = 1,
     .max = 1e6,
     .help = "GPUs, one a rank",
     .letter = 'n'},
    {.name = "gpu",
     .type = OPTION_CHOICE,
     .offset = offsetof(plan_values_t, gpu),
     .initial = "h100",
     .choices = GPU_NAMES,
     .help = "what they are"},
    {.name = "mfu",
     .type = OPTION_FLOAT,
     .offset = offsetof(plan_values_t, mfu),
     .initial = "0.5",
     .min = 0.001,
     .max = 1,
     .help = "model FLOP of compute over bf16 dense peak: an assumption"},
    {.name = "link",
     .type = OPTION_FLOAT,
     .offset = offsetof(plan_values_t, link),
     .initial = "0",
     .min = 0,
     .max = 1e5,
     .unit = "GB/s",
     .help = "a GPU's, each way; 0: NVLink's up to 8 GPUs, else the usual network's"},
    {.name = "text-tok",
     .type = OPTION_INT,
     .offset = offsetof(plan_values_t, text_tok),
     .initial = "0",
     .min = 0,
     .max = 65536,
     .unit = "tokens",
     .help = "of a caption, for the cost; 0: 160, or half of text.max_tok"},
    {.name = "get",
     .type = OPTION_STRING,
     .offset = offsetof(plan_values_t, get),
     .choices = "KEY",
     .help = "print the value of this key of the configuration and stop"},
    {.name = "json", .type = OPTION_FLAG, .offset = offsetof(plan_values_t, json), .help = "for machines"},
};

/* ---- text ---- */

static void print_memory(str_t *out, const gpu_plan_t *g) {
    str_addf(out,
             "fits     %s: %.1f GB of %.1f usable (%s has %.0f GB; the rest is for driver, libraries, collectives)\n",
             g->fits ? "yes" : "NO", g->used_gb, g->usable_gb, g->gpu->name, g->gpu->memory_gb);
    str_add(out, "micro    largest that fits, each area alone:");
    for (int i = 0; i < g->plan.n_areas; i++)
        str_addf(out, "%s area %d: %lld", i ? "," : "", i, (long long)g->largest_micro[i]);
    str_add(out, "\n");
}

static void print_time(str_t *out, const gpu_plan_t *g, const train_config_t *c) {
    double comm_s = g->reduce_s + g->gather_s, hidden = comm_s > 0 ? 100 * (1 - g->exposed_s / comm_s) : 100;
    str_addf(
        out,
        "compute  %.3f s a step at MFU %.0f %% of %.1f TFLOP/s (bf16 dense peak); the mean rank %.3f s, the slowest "
        "counts\n",
        g->compute_s, 100 * g->mfu, g->gpu->peak_tflops, g->mean_compute_s);
    str_addf(out, "update   %.3f s (%.2f TB/s of memory)\n", g->update_s, g->gpu->memory_tb_s);
    if (comm_s > 0)
        str_addf(
            out,
            "link     %.0f GB/s a GPU, each way: gradients %.3f s, weights %.3f s; %.0f %% hidden, exposed %.3f s\n",
            g->link_gb_s, g->reduce_s, g->gather_s, hidden, g->exposed_s);
    str_addf(out, "step     %.3f s, %.0f images/s, MFU %.1f %% of %.1f TFLOP/s with all of it\n", g->step_s,
             g->plan.step_images / g->step_s, 100 * g->run_mfu, g->gpu->peak_tflops);
    str_addf(out, "run      %lld steps, %.0f M images, %.3g FLOP: %.1f days, %.0f GPU hours\n",
             (long long)c->train.steps, g->plan.step_images * (double)c->train.steps * 1e-6,
             g->plan.step_flop * (double)c->train.steps, g->days, g->gpu_hours);
}

static lens_status print_text(const gpu_plan_t *g, const train_config_t *c, const char *path) {
    str_t out = {0};
    str_addf(&out, "%s on %d x %s\n", path, g->plan.machine.world, g->gpu->name);
    train_plan_print(&out, &g->plan, c);
    print_memory(&out, g);
    print_time(&out, g, c);
    lens_status st = str_status(&out);
    if (st == LENS_OK) fputs(out.s, stdout);
    str_free(&out);
    return st;
}

/* ---- JSON ---- */

static json_t *memory_json(const gpu_plan_t *g) {
    json_t *rows = json_array();
    const memory_plan_t *m = &g->plan.memory;
    for (int i = 0; i < m->n_rows; i++)
        json_array_append_new(rows,
                              json_pack("{s:s, s:I, s:s}", "name", m->row[i].name, "bytes", (json_int_t)m->row[i].bytes,
                                        "where", m->row[i].where == MEMORY_DEVICE ? "device" : "host"));
    return rows;
}

static json_t *areas_json(const gpu_plan_t *g) {
    json_t *rows = json_array();
    for (int i = 0; i < g->plan.n_areas; i++) {
        const train_plan_area_t *a = &g->plan.area[i];
        json_array_append_new(rows, json_pack("{s:I, s:I, s:I, s:f}", "batch", (json_int_t)a->batch, "micro",
                                              (json_int_t)a->micro, "largest_micro", (json_int_t)g->largest_micro[i],
                                              "share", a->share));
    }
    return rows;
}

static json_t *buckets_json(const gpu_plan_t *g) {
    json_t *rows = json_array();
    for (int i = 0; i < g->plan.n_buckets; i++) {
        const train_plan_bucket_t *b = &g->plan.bucket[i];
        json_array_append_new(rows, json_pack("{s:i, s:i, s:i, s:I, s:f, s:f}", "area", b->bucket.area, "width",
                                              (int)b->bucket.width, "height", (int)b->bucket.height, "tokens",
                                              (json_int_t)b->n_tok, "mu", b->mu, "image_flop", b->image_flop));
    }
    return rows;
}

static lens_status print_json(const gpu_plan_t *g, const train_config_t *c) {
    const train_plan_t *p = &g->plan;
    json_t *j = json_pack(
        "{s:s, s:i, s:f, s:f, s:f, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, "
        "s:f, s:f, s:I, s:f, s:f}",
        "gpu", g->gpu->name, "gpus", p->machine.world, "peak_tflops", g->gpu->peak_tflops, "mfu_assumed", g->mfu,
        "link_gb_s", g->link_gb_s, "parameters", (json_int_t)p->memory.n_parameters, "text_tok",
        (json_int_t)p->text_tok, "buckets", buckets_json(g), "areas", areas_json(g), "memory", memory_json(g),
        "device_bytes", (json_int_t)p->memory.device_bytes, "host_bytes", (json_int_t)p->memory.host_bytes, "fits",
        (int)g->fits, "usable_gb", g->usable_gb, "compute_s", g->compute_s, "update_s", g->update_s, "reduce_s",
        g->reduce_s, "gather_s", g->gather_s, "exposed_s", g->exposed_s, "step_s", g->step_s, "mfu", g->run_mfu,
        "step_images", p->step_images, "step_flop", p->step_flop, "steps", (json_int_t)c->train.steps, "days", g->days,
        "gpu_hours", g->gpu_hours);
    char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(j);
    if (!text) return lens_fail(LENS_MEMORY, "out of memory for JSON");
    puts(text);
    free(text);
    return LENS_OK;
}

/* ---- the command ---- */

static lens_status print_value(const train_config_t *c, const char *key) {
    str_t text = {0};
    lens_status st = options_get(&text, train_config_table(), c, key);
    if (st == LENS_OK) puts(str_text(&text));
    str_free(&text);
    return st;
}

static lens_status run(const void *values, int n_args, char **args) {
    const plan_values_t *v = values;
    gpu_assumptions_t a = {.mfu = v->mfu, .link_gb_s = v->link, .text_tok = v->text_tok};
    train_config_t c;
    gpu_plan_t g;
    if (n_args < 1) return lens_fail(LENS_ARGUMENT, "expected a configuration: lens plan CONFIG [KEY=VALUE...]");
    LENS_TRY(train_config_load(&c, args[0], n_args - 1, args + 1));
    lens_status st;
    if (v->get) {
        st = print_value(&c, v->get);
        goto done;
    }
    LENS_GO(gpu_plan_make(&g, &c, gpu_find(v->gpu), (int)v->gpus, &a));
    st = v->json ? print_json(&g, &c) : print_text(&g, &c, args[0]);
done:
    train_config_free(&c);
    return st;
}

const command_t cmd_plan = {
    .name = "plan",
    .usage = "CONFIG [KEY=VALUE...] [--gpus N] [--gpu NAME]",
    .summary = "say what a training run needs on GPUs: memory, time, hours",
    .details =
        "Memory by buffer, whether it fits, the largest micro-batch that does, the time of a step at an assumed MFU\n"
        "and speed of the link, days and GPU hours. Nothing is allocated. `lens train --dry-run` says the same of\n"
        "CPUs.\n"
        "    lens plan configs/lens-3.8b-stage1.yaml --gpus 128 --gpu a100-80g",
    .options = OPTION_TABLE(options),
    .values_size = sizeof(plan_values_t),
    .run = run,
};
