/* What a training run says about itself, for machines: RUN/metrics.jsonl, one JSON object a step, and the same numbers
 * (and sample sheets) as TensorBoard event files beside it. Rank 0 writes, from one thread. */
#ifndef LENS_TRAIN_METRICS_H
#define LENS_TRAIN_METRICS_H

#include "base/error.h"

#define METRICS_FILE "metrics.jsonl"

typedef struct metrics metrics_t;

/* Makes run_dir where it is missing. Lines of steps from first_step on are removed from metrics.jsonl, and so is a last
 * line that was cut short; any other malformed line is FORMAT, with its number, and the file is left as it was. */
LENS_CHECKED lens_status metrics_open(metrics_t **out, const char *run_dir, int64_t first_step);
void metrics_close(metrics_t *m); /* NULL is allowed; every line before it has been flushed */

/* One line {"step": S, names[0]: values[0], ...} and the scalars of the same names. JSON knows no NaN and no infinity:
 * they become null there, the event file keeps them. No name may be "step". */
LENS_CHECKED lens_status metrics_step(metrics_t *m, int64_t step, int n, const char *const *names,
                                      const double *values);
/* A PNG file, to the event file alone. */
LENS_CHECKED lens_status metrics_image(metrics_t *m, int64_t step, const char *tag, const void *png, size_t n_bytes,
                                       int32_t width, int32_t height);
/* To the disk. Before a checkpoint is published: a run that resumes from it then finds every line up to it. */
LENS_CHECKED lens_status metrics_sync(metrics_t *m);

#endif
