#include "train/averaged.h"

lens_status averaged_init(averaged_t *a, train_state_t *s, const pipeline_config_t *p) {
    *a = (averaged_t){.state = s, .in_place = s->n_ema > 0 && (act_t *)s->w == s->acts};
    if (!a->in_place) return LENS_OK;
    lens_status st = LENS_OK;
    LENS_GO(pipeline_tensors_init(&a->average, p, s->weights.plan.group_align));
    if (train_state_is_lora(s)) {
        a->adapters.group_align = s->plan->group_align;
        LENS_GO(mmdit_plan_lora(&a->adapters, &a->average.mmdit, &p->mmdit, &s->lora));
        plan_bind(&a->average.plan, s->frozen);
    }
    plan_bind(train_state_is_lora(s) ? &a->adapters : &a->average.plan, s->ema[0]);
done:
    if (st != LENS_OK) averaged_free(a);
    return st;
}

void averaged_free(averaged_t *a) {
    pipeline_tensors_free(&a->average);
    plan_free(&a->adapters);
    *a = (averaged_t){0};
}

static const train_field_t *first_average(const train_state_t *s) {
    int i = 0;
    while (s->field[i].own != s->ema[0]) i++;
    return &s->field[i];
}

lens_status averaged_begin(averaged_t *a, const pipeline_tensors_t **out) {
    train_state_t *s = a->state;
    *out = a->in_place ? &a->average : &s->weights;
    LENS_TRY(s->coll->finish(s->coll)); /* the last step's weights may still be on their way */
    if (a->in_place || s->n_ema == 0) return LENS_OK;
    for (int i = 0; i < s->partition.n_groups; i++) {
        const partition_group_t *g = &s->partition.group[i];
        const float *whole;
        LENS_TRY(train_state_gather(s, first_average(s), i, &whole));
        s->k->to_act(s->k, (char *)s->acts + (size_t)g->first * s->k->act_bytes, whole, g->n);
    }
    return s->k->finish(s->k);
}

lens_status averaged_end(averaged_t *a) {
    train_state_t *s = a->state;
    return a->in_place || s->n_ema == 0 ? LENS_OK : train_state_refresh(s);
}
