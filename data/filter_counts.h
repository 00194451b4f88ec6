/* How many samples a chain kept and dropped, and the table that shows it. Plain data; one thread each. */
#ifndef LENS_DATA_FILTER_COUNTS_H
#define LENS_DATA_FILTER_COUNTS_H

#include "data/filter_chain.h"

typedef struct {
    int64_t passed;
    int64_t dropped[FILTER_STAGES_MAX]; /* by stage */
    int64_t missing[FILTER_STAGES_MAX]; /* samples without the stage's score, kept or dropped */
} filter_counts_t;

/* A verdict that is not pending. What the caller's own stages (corrupt, near_duplicate) drop, it counts itself: a
 * near-duplicate with filter_counts_drop after its verdict was added as passed. */
void filter_counts_add(filter_counts_t *c, const filter_verdict_t *v);
void filter_counts_drop(filter_counts_t *c, int stage, bool was_passed);
int64_t filter_counts_total(const filter_counts_t *c); /* passed and dropped */

/* Appends a table for people: a line a stage with its limits, what it dropped, as a share of what reached it, what is
 * left. */
void filter_funnel_print(str_t *out, const filter_counts_t *c, const filter_chain_t *chain);

#endif
