#include "train/metrics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "train/tfevents.h"

struct metrics {
    FILE *stream;
    char *path;
    str_t line;
    tfevents_t *events;
};

/* ---- resuming ---- */

/* Whether the line is a JSON object with a step, which goes to *step. */
static bool parse_step(const char *line, size_t n, int64_t *step) {
    json_t *object = json_loadb(line, n, 0, NULL), *value = json_object_get(object, "step");
    bool ok = json_is_integer(value);
    *step = json_integer_value(value);
    json_decref(object);
    return ok;
}

/* Copies the lines to keep from `in` to `out`. */
static lens_status copy_lines(FILE *out, FILE *in, const char *path, int64_t first_step, int64_t *n_removed) {
    lens_status st = LENS_OK;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int64_t step;
    for (int64_t number = 1; (n = getline(&line, &cap, in)) > 0; number++) {
        if (line[n - 1] != '\n') {
            log_warn("%s:%lld: removed the last line, which was cut short", path, (long long)number);
            break;
        }
        if (!parse_step(line, (size_t)n, &step)) {
            st = lens_fail(LENS_FORMAT, "%s:%lld: no JSON object with a step", path, (long long)number);
            break;
        }
        if (step < first_step)
            fwrite(line, 1, (size_t)n, out); /* a short write shows at commit */
        else
            ++*n_removed;
    }
    if (st == LENS_OK && ferror(in)) st = lens_fail(LENS_IO, "%s: cannot read: %s", path, strerror(errno));
    free(line);
    return st;
}

static lens_status cut_back(const char *path, int64_t first_step) {
    lens_status st = LENS_OK;
    atomic_file_t *kept = NULL;
    int64_t n_removed = 0;
    FILE *in = fopen(path, "rbe");
    if (!in && errno == ENOENT) return LENS_OK;
    if (!in) return lens_fail(LENS_IO, "%s: cannot open: %s", path, strerror(errno));
    LENS_GO(atomic_file_open(&kept, path));
    LENS_GO(copy_lines(atomic_file_stream(kept), in, path, first_step, &n_removed));
    st = atomic_file_commit(kept);
    kept = NULL;
    if (st == LENS_OK && n_removed > 0)
        log_info("%s: removed %lld lines of steps from %lld on", path, (long long)n_removed, (long long)first_step);
done:
    atomic_file_abort(kept);
    fclose(in);
    return st;
}

lens_status metrics_open(metrics_t **out, const char *run_dir, int64_t first_step) {
    lens_status st;
    str_t path = {0};
    *out = NULL;
    LENS_TRY(dir_make(run_dir));
    metrics_t *m = calloc(1, sizeof(*m));
    if (!m) return lens_fail(LENS_MEMORY, "%s: metrics", run_dir);
    str_addf(&path, "%s/" METRICS_FILE, run_dir);
    m->path = path.s; /* moves, whole or not */
    LENS_GO(str_status(&path));
    LENS_GO(cut_back(m->path, first_step));
    if (!(m->stream = fopen(m->path, "abe"))) {
        st = lens_fail(LENS_IO, "%s: cannot open: %s", m->path, strerror(errno));
        goto done;
    }
    LENS_GO(tfevents_open(&m->events, run_dir, first_step));
done:
    if (st == LENS_OK) {
        *out = m;
    } else {
        metrics_close(m);
    }
    return st;
}

void metrics_close(metrics_t *m) {
    if (!m) return;
    tfevents_close(m->events);
    if (m->stream) fclose(m->stream);
    str_free(&m->line);
    free(m->path);
    free(m);
}

/* ---- writing ---- */

/* The shorter of the two forms that read back as the same number. */
static void add_number(str_t *line, double x) {
    char text[32];
    if (!isfinite(x)) {
        str_add(line, "null");
        return;
    }
    snprintf(text, sizeof(text), "%.15g", x);
    if (strtod(text, NULL) != x) snprintf(text, sizeof(text), "%.17g", x);
    str_add(line, text);
}

lens_status metrics_step(metrics_t *m, int64_t step, int n, const char *const *names, const double *values) {
    str_clear(&m->line);
    str_addf(&m->line, "{\"step\": %lld", (long long)step);
    for (int i = 0; i < n; i++) {
        str_add(&m->line, ", ");
        str_add_json(&m->line, names[i], strlen(names[i]));
        str_add(&m->line, ": ");
        add_number(&m->line, values[i]);
    }
    str_add(&m->line, "}\n");
    LENS_TRY(str_status(&m->line));
    if (fwrite(m->line.s, 1, m->line.len, m->stream) != m->line.len || fflush(m->stream) != 0)
        return lens_fail(LENS_IO, "%s: cannot write: %s", m->path, strerror(errno));
    return tfevents_scalars(m->events, step, n, names, values);
}

lens_status metrics_image(metrics_t *m, int64_t step, const char *tag, const void *png, size_t n_bytes, int32_t width,
                          int32_t height) {
    return tfevents_image(m->events, step, tag, png, n_bytes, width, height);
}

lens_status metrics_sync(metrics_t *m) {
    if (fsync(fileno(m->stream)) != 0 && errno != EINVAL)
        return lens_fail(LENS_IO, "%s: cannot sync: %s", m->path, strerror(errno));
    return tfevents_sync(m->events);
}
