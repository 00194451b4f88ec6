/* NumPy files of embeddings: refused with a message, or every row of them is read or refused. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/embedding_dup.h"
#include "data/embedding_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Beyond a few rows nothing new can happen. */
static void read_rows(const embedding_file_t *f) {
    static uint16_t row[EMBEDDING_DIM_MAX];
    embedding_dup_t *e;
    bool is_dup;
    double cosine;
    if (embedding_dup_new(&e, embedding_file_d(f), 0.985, 8) != LENS_OK) abort();
    for (int64_t i = 0; i < embedding_file_n(f) && i < 8; i++) {
        if (embedding_file_row(f, i, row) != LENS_OK) continue;
        if (embedding_dup_check(e, row, &is_dup, &cosine) != LENS_OK) abort();
    }
    embedding_dup_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    char path[64];
    embedding_file_t *f;
    int fd = memfd_create("embeddings", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (embedding_file_open(&f, path) == LENS_OK)
        read_rows(f);
    else if (f || !*lens_error())
        abort();
    embedding_file_close(f);
    close(fd);
    return 0;
}
