/* Collectives on buffers. Run alone it is a world of 1; tests/e2e/test_collectives.sh runs the same executable under
 * mpirun. LENS_TEST_SEEDS: how many random sequences are run. */
#include "kernels/collectives.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernels/collectives_speed.h"
#include "kernels/ring_pass.h"
#include "tests/unit/comm_fixture.h"

static int set_up(void **state) {
    collectives_t *c;
    if (collectives_host_new(&c, comm) != LENS_OK) return -1;
    *state = c;
    return 0;
}

static int tear_down(void **state) {
    collectives_free(*state);
    return 0;
}

/* ---- arrays whose sums are exact ---- */

enum { N_KINDS = 5 }; /* reduce-scatter and all-reduce of both types, all-gather */

typedef struct {
    int kind;
    int64_t n; /* items */
    char *x;
} job_t;

static size_t item_bytes(int kind) {
    return kind == 4 ? 1 : kind % 2 ? sizeof(double) : sizeof(float);
}

static int64_t value(int64_t i, int rank) {
    return i % 1021 + (int64_t)rank * 7;
}

static void fill(job_t *j) {
    const collectives_t at = {.rank = comm_rank(comm), .world = comm_world(comm)};
    j->x = malloc((size_t)j->n * item_bytes(j->kind) + 1);
    assert_non_null(j->x);
    j->x[(size_t)j->n * item_bytes(j->kind)] = 77; /* a guard */
    for (int64_t i = 0; i < j->n; i++) {
        const bool own = i >= j->n / at.world * at.rank && i < j->n / at.world * (at.rank + 1);
        if (j->kind == 4)
            j->x[i] = own ? (char)(i % 113) : (char)-1;
        else if (j->kind % 2)
            ((double *)j->x)[i] = (double)value(i, at.rank);
        else
            ((float *)j->x)[i] = (float)value(i, at.rank);
    }
}

static ticket_t start(collectives_t *c, const job_t *j) {
    const reduce_type type = j->kind % 2 ? REDUCE_F64 : REDUCE_F32;
    if (j->kind == 4) return c->all_gather(c, j->x, (size_t)j->n, "bytes");
    return j->kind < 2 ? c->reduce_scatter(c, j->x, j->n, type, "parts") : c->all_reduce(c, j->x, j->n, type, "whole");
}

static void check(job_t *j) {
    const int world = comm_world(comm), rank = comm_rank(comm);
    const bool scattered = j->kind < 2;
    const int64_t begin = scattered ? j->n / world * rank : 0, end = scattered ? j->n / world * (rank + 1) : j->n;
    for (int64_t i = begin; i < end; i++) {
        const int64_t sum = (i % 1021) * world + 7 * world * (world - 1) / 2;
        const bool right = j->kind == 4  ? j->x[i] == (char)(i % 113)
                           : j->kind % 2 ? ((double *)j->x)[i] == (double)sum
                                         : ((float *)j->x)[i] == (float)sum;
        if (!right) fail_msg("kind %d, %lld items: item %lld", j->kind, (long long)j->n, (long long)i);
    }
    assert_int_equal(j->x[(size_t)j->n * item_bytes(j->kind)], 77);
    free(j->x);
}

static int64_t fit(int kind, int64_t n) {
    return kind == 2 || kind == 3 ? n : n / comm_world(comm) * comm_world(comm);
}

static void test_sizes(void **state) {
    collectives_t *c = *state;
    const int64_t segment = (int64_t)(RING_SEGMENT_BYTES / sizeof(float)), world = comm_world(comm);
    const int64_t sizes[] = {0, 1, 2, 3, 5, 64, 1001, segment * world, segment * world + 1, 7 * segment + 13};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = 0; kind < N_KINDS; kind++) {
            job_t j = {.kind = kind, .n = fit(kind, sizes[i])};
            fill(&j);
            c->wait(c, start(c, &j));
            check(&j);
        }
    assert_int_equal(c->finish(c), LENS_OK);
}

/* Several are under way at once, and are waited for in any order; meanwhile the same threads sum over comm. */
static void run_sequence(collectives_t *c, uint64_t seed) {
    enum { N_JOBS = 12 };
    job_t jobs[N_JOBS];
    ticket_t tickets[N_JOBS];
    rng_t rng = rng_stream(seed, 0, 0, RNG_TEST);
    for (int i = 0; i < N_JOBS; i++) {
        const int kind = (int)rng_below(&rng, N_KINDS);
        const int64_t n = (int64_t)rng_below(&rng, 1u << rng_below(&rng, 19));
        jobs[i] = (job_t){.kind = kind, .n = fit(kind, n)};
        fill(&jobs[i]);
        tickets[i] = start(c, &jobs[i]);
        if (i > 0 && comm_world(comm) > 1) assert_true(tickets[i] > tickets[i - 1]);
        double one = 1;
        if (rng_below(&rng, 3) == 0) assert_int_equal(comm_sum_f64(comm, &one, 1, "beside"), LENS_OK);
        if (one != 1) assert_true(one == comm_world(comm));
    }
    const int first = (int)rng_below(&rng, N_JOBS);
    c->wait(c, tickets[first]);
    for (int i = 0; i <= first; i++) check(&jobs[i]);
    assert_int_equal(c->finish(c), LENS_OK);
    for (int i = first + 1; i < N_JOBS; i++) check(&jobs[i]);
}

static void *ask_all(void *arg) {
    (void)arg;
    str_t answer = {0};
    char text[32];
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%d", i);
        if (comm_ask(comm, text, strlen(text), &answer) != LENS_OK || strcmp(answer.s, text) != 0) return "wrong";
    }
    str_free(&answer);
    return NULL;
}

static void *serve_all(void *arg) {
    (void)arg;
    str_t request = {0};
    for (int left = (comm_world(comm) - 1) * 50, from; left > 0; left -= from >= 0) {
        if (comm_receive(comm, &from, &request) != LENS_OK) return "wrong";
        if (from >= 0 && comm_answer(comm, from, request.s, request.len) != LENS_OK) return "wrong";
    }
    str_free(&request);
    return NULL;
}

static void test_random(void **state) {
    const char *seeds = getenv("LENS_TEST_SEEDS");
    const int n = seeds ? (int)strtol(seeds, NULL, 10) : 2;
    pthread_t thread;
    void *wrong = NULL;
    assert_int_equal(pthread_create(&thread, NULL, comm_rank(comm) == 0 ? serve_all : ask_all, NULL), 0);
    for (int seed = 1; seed <= n; seed++) run_sequence(*state, (uint64_t)seed);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
}

/* Sums whose value depends on the order of addition: equal on all ranks, and again when run again. */
static void test_same_bits(void **state) {
    enum { N = 10007 };
    collectives_t *c = *state;
    float *x[2], *of_root = malloc(N * sizeof *of_root);
    assert_non_null(of_root);
    for (int run = 0; run < 2; run++) {
        x[run] = malloc(N * sizeof *x[run]);
        assert_non_null(x[run]);
        for (int i = 0; i < N; i++)
            x[run][i] = 1.0f / (float)(i + 3) * (comm_rank(comm) % 2 ? 1e6f : 1.0f) + (float)comm_rank(comm);
        c->all_reduce(c, x[run], N, REDUCE_F32, "test");
    }
    assert_int_equal(c->finish(c), LENS_OK);
    assert_memory_equal(x[0], x[1], N * sizeof *of_root);
    memcpy(of_root, x[0], N * sizeof *of_root);
    assert_int_equal(comm_broadcast(comm, of_root, N * sizeof *of_root, 0, "test"), LENS_OK);
    assert_memory_equal(x[0], of_root, N * sizeof *of_root);
    free(x[0]);
    free(x[1]);
    free(of_root);
}

/* More than the queue holds, each over the result of the one before. */
static void test_full_queue(void **state) {
    collectives_t *c = *state;
    double x = 1;
    for (int i = 0; i < 600; i++) c->all_reduce(c, &x, 1, REDUCE_F64, "test");
    assert_int_equal(c->finish(c), LENS_OK);
    if (comm_world(comm) == 1) assert_true(x == 1);
    if (comm_world(comm) == 2) assert_true(x == 0x1p600);
}

static void test_times(void **state) {
    enum { N = 30000 };
    collectives_t *c = *state;
    const double world = comm_world(comm);
    float *x = calloc(N, sizeof *x);
    assert_non_null(x);
    (void)c->times(c);
    c->all_reduce(c, x, N - N % comm_world(comm), REDUCE_F32, "test");
    assert_int_equal(c->finish(c), LENS_OK);
    const collectives_times_t t = c->times(c), again = c->times(c);
    assert_true(t.n_bytes == 2 * (world - 1) / world * (N - N % comm_world(comm)) * (double)sizeof *x);
    assert_true(world == 1 ? t.busy_s == 0 : t.busy_s > 0);
    assert_true(again.busy_s == 0 && again.exposed_s == 0 && again.n_bytes == 0);
    free(x);
}

/* What is measured stays below what a slowed link (tests/fault/slow_link.c) allows. */
static void test_speed(void **state) {
    collectives_t *c = *state;
    const size_t n_bytes = (size_t)comm_world(comm) * (1 << 19);
    const char *limit = getenv("LENS_TEST_LINK_MBPS"), *us = getenv("LENS_TEST_LINK_US");
    void *x = calloc(n_bytes, 1);
    collectives_speed_t speed;
    assert_non_null(x);
    assert_int_equal(collectives_measure(c, x, n_bytes, &speed), LENS_OK);
    const bandwidth_t *const all[] = {&speed.reduce_scatter, &speed.all_gather, &speed.all_reduce};
    for (int i = 0; i < 3; i++) {
        assert_true((all[i]->algorithm > 0) == (c->world > 1));
        assert_true(c->world < 2 || all[i]->algorithm * (i == 2 ? 2 : 1) * (c->world - 1) / c->world == all[i]->bus);
        if (limit) assert_true(all[i]->bus < 1e6 * strtod(limit, NULL));
        if (c->rank == 0 && c->world > 1) printf("bus %.0f MB/s\n", all[i]->bus / 1e6);
    }
    if (us) assert_true(speed.latency_s > 1e-6 * strtod(us, NULL));
    if (c->rank == 0 && c->world > 1) printf("latency %.0f us\n", speed.latency_s * 1e6);
    free(x);
}

/* Ranks that do not agree on a size: all fail, now and later, and nobody hangs. */
static void test_mismatch(void **state) {
    collectives_t *c = *state;
    double x[64] = {0};
    if (comm_world(comm) == 1) skip();
    c->all_reduce(c, x, comm_rank(comm) == 0 ? 64 : 32, REDUCE_F64, "gradients");
    assert_int_equal(c->finish(c), LENS_COMM);
    assert_non_null(strstr(lens_error(), "all-reduce of gradients: rank "));
    x[0] = 3;
    c->wait(c, c->all_reduce(c, x, 1, REDUCE_F64, "later"));
    assert_int_equal(c->finish(c), LENS_COMM);
    assert_true(x[0] == 3);
    assert_int_equal(comm_barrier(comm), LENS_OK); /* comm itself is whole */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_bits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_speed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mismatch, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
