/* A subcommand of `lens`: one cmd_*.c beside what it drives defines one of these; launch/main.c finds and runs it. */
#ifndef LENS_BASE_COMMAND_H
#define LENS_BASE_COMMAND_H

#include "base/comm.h"
#include "base/options.h"

typedef struct {
    const char *name;       /* "ingest" */
    const char *usage;      /* "SRC... -o DIR": what follows the name */
    const char *summary;    /* one line for `lens help` */
    const char *details;    /* paragraphs for `lens help NAME`, or NULL */
    option_table_t options; /* command-line options; --help is added by launch/main.c */
    size_t values_size;     /* of the struct that options describe */
    /* values: that struct, parsed; args: the rest of the command line. Results to stdout, progress through base/log.h.
     * The status becomes the exit status: OK 0, ARGUMENT 2, others 1, and main prints the message. */
    lens_status (*run)(const void *values, int n_args, char **args);
} command_t;

/* Which of names[n] the word is; ARGUMENT with the nearest name where it is none. */
LENS_CHECKED lens_status command_action(int *out, const char *word, const char *const *names, int n);
/* What a command does alone or as one rank of several: starts ranks, runs, ends them. A failure of several, which they
 * have agreed upon (comm_agree), is said once, by rank 0, and at once: when a rank has ended, mpirun ends the others.
 */
LENS_CHECKED lens_status command_by_ranks(lens_status (*run)(comm_t *comm, void *arg), void *arg);

#endif
