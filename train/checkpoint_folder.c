#include "train/checkpoint_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define STEP_PREFIX "step-"
#define LATEST "latest"
#define TEMPORARY ".tmp"
enum { NAME_MAX_CHARS = 40, STEP_DIGITS = 8, STEP_MAX_DIGITS = 18 };

static void step_name(char out[NAME_MAX_CHARS], int64_t step) {
    snprintf(out, NAME_MAX_CHARS, STEP_PREFIX "%0*lld", STEP_DIGITS, (long long)step);
}

/* The step of a checkpoint's name, -1 of any other. */
static int64_t step_of(const char *name) {
    if (!str_starts_with(name, STEP_PREFIX)) return -1;
    const char *digits = name + strlen(STEP_PREFIX);
    size_t n = strspn(digits, "0123456789");
    return n < STEP_DIGITS || n > STEP_MAX_DIGITS || digits[n] ? -1 : strtoll(digits, NULL, 10);
}

lens_status checkpoint_path(str_t *out, const char *run_dir, const char *name) {
    str_clear(out);
    str_addf(out, "%s/checkpoints%s%s", run_dir, *name ? "/" : "", name);
    return str_status(out);
}

lens_status checkpoint_step_path(str_t *out, const char *run_dir, int64_t step) {
    char name[NAME_MAX_CHARS];
    step_name(name, step);
    return checkpoint_path(out, run_dir, name);
}

lens_status checkpoint_temporary_path(str_t *out, const char *run_dir, int64_t step) {
    LENS_TRY(checkpoint_step_path(out, run_dir, step));
    str_add(out, TEMPORARY);
    return str_status(out);
}

lens_status checkpoint_begin(const char *run_dir, int64_t step) {
    str_t path = {0};
    lens_status st = checkpoint_temporary_path(&path, run_dir, step);
    if (st == LENS_OK) st = dir_remove(path.s);
    if (st == LENS_OK) st = dir_make(path.s);
    str_free(&path);
    return st;
}

lens_status checkpoint_discard(const char *run_dir, int64_t step) {
    str_t path = {0};
    lens_status st = checkpoint_temporary_path(&path, run_dir, step);
    if (st == LENS_OK) st = dir_remove(path.s);
    str_free(&path);
    return st;
}

/* A new link under a temporary name, renamed over the old one. */
static lens_status point_latest(const char *run_dir, const char *name) {
    str_t link = {0}, temporary = {0};
    lens_status st = LENS_OK;
    LENS_GO(checkpoint_path(&link, run_dir, LATEST));
    LENS_GO(file_temporary_name(&temporary, link.s));
    if (unlink(temporary.s) != 0 && errno != ENOENT)
        LENS_GO(lens_fail(LENS_IO, "%s: cannot remove: %s", temporary.s, strerror(errno)));
    if (symlink(name, temporary.s) != 0 || rename(temporary.s, link.s) != 0)
        st = lens_fail(LENS_IO, "%s: cannot point to %s: %s", link.s, name, strerror(errno));
done:
    str_free(&link);
    str_free(&temporary);
    return st;
}

lens_status checkpoint_publish(const char *run_dir, int64_t step) {
    char name[NAME_MAX_CHARS];
    str_t path = {0}, temporary = {0};
    lens_status st = LENS_OK;
    step_name(name, step);
    LENS_GO(checkpoint_step_path(&path, run_dir, step));
    LENS_GO(checkpoint_temporary_path(&temporary, run_dir, step));
    LENS_GO(dir_remove(path.s)); /* a run that resumed from before this step writes it again */
    LENS_GO(file_publish(temporary.s, path.s));
    st = point_latest(run_dir, name);
done:
    str_free(&path);
    str_free(&temporary);
    return st;
}

/* Whether a name that prune finds goes: *n_kept counts those that may stay. */
static bool is_surplus(const char *name, int64_t newest, int64_t keep, int64_t *n_whole) {
    int64_t step = step_of(name);
    if (step < 0)
        return (str_starts_with(name, STEP_PREFIX) || str_starts_with(name, LATEST ".")) && strstr(name, ".tmp");
    return step > newest || (*n_whole)-- > keep;
}

lens_status checkpoint_prune(const char *run_dir, int64_t newest, int64_t keep) {
    str_t path = {0};
    char **names = NULL;
    int64_t n = 0, n_whole = 0;
    lens_status st = LENS_OK;
    LENS_GO(checkpoint_path(&path, run_dir, ""));
    LENS_GO(dir_list(&names, &n, path.s));
    for (int64_t i = 0; i < n; i++) n_whole += step_of(names[i]) >= 0 && step_of(names[i]) <= newest;
    for (int64_t i = 0; i < n; i++) { /* sorted: oldest first, as long as a step has 8 digits */
        if (!is_surplus(names[i], newest, keep, &n_whole)) continue;
        LENS_GO(checkpoint_path(&path, run_dir, names[i]));
        LENS_GO(dir_remove(path.s));
    }
done:
    dir_list_free(names, n);
    str_free(&path);
    return st;
}

static int newest_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

lens_status checkpoint_steps(int64_t **steps, int *n, const char *run_dir) {
    str_t path = {0};
    char **names = NULL;
    int64_t n_names = 0;
    *steps = NULL;
    *n = 0;
    lens_status st = checkpoint_path(&path, run_dir, "");
    if (st != LENS_OK || !file_is_dir(path.s)) goto done;
    LENS_GO(dir_list(&names, &n_names, path.s));
    *steps = calloc((size_t)n_names + 1, sizeof **steps);
    if (!*steps) LENS_GO(lens_fail(LENS_MEMORY, "%s: out of memory", path.s));
    for (int64_t i = 0; i < n_names; i++)
        if (step_of(names[i]) >= 0) (*steps)[(*n)++] = step_of(names[i]);
    qsort(*steps, (size_t)*n, sizeof **steps, newest_first);
done:
    dir_list_free(names, n_names);
    str_free(&path);
    return st;
}
