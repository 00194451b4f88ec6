#include "train/memory_plan.h"

#include <stdio.h>
#include <string.h>

#include "train/checkpoint.h"
#include "train/muon.h"
#include "train/partition.h"
#include "train/train_state.h"

typedef struct {
    memory_plan_t *out;
    const train_config_t *c;
    const memory_machine_t *m;
    pipeline_config_t pipeline;
    bucket_list_t buckets;
    int64_t batch[BUCKET_MAX];        /* of each area, of this rank */
    mmdit_shape_t shape[BUCKET_MAX];  /* of each bucket: this rank's micro-batch */
    int64_t max_rows, max_batch_rows; /* samples of the largest micro-batch and batch */
    int64_t max_elements;             /* of the latents of a micro-batch */
    int64_t max_pixels, max_cells;    /* values of pictures, and of latents, of the largest batch */
} planner_t;

static void add(planner_t *p, const char *name, memory_where where, int64_t n, size_t each) {
    if (n <= 0) return;
    LENS_ASSERT(p->out->n_rows < MEMORY_MAX_ROWS, "%d rows", p->out->n_rows);
    size_t bytes = (size_t)n * each;
    p->out->row[p->out->n_rows++] = (memory_row_t){name, bytes, where};
    if (where == MEMORY_DEVICE)
        p->out->device_bytes += bytes;
    else
        p->out->host_bytes += bytes;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* ---- what a step brings ---- */

static lens_status find_shapes(planner_t *p) {
    const train_config_t *c = p->c;
    int64_t sharing, per_step, cells = c->model.channels, side = c->model.downscale;
    LENS_TRY(train_config_shares(&sharing, &per_step, c, p->m->world));
    LENS_TRY(train_config_buckets(&p->buckets, c));
    LENS_TRY(train_config_batch(p->batch, c, &p->buckets));
    for (int i = 0; i < p->buckets.n_areas; i++) p->batch[i] /= sharing;
    for (int i = 0; i < p->buckets.n; i++) {
        const bucket_t *b = &p->buckets.bucket[i];
        int64_t rows = p->batch[b->area], px = (int64_t)b->width * b->height;
        p->shape[i] = train_config_shape(c, b, rows / c->train.accumulate);
        p->max_rows = larger(p->max_rows, p->shape[i].B);
        p->max_batch_rows = larger(p->max_batch_rows, rows);
        p->max_elements = larger(p->max_elements, p->shape[i].B * p->shape[i].N * p->pipeline.mmdit.in_channels);
        p->max_pixels = larger(p->max_pixels, rows * px * 3);
        p->max_cells = larger(p->max_cells, rows * (px / (side * side)) * cells);
    }
    return LENS_OK;
}

/* ---- the state of training, as train_state.c lays it out ---- */

static void add_state(planner_t *p, const partition_t *part, int zero) {
    const train_config_t *c = p->c;
    double decay[TRAIN_MAX_EMA];
    int n_ema = train_config_ema(decay, c);
    bool is_cut = part->n_pieces > 1;
    p->out->n_own = part->n_own;
    p->out->largest_group_bytes = sizeof(float) * (size_t)part->n_largest_group;
    p->out->masters_apart = is_cut || p->m->act_bytes != sizeof(float);
    add(p, "weights", MEMORY_DEVICE, part->n, p->m->act_bytes);
    if (p->out->masters_apart) add(p, "master weights", MEMORY_DEVICE, part->n_own, sizeof(float));
    if (zero < 2) {
        add(p, "gradients", MEMORY_DEVICE, part->n, sizeof(float));
    } else {
        add(p, "gradients", MEMORY_DEVICE, part->n_own, sizeof(float));
        add(p, "gradients on their way", MEMORY_DEVICE, 2 * part->n_largest_group, sizeof(float));
    }
    if (p->m->world > 1 && strcmp(c->train.reduce, "bfloat16") == 0)
        add(p, "gradients as bf16", MEMORY_DEVICE, 2 * part->n_largest_group, p->m->act_bytes);
    add(p, "moments", MEMORY_DEVICE, 2 * part->n_own, sizeof(float));
    add(p, "averages of weights", MEMORY_DEVICE, n_ema * part->n_own, sizeof(float));
}

/* Names of the optimiser's fields, as train_state.c gives them. */
static int name_fields(char name[TRAIN_MAX_FIELDS][24], const train_config_t *c) {
    static const char *const fixed[] = {"w", "m", "v"};
    double decay[TRAIN_MAX_EMA];
    int n = 3, n_ema = train_config_ema(decay, c);
    for (int i = 0; i < n; i++) snprintf(name[i], sizeof name[i], "%s", fixed[i]);
    for (int i = 0; i < n_ema; i++) snprintf(name[n++], sizeof name[0], "ema.%.10g", decay[i]);
    return n;
}

static lens_status add_staging(planner_t *p, const plan_t *plan, const partition_t *part) {
    char text[TRAIN_MAX_FIELDS][24];
    const char *name[TRAIN_MAX_FIELDS];
    size_t bytes;
    int n = name_fields(text, p->c);
    for (int i = 0; i < n; i++) name[i] = text[i];
    LENS_TRY(checkpointer_staging_bytes(&bytes, plan, part, n, name, 0, p->m->world));
    add(p, "checkpoint on its way", MEMORY_HOST, (int64_t)bytes, 1);
    p->out->checkpoint_bytes = sizeof(float) * (size_t)(n * p->out->n_trained);
    return LENS_OK;
}

static lens_status add_muon(planner_t *p, const plan_t *plan, const partition_t *part) {
    plan_t rows = {0};
    if (strcmp(p->c->train.optimizer, "muon") != 0) return LENS_OK;
    lens_status st = muon_plan_scratch(&rows, plan, part, p->m->act_bytes);
    if (st == LENS_OK) add(p, "Muon's matrices", MEMORY_DEVICE, (int64_t)rows.bytes, 1);
    plan_free(&rows);
    return st;
}

/* What is trained: all tensors, or adapters beside frozen ones. */
static lens_status plan_trained(planner_t *p, pipeline_tensors_t *tensors, plan_t *adapters, size_t align) {
    const train_config_t *c = p->c;
    mmdit_lora_t lora = {.rank = c->lora.rank, .alpha = c->lora.alpha, .targets = c->lora.targets};
    LENS_TRY(pipeline_tensors_init(tensors, &p->pipeline, lora.rank ? 0 : align));
    p->out->n_parameters = p->out->n_trained = plan_n_elements(&tensors->plan);
    if (lora.rank == 0) return LENS_OK;
    adapters->group_align = align;
    LENS_TRY(mmdit_plan_lora(adapters, &tensors->mmdit, &p->pipeline.mmdit, &lora));
    p->out->n_trained = plan_n_elements(adapters);
    add(p, "frozen weights", MEMORY_DEVICE, plan_n_floats(&tensors->plan), p->m->act_bytes);
    return LENS_OK;
}

static lens_status plan_state(planner_t *p) {
    int zero = p->m->world > 1 ? (int)p->c->train.zero : 0, pieces = zero > 0 ? p->m->world : 1;
    size_t align = partition_group_align(pieces);
    pipeline_tensors_t tensors = {0};
    plan_t adapters = {0};
    partition_t part = {0};
    lens_status st = LENS_OK;
    LENS_GO(plan_trained(p, &tensors, &adapters, align));
    const plan_t *plan = p->c->lora.rank ? &adapters : &tensors.plan;
    LENS_GO(partition_init(&part, plan, pieces, 0, (size_t)(p->c->train.group_mb * (1 << 20))));
    add_state(p, &part, zero);
    LENS_GO(add_muon(p, plan, &part));
    st = add_staging(p, plan, &part);
done:
    partition_free(&part);
    plan_free(&adapters);
    pipeline_tensors_free(&tensors);
    return st;
}

/* ---- a step's own ---- */

static lens_status plan_activations(planner_t *p) {
    mmdit_limits_t limits = {.shapes = p->shape,
                             .n_shapes = p->buckets.n,
                             .checkpointing = train_config_checkpointing(p->c),
                             .lora_rank = p->c->lora.rank,
                             .backward = true};
    plan_t rows = {0};
    size_t most = 0;
    for (int i = 0; i < p->buckets.n; i++) { /* to name the one that needs most */
        mmdit_limits_t one = limits;
        one.shapes = &p->shape[i];
        one.n_shapes = 1;
        lens_status st = mmdit_plan_activations(&rows, &p->pipeline.mmdit, &one, p->m->act_bytes);
        if (st != LENS_OK) return st;
        if (rows.bytes > most) p->out->largest = p->shape[i];
        most = rows.bytes > most ? rows.bytes : most;
        plan_free(&rows);
    }
    add(p, "activations", MEMORY_DEVICE, (int64_t)most, 1);
    return LENS_OK;
}

static void add_step(planner_t *p) {
    const text_config_t *t = &p->pipeline.text;
    int64_t n = p->max_elements, layers = p->pipeline.mmdit.num_text_layers, tok = p->max_rows * t->max_tok;
    size_t act = p->m->act_bytes;
    if (p->pipeline.downscale == 1) add(p, "pictures", MEMORY_DEVICE, n, 1);
    add(p, "latents and noise", MEMORY_DEVICE, n, 2 * sizeof(float) + 2 * act);
    if (t->tokens == TEXT_FEATURES) {
        add(p, "text features", MEMORY_DEVICE, tok * t->dim, (size_t)layers * act + sizeof(float));
        add(p, "text features of a step", MEMORY_HOST, tok * t->dim + p->max_batch_rows * t->max_tok * layers * t->dim,
            sizeof(float));
    } else {
        add(p, "text features", MEMORY_DEVICE, tok, 2 * (size_t)t->dim * act + TEXT_IDS_PER_TOKEN * sizeof(int32_t));
        add(p, "tokens", MEMORY_HOST, tok, 2 * TEXT_IDS_PER_TOKEN * sizeof(int32_t));
    }
    if (p->c->data.latents) add(p, "latents of a step", MEMORY_HOST, p->max_cells, sizeof(float));
}

/* Arrays are taken to be of 2 bytes a value: bf16 or f16 layers. */
static void add_loader(planner_t *p) {
    const train_config_t *c = p->c;
    const text_config_t *t = &p->pipeline.text;
    int64_t batches = c->data.prefetch + 1, layers = p->pipeline.mmdit.num_text_layers;
    if (c->data.latents)
        add(p, "loader, latents", MEMORY_HOST, batches * p->max_cells, 2);
    else
        add(p, "loader, pictures", MEMORY_HOST, batches * p->max_pixels, 1);
    if (c->text.features)
        add(p, "loader, text features", MEMORY_HOST, batches * p->max_batch_rows * t->max_tok * layers * t->dim, 2);
}

/* The model that draws sheets of samples: one picture at a time, forward only. */
static lens_status add_samples(planner_t *p) {
    const pipeline_config_t *c = &p->pipeline;
    mmdit_shape_t shape = {.B = 1, .N = pipeline_grid_h(c) * pipeline_grid_w(c), .T = c->text.max_tok};
    mmdit_limits_t limits = {.shapes = &shape, .n_shapes = 1};
    plan_t rows = {0};
    if (p->c->sample.every == 0) return LENS_OK;
    lens_status st = mmdit_plan_activations(&rows, &c->mmdit, &limits, p->m->act_bytes);
    if (st == LENS_OK)
        add(p, "samples", MEMORY_DEVICE, (int64_t)rows.bytes + shape.T * c->text.dim * 2 * (int64_t)p->m->act_bytes, 1);
    plan_free(&rows);
    return st;
}

/* What no row of a plan says, on the CPU: scores of a sample's head and their gradient, a thread each; the program with
 * its libraries, and MPI with the staging of its collectives (measured: Debian 12, x86-64, Open MPI 4.1). */
static void add_process(planner_t *p) {
    int64_t most = 0, K = p->pipeline.mmdit.head_dim;
    if (!p->m->is_cpu) return;
    for (int i = 0; i < p->buckets.n; i++) most = larger(most, p->shape[i].N + p->shape[i].T);
    add(p, "scores of attention", MEMORY_DEVICE, p->m->threads * kernels_cpu_attention_floats(most, K), sizeof(float));
    add(p, "program and libraries", MEMORY_HOST, 26, 1 << 20);
    if (p->m->world > 1) add(p, "MPI", MEMORY_HOST, 11, 1 << 20);
}

/* ---- all ---- */

memory_machine_t memory_machine_cpu(const train_config_t *c, int world) {
    return (memory_machine_t){.world = world,
                              .act_bytes = sizeof(float),
                              .is_cpu = true,
                              .threads = c->run.threads ? (int)c->run.threads : kernels_cpu_threads()};
}

memory_machine_t memory_machine_gpu(int world, size_t act_bytes) {
    return (memory_machine_t){.world = world, .act_bytes = act_bytes};
}

memory_machine_t memory_machine_here(const train_config_t *c, int world) {
    return device_here(device_kind_of(c->run.device)) == DEVICE_CUDA ? memory_machine_gpu(world, MEMORY_GPU_ACT_BYTES)
                                                                     : memory_machine_cpu(c, world);
}

memory_machine_t memory_machine_of(const device_t *d, const train_config_t *c, int world) {
    return d->kind == DEVICE_CPU ? memory_machine_cpu(c, world) : memory_machine_gpu(world, d->k->act_bytes);
}

lens_status memory_plan_make(memory_plan_t *out, const train_config_t *c, const memory_machine_t *m) {
    *out = (memory_plan_t){0};
    planner_t p = {.out = out, .c = c, .m = m};
    LENS_TRY(train_config_pipeline(&p.pipeline, c));
    LENS_TRY(find_shapes(&p));
    LENS_TRY(plan_state(&p));
    LENS_TRY(plan_activations(&p));
    add_step(&p);
    add_loader(&p);
    LENS_TRY(add_samples(&p));
    add_process(&p);
    return LENS_OK;
}

size_t memory_plan_bytes(const memory_plan_t *p, const char *name) {
    for (int i = 0; i < p->n_rows; i++)
        if (strcmp(p->row[i].name, name) == 0) return p->row[i].bytes;
    return 0;
}

size_t memory_plan_seen(const memory_plan_t *p, const memory_machine_t *m) {
    return p->device_bytes + (m->is_cpu ? p->host_bytes : 0);
}

static void print_row(str_t *out, const char *name, size_t bytes, const char *where) {
    str_addf(out, "  %-26s %12.1f MiB  %s\n", name, (double)bytes / (1 << 20), where);
}

void memory_plan_print(str_t *out, const memory_plan_t *p) {
    for (int i = 0; i < p->n_rows; i++)
        print_row(out, p->row[i].name, p->row[i].bytes, p->row[i].where == MEMORY_DEVICE ? "device" : "host");
    print_row(out, "sum", p->device_bytes, "device");
    print_row(out, "sum", p->host_bytes, "host");
}
