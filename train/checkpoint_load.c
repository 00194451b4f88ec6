/* Reading a checkpoint: which one, whether it is whole, and every rank's slices out of whatever files hold them. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "model/safetensors_set.h"
#include "train/checkpoint.h"
#include "train/checkpoint_folder.h"
#include "train/checkpoint_layout.h"
#include "train/checkpoint_manifest.h"

/* ---- which one ---- */

/* The manifest on every rank, the files dealt to the ranks in turn. */
static lens_status check_own_share(const char *dir, int64_t step, int rank, int world) {
    checkpoint_manifest_t m;
    LENS_TRY(checkpoint_manifest_read(&m, dir));
    lens_status st = LENS_OK;
    if (m.step != step)
        st = lens_fail(LENS_FORMAT, "%s/" CHECKPOINT_MANIFEST_NAME ": of step %lld", dir, (long long)m.step);
    for (int i = rank; i < m.n && st == LENS_OK; i += world) st = checkpoint_manifest_check(&m, dir, i);
    checkpoint_manifest_free(&m);
    return st;
}

static bool is_torn(lens_status st) {
    return st == LENS_FORMAT || st == LENS_IO;
}

/* Collective. The newest of steps[n] whose files hold, to *dir. */
static lens_status find_whole(str_t *dir, const char *run_dir, const int64_t *steps, int n, comm_t *comm) {
    int rank = comm_rank(comm), world = comm_world(comm);
    for (int i = 0; i < n; i++) {
        lens_status st = checkpoint_step_path(dir, run_dir, steps[i]);
        if (st == LENS_OK) st = check_own_share(dir->s, steps[i], rank, world);
        st = comm_agree(comm, st, "checkpoint");
        if (!is_torn(st)) return st;
        if (rank == 0) log_warn("checkpoint of step %lld is skipped: %s", (long long)steps[i], lens_error());
    }
    return lens_fail(LENS_FORMAT, "%s: none of the %d checkpoints is whole", run_dir, n);
}

/* Rank 0's list: ranks that look at different times may see different folders. */
static lens_status share_steps(int64_t **steps, int *n, const char *run_dir, comm_t *comm) {
    lens_status st = LENS_OK;
    *steps = NULL;
    *n = 0;
    if (comm_rank(comm) == 0) st = checkpoint_steps(steps, n, run_dir);
    if (st == LENS_OK && comm_rank(comm) == 0 && *n == 0)
        st = lens_fail(LENS_STATE, "%s: holds no checkpoint", run_dir);
    LENS_TRY(comm_agree(comm, st, "checkpoint"));
    LENS_TRY(comm_broadcast(comm, n, sizeof *n, 0, "checkpoint"));
    if (comm_rank(comm) != 0) *steps = calloc((size_t)*n, sizeof **steps);
    LENS_TRY(comm_agree(comm, *steps ? LENS_OK : lens_fail(LENS_MEMORY, "%s: out of memory", run_dir), "checkpoint"));
    return comm_broadcast(comm, *steps, sizeof **steps * (size_t)*n, 0, "checkpoint");
}

/* ---- where values lie ---- */

/* Elements [first, first + n) of a tensor of a field, in a mapped file. */
typedef struct {
    const char *name; /* of the plan's row; length characters of it */
    size_t length;
    const st_tensor_t *tensor;
    int64_t first;
} piece_t;

typedef struct {
    safetensors_set_t **file;
    int n_files;
    piece_t *piece; /* [n] by name, then first; of one field at a time */
    int n, cap;
} pieces_t;

static void pieces_free(pieces_t *p) {
    for (int i = 0; i < p->n_files; i++) safetensors_set_close(p->file[i]);
    free(p->file);
    free(p->piece);
    *p = (pieces_t){0};
}

static int compare_pieces(const void *a, const void *b) {
    const piece_t *x = a, *y = b;
    int order = strncmp(x->name, y->name, x->length < y->length ? x->length : y->length);
    if (order == 0) order = (x->length > y->length) - (x->length < y->length);
    return order ? order : (x->first > y->first) - (x->first < y->first);
}

static lens_status add_piece(pieces_t *p, const piece_t *piece) {
    if (p->n == p->cap) {
        int cap = p->cap ? 2 * p->cap : 1024;
        piece_t *grown = realloc(p->piece, sizeof *grown * (size_t)cap);
        if (!grown) return lens_fail(LENS_MEMORY, "out of memory for %d tensors of a checkpoint", cap);
        p->piece = grown;
        p->cap = cap;
    }
    p->piece[p->n++] = *piece;
    return LENS_OK;
}

static lens_status open_file(pieces_t *p, safetensors_set_t **out, const char *dir, const char *name) {
    str_t path = {0};
    *out = NULL;
    safetensors_set_t **grown = realloc(p->file, sizeof(*grown) * (size_t)(p->n_files + 1));
    if (grown) p->file = grown;
    str_addf(&path, "%s%s%s", dir, *name ? "/" : "", name);
    lens_status st = grown ? str_status(&path) : lens_fail(LENS_MEMORY, "%s: out of memory", dir);
    if (st == LENS_OK) st = safetensors_set_open(out, path.s);
    if (st == LENS_OK) p->file[p->n_files++] = *out;
    str_free(&path);
    return st;
}

/* ---- exported fields: whole tensors ---- */

static bool plan_has_part(const plan_t *plan, pipeline_part part) {
    for (int i = 0; i < plan->n; i++)
        if (pipeline_part_of(plan->rows[i].name) == part) return true;
    return false;
}

/* In front of a row's name where a file leaves it out, and the reverse for an adapter: both are put right by lookup. */
static lens_status add_export(pieces_t *p, const plan_t *plan, const char *dir, const char *folder,
                              pipeline_part part) {
    safetensors_set_t *set;
    str_t name = {0};
    if (part == PIPELINE_ADAPTER)
        str_addf(&name, "%s%s.safetensors", folder, pipeline_part_stem(part));
    else
        str_addf(&name, "%s%s", folder, pipeline_part_folder(part));
    lens_status st = str_status(&name);
    if (st == LENS_OK) st = open_file(p, &set, dir, name.s);
    for (int i = 0; i < plan->n && st == LENS_OK; i++) {
        const plan_row_t *row = &plan->rows[i];
        if (pipeline_part_of(row->name) != part) continue;
        str_clear(&name);
        str_addf(&name, "%s%s", part == PIPELINE_ADAPTER ? ADAPTER_PREFIX : "", pipeline_name_in_file(row->name));
        st = str_status(&name);
        const st_tensor_t *t = st == LENS_OK ? safetensors_set_find(set, name.s) : NULL;
        if (t && (t->n_dims != row->n_dims || memcmp(t->shape, row->shape, sizeof *t->shape * (size_t)t->n_dims) != 0))
            st = lens_fail(LENS_FORMAT, "%s: tensor %s has not the model's shape", safetensors_set_path(set), name.s);
        if (t && st == LENS_OK) st = add_piece(p, &(piece_t){row->name, strlen(row->name), t, 0});
    }
    str_free(&name);
    return st;
}

static lens_status add_exports(pieces_t *p, const plan_t *plan, const char *dir, const char *folder) {
    for (int part = 0; part < PIPELINE_N_PARTS; part++)
        if (plan_has_part(plan, (pipeline_part)part)) LENS_TRY(add_export(p, plan, dir, folder, (pipeline_part)part));
    return LENS_OK;
}

/* ---- fields of state/: slices ---- */

static lens_status add_state_file(pieces_t *p, const char *dir, const char *name, const char *field) {
    safetensors_set_t *set;
    size_t length = strlen(field);
    LENS_TRY(open_file(p, &set, dir, name));
    for (int i = 0; i < safetensors_set_n(set); i++) {
        const st_tensor_t *t = safetensors_set_at(set, i);
        piece_t piece = {.tensor = t};
        if (strncmp(t->name, field, length) != 0 || t->name[length] != '.') continue;
        piece.name = t->name + length + 1;
        if (!checkpoint_slice_parse(piece.name, &piece.length, &piece.first))
            return lens_fail(LENS_FORMAT, "%s: tensor '%s': its name has no first element", safetensors_set_path(set),
                             t->name);
        LENS_TRY(add_piece(p, &piece));
    }
    return LENS_OK;
}

static lens_status add_state(pieces_t *p, const char *dir, const char *field) {
    checkpoint_manifest_t m;
    LENS_TRY(checkpoint_manifest_read(&m, dir));
    lens_status st = LENS_OK;
    for (int i = 0; i < m.n && st == LENS_OK; i++)
        if (str_starts_with(m.file[i].name, "state/rank-")) st = add_state_file(p, dir, m.file[i].name, field);
    checkpoint_manifest_free(&m);
    return st;
}

static lens_status open_field(pieces_t *p, const state_view_t *v, int field, const char *dir) {
    char folder[CHECKPOINT_NAME_MAX];
    bool first_ema = true;
    for (int i = 0; i < field; i++) first_ema = first_ema && !checkpoint_field_is_average(v->field[i].name);
    *p = (pieces_t){0};
    if (checkpoint_field_folder(folder, v->field[field].name, first_ema))
        LENS_TRY(add_exports(p, v->plan, dir, folder));
    else
        LENS_TRY(add_state(p, dir, v->field[field].name));
    qsort(p->piece, (size_t)p->n, sizeof *p->piece, compare_pieces);
    return LENS_OK;
}

/* ---- slices of this rank ---- */

/* Index of the first piece of the row, p->n where there is none. */
static int first_piece(const pieces_t *p, const char *row) {
    piece_t key = {.name = row, .length = strlen(row)};
    int low = 0, high = p->n;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (compare_pieces(&p->piece[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_of(const piece_t *piece, const char *row) {
    return strlen(row) == piece->length && strncmp(piece->name, row, piece->length) == 0;
}

/* Goes over the pieces that make up a slice; own NULL: only whether they do. */
static lens_status read_slice(const pieces_t *p, const partition_slice_t *s, const char *field, kernels_t *k,
                              float *own) {
    int64_t at = s->row_first, end = s->row_first + s->n;
    for (int i = first_piece(p, s->row->name); i < p->n && at < end && is_of(&p->piece[i], s->row->name); i++) {
        const piece_t *piece = &p->piece[i];
        int64_t piece_end;
        if (__builtin_add_overflow(piece->first, piece->tensor->n, &piece_end) || piece_end > s->row->n)
            return lens_fail(LENS_FORMAT, "tensor %s.%s: elements beyond its %lld", field, s->row->name,
                             (long long)s->row->n);
        if (piece->tensor->dtype != ST_F32)
            return lens_fail(LENS_FORMAT, "tensor %s.%s: expected F32, got %s", field, s->row->name,
                             st_dtype_name(piece->tensor->dtype));
        if (piece_end <= at) continue;
        if (piece->first > at) break;
        int64_t n = (piece_end < end ? piece_end : end) - at;
        if (own)
            k->upload(k, own + s->own_at + (at - s->row_first),
                      (const char *)piece->tensor->bytes + sizeof(float) * (size_t)(at - piece->first),
                      sizeof(float) * (size_t)n);
        at += n;
    }
    return at == end ? LENS_OK
                     : lens_fail(LENS_FORMAT, "tensor %s.%s: elements from %lld on are missing", field, s->row->name,
                                 (long long)at);
}

/* All slices of all fields; without `write` they are only looked for. */
static lens_status read_fields(const state_view_t *v, const char *dir, bool write) {
    for (int f = 0; f < v->n_fields; f++) {
        pieces_t p;
        lens_status st = open_field(&p, v, f, dir);
        for (int i = 0; i < v->partition->n_slices && st == LENS_OK; i++)
            st = lens_context(
                read_slice(&p, &v->partition->slice[i], v->field[f].name, v->k, write ? v->field[f].own : NULL), "%s",
                dir);
        if (write && st == LENS_OK) st = v->k->finish(v->k); /* before the files are unmapped */
        pieces_free(&p);
        LENS_TRY(st);
    }
    return LENS_OK;
}

lens_status checkpoint_load_view(checkpoint_position_t *at, const state_view_t *v, const char *run_dir,
                                 const checkpoint_position_t *expected, comm_t *comm) {
    str_t dir = {0};
    int64_t *steps = NULL;
    int n;
    checkpoint_position_t found;
    lens_status st = LENS_OK;
    LENS_GO(share_steps(&steps, &n, run_dir, comm));
    LENS_GO(find_whole(&dir, run_dir, steps, n, comm));
    LENS_GO(comm_agree(comm, checkpoint_position_read(&found, dir.s, expected, v), "checkpoint"));
    LENS_GO(comm_agree(comm, read_fields(v, dir.s, false), "checkpoint"));
    LENS_GO(comm_agree(comm, read_fields(v, dir.s, true), "checkpoint"));
    *at = found;
done:
    free(steps);
    str_free(&dir);
    return st;
}
