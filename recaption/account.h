/* What recaptioning costs and how fast it goes: counted as answers come, kept over interruptions.
 *
 * Each rank keeps its counters in DIR/.recaption/account-RANK.json, written anew every 2 s and when it ends, and starts
 * from what is there: a run that goes on counts what was spent before, whatever the number of ranks was. Rank 0 writes
 * the sum to DIR/stats.json. When no shard is left, the ranks' files go and stats.json stays. A kill loses what was
 * counted in the last 2 s.
 *
 * A budget is what may be spent in all: each rank gets an equal part of what is left of it. A request is sent where
 * what was spent and what is in flight, this one included, stay below it. What is in flight is held to cost n m + 3
 * sqrt(n) s, with the mean m and the standard deviation s of an answer's cost so far (the sum of n independent answers
 * stays below that in all but one of 700 cases), and not less than n - 1 means and the dearest answer so far. Before
 * ACCOUNT_FEW answers are known, each is held to cost the guess of the options. Where it would not stay below, the
 * request waits for answers, so that what is in flight shrinks towards the end, and the run stops where one request
 * alone could exceed it. A server that does not report usage ends a run with a budget: what is spent would be unknown.
 * So is what a server bills for answers that are lost on their way. */
#ifndef LENS_RECAPTION_ACCOUNT_H
#define LENS_RECAPTION_ACCOUNT_H

#include "recaption/recaption.h"

enum { ACCOUNT_FEW = 16 };

typedef struct {
    const char *dir; /* the layers' */
    const caption_kind_t *kinds;
    int n_kinds; /* borrowed until account_free */
    captioner_t *captioner;
    int rank, world;
    double price_in_usd, price_out_usd; /* of 1 M tokens; 0: free */
    double budget_usd;                  /* 0: none */
    double guess_tokens_in, guess_tokens_out;
    int64_t n_wanted; /* captions that are missing, over all ranks */
} account_options_t;

typedef struct account account_t;
/* Reads what earlier runs left. FORMAT where that is damaged. *out is owned by the caller. Every rank opens before any
 * rank begins. */
LENS_CHECKED lens_status account_open(account_t **out, const account_options_t *o);
void account_free(account_t *a); /* NULL is allowed */
/* For recaption_options_t.watch; its context is the account. */
recaption_watch_t account_watch(account_t *a);
/* Why the budget has ended the run, one line; NULL where it has not. Borrowed. */
const char *account_verdict(const account_t *a);
/* "50USD", "49.50 usd", "50". ARGUMENT: another currency, no positive number. */
LENS_CHECKED lens_status account_parse_usd(double *usd, const char *text);

#endif
