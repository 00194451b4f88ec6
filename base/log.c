#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LOG_PROGRESS_INTERVAL_S 0.1

/* The one log of a process: stderr and what stands on its last line. */
static struct {
    pthread_mutex_t lock;
    int rank, world;
    bool progress_shown;
    double progress_at_s;
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .world = 1};

double log_clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void log_init(int rank, int world) {
    log_state.rank = rank;
    log_state.world = world;
}

static void clear_progress(void) {
    if (log_state.progress_shown) fputs("\r\033[K", stderr);
    log_state.progress_shown = false;
}

__attribute__((format(printf, 2, 0))) static void log_line(const char *level, const char *format, va_list args) {
    char *text = NULL, rank[32] = "";
    if (vasprintf(&text, format, args) < 0) text = NULL;
    pthread_mutex_lock(&log_state.lock);
    clear_progress();
    if (log_state.world > 1 && *level) snprintf(rank, sizeof rank, "[rank %d] ", log_state.rank);
    /* One call, which is one write: the lines of ranks that share a terminal would mix. */
    fprintf(stderr, "%s%s%s\n", rank, level, text ? text : format);
    pthread_mutex_unlock(&log_state.lock);
    free(text);
}

void log_info(const char *format, ...) {
    if (log_state.rank != 0) return;
    va_list args;
    va_start(args, format);
    log_line("", format, args);
    va_end(args);
}

void log_warn(const char *format, ...) {
    va_list args;
    va_start(args, format);
    log_line("warning: ", format, args);
    va_end(args);
}

void log_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    log_line("error: ", format, args);
    va_end(args);
}

void log_progress(const char *format, ...) {
    if (log_state.rank != 0 || !isatty(STDERR_FILENO)) return;
    pthread_mutex_lock(&log_state.lock);
    double now_s = log_clock_s();
    if (!log_state.progress_shown || now_s - log_state.progress_at_s >= LOG_PROGRESS_INTERVAL_S) {
        clear_progress();
        va_list args;
        va_start(args, format);
        fputs("\033[?7l", stderr); /* what is longer than the terminal is wide would leave rows behind */
        vfprintf(stderr, format, args);
        fputs("\033[?7h", stderr);
        va_end(args);
        fflush(stderr);
        log_state.progress_shown = true;
        log_state.progress_at_s = now_s;
    }
    pthread_mutex_unlock(&log_state.lock);
}

void log_progress_end(void) {
    pthread_mutex_lock(&log_state.lock);
    clear_progress();
    pthread_mutex_unlock(&log_state.lock);
}
