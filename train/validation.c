#include "train/validation.h"

#include <stdlib.h>

#include "train/train_input.h"

#define VALIDATION_SEED 0 /* of noise and of which caption is taken: the same in every run */

typedef struct {
    double error[VALIDATION_LEVELS]; /* px * loss, summed: elements are in proportion to pixels */
    double px, n_samples;            /* looked at, at each level */
} sums_t;

struct validator {
    train_config_t config; /* the training's, but for what is random; borrows its strings */
    comm_t *comm;
    dataset_t *dataset;
    loader_options_t options;
    train_input_t *input;
    int64_t *sample; /* this rank's */
    int64_t n_samples;
    double *loss; /* [max_rows] */
    rng_t *noise; /* [max_rows] */
};

/* Spread evenly over the set. */
static lens_status choose_samples(validator_t *v) {
    int64_t all = dataset_n_samples(v->dataset), n = v->config.valid.samples < all ? v->config.valid.samples : all;
    int64_t rank = comm_rank(v->comm), world = comm_world(v->comm);
    v->sample = calloc((size_t)(n / world + 1), sizeof *v->sample);
    if (!v->sample) return lens_fail(LENS_MEMORY, "out of memory for %lld samples", (long long)n);
    for (int64_t i = rank; i < n; i += world) v->sample[v->n_samples++] = (int64_t)((__int128)i * all / n);
    return LENS_OK;
}

/* Batches of valid.batch, and no larger than those that the model is planned for. */
static lens_status size_batches(validator_t *v, const pipeline_config_t *p) {
    const train_config_t *c = &v->config;
    const bucket_list_t *l = &v->options.buckets;
    int64_t sharing, per_step, max_rows = 0, max_elements = 0;
    LENS_TRY(train_config_shares(&sharing, &per_step, c, comm_world(v->comm)));
    for (int area = 0; area < l->n_areas; area++) {
        int64_t rows = v->options.batch_of_area[area] / sharing / c->train.accumulate;
        v->options.batch_of_area[area] = rows < c->valid.batch ? rows : c->valid.batch;
    }
    for (int i = 0; i < l->n; i++) {
        int64_t rows = v->options.batch_of_area[l->bucket[i].area];
        int64_t elements = rows * train_config_shape(c, &l->bucket[i], rows).N * p->mmdit.in_channels;
        if (rows > max_rows) max_rows = rows;
        if (elements > max_elements) max_elements = elements;
    }
    v->loss = calloc((size_t)max_rows, sizeof *v->loss);
    v->noise = calloc((size_t)max_rows, sizeof *v->noise);
    if (!v->loss || !v->noise) return lens_fail(LENS_MEMORY, "out of memory for validation");
    return train_input_new(&v->input, c, p, max_rows, max_elements);
}

/* Whether the set has the captions and arrays that are asked for: its first sample is opened as a run will open all. */
static lens_status check_layers(const validator_t *v) {
    loader_t *loader;
    const int64_t first = 0;
    LENS_TRY(loader_open_once(&loader, v->dataset, &v->options, &first, 1));
    loader_close(loader);
    return LENS_OK;
}

lens_status validator_new(validator_t **out, const train_config_t *c, const pipeline_config_t *p, comm_t *comm) {
    *out = NULL;
    validator_t *v = calloc(1, sizeof *v);
    if (!v) return lens_fail(LENS_MEMORY, "out of memory for validation");
    *v = (validator_t){.config = *c, .comm = comm};
    v->config.run.seed = VALIDATION_SEED;
    v->config.data.caption_dropout = 0;
    v->config.data.flip = v->config.data.random_crop = false;
    lens_status st = LENS_OK;
    LENS_GO(dataset_open(&v->dataset, c->valid.dataset));
    if (dataset_n_samples(v->dataset) == 0) LENS_GO(lens_fail(LENS_FORMAT, "%s: no samples", c->valid.dataset));
    LENS_GO(train_input_options(&v->options, &v->config));
    v->options.n_threads = (int)c->data.threads;
    v->options.n_prefetch = (int)c->data.prefetch;
    LENS_GO(choose_samples(v));
    LENS_GO(size_batches(v, p));
    LENS_GO(check_layers(v));
    *out = v;
done:
    if (st != LENS_OK) validator_free(v);
    return lens_context(st, "valid.dataset");
}

void validator_free(validator_t *v) {
    if (!v) return;
    train_input_free(v->input);
    dataset_close(v->dataset);
    free(v->sample);
    free(v->loss);
    free(v->noise);
    free(v);
}

static lens_status add_batch(validator_t *v, stepper_t *s, const pipeline_tensors_t *w, const loader_batch_t *from,
                             sums_t *sums) {
    step_batch_t b;
    double px = (double)from->width * from->height;
    LENS_TRY(train_input_batch(v->input, from, &b));
    for (int level = 0; level < VALIDATION_LEVELS; level++) {
        double t = (level + 0.5) / VALIDATION_LEVELS;
        for (int64_t i = 0; i < b.n; i++)
            v->noise[i] = rng_stream(VALIDATION_SEED, (uint32_t)level, (uint64_t)b.sample[i], RNG_VALIDATE);
        LENS_TRY(stepper_evaluate(s, w, &b, v->noise, t, v->loss));
        for (int64_t i = 0; i < b.n; i++) sums->error[level] += px * v->loss[i];
    }
    sums->px += (double)b.n * px;
    sums->n_samples += (double)b.n;
    return LENS_OK;
}

static lens_status add_own_samples(validator_t *v, stepper_t *s, const pipeline_tensors_t *w, sums_t *sums) {
    loader_t *loader;
    const loader_batch_t *b;
    LENS_TRY(loader_open_once(&loader, v->dataset, &v->options, v->sample, v->n_samples));
    lens_status st;
    while ((st = loader_next(loader, &b)) == LENS_OK) LENS_GO(add_batch(v, s, w, b, sums));
    if (st == LENS_END) st = LENS_OK;
done:
    loader_close(loader);
    return st;
}

lens_status validator_run(validator_t *v, stepper_t *s, const pipeline_tensors_t *w, validation_result_t *out) {
    sums_t sums = {0};
    *out = (validation_result_t){0};
    if (v->n_samples > 0) LENS_TRY(lens_context(add_own_samples(v, s, w, &sums), "valid.dataset"));
    LENS_TRY(comm_sum_f64(v->comm, (double *)&sums, sizeof sums / sizeof(double), "validation"));
    if (sums.n_samples == 0)
        return lens_fail(LENS_STATE, "valid.dataset: %s: no sample fits a bucket of data.buckets = \"%s\"",
                         v->config.valid.dataset, v->config.data.buckets);
    out->n_samples = (int64_t)sums.n_samples;
    for (int level = 0; level < VALIDATION_LEVELS; level++) {
        out->loss_of_t[level] = sums.error[level] / sums.px;
        out->loss += out->loss_of_t[level] / VALIDATION_LEVELS;
    }
    return LENS_OK;
}
