/* `lens COMMAND ...`: finds the subcommand, parses its options, runs it, turns its status into words and an exit
 * status.
 *
 * commands.inc is written when CMake configures: one LENS_COMMAND(name) for every cmd_name.c of the tree. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/build_info.h"
#include "base/command.h"
#include "base/log.h"
#include "launch/version.h"

#define LENS_COMMAND(name) extern const command_t cmd_##name;
#include "commands.inc"
#undef LENS_COMMAND

static const command_t *const commands[] = {
#define LENS_COMMAND(name) &cmd_##name,
#include "commands.inc"
#undef LENS_COMMAND
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* The order of `lens help`; a command that is not named here follows, by name. */
static const char *const pipeline[] = {"ingest", "scenes", "recaption",    "caption-stats", "shards",
                                       "plan",   "cost",   "launch-check", "train",         "sample",
                                       "eval",   "report", "selftest",     "demo"};
enum { N_PIPELINE = sizeof pipeline / sizeof *pipeline };

/* ---- stdin, stdout, stderr ---- */

/* A file opened while 0, 1 or 2 is closed would take that number, and results or errors would be written into it. */
static void hold_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
        /* stdout for reading only: what is written there fails, and is reported. */
        if (open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd) _exit(1);
    }
}

static void print_error(const char *command, const char *message) {
    log_progress_end();
    str_t line = {0};
    str_addf(&line, command ? "lens %s: " : "lens: ", command);
    for (const char *c = message; *c; c++) { /* messages quote files: no terminal may be steered by them */
        unsigned char byte = (unsigned char)*c;
        if (byte < 0x20 || byte == 0x7f)
            str_addf(&line, "\\x%02x", byte);
        else
            str_add_char(&line, *c);
    }
    fprintf(stderr, "%s\n", line.failed ? message : str_text(&line));
    str_free(&line);
}

/* Results that did not reach the disk or the pipe are a failure, even where the work was done. */
static int close_stdout(const char *command, int exit_status) {
    bool failed = ferror(stdout);
    errno = 0;
    failed |= fflush(stdout) != 0;
    if (!failed) return exit_status;
    str_t message = {0};
    str_addf(&message, "cannot write the results to standard output%s%s", errno ? ": " : "",
             errno ? strerror(errno) : "");
    print_error(command, str_text(&message));
    str_free(&message);
    return exit_status ? exit_status : 1;
}

/* ---- help ---- */

static int position(const command_t *c) {
    int i = 0;
    while (i < N_PIPELINE && strcmp(pipeline[i], c->name) != 0) i++;
    return i;
}

static int compare_commands(const void *a, const void *b) {
    const command_t *x = *(const command_t *const *)a, *y = *(const command_t *const *)b;
    int order = position(x) - position(y);
    return order ? order : strcmp(x->name, y->name);
}

static void print_overview(void) {
    const command_t *sorted[N_COMMANDS];
    memcpy(sorted, commands, sizeof sorted);
    qsort(sorted, N_COMMANDS, sizeof *sorted, compare_commands);
    printf("lens %s: from pictures with poor alt-text to a trained text-to-image model\n\n", build_version());
    printf("Usage: lens COMMAND [OPTION]... [ARGUMENT]...\n\nCommands, in the order of the work:\n");
    for (int i = 0; i < N_COMMANDS; i++) printf("  %-10s %s\n", sorted[i]->name, sorted[i]->summary);
    printf("\nlens COMMAND --help  how a command is used\n");
    printf("lens --version       what this is built from\n");
}

static lens_status print_command_help(const command_t *c, option_table_t options) {
    str_t text = {0};
    str_addf(&text, "Usage: lens %s%s%s\n\n", c->name, *c->usage ? " " : "", c->usage);
    str_add_char(&text,
                 (char)toupper((unsigned char)c->summary[0])); /* a sentence here, a list's entry in the overview */
    str_addf(&text, "%s.\n", c->summary + 1);
    if (c->details) str_addf(&text, "\n%s%s", c->details, str_ends_with(c->details, "\n") ? "" : "\n");
    str_add(&text, "\nOptions:\n");
    options_help(&text, options);
    lens_status st = str_status(&text);
    if (st == LENS_OK) fputs(str_text(&text), stdout);
    str_free(&text);
    return st;
}

/* ---- one command ---- */

/* What a command's options are parsed into: its own table and values, and --help after both. */
typedef struct {
    option_t *rows;
    option_table_t table;
    void *values;
    size_t help_offset;
    char **args;
    int n_args;
} invocation_t;

static lens_status invocation_init(invocation_t *v, const command_t *c, int argc) {
    int n = c->options.n;
    *v = (invocation_t){.help_offset = c->values_size};
    v->rows = calloc((size_t)n + 1, sizeof *v->rows);
    v->values = calloc(1, c->values_size + sizeof(bool));
    v->args = calloc((size_t)argc + 1, sizeof *v->args);
    if (!v->rows || !v->values || !v->args) return lens_fail(LENS_MEMORY, "cannot allocate the options");
    bool h_is_free = true;
    for (int i = 0; i < n; i++) {
        v->rows[i] = c->options.rows[i];
        h_is_free &= v->rows[i].letter != 'h';
    }
    v->rows[n] = (option_t){.name = "help",
                            .type = OPTION_FLAG,
                            .offset = v->help_offset,
                            .help = "show this and stop",
                            .letter = h_is_free ? 'h' : 0};
    v->table = (option_table_t){v->rows, n + 1};
    return options_defaults(v->table, v->values);
}

static void invocation_reset(invocation_t *v) {
    if (v->table.rows) options_free(v->table, v->values);
    free(v->rows);
    free(v->values);
    free(v->args);
}

static lens_status run_command(const command_t *c, int argc, char **argv) {
    lens_status st;
    invocation_t v;
    LENS_GO(invocation_init(&v, c, argc));
    LENS_GO(options_parse(v.table, v.values, argc, argv, v.args, &v.n_args));
    if (*((bool *)v.values + v.help_offset)) {
        st = print_command_help(c, v.table);
        goto done;
    }
    LENS_GO(options_check_required(v.table, v.values, NULL));
    LENS_GO(c->run(v.values, v.n_args, v.args));
done:
    invocation_reset(&v);
    return st;
}

static lens_status find_command(const command_t **out, const char *name) {
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i]->name;
        if (strcmp(name, names[i]) != 0) continue;
        *out = commands[i];
        return LENS_OK;
    }
    if (name[0] == '-') return lens_fail(LENS_ARGUMENT, "unknown option \"%s\" (lens help lists the commands)", name);
    const char *near = str_nearest(name, names, N_COMMANDS);
    if (near) return lens_fail(LENS_ARGUMENT, "unknown command \"%s\" (did you mean \"%s\"?)", name, near);
    return lens_fail(LENS_ARGUMENT, "unknown command \"%s\" (lens help lists the commands)", name);
}

/* *c: the command that the words name, for messages; NULL where they name none. */
static lens_status dispatch(int argc, char **argv, const command_t **c) {
    static char help_option[] = "--help";
    char *help_argv[] = {help_option};
    const char *word = argc > 1 ? argv[1] : "help";
    bool is_help = strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
    if (is_help && argc <= 2) {
        print_overview();
        return LENS_OK;
    }
    if (is_help && argc > 3) return lens_fail(LENS_ARGUMENT, "help: expected one command, got %d", argc - 2);
    if (is_help) {
        LENS_TRY(find_command(c, argv[2]));
        return run_command(*c, 1, help_argv);
    }
    if (strcmp(word, "--version") == 0) {
        if (argc > 2) return lens_fail(LENS_ARGUMENT, "--version takes no argument, got \"%s\"", argv[2]);
        version_print();
        return LENS_OK;
    }
    LENS_TRY(find_command(c, word));
    return run_command(*c, argc - 2, argv + 2);
}

/* Threads of libgomp wait for each other by spinning, for milliseconds. Beside other work, or other ranks on the same
 * cores, they spin away the time of the very thread that they wait for: a training step took five times as long. The
 * spins that remain last about 20 us, the gap between two parallel loops; then they sleep. libgomp reads this when it
 * is loaded, hence the new start, which costs some ten milliseconds; without it all works, slower. Where threads are
 * bound to cores, libgomp has bound this one by now, and after a new start would see that one core alone. */
static void shorten_spins(char **argv) {
    char path[4096];
    const char *const decided[] = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_PROC_BIND", "OMP_PLACES",
                                   "GOMP_CPU_AFFINITY"};
    for (size_t i = 0; i < sizeof decided / sizeof *decided; i++)
        if (getenv(decided[i])) return;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    if (n <= 0 || n == sizeof path || setenv("GOMP_SPINCOUNT", "10000", 1) != 0) return;
    path[n] = '\0';
    execv(path, argv);
}

int main(int argc, char **argv) {
    shorten_spins(argv);
    hold_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is then an error of write, and reported */
    const command_t *command = NULL;
    lens_status st = dispatch(argc, argv, &command);
    const char *name = command ? command->name : NULL;
    if (st != LENS_OK && *lens_error()) print_error(name, lens_error()); /* ranks other than 0 leave the words to it */
    return close_stdout(name, st == LENS_OK ? 0 : st == LENS_ARGUMENT ? 2 : 1);
}
