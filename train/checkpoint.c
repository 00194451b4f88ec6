/* The driving thread's side of checkpoints: copies the state, starts the writing thread, waits for it. */
#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "train/checkpoint_folder.h"
#include "train/checkpoint_private.h"

lens_status checkpointer_new(checkpointer_t **out, const train_config_t *c, const pipeline_config_t *p, comm_t *comm) {
    *out = NULL;
    checkpointer_t *ck = calloc(1, sizeof *ck);
    if (!ck) return lens_fail(LENS_MEMORY, "%s: out of memory for checkpoints", c->run.dir);
    ck->c = c;
    ck->pipeline = *p;
    ck->comm = comm;
    options_write_yaml(&ck->yaml, train_config_table(), c);
    lens_status st = str_status(&ck->yaml);
    if (st == LENS_OK)
        *out = ck;
    else
        checkpointer_free(ck);
    return st;
}

/* ---- the last one ---- */

/* A failure is the checkpoint's, not the run's: rank 0 says so. */
static void warn_of_failure(const checkpointer_t *ck) {
    if (comm_rank(ck->comm) == 0)
        log_warn("no checkpoint of step %lld: %s; training goes on", (long long)ck->at.step, str_text(&ck->message));
}

/* Whether it has failed, and nobody was told yet. */
static bool wait_for_last(checkpointer_t *ck) {
    if (!ck->running) return false;
    pthread_join(ck->thread, NULL);
    ck->running = false;
    checkpoint_manifest_free(&ck->manifest);
    ck->n_failed += ck->last != LENS_OK;
    return ck->last != LENS_OK;
}

lens_status checkpointer_finish(checkpointer_t *ck) {
    wait_for_last(ck);
    return ck->last == LENS_OK
               ? LENS_OK
               : lens_fail(ck->last, "no checkpoint of step %lld: %s", (long long)ck->at.step, str_text(&ck->message));
}

int64_t checkpointer_n_failed(const checkpointer_t *ck) {
    return ck->n_failed;
}

void checkpointer_free(checkpointer_t *ck) {
    if (!ck) return;
    if (wait_for_last(ck)) warn_of_failure(ck);
    checkpoint_layout_free(&ck->layout);
    free(ck->staging);
    str_free(&ck->yaml);
    str_free(&ck->dir);
    str_free(&ck->message);
    free(ck);
}

/* ---- copying ---- */

/* Of a device that is slow to give memory back, or of a machine that has none left, the first checkpoint tells. */
static lens_status plan_staging(checkpointer_t *ck, const state_view_t *v) {
    const char **names = calloc((size_t)v->n_fields + 1, sizeof *names);
    if (!names) return lens_fail(LENS_MEMORY, "out of memory for the names of %d fields", v->n_fields);
    for (int i = 0; i < v->n_fields; i++) names[i] = v->field[i].name;
    lens_status st = checkpoint_layout_init(&ck->layout, v->plan, v->partition, v->n_fields, names, comm_rank(ck->comm),
                                            comm_world(ck->comm), WEIGHTS_FILE_MAX_BYTES);
    free(names);
    if (st != LENS_OK) return st;
    ck->staging = malloc(sizeof(float) * (size_t)(ck->layout.n_floats ? ck->layout.n_floats : 1));
    if (!ck->staging)
        return lens_fail(LENS_MEMORY, "out of memory for %.1f MiB of staging for checkpoints",
                         (double)ck->layout.n_floats * sizeof(float) / (1 << 20));
    ck->planned = true;
    return LENS_OK;
}

/* Values of one group of one field, f32 [group.n] on the device, to where this rank's files of them wait. */
static void copy_group(checkpointer_t *ck, const state_view_t *v, const checkpoint_export_t *e,
                       const partition_group_t *g, const float *values) {
    for (int i = 0; i < e->n; i++) {
        const plan_row_t *row = &v->plan->rows[e->row[i]];
        int64_t first = (int64_t)(row->offset_bytes / sizeof(float));
        if (e->at[i] < 0 || first < g->first || first >= g->first + g->n) continue;
        v->k->download(v->k, ck->staging + e->at[i], values + (first - g->first), sizeof(float) * (size_t)row->n);
    }
}

/* Collective: every rank takes part in every gathering, for whichever file it is. */
static lens_status copy_exports(checkpointer_t *ck, const state_view_t *v, int field) {
    for (int g = 0; g < v->partition->n_groups; g++) {
        const partition_group_t *group = &v->partition->group[g];
        const float *values;
        LENS_TRY(v->gather(v->context, &v->field[field], g, &values));
        for (int i = 0; i < ck->layout.n_exports; i++)
            if (ck->layout.export[i].field == field) copy_group(ck, v, &ck->layout.export[i], group, values);
    }
    return LENS_OK;
}

static bool is_exported(const checkpointer_t *ck, int field) {
    for (int i = 0; i < ck->layout.n_exports; i++)
        if (ck->layout.export[i].field == field) return true;
    return false;
}

static lens_status copy_state(checkpointer_t *ck, const state_view_t *v) {
    for (int i = 0; i < ck->layout.n_slices; i++) {
        const checkpoint_slice_t *s = &ck->layout.slice[i];
        v->k->download(v->k, ck->staging + s->at, v->field[s->field].own + s->slice->own_at,
                       sizeof(float) * (size_t)s->slice->n);
    }
    for (int f = 0; f < v->n_fields; f++)
        if (is_exported(ck, f)) LENS_TRY(copy_exports(ck, v, f));
    return v->k->finish(v->k);
}

/* ---- starting ---- */

/* Rank 0 makes the temporary folder; all learn whether there is one. */
static lens_status begin_folder(checkpointer_t *ck, bool *made) {
    int st = LENS_OK;
    if (comm_rank(ck->comm) == 0) st = (int)checkpoint_begin(ck->c->run.dir, ck->at.step);
    str_clear(&ck->message);
    if (st != LENS_OK) str_add(&ck->message, lens_error());
    LENS_TRY(comm_broadcast(ck->comm, &st, sizeof st, 0, "checkpoint"));
    ck->last = (lens_status)st;
    *made = st == LENS_OK;
    if (*made) return checkpoint_temporary_path(&ck->dir, ck->c->run.dir, ck->at.step);
    if (comm_rank(ck->comm) != 0) str_add(&ck->message, "rank 0 has no folder for it");
    ck->n_failed++;
    warn_of_failure(ck);
    return LENS_OK;
}

lens_status checkpointer_start_view(checkpointer_t *ck, const state_view_t *v, const checkpoint_position_t *at) {
    bool made;
    if (wait_for_last(ck)) warn_of_failure(ck);
    ck->at = *at;
    ck->view = *v;
    if (!ck->planned) LENS_TRY(comm_agree(ck->comm, plan_staging(ck, v), "checkpoint"));
    LENS_TRY(begin_folder(ck, &made));
    if (!made) return LENS_OK;
    LENS_TRY(copy_state(ck, v));
    if (pthread_create(&ck->thread, NULL, checkpoint_write_thread, ck) != 0)
        return lens_fail(LENS_MEMORY, "checkpoint of step %lld: cannot start a thread", (long long)at->step);
    ck->running = true;
    return LENS_OK;
}

lens_status checkpointer_staging_bytes(size_t *out, const plan_t *plan, const partition_t *partition, int n_fields,
                                       const char *const *fields, int rank, int world) {
    checkpoint_layout_t l;
    *out = 0;
    LENS_TRY(checkpoint_layout_init(&l, plan, partition, n_fields, fields, rank, world, WEIGHTS_FILE_MAX_BYTES));
    *out = sizeof(float) * (size_t)l.n_floats;
    checkpoint_layout_free(&l);
    return LENS_OK;
}

bool checkpoint_exists(const train_config_t *c) {
    int64_t *steps;
    int n;
    bool found = checkpoint_steps(&steps, &n, c->run.dir) != LENS_OK || n > 0; /* loading says what is wrong */
    free(steps);
    return found;
}
