#include "model/flow.h"

#include <math.h>

#define LOGIT_MAX 12.0

double flow_training_mu(int64_t n_tokens) {
    return 1.0 + 0.3 * ((double)n_tokens - 256.0) / (4096.0 - 256.0);
}

double flow_draw_t(rng_t *r, double mu, double spread) {
    double logit = fmax(-LOGIT_MAX, fmin(LOGIT_MAX, mu + spread * rng_normal(r)));
    return 1.0 / (1.0 + exp(-logit));
}

/* Two lines over the token count, at 10 and at 200 steps, and a line between them over the steps; beyond 4300 tokens
 * the released pipeline uses the second alone. */
double flow_sampling_mu(int64_t n_tokens, int64_t steps) {
    double n = (double)n_tokens, at_200 = 0.00016927 * n + 0.45666666, at_10 = 8.73809524e-05 * n + 1.89833333;
    if (n_tokens > 4300) return at_200;
    double slope = (at_200 - at_10) / 190.0;
    return slope * (double)steps + at_200 - 200.0 * slope;
}

void flow_schedule(double *out, int64_t steps, double mu) {
    double shift = exp(mu);
    for (int64_t i = 0; i < steps; i++) {
        double u = steps > 1 ? 1.0 - (double)i * (1.0 - 1.0 / (double)steps) / (double)(steps - 1) : 1.0;
        out[i] = shift / (shift + (1.0 / u - 1.0));
    }
    out[steps] = 0.0;
}
