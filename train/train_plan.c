#include "train/train_plan.h"

#include <stdio.h>

enum { MEAN_CAPTION_TOK = 160 };

/* ---- making it ---- */

int64_t train_plan_caption_tok(const train_config_t *c) {
    int64_t half = (c->text.max_tok + 1) / 2;
    return half < MEAN_CAPTION_TOK ? half : MEAN_CAPTION_TOK;
}

static void plan_buckets(train_plan_t *p, const train_config_t *c, const bucket_list_t *l) {
    p->n_buckets = l->n;
    p->n_areas = l->n_areas;
    for (int i = 0; i < l->n; i++) {
        int64_t n_tok = train_config_shape(c, &l->bucket[i], 1).N;
        p->bucket[i] = (train_plan_bucket_t){
            .bucket = l->bucket[i],
            .n_tok = n_tok,
            .mu = train_config_mu(c, n_tok),
            .image_flop = 3 * mmdit_forward_flop(&p->pipeline.mmdit, n_tok, p->text_tok),
        };
    }
}

/* Mean and largest cost of an area's batches. */
static void cost_area(train_plan_t *p, int area) {
    train_plan_area_t *a = &p->area[area];
    double sum = 0, rows = (double)(a->batch / p->sharing);
    int n = 0;
    for (int i = 0; i < p->n_buckets; i++) {
        double flop = rows * p->bucket[i].image_flop;
        if (p->bucket[i].bucket.area != area) continue;
        sum += flop;
        n++;
        if (flop > a->largest_flop) a->largest_flop = flop;
    }
    a->rank_flop = sum / n;
}

/* Equally many images of every area: the smaller an area's batch, the more batches it has. */
static void plan_areas(train_plan_t *p, const int64_t *batch) {
    double inverse = 0, images = 0, flop = 0, largest = 0;
    for (int i = 0; i < p->n_areas; i++) inverse += 1.0 / (double)batch[i];
    for (int i = 0; i < p->n_areas; i++) {
        train_plan_area_t *a = &p->area[i];
        *a = (train_plan_area_t){.batch = batch[i],
                                 .micro = batch[i] / p->sharing / p->accumulate,
                                 .share = 1.0 / (double)batch[i] / inverse};
        cost_area(p, i);
        images += a->share * (double)a->batch;
        flop += a->share * a->rank_flop;
        if (a->largest_flop > largest) largest = a->largest_flop;
    }
    double batches = (double)p->machine.world * (double)p->per_step; /* parts of batches, over all ranks */
    p->step_images = images * batches / (double)p->sharing;
    p->step_flop = flop * batches;
    /* Of many ranks one has the dearest bucket in nearly every step; of its further batches that says nothing. */
    p->slowest_flop = p->machine.world > 1 ? largest + flop * (double)(p->per_step - 1) : flop * (double)p->per_step;
}

lens_status train_plan_make(train_plan_t *out, const train_config_t *c, const memory_machine_t *m, int64_t text_tok) {
    bucket_list_t l;
    int64_t batch[BUCKET_MAX];
    *out = (train_plan_t){
        .machine = *m, .accumulate = c->train.accumulate, .text_tok = text_tok ? text_tok : train_plan_caption_tok(c)};
    if (out->text_tok > c->text.max_tok)
        return lens_fail(LENS_ARGUMENT, "captions of %lld tokens: text.max_tok is %lld", (long long)out->text_tok,
                         (long long)c->text.max_tok);
    LENS_TRY(train_config_pipeline(&out->pipeline, c));
    LENS_TRY(train_config_buckets(&l, c));
    LENS_TRY(train_config_batch(batch, c, &l));
    LENS_TRY(train_config_shares(&out->sharing, &out->per_step, c, m->world));
    LENS_TRY(memory_plan_make(&out->memory, c, m));
    plan_buckets(out, c, &l);
    plan_areas(out, batch);
    return LENS_OK;
}

/* ---- printing it ---- */

/* 4104225152 as 4,104,225,152. */
static void add_grouped(str_t *out, int64_t n) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) str_add_char(out, ',');
        str_add_char(out, digits[i]);
    }
}

static void print_model(str_t *out, const train_plan_t *p) {
    const mmdit_config_t *m = &p->pipeline.mmdit;
    int64_t table = p->pipeline.text.tokens == TEXT_FEATURES ? 0 : p->pipeline.text.n_rows * p->pipeline.text.dim;
    str_add(out, "model    ");
    add_grouped(out, p->memory.n_parameters - table);
    str_addf(out, " parameters: %lld blocks of width %lld (%lld heads), %lld channels a token, text of %lld x %lld\n",
             (long long)m->num_layers, (long long)mmdit_dim(m), (long long)m->num_heads, (long long)m->in_channels,
             (long long)m->num_text_layers, (long long)m->enc_hidden_dim);
    if (table > 0) {
        str_add(out, "         and ");
        add_grouped(out, table);
        str_add(out, " of the learned text embedding\n");
    }
    if (p->memory.n_trained == p->memory.n_parameters) return;
    str_add(out, "         frozen; ");
    add_grouped(out, p->memory.n_trained);
    str_add(out, " of adapters are trained\n");
}

static void print_step(str_t *out, const train_plan_t *p, const train_config_t *c) {
    str_addf(out, "step     %lld batch%s over %d rank%s: ", (long long)c->train.slots, c->train.slots == 1 ? "" : "es",
             p->machine.world, p->machine.world == 1 ? "" : "s");
    if (p->sharing > 1)
        str_addf(out, "%lld ranks share one", (long long)p->sharing);
    else
        str_addf(out, "%lld a rank", (long long)p->per_step);
    str_addf(out, ", in %lld micro-batch%s each\n", (long long)p->accumulate, p->accumulate == 1 ? "" : "es");
    str_addf(out, "         about %.0f images and %.4g TFLOP (3 x forward, captions of %lld tokens)\n", p->step_images,
             p->step_flop * 1e-12, (long long)p->text_tok);
    str_addf(out, "state    zero %lld, groups of at least %g MB; checkpointing %s; %s\n", (long long)c->train.zero,
             c->train.group_mb, c->train.checkpointing, c->train.optimizer);
}

static void print_buckets(str_t *out, const train_plan_t *p) {
    str_add(out, "area  bucket       tokens      mu  batch  micro  TFLOP/image\n");
    for (int i = 0; i < p->n_buckets; i++) {
        const train_plan_bucket_t *b = &p->bucket[i];
        const train_plan_area_t *a = &p->area[b->bucket.area];
        char size[32];
        snprintf(size, sizeof size, "%dx%d", b->bucket.width, b->bucket.height);
        str_addf(out, "%4d  %-11s %7lld  %6.3f  %5lld  %5lld  %11.4g\n", b->bucket.area, size, (long long)b->n_tok,
                 b->mu, (long long)a->batch, (long long)a->micro, b->image_flop * 1e-12);
    }
}

void train_plan_print(str_t *out, const train_plan_t *p, const train_config_t *c) {
    const mmdit_shape_t *s = &p->memory.largest;
    print_model(out, p);
    print_step(out, p, c);
    print_buckets(out, p);
    str_addf(out, "memory of a rank (activations for %lld x (%lld image + %lld text) tokens):\n", (long long)s->B,
             (long long)s->N, (long long)s->T);
    memory_plan_print(out, &p->memory);
    str_addf(out, "a checkpoint has about %.1f MiB, %lld are kept\n", (double)p->memory.checkpoint_bytes / (1 << 20),
             (long long)c->train.keep);
}

lens_status train_plan_dry_run(str_t *out, const train_config_t *c, int world) {
    train_plan_t p;
    memory_machine_t m = memory_machine_here(c, world);
    LENS_TRY(train_plan_make(&p, c, &m, 0));
    train_plan_print(out, &p, c);
    return str_status(out);
}
