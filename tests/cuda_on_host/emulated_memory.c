/* Device memory: mappings of their own, which the host cannot touch where LENS_CUDA_GUARD=1. */
#include "tests/cuda_on_host/include/emulated_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define __asan_poison_memory_region(p, n) ((void)(p), (void)(n))
#define __asan_unpoison_memory_region(p, n) ((void)(p), (void)(n))
#endif

enum { PAGE = 4096, ALIGN = 256, PAD = 0xAB };

/* A page that is never there, the room, another such page. Data ends where the room does, as far as alignment lets. */
typedef struct block {
    struct block *next;
    unsigned char *map, *data;
    size_t bytes, room; /* room: whole pages between the guards */
} block_t;

static block_t *blocks;
static size_t n_bytes;
static int depth;
static enum { OPEN, GUARDED } mode; /* chosen by LENS_CUDA_GUARD when there is no block */

static void choose_mode(void) {
    const char *guard = getenv("LENS_CUDA_GUARD");
    mode = guard && !strcmp(guard, "1") ? GUARDED : OPEN;
}

static void protect(const block_t *b, int protection) {
    if (mprotect(b->map + PAGE, b->room, protection)) {
        perror("emulated device: mprotect");
        abort();
    }
}

void emulated_memory_open(void) {
    if (depth++ || mode != GUARDED) return;
    for (block_t *b = blocks; b; b = b->next) protect(b, PROT_READ | PROT_WRITE);
}

void emulated_memory_close(void) {
    if (--depth || mode != GUARDED) return;
    for (block_t *b = blocks; b; b = b->next) protect(b, PROT_NONE);
}

void *emulated_memory_new(size_t bytes) {
    size_t padded = (bytes + ALIGN - 1) / ALIGN * ALIGN, room = (padded + PAGE - 1) / PAGE * PAGE;
    block_t *b = calloc(1, sizeof *b);
    if (!blocks) choose_mode();
    if (!b || room < bytes) {
        free(b);
        return NULL;
    }
    b->map = mmap(NULL, room + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->map == MAP_FAILED) {
        free(b);
        return NULL;
    }
    b->room = room;
    b->bytes = bytes;
    b->data = b->map + PAGE + room - padded;
    protect(b, PROT_READ | PROT_WRITE);
    memset(b->data, 0xFF, bytes);
    memset(b->data + bytes, PAD, padded - bytes);
    __asan_poison_memory_region(b->data + bytes, padded - bytes);
    if (!depth && mode == GUARDED) protect(b, PROT_NONE);
    b->next = blocks;
    blocks = b;
    n_bytes += bytes;
    return b->data;
}

int emulated_memory_free(void *p) {
    block_t **at = &blocks;
    while (*at && (*at)->data != p) at = &(*at)->next;
    block_t *b = *at;
    if (!b) return 0;
    unsigned char *end = b->map + PAGE + b->room;
    protect(b, PROT_READ | PROT_WRITE);
    __asan_unpoison_memory_region(b->data, (size_t)(end - b->data));
    for (unsigned char *c = b->data + b->bytes; c < end; c++)
        if (*c != PAD) {
            fprintf(stderr, "emulated device: an allocation of %zu bytes was written %zu past its end\n", b->bytes,
                    (size_t)(c - b->data) - b->bytes + 1);
            abort();
        }
    *at = b->next;
    n_bytes -= b->bytes;
    munmap(b->map, b->room + 2 * PAGE);
    free(b);
    return 1;
}

size_t emulated_memory_bytes(void) {
    return n_bytes;
}
