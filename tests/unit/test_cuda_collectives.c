/* Collectives by NCCL on the emulated device, against the ring of the host: run alone it is a world of 1;
 * tests/e2e/test_cuda_collectives.sh runs the same executable under mpirun, also as "steps WHERE HARM": steps of
 * training that wait in WHERE (finish, download) under a watch of a second. HARM, to this rank in step 5: kill, stop,
 * slow (it may take its time from then on), or none; or what the emulated NCCL is told to do (nccl.h). */
#include "kernels/collectives.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/comm_watchdog.h"
#include "base/log.h"
#include "base/rng.h"
#include "kernels/collectives_speed.h"
#include "tests/unit/cuda_check.h"
#include "tests/unit/comm_fixture.h"

typedef struct {
    kernels_t *k;
    collectives_t *nccl, *ring;
} sides_t;

static int set_up(void **state) {
    static sides_t s;
    if (kernels_cuda_new(&s.k, 0, true) != LENS_OK) return -1;
    if (collectives_cuda_new(&s.nccl, s.k, comm) != LENS_OK || collectives_host_new(&s.ring, comm) != LENS_OK)
        return -1;
    *state = &s;
    return 0;
}

static int tear_down(void **state) {
    sides_t *s = *state;
    collectives_free(s->nccl);
    collectives_free(s->ring);
    kernels_free(s->k);
    return 0;
}

/* ---- the same job on both sides ---- */

typedef enum { REDUCE_SCATTER, ALL_REDUCE, ALL_GATHER, N_KINDS } job_kind;

typedef struct {
    job_kind kind;
    reduce_type type;
    int64_t n;           /* items; of an all-gather bytes */
    size_t bytes;        /* on the device */
    void *device;        /* with a guard after it */
    unsigned char *host; /* what the ring works on; of bf16 floats */
} job_t;

enum { GUARD_BYTES = 64, GUARD = 0xA5 };

static size_t device_item(const job_t *j) {
    return j->kind == ALL_GATHER ? 1 : j->type == REDUCE_F64 ? 8 : j->type == REDUCE_F32 ? 4 : 2;
}

static size_t host_item(const job_t *j) {
    return j->kind == ALL_GATHER ? 1 : j->type == REDUCE_F64 ? 8 : 4;
}

/* Numbers of which all sums are exact, in bf16 too. */
static double value(int64_t i, int rank) {
    return (double)((i * 7 + rank * 3) % 16);
}

static void set_item(const job_t *j, void *bytes, size_t item, int64_t i, double x) {
    const float narrow = (float)x;
    const uint16_t half = pair_to_bf16(narrow);
    memcpy((char *)bytes + (size_t)i * item,
           j->kind == ALL_GATHER ? (void *)&(unsigned char){(unsigned char)x}
           : item == 8           ? (void *)&x
           : item == 4           ? (void *)&narrow
                                 : (void *)&half,
           item);
}

static job_t start(sides_t *s, job_kind kind, reduce_type type, int64_t n, ticket_t *ticket) {
    const int world = comm_world(comm), rank = comm_rank(comm);
    job_t j = {.kind = kind, .type = type, .n = kind == ALL_REDUCE ? n : n / world * world};
    j.bytes = (size_t)j.n * device_item(&j);
    unsigned char *bytes = malloc(j.bytes + GUARD_BYTES);
    j.host = malloc((size_t)j.n * host_item(&j) + 1);
    assert_true(bytes && j.host);
    memset(bytes, GUARD, j.bytes + GUARD_BYTES);
    for (int64_t i = 0; i < j.n; i++) {
        set_item(&j, bytes, device_item(&j), i, value(i, rank));
        set_item(&j, j.host, host_item(&j), i, value(i, rank));
    }
    assert_int_equal(s->k->alloc(s->k, &j.device, j.bytes + GUARD_BYTES, "a test"), LENS_OK);
    s->k->upload(s->k, j.device, bytes, j.bytes + GUARD_BYTES);
    free(bytes);
    const reduce_type ring_type = type == REDUCE_BF16 ? REDUCE_F32 : type;
    if (kind == REDUCE_SCATTER) {
        *ticket = s->nccl->reduce_scatter(s->nccl, j.device, j.n, type, "parts");
        s->ring->reduce_scatter(s->ring, j.host, j.n, ring_type, "parts");
    } else if (kind == ALL_REDUCE) {
        *ticket = s->nccl->all_reduce(s->nccl, j.device, j.n, type, "whole");
        s->ring->all_reduce(s->ring, j.host, j.n, ring_type, "whole");
    } else {
        *ticket = s->nccl->all_gather(s->nccl, j.device, (size_t)j.n, "bytes");
        s->ring->all_gather(s->ring, j.host, (size_t)j.n, "bytes");
    }
    return j;
}

/* A compute that reads what was waited for: a copy on the device, then a download. */
static void check(sides_t *s, job_t *j) {
    const int world = comm_world(comm), rank = comm_rank(comm);
    const bool part = j->kind == REDUCE_SCATTER;
    const int64_t first = part ? j->n / world * rank : 0, end = part ? j->n / world * (rank + 1) : j->n;
    unsigned char *got = malloc(j->bytes + GUARD_BYTES);
    void *copy;
    assert_non_null(got);
    assert_int_equal(s->k->alloc(s->k, &copy, j->bytes + GUARD_BYTES, "a test"), LENS_OK);
    s->k->copy(s->k, copy, j->device, j->bytes + GUARD_BYTES);
    s->k->download(s->k, got, copy, j->bytes + GUARD_BYTES);
    assert_int_equal(s->ring->finish(s->ring), LENS_OK);
    for (int64_t i = first; i < end; i++) {
        unsigned char expected[8];
        float whole = 0;
        memcpy(expected, j->host + (size_t)i * host_item(j), host_item(j));
        if (j->type == REDUCE_BF16 && j->kind != ALL_GATHER) {
            memcpy(&whole, expected, sizeof whole);
            set_item(j, expected, 2, 0, (double)whole);
        }
        if (memcmp(got + (size_t)i * device_item(j), expected, device_item(j)) != 0)
            fail_msg("kind %d, type %d, %lld items: item %lld", j->kind, j->type, (long long)j->n, (long long)i);
    }
    for (int i = 0; i < GUARD_BYTES; i++) assert_int_equal(got[j->bytes + (size_t)i], GUARD);
    s->k->free(s->k, copy);
    s->k->free(s->k, j->device);
    free(j->host);
    free(got);
}

static void test_sizes(void **state) {
    sides_t *s = *state;
    const int64_t sizes[] = {0, 1, 2, 3, 5, 64, 1001, 70001};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = 0; kind < N_KINDS; kind++)
            for (reduce_type type = REDUCE_F32; type <= REDUCE_BF16; type++) {
                ticket_t ticket;
                job_t j = start(s, (job_kind)kind, type, sizes[i], &ticket);
                s->nccl->wait(s->nccl, ticket);
                check(s, &j);
            }
    assert_int_equal(s->nccl->finish(s->nccl), LENS_OK);
    assert_int_equal(s->k->finish(s->k), LENS_OK);
}

/* Several are under way, and are waited for in any order; then finish alone. */
static void test_random(void **state) {
    enum { N_JOBS = 12, N_SEEDS = 4 };
    sides_t *s = *state;
    for (uint64_t seed = 1; seed <= N_SEEDS; seed++) {
        job_t jobs[N_JOBS];
        ticket_t tickets[N_JOBS];
        rng_t rng = rng_stream(seed, 0, 0, RNG_TEST);
        for (int i = 0; i < N_JOBS; i++) {
            const job_kind kind = (job_kind)rng_below(&rng, N_KINDS);
            const reduce_type type = (reduce_type)rng_below(&rng, 3);
            jobs[i] = start(s, kind, type, 1 + (int64_t)rng_below(&rng, 1u << rng_below(&rng, 15)), &tickets[i]);
        }
        const int first = (int)rng_below(&rng, N_JOBS);
        s->nccl->wait(s->nccl, tickets[first]);
        for (int i = 0; i <= first; i++) check(s, &jobs[i]);
        if (first > 0) s->nccl->wait(s->nccl, tickets[first - 1]);
        assert_int_equal(s->nccl->finish(s->nccl), LENS_OK);
        for (int i = first + 1; i < N_JOBS; i++) check(s, &jobs[i]);
    }
}

/* More than the queue holds, each over the result of the one before, with compute between them. */
static void test_full_queue(void **state) {
    sides_t *s = *state;
    double x = 1;
    void *a, *b;
    assert_int_equal(s->k->alloc(s->k, &a, sizeof x, "a test"), LENS_OK);
    assert_int_equal(s->k->alloc(s->k, &b, sizeof x, "a test"), LENS_OK);
    s->k->upload(s->k, a, &x, sizeof x);
    for (int i = 0; i < 600; i++) {
        s->nccl->wait(s->nccl, s->nccl->all_reduce(s->nccl, a, 1, REDUCE_F64, "test"));
        s->k->copy(s->k, b, a, sizeof x);
        s->k->copy(s->k, a, b, sizeof x);
    }
    assert_int_equal(s->nccl->finish(s->nccl), LENS_OK);
    s->k->download(s->k, &x, a, sizeof x);
    if (comm_world(comm) == 2) assert_true(x == 0x1p600);
    if (comm_world(comm) == 1) assert_true(x == 1);
    s->k->free(s->k, a);
    s->k->free(s->k, b);
}

/* Of bf16: each value is rounded, and each sum on its way around the ring. All ranks have the same bits. */
static void test_bf16_error(void **state) {
    enum { N = 4001 };
    sides_t *s = *state;
    static float x[N], sum[N], back[N];
    static uint16_t halves[N], of_root[N];
    const int world = comm_world(comm);
    double worst = 0;
    void *p;
    if (world == 1) skip();
    rng_t rng = rng_stream(7, 0, (uint64_t)comm_rank(comm), RNG_TEST);
    for (int i = 0; i < N; i++) {
        x[i] = sum[i] = (float)(1 + rng_uniform(&rng)); /* of one sign: the sum is the largest on the way */
        halves[i] = pair_to_bf16(x[i]);
    }
    assert_int_equal(s->k->alloc(s->k, &p, sizeof halves, "a test"), LENS_OK);
    s->k->upload(s->k, p, halves, sizeof halves);
    s->nccl->all_reduce(s->nccl, p, N, REDUCE_BF16, "gradients");
    s->ring->all_reduce(s->ring, sum, N, REDUCE_F32, "gradients");
    assert_int_equal(s->nccl->finish(s->nccl), LENS_OK);
    assert_int_equal(s->ring->finish(s->ring), LENS_OK);
    s->k->download(s->k, halves, p, sizeof halves);
    for (int i = 0; i < N; i++) {
        back[i] = pair_from_bf16(halves[i]);
        worst = fmax(worst, fabs((double)back[i] - (double)sum[i]) / (double)sum[i]);
    }
    if (comm_rank(comm) == 0)
        printf("bf16 sum of %d ranks: worst relative error %.5f of %.5f\n", world, worst, world * 0x1p-8);
    assert_true(worst < world * 0x1p-8 && worst > 0x1p-12);
    memcpy(of_root, halves, sizeof halves);
    assert_int_equal(comm_broadcast(comm, of_root, sizeof of_root, 0, "test"), LENS_OK);
    assert_memory_equal(of_root, halves, sizeof halves);
    s->k->free(s->k, p);
}

static void test_times(void **state) {
    enum { N = 12000 };
    sides_t *s = *state;
    const double world = comm_world(comm);
    void *p;
    assert_int_equal(s->k->alloc(s->k, &p, sizeof(float) * N, "a test"), LENS_OK);
    (void)s->nccl->times(s->nccl);
    s->nccl->wait(s->nccl, s->nccl->all_reduce(s->nccl, p, N, REDUCE_F32, "test"));
    s->nccl->wait(s->nccl, s->nccl->reduce_scatter(s->nccl, p, N, REDUCE_BF16, "test"));
    s->nccl->wait(s->nccl, s->nccl->all_gather(s->nccl, p, N, "test"));
    assert_int_equal(s->nccl->finish(s->nccl), LENS_OK);
    const collectives_times_t t = s->nccl->times(s->nccl), again = s->nccl->times(s->nccl);
    const double n_bytes = (2 * 4 + 2 + 1) * (world - 1) / world * N;
    assert_true(fabs(t.n_bytes - n_bytes) < 1e-6 * (n_bytes + 1));
    assert_true(world == 1 ? t.busy_s == 0 : t.busy_s > 0);
    assert_true(t.exposed_s >= 0 && again.busy_s == 0 && again.exposed_s == 0 && again.n_bytes == 0);
    s->k->free(s->k, p);
}

static void test_speed(void **state) {
    sides_t *s = *state;
    const size_t n_bytes = (size_t)comm_world(comm) * (1 << 18);
    collectives_speed_t speed;
    void *p;
    assert_int_equal(s->k->alloc(s->k, &p, n_bytes, "a test"), LENS_OK);
    assert_int_equal(collectives_measure(s->nccl, p, n_bytes, &speed), LENS_OK);
    assert_true((speed.all_reduce.bus > 0) == (comm_world(comm) > 1) &&
                (speed.latency_s > 0) == (comm_world(comm) > 1));
    s->k->free(s->k, p);
}

/* bf16 is NCCL's alone. */
static void test_ring_refuses(void **state) {
    sides_t *s = *state;
    uint16_t x[64] = {0};
    if (comm_world(comm) == 1) skip();
    s->ring->all_reduce(s->ring, x, 64, REDUCE_BF16, "gradients");
    assert_int_equal(s->ring->finish(s->ring), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "all-reduce of gradients: no sums of bf16"));
}

/* ---- steps in which something goes wrong ---- */

static lens_status one_step(sides_t *s, void *x, const char *where) {
    double sum;
    const ticket_t ticket = s->nccl->all_reduce(s->nccl, x, 1, REDUCE_F64, "gradients");
    s->nccl->wait(s->nccl, ticket);
    if (strcmp(where, "download") == 0) s->k->download(s->k, &sum, x, sizeof sum);
    if (strcmp(where, "finish") == 0) LENS_TRY(s->nccl->finish(s->nccl));
    LENS_TRY(s->k->finish(s->k));
    return s->nccl->finish(s->nccl);
}

static void come_to_harm(const char *harm) {
    if (strcmp(harm, "kill") == 0) raise(SIGKILL);
    if (strcmp(harm, "stop") == 0) raise(SIGSTOP);
    if (strcmp(harm, "slow") == 0) comm_watchdog_suspend(comm);
}

static int run_steps(const char *where, const char *harm) {
    sides_t s = {0};
    void *x;
    if (comm_init(&comm) != LENS_OK) return 1;
    log_init(comm_rank(comm), comm_world(comm));
    if (kernels_cuda_new(&s.k, 0, true) != LENS_OK || collectives_cuda_new(&s.nccl, s.k, comm) != LENS_OK) return 1;
    if (s.k->alloc(s.k, &x, sizeof(double), "a test") != LENS_OK) return 1;
    if (comm_watchdog_start(comm, 1) != LENS_OK) return 1;
    lens_status st = LENS_OK;
    for (int64_t step = 1; step <= 8 && st == LENS_OK; step++) {
        comm_watchdog_beat(comm, step);
        if (step == 5) come_to_harm(harm);
        st = one_step(&s, x, where);
    }
    if (st != LENS_OK) {
        log_error("%s", lens_error());
        comm_abort(comm, 1);
    }
    comm_watchdog_stop(comm);
    s.k->free(s.k, x);
    collectives_free(s.nccl);
    kernels_free(s.k);
    comm_free(comm);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "steps") == 0) return run_steps(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bf16_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_speed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ring_refuses, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
