/* One option table: it reads config files, parses command lines, prints --help and writes the resolved configuration.
 *
 * A table describes the fields of a struct of values. Command-line options are rows with plain names ("out" is --out);
 * config keys are rows with dotted names ("optim.lr" is key lr under optim: in YAML, optim.lr=1e-4 as an override).
 * Every string value is owned by the struct and freed by options_free. */
#ifndef LENS_BASE_OPTIONS_H
#define LENS_BASE_OPTIONS_H

#include "base/error.h"
#include "base/str.h"

typedef enum {
    OPTION_FLAG,   /* bool; on a command line it takes no value; in YAML true or false */
    OPTION_INT,    /* int64_t; suffixes Ki Mi Gi on input */
    OPTION_FLOAT,  /* double */
    OPTION_STRING, /* char *, owned; may be NULL where initial is NULL and not required */
    OPTION_CHOICE, /* char *, owned; one of `choices` */
} option_type;

typedef struct {
    const char *name; /* lower case, digits, '-', '_', '.' */
    option_type type;
    size_t offset;       /* of the field in the struct of values */
    const char *initial; /* default as text; NULL: 0, false or NULL */
    bool required;       /* neither NULL nor empty, or a number within min and max (which must then exclude 0) */
    double min, max;     /* INT and FLOAT; both 0: unbounded */
    const char *unit;    /* "px", "s", ... or NULL */
    const char *choices; /* "a|b|c" for CHOICE; elsewhere what --help shows for the value ("DIR"), or NULL */
    const char *help;    /* one line, no full stop */
    char letter;         /* short option, 0: none */
    /* Not NULL, of a STRING: the option names a YAML file of the table's options, which is read before the rest of the
     * command line, wherever the option stands. A list of this name in that file is left to another reader. */
    const char *config_list;
} option_t;

typedef struct {
    const option_t *rows;
    int n;
} option_table_t;

#define OPTION_TABLE(array) ((option_table_t){(array), (int)(sizeof(array) / sizeof((array)[0]))})

LENS_CHECKED lens_status options_defaults(option_table_t t, void *values); /* first; every field of a row is set */
void options_free(option_table_t t, void *values);

/* Sets one row from text. `where` starts the message ("configs/nano.yaml:12", "command line"). ARGUMENT: unknown name
 * (with the nearest valid one), malformed value, out of range. */
LENS_CHECKED lens_status options_set(option_table_t t, void *values, const char *name, const char *text,
                                     const char *where);

/* GNU long options (--name VALUE, --name=VALUE, --flag, --no-flag, -x VALUE, "--" ends). Arguments that are no options
 * are gathered in args (argv's strings, borrowed), *n_args of them; args holds at least argc pointers. */
LENS_CHECKED lens_status options_parse(option_table_t t, void *values, int argc, char **argv, char **args, int *n_args);
/* where: as above; NULL: the rows are command-line options. */
LENS_CHECKED lens_status options_check_required(option_table_t t, const void *values, const char *where);

/* A YAML file of nested mappings with scalar leaves. Unknown or doubled keys, lists and wrong values are refused with
 * file and line. */
LENS_CHECKED lens_status options_load_yaml(option_table_t t, void *values, const char *path);
/* Overrides "key=value". */
LENS_CHECKED lens_status options_override(option_table_t t, void *values, int n, char **pairs);

/* The value of one row, as text that options_set reads back; nothing where it is a NULL string. ARGUMENT: no such row.
 */
LENS_CHECKED lens_status options_get(str_t *out, option_table_t t, const void *values, const char *name);

void options_help(str_t *out, option_table_t t);                           /* the lines of --help */
void options_write_yaml(str_t *out, option_table_t t, const void *values); /* resolved values; reads back the same */

#endif
