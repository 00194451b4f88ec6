/* The second product of an adapter, on columns of a wider matrix. */
#include "tests/unit/kernel_check.h"

/* Terms are at most 1.7^2 times the scale; the error of each addition is that of a partial sum of sqrt(n) of them. */
static double term(int64_t n) {
    return 2 * sqrt((double)(n ? n : 1));
}

/* The adapter's O columns begin at `column` of `stride`. */
static void lora_case(check_t *c, int64_t R, int64_t O, int64_t r, int64_t stride, int64_t column, bool wants_db) {
    const double scale = 1.25;
    float *xa = check_input(c, R * r), *b = check_input(c, O * r), *dy = check_input(c, R * stride),
          *y = check_sum(c, R * stride), *dxa = check_output(c, R * r), *db = check_sum(c, O * r);
    double *want_y = check_double(c, y, R * stride), *want_dxa = check_double(c, NULL, R * r),
           *want_db = check_double(c, db, O * r);
    for (int64_t i = 0; i < R; i++)
        for (int64_t o = 0; o < O; o++)
            for (int64_t j = 0; j < r; j++) {
                double d = scale * (double)dy[i * stride + column + o];
                want_y[i * stride + column + o] += scale * (double)xa[i * r + j] * (double)b[o * r + j];
                want_dxa[i * r + j] += d * (double)b[o * r + j];
                if (wants_db) want_db[o * r + j] += d * (double)xa[i * r + j];
            }
    kernels_t *k = c->k;
    k->lora_fwd(k, slice_at(y, stride, column), xa, b, (float)scale, R, O, r);
    k->lora_bwd(k, dxa, wants_db ? db : NULL, slice_at(dy, stride, column), xa, b, (float)scale, R, O, r);
    check_near(c, "lora y", y, want_y, R * stride, (double)r, term(r), 2);
    check_near(c, "lora dxa", dxa, want_dxa, R * r, (double)O, term(O), 2);
    check_near(c, "lora db", db, want_db, O * r, (double)R, term(R), 2);
    check_end(c);
}

static void lora_cases(check_t *c) {
    const int64_t sizes[] = {1, 3, 17, 64};
    enum { N = sizeof sizes / sizeof sizes[0] };
    for (int i = 0; i < N; i++) {
        int64_t R = sizes[i], O = sizes[(i + 1) % N], r = sizes[(i + 2) % N];
        lora_case(c, R, O, r, O, 0, true);
        lora_case(c, R, O, r, 2 * O, O, true);
        lora_case(c, R, O, r, 3 * O + 5, 2, i % 2);
    }
    lora_case(c, 85, 130, 16, 260, 130, true);
    lora_case(c, 0, 17, 3, 17, 0, true); /* no rows: nothing is added either */
}

static void lora(void **state) {
    (void)state;
    check_row_of_products(lora_cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
