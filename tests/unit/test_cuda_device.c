/* The choice of a device where a GPU answers, which is the emulated one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"

static void auto_is_the_gpu(void **state) {
    (void)state;
    device_t d;
    assert_int_equal(kernels_cuda_count(), 1);
    assert_int_equal(device_here(DEVICE_AUTO), DEVICE_CUDA);
    assert_int_equal(device_here(DEVICE_CPU), DEVICE_CPU);
    assert_int_equal(device_open(&d, &(device_options_t){.kind = DEVICE_AUTO, .n_threads = 1}, NULL), LENS_OK);
    assert_int_equal(d.kind, DEVICE_CUDA);
    assert_string_equal(d.k->name, "cuda");
    assert_string_equal(d.k->device, "emulated device");
    device_close(&d);
}

static void memory_is_what_was_allocated(void **state) {
    (void)state;
    enum { BYTES = 1 << 20 };
    device_t d;
    size_t before, after, total;
    void *p;
    assert_int_equal(device_open(&d, &(device_options_t){.kind = DEVICE_CUDA, .n_threads = 1}, NULL), LENS_OK);
    d.k->memory(d.k, &before, &total);
    assert_int_equal(d.k->alloc(d.k, &p, BYTES, "a test"), LENS_OK);
    d.k->memory(d.k, &after, &total);
    assert_int_equal(after - before, BYTES);
    assert_in_range(total, after, SIZE_MAX);
    d.k->free(d.k, p);
    device_close(&d);
}

static void none_is_the_cpu_or_an_error(void **state) {
    (void)state;
    device_t d;
    assert_int_equal(setenv("LENS_CUDA_DEVICES", "0", 1), 0);
    assert_int_equal(kernels_cuda_count(), 0);
    assert_int_equal(device_open(&d, &(device_options_t){.kind = DEVICE_AUTO, .n_threads = 1}, NULL), LENS_OK);
    assert_int_equal(d.kind, DEVICE_CPU);
    device_close(&d);
    assert_int_equal(device_open(&d, &(device_options_t){.kind = DEVICE_CUDA, .n_threads = 1}, NULL), LENS_CUDA);
    assert_non_null(strstr(lens_error(), "no CUDA device answers"));
    assert_int_equal(unsetenv("LENS_CUDA_DEVICES"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_is_the_gpu),
        cmocka_unit_test(memory_is_what_was_allocated),
        cmocka_unit_test(none_is_the_cpu_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
