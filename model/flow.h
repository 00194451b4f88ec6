/* Noise levels of flow matching: x_t = (1 - t) data + t noise, velocity noise - data, t = 1 is pure noise.
 * Host arithmetic in double; the element-wise work is in the op table. */
#ifndef LENS_MODEL_FLOW_H
#define LENS_MODEL_FLOW_H

#include "base/error.h"
#include "base/rng.h"

/* Mean of the logit-normal of training, linear in the image tokens: 1.0 at 256, 1.3 at 4096, extrapolated (the paper's
 * recipe, arXiv 2605.21573). */
double flow_training_mu(int64_t n_tokens);
/* t = sigmoid(mu + spread * N(0, 1)); the logit is held to [-12, 12], so that t stays inside (0, 1) in float. */
double flow_draw_t(rng_t *r, double mu, double spread);

/* The released pipeline's shift of the sampling schedule, fitted over image tokens and steps; not the training's mu. */
double flow_sampling_mu(int64_t n_tokens, int64_t steps);
/* t[0] = 1 > ... > t[steps] = 0: a linear grid from 1 to 1/steps, shifted by exp(mu). out holds steps + 1. */
void flow_schedule(double *out, int64_t steps, double mu);

#endif
