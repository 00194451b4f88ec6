/* Decisions of people over captions, applied to layers. One JSON object a line, as `lens review` exports them:
 *
 *     {"sample":KEY or index in the set, "kind":"dense", "decision":"accept"|"reject"|"edit", "text":"..."}
 *
 * accept: what the gate rejected becomes the caption, as it was answered. reject: the text is taken out, reason
 * "review". edit: `text` is the caption. The last decision over a caption counts. Other members are ignored. */
#ifndef LENS_RECAPTION_DECISIONS_H
#define LENS_RECAPTION_DECISIONS_H

#include "data/dataset.h"

/* All lines are read and checked before anything is written; each layer file that changes is written whole and renamed.
 * Prints what was done. FORMAT names the line. */
LENS_CHECKED lens_status decisions_apply(const dataset_t *d, const char *dir, const char *path);

#endif
