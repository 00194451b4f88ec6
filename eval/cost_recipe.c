#include "eval/cost_recipe.h"

#include <stdio.h>
#include <string.h>

#define OUR_COUNT "our count: mmdit_forward_flop_terms, and the op table in counting mode (tests/unit/test_cost.c)"
#define ENCODER_COUNT "our count from its configuration: eval/cost_encoders.c"
#define CONFIGURATION "the configuration"

double cost_forward(const mmdit_flop_t *f) {
    return f->linear + f->attention + f->modulation + f->ends;
}

/* ---- counting ---- */

/* Shares of batches to images: of an area, and of each of its buckets alike. */
static void count_images(cost_stage_t *s, const train_plan_t *p, bool by_batches) {
    s->batch = s->images = 0;
    for (int i = 0; i < p->n_areas; i++) {
        double share = by_batches ? 1.0 / p->n_areas : p->area[i].share;
        s->batch += share * (double)p->area[i].batch;
    }
    s->n_buckets = p->n_buckets;
    for (int i = 0; i < p->n_buckets; i++) {
        int area = p->bucket[i].bucket.area, alike = 0;
        for (int k = 0; k < p->n_buckets; k++) alike += p->bucket[k].bucket.area == area;
        double share = by_batches ? 1.0 / p->n_areas : p->area[area].share;
        s->bucket[i] =
            (cost_bucket_t){.bucket = p->bucket[i].bucket,
                            .n_tok = p->bucket[i].n_tok,
                            .images = (double)s->steps * (double)s->slots * share * (double)p->area[area].batch / alike,
                            .forward = mmdit_forward_flop_terms(&s->model, p->bucket[i].n_tok, s->text_tok)};
        s->images += s->bucket[i].images;
    }
}

/* A forward pass once more of all blocks but the last, whose activations are still there: what the model has more than
 * one of a single block, which is a last one. */
static double blocks_again(const mmdit_config_t *c, int64_t n_tok, int64_t text_tok) {
    mmdit_config_t last = *c;
    last.num_layers = 1;
    return mmdit_forward_flop(c, n_tok, text_tok) - mmdit_forward_flop(&last, n_tok, text_tok);
}

static void count_model(cost_stage_t *s) {
    for (int i = 0; i < s->n_buckets; i++) {
        const cost_bucket_t *b = &s->bucket[i];
        double n = b->images, both = (double)(b->n_tok + s->text_tok);
        s->forward.linear += n * b->forward.linear;
        s->forward.attention += n * b->forward.attention;
        s->forward.modulation += n * b->forward.modulation;
        s->forward.ends += n * b->forward.ends;
        if (s->checkpointing == MMDIT_RECOMPUTE_BLOCKS)
            s->blocks_again += n * blocks_again(&s->model, b->n_tok, s->text_tok);
        s->pairs += n / s->images * both;
        s->pairs_squared += n / s->images * both * both;
        s->pairs_crossed += n / s->images * both * (double)b->n_tok;
    }
    s->scores_again = s->forward.attention / 2;
}

/* Of each image seen, or once of as many as the dataset has; a caption is not encoded for a second stage again.
 * text_left: images of the dataset whose captions no stage before has encoded. */
static void count_encoders(cost_stage_t *s, const cost_assumptions_t *a, double *text_left) {
    double texts = s->images, pictures = s->images;
    if (!a->online) {
        if (texts > *text_left) texts = *text_left;
        *text_left -= texts;
        if (pictures > a->dataset_images) pictures = a->dataset_images;
    }
    cost_encoder_t text = cost_text_encoder(COST_PROMPT_TOK + s->caption_tok);
    if (s->has_text_encoder) s->text_encoder = texts * (text.linear + text.attention);
    for (int i = 0; s->has_vae && i < s->n_buckets; i++) {
        const cost_bucket_t *b = &s->bucket[i];
        cost_encoder_t e = cost_vae_encoder(b->bucket.width, b->bucket.height);
        s->vae_encoder += pictures * b->images / s->images * (e.linear + e.attention);
    }
}

static lens_status count_stage(cost_stage_t *s, const char *name, const train_config_t *c,
                               const cost_assumptions_t *a) {
    train_plan_t p;
    memory_machine_t m = memory_machine_gpu((int)c->train.slots, MEMORY_GPU_ACT_BYTES);
    if (c->lora.rank > 0)
        return lens_fail(LENS_ARGUMENT, "%s: lora.rank = %lld: adapters are not counted", name,
                         (long long)c->lora.rank);
    LENS_TRY(train_plan_make(&p, c, &m, a->text_tok));
    *s = (cost_stage_t){.name = name,
                        .steps = c->train.steps,
                        .slots = c->train.slots,
                        .caption_tok = p.text_tok,
                        .text_tok = a->padded ? c->text.max_tok : p.text_tok,
                        .model = p.pipeline.mmdit,
                        .checkpointing = train_config_checkpointing(c)};
    s->has_text_encoder = c->text.features && strcmp(c->text.features, "gpt-oss-20b") == 0;
    s->has_vae = c->data.latents && strcmp(c->data.latents, "flux2") == 0;
    count_images(s, &p, a->by_batches);
    count_model(s);
    return LENS_OK;
}

lens_status cost_recipe_count(cost_recipe_t *out, int n, const char *const *names, const train_config_t *configs,
                              const cost_assumptions_t *a) {
    double text_left = a->dataset_images;
    LENS_ASSERT(n <= COST_MAX_STAGES, "%d stages of at most %d", n, COST_MAX_STAGES);
    *out = (cost_recipe_t){.assumed = *a, .n_stages = n};
    for (int i = 0; i < n; i++) {
        cost_stage_t *s = &out->stage[i];
        LENS_TRY(count_stage(s, names[i], &configs[i], a));
        count_encoders(s, a, &text_left);
        out->images += s->images;
        out->model_flop += 3 * cost_forward(&s->forward);
        out->encoder_flop += s->text_encoder + s->vae_encoder;
    }
    return LENS_OK;
}

/* ---- figures ---- */

/* stage1.NAME */
static const char *key_of(char key[64], int stage, const char *name) {
    snprintf(key, 64, "stage%d.%s", stage + 1, name);
    return key;
}

static void images_figures(cost_sheet_t *s, const cost_stage_t *g, int i) {
    char key[64];
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "images"), .name = "images seen", .value = g->images, .unit = "images",
                         .how = "steps x ranks x mean images a rank and step",
                         .source = CONFIGURATION "; the mean by the mix of areas assumed"),
             "%lld * %lld * %.12g", (long long)g->steps, (long long)g->slots, g->batch);
    str_t tokens = {0};
    for (int k = 0; k < g->n_buckets; k++)
        str_addf(&tokens, "%s%.12g * %lld", k ? " + " : "", g->bucket[k].images, (long long)g->bucket[k].n_tok);
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "image_tok"), .name = "image tokens of an image, mean",
                         .value = g->pairs - (double)g->text_tok, .unit = "tokens",
                         .how = "mean over the images of the tokens of their buckets", .source = CONFIGURATION),
             "(%s) / %.12g", str_text(&tokens), g->images);
    s->failed |= tokens.failed;
    str_free(&tokens);
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "text_tok"), .name = "text tokens of an image",
                         .value = (double)g->text_tok, .unit = "tokens",
                         .how = "every caption; padded ones take part in every product",
                         .source = "assumption: --text-tok, --padded"),
             "%s", "");
}

/* The terms once more from means over buckets, not from their sum: another road to the same figure. */
static void token_figures(cost_sheet_t *s, const cost_stage_t *g, int i) {
    char key[64];
    const mmdit_config_t *m = &g->model;
    double D = (double)mmdit_dim(m), M = (double)mmdit_mlp_dim(m), T = (double)g->text_tok, N = g->pairs - T,
           blocks = (double)m->num_layers;
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "linear"), .name = "forward: linear layers of the blocks",
                         .value = g->forward.linear, .unit = "FLOP",
                         .how = "images x 2 (qkv of all tokens: 3 D^2; output and MLP: D^2 + 3 D M, where the last "
                                "block's text has none)",
                         .source = OUR_COUNT),
             "%.12g * 2 * (%g * %.12g * 3 * %g * %g + (%g * %.12g + %g * %g) * (%g * %g + 3 * %g * %g))", g->images,
             blocks, g->pairs, D, D, blocks, N, blocks - 1, T, D, D, D, M);
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "attention"), .name = "forward: attention's scores and weighted values",
                         .value = g->forward.attention, .unit = "FLOP",
                         .how = "images x 4 D x queries x keys: all tokens ask in all blocks but the last, where "
                                "image tokens do",
                         .source = OUR_COUNT),
             "%.12g * 4 * %g * (%g * %.12g + %.12g)", g->images, D, blocks - 1, g->pairs_squared, g->pairs_crossed);
}

static void rest_figures(cost_sheet_t *s, const cost_stage_t *g, int i) {
    char key[64];
    const mmdit_config_t *m = &g->model;
    double D = (double)mmdit_dim(m), T = (double)g->text_tok, N = g->pairs - T, blocks = (double)m->num_layers,
           channels = (double)(m->in_channels + mmdit_out_width(m));
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "modulation"), .name = "forward: modulation by the timestep",
                         .value = g->forward.modulation, .unit = "FLOP",
                         .how = "images x 2 (6 D^2 a block and stream; embedding 256 D + D^2; output 2 D^2)",
                         .source = OUR_COUNT),
             "%.12g * 2 * (%g * %d * %g * %g + %d * %g + 3 * %g * %g)", g->images, blocks, T > 0 ? 12 : 6, D, D,
             MMDIT_TIME_EMBED_DIM, D, D, D);
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "ends"), .name = "forward: image and text in, image out",
                         .value = g->forward.ends, .unit = "FLOP",
                         .how = "images x 2 D (channels in and out x image tokens + text channels x text tokens)",
                         .source = OUR_COUNT),
             "%.12g * 2 * %g * (%g * %.12g + %g * %g)", g->images, D, channels, N,
             (double)(m->num_text_layers * m->enc_hidden_dim), T);
}

static void backward_figures(cost_sheet_t *s, const cost_stage_t *g, int i) {
    char key[64];
    double forward = cost_forward(&g->forward);
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "backward"), .name = "backward", .value = 2 * forward, .unit = "FLOP",
                         .how = "2 x forward: a product for the inputs' gradient and one for the weights'",
                         .source = OUR_COUNT),
             "2 * (%.12g + %.12g + %.12g + %.12g)", g->forward.linear, g->forward.attention, g->forward.modulation,
             g->forward.ends);
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "model_flop"), .name = "model FLOP: what MFU counts",
                         .value = 3 * forward, .unit = "FLOP",
                         .how = "forward + backward; neither recomputation nor encoders", .source = OUR_COUNT),
             "%.12g + 2 * %.12g", forward, forward);
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "attention_share"), .name = "attention's share of it",
                         .value = 100 * g->forward.attention / forward, .unit = "%",
                         .how = "scores and weighted values over the forward pass", .source = OUR_COUNT),
             "100 * %.12g / %.12g", g->forward.attention, forward);
}

static void again_figures(cost_sheet_t *s, const cost_stage_t *g, int i) {
    char key[64], name[80];
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "scores_again"),
                         .name = "made but not counted: scores again in backward", .value = g->scores_again,
                         .unit = "FLOP", .how = "attention keeps no scores: half of its forward pass once more",
                         .source = "kernels/kernels.h: attention_bwd; counted in tests/unit/test_cost.c"),
             "%.12g / 2", g->forward.attention);
    snprintf(name, sizeof name, "made but not counted: checkpointing %s", mmdit_checkpointing_name(g->checkpointing));
    cost_figure_t f = {.key = key_of(key, i, "blocks_again"), .name = name, .value = g->blocks_again, .unit = "FLOP"};
    f.source = CONFIGURATION ": train.checkpointing; counted in tests/unit/test_cost.c";
    f.how = "none and selective: no product again";
    if (g->checkpointing != MMDIT_RECOMPUTE_BLOCKS) {
        cost_add(s, &f, "0");
        return;
    }
    double D = (double)mmdit_dim(&g->model), M = (double)mmdit_mlp_dim(&g->model),
           again = (double)g->model.num_layers - 1;
    f.how = "full: images x the forward pass of all blocks but the last, whose activations are still there";
    cost_add(s, &f, "%.12g * %g * 2 * (%.12g * (4 * %g * %g + 3 * %g * %g) + %d * %g * %g + 2 * %g * %.12g)", g->images,
             again, g->pairs, D, D, D, M, g->text_tok > 0 ? 12 : 6, D, D, D, g->pairs_squared);
}

/* From means over the buckets. */
static void vae_figure(cost_sheet_t *s, const cost_recipe_t *r, int i, const char *times) {
    char key[64];
    const cost_stage_t *g = &r->stage[i];
    double px = 0, attention = 0, mean = 0;
    for (int k = 0; k < g->n_buckets; k++) {
        const bucket_t *b = &g->bucket[k].bucket;
        cost_encoder_t e = cost_vae_encoder(b->width, b->height);
        double share = g->bucket[k].images / g->images;
        px += share * b->width * b->height;
        attention += share * e.attention;
        mean += share * (e.linear + e.attention);
    }
    str_t how = {0};
    str_addf(&how, "%s: mean pixels x convolutions and projections a pixel + its attention", times);
    cost_add(s,
             COST_FIGURE(.key = key_of(key, i, "vae_encoder"), .name = "apart: autoencoder, FLUX.2 encode",
                         .value = g->vae_encoder, .unit = "FLOP", .how = str_text(&how), .source = ENCODER_COUNT),
             "%.12g * (%.12g * %.12g + %.12g)", g->vae_encoder / mean, px, cost_vae_linear_px(), attention);
    s->failed |= how.failed;
    str_free(&how);
}

static void encoder_figures(cost_sheet_t *s, const cost_recipe_t *r, int i) {
    char key[64];
    const cost_stage_t *g = &r->stage[i];
    cost_encoder_t text = cost_text_encoder(COST_PROMPT_TOK + g->caption_tok);
    double texts = g->text_encoder / (text.linear + text.attention);
    const char *times = r->assumed.online ? "for each image seen" : "once for each image of the dataset that is seen";
    str_t how = {0};
    str_addf(&how, "%s, (prompt + caption) tokens x linear a token + attention; no logits", times);
    if (g->has_text_encoder)
        cost_add(s,
                 COST_FIGURE(.key = key_of(key, i, "text_encoder"), .name = "apart: text encoder, GPT-OSS-20B forward",
                             .value = g->text_encoder, .unit = "FLOP", .how = str_text(&how), .source = ENCODER_COUNT),
                 "%.12g * ((%d + %lld) * %.12g + %.12g)", texts, COST_PROMPT_TOK, (long long)g->caption_tok,
                 cost_text_linear_tok(), text.attention);
    if (g->has_vae) vae_figure(s, r, i, times);
    s->failed |= how.failed;
    str_free(&how);
}

static void sum_figures(cost_sheet_t *s, const cost_recipe_t *r) {
    str_t images = {0}, model = {0}, encoders = {0};
    for (int i = 0; i < r->n_stages; i++) {
        const char *plus = i ? " + " : "";
        str_addf(&images, "%s%.12g", plus, r->stage[i].images);
        str_addf(&model, "%s%.12g", plus, 3 * cost_forward(&r->stage[i].forward));
        str_addf(&encoders, "%s%.12g + %.12g", plus, r->stage[i].text_encoder, r->stage[i].vae_encoder);
    }
    cost_section(s, "All stages");
    cost_add(s,
             COST_FIGURE(.key = "images", .name = "images seen", .value = r->images, .unit = "images",
                         .how = "sum over stages", .source = CONFIGURATION),
             "%s", str_text(&images));
    cost_add(s,
             COST_FIGURE(.key = "model_flop", .name = "model FLOP", .value = r->model_flop, .unit = "FLOP",
                         .how = "sum over stages", .source = OUR_COUNT),
             "%s", str_text(&model));
    cost_add(s,
             COST_FIGURE(.key = "encoder_flop", .name = "FLOP of the frozen encoders", .value = r->encoder_flop,
                         .unit = "FLOP", .how = "sum over stages", .source = ENCODER_COUNT),
             "%s", str_text(&encoders));
    s->failed |= images.failed || model.failed || encoders.failed;
    str_free(&images);
    str_free(&model);
    str_free(&encoders);
}

void cost_recipe_figures(cost_sheet_t *s, const cost_recipe_t *r) {
    str_t title = {0};
    for (int i = 0; i < r->n_stages; i++) {
        const cost_stage_t *g = &r->stage[i];
        str_clear(&title);
        str_addf(&title, "Stage %d: %s, %lld steps on %lld ranks", i + 1, g->name, (long long)g->steps,
                 (long long)g->slots);
        cost_section(s, str_text(&title));
        images_figures(s, g, i);
        token_figures(s, g, i);
        rest_figures(s, g, i);
        backward_figures(s, g, i);
        again_figures(s, g, i);
        encoder_figures(s, r, i);
    }
    s->failed |= title.failed;
    str_free(&title);
    sum_figures(s, r);
}

/* ---- buckets ---- */

void cost_recipe_print_buckets(str_t *out, const cost_recipe_t *r) {
    str_add(out, "stage  bucket     image tok  text tok      images   image tokens  TFLOP/image  attention\n");
    for (int i = 0; i < r->n_stages; i++)
        for (int k = 0; k < r->stage[i].n_buckets; k++) {
            const cost_bucket_t *b = &r->stage[i].bucket[k];
            char size[32];
            snprintf(size, sizeof size, "%dx%d", b->bucket.width, b->bucket.height);
            str_addf(out, "%5d  %-9s  %9lld  %8lld  %10.4g  %13.4g  %11.2f  %7.1f %%\n", i + 1, size,
                     (long long)b->n_tok, (long long)r->stage[i].text_tok, b->images, b->images * (double)b->n_tok,
                     3e-12 * cost_forward(&b->forward), 100 * b->forward.attention / cost_forward(&b->forward));
        }
}

json_t *cost_recipe_buckets_json(const cost_recipe_t *r) {
    json_t *rows = json_array();
    for (int i = 0; rows && i < r->n_stages; i++)
        for (int k = 0; rows && k < r->stage[i].n_buckets; k++) {
            const cost_bucket_t *b = &r->stage[i].bucket[k];
            json_t *j = json_pack("{s:i, s:i, s:i, s:I, s:I, s:f, s:f, s:f}", "stage", i + 1, "width",
                                  (int)b->bucket.width, "height", (int)b->bucket.height, "image_tok",
                                  (json_int_t)b->n_tok, "text_tok", (json_int_t)r->stage[i].text_tok, "images",
                                  b->images, "image_flop", 3 * cost_forward(&b->forward), "attention_share",
                                  b->forward.attention / cost_forward(&b->forward));
            if (j && json_array_append_new(rows, j) == 0) continue;
            json_decref(rows);
            rows = NULL;
        }
    return rows;
}
