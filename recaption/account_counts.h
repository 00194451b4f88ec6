/* Counters of recaptioning as numbers and as JSON. */
#ifndef LENS_RECAPTION_ACCOUNT_COUNTS_H
#define LENS_RECAPTION_ACCOUNT_COUNTS_H

#include "recaption/captioner.h"
#include "recaption/quality.h"

typedef struct {
    int64_t n_wanted;   /* captions that were missing when the work began */
    int64_t n_recorded; /* tasks with their last answer */
    int64_t n_answers;  /* those turned down and asked again too */
    int64_t n_unbilled; /* answers without a count of tokens */
    int64_t tokens_in, tokens_out;
    double usd, seconds;
    int64_t by_kind[CAPTION_MAX_KINDS][QUALITY_N]; /* answers */
} account_counts_t;

void account_counts_add(account_counts_t *to, const account_counts_t *from);
/* Members of a JSON object, without braces. */
void account_counts_json(const account_counts_t *c, const caption_kind_t *kinds, int n_kinds, str_t *out);
/* A file of these. Kinds that are not asked for now are left out, their cost is not. FORMAT: damaged. */
LENS_CHECKED lens_status account_counts_read(account_counts_t *c, const char *path, const caption_kind_t *kinds,
                                             int n_kinds);

#endif
