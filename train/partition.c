#include "train/partition.h"

#include <stdlib.h>

size_t partition_group_align(int n_pieces) {
    return sizeof(float) * PARTITION_ALIGN_FLOATS * (size_t)n_pieces;
}

/* Groups as runs of rows, without pieces yet. Every part of the plan begins at a multiple of the alignment. */
static void find_groups(partition_t *p, const plan_t *plan, size_t min_group_bytes) {
    for (int i = 0; i < plan->n; i++) {
        const plan_row_t *row = &plan->rows[i];
        int64_t at = (int64_t)(row->offset_bytes / sizeof(float));
        partition_group_t *g = p->n_groups ? &p->group[p->n_groups - 1] : NULL;
        bool same_part = g && g->last_part == row->group;
        bool small = g && sizeof(float) * (size_t)(at - g->first) < min_group_bytes;
        if (same_part || small)
            g->last_part = row->group;
        else
            p->group[p->n_groups++] =
                (partition_group_t){.first = at, .first_part = row->group, .last_part = row->group};
    }
}

static void cut_pieces(partition_t *p) {
    for (int i = 0; i < p->n_groups; i++) {
        partition_group_t *g = &p->group[i];
        int64_t end = i + 1 < p->n_groups ? p->group[i + 1].first : p->n;
        g->n = end - g->first;
        LENS_ASSERT(g->n % (p->n_pieces * PARTITION_ALIGN_FLOATS) == 0, "group of %lld floats, %d pieces",
                    (long long)g->n, p->n_pieces);
        g->own_n = g->n / p->n_pieces;
        g->own_first = g->first + p->piece * g->own_n;
        g->own_at = p->n_own;
        p->n_own += g->own_n;
        if (g->n > p->n_largest_group) p->n_largest_group = g->n;
    }
}

static int64_t max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Rows and groups both ascend: a row lies in one group, and where it meets the own piece it is a slice. */
static void find_slices(partition_t *p, const plan_t *plan) {
    int group = 0;
    for (int i = 0; i < plan->n; i++) {
        const plan_row_t *row = &plan->rows[i];
        int64_t at = (int64_t)(row->offset_bytes / sizeof(float));
        while (at >= p->group[group].first + p->group[group].n) group++;
        const partition_group_t *g = &p->group[group];
        int64_t first = max64(at, g->own_first), end = min64(at + row->n, g->own_first + g->own_n);
        if (first >= end) continue;
        p->slice[p->n_slices++] = (partition_slice_t){.row = row,
                                                      .row_first = first - at,
                                                      .n = end - first,
                                                      .flat_at = first,
                                                      .own_at = g->own_at + first - g->own_first,
                                                      .group = group};
    }
}

lens_status partition_init(partition_t *out, const plan_t *plan, int n_pieces, int piece, size_t min_group_bytes) {
    *out = (partition_t){.n_pieces = n_pieces, .piece = piece, .n = plan_n_floats(plan)};
    LENS_ASSERT(plan->group_align == partition_group_align(n_pieces), "group_align %zu, %d pieces", plan->group_align,
                n_pieces);
    out->group = calloc((size_t)plan->n, sizeof *out->group);
    out->slice = calloc((size_t)plan->n, sizeof *out->slice);
    if (!out->group || !out->slice) {
        partition_free(out);
        return lens_fail(LENS_MEMORY, "out of memory for the partition of %d tensors", plan->n);
    }
    find_groups(out, plan, min_group_bytes);
    cut_pieces(out);
    find_slices(out, plan);
    return LENS_OK;
}

void partition_free(partition_t *p) {
    free(p->group);
    free(p->slice);
    *p = (partition_t){0};
}

int partition_group_of_part(const partition_t *p, int64_t part) {
    int i = 0;
    while (i + 1 < p->n_groups && p->group[i].last_part < part) i++;
    return i;
}
