/* Fibres: the threads of a block, and how they take turns. */
#include "tests/cuda_on_host/include/emulated_device.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define STACK_BYTES ((size_t)256 << 10) /* red zones make frames several times larger */
#else
#define STACK_BYTES ((size_t)64 << 10)
#define __sanitizer_start_switch_fiber(save, bottom, size) ((void)(save), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#endif

enum { THREADS_MAX = 1024, GUARD_BYTES = 4096, COLOURS = 21, COLOUR_BYTES = 192 };
#define WHOLE_WARP 0xFFFFFFFFu

typedef enum { READY, AT_BARRIER, AT_EXCHANGE, RETURNED } fibre_state;

typedef struct {
    emulated_place_t place;
    fibre_state state;
    void *sp, *stack, *fake; /* fake: the sanitizer's */
    const char *file;        /* where it waits */
    int line, predicate;
    unsigned mask;
    uint64_t value;              /* that it brought to an exchange */
    uint64_t own[EMULATED_WARP]; /* what a part of a warp brought */
    const uint64_t *seen;        /* what all brought: own, or the warp's */
} fibre_t;

static struct {
    fibre_t *fibres;
    uint64_t warp_seen[THREADS_MAX / EMULATED_WARP][EMULATED_WARP]; /* of whole warps: read by all before the next */
    unsigned waiting[THREADS_MAX / EMULATED_WARP];                  /* lanes at an exchange of the whole warp */
    int n, n_returned, n_at_barrier, count;                         /* count: of the last barrier's predicates */
    void *host_sp, *host_fake;
    const void *host_bottom;
    size_t host_size;
    void (*run)(void *args);
    void *args;
    const char *name;
    enum { FORWARD, REVERSE, SHUFFLE } order;
    uint64_t random;
    int turn[THREADS_MAX];
    fibre_t *running;
    unsigned char *shared;
} device;

const emulated_place_t *emulated_place;

/* ---- the switch: saves what a call must keep, changes stacks ---- */

void emulated_switch(void **save, void *load);
#if defined(__x86_64__)
__asm__(".text\n.globl emulated_switch\n.type emulated_switch,@function\nemulated_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
        ".size emulated_switch,.-emulated_switch\n");
enum { SAVED_WORDS = 8, RETURN_WORD = 6 }; /* one word more: a function begins with its stack 8 bytes off 16 */
#elif defined(__aarch64__)
__asm__(".text\n.globl emulated_switch\n.type emulated_switch,%function\nemulated_switch:\n"
        "sub sp, sp, #160\nstp x19, x20, [sp]\nstp x21, x22, [sp, #16]\nstp x23, x24, [sp, #32]\n"
        "stp x25, x26, [sp, #48]\nstp x27, x28, [sp, #64]\nstp x29, x30, [sp, #80]\nstp d8, d9, [sp, #96]\n"
        "stp d10, d11, [sp, #112]\nstp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n"
        "mov x9, sp\nstr x9, [x0]\nmov sp, x1\n"
        "ldp x19, x20, [sp]\nldp x21, x22, [sp, #16]\nldp x23, x24, [sp, #32]\nldp x25, x26, [sp, #48]\n"
        "ldp x27, x28, [sp, #64]\nldp x29, x30, [sp, #80]\nldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\n"
        "ldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\nadd sp, sp, #160\nret\n"
        ".size emulated_switch,.-emulated_switch\n");
enum { SAVED_WORDS = 20, RETURN_WORD = 11 };
#else
#error "fibres: write emulated_switch for this processor"
#endif

static void fibre_wait(fibre_t *f) {
    __sanitizer_start_switch_fiber(f->state == RETURNED ? NULL : &f->fake, device.host_bottom, device.host_size);
    emulated_switch(&f->sp, device.host_sp);
    __sanitizer_finish_switch_fiber(f->fake, &device.host_bottom, &device.host_size);
}

static void fibre_begin(void) {
    __sanitizer_finish_switch_fiber(NULL, &device.host_bottom, &device.host_size);
    device.run(device.args);
    device.running->state = RETURNED;
    device.n_returned++;
    fibre_wait(device.running);
    abort(); /* nobody resumes a fibre that returned */
}

static void fibre_resume(fibre_t *f) {
    device.running = f;
    emulated_place = &f->place;
    __sanitizer_start_switch_fiber(&device.host_fake, f->stack, STACK_BYTES);
    emulated_switch(&device.host_sp, f->sp);
    __sanitizer_finish_switch_fiber(device.host_fake, NULL, NULL);
    emulated_place = NULL;
}

/* Stacks begin at different offsets within a page: they would all fall on the same lines of the cache. */
static void fibre_reset(fibre_t *f) {
    size_t offset = (size_t)(f - device.fibres) % COLOURS * COLOUR_BYTES;
    void **top = (void **)((char *)f->stack + STACK_BYTES - offset) - SAVED_WORDS;
    memset(top, 0, SAVED_WORDS * sizeof *top);
    void (*begin)(void) = fibre_begin;
    memcpy(&top[RETURN_WORD], &begin, sizeof begin);
    f->sp = top;
    f->state = READY;
}

/* ---- faults of a kernel ---- */

static void print_fibre(const fibre_t *f) {
    static const char *const states[] = {"runs", "waits at a barrier", "waits for its warp", "returned"};
    fprintf(stderr, "  thread %u: %s", f->place.linear, states[f->state]);
    if (f->state == AT_BARRIER || f->state == AT_EXCHANGE) fprintf(stderr, " at %s:%d", f->file, f->line);
    if (f->state == AT_EXCHANGE) fprintf(stderr, " with mask %08x", f->mask);
    fprintf(stderr, "\n");
}

_Noreturn static void fail(const char *why) {
    const emulated_index_t *b = &device.fibres[0].place.block;
    fprintf(stderr, "emulated device: %s, block (%u, %u, %u): %s\n", device.name, b->x, b->y, b->z, why);
    for (int i = 0; i < device.n; i++) {
        const fibre_t *f = &device.fibres[i], *p = f - 1;
        bool same = i && i + 1 < device.n && f->state == p->state && f->file == p->file && f->line == p->line;
        if (!same) print_fibre(f);
    }
    abort();
}

static bool same_place(const fibre_t *a, const fibre_t *b) {
    return a->line == b->line && (a->file == b->file || !strcmp(a->file, b->file));
}

/* ---- barrier and exchange ---- */

int emulated_barrier(int predicate, const char *file, int line) {
    fibre_t *f = device.running;
    f->state = AT_BARRIER;
    f->file = file;
    f->line = line;
    f->predicate = predicate != 0;
    if (++device.n_at_barrier == device.n) {
        device.n_at_barrier = device.count = 0;
        for (int i = 0; i < device.n; i++) {
            if (!same_place(f, &device.fibres[i])) fail("threads of one block wait at different barriers");
            device.count += device.fibres[i].predicate;
        }
        for (int i = 0; i < device.n; i++) device.fibres[i].state = READY;
    } else {
        fibre_wait(f);
    }
    return device.count;
}

const uint64_t *emulated_exchange(unsigned mask, uint64_t value, const char *file, int line) {
    fibre_t *f = device.running, *warp = device.fibres + f->place.linear / EMULATED_WARP * EMULATED_WARP;
    int n_lanes = (int)(device.fibres + device.n - warp), lane = (int)(f - warp);
    f->state = AT_EXCHANGE;
    f->file = file;
    f->line = line;
    f->mask = mask;
    f->value = value;
    if (!(mask >> lane & 1)) fail("a lane is not in the mask that it brings");
    unsigned *waiting = &device.waiting[f->place.linear / EMULATED_WARP];
    *waiting |= mask == WHOLE_WARP ? 1u << lane : 0;
    if (mask == WHOLE_WARP && n_lanes >= EMULATED_WARP && !device.n_returned && *waiting != WHOLE_WARP) {
        fibre_wait(f); /* what the loop below would find, lane by lane */
        return f->seen;
    }
    for (int i = EMULATED_WARP - 1; i >= 0; i--) {
        if (!(mask >> i & 1)) continue;
        if (i >= n_lanes || warp[i].state == RETURNED) fail("a mask names a lane that is not there");
        if (warp[i].state != AT_EXCHANGE || warp[i].mask != mask) { /* of another mask: it may still come */
            fibre_wait(f);
            return f->seen;
        }
        if (!same_place(f, &warp[i])) fail("lanes of a mask wait at different exchanges");
    }
    if (mask == WHOLE_WARP) *waiting = 0;
    uint64_t *all = device.warp_seen[f->place.linear / EMULATED_WARP];
    for (int i = 0; i < EMULATED_WARP && mask == WHOLE_WARP; i++) all[i] = warp[i].value;
    for (int i = 0; i < EMULATED_WARP; i++) {
        if (!(mask >> i & 1)) continue;
        warp[i].seen = mask == WHOLE_WARP ? all : warp[i].own;
        for (int j = 0; j < EMULATED_WARP && mask != WHOLE_WARP; j++)
            warp[i].own[j] = mask >> j & 1 ? warp[j].value : UINT64_MAX;
        warp[i].state = READY;
    }
    return f->seen;
}

/* ---- a launch ---- */

static void read_order(void) {
    const char *order = getenv("LENS_CUDA_ORDER");
    if (!order || !strcmp(order, "forward")) {
        device.order = FORWARD;
    } else if (!strcmp(order, "reverse")) {
        device.order = REVERSE;
    } else if (!strncmp(order, "shuffle", 7) && (!order[7] || order[7] == ':')) {
        device.order = SHUFFLE;
        device.random = order[7] ? strtoull(order + 8, NULL, 10) : 1;
    } else {
        fprintf(stderr, "LENS_CUDA_ORDER=%s: expected forward, reverse or shuffle[:SEED]\n", order);
        abort();
    }
}

static void start_device(void) {
    device.fibres = calloc(THREADS_MAX, sizeof *device.fibres);
    device.shared = aligned_alloc(256, EMULATED_SHARED_MAX);
    if (!device.fibres || !device.shared) abort();
    for (int i = 0; i < THREADS_MAX; i++) {
        char *p = mmap(NULL, STACK_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED || mprotect(p, GUARD_BYTES, PROT_NONE)) abort();
        device.fibres[i].stack = p + GUARD_BYTES;
    }
}

static uint32_t random_below(uint32_t n) { /* SplitMix64: orders, not statistics */
    uint64_t z = device.random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ z >> 31) % n);
}

static void choose_order(int *turn, int n) {
    for (int i = 0; i < n; i++) turn[i] = device.order == REVERSE ? n - 1 - i : i;
    for (int i = n - 1; i > 0 && device.order == SHUFFLE; i--) {
        int j = (int)random_below((uint32_t)i + 1), kept = turn[i];
        turn[i] = turn[j];
        turn[j] = kept;
    }
}

static void run_block(void) {
    device.n_returned = device.n_at_barrier = 0;
    memset(device.waiting, 0, sizeof device.waiting);
    choose_order(device.turn, device.n);
    while (device.n_returned < device.n) {
        bool ran = false;
        if (device.order == SHUFFLE) choose_order(device.turn, device.n);
        for (int i = 0; i < device.n; i++) {
            fibre_t *f = &device.fibres[device.turn[i]];
            if (f->state != READY) continue;
            fibre_resume(f);
            ran = true;
        }
        if (!ran) fail("threads wait for others that never come");
    }
}

static emulated_index_t index_of(uint64_t i, emulated_index_t dim) {
    return (emulated_index_t){
        .x = (unsigned)(i % dim.x), .y = (unsigned)(i / dim.x % dim.y), .z = (unsigned)(i / dim.x / dim.y)};
}

void emulated_launch(emulated_index_t grid, emulated_index_t block, size_t shared_bytes, void (*run)(void *args),
                     void *args, const char *name) {
    if (!device.fibres) start_device();
    read_order();
    uint64_t n_blocks = (uint64_t)grid.x * grid.y * grid.z, first = 0;
    device.n = (int)(block.x * block.y * block.z);
    device.run = run;
    device.args = args;
    device.name = name;
    emulated_memory_open();
    if (device.order == SHUFFLE) first = random_below((uint32_t)(n_blocks < UINT32_MAX ? n_blocks : UINT32_MAX));
    for (uint64_t b = 0; b < n_blocks; b++) {
        uint64_t at = device.order == REVERSE ? n_blocks - 1 - b : (first + b) % n_blocks;
#if defined(__SANITIZE_ADDRESS__)
        __asan_unpoison_memory_region(device.shared, EMULATED_SHARED_MAX);
        __asan_poison_memory_region(device.shared + shared_bytes, EMULATED_SHARED_MAX - shared_bytes);
#endif
        memset(device.shared, 0xFF, shared_bytes); /* NaN: nobody may read it before it was written */
        for (int i = 0; i < device.n; i++) {
            fibre_t *f = &device.fibres[i];
            fibre_reset(f);
            f->place = (emulated_place_t){.thread = index_of((uint64_t)i, block),
                                          .block = index_of(at, grid),
                                          .block_dim = block,
                                          .grid_dim = grid,
                                          .shared = device.shared,
                                          .linear = (unsigned)i};
        }
        run_block();
    }
    emulated_memory_close();
}
