/* `lens demo`: the whole pipeline on what ships in the repository, by the very commands a person would type.
 *
 * Every stage is a process of this same binary, so that the demo shows nothing that the commands cannot do. All numbers
 * of the demo are in `plans` and `stages`. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/build_info.h"
#include "base/command.h"
#include "base/file.h"
#include "base/log.h"

extern char **environ;
extern const command_t cmd_demo;

typedef struct {
    char *out;
    int64_t steps; /* 0: the plan's */
    bool quick;
} demo_options_t;

/* How long the demo takes: about five minutes on a laptop, or a look in well under one. */
typedef struct {
    const char *n_scenes, *steps;
} plan_t;
static const plan_t plan_full = {.n_scenes = "20000", .steps = "1400"};
static const plan_t plan_quick = {.n_scenes = "500", .steps = "20"};

/* One command each. @DIR: the demo's folder; @ROOT: the repository; @SCENES, @STEPS: the plan's. */
enum { STAGE_WORDS_MAX = 16 };
static const char *const stages[][STAGE_WORDS_MAX] = {
    {"ingest", "@ROOT/data/samples/openclipart-300.tar", "-o", "@DIR/clipart"},
    {"recaption", "@DIR/clipart", "--captioner", "describe"},
    {"shards", "stat", "@DIR/clipart"},
    {"shards", "verify", "@DIR/clipart"},
    {"scenes", "-n", "@SCENES", "--seed", "1", "--size", "32", "--max-objects", "1", "--captions", "-o", "@DIR/scenes"},
    {"recaption", "@DIR/scenes", "--captioner", "describe"},
    {"train", "@ROOT/configs/nano.yaml", "data.dataset=@DIR/scenes", "data.captions=dense=0.4,truth-brief=0.6",
     "run.dir=@DIR/run", "train.steps=@STEPS", "sample.prompts=@DIR/prompts.txt"},
    {"sample", "@DIR/run/checkpoints/latest", "--prompts", "@DIR/prompts.txt", "-n", "4", "--guidance", "3", "-o",
     "@DIR/samples.png"},
    {"report", "@DIR/run", "-o", "@DIR/report.html", "--dataset", "@DIR/clipart"},
};
enum { N_STAGES = sizeof stages / sizeof *stages };

/* In the words of `lens scenes` (data/scenes.md), on which the model was trained. */
static const char prompts[] = "a red circle on a white background\n"
                              "a blue square on a light gray background\n"
                              "a green triangle on a yellow background\n"
                              "a yellow star on a black background\n"
                              "a purple heart on a white background\n"
                              "an orange ring on a white background\n"
                              "a black cross on a pink background\n"
                              "a red diamond on a light blue background\n";

/* A folder that carries this file is the demo's own, and may be replaced. */
static const char marker[] = ".lens-demo";

typedef struct {
    char *binary, *root; /* owned; as short as the current folder allows, for commands fit to be typed */
    const char *dir, *steps;
    const plan_t *plan;
} demo_t;

/* ---- paths ---- */

/* `path` without the current folder in front of it; "." for that folder itself. *out is owned by the caller. */
static lens_status shorten(char **out, const char *path) {
    char *here = getcwd(NULL, 0);
    size_t n = here ? strlen(here) : 0;
    bool inside = n > 1 && strncmp(path, here, n) == 0 && (path[n] == '/' || !path[n]);
    free(here);
    *out = strdup(!inside ? path : path[n] ? path + n + 1 : ".");
    return *out ? LENS_OK : lens_fail(LENS_MEMORY, "cannot allocate a path");
}

static lens_status find_binary(demo_t *d) {
    char *path = realpath("/proc/self/exe", NULL);
    if (!path) return lens_fail(LENS_IO, "/proc/self/exe: cannot find this program: %s", strerror(errno));
    char *name = NULL;
    lens_status st = shorten(&name, path);
    if (st == LENS_OK && asprintf(&d->binary, "%s%s", strchr(name, '/') ? "" : "./", name) < 0) {
        d->binary = NULL;
        st = lens_fail(LENS_MEMORY, "cannot allocate a path");
    }
    free(name);
    free(path);
    return st;
}

static lens_status require_file(const char *root, const char *name) {
    str_t path = {0};
    str_addf(&path, "%s/%s", root, name);
    lens_status st = str_status(&path);
    if (st == LENS_OK && !file_exists(path.s))
        st = lens_fail(LENS_IO, "%s: no such file; the demo needs the source tree that lens was built from", path.s);
    str_free(&path);
    return st;
}

/* ---- the demo's folder ---- */

/* Everything but the marker, so that an interrupted removal can be taken up again. */
static lens_status empty_folder(const char *dir, char **names, int64_t n) {
    str_t path = {0};
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        if (strcmp(names[i], marker) == 0) continue;
        str_clear(&path);
        str_addf(&path, "%s/%s", dir, names[i]);
        st = str_status(&path);
        if (st == LENS_OK) st = dir_remove(path.s);
    }
    str_free(&path);
    return st;
}

static lens_status prepare_folder(const char *dir) {
    LENS_TRY(dir_make(dir));
    char **names = NULL;
    int64_t n = 0;
    LENS_TRY(dir_list(&names, &n, dir));
    bool ours = n == 0;
    for (int64_t i = 0; i < n && !ours; i++) ours = strcmp(names[i], marker) == 0;
    lens_status st = ours ? empty_folder(dir, names, n)
                          : lens_fail(LENS_ARGUMENT,
                                      "%s: holds files that are not an earlier demo's (there is no %s in it); "
                                      "name another folder with -o",
                                      dir, marker);
    dir_list_free(names, n);
    return st;
}

static lens_status write_in(const char *dir, const char *name, const char *text) {
    str_t path = {0};
    str_addf(&path, "%s/%s", dir, name);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = file_write(path.s, text, strlen(text));
    str_free(&path);
    return st;
}

/* ---- one stage ---- */

static void expand(str_t *out, const demo_t *d, const char *word) {
    const struct {
        const char *name, *value;
    } values[] = {{"@DIR", d->dir}, {"@ROOT", d->root}, {"@SCENES", d->plan->n_scenes}, {"@STEPS", d->steps}};
    while (*word) {
        size_t taken = 0;
        for (size_t i = 0; i < sizeof values / sizeof *values && !taken; i++) {
            if (!str_starts_with(word, values[i].name)) continue;
            str_add(out, values[i].value);
            taken = strlen(values[i].name);
        }
        if (!taken) str_add_char(out, *word);
        word += taken ? taken : 1;
    }
}

/* A word as a shell reads it. */
static void add_quoted(str_t *out, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:+@%";
    if (*word && !word[strspn(word, plain)]) {
        str_add(out, word);
        return;
    }
    str_add_char(out, '\'');
    for (; *word; word++) str_add(out, *word == '\'' ? "'\\''" : (char[]){*word, '\0'});
    str_add_char(out, '\'');
}

/* Runs argv and waits. OK: it ended with exit status 0. */
static lens_status run_and_wait(char *const *argv) {
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* main ignores it, and ignoring is inherited */
    if (posix_spawnattr_init(&attributes) != 0) return lens_fail(LENS_MEMORY, "cannot allocate for a process");
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    pid_t pid = 0;
    int error = posix_spawn(&pid, "/proc/self/exe", NULL, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    if (error) return lens_fail(LENS_IO, "cannot start: %s", strerror(error));
    int status = 0;
    while (waitpid(pid, &status, 0) == -1) {
        if (errno != EINTR) return lens_fail(LENS_IO, "cannot wait for its end: %s", strerror(errno));
    }
    if (WIFSIGNALED(status))
        return lens_fail(LENS_STATE, "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status)) return lens_fail(LENS_STATE, "exit status %d", WEXITSTATUS(status));
    return LENS_OK;
}

static lens_status run_stage(const demo_t *d, int stage) {
    lens_status st;
    str_t words[STAGE_WORDS_MAX + 1] = {0}, line = {0};
    char *argv[STAGE_WORDS_MAX + 2] = {0};
    int n = 1;
    str_add(&words[0], d->binary);
    for (; n <= STAGE_WORDS_MAX && stages[stage][n - 1]; n++) expand(&words[n], d, stages[stage][n - 1]);
    for (int i = 0; i < n; i++) {
        LENS_GO(str_status(&words[i]));
        argv[i] = words[i].s;
        str_add(&line, i ? " " : "");
        add_quoted(&line, words[i].s);
    }
    LENS_GO(str_status(&line));
    log_info("\n[%d/%d] %s\n$ %s", stage + 1, N_STAGES, stages[stage][0], line.s);
    double start_s = log_clock_s();
    st = lens_context(run_and_wait(argv), "stage %d of %d, %s, failed", stage + 1, N_STAGES, stages[stage][0]);
    log_info("[%d/%d] %s %s after %.1f s", stage + 1, N_STAGES, stages[stage][0], st == LENS_OK ? "done" : "failed",
             log_clock_s() - start_s);
done:
    for (int i = 0; i < n; i++) str_free(&words[i]);
    str_free(&line);
    return st;
}

static lens_status run_stages(const demo_t *d) {
    LENS_TRY(require_file(d->root, "data/samples/openclipart-300.tar"));
    LENS_TRY(require_file(d->root, "configs/nano.yaml"));
    LENS_TRY(prepare_folder(d->dir));
    LENS_TRY(write_in(d->dir, marker, "made by lens demo, which may remove this folder's files\n"));
    LENS_TRY(write_in(d->dir, "prompts.txt", prompts));
    for (int i = 0; i < N_STAGES; i++) LENS_TRY(run_stage(d, i));
    return LENS_OK;
}

static lens_status run(const void *values, int n_args, char **args) {
    const demo_options_t *o = values;
    if (n_args) return lens_fail(LENS_ARGUMENT, "expected no argument, got \"%s\"", args[0]);
    if (!*o->out) return lens_fail(LENS_ARGUMENT, "--out is empty: expected a folder");
    double start_s = log_clock_s();
    char steps[24];
    demo_t d = {.dir = o->out, .plan = o->quick ? &plan_quick : &plan_full, .steps = steps};
    if (o->steps)
        snprintf(steps, sizeof steps, "%lld", (long long)o->steps);
    else
        snprintf(steps, sizeof steps, "%s", d.plan->steps);
    lens_status st;
    LENS_GO(find_binary(&d));
    LENS_GO(shorten(&d.root, build_source_dir()));
    LENS_GO(run_stages(&d));
    printf("report: %s/report.html\n", d.dir);
    printf("total:  %.1f s\n", log_clock_s() - start_s);
done:
    free(d.binary);
    free(d.root);
    return st;
}

static const option_t options[] = {
    {"out", OPTION_STRING, offsetof(demo_options_t, out), "runs/demo", .choices = "DIR",
     .help = "folder to fill; an earlier demo's is replaced", .letter = 'o'},
    {"steps", OPTION_INT, offsetof(demo_options_t, steps), NULL, .min = 0, .max = 1e9,
     .help = "training steps; 0: as many as the demo means to take"},
    {"quick", OPTION_FLAG, offsetof(demo_options_t, quick), NULL,
     .help = "a look at every stage: small numbers, no good pictures"},
};

const command_t cmd_demo = {
    .name = "demo",
    .usage = "[-o DIR] [--steps N] [--quick]",
    .summary = "run the whole pipeline on the samples that ship with lens",
    .details =
        "Runs every command of the pipeline and shows it as it would be typed: clipart with alt-text is ingested\n"
        "and captioned, scenes are drawn and captioned, a small model is trained on the scenes and draws from\n"
        "prompts, and a report shows all of it. No GPU, no network, no download.\n",
    .options = OPTION_TABLE(options),
    .values_size = sizeof(demo_options_t),
    .run = run,
};
