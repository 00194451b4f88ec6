#include "train/schedule.h"

#include <math.h>
#include <string.h>

lens_status schedule_kind_parse(schedule_kind *out, const char *name) {
    static const char *const names[] = {
        [SCHEDULE_CONSTANT] = "constant", [SCHEDULE_COSINE] = "cosine", [SCHEDULE_WSD] = "wsd"};
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (schedule_kind)i;
        return LENS_OK;
    }
    return lens_fail(LENS_ARGUMENT, "train.schedule = \"%s\": expected constant, cosine or wsd", name);
}

lens_status schedule_check(const schedule_t *s) {
    if (s->kind == SCHEDULE_CONSTANT) return LENS_OK;
    if (!(s->min_lr >= 0 && s->min_lr <= s->lr))
        return lens_fail(LENS_ARGUMENT, "train.min_lr = %g: expected 0 to train.lr = %g", s->min_lr, s->lr);
    if (s->kind == SCHEDULE_WSD && (s->decay_steps < 1 || s->decay_steps > s->steps - s->warmup))
        return lens_fail(LENS_ARGUMENT,
                         "train.decay_steps = %lld: expected 1 to the %lld steps between warm-up and end",
                         (long long)s->decay_steps, (long long)(s->steps - s->warmup));
    return LENS_OK;
}

/* Share of the way from lr to min_lr. */
static double share_decayed(const schedule_t *s, int64_t step) {
    if (step >= s->steps) return 1;
    if (s->kind == SCHEDULE_COSINE) {
        double done = (double)(step - s->warmup) / (double)(s->steps - s->warmup);
        return 0.5 * (1.0 - cos(done * 3.14159265358979323846));
    }
    int64_t into = step - (s->steps - s->decay_steps);
    return into <= 0 ? 0 : sqrt((double)into / (double)s->decay_steps);
}

double schedule_lr(const schedule_t *s, int64_t step) {
    if (step < s->warmup) return s->lr * (double)step / (double)s->warmup;
    if (s->kind == SCHEDULE_CONSTANT) return s->lr;
    return s->lr + share_decayed(s, step) * (s->min_lr - s->lr);
}
