/* Collectives. Run alone it is a world of 1; tests/e2e/test_comm.sh runs the same executable under mpirun, with
 * LENS_TEST_WORLD set to the number of ranks so that ranks that do not find each other fail. */
#include "base/comm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/comm_watchdog.h"
#include "base/log.h"
#include "kernels/collectives.h"

/* More than one piece of a long array, and no multiple of one. */
#define N_LONG ((INT64_C(16) << 20) / (int64_t)sizeof(float) + 3)

static int set_up(void **state) {
    comm_t *c;
    if (comm_init(&c) != LENS_OK) {
        fprintf(stderr, "%s\n", lens_error());
        return -1;
    }
    *state = c;
    return 0;
}

static int tear_down(void **state) {
    comm_free(*state);
    return 0;
}

static void test_place(void **state) {
    const comm_t *c = *state;
    const char *expected = getenv("LENS_TEST_WORLD");
    assert_int_equal(comm_world(c), expected ? strtol(expected, NULL, 10) : 1);
    assert_in_range(comm_rank(c), 0, comm_world(c) - 1);
    assert_in_range(comm_core_ranks(c), 1, comm_world(c));
    assert_int_equal(comm_node_ranks(c), comm_world(c)); /* of one machine */
    assert_int_equal(comm_node_rank(c), comm_rank(c));
    char host[64] = "";
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    for (int i = 0; i < comm_world(c); i++) assert_string_equal(comm_host(c, i), host);
}

static void test_gather(void **state) {
    comm_t *c = *state;
    const int world = comm_world(c), rank = comm_rank(c);
    const size_t sizes[] = {0, 1, 100003};
    for (int k = 0; k < 3; k++) {
        const size_t n = sizes[k];
        uint8_t *mine = malloc(n + 1), *all = rank == 0 ? malloc(n * (size_t)world + 1) : NULL;
        assert_non_null(mine);
        memset(mine, rank + 1, n);
        assert_int_equal(comm_gather_bytes(c, all, mine, n, "test"), LENS_OK);
        for (size_t i = 0; all && i < n * (size_t)world; i++)
            if (all[i] != i / n + 1) fail_msg("byte %zu: %d", i, all[i]);
        free(mine);
        free(all);
    }
}

static void test_sums(void **state) {
    comm_t *c = *state;
    int rank = comm_rank(c), world = comm_world(c);
    double *x = malloc((size_t)N_LONG * sizeof(*x));
    assert_non_null(x);
    for (int64_t i = 0; i < N_LONG; i++) x[i] = (double)(i % 1000 + rank);
    assert_int_equal(comm_sum_f64(c, x, N_LONG, "test"), LENS_OK);
    for (int64_t i = 0; i < N_LONG; i++) {
        if (x[i] != (double)(i % 1000 * world + world * (world - 1) / 2))
            fail_msg("element %lld: %g", (long long)i, x[i]);
    }
    free(x);
    double y[2] = {1.0 / 3.0, rank};
    assert_int_equal(comm_sum_f64(c, y, 2, "test"), LENS_OK);
    assert_true(y[1] == world * (world - 1) / 2);
    assert_int_equal(comm_sum_f64(c, y, 0, "test"), LENS_OK);
}

/* Sums whose value depends on the order of addition: all ranks must still hold the same bits. */
static void test_same_bits(void **state) {
    comm_t *c = *state;
    double x[1001], of_root[1001];
    for (int i = 0; i < 1001; i++) x[i] = 1.0 / (i + 3) * (comm_rank(c) % 2 ? 1e6 : 1.0) + comm_rank(c);
    assert_int_equal(comm_sum_f64(c, x, 1001, "test"), LENS_OK);
    memcpy(of_root, x, sizeof(x));
    assert_int_equal(comm_broadcast(c, of_root, sizeof(of_root), 0, "test"), LENS_OK);
    assert_memory_equal(x, of_root, sizeof(x));
}

static void test_broadcast(void **state) {
    comm_t *c = *state;
    size_t n = (size_t)N_LONG * sizeof(float);
    int root = comm_world(c) - 1;
    uint8_t *bytes = malloc(n);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) bytes[i] = comm_rank(c) == root ? (uint8_t)(i % 251) : 0;
    assert_int_equal(comm_broadcast(c, bytes, n, root, "test"), LENS_OK);
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != (uint8_t)(i % 251)) fail_msg("byte %zu: %d", i, bytes[i]);
    }
    free(bytes);
    assert_int_equal(comm_barrier(c), LENS_OK);
}

static void test_agree(void **state) {
    comm_t *c = *state;
    assert_int_equal(comm_agree(c, LENS_OK, "opening"), LENS_OK);
    int failing = comm_world(c) / 2;
    lens_status st = comm_rank(c) == failing ? lens_fail(LENS_IO, "disk on fire") : LENS_OK;
    assert_int_equal(comm_agree(c, st, "opening"), LENS_IO);
    if (comm_rank(c) == failing) {
        assert_string_equal(lens_error(), "disk on fire");
    } else {
        char expected[64];
        snprintf(expected, sizeof(expected), "opening: rank %d failed: disk on fire", failing);
        assert_string_equal(lens_error(), expected);
    }
    /* Every rank fails: each keeps its own message, the status is the worst. */
    st = lens_fail(comm_rank(c) == failing ? LENS_COMM : LENS_FORMAT, "mine %d", comm_rank(c));
    assert_int_equal(comm_agree(c, st, "reading"), LENS_COMM);
    char mine[32];
    snprintf(mine, sizeof(mine), "mine %d", comm_rank(c));
    assert_string_equal(lens_error(), mine);
}

enum { N_ASKING = 3, N_QUESTIONS = 20, LONG_BYTES = 300000 };

/* Asks for the double of numbers, every fourth time with a long message; the answers are long as well then. */
static void *ask_all(void *arg) {
    comm_t *c = arg;
    str_t request = {0}, answer = {0};
    for (int i = 0; i < N_QUESTIONS; i++) {
        str_clear(&request);
        str_addf(&request, "%d", i);
        if (i % 4 == 0) str_reserve(&request, LONG_BYTES);
        if (i % 4 == 0) memset(request.s + request.len, ' ', LONG_BYTES - request.len), request.len = LONG_BYTES;
        if (comm_ask(c, request.s, request.len, &answer) != LENS_OK || answer.len < request.len ||
            strtol(answer.s, NULL, 10) != 2 * i)
            return "a wrong answer";
    }
    str_free(&request);
    str_free(&answer);
    return NULL;
}

static void serve(comm_t *c) {
    str_t request = {0}, answer = {0};
    for (int left = (comm_world(c) - 1) * N_ASKING * N_QUESTIONS; left > 0;) {
        int from;
        assert_int_equal(comm_receive(c, &from, &request), LENS_OK);
        if (from < 0) continue;
        str_clear(&answer);
        str_addf(&answer, "%ld", 2 * strtol(request.s, NULL, 10));
        size_t n = answer.len;
        str_reserve(&answer, request.len);
        if (request.len > n) memset(answer.s + n, ' ', request.len - n), answer.len = request.len;
        assert_int_equal(comm_answer(c, from, answer.s, answer.len), LENS_OK);
        left--;
    }
    str_free(&request);
    str_free(&answer);
}

static void test_ask(void **state) {
    comm_t *c = *state;
    pthread_t threads[N_ASKING];
    if (comm_rank(c) == 0) {
        serve(c);
    } else {
        for (int i = 0; i < N_ASKING; i++) assert_int_equal(pthread_create(&threads[i], NULL, ask_all, c), 0);
        for (int i = 0; i < N_ASKING; i++) {
            void *wrong;
            assert_int_equal(pthread_join(threads[i], &wrong), 0);
            assert_null(wrong);
        }
    }
    assert_int_equal(comm_barrier(c), LENS_OK);
    str_t request = {0};
    int from = 0;
    if (comm_rank(c) == 0) assert_int_equal(comm_receive(c, &from, &request), LENS_OK); /* nothing is left */
    assert_int_equal(from, comm_rank(c) == 0 ? -1 : 0);
    str_free(&request);
}

/* What Slurm sets, without MPI: a batch script is alone; tasks of srun without PMI are refused. */
static void test_slurm(void **state) {
    comm_t *c;
    if (comm_world(*state) > 1 || getenv("OMPI_COMM_WORLD_SIZE")) skip();
    assert_int_equal(setenv("SLURM_PROCID", "0", 1), 0);
    assert_int_equal(setenv("SLURM_NTASKS", "8", 1), 0);
    assert_int_equal(comm_init(&c), LENS_OK);
    assert_int_equal(comm_world(c), 1);
    comm_free(c);
    assert_int_equal(setenv("SLURM_STEP_NUM_TASKS", "8", 1), 0);
    assert_int_equal(comm_init(&c), LENS_ARGUMENT);
    assert_null(c);
    assert_non_null(strstr(lens_error(), "--mpi=pmix"));
    assert_int_equal(unsetenv("SLURM_STEP_NUM_TASKS"), 0);
}

static double cpu_s(void) {
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A slow rank that says so is not taken for a hanging one; the others leave their cores to it.
 * A watch can follow another. */
static void test_watchdog(void **state) {
    comm_t *c = *state;
    assert_int_equal(comm_watchdog_start(c, 1), LENS_OK);
    comm_watchdog_beat(c, 1);
    if (comm_rank(c) == 0 && comm_world(c) > 1) {
        comm_watchdog_suspend(c);
        nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 700000000}, NULL); /* longer than the limit */
        comm_watchdog_resume(c);
    }
    const double begin_s = log_clock_s(), begin_cpu_s = cpu_s();
    assert_int_equal(comm_barrier(c), LENS_OK);
    const double waited_s = log_clock_s() - begin_s, share = (cpu_s() - begin_cpu_s) / waited_s;
    printf("waited %.3f s at %.3f of a core\n", waited_s, share);
    if (waited_s > 1) assert_true(share < 0.08); /* 0.02 measured; 1 where MPI waits by itself */
    comm_watchdog_stop(c);
    assert_int_equal(comm_watchdog_start(c, 1), LENS_OK);
    comm_watchdog_stop(c);
    comm_watchdog_beat(c, 2); /* nobody watches: nothing happens */
}

/* Steps with a sum or a collective on buffers, in which `rank` comes to harm at the sixth: it is stopped, killed, or
 * loops for ever. */
static int run_hang(const char *harm, int rank, const char *where) {
    comm_t *c;
    collectives_t *stream;
    if (comm_init(&c) != LENS_OK) return 1;
    log_init(comm_rank(c), comm_world(c));
    if (collectives_host_new(&stream, c) != LENS_OK || comm_watchdog_start(c, 2) != LENS_OK) return 1;
    for (int64_t step = 1; step < 10; step++) {
        double x = 1;
        comm_watchdog_beat(c, step);
        nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL); /* what a step takes */
        if (step == 6 && comm_rank(c) == rank) {
            if (strcmp(harm, "stop") == 0) raise(SIGSTOP);
            if (strcmp(harm, "kill") == 0) raise(SIGKILL);
            for (;;) pause();
        }
        if (strcmp(where, "sum") == 0)
            (void)!comm_sum_f64(c, &x, 1, "losses");
        else
            stream->all_reduce(stream, &x, 1, REDUCE_F64, "gradients");
        if (stream->finish(stream) != LENS_OK) return 1;
    }
    return 0;
}

/* The last rank gives up while the others wait for it. */
static int run_abort(void) {
    comm_t *c;
    if (comm_init(&c) != LENS_OK) return 1;
    if (comm_rank(c) == comm_world(c) - 1) comm_abort(c, 7);
    return comm_barrier(c) == LENS_OK ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "abort") == 0) return run_abort();
    if (argc == 4) return run_hang(argv[1], (int)strtol(argv[2], NULL, 10), argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place),     cmocka_unit_test(test_sums),     cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_broadcast), cmocka_unit_test(test_agree),    cmocka_unit_test(test_ask),
        cmocka_unit_test(test_gather),    cmocka_unit_test(test_watchdog), cmocka_unit_test(test_slurm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
