/* The emulated device itself: that threads, barriers and shuffles mean what they mean, and what it catches. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cuda_on_host/emulation_kernels.h"
#include "tests/unit/cuda_check.h"

static const char *const orders[] = {"forward", "reverse", "shuffle:1", "shuffle:2"};
enum { N_ORDERS = sizeof orders / sizeof orders[0], N_MAX = 1024 };

/* Runs a case on in[n_in] for out[n_out], which begins as NaN. */
static void run(emulation_case which, float *out, int64_t n_out, const float *in, int64_t n_in) {
    kernels_t *k;
    void *device_in, *device_out;
    assert_int_equal(kernels_cuda_new(&k, 0, true), LENS_OK);
    assert_int_equal(k->alloc(k, &device_in, sizeof(float) * (size_t)n_in, "test"), LENS_OK);
    assert_int_equal(k->alloc(k, &device_out, sizeof(float) * (size_t)n_out, "test"), LENS_OK);
    for (int64_t i = 0; i < n_out; i++) out[i] = NAN;
    k->upload(k, device_in, in, sizeof(float) * (size_t)n_in);
    k->upload(k, device_out, out, sizeof(float) * (size_t)n_out);
    emulation_run(k, which, device_out, device_in, n_in);
    k->download(k, out, device_out, sizeof(float) * (size_t)n_out);
    k->free(k, device_in);
    k->free(k, device_out);
    assert_int_equal(k->finish(k), LENS_OK);
    kernels_free(k);
}

static void right_kernels(const float *in) {
    static float out[N_MAX];
    run(EMULATE_BLOCK_SUM, out, 4, in, 1024);
    for (int b = 0; b < 4; b++) {
        double sum = 0;
        for (int i = 0; i < 256; i++) sum += (double)in[256 * b + i];
        assert_true(fabs((double)out[b] - sum) < 1e-4);
    }
    run(EMULATE_BARRIER_COUNTS, out, 288, in, 96);
    for (int i = 0; i < 96; i++) assert_true(out[i] == 96 && out[96 + i] == 1 && out[192 + i] == 1);
    run(EMULATE_INDEX, out, 288, in, 1);
    for (int i = 0; i < 288; i++) assert_true(out[i] == (float)i);
    run(EMULATE_DYNAMIC, out, 256, in, 256);
    for (int i = 0; i < 256; i++) assert_true(out[i] == in[255 - i]);
    run(EMULATE_SHUFFLES, out, 352, in, 32);
    float most = in[0];
    for (int i = 1; i < 32; i++) most = fmaxf(most, in[i]);
    for (int i = 0; i < 32; i++) {
        assert_true(out[i] == in[5] && out[32 + i] == in[i / 8 * 8 + 2] && out[64 + i] == in[i ^ 3]);
        assert_true(out[96 + i] == in[i + 4 < 32 ? i + 4 : i] && out[128 + i] == in[i >= 4 ? i - 4 : i]);
        assert_true(out[160 + i] == in[i % 16 == 15 ? i : i + 1] && out[192 + i] == (i % 3 == 0));
        assert_true(out[224 + i] == 1 && out[256 + i] == 0 && out[288 + i] == in[i < 16 ? 15 : 16]);
        assert_true(out[320 + i] == most);
    }
}

static void in_any_order(void **state) {
    (void)state;
    static float in[N_MAX];
    rng_t rng = rng_stream(3, 0, 0, RNG_TEST);
    for (int i = 0; i < N_MAX; i++) in[i] = (float)rng_normal(&rng);
    for (int i = 0; i < N_ORDERS; i++) {
        setenv("LENS_CUDA_ORDER", orders[i], 1);
        right_kernels(in);
    }
    unsetenv("LENS_CUDA_ORDER");
}

/* The nearer of the two bf16 around x, the even one where both are as near. */
static void rounds_to_nearest_even(void **state) {
    (void)state;
    static float in[256], out[256];
    rng_t rng = rng_stream(4, 0, 0, RNG_TEST);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 256; i++) {
            uint32_t u = rng_u32(&rng);
            if (i % 4 == 0) u = (u & 0xFFFF0000u) | 0x8000u; /* half way */
            memcpy(&in[i], &u, sizeof u);
        }
        run(EMULATE_ROUND, out, 256, in, 256);
        for (int i = 0; i < 256; i++) {
            uint32_t u;
            memcpy(&u, &in[i], sizeof u);
            float low = pair_from_bf16((uint16_t)(u >> 16)), high = pair_from_bf16((uint16_t)((u >> 16) + 1));
            double down = fabs((double)in[i] - (double)low), up = fabs((double)high - (double)in[i]);
            if (!isfinite(in[i]) || !isfinite(high)) continue;
            assert_true(out[i] == (down < up || (down == up && !(u >> 16 & 1)) ? low : high));
        }
    }
    const float limits[4] = {INFINITY, -INFINITY, NAN, FLT_MAX};
    memcpy(in, limits, sizeof limits);
    run(EMULATE_ROUND, out, 256, in, 256);
    assert_true(out[0] == INFINITY && out[1] == -INFINITY && isnan(out[2]) && out[3] == INFINITY);
}

static void a_race_shows(void **state) {
    (void)state;
    static float in[256], out[N_ORDERS][256];
    for (int i = 0; i < 256; i++) in[i] = (float)i;
    for (int i = 0; i < N_ORDERS; i++) {
        setenv("LENS_CUDA_ORDER", orders[i], 1);
        run(EMULATE_RACE, out[i], 256, in, 256);
    }
    unsetenv("LENS_CUDA_ORDER");
    for (int i = 1; i < N_ORDERS; i++) assert_memory_not_equal(out[0], out[i], sizeof out[0]);
}

/* ---- what ends the process: run in a child ---- */

static void die(int which) {
    static float in[256], out[256];
    kernels_t *k;
    void *device;
    if (which < EMULATE_CASES) run((emulation_case)which, out, 256, in, 251);
    setenv("LENS_CUDA_GUARD", "1", 1);
    if (kernels_cuda_new(&k, 0, true) == LENS_OK && k->alloc(k, &device, 64, "test") == LENS_OK)
        *(volatile float *)device = 1; /* the host, where only a device may */
}

/* The child's messages; it must not have ended by itself. */
static void death_of(int which, char *text, size_t n) {
    int fd[2], status = 0;
    size_t got = 0;
    assert_int_equal(pipe(fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(fd[1], STDERR_FILENO);
        close(fd[0]);
        signal(SIGABRT, SIG_DFL); /* not the test framework's */
        signal(SIGSEGV, SIG_DFL);
        die(which);
        _exit(0);
    }
    close(fd[1]);
    for (ssize_t r; got + 1 < n && (r = read(fd[0], text + got, n - 1 - got)) > 0;) got += (size_t)r;
    text[got] = 0;
    close(fd[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) fail_msg("case %d: nothing was noticed: %s", which, text);
}

static void wrong_kernels_end(void **state) {
    (void)state;
    static const struct {
        int which;
        const char *message; /* NULL: the kernel's or the sanitizer's */
    } cases[] = {{EMULATE_EARLY_RETURN, "never come"},
                 {EMULATE_TWO_BARRIERS, "different barriers"},
                 {EMULATE_LOST_LANE, "not there"},
                 {EMULATE_TWO_EXCHANGES, "different exchanges"},
                 {EMULATE_PAST_END, NULL},
                 {EMULATE_FAR, NULL},
                 {EMULATE_CASES, NULL}};
    static char text[1 << 16];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        death_of(cases[i].which, text, sizeof text);
        if (cases[i].message && !strstr(text, cases[i].message))
            fail_msg("case %d: expected '%s' in: %s", cases[i].which, cases[i].message, text);
    }
}

static void wrong_launches_fail(void **state) {
    (void)state;
    kernels_t *k;
    float *nothing = NULL;
    assert_int_equal(kernels_cuda_new(&k, 0, true), LENS_OK);
    for (emulation_case which = EMULATE_BLOCK_TOO_LARGE; which <= EMULATE_SHARED_TOO_LARGE; which++) {
        emulation_run(k, which, nothing, nothing, 0);
        assert_int_equal(k->finish(k), LENS_CUDA);
        assert_non_null(strstr(lens_error(), "index_kernel"));
    }
    assert_int_equal(k->finish(k), LENS_OK);
    kernels_free(k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_any_order),      cmocka_unit_test(rounds_to_nearest_even), cmocka_unit_test(a_race_shows),
        cmocka_unit_test(wrong_kernels_end), cmocka_unit_test(wrong_launches_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
