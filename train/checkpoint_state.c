/* Checkpoints of a training state. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/weights.h"
#include "train/checkpoint_layout.h"
#include "train/checkpoint_private.h"

static lens_status gather(void *state, const train_field_t *f, int group, const float **out) {
    return train_state_gather(state, f, group, out);
}

static state_view_t view_of(train_state_t *s, const char *optimizer, double adapter_alpha) {
    return (state_view_t){.k = s->k,
                          .plan = s->plan,
                          .partition = &s->partition,
                          .zero = s->zero,
                          .optimizer = optimizer,
                          .adapter_alpha = adapter_alpha,
                          .n_fields = s->n_fields,
                          .field = s->field,
                          .gather = gather,
                          .context = s};
}

lens_status checkpointer_start(checkpointer_t *ck, train_state_t *s, const checkpoint_position_t *at) {
    state_view_t v = view_of(s, ck->c->train.optimizer, ck->c->lora.alpha);
    return checkpointer_start_view(ck, &v, at);
}

lens_status checkpoint_load(checkpoint_position_t *at, train_state_t *s, const train_config_t *c,
                            const checkpoint_position_t *expected, comm_t *comm) {
    state_view_t v = view_of(s, c->train.optimizer, c->lora.alpha);
    LENS_TRY(checkpoint_load_view(at, &v, c->run.dir, expected, comm));
    return train_state_refresh(s);
}

/* ---- weights alone ---- */

/* A slice of master weights and of every average. */
static lens_status load_slice(train_state_t *s, const weights_t *w, const partition_slice_t *slice, float *host) {
    int row = (int)(slice->row - s->plan->rows);
    if (!weights_has(w, row)) return LENS_OK;
    LENS_TRY(weights_read(w, row, slice->row_first, slice->n, host));
    for (int f = 0; f < s->n_fields; f++)
        if (strcmp(s->field[f].name, "w") == 0 || checkpoint_field_is_average(s->field[f].name))
            s->k->upload(s->k, s->field[f].own + slice->own_at, host, sizeof(float) * (size_t)slice->n);
    return LENS_OK;
}

static lens_status load_slices(train_state_t *s, const weights_t *w) {
    int64_t largest = 1;
    for (int i = 0; i < s->partition.n_slices; i++)
        if (s->partition.slice[i].n > largest) largest = s->partition.slice[i].n;
    float *host = malloc(sizeof *host * (size_t)largest);
    lens_status st = host ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for initial weights");
    for (int i = 0; i < s->partition.n_slices && st == LENS_OK; i++)
        st = load_slice(s, w, &s->partition.slice[i], host);
    free(host);
    return st;
}

lens_status checkpoint_init_from(train_state_t *s, const char *path, comm_t *comm) {
    weights_t *w;
    const plan_t *plan = s->plan;
    LENS_TRY(comm_agree(comm, weights_open(&w, plan, path), "initial weights"));
    int n_kept = 0;
    for (int i = 0; i < plan->n; i++) n_kept += !weights_has(w, i);
    if (n_kept)
        log_info("%s: has not %d of the %d tensors, which begin as they would without it", path, n_kept, plan->n);
    lens_status st = comm_agree(comm, lens_context(load_slices(s, w), "%s", path), "initial weights");
    weights_close(w);
    return st == LENS_OK ? train_state_refresh(s) : st;
}

/* ---- the frozen model of adapters ---- */

/* By a float buffer on the device, since weights are stored as floats and read as act. */
static lens_status load_frozen_rows(train_state_t *s, const weights_t *w, float *host, float *stage) {
    const plan_t *p = &s->weights.plan;
    kernels_t *k = s->k;
    for (int i = 0; i < p->n; i++) {
        const plan_row_t *row = &p->rows[i];
        if (!weights_has(w, i)) return lens_fail(LENS_FORMAT, "tensor %s is missing", row->name);
        LENS_TRY(weights_read(w, i, 0, row->n, host));
        k->upload(k, stage, host, sizeof(float) * (size_t)row->n);
        k->to_act(k, (char *)s->frozen + row->offset_bytes / sizeof(float) * k->act_bytes, stage, row->n);
    }
    return k->finish(k);
}

lens_status checkpoint_load_frozen(train_state_t *s, const char *path, comm_t *comm) {
    const plan_t *p = &s->weights.plan;
    weights_t *w = NULL;
    float *host = NULL;
    void *stage = NULL;
    int64_t largest = 1;
    lens_status st = LENS_OK;
    for (int i = 0; i < p->n; i++)
        if (p->rows[i].n > largest) largest = p->rows[i].n;
    LENS_GO(weights_open(&w, p, path));
    host = malloc(sizeof *host * (size_t)largest);
    if (!host) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for a tensor"));
    LENS_GO(s->k->alloc(s->k, &stage, sizeof(float) * (size_t)largest, "a tensor on its way"));
    st = lens_context(load_frozen_rows(s, w, host, stage), "%s", path);
done:
    s->k->free(s->k, stage);
    free(host);
    weights_close(w);
    return comm_agree(comm, st, "frozen weights");
}
