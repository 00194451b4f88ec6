/* Split with q/k norm and rotation, and attention, against the formulas of kernels.h in double. */
#include "tests/unit/kernel_check.h"

/* ---- qkv ---- */

typedef struct {
    int64_t B, L, H, K, S, first;
    double eps, *qkv, *wq, *wk, *rope;
    double *out[3], *dout[3]; /* q, k, v [B, H, S, K]; rows of other streams stay as they are */
} qkv_t;

static void norm_rotate(double *out, const double *x, const double *w, const double *rope, int64_t K, double eps) {
    double square = 0;
    for (int64_t i = 0; i < K; i++) square += x[i] * x[i] / (double)K;
    double s = 1 / sqrt(square + eps);
    for (int64_t j = 0; j < K; j += 2) {
        double a = x[j] * s * w[j], b = x[j + 1] * s * w[j + 1];
        out[j] = a * rope[j] - b * rope[j + 1];
        out[j + 1] = a * rope[j + 1] + b * rope[j];
    }
}

static long double qkv_loss(void *op) {
    const qkv_t *o = op;
    long double sum = 0;
    for (int64_t r = 0; r < o->B * o->L * o->H; r++) {
        int64_t h = r % o->H, token = r / o->H, b = token / o->L, l = token % o->L,
                at = ((b * o->H + h) * o->S + o->first + l) * o->K;
        const double *x = o->qkv + token * 3 * o->H * o->K + h * o->K, *rope = o->rope + l * o->K;
        norm_rotate(o->out[0] + at, x, o->wq, rope, o->K, o->eps);
        norm_rotate(o->out[1] + at, x + o->H * o->K, o->wk, rope, o->K, o->eps);
        memcpy(o->out[2] + at, x + 2 * o->H * o->K, sizeof(double) * (size_t)o->K);
        for (int i = 0; i < 3; i++) sum += check_dot(o->out[i] + at, o->dout[i] + at, o->K);
    }
    return sum;
}

static void qkv_case(check_t *c, int64_t B, int64_t L, int64_t H, int64_t K, int64_t S, int64_t first) {
    int64_t n = B * L * 3 * H * K, n_heads = B * H * S * K;
    float *qkv = check_input(c, n), *wq = check_input(c, K), *wk = check_input(c, K), *rope = check_input(c, L * K),
          *out[3], *dout[3], *dqkv = check_output(c, n), *dwq = check_sum(c, K), *dwk = check_sum(c, K);
    qkv_t o = {.B = B, .L = L, .H = H, .K = K, .S = S, .first = first, .eps = 1e-6};
    o.qkv = check_double(c, qkv, n);
    o.wq = check_double(c, wq, K);
    o.wk = check_double(c, wk, K);
    o.rope = check_double(c, rope, L * K); /* any numbers: the formula does not ask for a rotation */
    for (int i = 0; i < 3; i++) {
        out[i] = check_output(c, n_heads);
        dout[i] = check_input(c, n_heads);
        o.out[i] = check_untouched(c, n_heads);
        o.dout[i] = check_double(c, dout[i], n_heads);
    }
    c->k->qkv_fwd(c->k, out[0], out[1], out[2], qkv, wq, wk, rope, B, L, H, K, S, first, 1e-6f);
    qkv_loss(&o);
    check_near(c, "q", out[0], o.out[0], n_heads, 1, 0, 2.5);
    check_near(c, "k", out[1], o.out[1], n_heads, 1, 0, 2.5);
    check_near(c, "v", out[2], o.out[2], n_heads, 1, 0, 0);
    double *want = check_double(c, NULL, n), *want_q = check_double(c, dwq, K), *want_k = check_double(c, dwk, K);
    c->k->qkv_bwd(c->k, dqkv, dwq, dwk, dout[0], dout[1], dout[2], qkv, wq, wk, rope, B, L, H, K, S, first, 1e-6f);
    check_gradient(c, want, o.qkv, n, qkv_loss, &o);
    check_gradient(c, want_q, o.wq, K, qkv_loss, &o);
    check_gradient(c, want_k, o.wk, K, qkv_loss, &o);
    check_near(c, "dqkv", dqkv, want, n, 1, 0, 2.5);
    check_near(c, "dwq", dwq, want_q, K, (double)(B * L * H), 0, 2.5);
    check_near(c, "dwk", dwk, want_k, K, (double)(B * L * H), 0, 2.5);
    check_end(c);
}

static void qkv_cases(check_t *c) {
    for (int64_t H = 1; H <= 3; H++) {
        qkv_case(c, 1, 1, H, 2, 1, 0);
        qkv_case(c, 3, 5, H, 4, 8, 0); /* the image's part of a joint sequence */
        qkv_case(c, 3, 3, H, 6, 8, 5); /* the text's */
        qkv_case(c, 1, 5, H, 34, 6, 1);
    }
    qkv_case(c, 1, 3, 1, 64, 3, 0);
    qkv_case(c, 5, 13, 1, 2, 15, 2); /* tokens in two pieces, summed apart */
    qkv_case(c, 2, 0, 1, 4, 3, 0);
}

/* ---- attention ---- */

typedef struct {
    attention_shape_t shape;
    double *q, *k, *v, *o_img, *o_txt, *do_img, *do_txt, *lse;
    double p[128]; /* a row of probabilities */
} attention_t;

static void attention_row(attention_t *o, int64_t b, int64_t h, int64_t i) {
    const attention_shape_t *s = &o->shape;
    int64_t S = s->N + s->T, head = (b * s->H + h) * S, n = s->n_keys[b], D = s->H * s->K;
    double *out = i < s->N ? o->o_img + (b * s->N + i) * D : o->o_txt + (b * s->T + i - s->N) * D, top = -1e30, sum = 0;
    out += h * s->K;
    for (int64_t j = 0; j < n; j++) {
        o->p[j] = 0;
        for (int64_t x = 0; x < s->K; x++)
            o->p[j] += o->q[(head + i) * s->K + x] * o->k[(head + j) * s->K + x] / sqrt((double)s->K);
        top = fmax(top, o->p[j]);
    }
    for (int64_t j = 0; j < n; j++) sum += o->p[j] = exp(o->p[j] - top);
    for (int64_t x = 0; x < s->K; x++) {
        out[x] = 0;
        for (int64_t j = 0; j < n; j++) out[x] += o->p[j] / sum * o->v[(head + j) * s->K + x];
    }
    o->lse[head + i] = top + log(sum);
}

static long double attention_loss(void *op) {
    attention_t *o = op;
    const attention_shape_t *s = &o->shape;
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t h = 0; h < s->H; h++)
            for (int64_t i = 0; i < s->n_queries; i++) attention_row(o, b, h, i);
    long double sum = check_dot(o->o_img, o->do_img, s->B * s->N * s->H * s->K);
    return s->n_queries == s->N ? sum : sum + check_dot(o->o_txt, o->do_txt, s->B * s->T * s->H * s->K);
}

/* Where text queries are not wanted, the rows get no buffers for text at all. */
static void attention_case(check_t *c, int64_t B, int64_t H, int64_t N, int64_t T, int64_t K, bool text_queries,
                           float stretch, const int32_t *n_keys) {
    int64_t S = N + T, n = B * H * S * K, n_img = B * N * H * K, n_txt = text_queries ? B * T * H * K : 0;
    attention_t o = {.shape = {B, H, N, T, K, text_queries ? S : N, n_keys, 0}};
    float *q = check_input(c, n), *k = check_sum(c, n), *v = check_input(c, n), *do_img = check_input(c, n_img),
          *do_txt = check_input(c, n_txt), *o_img = check_output(c, n_img), *o_txt = check_output(c, n_txt),
          *lse = check_output(c, B * H * S), *dq = check_output(c, n), *dk = check_output(c, n),
          *dv = check_output(c, n);
    for (int64_t i = 0; i < n; i++) k[i] *= stretch;
    o.q = check_double(c, q, n);
    o.k = check_double(c, k, n);
    o.v = check_double(c, v, n);
    o.o_img = check_double(c, NULL, n_img);
    o.o_txt = check_double(c, NULL, n_txt);
    o.do_img = check_double(c, do_img, n_img);
    o.do_txt = check_double(c, do_txt, n_txt);
    o.lse = check_untouched(c, B * H * S);
    if (!text_queries) o_txt = do_txt = NULL;
    c->k->attention_fwd(c->k, o_img, o_txt, lse, q, k, v, &o.shape);
    attention_loss(&o);
    double score = 1 + (double)stretch * sqrt((double)K); /* scores are this large, and so are their errors */
    check_near(c, "o_img", o_img, o.o_img, n_img, 1, score, 2);
    if (text_queries) check_near(c, "o_txt", o_txt, o.o_txt, n_txt, 1, score, 2);
    /* A sum of S terms beside the largest score: half a unit of its last place is in proportion to score + log S. */
    check_near(c, "lse", lse, o.lse, B * H * S, 1, score + log((double)S), 1);
    c->k->attention_bwd(c->k, dq, dk, dv, do_img, do_txt, o_img, o_txt, lse, q, k, v, &o.shape);
    double *want_q = check_double(c, NULL, n), *want_k = check_double(c, NULL, n), *want_v = check_double(c, NULL, n);
    check_gradient(c, want_q, o.q, n, attention_loss, &o);
    check_gradient(c, want_k, o.k, n, attention_loss, &o);
    check_gradient(c, want_v, o.v, n, attention_loss, &o);
    check_near(c, "dq", dq, want_q, n, 1, score * (double)stretch, 2);
    check_near(c, "dk", dk, want_k, n, (double)S, score, 1);
    check_near(c, "dv", dv, want_v, n, (double)S, score, 1);
    check_end(c);
}

static void attention_cases(check_t *c) {
    const int32_t full[] = {8, 8, 8}, mixed[] = {5, 8, 6}, image_only[] = {5, 5, 5}, one[] = {1}, seven[] = {7};
    attention_case(c, 1, 1, 1, 0, 1, false, 1, one);
    attention_case(c, 1, 1, 1, 0, 3, true, 1, one);
    for (int64_t H = 1; H <= 3; H++) {
        attention_case(c, 3, H, 5, 3, 4, true, 1, full);
        attention_case(c, 3, H, 5, 3, 4, true, 1, mixed);
        attention_case(c, 3, H, 5, 3, 2, false, 1, mixed);
        attention_case(c, 3, H, 5, 0, 3, true, 1, image_only);
    }
    attention_case(c, 1, 2, 5, 3, 17, true, 1, image_only);
    const int32_t blocks[] = {101}; /* queries in two blocks, the second short */
    attention_case(c, 1, 1, 98, 5, 2, true, 1, blocks);
    attention_case(c, 1, 1, 5, 2, 64, false, 1, seven);
    attention_case(c, 1, 1, 5, 2, 64, true, 20, seven); /* scores of hundreds: softmax is nearly a choice of one */
}

static void qkv(void **state) {
    (void)state;
    check_row(qkv_cases);
}
/* Its products run inside a parallel region, one thread each. */
static void attention(void **state) {
    (void)state;
    check_row(attention_cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qkv),
        cmocka_unit_test(attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
