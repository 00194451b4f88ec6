/* The count of a recipe's FLOP: against the training step itself on the table that counts, against the tensors'
 * shapes, and the figures that are known of the paper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/cost_paper.h"
#include "train/step_count.h"

enum { N_STAGES = 2, N_BUCKETS = 27, MEAN_TOK = 160, MOST_TOK = 512 };
static const char *const names[N_STAGES] = {"configs/lens-3.8b-stage1.yaml", "configs/lens-3.8b-stage2.yaml"};

static void load(train_config_t *c, int stage, int n, char **overrides) {
    if (train_config_load(c, names[stage], n, overrides) != LENS_OK) fail_msg("%s", lens_error());
}

static void count_recipe(cost_recipe_t *r, const train_config_t *configs, const cost_assumptions_t *a) {
    if (cost_recipe_count(r, N_STAGES, names, configs, a) != LENS_OK) fail_msg("%s", lens_error());
}

/* Sums in another order. */
static bool same(double a, double b) {
    return fabs(a - b) <= 1e-12 * fabs(b);
}

static double sum(const mmdit_flop_t *f) {
    return f->linear + f->attention + f->modulation + f->ends;
}

/* ---- what a step runs ---- */

typedef struct {
    int64_t n_images;
    mmdit_flop_t forward;
    double backward; /* of products, attention's scores too */
    double model;    /* as the step itself reports it */
} counted_step_t;

/* Which term a product belongs to, by its sizes alone: a row an image is modulation's, and the ends are where the
 * channels are not the model's. */
static double *term_of(mmdit_flop_t *f, const op_call_t *call, const mmdit_config_t *m, int64_t n_images) {
    int64_t rows = call->n[0], n_out = call->n[1], n_in = call->n[2];
    if (rows == n_images) return &f->modulation;
    bool in = n_in == m->in_channels || n_in == m->num_text_layers * m->enc_hidden_dim;
    return in || n_out == mmdit_out_width(m) ? &f->ends : &f->linear;
}

static void add_call(counted_step_t *s, const counted_t *c, const mmdit_config_t *m) {
    double flop = (double)c->times * op_cost(&c->call, 2).flop;
    if (c->call.row == OP_linear_fwd)
        *term_of(&s->forward, &c->call, m, s->n_images) += flop;
    else if (c->call.row == OP_attention_fwd)
        s->forward.attention += flop;
    else
        s->backward += flop;
}

/* A step of one rank with two images of a bucket: what an image costs does not depend on how many there are. */
static void run_step(counted_step_t *s, comm_t *comm, int stage, int bucket, int64_t text_tok, char *checkpointing) {
    static char one_rank[] = "train.slots=1", at_once[] = "train.accumulate=1", two[] = "train.batch=2",
                two_of_each[] = "train.batch=2,2,2";
    char *overrides[] = {one_rank, at_once, stage == 0 ? two : two_of_each, checkpointing};
    step_count_options_t o = {.act_bytes = 2, .world = 1, .bucket = bucket, .text_tok = text_tok};
    train_config_t c;
    pipeline_config_t pipeline;
    step_count_t step;
    int n;
    load(&c, stage, 4, overrides);
    assert_int_equal(train_config_pipeline(&pipeline, &c), LENS_OK);
    if (step_count_make(&step, &c, comm, &o) != LENS_OK) fail_msg("%s", lens_error());
    *s = (counted_step_t){.n_images = (int64_t)step.n_images, .model = step.model_flop};
    const counted_t *calls = counting_calls(step.k, &n);
    for (int i = 0; i < n; i++) add_call(s, &calls[i], &pipeline.mmdit);
    step_count_free(&step);
    train_config_free(&c);
}

/* ---- what the tensors' shapes say ---- */

static double tokens_of(const char *name, const mmdit_config_t *m, double N, double T) {
    char last[PLAN_NAME_MAX];
    snprintf(last, sizeof last, "transformer_blocks.%lld.", (long long)m->num_layers - 1);
    bool is_text = strstr(name, "txt_") || strstr(name, "to_add_out");
    if (strstr(name, "_mod.") || strstr(name, "time_text_embed") || strstr(name, "norm_out")) return 1;
    if (strncmp(name, last, strlen(last)) == 0 && is_text && !strstr(name, "txt_qkv")) return 0; /* reaches no output */
    return is_text ? T : N;
}

/* Of every matrix [out, in]: out x in multiply-adds a token. Attention has no tensor. */
static double shapes_flop(const mmdit_config_t *m, int64_t N, int64_t T) {
    plan_t p = {0};
    mmdit_tensors_t t;
    double flop = 0;
    assert_int_equal(mmdit_plan_tensors(&p, &t, m), LENS_OK);
    for (int i = 0; i < p.n; i++)
        if (p.rows[i].n_dims == 2)
            flop += 2.0 * (double)p.rows[i].n * tokens_of(p.rows[i].name, m, (double)N, (double)T);
    mmdit_tensors_free(&t);
    plan_free(&p);
    return flop;
}

/* ---- the three against each other ---- */

static void check_bucket(const cost_stage_t *g, const cost_bucket_t *b, const counted_step_t *s) {
    double n = (double)s->n_images;
    const mmdit_flop_t *f = &b->forward;
    if (n * f->linear != s->forward.linear || n * f->attention != s->forward.attention ||
        n * f->modulation != s->forward.modulation || n * f->ends != s->forward.ends)
        fail_msg("%dx%d: the terms differ from those of a step", b->bucket.width, b->bucket.height);
    assert_true(same(shapes_flop(&g->model, b->n_tok, g->text_tok), f->linear + f->modulation + f->ends));
    assert_true(same(s->model, n * 3 * sum(f)));
    /* Nobody needs the gradient of a noisy image or of a timestep; scores are made once more. */
    double D = (double)mmdit_dim(&g->model), image = 2.0 * (double)(b->n_tok * g->model.in_channels) * D,
           timestep = 2.0 * MMDIT_TIME_EMBED_DIM * D;
    assert_true(same(s->backward, n * (2 * sum(f) + f->attention / 2 - image - timestep)));
}

static void check_stages(int64_t text_tok, bool padded) {
    static char selective[] = "train.checkpointing=selective";
    train_config_t c[N_STAGES];
    cost_recipe_t *r = malloc(sizeof *r);
    cost_assumptions_t a = {.text_tok = padded ? 0 : text_tok, .padded = padded, .dataset_images = COST_PAPER_IMAGES};
    comm_t *comm;
    assert_int_equal(comm_init(&comm), LENS_OK);
    for (int i = 0; i < N_STAGES; i++) load(&c[i], i, 0, NULL);
    count_recipe(r, c, &a);
    assert_int_equal(r->stage[0].n_buckets, 1);
    assert_int_equal(r->stage[1].n_buckets, N_BUCKETS);
    double model_flop = 0;
    for (int i = 0; i < N_STAGES; i++)
        for (int k = 0; k < r->stage[i].n_buckets; k++) {
            counted_step_t s;
            run_step(&s, comm, i, k, text_tok, selective);
            check_bucket(&r->stage[i], &r->stage[i].bucket[k], &s);
            model_flop += 3 * r->stage[i].bucket[k].images / (double)s.n_images * sum(&s.forward);
        }
    assert_true(same(r->model_flop, model_flop));
    for (int i = 0; i < N_STAGES; i++) train_config_free(&c[i]);
    comm_free(comm);
    free(r);
}

static void test_terms(void **state) {
    (void)state;
    check_stages(MEAN_TOK, false);
    check_stages(MOST_TOK, true);
}

/* A step with all checkpointed runs so much more than one without. */
static void test_checkpointing(void **state) {
    (void)state;
    static char none[] = "train.checkpointing=none", selective[] = "train.checkpointing=selective",
                full[] = "train.checkpointing=full", *modes[] = {none, selective, full};
    cost_recipe_t *r = malloc(sizeof *r);
    cost_assumptions_t a = {.text_tok = MEAN_TOK, .dataset_images = COST_PAPER_IMAGES};
    comm_t *comm;
    assert_int_equal(comm_init(&comm), LENS_OK);
    for (int mode = 0; mode < 3; mode++) {
        train_config_t c[N_STAGES];
        for (int i = 0; i < N_STAGES; i++) load(&c[i], i, 1, &modes[mode]);
        count_recipe(r, c, &a);
        for (int i = 0; i < N_STAGES; i++) {
            const cost_stage_t *g = &r->stage[i];
            double again = 0;
            for (int k = 0; k < g->n_buckets; k++) {
                counted_step_t s;
                run_step(&s, comm, i, k, MEAN_TOK, modes[mode]);
                again += g->bucket[k].images * (sum(&s.forward) / (double)s.n_images - sum(&g->bucket[k].forward));
            }
            assert_true(mode < 2 ? again == 0 && g->blocks_again == 0 : same(again, g->blocks_again));
            assert_true(same(g->scores_again, g->forward.attention / 2));
            train_config_free(&c[i]);
        }
    }
    comm_free(comm);
    free(r);
}

/* ---- images and encoders ---- */

static void test_images(void **state) {
    (void)state;
    train_config_t c[N_STAGES];
    cost_recipe_t *r = malloc(sizeof *r);
    cost_assumptions_t a = {.text_tok = MEAN_TOK, .by_batches = true, .dataset_images = COST_PAPER_IMAGES};
    for (int i = 0; i < N_STAGES; i++) load(&c[i], i, 0, NULL);
    count_recipe(r, c, &a);
    assert_true(same(r->stage[0].images, 400e3 * 3072));
    assert_true(same(r->stage[1].images, 400e3 * 128 * (24 + 10 + 6) / 3)); /* as many batches of each area */
    a.by_batches = false;
    count_recipe(r, c, &a);
    assert_true(same(r->stage[1].images, 400e3 * 128 * 3 / (1.0 / 24 + 1.0 / 10 + 1.0 / 6)));
    for (int k = 1; k < N_BUCKETS; k++) assert_true(same(r->stage[1].bucket[k].images, r->stage[1].images / N_BUCKETS));
    /* A dataset of 800 M: captions once in all, pictures once a stage, and never more than are seen. */
    cost_encoder_t text = cost_text_encoder(COST_PROMPT_TOK + MEAN_TOK);
    assert_true(same(r->stage[0].text_encoder, 800e6 * (text.linear + text.attention)));
    assert_true(r->stage[1].text_encoder == 0);
    assert_true(fabs(r->stage[0].vae_encoder / 800e6 * 1e-9 - 1118.8) <= 0.05);
    for (int i = 0; i < N_STAGES; i++) train_config_free(&c[i]);
    free(r);
}

/* Layer by layer elsewhere: a token 6.056 GFLOP, 512 tokens 37 GFLOP of attention; a picture of 512 x 512 1084.4 and
 * 34.4 GFLOP, of 1024 x 1024 4337.8 and 549.8. */
static void test_encoders(void **state) {
    (void)state;
    cost_encoder_t text = cost_text_encoder(512), small = cost_vae_encoder(512, 512),
                   large = cost_vae_encoder(1024, 1024);
    assert_true(fabs(cost_text_linear_tok() * 1e-9 - 6.056) <= 0.0005);
    assert_true(same(text.linear, 512 * cost_text_linear_tok()));
    assert_true(fabs(text.attention * 1e-9 - 37) <= 0.5);
    assert_true(fabs(small.linear * 1e-9 - 1084.4) <= 0.05 && fabs(small.attention * 1e-9 - 34.4) <= 0.05);
    assert_true(fabs(large.linear * 1e-9 - 4337.8) <= 0.05 && fabs(large.attention * 1e-9 - 549.8) <= 0.05);
}

/* ---- the page on the paper ---- */

typedef struct {
    const char *key;
    double want, last_digit; /* as printed, and the unit of its last digit */
} known_t;

static const known_t known[] = {
    {"ratio", 19.3, 0.1},
    {"image_512", 10.9, 0.1},
    {"image_768", 25.5, 0.1},
    {"image_1024", 50.7, 0.1},
    {"attention_512", 11, 1},
    {"attention_768", 21, 1},
    {"attention_1024", 32, 1},
    {"padding_512", 34, 1}, /* "a third" */
    {"recipe_160_batches", 2.7e22, 0.1e22},
    {"recipe_160_images", 2.8e22, 0.1e22}, /* "about 2.7e22", by the other mix of areas */
    {"recipe_512_images", 3.5e22, 0.1e22},
    {"recipe_512_batches", 3.5e22, 0.1e22},
    {"mfu_160_images", 13, 1},
    {"mfu_160_batches", 13, 1},
    {"mfu_512_images", 16, 1},
    {"mfu_512_batches", 16, 1},
    {"half_a100-80g_images", 50e3, 1e3},
    {"half_h200_images", 16e3, 1e3},
    {"step_512", 24 * 10.9, 24 * 0.1}, /* 24, 10 and 6 images */
    {"step_768", 10 * 25.5, 10 * 0.1},
    {"step_1024", 6 * 50.7, 6 * 0.1},
    {"balance", 1.2, 0.1},
    {"z_image_usd", 628e3, 1},
    {"caption_list_512", 1.576e6, 1}, /* 1970 USD a million */
    {"caption_batch_512", 788e3, 1},
    {"caption_list_1024", 2.392e6, 1},
    {"caption_batch_1024", 1.196e6, 1},
    {"caption_open", 80e3, 1},
};

static void test_paper(void **state) {
    (void)state;
    train_config_t c[N_STAGES];
    cost_prices_t prices;
    cost_sheet_t s = {0};
    for (int i = 0; i < N_STAGES; i++) load(&c[i], i, 0, NULL);
    if (cost_prices_read(&prices, "configs/prices.yaml") != LENS_OK) fail_msg("%s", lens_error());
    if (cost_paper_figures(&s, N_STAGES, names, c, &prices, 0) != LENS_OK) fail_msg("%s", lens_error());
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const cost_figure_t *f = cost_find(&s, known[i].key);
        if (!f) fail_msg("%s is not on the page", known[i].key);
        if (!(fabs(f->value - known[i].want) <= known[i].last_digit / 2))
            fail_msg("%s: %.10g, expected %g", known[i].key, f->value, known[i].want);
    }
    assert_true(cost_agrees(cost_find(&s, "ratio")));
    assert_true(isnan(cost_find(&s, "caption_hours")->value)); /* nobody measured it */
    cost_sheet_free(&s);
    cost_prices_free(&prices);
    for (int i = 0; i < N_STAGES; i++) train_config_free(&c[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_terms), cmocka_unit_test(test_checkpointing),
                                       cmocka_unit_test(test_images), cmocka_unit_test(test_encoders),
                                       cmocka_unit_test(test_paper)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
