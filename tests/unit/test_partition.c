/* train/partition.h: every element of every tensor has one owner, in the order of own buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/partition.h"

enum { PARTS = 5, ROWS = 11 };

/* Parts of very different size, with rows that are no multiple of anything. */
static void make_plan(plan_t *p, int pieces) {
    static const int64_t rows[ROWS] = {1, 700, 33, 64, 4096, 5, 17, 3000, 2, 2, 1};
    static const int part[ROWS] = {0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4};
    *p = (plan_t){.group_align = partition_group_align(pieces)};
    for (int i = 0; i < ROWS; i++) {
        if (i == 0 || part[i] != part[i - 1]) plan_begin_group(p, part[i]);
        plan_add(p, NULL, PLAN_F32, i % 3 == 1 ? PLAN_PACKED : 0, PLAN_1D(rows[i]), "row.%d", i);
    }
    plan_end_groups(p);
    assert_int_equal(plan_status(p), LENS_OK);
}

static void check_slices(const partition_t *p, int *owners) {
    int64_t at = 0;
    for (int i = 0; i < p->n_slices; i++) {
        const partition_slice_t *s = &p->slice[i];
        const partition_group_t *g = &p->group[s->group];
        assert_true(s->n > 0 && s->row_first >= 0 && s->row_first + s->n <= s->row->n);
        assert_true(s->own_at >= at && s->own_at + s->n <= p->n_own);
        assert_int_equal(s->flat_at, (int64_t)(s->row->offset_bytes / sizeof(float)) + s->row_first);
        assert_int_equal(s->own_at - g->own_at, s->flat_at - g->own_first);
        assert_true(s->row->group >= g->first_part && s->row->group <= g->last_part);
        at = s->own_at + s->n;
        for (int64_t j = 0; j < s->n; j++) owners[s->flat_at + j]++;
    }
}

static void check_groups(const partition_t *p) {
    int64_t end = 0, own = 0, largest = 0, part = 0;
    for (int i = 0; i < p->n_groups; i++) {
        const partition_group_t *g = &p->group[i];
        assert_int_equal(g->first, end);
        assert_int_equal(g->own_at, own);
        assert_int_equal(g->own_n * p->n_pieces, g->n);
        assert_int_equal(g->own_n % PARTITION_ALIGN_FLOATS, 0);
        assert_int_equal(g->own_first, g->first + p->piece * g->own_n);
        assert_int_equal(g->first_part, part);
        for (int64_t j = g->first_part; j <= g->last_part; j++) assert_int_equal(partition_group_of_part(p, j), i);
        end += g->n;
        own += g->own_n;
        part = g->last_part + 1;
        if (g->n > largest) largest = g->n;
    }
    assert_true(end == p->n && own == p->n_own && largest == p->n_largest_group && part == PARTS);
}

static void every_element_has_one_owner(void **state) {
    (void)state;
    static const size_t group_bytes[] = {0, 1000, 20000, (size_t)1 << 30};
    for (int pieces = 1; pieces <= 7; pieces++)
        for (size_t b = 0; b < sizeof group_bytes / sizeof group_bytes[0]; b++) {
            plan_t plan;
            make_plan(&plan, pieces);
            int *owners = calloc((size_t)plan_n_floats(&plan), sizeof *owners);
            assert_non_null(owners);
            for (int piece = 0; piece < pieces; piece++) {
                partition_t p;
                assert_int_equal(partition_init(&p, &plan, pieces, piece, group_bytes[b]), LENS_OK);
                assert_int_equal(p.n, plan_n_floats(&plan));
                check_groups(&p);
                check_slices(&p, owners);
                if (group_bytes[b] == 0) assert_int_equal(p.n_groups, PARTS);
                if (group_bytes[b] > 100000) assert_int_equal(p.n_groups, 1);
                partition_free(&p);
            }
            for (int i = 0; i < ROWS; i++)
                for (int64_t j = 0; j < plan.rows[i].n; j++)
                    assert_int_equal(owners[plan.rows[i].offset_bytes / sizeof(float) + (size_t)j], 1);
            free(owners);
            plan_free(&plan);
        }
}

/* Alone, a rank's own buffers are laid out as the flat one. */
static void alone_owned_is_flat(void **state) {
    (void)state;
    plan_t plan;
    partition_t p;
    make_plan(&plan, 1);
    assert_int_equal(partition_init(&p, &plan, 1, 0, 5000), LENS_OK);
    assert_int_equal(p.n_own, p.n);
    assert_int_equal(p.n_slices, ROWS);
    for (int i = 0; i < p.n_slices; i++) assert_int_equal(p.slice[i].own_at, p.slice[i].flat_at);
    partition_free(&p);
    plan_free(&plan);
}

static void small_parts_are_merged(void **state) {
    (void)state;
    plan_t plan;
    partition_t p;
    make_plan(&plan, 2);
    assert_int_equal(partition_init(&p, &plan, 2, 1, sizeof(float) * 3000), LENS_OK);
    /* parts 0 and 1 together pass 3000, 2 and 3 do, the last has nobody left to join it */
    assert_int_equal(p.n_groups, 3);
    assert_true(p.group[0].last_part == 1 && p.group[1].last_part == 3 && p.group[2].last_part == 4);
    partition_free(&p);
    plan_free(&plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_element_has_one_owner),
        cmocka_unit_test(alone_owned_is_flat),
        cmocka_unit_test(small_parts_are_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
