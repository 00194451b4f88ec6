#include "data/source_expand.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"

#define EXPAND_MAX_DIGITS 18
#define EXPAND_MAX_WARNINGS 20

typedef struct {
    char **paths; /* owned */
    int64_t n;
    int64_t n_named;     /* paths that braces made so far, there or not */
    int64_t *n_missing;  /* the caller's, or NULL */
    const char *pattern; /* as it was given, for messages */
} expansion_t;

static lens_status add_path(expansion_t *e, const char *path) {
    if (e->n == SOURCE_EXPAND_MAX)
        return lens_fail(LENS_ARGUMENT, "%s: more than %d paths", e->pattern, SOURCE_EXPAND_MAX);
    if ((e->n & (e->n - 1)) == 0) {
        char **grown = realloc(e->paths, sizeof *grown * (size_t)(e->n ? 2 * e->n : 1));
        if (!grown) return lens_fail(LENS_MEMORY, "%s: out of memory at %" PRId64 " paths", e->pattern, e->n);
        e->paths = grown;
    }
    if (!(e->paths[e->n] = strdup(path)))
        return lens_fail(LENS_MEMORY, "%s: out of memory at %" PRId64 " paths", e->pattern, e->n);
    e->n++;
    return LENS_OK;
}

static lens_status add_missing(expansion_t *e, const char *path) {
    if (!e->n_missing && strcmp(path, e->pattern) == 0) return lens_fail(LENS_IO, "%s: no such file or folder", path);
    if (!e->n_missing) return lens_fail(LENS_IO, "%s: no such file or folder (named by %s)", path, e->pattern);
    if (++*e->n_missing <= EXPAND_MAX_WARNINGS) log_warn("%s: missing, left out (named by %s)", path, e->pattern);
    return LENS_OK;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static lens_status add_matches(expansion_t *e, const char *pattern) {
    glob_t found = {0};
    int code = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &found);
    lens_status st = LENS_OK;
    if (code == GLOB_NOMATCH)
        st = lens_fail(LENS_IO, "%s: matches no file", pattern);
    else if (code == GLOB_NOSPACE)
        st = lens_fail(LENS_MEMORY, "%s: out of memory", pattern);
    else if (code != 0)
        st = lens_fail(LENS_IO, "%s: a folder cannot be listed: %s", pattern, strerror(errno));
    if (st == LENS_OK) qsort(found.gl_pathv, found.gl_pathc, sizeof(char *), by_bytes); /* whatever the locale */
    for (size_t i = 0; i < found.gl_pathc && st == LENS_OK; i++) st = add_path(e, found.gl_pathv[i]);
    globfree(&found);
    return st;
}

/* ---- braces ---- */

/* The brace that closes the one at p; NULL: none does. */
static const char *closing_brace(const char *p) {
    int depth = 0;
    for (; *p; p++) {
        depth += *p == '{';
        depth -= *p == '}';
        if (depth == 0) return p;
    }
    return NULL;
}

static lens_status expand(expansion_t *e, const char *pattern);

/* Expands PREFIX + middle + what follows the brace. */
static lens_status expand_with(expansion_t *e, const char *prefix, size_t n_prefix, const char *middle, size_t n_middle,
                               const char *rest) {
    str_t path = {0};
    str_add_n(&path, prefix, n_prefix);
    str_add_n(&path, middle, n_middle);
    str_add(&path, rest);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = expand(e, path.s);
    str_free(&path);
    return st;
}

typedef struct {
    int64_t first, last;
    int width; /* digits at least */
} range_t;

/* "00000..00099": false where it is no range. */
static bool parse_range(range_t *out, const char *p, const char *end) {
    const char *dots = strstr(p, "..");
    size_t n_first = strspn(p, "0123456789");
    if (!dots || dots >= end || p + n_first != dots) return false;
    size_t n_last = strspn(dots + 2, "0123456789");
    if (dots + 2 + n_last != end || n_first == 0 || n_last == 0) return false;
    if (n_first > EXPAND_MAX_DIGITS || n_last > EXPAND_MAX_DIGITS) return false;
    bool padded = (n_first > 1 && *p == '0') || (n_last > 1 && dots[2] == '0');
    out->first = strtoll(p, NULL, 10);
    out->last = strtoll(dots + 2, NULL, 10);
    out->width = padded ? (int)(n_first > n_last ? n_first : n_last) : 1;
    return true;
}

static lens_status expand_range(expansion_t *e, const char *pattern, const char *open, const char *close, range_t r) {
    if (r.last < r.first) return lens_fail(LENS_ARGUMENT, "%s: a range that falls: expected {FIRST..LAST}", e->pattern);
    if (r.last - r.first >= SOURCE_EXPAND_MAX)
        return lens_fail(LENS_ARGUMENT, "%s: names more than %d paths", e->pattern, SOURCE_EXPAND_MAX);
    for (int64_t i = r.first; i <= r.last; i++) {
        char number[32];
        int n = snprintf(number, sizeof number, "%0*" PRId64, r.width, i);
        LENS_TRY(expand_with(e, pattern, (size_t)(open - pattern), number, (size_t)n, close + 1));
    }
    return LENS_OK;
}

static lens_status expand_alternatives(expansion_t *e, const char *pattern, const char *open, const char *close) {
    int depth = 0, n_parts = 0;
    const char *begin = open + 1;
    for (const char *p = begin; p <= close; p++) {
        if (*p == '{') depth++;
        if (*p == '}' && p < close) depth--;
        if (depth > 0 || (*p != ',' && p < close)) continue;
        if (p == close && n_parts == 0)
            return lens_fail(LENS_ARGUMENT, "%s: expected {00000..00099} or {a,b} at %s", e->pattern, open);
        n_parts++;
        LENS_TRY(expand_with(e, pattern, (size_t)(open - pattern), begin, (size_t)(p - begin), close + 1));
        begin = p + 1;
    }
    return LENS_OK;
}

static lens_status expand(expansion_t *e, const char *pattern) {
    if (++e->n_named > 2 * SOURCE_EXPAND_MAX) /* each brace of a path counts */
        return lens_fail(LENS_ARGUMENT, "%s: names more than %d paths", e->pattern, SOURCE_EXPAND_MAX);
    if (strcmp(pattern, "-") == 0 || file_exists(pattern)) return add_path(e, pattern);
    const char *open = strchr(pattern, '{');
    if (!open) return strpbrk(pattern, "*?[") ? add_matches(e, pattern) : add_missing(e, pattern);
    const char *close = closing_brace(open);
    if (!close) return lens_fail(LENS_ARGUMENT, "%s: a brace is not closed", e->pattern);
    range_t range;
    if (parse_range(&range, open + 1, close)) return expand_range(e, pattern, open, close, range);
    return expand_alternatives(e, pattern, open, close);
}

lens_status source_expand(char ***paths, int64_t *n, char *const *patterns, int n_patterns, int64_t *n_missing) {
    *paths = NULL;
    *n = 0;
    expansion_t e = {.n_missing = n_missing};
    for (int i = 0; i < n_patterns; i++) {
        e.pattern = patterns[i];
        e.n_named = 0;
        lens_status st = expand(&e, patterns[i]);
        if (st == LENS_OK) continue;
        dir_list_free(e.paths, e.n);
        return st;
    }
    *paths = e.paths;
    *n = e.n;
    return LENS_OK;
}
