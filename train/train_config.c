#include "train/train_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/flow.h"

void train_config_free(train_config_t *c) {
    options_free(train_config_table(), c);
}

/* "auto" or a number in [-10, 10]. */
static lens_status parse_mu(bool *is_auto, double *mu, const char *text, const char *name) {
    char *end;
    *is_auto = strcmp(text, "auto") == 0;
    *mu = 0;
    if (*is_auto) return LENS_OK;
    *mu = strtod(text, &end);
    if (end == text || *end || !(*mu >= -10 && *mu <= 10))
        return lens_fail(LENS_ARGUMENT, "%s = \"%s\": expected auto or a number, -10 to 10", name, text);
    return LENS_OK;
}

/* Numbers with commas between them; at most max. */
static lens_status parse_numbers(double *out, int *n, int max, const char *text, const char *name) {
    const char *p = text;
    for (*n = 0;; p++) {
        char *end;
        if (*n == max) return lens_fail(LENS_ARGUMENT, "%s = \"%s\": expected at most %d numbers", name, text, max);
        out[(*n)++] = strtod(p, &end);
        if (end == p || (*end && *end != ','))
            return lens_fail(LENS_ARGUMENT, "%s = \"%s\": expected numbers with commas", name, text);
        if (!*end) return LENS_OK;
        p = end;
    }
}

/* ---- checks ---- */

static lens_status check_model(const train_config_t *c) {
    int64_t rope = c->model.rope_frame + c->model.rope_row + c->model.rope_column;
    if (rope != c->model.head_dim) /* in the words of the configuration, which the model does not know */
        return lens_fail(LENS_ARGUMENT,
                         "model.rope_frame + model.rope_row + model.rope_column = %lld: expected model.head_dim = %lld",
                         (long long)rope, (long long)c->model.head_dim);
    bool features = strcmp(c->text.tokens, "features") == 0;
    if (!features && (c->text.layers != 1 || c->text.features))
        return lens_fail(LENS_ARGUMENT, "text.layers and text.features are for text.tokens: features");
    if ((c->model.downscale > 1) != (c->data.latents != NULL))
        return lens_fail(LENS_ARGUMENT, "data.latents and model.downscale = %lld: expected both, or neither and 1",
                         (long long)c->model.downscale);
    return LENS_OK;
}

static lens_status check_buckets(const train_config_t *c) {
    bucket_list_t l;
    int64_t batch[BUCKET_MAX], side = c->model.patch * c->model.downscale;
    LENS_TRY(train_config_buckets(&l, c));
    LENS_TRY(train_config_batch(batch, c, &l));
    for (int i = 0; i < l.n; i++)
        if (l.bucket[i].width % side || l.bucket[i].height % side)
            return lens_fail(LENS_ARGUMENT, "data.buckets: %dx%d: expected multiples of a token's side, %lld px",
                             l.bucket[i].width, l.bucket[i].height, (long long)side);
    return LENS_OK;
}

static lens_status check_train(const train_config_t *c) {
    double decay[TRAIN_MAX_EMA];
    int n;
    LENS_TRY(parse_numbers(decay, &n, TRAIN_MAX_EMA, c->train.ema, "train.ema"));
    for (int i = 0; i < n; i++)
        if (!(decay[i] >= 0 && decay[i] < 1))
            return lens_fail(LENS_ARGUMENT, "train.ema = \"%s\": expected decays of at least 0, below 1", c->train.ema);
    if (c->lora.rank > 0 && (!c->train.init_from || strcmp(c->train.optimizer, "adamw") != 0))
        return lens_fail(LENS_ARGUMENT, "lora.rank = %lld: expected train.init_from, the frozen weights, and adamw",
                         (long long)c->lora.rank);
    schedule_t schedule;
    LENS_TRY(train_config_schedule(&schedule, c));
    return schedule_check(&schedule);
}

static lens_status check(const train_config_t *c) {
    bool is_auto;
    double mu;
    pipeline_config_t pipeline;
    LENS_TRY(check_model(c));
    LENS_TRY(check_buckets(c));
    LENS_TRY(check_train(c));
    LENS_TRY(parse_mu(&is_auto, &mu, c->flow.mu, "flow.mu"));
    return train_config_pipeline(&pipeline, c);
}

lens_status train_config_load(train_config_t *out, const char *path, int n_overrides, char **overrides) {
    option_table_t table = train_config_table();
    *out = (train_config_t){0};
    lens_status st = LENS_OK;
    LENS_GO(options_defaults(table, out));
    LENS_GO(options_load_yaml(table, out, path));
    LENS_GO(options_override(table, out, n_overrides, overrides));
    LENS_GO(options_check_required(table, out, path));
    st = lens_context(check(out), "%s", path);
done:
    if (st != LENS_OK) train_config_free(out);
    return st;
}

/* ---- what it means ---- */

lens_status train_config_buckets(bucket_list_t *out, const train_config_t *c) {
    return lens_context(bucket_list_parse(out, c->data.buckets, c->data.max_upscale), "data.buckets");
}

lens_status train_config_batch(int64_t batch_of_area[BUCKET_MAX], const train_config_t *c, const bucket_list_t *l) {
    double value[BUCKET_MAX];
    int n;
    LENS_TRY(parse_numbers(value, &n, BUCKET_MAX, c->train.batch, "train.batch"));
    if (n != l->n_areas)
        return lens_fail(LENS_ARGUMENT, "train.batch = \"%s\": expected %d numbers, one for each area of data.buckets",
                         c->train.batch, l->n_areas);
    for (int i = 0; i < n; i++) {
        if (!(value[i] >= 1 && value[i] <= 1e6 && value[i] == floor(value[i])))
            return lens_fail(LENS_ARGUMENT, "train.batch = \"%s\": expected whole numbers, 1 to 1000000",
                             c->train.batch);
        batch_of_area[i] = (int64_t)value[i];
    }
    return LENS_OK;
}

lens_status train_config_shares(int64_t *sharing, int64_t *per_step, const train_config_t *c, int world) {
    int64_t slots = c->train.slots, batch[BUCKET_MAX];
    bucket_list_t l;
    if (slots % world && world % slots)
        return lens_fail(LENS_ARGUMENT, "train.slots = %lld: expected a multiple of the %d ranks, or a divisor",
                         (long long)slots, world);
    *sharing = world > slots ? world / slots : 1;
    *per_step = world > slots ? 1 : slots / world;
    LENS_TRY(train_config_buckets(&l, c));
    LENS_TRY(train_config_batch(batch, c, &l));
    for (int i = 0; i < l.n_areas; i++)
        if (batch[i] % (*sharing * c->train.accumulate))
            return lens_fail(LENS_ARGUMENT,
                             "train.batch = \"%s\": expected multiples of %lld: ranks that share a batch x "
                             "train.accumulate",
                             c->train.batch, (long long)(*sharing * c->train.accumulate));
    return LENS_OK;
}

device_options_t train_config_device(const train_config_t *c) {
    return (device_options_t){
        .kind = device_kind_of(c->run.device), .n_threads = (int)c->run.threads, .varies = !c->run.deterministic};
}

mmdit_checkpointing train_config_checkpointing(const train_config_t *c) {
    int mode = 0; /* one of them: it was checked */
    while (strcmp(mmdit_checkpointing_name((mmdit_checkpointing)mode), c->train.checkpointing) != 0) mode++;
    return (mmdit_checkpointing)mode;
}

int train_config_ema(double decay[TRAIN_MAX_EMA], const train_config_t *c) {
    int n;
    lens_status st = parse_numbers(decay, &n, TRAIN_MAX_EMA, c->train.ema, "train.ema");
    LENS_ASSERT(st == LENS_OK, "train.ema \"%s\"", c->train.ema); /* it was checked */
    return n;
}

mmdit_shape_t train_config_shape(const train_config_t *c, const bucket_t *b, int64_t n_samples) {
    int64_t side = c->model.patch * c->model.downscale;
    return (mmdit_shape_t){.B = n_samples, .N = b->height / side * (b->width / side), .T = c->text.max_tok};
}

/* The bucket that samples are drawn at: the one nearest to a square, of the smallest area. */
static const bucket_t *squarest(const bucket_list_t *l) {
    const bucket_t *best = &l->bucket[0];
    for (int i = 1; i < l->n && l->bucket[i].area == 0; i++)
        if (fabs(log((double)l->bucket[i].width / l->bucket[i].height)) < fabs(log((double)best->width / best->height)))
            best = &l->bucket[i];
    return best;
}

static text_tokens tokens_of(const char *name) {
    return strcmp(name, "byte") == 0 ? TEXT_BYTES : strcmp(name, "word") == 0 ? TEXT_WORDS : TEXT_FEATURES;
}

lens_status train_config_pipeline(pipeline_config_t *out, const train_config_t *c) {
    bucket_list_t l;
    LENS_TRY(train_config_buckets(&l, c));
    const bucket_t *size = squarest(&l);
    *out =
        (pipeline_config_t){.mmdit = {.num_layers = c->model.layers,
                                      .num_heads = c->model.heads,
                                      .head_dim = c->model.head_dim,
                                      .in_channels = c->model.channels * c->model.patch * c->model.patch,
                                      .out_channels = c->model.channels,
                                      .patch_size = c->model.patch,
                                      .enc_hidden_dim = c->text.dim,
                                      .num_text_layers = c->text.layers,
                                      .axes_dims_rope = {c->model.rope_frame, c->model.rope_row, c->model.rope_column},
                                      .rope_theta = 10000,
                                      .eps = 1e-6,
                                      .txt_norm_eps = 1e-5},
                            .text = {.tokens = tokens_of(c->text.tokens),
                                     .n_rows = c->text.rows,
                                     .dim = c->text.dim,
                                     .max_tok = c->text.max_tok},
                            .downscale = c->model.downscale,
                            .height = size->height,
                            .width = size->width};
    LENS_TRY(parse_mu(&out->sampling_mu_auto, &out->sampling_mu, c->flow.sampling_mu, "flow.sampling_mu"));
    return pipeline_config_check(out);
}

double train_config_mu(const train_config_t *c, int64_t n_tokens) {
    return strcmp(c->flow.mu, "auto") == 0 ? flow_training_mu(n_tokens) : strtod(c->flow.mu, NULL);
}

lens_status train_config_schedule(schedule_t *out, const train_config_t *c) {
    *out = (schedule_t){.lr = c->train.lr,
                        .min_lr = c->train.min_lr,
                        .steps = c->train.steps,
                        .warmup = c->train.warmup,
                        .decay_steps = c->train.decay_steps};
    return schedule_kind_parse(&out->kind, c->train.schedule);
}
