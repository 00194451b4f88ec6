/* The writing thread of a rank. Every rank writes its files and tells rank 0, which publishes and answers. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "train/checkpoint_folder.h"
#include "train/checkpoint_private.h"

static const struct timespec nap = {.tv_nsec = 1000 * 1000};

static lens_status inside(str_t *out, const checkpointer_t *ck, const char *name) {
    str_clear(out);
    str_addf(out, "%s/%s", ck->dir.s, name);
    return str_status(out);
}

/* ---- this rank's files ---- */

/* DIR/NAME with its folder, then its line of the manifest. */
static lens_status write_tensors(checkpointer_t *ck, const char *name, const st_entry_t *entries, int n,
                                 const char *const (*meta)[2], int n_meta) {
    str_t path = {0};
    lens_status st = LENS_OK;
    const char *slash = strrchr(name, '/');
    LENS_GO(inside(&path, ck, name));
    if (slash) {
        path.s[path.len - strlen(slash)] = '\0';
        LENS_GO(dir_make(path.s));
        path.s[path.len - strlen(slash)] = '/';
    }
    LENS_GO(safetensors_write(path.s, entries, n, meta, n_meta));
    st = checkpoint_manifest_add(&ck->manifest, ck->dir.s, name);
done:
    str_free(&path);
    return st;
}

static lens_status write_exported(checkpointer_t *ck, const checkpoint_export_t *e, int file) {
    const char *meta[2][2] = {{"format", "pt"}, {ADAPTER_META_KEY, NULL}};
    int first = e->cut.first[file], n = e->cut.first[file + 1] - first, n_meta = 1;
    char name[CHECKPOINT_NAME_MAX];
    str_t adapter = {0};
    lens_status st = LENS_OK;
    st_entry_t *entries = calloc((size_t)n, sizeof *entries);
    if (!entries) return lens_fail(LENS_MEMORY, "%s: out of memory for %d tensors", ck->dir.s, n);
    for (int i = 0; i < n; i++) {
        entries[i] = e->entry[first + i];
        entries[i].bytes = ck->staging + e->at[first + i];
    }
    if (e->part == PIPELINE_ADAPTER) {
        const char *a = strstr(entries[0].name, ".lora_A"); /* [r, in], or B [out, r] */
        LENS_GO(adapter_meta(&adapter, entries[0].shape[a ? 0 : 1], ck->view.adapter_alpha));
        meta[n_meta++][1] = adapter.s;
    }
    checkpoint_file_name(name, e, file);
    st = write_tensors(ck, name, entries, n, meta, n_meta);
done:
    str_free(&adapter);
    free(entries);
    return st;
}

static lens_status write_state(checkpointer_t *ck) {
    const checkpoint_layout_t *l = &ck->layout;
    if (l->n_slices == 0) return LENS_OK;
    char name[CHECKPOINT_NAME_MAX];
    st_entry_t *entries = calloc((size_t)l->n_slices, sizeof *entries);
    if (!entries) return lens_fail(LENS_MEMORY, "%s: out of memory for %d tensors", ck->dir.s, l->n_slices);
    for (int i = 0; i < l->n_slices; i++) {
        const checkpoint_slice_t *s = &l->slice[i];
        entries[i] = (st_entry_t){s->name, ST_F32, 1, {s->slice->n}, ck->staging + s->at};
    }
    snprintf(name, sizeof name, "state/rank-%04d-of-%04d.safetensors", l->rank, l->world);
    lens_status st = write_tensors(ck, name, entries, l->n_slices, NULL, 0);
    free(entries);
    return st;
}

static lens_status write_own_files(checkpointer_t *ck) {
    const checkpoint_layout_t *l = &ck->layout;
    for (int i = 0; i < l->n_exports; i++)
        for (int file = 0; file < l->export[i].cut.n_files; file++)
            if (checkpoint_file_owner(l, &l->export[i], file) == l->rank)
                LENS_TRY(write_exported(ck, &l->export[i], file));
    return write_state(ck);
}

/* ---- rank 0: what stands once ---- */

static lens_status add_small(checkpointer_t *ck, const char *folder, const char *name) {
    char path[CHECKPOINT_NAME_MAX];
    snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
    return checkpoint_manifest_add(&ck->manifest, ck->dir.s, path);
}

/* Configuration files of the pipeline that an export's transformer belongs to. */
static lens_status write_pipeline(checkpointer_t *ck, const checkpoint_export_t *e) {
    static const char *const names[] = {"model_index.json", "transformer/config.json", "text_encoder/config.json"};
    const char *end = strrchr(e->folder, '/'); /* "transformer" or "ema/transformer" */
    char folder[CHECKPOINT_NAME_MAX];
    str_t path = {0};
    snprintf(folder, sizeof folder, "%.*s", end ? (int)(end - e->folder) : 0, e->folder);
    lens_status st = LENS_OK;
    LENS_GO(inside(&path, ck, folder));
    LENS_GO(pipeline_save_config(path.s, &ck->pipeline));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) LENS_GO(add_small(ck, folder, names[i]));
done:
    str_free(&path);
    return st;
}

static lens_status write_index(checkpointer_t *ck, const checkpoint_export_t *e) {
    char name[WEIGHTS_NAME_MAX];
    str_t path = {0};
    lens_status st = inside(&path, ck, e->folder);
    if (st == LENS_OK) st = weights_write_index(path.s, pipeline_part_stem(e->part), &e->cut, e->entry);
    snprintf(name, sizeof name, "%s.safetensors.index.json", pipeline_part_stem(e->part));
    if (st == LENS_OK) st = add_small(ck, e->folder, name);
    str_free(&path);
    return st;
}

static lens_status write_common_files(checkpointer_t *ck) {
    str_t path = {0};
    lens_status st = LENS_OK;
    LENS_GO(inside(&path, ck, "state"));
    LENS_GO(dir_make(path.s));
    for (int i = 0; i < ck->layout.n_exports; i++) {
        const checkpoint_export_t *e = &ck->layout.export[i];
        if (e->part == PIPELINE_TRANSFORMER && e->n > 0) LENS_GO(write_pipeline(ck, e));
        if (e->cut.n_files > 1) LENS_GO(write_index(ck, e));
    }
    LENS_GO(checkpoint_position_write(ck->dir.s, &ck->at, &ck->view, ck->layout.world));
    LENS_GO(checkpoint_manifest_add(&ck->manifest, ck->dir.s, CHECKPOINT_POSITION_NAME));
    LENS_GO(inside(&path, ck, "config.yaml"));
    LENS_GO(file_write(path.s, ck->yaml.s, ck->yaml.len));
    st = checkpoint_manifest_add(&ck->manifest, ck->dir.s, "config.yaml");
done:
    str_free(&path);
    return st;
}

static lens_status publish(checkpointer_t *ck) {
    ck->manifest.step = ck->at.step;
    LENS_TRY(checkpoint_manifest_write(&ck->manifest, ck->dir.s));
    LENS_TRY(checkpoint_publish(ck->c->run.dir, ck->at.step));
    if (checkpoint_prune(ck->c->run.dir, ck->at.step, ck->c->train.keep) != LENS_OK)
        log_warn("old checkpoints stay: %s", lens_error()); /* the new one stands */
    return LENS_OK;
}

/* ---- between ranks: a report is a manifest or {"error": message}, the answer {"error": message} or {} ---- */

static lens_status error_json(str_t *out, const char *message) {
    str_add(out, "{\"error\": ");
    str_add_json(out, message, strlen(message));
    str_add(out, "}");
    return str_status(out);
}

/* The error of a report or an answer: IO with its message; *j is read before. */
static lens_status error_of(const json_t *j) {
    const char *message = json_string_value(json_object_get(j, "error"));
    return message ? lens_fail(LENS_IO, "%s", message) : LENS_OK;
}

static lens_status take_report(checkpointer_t *ck, int from, const str_t *report) {
    checkpoint_manifest_t theirs;
    json_t *j = json_loadb(str_text(report), report->len, 0, NULL);
    lens_status st = error_of(j);
    json_decref(j);
    if (st != LENS_OK) return lens_context(st, "rank %d", from);
    LENS_TRY(checkpoint_manifest_from_json(&theirs, str_text(report), report->len, "report of a rank"));
    st = checkpoint_manifest_merge(&ck->manifest, &theirs);
    checkpoint_manifest_free(&theirs);
    return st;
}

/* All reports, whatever they say: no rank may still write when the folder is published or removed. */
static lens_status collect(checkpointer_t *ck, lens_status st, str_t *message) {
    str_t report = {0};
    for (int n = 1; n < ck->layout.world;) {
        int from;
        lens_status got = comm_receive(ck->comm, &from, &report);
        if (got == LENS_OK && from < 0) {
            nanosleep(&nap, NULL);
            continue;
        }
        if (got == LENS_OK) got = take_report(ck, from, &report);
        n++;
        if (got == LENS_OK || st != LENS_OK) continue;
        st = got;
        str_add(message, lens_error());
    }
    str_free(&report);
    return st;
}

static void answer_all(checkpointer_t *ck, lens_status st, const str_t *message) {
    str_t answer = {0};
    lens_status made = st == LENS_OK ? LENS_OK : error_json(&answer, str_text(message));
    if (st == LENS_OK) str_add(&answer, "{}");
    for (int rank = 1; rank < ck->layout.world; rank++)
        if (made != LENS_OK || comm_answer(ck->comm, rank, answer.s, answer.len) != LENS_OK)
            log_warn("rank %d did not hear of the checkpoint: %s", rank, lens_error());
    str_free(&answer);
}

static void keep_error(lens_status st, str_t *message) {
    if (st != LENS_OK && !message->len) str_add(message, lens_error());
}

static lens_status lead(checkpointer_t *ck) {
    str_t *message = &ck->message;
    lens_status st = write_common_files(ck);
    if (st == LENS_OK) st = write_own_files(ck);
    keep_error(st, message);
    st = collect(ck, st, message);
    if (st == LENS_OK) st = publish(ck);
    keep_error(st, message);
    if (st != LENS_OK && checkpoint_discard(ck->c->run.dir, ck->at.step) != LENS_OK) log_warn("%s", lens_error());
    answer_all(ck, st, message);
    return st;
}

static lens_status follow(checkpointer_t *ck) {
    str_t report = {0}, answer = {0};
    lens_status st = write_own_files(ck);
    if (st == LENS_OK) st = checkpoint_manifest_to_json(&report, &ck->manifest);
    if (st != LENS_OK) {
        str_clear(&report);
        st = error_json(&report, lens_error());
    }
    if (st == LENS_OK) st = comm_ask(ck->comm, report.s, report.len, &answer);
    json_t *j = json_loadb(str_text(&answer), answer.len, 0, NULL);
    if (st == LENS_OK) st = error_of(j);
    keep_error(st, &ck->message);
    json_decref(j);
    str_free(&report);
    str_free(&answer);
    return st;
}

void *checkpoint_write_thread(void *checkpointer) {
    checkpointer_t *ck = checkpointer;
    str_clear(&ck->message);
    ck->last = ck->layout.rank == 0 ? lead(ck) : follow(ck);
    return NULL;
}
