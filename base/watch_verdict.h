/* Which ranks hang, judged from what each has last said of itself. A pure function, for base/comm_watchdog.c. */
#ifndef LENS_BASE_WATCH_VERDICT_H
#define LENS_BASE_WATCH_VERDICT_H

#include "base/str.h"

enum { WATCH_WHAT_BYTES = 48 };

/* Of itself, in seconds before it was sent: clocks of hosts differ. */
typedef struct {
    int64_t step;
    double beat_s;               /* since its last beat */
    double stand_s;              /* since it stands in a collective; negative: in none */
    char what[WATCH_WHAT_BYTES]; /* which */
    bool suspended, left;        /* left: watches and is watched no more */
} watch_report_t;

typedef struct {
    watch_report_t report;
    double silent_s; /* since the report came */
    const char *host;
} watch_rank_t;

/* Whether ranks hang, with one line about each in `lines` (appended, at most some; a newline between two).
 *
 * Somebody stands in a collective for limit_s, and there are ranks that are to blame: not heard of for most of that
 * time, or in no collective and without a beat for limit_s; or every rank stands in one for limit_s. No rank is
 * suspended, but for those that are silent. Or else a rank is silent for twice limit_s, whatever the others do. */
bool watch_judge(const watch_rank_t *ranks, int world, double limit_s, str_t *lines);
bool watch_is_silent(const watch_rank_t *r, double limit_s);

#endif
