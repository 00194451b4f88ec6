/* Chains of filters and what they judge: a YAML file, a NUL byte, metadata, a NUL byte, an alt-text. Whatever stands in
 * them, the chain is refused with a message or read, and its counts read back the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/filter_chain.h"
#include "data/filter_counts.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* A chain from a file of these bytes; its name is one that the kernel gives to memory. */
static lens_status load(filter_chain_t **out, const char *text) {
    char path[64];
    size_t n = strlen(text);
    int fd = memfd_create("filters", MFD_CLOEXEC);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    lens_status st = filter_chain_new(out, path);
    close(fd);
    return st;
}

static void judge(const filter_chain_t *c, const char *meta, const char *alt) {
    image_stats_t stats = {.blur = 60, .entropy = 5, .luminance = 0.5, .phash = 1};
    filter_sample_t s = {.width = 1000, .height = 700, .stats = &stats, .alt = alt, .meta = meta};
    filter_verdict_t v = {0};
    filter_counts_t counts = {0};
    str_t text = {0};
    lens_status st = filter_chain_judge(c, &s, &v);
    if (st != LENS_OK && !*lens_error()) abort();
    if (st == LENS_OK) {
        if (v.pending || (v.stage >= 0) != (v.reason.len > 0)) abort();
        filter_counts_add(&counts, &v);
        if (filter_counts_total(&counts) != 1) abort();
        filter_funnel_print(&text, &counts, c);
        filter_chain_describe(c, &text);
    }
    str_free(&text);
    filter_verdict_free(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    char *text = calloc(n + 3, 1); /* three texts, whatever is in it */
    filter_chain_t *c;
    if (!text) abort();
    memcpy(text, bytes, n);
    const char *meta = text + strlen(text) + 1, *alt = text + n + 2;
    if (meta < text + n) alt = meta + strlen(meta) + 1;
    if (load(&c, text) == LENS_OK)
        judge(c, meta, alt);
    else if (c || !*lens_error())
        abort();
    filter_chain_free(c);
    free(text);
    return 0;
}
