#include "train/muon.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NEWTON_SCHULZ_STEPS = 5 };

typedef struct {
    ticket_t gathered; /* of the updates */
    int group;         /* -1: none */
} begun_t;

struct muon {
    kernels_t *k;
    collectives_t *coll;
    const partition_t *partition;
    bool *has_matrices; /* [n_groups] */
    int64_t turn;       /* groups begun so far: they take turns in updates[] */
    begun_t begun[MUON_MAX_BEGUN];
    plan_t plan;
    void *buffer; /* device */
    /* act: u of a group, [n_largest_group]; of one matrix [R, C], with S = min(R, C): two, s [S, S], s^2; f32 s */
    void *updates[MUON_MAX_BEGUN], *x, *y, *s, *s2, *s_f32;
};

/* ---- which tensors ---- */

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

int64_t muon_n_matrices(const plan_row_t *row) {
    if (row->n_dims != 2 || !str_starts_with(row->name, "transformer_blocks.") || strstr(row->name, ".lora_")) return 0;
    if (ends_with(row->name, "_qkv.weight")) return 3;
    if (ends_with(row->name, "_mod.1.weight")) return 6;
    return 1;
}

static int64_t rows_of_matrix(const plan_row_t *row) {
    return row->shape[0] / muon_n_matrices(row);
}

static bool group_has(const partition_group_t *g, const plan_row_t *row) {
    int64_t at = (int64_t)(row->offset_bytes / sizeof(float));
    return at >= g->first && at < g->first + g->n;
}

static bool has_matrices(const plan_t *weights, const partition_group_t *g) {
    for (int i = 0; i < weights->n; i++)
        if (group_has(g, &weights->rows[i]) && muon_n_matrices(&weights->rows[i]) > 0) return true;
    return false;
}

/* ---- scratch ---- */

static int64_t max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Rows for the largest group and the largest matrices of any rank, so that all ranks need the same. */
static lens_status plan_scratch(muon_t *u, plan_t *out, const plan_t *weights, const partition_t *p) {
    int64_t group = 0, matrix = 0, side = 0;
    for (int i = 0; i < p->n_groups; i++)
        if (has_matrices(weights, &p->group[i])) group = max64(group, p->group[i].n);
    for (int i = 0; i < weights->n; i++) {
        const plan_row_t *row = &weights->rows[i];
        if (muon_n_matrices(row) == 0) continue;
        matrix = max64(matrix, rows_of_matrix(row) * row->shape[1]);
        side = max64(side, min64(rows_of_matrix(row), row->shape[1]));
    }
    plan_add(out, &u->updates[0], PLAN_ACT, 0, PLAN_1D(group), "muon.updates.0");
    if (p->n_pieces > 1) plan_add(out, &u->updates[1], PLAN_ACT, 0, PLAN_1D(group), "muon.updates.1");
    plan_add(out, &u->x, PLAN_ACT, 0, PLAN_1D(matrix), "muon.x");
    plan_add(out, &u->y, PLAN_ACT, 0, PLAN_1D(matrix), "muon.y");
    plan_add(out, &u->s, PLAN_ACT, 0, PLAN_2D(side, side), "muon.s");
    plan_add(out, &u->s2, PLAN_ACT, 0, PLAN_2D(side, side), "muon.s2");
    plan_add(out, &u->s_f32, PLAN_F32, 0, PLAN_2D(side, side), "muon.s_f32");
    return plan_status(out);
}

lens_status muon_plan_scratch(plan_t *out, const plan_t *weights, const partition_t *p, size_t act_bytes) {
    muon_t unbound;
    *out = (plan_t){.act_bytes = act_bytes};
    lens_status st = plan_scratch(&unbound, out, weights, p);
    for (int i = 0; i < out->n; i++) out->rows[i].slot = NULL;
    return st;
}

lens_status muon_new(muon_t **out, kernels_t *k, collectives_t *coll, const plan_t *weights, const partition_t *p) {
    *out = NULL;
    LENS_ASSERT(p->n_pieces == 1 || p->n_pieces == coll->world, "%d pieces, %d ranks", p->n_pieces, coll->world);
    muon_t *u = calloc(1, sizeof *u);
    if (!u) return lens_fail(LENS_MEMORY, "out of memory for Muon");
    *u = (muon_t){.k = k, .coll = coll, .partition = p, .plan = {.act_bytes = k->act_bytes}};
    for (int i = 0; i < MUON_MAX_BEGUN; i++) u->begun[i].group = -1;
    lens_status st = LENS_OK;
    u->has_matrices = calloc((size_t)p->n_groups, sizeof *u->has_matrices);
    if (!u->has_matrices) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for Muon"));
    for (int i = 0; i < p->n_groups; i++) u->has_matrices[i] = has_matrices(weights, &p->group[i]);
    LENS_GO(plan_scratch(u, &u->plan, weights, p));
    LENS_GO(k->alloc(k, &u->buffer, u->plan.bytes, "Muon's scratch"));
    plan_bind(&u->plan, u->buffer);
    if (p->n_pieces == 1) u->updates[1] = u->updates[0]; /* nothing is gathered: ended before the next one begins */
    *out = u;
done:
    if (st != LENS_OK) muon_free(u);
    return st;
}

void muon_free(muon_t *u) {
    if (!u) return;
    u->k->free(u->k, u->buffer);
    plan_free(&u->plan);
    free(u->has_matrices);
    free(u);
}

/* ---- the first half: momentum, and AdamW's rows ---- */

static act_t *act_at(const muon_t *u, const act_t *acts, int64_t i) {
    return (char *)acts + (size_t)i * u->k->act_bytes;
}

/* Slices [first, return value) of one group that take one step together: padding between them is zero and stays so. */
static int end_of_run(const partition_t *p, int first) {
    const partition_slice_t *a = &p->slice[first];
    int end = first + 1;
    for (; end < p->n_slices && p->slice[end].group == a->group; end++) {
        const plan_row_t *row = p->slice[end].row;
        if ((muon_n_matrices(row) > 0) != (muon_n_matrices(a->row) > 0)) break;
        if ((row->flags & PLAN_NO_DECAY) != (a->row->flags & PLAN_NO_DECAY)) break;
    }
    return end;
}

static void begin_run(muon_t *u, const partition_group_t *group, int first, int end, const muon_piece_t *piece,
                      const adamw_t *o) {
    kernels_t *k = u->k;
    const partition_slice_t *a = &u->partition->slice[first], *z = &u->partition->slice[end - 1];
    int64_t at = a->own_at - group->own_at, n = z->own_at + z->n - a->own_at;
    if (muon_n_matrices(a->row) > 0) {
        k->nesterov(k, act_at(u, u->updates[u->turn % MUON_MAX_BEGUN], a->flat_at - group->first), piece->m + at,
                    piece->g + at, piece->gate, MUON_MOMENTUM, n);
        return;
    }
    adamw_t mine = *o;
    if (a->row->flags & PLAN_NO_DECAY) mine.weight_decay = 0;
    k->adamw(k, piece->master + at, act_at(u, piece->acts, at), piece->m + at, piece->v + at, piece->g + at,
             piece->gate, n, &mine);
}

static int first_slice(const partition_t *p, int group) {
    int i = 0;
    while (i < p->n_slices && p->slice[i].group < group) i++;
    return i;
}

void muon_begin_group(muon_t *u, int group, const muon_piece_t *piece, const adamw_t *o) {
    const partition_t *p = u->partition;
    const partition_group_t *g = &p->group[group];
    begun_t *begun = &u->begun[u->turn % MUON_MAX_BEGUN];
    LENS_ASSERT(begun->group < 0 && (p->n_pieces > 1 || u->begun[(u->turn + 1) % MUON_MAX_BEGUN].group < 0),
                "group %d begins, %d is not ended", group, begun->group);
    *begun = (begun_t){.group = group};
    for (int i = first_slice(p, group); i < p->n_slices && p->slice[i].group == group;) {
        int end = end_of_run(p, i);
        begin_run(u, g, i, end, piece, o);
        i = end;
    }
    if (p->n_pieces > 1 && u->has_matrices[group])
        begun->gathered = u->coll->all_gather(u->coll, u->updates[u->turn % MUON_MAX_BEGUN],
                                              (size_t)g->n * u->k->act_bytes, "Muon's updates");
    u->turn++;
}

/* ---- the second half: orthogonal matrices ---- */

/* s = x x^T where the matrix is wide, x^T x where it is tall: the smaller of the two. */
static void gram(muon_t *u, const act_t *x, int64_t R, int64_t C) {
    kernels_t *k = u->k;
    if (R <= C) {
        k->linear_fwd(k, u->s, x, x, NULL, R, R, C);
        return;
    }
    k->zero(k, u->s_f32, sizeof(float) * (size_t)(C * C));
    k->linear_bwd_w(k, u->s_f32, NULL, x, x, R, C, C);
    k->to_act(k, u->s, u->s_f32, C * C);
}

/* x = (a I + b s + c s^2) x, or from the right where the matrix is tall: a singular value v becomes a v + b v^3 +
 * c v^5. The coefficients are Jordan's: steepest at 0 for what stays near 1. */
static void newton_schulz(muon_t *u, int64_t R, int64_t C) {
    kernels_t *k = u->k;
    int64_t S = min64(R, C);
    gram(u, u->x, R, C);
    k->linear_fwd(k, u->s2, u->s, u->s, NULL, S, S, S);
    k->polynomial(k, u->s2, u->s, 3.4445f, -4.7750f, 2.0315f, S);
    if (R <= C)
        k->linear_bwd_x(k, u->y, u->s2, u->x, R, R, C); /* s2 x */
    else
        k->linear_fwd(k, u->y, u->x, u->s2, NULL, R, C, C); /* x s2, which is symmetric */
    act_t *x = u->x;
    u->x = u->y;
    u->y = x;
}

/* The matrices of one tensor that the slice has a part in. */
static void end_slice(muon_t *u, const act_t *updates, const partition_slice_t *slice, const muon_piece_t *piece,
                      const adamw_t *o) {
    kernels_t *k = u->k;
    const partition_group_t *g = &u->partition->group[slice->group];
    int64_t R = rows_of_matrix(slice->row), C = slice->row->shape[1], end = slice->row_first + slice->n;
    float step = o->lr * 0.2f * sqrtf((float)max64(R, C));
    float keep = slice->row->flags & PLAN_NO_DECAY ? 1.0f : 1.0f - o->lr * o->weight_decay;
    for (int64_t at = slice->row_first / (R * C) * (R * C); at < end; at += R * C) { /* of the tensor */
        k->normalize(k, u->x, act_at(u, updates, slice->flat_at - slice->row_first + at - g->first), R * C);
        for (int i = 0; i < NEWTON_SCHULZ_STEPS; i++) newton_schulz(u, R, C);
        int64_t from = max64(at, slice->row_first), n = min64(at + R * C, end) - from;
        int64_t own = slice->own_at - g->own_at + from - slice->row_first;
        k->decay_step(k, piece->master + own, act_at(u, piece->acts, own), act_at(u, u->x, from - at), piece->gate,
                      keep, step, n);
    }
}

/* The group that was begun first: two take turns, so it is the one whose turn is next. */
static int turn_of_oldest(const muon_t *u) {
    int next = (int)(u->turn % MUON_MAX_BEGUN);
    return u->begun[next].group >= 0 ? next : (next + 1) % MUON_MAX_BEGUN;
}

void muon_end_group(muon_t *u, int group, const muon_piece_t *piece, const adamw_t *o) {
    const partition_t *p = u->partition;
    int turn = turn_of_oldest(u);
    begun_t *begun = &u->begun[turn];
    LENS_ASSERT(begun->group == group, "group %d ends, %d is begun", group, begun->group);
    if (p->n_pieces > 1 && u->has_matrices[group]) u->coll->wait(u->coll, begun->gathered);
    for (int i = first_slice(p, group); i < p->n_slices && p->slice[i].group == group; i++)
        if (muon_n_matrices(p->slice[i].row) > 0) end_slice(u, u->updates[turn], &p->slice[i], piece, o);
    begun->group = -1;
}
