/* The built-in golden files, put into the binary by the assembler and opened through memory files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/golden.h"

#define GOLDEN_EMBED(symbol, path)                                                                                     \
    __asm__(".section .rodata\n.balign 64\n" #symbol "_begin:\n.incbin \"" path "\"\n" #symbol "_end:\n.byte 0\n"      \
            ".previous\n");                                                                                            \
    extern const char symbol##_begin[] __attribute__((visibility("hidden")));                                          \
    extern const char symbol##_end[] __attribute__((visibility("hidden")))

GOLDEN_EMBED(golden_one_block, LENS_GOLDEN_DIR "/mmdit-one-block.safetensors");
GOLDEN_EMBED(golden_tiny, LENS_GOLDEN_DIR "/mmdit-tiny.safetensors");

static lens_status open_memory(golden_builtin_t *f, const char *name, const char *begin, const char *end) {
    f->name = name;
    f->fd = memfd_create(name, MFD_CLOEXEC);
    if (f->fd < 0) return lens_fail(LENS_IO, "cannot make a memory file for %s: %s", name, strerror(errno));
    for (const char *p = begin; p < end;) {
        ssize_t n = write(f->fd, p, (size_t)(end - p));
        if (n < 0) return lens_fail(LENS_IO, "cannot fill the memory file for %s: %s", name, strerror(errno));
        p += n;
    }
    snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
    return LENS_OK;
}

lens_status golden_builtin_open(golden_builtin_t files[GOLDEN_N_BUILTIN]) {
    for (int i = 0; i < GOLDEN_N_BUILTIN; i++) files[i] = (golden_builtin_t){.fd = -1};
    LENS_TRY(open_memory(&files[0], "mmdit-one-block", golden_one_block_begin, golden_one_block_end));
    return open_memory(&files[1], "mmdit-tiny", golden_tiny_begin, golden_tiny_end);
}

void golden_builtin_close(golden_builtin_t files[GOLDEN_N_BUILTIN]) {
    for (int i = 0; i < GOLDEN_N_BUILTIN; i++)
        if (files[i].fd >= 0) close(files[i].fd);
}
