/* Results that are read later, and marks of time. Work is done when it is asked for, so both are made at once. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kernels/cpu/cpu_kernels.h"

static int fetch_begin(kernels_t *k, const void *device, size_t bytes) {
    cpu_context_t *c = cpu_context(k);
    int i = c->next_fetch;
    c->next_fetch = (i + 1) % KERNELS_MAX_FETCHES;
    LENS_ASSERT(!c->fetch[i].begun, "fetch %d of %d is not ended", i, KERNELS_MAX_FETCHES);
    if (bytes > c->fetch[i].room) {
        free(c->fetch[i].bytes);
        c->fetch[i].bytes = malloc(bytes);
        c->fetch[i].room = c->fetch[i].bytes ? bytes : 0;
        if (!c->fetch[i].bytes) cpu_note(k, lens_fail(LENS_MEMORY, "out of memory: %zu bytes of results", bytes));
    }
    if (bytes <= c->fetch[i].room && bytes) memcpy(c->fetch[i].bytes, device, bytes);
    c->fetch[i].begun = true;
    return i;
}

static lens_status fetch_end(kernels_t *k, int fetch, const void **out) {
    cpu_context_t *c = cpu_context(k);
    LENS_ASSERT(c->fetch[fetch].begun, "fetch %d is not begun", fetch);
    c->fetch[fetch].begun = false;
    *out = c->error == LENS_OK ? c->fetch[fetch].bytes : NULL;
    return c->error == LENS_OK ? LENS_OK : lens_fail(c->error, "%s", c->error_text);
}

static void mark(kernels_t *k, int slot) {
    cpu_context_t *c = cpu_context(k);
    if (slot >= c->n_marked) {
        double *grown = realloc(c->marked, sizeof *grown * (size_t)(2 * slot + 1));
        if (!grown) {
            cpu_note(k, lens_fail(LENS_MEMORY, "out of memory for marks of time"));
            return;
        }
        memset(grown + c->n_marked, 0, sizeof *grown * (size_t)(2 * slot + 1 - c->n_marked));
        c->marked = grown;
        c->n_marked = 2 * slot + 1;
    }
    c->marked[slot] = log_clock_s();
}

static double marked_s(kernels_t *k, int from, int to) {
    const cpu_context_t *c = cpu_context(k);
    return from < c->n_marked && to < c->n_marked ? c->marked[to] - c->marked[from] : 0;
}

void cpu_fill_fetch(kernels_t *k) {
    k->fetch_begin = fetch_begin;
    k->fetch_end = fetch_end;
    k->mark = mark;
    k->marked_s = marked_s;
}
