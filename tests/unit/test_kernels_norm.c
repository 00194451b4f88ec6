/* RMS and layer norms, with and without modulation, against the formulas of kernels.h in double. */
#include "tests/unit/kernel_check.h"

/* One norm. The modulation is a matrix [B, stride]: scale and shift, with columns that are nobody's on every side. */
typedef struct {
    bool layer, modulated;
    int64_t B, L, D, stride; /* of mod; of y where not modulated */
    double eps, *x, *w, *mod, *dy;
    double *y, *stats; /* results: [R, D]; rstd [R], or mean and rstd [R, 2] */
} norm_t;

#define SCALE_COLUMN 1
#define SHIFT_COLUMN(o) (2 + (o)->D)
static const double eps = 1e-6;

static void norm_row(const norm_t *o, int64_t r) {
    const double *x = o->x + r * o->D, *mod = o->modulated ? o->mod + r / o->L * o->stride : NULL;
    double mean = 0, square = 0;
    for (int64_t i = 0; o->layer && i < o->D; i++) mean += x[i] / (double)o->D;
    for (int64_t i = 0; i < o->D; i++) square += (x[i] - mean) * (x[i] - mean) / (double)o->D;
    double s = 1 / sqrt(square + o->eps);
    for (int64_t i = 0; i < o->D; i++) {
        double y = (x[i] - mean) * s * (o->w ? o->w[i] : 1);
        if (mod) y = y * (1 + mod[SCALE_COLUMN + i]) + mod[SHIFT_COLUMN(o) + i];
        o->y[r * o->D + i] = y;
    }
    if (o->layer) o->stats[2 * r] = mean;
    o->stats[o->layer ? 2 * r + 1 : r] = s;
}

static long double norm_loss(void *op) {
    const norm_t *o = op;
    for (int64_t r = 0; r < o->B * o->L; r++) norm_row(o, r);
    return check_dot(o->y, o->dy, o->B * o->L * o->D);
}

/* The size of the terms whose difference dx is: rstd * |dy (1 + scale) w|. A layer of width 1 has none: dx is 0. */
static double dx_scale(const norm_t *o) {
    int64_t R = o->B * o->L;
    double s = check_largest(o->stats, o->layer ? 2 * R : R), w = o->w ? check_largest(o->w, o->D) : 1;
    if (o->layer && o->D == 1) return 0;
    return 1 + s * check_largest(o->dy, R * o->D) * w * (o->modulated ? 2.7 : 1);
}

typedef struct {
    float *x, *w, *mod, *dy, *y, *stats, *dx, *dw, *dmod;
} buffers_t;

/* The gradient of mod: NaN in the columns that are nobody's. */
static double *mod_gradient(check_t *c, norm_t *o) {
    double *all = check_double(c, NULL, o->B * o->stride), *want = check_untouched(c, o->B * o->stride);
    check_gradient(c, all, o->mod, o->B * o->stride, norm_loss, o);
    for (int64_t b = 0; b < o->B; b++)
        for (int64_t i = 0; i < o->D; i++) {
            int64_t scale = b * o->stride + SCALE_COLUMN + i, shift = b * o->stride + SHIFT_COLUMN(o) + i;
            want[scale] = all[scale];
            want[shift] = all[shift];
        }
    return want;
}

static norm_t new_norm(check_t *c, buffers_t *f, bool layer, int64_t B, int64_t L, int64_t D) {
    norm_t o = {.layer = layer, .modulated = true, .B = B, .L = L, .D = D, .stride = 2 * D + 3, .eps = eps};
    int64_t R = B * L, n_stats = layer ? 2 * R : R;
    *f = (buffers_t){.x = check_sum(c, R * D),
                     .w = layer ? NULL : check_input(c, D),
                     .mod = check_input(c, B * o.stride),
                     .dy = check_input(c, R * D),
                     .y = check_output(c, R * D),
                     .stats = check_output(c, n_stats),
                     .dmod = check_output(c, B * o.stride)};
    /* Signs alternate: elements near each other would make 1 / deviation, and all errors, as large as they like. */
    for (int64_t i = 0; layer && i < R * D; i++) f->x[i] = copysignf(f->x[i], i % 2 ? -1.0f : 1.0f);
    o.x = check_double(c, f->x, R * D);
    o.w = layer ? NULL : check_double(c, f->w, D);
    o.mod = check_double(c, f->mod, B * o.stride);
    o.dy = check_double(c, f->dy, R * D);
    o.y = check_double(c, NULL, R * D);
    o.stats = check_double(c, NULL, n_stats);
    return o;
}

static void rms_mod_case(check_t *c, int64_t B, int64_t L, int64_t D) {
    buffers_t f;
    norm_t o = new_norm(c, &f, false, B, L, D);
    int64_t R = B * L;
    f.dx = check_sum(c, R * D);
    f.dw = check_sum(c, D);
    double *dx = check_double(c, f.dx, R * D), *dw = check_double(c, f.dw, D);
    slice_t shift = slice_at(f.mod, o.stride, SHIFT_COLUMN(&o)), scale = slice_at(f.mod, o.stride, SCALE_COLUMN);
    c->k->rms_mod_fwd(c->k, f.y, f.stats, f.x, f.w, shift, scale, B, L, D, (float)eps);
    norm_loss(&o);
    check_near(c, "rms_mod y", f.y, o.y, R * D, 1, 0, 4);
    check_near(c, "rms_mod rstd", f.stats, o.stats, R, 1, 0, 4);
    c->k->rms_mod_bwd(c->k, f.dx, f.dw, slice_at(f.dmod, o.stride, SHIFT_COLUMN(&o)),
                      slice_at(f.dmod, o.stride, SCALE_COLUMN), f.dy, f.x, f.stats, f.w, scale, B, L, D);
    double term = dx_scale(&o);
    check_gradient(c, dx, o.x, R * D, norm_loss, &o);
    check_gradient(c, dw, o.w, D, norm_loss, &o);
    check_near(c, "rms_mod dx", f.dx, dx, R * D, 1, term, 3);
    check_near(c, "rms_mod dw", f.dw, dw, D, (double)R, 0, 5);
    check_near(c, "rms_mod dmod", f.dmod, mod_gradient(c, &o), B * o.stride, (double)L, 0, 3);
    check_end(c);
}

static void layer_mod_case(check_t *c, int64_t B, int64_t L, int64_t D) {
    buffers_t f;
    norm_t o = new_norm(c, &f, true, B, L, D);
    int64_t R = B * L;
    f.dx = check_output(c, R * D);
    slice_t shift = slice_at(f.mod, o.stride, SHIFT_COLUMN(&o)), scale = slice_at(f.mod, o.stride, SCALE_COLUMN);
    c->k->layer_mod_fwd(c->k, f.y, f.stats, f.x, shift, scale, B, L, D, (float)eps);
    norm_loss(&o);
    check_near(c, "layer_mod y", f.y, o.y, R * D, 1, 0, 4);
    check_near(c, "layer_mod s", f.stats, o.stats, 2 * R, 1, 0, 2.5);
    c->k->layer_mod_bwd(c->k, f.dx, slice_at(f.dmod, o.stride, SHIFT_COLUMN(&o)),
                        slice_at(f.dmod, o.stride, SCALE_COLUMN), f.dy, f.x, f.stats, scale, B, L, D);
    double *dx = check_double(c, NULL, R * D), term = dx_scale(&o);
    check_gradient(c, dx, o.x, R * D, norm_loss, &o);
    check_near(c, "layer_mod dx", f.dx, dx, R * D, 1, term, 3);
    check_near(c, "layer_mod dm", f.dmod, mod_gradient(c, &o), B * o.stride, (double)L, 0, 4);
    check_end(c);
}

/* y and dy are columns 3 .. 3 + D of a wider matrix. */
static void rms_case(check_t *c, int64_t R, int64_t D, bool frozen) {
    norm_t o = {.B = R, .L = 1, .D = D, .eps = eps};
    int64_t stride = D + 5, column = 3;
    float *x = check_input(c, R * D), *w = check_input(c, D), *wide_dy = check_input(c, R * stride),
          *wide_y = check_output(c, R * stride), *rstd = check_output(c, R), *dx = check_output(c, R * D),
          *dw = check_sum(c, D);
    o.x = check_double(c, x, R * D);
    o.w = check_double(c, w, D);
    o.dy = check_double(c, NULL, R * D);
    o.y = check_double(c, NULL, R * D);
    o.stats = check_double(c, NULL, R);
    double *want_y = check_untouched(c, R * stride), *want_dw = check_double(c, dw, D),
           *want_dx = frozen ? check_untouched(c, R * D) : check_double(c, NULL, R * D);
    for (int64_t r = 0; r < R; r++)
        for (int64_t i = 0; i < D; i++) o.dy[r * D + i] = (double)wide_dy[r * stride + column + i];
    norm_loss(&o);
    for (int64_t r = 0; r < R; r++) memcpy(want_y + r * stride + column, o.y + r * D, sizeof(double) * (size_t)D);
    c->k->rms_fwd(c->k, slice_at(wide_y, stride, column), rstd, x, w, R, D, (float)eps);
    c->k->rms_bwd(c->k, frozen ? NULL : dx, dw, slice_at(wide_dy, stride, column), x, rstd, w, R, D);
    check_near(c, "rms y", wide_y, want_y, R * stride, 1, 0, 3);
    check_near(c, "rms rstd", rstd, o.stats, R, 1, 0, 4);
    double term = dx_scale(&o);
    if (!frozen) check_gradient(c, want_dx, o.x, R * D, norm_loss, &o);
    check_gradient(c, want_dw, o.w, D, norm_loss, &o);
    check_near(c, "rms dx", dx, want_dx, R * D, 1, term, 3);
    check_near(c, "rms dw", dw, want_dw, D, (double)R, 0, 3);
    check_end(c);
}

static const int64_t widths[] = {1, 2, 3, 17, 64, 85};
enum { N_WIDTHS = sizeof widths / sizeof widths[0] };

static void rms_mod_cases(check_t *c) {
    for (int i = 0; i < N_WIDTHS; i++)
        for (int64_t B = 1; B <= 3; B += 2)
            for (int64_t L = 1; L <= 5; L += 4) rms_mod_case(c, B, L, widths[i]);
    rms_mod_case(c, 2, 65, 3); /* rows in two pieces, summed apart */
    rms_mod_case(c, 2, 0, 3);
}

static void layer_mod_cases(check_t *c) {
    for (int i = 0; i < N_WIDTHS; i++)
        for (int64_t B = 1; B <= 3; B += 2)
            for (int64_t L = 1; L <= 5; L += 4) layer_mod_case(c, B, L, widths[i]);
    layer_mod_case(c, 2, 65, 3);
    layer_mod_case(c, 2, 0, 3);
}

static void rms_cases(check_t *c) {
    for (int i = 0; i < N_WIDTHS; i++) {
        rms_case(c, 1, widths[i], false);
        rms_case(c, 7, widths[i], true);
        rms_case(c, 15, widths[i], false);
    }
    rms_case(c, 0, 17, false); /* no text at all */
}

static void rms_mod(void **state) {
    (void)state;
    check_row(rms_mod_cases);
}
static void layer_mod(void **state) {
    (void)state;
    check_row(layer_mod_cases);
}
static void rms(void **state) {
    (void)state;
    check_row(rms_cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rms_mod),
        cmocka_unit_test(layer_mod),
        cmocka_unit_test(rms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
