/* Configuration files: whatever stands in one, it is refused with a message or read; and what was read is written so that
 * it reads back the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

typedef struct {
    bool flag;
    int64_t count;
    double rate;
    char *text, *choice;
} values_t;

static const option_t rows[] = {
    {.name = "run.flag", .type = OPTION_FLAG, .offset = offsetof(values_t, flag), .help = "a flag"},
    {.name = "run.count",
     .type = OPTION_INT,
     .offset = offsetof(values_t, count),
     .initial = "4",
     .min = 1,
     .max = 1e9,
     .help = "a count"},
    {.name = "rate",
     .type = OPTION_FLOAT,
     .offset = offsetof(values_t, rate),
     .initial = "0.5",
     .min = 0,
     .max = 1,
     .help = "a rate"},
    {.name = "data.text", .type = OPTION_STRING, .offset = offsetof(values_t, text), .help = "a text"},
    {.name = "data.choice",
     .type = OPTION_CHOICE,
     .offset = offsetof(values_t, choice),
     .initial = "a",
     .choices = "a|bc",
     .help = "a choice"},
};

/* The values of a file of these bytes; its name is one that the kernel gives to memory. */
static lens_status load(values_t *out, const void *bytes, size_t n) {
    char path[64];
    int fd = memfd_create("options", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    lens_status st = options_defaults(OPTION_TABLE(rows), out);
    if (st == LENS_OK) st = options_load_yaml(OPTION_TABLE(rows), out, path);
    close(fd);
    return st;
}

static bool same_text(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    values_t v = {0}, again = {0};
    if (load(&v, bytes, n) == LENS_OK) {
        str_t text = {0};
        options_write_yaml(&text, OPTION_TABLE(rows), &v);
        if (load(&again, str_text(&text), text.len) != LENS_OK || v.flag != again.flag || v.count != again.count ||
            v.rate != again.rate || !same_text(v.text, again.text) || !same_text(v.choice, again.choice)) {
            fprintf(stderr, "%s\nreads back otherwise: %s\n", str_text(&text), lens_error());
            abort();
        }
        options_free(OPTION_TABLE(rows), &again);
        str_free(&text);
    } else if (!*lens_error()) {
        abort();
    }
    options_free(OPTION_TABLE(rows), &v);
    return 0;
}
