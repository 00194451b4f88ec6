/* The CUDA table's flow matching beside the CPU's, in float and bf16; test_kernels_flow.c has the formulas. */
#include "tests/unit/cuda_check.h"

#define BOTH for (int s = 0; s < PAIR_SIDES; s++)

static void pixels_case(pair_t *p, int64_t B, int64_t h, int64_t w, int64_t size) {
    int64_t n = B * h * w * 3 * size * size;
    unsigned char *bytes = malloc((size_t)n);
    assert_non_null(bytes);
    for (int64_t i = 0; i < n; i++) bytes[i] = (unsigned char)rng_below(&p->rng, 256);
    pair_buffer_t *pixels = pair_buffer(p, PAIR_BYTES, PAIR_INPUT, n, bytes), *tokens = pair_output(p, PAIR_F32, n),
                  *back = pair_output(p, PAIR_BYTES, n), *wide = pair_random(p, PAIR_F32, PAIR_INPUT, n),
                  *clipped = pair_output(p, PAIR_BYTES, n);
    BOTH {
        p->k[s]->patchify(p->k[s], tokens->at[s], pixels->at[s], B, h, w, size);
        p->k[s]->unpatchify(p->k[s], back->at[s], tokens->at[s], B, h, w, size);
        p->k[s]->unpatchify(p->k[s], clipped->at[s], wide->at[s], B, h, w, size);
    }
    pair_near(p, "patchify", tokens, 1, 0, 0);
    pair_near(p, "unpatchify", back, 1, 0, 0);
    pair_near(p, "clipped", clipped, 1, 0, 0);
    double *same = pair_values(p, back, PAIR_CUDA);
    for (int64_t i = 0; i < n; i++) assert_true(same[i] == bytes[i]);
    free(same);
    pair_end(p);
    free(bytes);
}

static void noise_case(pair_t *p, int64_t B, int64_t n) {
    rng_t *streams = calloc((size_t)B, sizeof *streams);
    assert_non_null(streams);
    for (int64_t b = 0; b < B; b++)
        streams[b] = rng_stream(UINT64_C(0x123456789ABC) + (uint64_t)b, 3, (uint64_t)b << 30, RNG_NOISE);
    pair_buffer_t *out = pair_output(p, PAIR_F32, B * n);
    BOTH p->k[s]->noise(p->k[s], out->at[s], streams, B, n);
    pair_near(p, "noise", out, 1, 5.8, 3);
    pair_end(p);
    free(streams);
}

static void rows_case(pair_t *p, int64_t B, int64_t n) {
    pair_buffer_t *data = pair_random(p, PAIR_F32, PAIR_INPUT, B * n), *e = pair_random(p, PAIR_F32, PAIR_INPUT, B * n),
                  *t = pair_random(p, PAIR_F32, PAIR_INPUT, B), *x_t = pair_output(p, PAIR_ACT, B * n),
                  *v = pair_random(p, PAIR_ACT, PAIR_INPUT, B * n), *dv = pair_output(p, PAIR_ACT, B * n),
                  *loss = pair_output(p, PAIR_F64, B);
    BOTH {
        p->k[s]->flow_mix(p->k[s], x_t->at[s], data->at[s], e->at[s], t->at[s], B, n);
        p->k[s]->flow_loss(p->k[s], loss->at[s], dv->at[s], v->at[s], data->at[s], e->at[s], 0.25f, B, n);
    }
    pair_near(p, "flow_mix", x_t, 1, 0, 1.5);
    pair_near(p, "flow dv", dv, 1, 0, 1.5);
    pair_near(p, "flow loss", loss, 1, 0, 1e-7); /* in double */
    pair_end(p);
}

static void sampling_case(pair_t *p, int64_t R, int64_t C) {
    pair_buffer_t *v = pair_output(p, PAIR_F32, R * C), *cond = pair_random(p, PAIR_ACT, PAIR_INPUT, R * C),
                  *uncond = pair_random(p, PAIR_ACT, PAIR_INPUT, R * C), *x = pair_random(p, PAIR_F32, PAIR_SUM, R * C),
                  *step = pair_random(p, PAIR_F32, PAIR_INPUT, R * C);
    BOTH {
        p->k[s]->guide(p->k[s], v->at[s], cond->at[s], uncond->at[s], 3.5f, R, C);
        p->k[s]->axpy(p->k[s], x->at[s], step->at[s], -0.1f, R * C);
    }
    pair_near(p, "guide", v, (double)C, 0, 1);
    pair_near(p, "axpy", x, 1, 0, 1);
    pair_end(p);
}

static void no_direction_case(pair_t *p) {
    const float zeros[5] = {0};
    pair_buffer_t *v = pair_output(p, PAIR_F32, 5), *cond = pair_buffer(p, PAIR_ACT, PAIR_INPUT, 5, zeros);
    BOTH p->k[s]->guide(p->k[s], v->at[s], cond->at[s], cond->at[s], 3.5f, 1, 5);
    pair_near(p, "guide 0", v, 1, 0, 0);
    pair_end(p);
}

static void cases(pair_t *p) {
    pixels_case(p, 1, 1, 1, 1);
    pixels_case(p, 2, 3, 5, 2);
    pixels_case(p, 1, 2, 3, 16);
    for (int64_t n = 1; n < 10; n++) noise_case(p, 2, n);
    noise_case(p, 131, 2); /* more streams than a launch takes */
    noise_case(p, 1, 1030);
    for (int64_t n = 1; n < 18; n += 3) rows_case(p, 3, n);
    rows_case(p, 2, 2056);
    rows_case(p, 1, 2049);
    sampling_case(p, 1, 1);
    sampling_case(p, 7, 33);
    sampling_case(p, 4, 64);
    no_direction_case(p);
}

static void agrees(void **state) {
    (void)state;
    pair_rows(cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
