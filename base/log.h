/* What people read while a command runs: lines and one progress line, on stderr. Results go to stdout elsewhere.
 * Any thread. Under mpirun only rank 0 logs information (log_init); warnings come from every rank, with its number. */
#ifndef LENS_BASE_LOG_H
#define LENS_BASE_LOG_H

#include <stdbool.h>

void log_init(int rank, int world); /* before: rank 0 of 1 */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Rewrites one line in place where stderr is a terminal (at most 10 times a second), which shows as much of it as is
 * wide; prints nothing elsewhere. */
void log_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_progress_end(void); /* clears the line; the next log call does it too */

/* Seconds on a clock that never steps back. */
double log_clock_s(void);

#endif
