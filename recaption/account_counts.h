/* Counters of recaptioning as numbers and as JSON. */
#ifndef LENS_RECAPTION_ACCOUNT_COUNTS_H
#define LENS_RECAPTION_ACCOUNT_COUNTS_H

#include <jansson.h>

#include "recaption/captioner.h"
#include "recaption/quality.h"

typedef struct {
    int64_t n_wanted;   /* captions that were missing when the work began */
    int64_t n_recorded; /* tasks with their last answer */
    int64_t n_answers;  /* those turned down and asked again too */
    int64_t n_unbilled; /* answers without a count of tokens */
    int64_t n_ended;    /* ranks that the budget has stopped in the last run */
    int64_t tokens_in, tokens_out;
    double usd, seconds;
    int64_t by_kind[CAPTION_MAX_KINDS][QUALITY_N]; /* answers */
} account_counts_t;

void account_counts_add(account_counts_t *to, const account_counts_t *from);
/* Members of a JSON object, without braces. */
void account_counts_json(const account_counts_t *c, const caption_kind_t *kinds, int n_kinds, str_t *out);
/* The n bytes of a file of these, which `path` names. Kinds that are not asked for now are left out, their cost is not.
 * With *root, the parsed file is given to the caller, who decrefs it; NULL is allowed. FORMAT: damaged. */
LENS_CHECKED lens_status account_counts_parse(account_counts_t *c, json_t **root, const char *bytes, size_t n,
                                              const char *path, const caption_kind_t *kinds, int n_kinds);
LENS_CHECKED lens_status account_counts_read(account_counts_t *c, json_t **root, const char *path,
                                             const caption_kind_t *kinds, int n_kinds);

/* A member that is a number, not negative, and small enough for sums over 2^17 ranks. False: it is not. */
bool account_read_count(const json_t *object, const char *name, int64_t *out);
bool account_read_amount(const json_t *object, const char *name, double *out);

#endif
