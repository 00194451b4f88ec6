/* Recaptioning: shows a dataset's pictures to a captioner and writes what passes the gate as layers, one a kind.
 *
 * Threads read pictures and submit them; replies come from any thread. An answer that the gate turns down goes back in
 * at once with another seed, one that was lost with the same. Nothing waits for a shard's last answer: the next shards
 * are under way meanwhile. What was answered is in DIR/.recaption/SHARD.journal, synced once a second (journal.h); a
 * shard whose tasks are all settled (task.h) is written as layers. The result depends neither on threads, nor on ranks,
 * nor on interruptions.
 *
 * Memory: pictures in flight and one a thread, 40 bytes for each task of the shards in work. */
#ifndef LENS_RECAPTION_RECAPTION_H
#define LENS_RECAPTION_RECAPTION_H

#include "base/comm.h"
#include "data/dataset.h"
#include "recaption/captioner.h"
#include "recaption/quality.h"

typedef struct {
    int64_t n_by_reason[QUALITY_N]; /* ACCEPTED counts the captions */
    int64_t n_words;                /* of accepted captions */
    int64_t n_retried;              /* samples that took more than one attempt */
} recaption_counts_t;

typedef struct {
    int64_t n_shards_written, n_shards_skipped;    /* skipped: nothing was to be done */
    int64_t n_shards_left;                         /* begun, with tasks still open */
    int64_t n_samples;                             /* of the shards written */
    int64_t n_answers;                             /* last ones, recorded in this run */
    recaption_counts_t by_kind[CAPTION_MAX_KINDS]; /* of the shards written */
    bool stopped;
    double seconds;
} recaption_result_t;

typedef enum { RECAPTION_ASK, RECAPTION_WAIT, RECAPTION_ENOUGH } recaption_may;

/* Who counts along. */
typedef struct {
    /* Any thread, several at once: every reply but LATER. judged is ACCEPTED, the reason of its being turned down, or
     * why there is none. */
    void (*answered)(void *context, int kind, quality_reason judged, const caption_reply_t *reply);
    /* Before each request, under the engine's lock, so quick; n_in_flight: requests not answered. WAIT: ask me again
     * when one of them is, so never where there is none. ENOUGH: the run stops as by recaption_stop. */
    recaption_may (*may_ask)(void *context, int64_t n_in_flight);
    /* Often, from one thread, and once more when this rank's work is over. Adds to the progress line. */
    lens_status (*look)(void *context, const recaption_result_t *so_far, bool last, str_t *line);
    /* Rank 0, when all ranks have looked for the last time, and the folder is still held. */
    lens_status (*ended)(void *context, const recaption_result_t *all);
    void *context;
} recaption_watch_t;

typedef struct {
    const char *dir;             /* where the layers go, and .recaption */
    const caption_kind_t *kinds; /* [n_kinds] */
    int n_kinds;
    int threads;               /* that read pictures and submit them, >= 1 */
    int max_attempts;          /* >= 1 */
    int64_t limit;             /* only the first samples of the set; 0: all */
    bool only_rejected;        /* of layers that are there: ask again what they have rejected */
    bool restart;              /* drop what an earlier run began */
    quality_options_t quality; /* words: of each kind */
    recaption_watch_t watch;   /* members may be NULL */
} recaption_options_t;

/* Collective. Every shard without a layer of the kinds; ranks take them from rank 0, whose *result is of all ranks.
 * STATE where another process is at work in `dir`, or an earlier run there had other settings. What was recorded before
 * a failure stays, and the next run goes on from there. */
LENS_CHECKED lens_status recaption_run(recaption_result_t *result, const dataset_t *d, captioner_t *c,
                                       const recaption_options_t *o, comm_t *comm);
/* From a signal's handler or any thread: submits nothing more; waits up to 30 s for what is in flight. */
void recaption_stop(void);

#endif
