#include "launch/gpu_plan.h"

/* Driver context, libraries' workspaces, buffers of the collectives, and what an allocator cannot use. */
#define RESERVE_GB 4.0

enum { MAX_MICRO = 4096 };

/* ---- memory ---- */

/* Whether a micro-batch of `micro` samples of one area, and one sample of the others, fits. */
static lens_status micro_fits(bool *out, const gpu_plan_t *g, const train_config_t *c, int area, int64_t micro) {
    memory_plan_t m;
    train_config_t other = *c; /* borrows its strings, but for the batch */
    str_t batch = {0};
    for (int i = 0; i < g->plan.n_areas; i++)
        str_addf(&batch, "%s%lld", i ? "," : "", (long long)(i == area ? micro : 1) * (long long)g->plan.sharing);
    lens_status st = str_status(&batch);
    other.train.batch = batch.s;
    other.train.accumulate = 1;
    if (st == LENS_OK) st = memory_plan_make(&m, &other, &g->plan.machine);
    if (st == LENS_OK) *out = (double)m.device_bytes * 1e-9 <= g->usable_gb;
    str_free(&batch);
    return st;
}

/* By bisection: memory grows with the micro-batch. */
static lens_status find_largest(gpu_plan_t *g, const train_config_t *c, int area) {
    int64_t fits = 0, not = MAX_MICRO + 1;
    while (not -fits > 1) {
        int64_t middle = fits == 0 && not > MAX_MICRO ? 1 : not > MAX_MICRO ? 2 * fits : (fits + not ) / 2;
        if (middle > MAX_MICRO) break;
        bool ok = false;
        LENS_TRY(micro_fits(&ok, g, c, area, middle));
        if (ok)
            fits = middle;
        else
            not = middle;
    }
    g->largest_micro[area] = fits;
    return LENS_OK;
}

/* ---- time ---- */

/* Bytes that a rank's update reads and writes, a float of its own: gradient, master weight, two moments, averages, and
 * the weights that products read. */
static double update_bytes(const gpu_plan_t *g, const train_config_t *c) {
    double decay[TRAIN_MAX_EMA];
    return 4 + 8 + 16 + 8.0 * train_config_ema(decay, c) + (double)g->plan.machine.act_bytes;
}

static double at_least(double x, double least) {
    return x > least ? x : least;
}

/* Gradients go while backward, two thirds of a micro-batch's compute, is in the parts before; the last group has
 * nothing to hide behind. New weights come during the next forward pass; the first group has nothing. */
static void time_collectives(gpu_plan_t *g, const train_config_t *c) {
    const memory_plan_t *m = &g->plan.memory;
    int world = g->plan.machine.world;
    if (world == 1) return;
    int64_t zero = c->train.zero, n_micro = g->plan.per_step * g->plan.accumulate;
    int64_t sends = zero == 2 ? n_micro : 1;
    double way = (double)(world - 1) / world / (g->link_gb_s * 1e9), micro_s = g->compute_s / (double)n_micro;
    double weights = (double)memory_plan_bytes(m, "weights"), grads = weights / (double)g->plan.machine.act_bytes * 4;
    double passes = zero == 0 ? 2 : 1; /* an all-reduce is a reduce-scatter and an all-gather */
    double each_s = passes * grads * way, end_s = passes * (double)m->largest_group_bytes * way;
    g->reduce_s = each_s * (double)sends;
    g->exposed_s = (double)sends * at_least(each_s - micro_s * 2 / 3, end_s);
    if (zero == 0) return;
    g->gather_s = weights * way;
    g->exposed_s += at_least(g->gather_s - micro_s / 3, end_s / 4 * (double)g->plan.machine.act_bytes);
}

static void time_step(gpu_plan_t *g, const train_config_t *c) {
    const train_plan_t *p = &g->plan;
    double peak = g->gpu->peak_tflops * 1e12, world = p->machine.world;
    g->compute_s = p->slowest_flop / (peak * g->mfu);
    g->mean_compute_s = p->step_flop / world / (peak * g->mfu);
    g->update_s = (double)p->memory.n_own * update_bytes(g, c) / (g->gpu->memory_tb_s * 1e12);
    time_collectives(g, c);
    g->step_s = g->compute_s + g->update_s + g->exposed_s;
    g->run_mfu = p->step_flop / world / (g->step_s * peak);
    g->days = g->step_s * (double)c->train.steps / 86400;
    g->gpu_hours = 24 * g->days * world;
}

lens_status gpu_plan_make(gpu_plan_t *out, const train_config_t *c, const gpu_t *gpu, int n_gpus,
                          const gpu_assumptions_t *a) {
    memory_machine_t machine = memory_machine_gpu(n_gpus, MEMORY_GPU_ACT_BYTES);
    *out = (gpu_plan_t){.gpu = gpu, .mfu = a->mfu, .usable_gb = gpu->memory_gb - RESERVE_GB};
    out->link_gb_s = a->link_gb_s > 0 ? a->link_gb_s : n_gpus <= GPU_NODE ? gpu->node_gb_s : gpu->network_gb_s;
    LENS_TRY(train_plan_make(&out->plan, c, &machine, a->text_tok));
    out->used_gb = (double)out->plan.memory.device_bytes * 1e-9;
    out->fits = out->used_gb <= out->usable_gb;
    for (int i = 0; i < out->plan.n_areas; i++) LENS_TRY(find_largest(out, c, i));
    time_step(out, c);
    return LENS_OK;
}
