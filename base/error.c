/* One message per thread, in a fixed buffer: failing to allocate must still be sayable. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_MAX_BYTES 2048

static _Thread_local char error_message[ERROR_MAX_BYTES];

void lens_set_error(const char *format, ...) {
    char text[ERROR_MAX_BYTES]; /* apart, since the arguments may point into error_message */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(error_message, text, strlen(text) + 1);
}

lens_status lens_context(lens_status st, const char *format, ...) {
    if (st == LENS_OK) return st;
    char text[ERROR_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof text) snprintf(text + n, sizeof text - (size_t)n, ": %s", error_message);
    memcpy(error_message, text, strlen(text) + 1);
    return st;
}

const char *lens_error(void) {
    return error_message;
}

const char *lens_status_name(lens_status st) {
    switch (st) {
#define LENS_STATUS_TEXT(name, number, text)                                                                           \
    case LENS_##name:                                                                                                  \
        return text;
        LENS_STATUS_LIST(LENS_STATUS_TEXT)
#undef LENS_STATUS_TEXT
    }
    return "unknown status";
}

void lens_panic(const char *file, int line, const char *condition, const char *format, ...) {
    fprintf(stderr, "lens: broken invariant at %s:%d: %s: ", file, line, condition);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
