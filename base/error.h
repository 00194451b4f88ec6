/* Errors: one status for every call that can fail, one message for the person who reads it.
 *
 * The message is made where the cause is known (what, where, expected, got) and is kept per thread, so that outer
 * levels only add context or pass it on. A status is the kind of fault, that is, whose it is. */
#ifndef LENS_BASE_ERROR_H
#define LENS_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, number, text). ARGUMENT: the command line or a config is wrong (exit 2). All others: the work failed (exit
 * 1). */
#define LENS_STATUS_LIST(X)                                                                                            \
    X(OK, 0, "ok")                                                                                                     \
    X(ARGUMENT, 1, "wrong argument")                                                                                   \
    X(FORMAT, 2, "malformed data")                                                                                     \
    X(IO, 3, "input/output error")                                                                                     \
    X(MEMORY, 4, "out of memory")                                                                                      \
    X(STATE, 5, "wrong state")                                                                                         \
    X(END, 6, "end of data")                                                                                           \
    X(CUDA, 7, "CUDA error")                                                                                           \
    X(COMM, 8, "communication error")

typedef enum {
#define LENS_STATUS_ENUM(name, number, text) LENS_##name = number,
    LENS_STATUS_LIST(LENS_STATUS_ENUM)
#undef LENS_STATUS_ENUM
} lens_status;

/* Before every declaration that returns lens_status. */
#define LENS_CHECKED __attribute__((warn_unused_result))

/* lens_fail(kind, format, ...): sets this thread's message and is `kind`. One line, no trailing newline or full stop. A
 * macro, so that the compiler sees a failure where one is returned. */
#define lens_fail(kind, ...) (lens_set_error(__VA_ARGS__), (kind))
void lens_set_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Puts "context: " before this thread's message and returns `st`; does nothing where st is OK. */
lens_status lens_context(lens_status st, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* This thread's last message (borrowed, valid until its next failure). */
const char *lens_error(void);
const char *lens_status_name(lens_status st); /* the text of LENS_STATUS_LIST */

/* Returns from the calling function where the call fails. For use while nothing is held. */
#define LENS_TRY(call)                                                                                                 \
    do {                                                                                                               \
        lens_status lens_try_st_ = (call);                                                                             \
        if (lens_try_st_ != LENS_OK) return lens_try_st_;                                                              \
    } while (0)

/* Goes to the function's `done:` label, with the status in its variable `st`, where the call fails. */
#define LENS_GO(call)                                                                                                  \
    do {                                                                                                               \
        st = (call);                                                                                                   \
        if (st != LENS_OK) goto done;                                                                                  \
    } while (0)

/* Ends the process: for a broken invariant of our own, in every build; never for input, files or arguments. */
#define LENS_ASSERT(condition, format, ...)                                                                            \
    ((condition) ? (void)0 : lens_panic(__FILE__, __LINE__, #condition, format, __VA_ARGS__))
_Noreturn void lens_panic(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
