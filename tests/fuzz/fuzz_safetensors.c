/* Weight files: whatever stands in one, it is refused with a message, or every tensor can be read. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_all(const safetensors_t *f) {
    for (int i = 0; i < safetensors_n(f); i++) {
        const st_tensor_t *t = safetensors_at(f, i);
        if (safetensors_find(f, t->name) == NULL) abort();
        if (t->n == 0) continue;
        float *values = malloc((size_t)t->n * sizeof *values);
        if (!values) abort();
        if (safetensors_read_f32(t, values) != LENS_OK && !*lens_error()) abort();
        free(values);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    char path[64];
    safetensors_t *f;
    int fd = memfd_create("weights", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (safetensors_open(&f, path) == LENS_OK) {
        read_all(f);
        safetensors_close(f);
    } else if (!*lens_error()) {
        abort();
    }
    close(fd);
    return 0;
}
