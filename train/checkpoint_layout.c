#include "train/checkpoint_layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AVERAGE_PREFIX "ema."

bool checkpoint_field_is_average(const char *field) {
    return str_starts_with(field, AVERAGE_PREFIX);
}

bool checkpoint_field_folder(char out[CHECKPOINT_NAME_MAX], const char *field, bool first_ema) {
    out[0] = '\0';
    if (strcmp(field, "w") == 0) return true;
    if (!checkpoint_field_is_average(field)) return false;
    if (first_ema)
        snprintf(out, CHECKPOINT_NAME_MAX, "ema/");
    else
        snprintf(out, CHECKPOINT_NAME_MAX, "ema-%s/", field + strlen(AVERAGE_PREFIX));
    return true;
}

void checkpoint_file_name(char out[CHECKPOINT_NAME_MAX], const checkpoint_export_t *e, int file) {
    char name[WEIGHTS_NAME_MAX];
    weights_file_name(name, pipeline_part_stem(e->part), file, e->cut.n_files);
    snprintf(out, CHECKPOINT_NAME_MAX, "%s%s%s", e->folder, *e->folder ? "/" : "", name);
}

bool checkpoint_slice_parse(const char *name, size_t *length, int64_t *first) {
    const char *colon = strrchr(name, ':');
    char *end = NULL;
    if (!colon || colon[1] < '0' || colon[1] > '9') return false;
    errno = 0;
    *first = strtoll(colon + 1, &end, 10);
    *length = (size_t)(colon - name);
    return errno == 0 && *end == '\0';
}

/* ---- exports ---- */

static lens_status new_export(checkpoint_export_t *e, const plan_t *plan, uint64_t max_file_bytes) {
    size_t n = (size_t)plan->n + 1;
    e->row = calloc(n, sizeof *e->row);
    e->at = calloc(n, sizeof *e->at);
    e->entry = calloc(n, sizeof *e->entry);
    e->name = e->part == PIPELINE_ADAPTER ? calloc(n, sizeof *e->name) : NULL;
    if (!e->row || !e->at || !e->entry || (e->part == PIPELINE_ADAPTER && !e->name))
        return lens_fail(LENS_MEMORY, "out of memory for the files of a checkpoint");
    e->n = pipeline_part_rows(e->row, plan, e->part);
    for (int i = 0; i < e->n; i++) {
        e->entry[i] = pipeline_entry(&plan->rows[e->row[i]], NULL);
        if (!e->name) continue;
        snprintf(e->name[i], sizeof e->name[i], ADAPTER_PREFIX "%s", e->entry[i].name);
        e->entry[i].name = e->name[i];
    }
    return weights_cut_init(&e->cut, e->entry, e->n, max_file_bytes);
}

/* Values of the files that are this rank's wait one after the other. */
static void place_export(checkpoint_layout_t *l, checkpoint_export_t *e) {
    for (int file = 0; file < e->cut.n_files; file++) {
        bool mine = checkpoint_file_owner(l, e, file) == l->rank;
        for (int i = e->cut.first[file]; i < e->cut.first[file + 1]; i++) {
            e->at[i] = mine ? l->n_floats : -1;
            if (mine) l->n_floats += l->plan->rows[e->row[i]].n;
        }
    }
}

static lens_status add_exports(checkpoint_layout_t *l, int field, const char *folder, uint64_t max_file_bytes,
                               int *n_files) {
    for (int part = 0; part < PIPELINE_N_PARTS; part++) {
        checkpoint_export_t *e = &l->export[l->n_exports++];
        *e = (checkpoint_export_t){.field = field, .part = (pipeline_part)part, .first_file = *n_files};
        snprintf(e->folder, sizeof e->folder, "%s%s", folder, pipeline_part_folder(e->part));
        size_t length = strlen(e->folder);
        if (length && e->folder[length - 1] == '/') e->folder[length - 1] = '\0';
        LENS_TRY(new_export(e, l->plan, max_file_bytes));
        place_export(l, e);
        *n_files += e->cut.n_files;
    }
    return LENS_OK;
}

/* ---- slices ---- */

static void add_slices(checkpoint_layout_t *l, const partition_t *p, int field, const char *name) {
    for (int i = 0; i < p->n_slices; i++) {
        const partition_slice_t *slice = &p->slice[i];
        if (p->n_pieces == 1 && slice->group % l->world != l->rank) continue;
        checkpoint_slice_t *s = &l->slice[l->n_slices++];
        *s = (checkpoint_slice_t){.field = field, .slice = slice, .at = l->n_floats};
        snprintf(s->name, sizeof s->name, "%s.%s:%lld", name, slice->row->name, (long long)slice->row_first);
        l->n_floats += slice->n;
    }
}

lens_status checkpoint_layout_init(checkpoint_layout_t *out, const plan_t *plan, const partition_t *partition,
                                   int n_fields, const char *const *fields, int rank, int world,
                                   uint64_t max_file_bytes) {
    *out = (checkpoint_layout_t){.plan = plan, .rank = rank, .world = world};
    out->export = calloc((size_t)n_fields * PIPELINE_N_PARTS + 1, sizeof *out->export);
    out->slice = calloc((size_t)n_fields * (size_t)partition->n_slices + 1, sizeof *out->slice);
    lens_status st =
        out->export && out->slice ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for the files of a checkpoint");
    int n_files = 0, n_averages = 0;
    for (int f = 0; f < n_fields && st == LENS_OK; f++) {
        char folder[CHECKPOINT_NAME_MAX];
        n_averages += checkpoint_field_is_average(fields[f]);
        if (checkpoint_field_folder(folder, fields[f], n_averages == 1))
            st = add_exports(out, f, folder, max_file_bytes, &n_files);
        else
            add_slices(out, partition, f, fields[f]);
    }
    if (st != LENS_OK) checkpoint_layout_free(out);
    return st;
}

void checkpoint_layout_free(checkpoint_layout_t *l) {
    for (int i = 0; i < l->n_exports; i++) {
        checkpoint_export_t *e = &l->export[i];
        free(e->row);
        free(e->at);
        free(e->entry);
        free(e->name);
        weights_cut_free(&e->cut);
    }
    free(l->export);
    free(l->slice);
    *l = (checkpoint_layout_t){0};
}
