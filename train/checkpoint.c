#include "train/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "model/safetensors.h"

#define STEP_PREFIX "step-"
#define LATEST "latest"
enum { STATE_MAX_BYTES = 1 << 16 };

/* Formats RUN/checkpoints/NAME. */
static lens_status place(str_t *out, const train_config_t *c, const char *name) {
    str_clear(out);
    str_addf(out, "%s/checkpoints%s%s", c->run.dir, *name ? "/" : "", name);
    return str_status(out);
}

static lens_status inside(str_t *out, const char *dir, const char *name) {
    str_clear(out);
    str_addf(out, "%s/%s", dir, name);
    return str_status(out);
}

bool checkpoint_exists(const train_config_t *c) {
    str_t path = {0};
    struct stat info; /* of the link: one that leads nowhere is damage for checkpoint_load to name, no fresh start */
    bool found = place(&path, c, LATEST) == LENS_OK && lstat(path.s, &info) == 0;
    str_free(&path);
    return found;
}

/* ---- moments ---- */

typedef struct {
    char text[PLAN_NAME_MAX + 2];
} moment_name_t;

/* Rows of the plan twice, "m." and "v.", over two host buffers. */
static lens_status write_moments(const char *path, const plan_t *p, const float *m, const float *v) {
    st_entry_t *entries = calloc((size_t)p->n * 2, sizeof *entries);
    moment_name_t *names = calloc((size_t)p->n * 2, sizeof *names);
    lens_status st = entries && names ? LENS_OK : lens_fail(LENS_MEMORY, "%s: out of memory", path);
    for (int i = 0; st == LENS_OK && i < 2 * p->n; i++) {
        const plan_row_t *row = &p->rows[i % p->n];
        snprintf(names[i].text, sizeof names[i].text, "%c.%s", i < p->n ? 'm' : 'v', row->name);
        entries[i] = (st_entry_t){
            names[i].text, ST_F32, row->n_dims, {0}, (i < p->n ? m : v) + row->offset_bytes / sizeof(float)};
        memcpy(entries[i].shape, row->shape, sizeof row->shape);
    }
    if (st == LENS_OK) st = safetensors_write(path, entries, 2 * p->n, NULL, 0);
    free(entries);
    free(names);
    return st;
}

static lens_status read_moment(const char *path, const plan_t *p, char which, float *out) {
    safetensors_t *f = NULL;
    lens_status st = safetensors_open(&f, path);
    for (int i = 0; st == LENS_OK && i < p->n; i++) {
        char name[PLAN_NAME_MAX + 2];
        snprintf(name, sizeof name, "%c.%s", which, p->rows[i].name);
        const st_tensor_t *t = safetensors_find(f, name);
        if (!t || t->n != p->rows[i].n)
            st = lens_fail(LENS_FORMAT, "%s: tensor %s is missing or not of %lld elements", path, name,
                           (long long)p->rows[i].n);
        else
            st = lens_context(safetensors_read_f32(t, out + p->rows[i].offset_bytes / sizeof(float)), "%s", path);
    }
    safetensors_close(f);
    return st;
}

/* ---- writing ---- */

static lens_status write_state(const char *dir, train_state_t *s, float *host, const checkpoint_position_t *at) {
    kernels_t *k = s->k;
    size_t bytes = sizeof(float) * (size_t)s->partition.n;
    str_t path = {0};
    char *text = NULL;
    float *v = malloc(bytes);
    lens_status st = v ? LENS_OK : lens_fail(LENS_MEMORY, "%s: out of memory", dir);
    if (st != LENS_OK) return st;
    LENS_GO(inside(&path, dir, "state"));
    LENS_GO(dir_make(path.s));
    k->download(k, host, s->m, bytes);
    k->download(k, v, s->v, bytes);
    LENS_GO(inside(&path, dir, "state/optimizer.safetensors"));
    LENS_GO(write_moments(path.s, &s->weights.plan, host, v));
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, at->data_hash);
    json_t *j = json_pack("{s:i, s:I, s:I, s:I, s:s, s:I, s:I, s:I}", "version", 1, "step", (json_int_t)at->step,
                          "seed", (json_int_t)at->seed, "n_samples", (json_int_t)at->n_samples, "data_hash", hash,
                          "n_updates", (json_int_t)at->n_updates, "n_skipped", (json_int_t)at->n_skipped, "n_images",
                          (json_int_t)at->n_images);
    text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    json_decref(j);
    if (!text) LENS_GO(lens_fail(LENS_MEMORY, "%s: out of memory", dir));
    LENS_GO(inside(&path, dir, "state/trainer.json"));
    st = file_write(path.s, text, strlen(text));
done:
    free(text);
    free(v);
    str_free(&path);
    return st;
}

static lens_status write_all(const char *dir, train_state_t *s, float *host, const train_config_t *c,
                             const pipeline_config_t *p, const checkpoint_position_t *at) {
    kernels_t *k = s->k;
    size_t bytes = sizeof(float) * (size_t)s->partition.n;
    str_t path = {0}, yaml = {0};
    lens_status st = LENS_OK;
    k->download(k, host, s->w, bytes);
    LENS_GO(pipeline_save(dir, p, &s->weights.plan, host));
    k->download(k, host, s->ema[0], bytes);
    LENS_GO(inside(&path, dir, "ema"));
    LENS_GO(dir_make(path.s));
    LENS_GO(pipeline_save(path.s, p, &s->weights.plan, host));
    LENS_GO(write_state(dir, s, host, at));
    options_write_yaml(&yaml, train_config_table(), c);
    LENS_GO(str_status(&yaml));
    LENS_GO(inside(&path, dir, "config.yaml"));
    st = file_write(path.s, yaml.s, yaml.len);
done:
    str_free(&path);
    str_free(&yaml);
    return st;
}

/* A new link under a temporary name, renamed over the old one: there is always a newest checkpoint. */
static lens_status point_latest(const train_config_t *c, const char *name) {
    str_t link = {0}, temporary = {0};
    lens_status st = LENS_OK;
    LENS_GO(place(&link, c, LATEST));
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

static bool is_checkpoint(const char *name) {
    return str_starts_with(name, STEP_PREFIX) && !strchr(name, '.'); /* not a temporary one */
}

/* Removes the oldest checkpoints beyond `keep`, temporary folders of runs that died, and checkpoints after `newest`: a
 * run that died before it pointed to them was resumed from an earlier one, and they would outlive what it writes. */
static lens_status prune(const train_config_t *c, const char *newest) {
    str_t path = {0};
    char **names = NULL;
    int64_t n = 0, n_found = 0;
    lens_status st = LENS_OK;
    LENS_GO(place(&path, c, ""));
    LENS_GO(dir_list(&names, &n, path.s));
    for (int64_t i = 0; i < n; i++) n_found += is_checkpoint(names[i]) && strcmp(names[i], newest) <= 0;
    for (int64_t i = 0; i < n; i++) {
        bool mine = is_checkpoint(names[i]) && strcmp(names[i], newest) <= 0;
        if (!str_starts_with(names[i], STEP_PREFIX) || (mine && n_found <= c->train.keep)) continue;
        n_found -= mine;
        LENS_GO(place(&path, c, names[i]));
        LENS_GO(dir_remove(path.s));
    }
done:
    dir_list_free(names, n);
    str_free(&path);
    return st;
}

static lens_status checkpoint_save(train_state_t *s, float *host, const train_config_t *c, const pipeline_config_t *p,
                                   const checkpoint_position_t *at) {
    char name[32];
    snprintf(name, sizeof name, STEP_PREFIX "%08lld", (long long)at->step);
    str_t path = {0}, temporary = {0};
    lens_status st = LENS_OK;
    LENS_GO(place(&path, c, name));
    LENS_GO(file_temporary_name(&temporary, path.s));
    LENS_GO(dir_remove(temporary.s));
    LENS_GO(dir_make(temporary.s));
    LENS_GO(write_all(temporary.s, s, host, c, p, at));
    LENS_GO(dir_remove(path.s)); /* a run that resumed from before this step writes it again */
    LENS_GO(file_publish(temporary.s, path.s));
    LENS_GO(point_latest(c, name));
    st = prune(c, name);
done:
    if (st != LENS_OK && temporary.len) {
        str_t message = {0};
        str_add(&message, lens_error());
        if (dir_remove(temporary.s) != LENS_OK) log_warn("%s", lens_error());
        st = lens_fail(st, "%s", str_text(&message));
        str_free(&message);
    }
    str_free(&path);
    str_free(&temporary);
    return st;
}

/* ---- reading ---- */

static lens_status same(const char *path, const json_t *j, const char *key, int64_t expected) {
    const json_t *value = json_object_get(j, key);
    if (!json_is_integer(value)) return lens_fail(LENS_FORMAT, "%s: %s: expected an integer", path, key);
    if (json_integer_value(value) != expected)
        return lens_fail(LENS_STATE, "%s: cannot resume: %s is %lld there, %lld here", path, key,
                         (long long)json_integer_value(value), (long long)expected);
    return LENS_OK;
}

static lens_status check_position(const char *path, const json_t *j, const checkpoint_position_t *expected,
                                  int64_t *step) {
    LENS_TRY(same(path, j, "version", 1));
    LENS_TRY(same(path, j, "seed", expected->seed));
    LENS_TRY(same(path, j, "n_samples", expected->n_samples));
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, expected->data_hash);
    const char *found = json_string_value(json_object_get(j, "data_hash"));
    if (!found || strcmp(found, hash) != 0)
        return lens_fail(
            LENS_STATE,
            "%s: cannot resume: other shards, or another value of one of data.* that decides what is trained "
            "on (hash %s there, %s here); take the values of the checkpoint's config.yaml, or another "
            "run.dir to start anew",
            path, found ? found : "missing", hash);
    const json_t *value = json_object_get(j, "step");
    if (!json_is_integer(value) || json_integer_value(value) < 1)
        return lens_fail(LENS_FORMAT, "%s: step: expected a positive integer", path);
    *step = json_integer_value(value);
    return LENS_OK;
}

static lens_status read_position(const char *dir, const checkpoint_position_t *expected, int64_t *step) {
    str_t path = {0};
    char *text = NULL;
    size_t n;
    json_error_t error;
    lens_status st = LENS_OK;
    LENS_GO(inside(&path, dir, "state/trainer.json"));
    LENS_GO(file_read(&text, &n, path.s, STATE_MAX_BYTES));
    json_t *j = json_loadb(text, n, 0, &error);
    st = j ? check_position(path.s, j, expected, step) : lens_fail(LENS_FORMAT, "%s: %s", path.s, error.text);
    json_decref(j);
done:
    free(text);
    str_free(&path);
    return st;
}

struct checkpointer {
    const train_config_t *c;
    const pipeline_config_t *p;
    comm_t *comm;
};
lens_status checkpointer_new(checkpointer_t **out, const train_config_t *c, const pipeline_config_t *p, comm_t *comm) {
    *out = malloc(sizeof **out);
    if (!*out) return lens_fail(LENS_MEMORY, "out of memory");
    **out = (checkpointer_t){c, p, comm};
    return LENS_OK;
}
lens_status checkpointer_start(checkpointer_t *ck, train_state_t *s, const checkpoint_position_t *at) {
    float *host = calloc((size_t)s->partition.n, sizeof *host);
    lens_status st = host ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory");
    if (st == LENS_OK && comm_rank(ck->comm) == 0) st = checkpoint_save(s, host, ck->c, ck->p, at);
    free(host);
    return st;
}
lens_status checkpointer_finish(checkpointer_t *ck) {
    (void)ck;
    return LENS_OK;
}
void checkpointer_free(checkpointer_t *ck) {
    free(ck);
}
lens_status checkpoint_load(checkpoint_position_t *at, train_state_t *s, const train_config_t *c,
                            const checkpoint_position_t *expected, comm_t *comm) {
    (void)comm;
    float *host = calloc((size_t)s->partition.n, sizeof *host);
    *at = *expected;
    int64_t *step = &at->step;
    kernels_t *k = s->k;
    const plan_t *p = &s->weights.plan;
    size_t bytes = sizeof(float) * (size_t)s->partition.n;
    str_t dir = {0}, path = {0};
    lens_status st = LENS_OK;
    LENS_GO(place(&dir, c, LATEST));
    LENS_GO(read_position(dir.s, expected, step));
    LENS_GO(pipeline_load_weights(host, p, dir.s));
    k->upload(k, s->w, host, bytes);
    LENS_GO(inside(&path, dir.s, "ema"));
    LENS_GO(pipeline_load_weights(host, p, path.s));
    k->upload(k, s->ema[0], host, bytes);
    LENS_GO(inside(&path, dir.s, "state/optimizer.safetensors"));
    LENS_GO(read_moment(path.s, p, 'm', host));
    k->upload(k, s->m, host, bytes);
    LENS_GO(read_moment(path.s, p, 'v', host));
    k->upload(k, s->v, host, bytes);
    at->n_updates = at->step;
    st = train_state_refresh(s);
done:
    free(host);
    str_free(&dir);
    str_free(&path);
    return st;
}
