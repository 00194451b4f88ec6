/* The choice of a device where no CUDA is in the build; the GPUs that are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "kernels/device.h"
#include "kernels/gpu.h"

static void names_are_kinds(void **state) {
    (void)state;
    assert_int_equal(device_kind_of("auto"), DEVICE_AUTO);
    assert_int_equal(device_kind_of("cpu"), DEVICE_CPU);
    assert_int_equal(device_kind_of("cuda"), DEVICE_CUDA);
}

static void auto_is_the_cpu(void **state) {
    (void)state;
    device_t d;
    assert_int_equal(device_open(&d, &(device_options_t){.kind = DEVICE_AUTO, .n_threads = 1}, NULL), LENS_OK);
    assert_int_equal(d.kind, DEVICE_CPU);
    assert_string_equal(d.k->device, "cpu");
    assert_null(d.coll);
    device_close(&d);
    assert_null(d.k);
    device_close(&d);
}

static void ranks_get_collectives(void **state) {
    (void)state;
    comm_t *comm;
    device_t d;
    assert_int_equal(comm_init(&comm), LENS_OK);
    assert_int_equal(device_open(&d, &(device_options_t){.kind = DEVICE_CPU, .n_threads = 1}, comm), LENS_OK);
    assert_non_null(d.coll);
    assert_int_equal(d.coll->world, comm_world(comm));
    device_close(&d);
    comm_free(comm);
}

static void cuda_is_not_there(void **state) {
    (void)state;
    device_t d;
    assert_int_equal(device_open(&d, &(device_options_t){.kind = DEVICE_CUDA, .n_threads = 1}, NULL), LENS_STATE);
    assert_non_null(strstr(lens_error(), "this build has no CUDA"));
    assert_null(d.k);
}

static void gpus_are_known_by_both_names(void **state) {
    (void)state;
    const char *names[] = {"a100-80g", "h100", "h200"};
    for (int i = 0; i < 3; i++) {
        const gpu_t *g = gpu_find(names[i]);
        assert_non_null(g);
        assert_ptr_equal(gpu_of_device(g->device), g);
    }
    assert_null(gpu_find("cpu"));
    assert_null(gpu_of_device("cpu"));
    assert_null(gpu_of_device("NVIDIA H100 PCIe")); /* another peak */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_kinds),
        cmocka_unit_test(auto_is_the_cpu),
        cmocka_unit_test(ranks_get_collectives),
        cmocka_unit_test(cuda_is_not_there),
        cmocka_unit_test(gpus_are_known_by_both_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
