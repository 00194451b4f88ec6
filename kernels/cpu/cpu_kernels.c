/* The CPU backend: the reference of every row, and the default. float throughout, OpenMP over rows or samples, OpenBLAS
 * for products. Reductions run in a fixed order, so results do not depend on timing. */
#include "kernels/cpu/cpu_kernels.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CPU_ALIGN_BYTES 64
#define CPU_HUGE_BYTES ((size_t)2 << 20) /* of a huge page on x86-64; elsewhere an alignment that does no harm */

static lens_status cpu_alloc(kernels_t *k, void **out, size_t bytes, const char *what) {
    (void)k;
    size_t align = bytes >= 4 * CPU_HUGE_BYTES ? CPU_HUGE_BYTES : CPU_ALIGN_BYTES;
    size_t rounded = (bytes + align - 1) / align * align;
    *out = aligned_alloc(align, rounded ? rounded : CPU_ALIGN_BYTES);
    if (!*out) return lens_fail(LENS_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
    if (align == CPU_HUGE_BYTES) (void)madvise(*out, rounded, MADV_HUGEPAGE); /* a wish: fewer faults and TLB misses */
    memset(*out, 0, rounded);
    return LENS_OK;
}

static void cpu_free(kernels_t *k, void *p) {
    (void)k;
    free(p);
}

static void cpu_upload(kernels_t *k, void *device, const void *host, size_t bytes) {
    (void)k;
    if (bytes) memcpy(device, host, bytes);
}

static void cpu_download(kernels_t *k, void *host, const void *device, size_t bytes) {
    (void)k;
    if (bytes) memcpy(host, device, bytes);
}

static void cpu_zero(kernels_t *k, void *device, size_t bytes) {
    (void)k;
    memset(device, 0, bytes);
}

static void cpu_copy_floats(kernels_t *k, void *out, const void *in, int64_t n) {
    (void)k;
    if (n && out != in) memcpy(out, in, sizeof(float) * (size_t)n);
}

static void cpu_copy(kernels_t *k, void *out, const void *in, size_t bytes) {
    (void)k;
    memcpy(out, in, bytes);
}

static void cpu_to_act(kernels_t *k, act_t *out, const float *in, int64_t n) {
    cpu_copy_floats(k, out, in, n);
}
static void cpu_to_float(kernels_t *k, float *out, const act_t *in, int64_t n) {
    cpu_copy_floats(k, out, in, n);
}

static void cpu_memory(kernels_t *k, size_t *used, size_t *total) {
    (void)k;
    char line[256];
    long long kib = 0;
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/status", "r");
    while (f && kib == 0 && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtoll(line + 6, NULL, 10);
    if (f) fclose(f);
    *used = (size_t)kib << 10;
    *total = pages > 0 && page_bytes > 0 ? (size_t)pages * (size_t)page_bytes : 0;
}

void cpu_note(kernels_t *k, lens_status st) {
    cpu_context_t *c = cpu_context(k);
    if (st == LENS_OK || c->error != LENS_OK) return;
    snprintf(c->error_text, sizeof c->error_text, "%s", lens_error());
    c->error = st;
}

static lens_status cpu_finish(kernels_t *k) {
    cpu_context_t *c = cpu_context(k);
    lens_status st = c->error;
    c->error = LENS_OK;
    return st == LENS_OK ? LENS_OK : lens_fail(st, "%s", c->error_text);
}

float *cpu_scratch(kernels_t *k, int64_t n) {
    cpu_context_t *c = cpu_context(k);
    if (!c->scratch || (size_t)n > c->scratch_floats) {
        free(c->scratch);
        c->scratch_floats = 0;
        void *grown = NULL;
        lens_status st = cpu_alloc(k, &grown, sizeof(float) * (size_t)n, "scratch of the CPU kernels");
        c->scratch = grown;
        cpu_note(k, st);
        if (st != LENS_OK) return NULL;
        c->scratch_floats = (size_t)n;
    }
    return c->scratch;
}

static void cpu_end(kernels_t *k) {
    cpu_context_t *c = cpu_context(k);
    cpu_trace_free(c);
    for (int i = 0; i < KERNELS_MAX_FETCHES; i++) free(c->fetch[i].bytes);
    free(c->marked);
    free(c->scratch);
    free(c);
    free(k);
}

int kernels_cpu_threads(void) {
    return omp_get_max_threads();
}

lens_status kernels_cpu_new(kernels_t **out, int n_threads, int n_sharing) {
    *out = NULL;
    kernels_t *k = calloc(1, sizeof *k);
    cpu_context_t *c = calloc(1, sizeof *c);
    if (!k || !c) {
        free(k);
        free(c);
        return lens_fail(LENS_MEMORY, "out of memory for the CPU kernels");
    }
    if (n_threads <= 0) {
        n_threads =
            getenv("OMP_NUM_THREADS") ? omp_get_max_threads() : omp_get_num_procs() / (n_sharing > 0 ? n_sharing : 1);
        if (n_threads < 1) n_threads = 1;
    }
    omp_set_num_threads(n_threads);
    *k = (kernels_t){.name = "cpu",
                     .device = "cpu",
                     .act_bytes = sizeof(float),
                     .token_multiple = 1,
                     .context = c,
                     .alloc = cpu_alloc,
                     .free = cpu_free,
                     .upload = cpu_upload,
                     .download = cpu_download,
                     .zero = cpu_zero,
                     .copy = cpu_copy,
                     .to_act = cpu_to_act,
                     .to_float = cpu_to_float,
                     .memory = cpu_memory,
                     .finish = cpu_finish,
                     .end = cpu_end};
    cpu_fill_linear(k);
    cpu_fill_lora(k);
    cpu_fill_norm(k);
    cpu_fill_attention(k);
    cpu_fill_elementwise(k);
    cpu_fill_flow(k);
    cpu_fill_optim(k);
    cpu_fill_fetch(k);
    *out = k;
    return LENS_OK;
}
