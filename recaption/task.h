/* The tasks of one shard: a task is a caption to be made of one sample in one kind.
 *
 * A task is open until its last answer was recorded, that is, appended to the shard's journal: a caption that passed
 * the gate, or the last attempt. What was turned down before is recorded too, so that nothing is asked twice. When all
 * tasks of a kind have an answer, their captions are compared in sample order where the captioner's must be unique: one
 * that another picture of the shard has already is open again, with its attempts counted on. So what is asked depends
 * on the answers alone, not on their order in time, nor on how often the work was interrupted: the journal is replayed
 * through the same steps.
 *
 * Texts stay in the journal; a task takes 40 bytes, and 16 each time it was turned down. Not thread-safe: the caller
 * locks. */
#ifndef LENS_RECAPTION_TASK_H
#define LENS_RECAPTION_TASK_H

#include "data/dataset.h"
#include "recaption/caption_set.h"
#include "recaption/captioner.h"
#include "recaption/journal.h"
#include "recaption/quality.h"

typedef enum {
    TASK_OPEN,     /* to be asked */
    TASK_ASKED,    /* under way */
    TASK_LATER,    /* not in this run: beyond its limit, or put off by the captioner */
    TASK_ANSWERED, /* recorded, not yet compared */
    TASK_SETTLED,  /* recorded for good */
    TASK_KEPT,     /* the layer has its caption */
} task_state;

typedef struct {
    uint64_t offset;         /* of its record in the journal */
    uint64_t said;           /* caption_hash; 0: no caption */
    int64_t twin;            /* sample of the set that has the same caption; -1 */
    int32_t attempts;        /* answers it has had */
    int32_t attempts_before; /* those of earlier passes */
    uint8_t state;           /* task_state */
    uint8_t reason;          /* quality_reason */
    int32_t turned_down;     /* 1 + the latest in tasks_t.turned_down; 0: none */
} task_t;

/* An attempt that was not the last. */
typedef struct {
    double value;   /* what the gate measured; of a duplicate the sample of the set that has the caption */
    int32_t before; /* 1 + the one before it of the same task; 0: none */
    uint8_t reason; /* quality_reason */
} turned_down_t;

typedef struct {
    bool wanted;       /* its layer's file is to be written */
    bool replaces;     /* there is one already, whose rejects are asked again */
    int64_t n_waiting; /* tasks without an answer */
    bool settled;
    caption_set_t captions; /* of tasks that are settled or kept */
} task_kind_t;

typedef struct {
    const dataset_t *dataset;
    int64_t shard, begin, n; /* begin: its first sample in the set */
    int n_kinds;
    const caption_kind_t *kinds; /* [n_kinds], borrowed */
    bool unique;
    int max_attempts;
    task_kind_t *by_kind;       /* [n_kinds] */
    task_t *tasks;              /* [n, n_kinds] */
    uint64_t *content;          /* [n] hashes of the pictures */
    int64_t next;               /* no sample before is open */
    turned_down_t *turned_down; /* [n_turned_down] */
    int32_t n_turned_down, cap_turned_down;
    journal_t *journal; /* owned; NULL before tasks_open_journal */
} tasks_t;

/* What is recorded of a task. */
typedef struct {
    int64_t within; /* sample of the shard */
    int kind;
    int32_t attempts;
    bool turned_down;                     /* another attempt follows */
    quality_t verdict;                    /* its own text is not looked at */
    const char *text, *message, *details; /* text: cleaned where accepted, else as it came; JSON object or NULL */
} task_answer_t;

/* All tasks of wanted kinds open. The caller changes single ones (state, attempts_before) before the journal opens, and
 * says so by tasks_keep. *out is zeroed before and freed on failure. */
LENS_CHECKED lens_status tasks_init(tasks_t *out, const dataset_t *d, int64_t shard, const caption_kind_t *kinds,
                                    int n_kinds, bool unique, int max_attempts);
void tasks_free(tasks_t *t);
task_t *tasks_at(const tasks_t *t, int64_t within, int kind);
/* The layer has this caption ("": it has none, and says why). */
LENS_CHECKED lens_status tasks_keep(tasks_t *t, int64_t within, int kind, const char *text);
LENS_CHECKED lens_status tasks_open_journal(tasks_t *t, const char *path, const char *settings);
/* Appends to the journal, then counts. A task that was turned down stays as it was, with its attempts counted. */
LENS_CHECKED lens_status tasks_record(tasks_t *t, const task_answer_t *a);
/* A record of the journal; FORMAT where it fits no task. */
LENS_CHECKED lens_status tasks_apply(tasks_t *t, const char *payload, size_t n, uint64_t offset);
/* The next sample with open tasks: *kinds is a bit for each, and they count as asked. False where none is open. */
bool tasks_next(tasks_t *t, int64_t *within, uint32_t *kinds);
bool tasks_settled(const tasks_t *t); /* all wanted kinds */
/* The layer's text and metadata of a settled task. */
LENS_CHECKED lens_status tasks_result(const tasks_t *t, int64_t within, int kind, str_t *text, str_t *meta,
                                      int64_t *n_words);

#endif
