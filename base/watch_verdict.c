#include "base/watch_verdict.h"

enum { LINES_MAX = 4 };

bool watch_is_silent(const watch_rank_t *r, double limit_s) {
    return !r->report.left && r->silent_s > 0.75 * limit_s;
}

static bool stands(const watch_rank_t *r) {
    return r->report.stand_s >= 0;
}

static bool is_to_blame(const watch_rank_t *r, double limit_s) {
    if (r->report.left) return false;
    return watch_is_silent(r, limit_s) || (!stands(r) && r->report.beat_s + r->silent_s > limit_s);
}

/* Of those that are heard: the one that stands longest, for limit_s at least; -1: none, or one is suspended. */
static int find_waiting(const watch_rank_t *ranks, int world, double limit_s) {
    int longest = -1;
    for (int i = 0; i < world; i++) {
        const watch_rank_t *r = &ranks[i];
        if (watch_is_silent(r, limit_s)) continue;
        if (r->report.suspended) return -1;
        if (r->report.stand_s > limit_s && (longest < 0 || r->report.stand_s > ranks[longest].report.stand_s))
            longest = i;
    }
    return longest;
}

static void add_separator(str_t *lines) {
    if (lines->len > 0) str_add(lines, "\n");
}

static void blame(str_t *lines, const watch_rank_t *ranks, int i, int waiting, int64_t reached, double limit_s) {
    const watch_rank_t *r = &ranks[i], *w = &ranks[waiting];
    add_separator(lines);
    str_addf(lines, "rank %d (host %s) ", i, r->host);
    if (r->report.step < reached)
        str_addf(lines, "has not reached step %lld for %.0f s: ", (long long)reached, w->report.stand_s);
    else
        str_addf(lines, "stopped in step %lld: ", (long long)reached);
    if (watch_is_silent(r, limit_s))
        str_addf(lines, "it was last heard of %.0f s ago, in step %lld", r->silent_s, (long long)r->report.step);
    else
        str_addf(lines, "it is in step %lld, in no collective, without progress for %.0f s", (long long)r->report.step,
                 r->report.beat_s + r->silent_s);
    str_addf(lines, "; rank %d (host %s) waits for it in \"%s\" of step %lld", waiting, w->host, w->report.what,
             (long long)w->report.step);
}

/* All that are still watched, and there are some. */
static bool all_stand(const watch_rank_t *ranks, int world, double limit_s) {
    int n = 0;
    for (int i = 0; i < world; i++) {
        if (ranks[i].report.left) continue;
        if (ranks[i].report.stand_s <= limit_s) return false;
        n++;
    }
    return n > 0;
}

static void tell_where_all_stand(str_t *lines, const watch_rank_t *ranks, int world) {
    add_separator(lines);
    str_add(lines, "all ranks wait for each other:");
    int n = 0;
    for (int i = 0; i < world && n < LINES_MAX; i++) {
        const watch_report_t *r = &ranks[i].report;
        if (r->left) continue;
        str_addf(lines, "%s rank %d (host %s) in \"%s\" of step %lld for %.0f s", n++ ? "," : "", i, ranks[i].host,
                 r->what, (long long)r->step, r->stand_s);
    }
    if (n == LINES_MAX) str_add(lines, ", ...");
}

/* A rank tells of itself whatever it works on: where long work excuses the others, silence still says that it is gone.
 */
static bool tell_of_gone(str_t *lines, const watch_rank_t *ranks, int world, double limit_s) {
    int n = 0;
    for (int i = 0; i < world; i++) {
        const watch_rank_t *r = &ranks[i];
        if (r->report.left || r->silent_s <= 2 * limit_s || n++ >= LINES_MAX) continue;
        add_separator(lines);
        str_addf(lines, "rank %d (host %s) is gone: it was last heard of %.0f s ago, in step %lld", i, r->host,
                 r->silent_s, (long long)r->report.step);
    }
    if (n > LINES_MAX) str_addf(lines, "\n%d more ranks are gone", n - LINES_MAX);
    return n > 0;
}

bool watch_judge(const watch_rank_t *ranks, int world, double limit_s, str_t *lines) {
    const int waiting = find_waiting(ranks, world, limit_s);
    if (waiting < 0) return tell_of_gone(lines, ranks, world, limit_s);
    int64_t reached = 0;
    int n = 0;
    for (int i = 0; i < world; i++)
        if (ranks[i].report.step > reached) reached = ranks[i].report.step;
    for (int i = 0; i < world; i++) {
        if (!is_to_blame(&ranks[i], limit_s)) continue;
        if (n++ < LINES_MAX) blame(lines, ranks, i, waiting, reached, limit_s);
    }
    if (n > LINES_MAX) str_addf(lines, "\n%d more ranks hang", n - LINES_MAX);
    if (n > 0) return true;
    if (!all_stand(ranks, world, limit_s)) return false;
    tell_where_all_stand(lines, ranks, world);
    return true;
}
