#include "train/train_input.h"

#include <stdlib.h>
#include <string.h>

#include "base/half.h"

struct train_input {
    const train_config_t *config;
    pipeline_config_t pipeline;
    float *latents, *features; /* NULL where they are not given */
    int32_t *n_tok;            /* [max_rows] */
};

lens_status train_input_new(train_input_t **out, const train_config_t *c, const pipeline_config_t *p, int64_t max_rows,
                            int64_t max_elements) {
    *out = NULL;
    train_input_t *in = calloc(1, sizeof *in);
    if (!in) return lens_fail(LENS_MEMORY, "out of memory for batches");
    *in = (train_input_t){.config = c, .pipeline = *p};
    size_t features = (size_t)(max_rows * p->text.max_tok * p->mmdit.num_text_layers * p->text.dim);
    bool failed = !(in->n_tok = calloc((size_t)max_rows, sizeof *in->n_tok));
    if (c->data.latents) failed |= !(in->latents = malloc(sizeof(float) * (size_t)max_elements));
    if (c->text.features) failed |= !(in->features = malloc(sizeof(float) * features));
    if (failed) {
        train_input_free(in);
        return lens_fail(LENS_MEMORY, "out of memory for batches of %lld samples", (long long)max_rows);
    }
    *out = in;
    return LENS_OK;
}

void train_input_free(train_input_t *in) {
    if (!in) return;
    free(in->latents);
    free(in->features);
    free(in->n_tok);
    free(in);
}

lens_status train_input_options(loader_options_t *out, const train_config_t *c) {
    const char *filter = c->data.resample;
    *out = (loader_options_t){
        .slots = c->train.slots,
        .window_shards = c->data.window_shards,
        .seed = (uint64_t)c->run.seed,
        .pictures = !c->data.latents,
        .resampling = {.filter = strcmp(filter, "area") == 0       ? IMAGE_AREA
                                 : strcmp(filter, "triangle") == 0 ? IMAGE_TRIANGLE
                                                                   : IMAGE_LANCZOS,
                       .linear_light = c->data.linear_light},
        .flip = c->data.flip,
        .random_crop = c->data.random_crop,
        .captions = c->text.features ? NULL : c->data.captions,
        .caption_dropout = c->data.caption_dropout,
    };
    if (c->data.latents) out->array[out->n_arrays++] = c->data.latents;
    if (c->text.features) out->array[out->n_arrays++] = c->text.features;
    LENS_TRY(train_config_buckets(&out->buckets, c));
    return train_config_batch(out->batch_of_area, c, &out->buckets);
}

static float element(const loader_array_t *a, const uint8_t *from, int64_t i) {
    uint16_t half;
    float value;
    if (a->shape.dtype == ARRAY_F32) {
        memcpy(&value, from + 4 * i, sizeof value);
        return value;
    }
    memcpy(&half, from + 2 * i, sizeof half);
    return a->shape.dtype == ARRAY_BF16 ? half_from_bf16(half) : half_from_f16(half);
}

static lens_status check_shape(const char *kind, const loader_array_t *a, int64_t d0, int64_t d1, int64_t d2) {
    const array_shape_t *s = &a->shape;
    if (s->dtype != ARRAY_U8 && s->n_dims == 3 && s->dims[0] == d0 && s->dims[1] == d1 && s->dims[2] == d2)
        return LENS_OK;
    return lens_fail(LENS_FORMAT,
                     "arrays of kind %s: expected f32, f16 or bf16 [%lld, %lld, %lld], got %s of %d dimensions, "
                     "[%lld, %lld, %lld]",
                     kind, (long long)d0, (long long)d1, (long long)d2, array_dtype_name(s->dtype), s->n_dims,
                     (long long)s->dims[0], (long long)s->dims[1], (long long)s->dims[2]);
}

/* Cells [C, H, W] to tokens of p x p cells, channel order (c, p1, p2), c slowest. */
static lens_status unpack_latents(train_input_t *in, const loader_batch_t *b, const loader_array_t *a) {
    const mmdit_config_t *m = &in->pipeline.mmdit;
    int64_t C = m->out_channels, p = m->patch_size, H = b->height / in->pipeline.downscale,
            W = b->width / in->pipeline.downscale;
    float *to = in->latents;
    LENS_TRY(check_shape(in->config->data.latents, a, C, H, W));
    for (int64_t i = 0; i < b->n; i++)
        for (int64_t row = 0; row < H; row += p)
            for (int64_t column = 0; column < W; column += p)
                for (int64_t c = 0; c < C; c++)
                    for (int64_t cell = 0; cell < p * p; cell++)
                        *to++ = element(a, a->values + (size_t)i * a->bytes,
                                        (c * H + row + cell / p) * W + column + cell % p);
    return LENS_OK;
}

/* A text ends with its last row that is not all zeros: hidden states never are. */
static lens_status unpack_features(train_input_t *in, const loader_batch_t *b, const loader_array_t *a) {
    int64_t T = in->pipeline.text.max_tok, layers = in->pipeline.mmdit.num_text_layers, e = in->pipeline.text.dim,
            row = layers * e;
    LENS_TRY(check_shape(in->config->text.features, a, T, layers, e));
    for (int64_t i = 0; i < b->n; i++) {
        float *to = in->features + i * T * row;
        in->n_tok[i] = 0;
        for (int64_t j = 0; j < T * row; j++) {
            to[j] = element(a, a->values + (size_t)i * a->bytes, j);
            if (to[j] != 0) in->n_tok[i] = (int32_t)(j / row + 1);
        }
        rng_t r = rng_stream((uint64_t)in->config->run.seed, b->epoch[i], (uint64_t)b->sample[i], RNG_CAPTION);
        if (rng_uniform(&r) < in->config->data.caption_dropout) in->n_tok[i] = 0;
    }
    return LENS_OK;
}

lens_status train_input_batch(train_input_t *in, const loader_batch_t *b, step_batch_t *out) {
    int next = 0;
    *out = (step_batch_t){.n = b->n,
                          .width = b->width,
                          .height = b->height,
                          .px_step = b->px_step,
                          .sample = b->sample,
                          .epoch = b->epoch,
                          .pixels = b->pixels,
                          .latents = in->latents,
                          .caption = (const char *const *)b->caption,
                          .features = in->features,
                          .n_tok = in->n_tok};
    if (in->latents) LENS_TRY(unpack_latents(in, b, &b->array[next++]));
    if (in->features) LENS_TRY(unpack_features(in, b, &b->array[next]));
    return LENS_OK;
}
