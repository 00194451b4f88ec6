/* Checkpoints of a training state. */
#include "train/checkpoint.h"

static lens_status gather(void *state, const train_field_t *f, int group, const float **out) {
    train_state_t *s = state;
    *out = f->own + s->partition.group[group].first;
    return LENS_OK;
}

static state_view_t view_of(train_state_t *s) {
    return (state_view_t){.k = s->k,
                          .plan = &s->weights.plan,
                          .partition = &s->partition,
                          .zero = 0,
                          .optimizer = "adamw",
                          .n_fields = 4,
                          .field = s->field,
                          .gather = gather,
                          .context = s};
}

lens_status checkpointer_start(checkpointer_t *ck, train_state_t *s, const checkpoint_position_t *at) {
    state_view_t v = view_of(s);
    return checkpointer_start_view(ck, &v, at);
}

lens_status checkpoint_load(checkpoint_position_t *at, train_state_t *s, const train_config_t *c,
                            const checkpoint_position_t *expected, comm_t *comm) {
    state_view_t v = view_of(s);
    LENS_TRY(checkpoint_load_view(at, &v, c->run.dir, expected, comm));
    train_state_refresh(s);
    return s->k->finish(s->k);
}
