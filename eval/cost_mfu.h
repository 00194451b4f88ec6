/* The MFU of a run that was measured. */
#ifndef LENS_EVAL_COST_MFU_H
#define LENS_EVAL_COST_MFU_H

#include "base/str.h"

/* path: RUN/metrics.jsonl or the folder RUN (median of the steps, by the data sheet's peak where the device has one,
 * else by the peak that the run measured), benchmarks-gpu.json of tests/gpu/run.sh (the mix of three areas, else 512 x
 * 512), or what `lens bench train --json` printed. *mfu in (0, 1.5]; source says in a line what it is and by which
 * peak. FORMAT where the file says none. */
LENS_CHECKED lens_status cost_mfu_read(double *mfu, str_t *source, const char *path);

#endif
