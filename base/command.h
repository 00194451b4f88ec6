/* A subcommand of `lens`: one cmd_*.c beside what it drives defines one of these; launch/main.c finds and runs it. */
#ifndef LENS_BASE_COMMAND_H
#define LENS_BASE_COMMAND_H

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

#endif
