#include "train/memory_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    add(p, "moments", MEMORY_DEVICE, 2 * part->n_own, sizeof(float));
    add(p, "averages of weights", MEMORY_DEVICE, n_ema * part->n_own, sizeof(float));
    p->out->checkpoint_bytes = sizeof(float) * (size_t)((3 + n_ema + 1 + n_ema) * p->out->n_parameters);
}

static lens_status plan_state(planner_t *p) {
    int zero = p->m->world > 1 ? (int)p->c->train.zero : 0, pieces = zero > 0 ? p->m->world : 1;
    pipeline_tensors_t tensors;
    partition_t part = {0};
    lens_status st = LENS_OK;
    LENS_GO(pipeline_tensors_init(&tensors, &p->pipeline, partition_group_align(pieces)));
    LENS_GO(partition_init(&part, &tensors.plan, pieces, 0, (size_t)(p->c->train.group_mb * (1 << 20))));
    p->out->n_parameters = plan_n_elements(&tensors.plan);
    add_state(p, &part, zero);
done:
    partition_free(&part);
    pipeline_tensors_free(&tensors);
    return st;
}

/* ---- a step's own ---- */

static mmdit_checkpointing checkpointing(const train_config_t *c) {
    int mode = 0;
    while (strcmp(mmdit_checkpointing_name((mmdit_checkpointing)mode), c->train.checkpointing) != 0) mode++;
    return (mmdit_checkpointing)mode;
}

static lens_status plan_activations(planner_t *p) {
    mmdit_limits_t limits = {
        .shapes = p->shape, .n_shapes = p->buckets.n, .checkpointing = checkpointing(p->c), .backward = true};
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

/* ---- all ---- */

lens_status memory_plan_make(memory_plan_t *out, const train_config_t *c, const memory_machine_t *m) {
    *out = (memory_plan_t){0};
    planner_t p = {.out = out, .c = c, .m = m};
    LENS_TRY(train_config_pipeline(&p.pipeline, c));
    LENS_TRY(find_shapes(&p));
    LENS_TRY(plan_state(&p));
    LENS_TRY(plan_activations(&p));
    add_step(&p);
    add_loader(&p);
    return LENS_OK;
}

size_t memory_plan_bytes(const memory_plan_t *p, const char *name) {
    for (int i = 0; i < p->n_rows; i++)
        if (strcmp(p->row[i].name, name) == 0) return p->row[i].bytes;
    return 0;
}

size_t memory_peak_bytes(void) {
    char line[256];
    long long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return 0;
    while (kib == 0 && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtoll(line + 6, NULL, 10);
    fclose(f);
    return (size_t)kib << 10;
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
