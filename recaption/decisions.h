/* Decisions of people over captions (decision_list.h), applied to layers.
 *
 * accept: what the gate rejected becomes the caption, as it was answered. reject: the text is taken out, reason
 * "review"; what was rejected before keeps its reason. edit: `text` is the caption, and `raw` keeps the answer. The
 * record gets "by":"review". Applying a file again changes nothing.
 *
 * A decision over a text that is no longer there, for it was edited or asked for again since, is refused: nobody saw
 * what stands there now. All others of the file are applied. The last decision over a caption counts, of those that
 * are not refused. */
#ifndef LENS_RECAPTION_DECISIONS_H
#define LENS_RECAPTION_DECISIONS_H

#include "data/dataset.h"

typedef struct {
    int64_t n_accepted, n_rejected, n_edited; /* captions whose record changed */
    int64_t n_unchanged;                      /* captions that were so already */
    int64_t n_refused;                        /* decisions */
} decisions_result_t;

/* dir: where the layers are. All is read and checked before anything is written: FORMAT names the line. Each layer file
 * that changes is written whole and renamed. Prints a line to stdout for each decision that is refused, and what was
 * done. STATE, after the others were applied, where any was refused; STATE where a run over one of the shards was begun
 * and not finished. */
LENS_CHECKED lens_status decisions_apply(decisions_result_t *result, const dataset_t *d, const char *dir,
                                         const char *path);

#endif
