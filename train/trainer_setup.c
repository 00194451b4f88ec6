/* Set-up of a run. What only one rank may meet, a missing file, a full memory, is agreed upon before anything in which
 * ranks wait for each other. */
#include "base/file.h"
#include "base/log.h"
#include "train/launch_check.h"
#include "train/trainer_private.h"

static lens_status loader_options(loader_options_t *out, const trainer_t *t) {
    LENS_TRY(train_input_options(out, t->c));
    out->rank = comm_rank(t->comm);
    out->world = comm_world(t->comm);
    out->n_threads = (int)t->c->data.threads;
    out->n_prefetch = (int)t->c->data.prefetch;
    return LENS_OK;
}

static lens_status open_data(trainer_t *t) {
    const train_config_t *c = t->c;
    LENS_TRY(dataset_open(&t->dataset, c->data.dataset));
    if (c->data.layers) LENS_TRY(dataset_add_layers(t->dataset, c->data.layers));
    if (dataset_n_samples(t->dataset) == 0) return lens_fail(LENS_FORMAT, "%s: no samples", c->data.dataset);
    loader_options_t o;
    LENS_TRY(loader_options(&o, t));
    t->at = (checkpoint_position_t){.seed = c->run.seed, .n_samples = dataset_n_samples(t->dataset)};
    return loader_identity(&t->at.data_hash, t->dataset, &o);
}

static lens_status start_state(trainer_t *t, bool resume) {
    const train_config_t *c = t->c;
    if (train_state_is_lora(&t->state)) LENS_TRY(checkpoint_load_frozen(&t->state, c->train.init_from, t->comm));
    char found = (char)checkpoint_exists(c);
    LENS_TRY(comm_broadcast(t->comm, &found, 1, 0, "whether there are checkpoints"));
    if (found && !resume)
        return lens_fail(LENS_STATE,
                         "%s holds checkpoints: --resume goes on from the newest, another run.dir starts anew",
                         c->run.dir);
    if (!found) {
        LENS_TRY(train_state_start(&t->state, (uint64_t)c->run.seed));
        if (!c->train.init_from || train_state_is_lora(&t->state)) return LENS_OK;
        return checkpoint_init_from(&t->state, c->train.init_from, t->comm);
    }
    checkpoint_position_t expected = t->at;
    LENS_TRY(checkpoint_load(&t->at, &t->state, c, &expected, t->comm));
    t->first_step = t->at.step;
    if (t->first_step >= c->train.steps)
        return lens_fail(LENS_STATE, "%s: the newest checkpoint is of step %lld; train.steps is %lld", c->run.dir,
                         (long long)t->first_step, (long long)c->train.steps);
    log_info("resumed from step %lld", (long long)t->first_step);
    return LENS_OK;
}

/* The model is planned for every bucket's micro-batch; batches are read for whole ones. */
static lens_status open_stepper(trainer_t *t) {
    const train_config_t *c = t->c;
    mmdit_shape_t shapes[BUCKET_MAX];
    bucket_list_t l;
    int64_t batch[BUCKET_MAX], sharing, per_step, max_rows = 0, max_elements = 0;
    LENS_TRY(train_config_shares(&sharing, &per_step, c, comm_world(t->comm)));
    LENS_TRY(train_config_buckets(&l, c));
    LENS_TRY(train_config_batch(batch, c, &l));
    for (int i = 0; i < l.n; i++) {
        int64_t rows = batch[l.bucket[i].area] / sharing;
        shapes[i] = train_config_shape(c, &l.bucket[i], rows / c->train.accumulate);
        int64_t elements = rows * shapes[i].N * t->pipeline.mmdit.in_channels;
        if (rows > max_rows) max_rows = rows;
        if (elements > max_elements) max_elements = elements;
    }
    LENS_TRY(train_input_new(&t->input, c, &t->pipeline, max_rows, max_elements));
    return stepper_new(&t->stepper, t->k, c, &t->pipeline, shapes, l.n, per_step);
}

static lens_status open_loader(trainer_t *t) {
    loader_options_t o;
    LENS_TRY(loader_options(&o, t));
    return loader_open(&t->loader, t->dataset, &o, t->first_step);
}

static lens_status open_outputs(trainer_t *t) {
    const train_config_t *c = t->c;
    LENS_TRY(checkpointer_new(&t->checkpointer, c, &t->pipeline, t->comm));
    LENS_TRY(averaged_init(&t->averaged, &t->state, &t->pipeline));
    if (c->valid.dataset) LENS_TRY(validator_new(&t->validator, c, &t->pipeline, t->comm));
    if (trainer_is_root(t)) LENS_TRY(dir_make(c->run.dir));
    if (trainer_is_root(t)) LENS_TRY(metrics_open(&t->metrics, c->run.dir, t->first_step + 1));
    if (c->sample.every > 0) LENS_TRY(preview_new(&t->preview, t->k, c, &t->pipeline, t->dataset, t->comm));
    return LENS_OK;
}

static lens_status prepare(trainer_t *t) {
    const train_config_t *c = t->c;
    int64_t sharing, per_step;
    LENS_TRY(train_config_shares(&sharing, &per_step, c, comm_world(t->comm)));
    LENS_TRY(train_config_pipeline(&t->pipeline, c));
    LENS_TRY(train_config_schedule(&t->schedule, c));
    t->machine = memory_machine_of(&t->device, c, comm_world(t->comm));
    LENS_TRY(memory_plan_make(&t->memory, c, &t->machine));
    return open_data(t);
}

static lens_status open_device(trainer_t *t) {
    const train_config_t *c = t->c;
    const device_options_t wanted = train_config_device(c);
    LENS_TRY(device_open(&t->device, &wanted, t->comm));
    t->k = t->device.k;
    t->coll = t->device.coll;
    return LENS_OK;
}

/* GPUs that should talk by NVLink or a fast network and do not would only seem slow. */
static lens_status log_link(trainer_t *t) {
    collectives_speed_t speed;
    str_t text = {0};
    if (t->device.kind == DEVICE_CPU || comm_world(t->comm) == 1) return LENS_OK;
    LENS_TRY(launch_check_link(&speed, t->comm, &t->device));
    launch_check_link_text(&text, &speed, &t->device);
    log_info("link: %s", str_text(&text));
    str_free(&text);
    return LENS_OK;
}

static lens_status finish_set_up(trainer_t *t) {
    const step_gate_t gate = {
        .mean = t->at.guard_mean, .var = t->at.guard_var, .n = t->at.guard_n, .n_updates = t->at.n_updates};
    train_state_set_gate(&t->state, &gate);
    LENS_TRY(open_stepper(t));
    LENS_TRY(open_loader(t));
    return open_outputs(t);
}

lens_status trainer_set_up(trainer_t *t, bool resume) {
    comm_t *comm = t->comm;
    LENS_TRY(launch_check_run(comm, t->c));
    LENS_TRY(open_device(t));
    LENS_TRY(log_link(t));
    LENS_TRY(comm_agree(comm, prepare(t), "set-up"));
    LENS_TRY(comm_agree(comm, train_state_init(&t->state, t->k, t->coll, t->c, &t->pipeline), "set-up"));
    LENS_TRY(start_state(t, resume));
    return comm_agree(comm, finish_set_up(t), "set-up");
}

void trainer_tear_down(trainer_t *t) {
    preview_free(t->preview);
    validator_free(t->validator);
    averaged_free(&t->averaged);
    metrics_close(t->metrics);
    checkpointer_free(t->checkpointer);
    loader_close(t->loader);
    stepper_free(t->stepper);
    train_input_free(t->input);
    train_state_free(&t->state);
    dataset_close(t->dataset);
    device_close(&t->device);
}
