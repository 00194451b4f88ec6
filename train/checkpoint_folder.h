/* The folder of a run's checkpoints, RUN/checkpoints: names, publication, what is removed. */
#ifndef LENS_TRAIN_CHECKPOINT_FOLDER_H
#define LENS_TRAIN_CHECKPOINT_FOLDER_H

#include "base/str.h"

/* All take the run's folder. Paths are cleared and filled. */
LENS_CHECKED lens_status checkpoint_path(str_t *out, const char *run_dir, const char *name);
LENS_CHECKED lens_status checkpoint_step_path(str_t *out, const char *run_dir, int64_t step);
/* Where the files of a step wait: the same for all ranks. */
LENS_CHECKED lens_status checkpoint_temporary_path(str_t *out, const char *run_dir, int64_t step);
/* An empty temporary folder. */
LENS_CHECKED lens_status checkpoint_begin(const char *run_dir, int64_t step);
/* The temporary folder, whole and synced, takes its name, which `latest` points to. */
LENS_CHECKED lens_status checkpoint_publish(const char *run_dir, int64_t step);
/* Removes the temporary folder. */
LENS_CHECKED lens_status checkpoint_discard(const char *run_dir, int64_t step);
/* Removes the oldest beyond `keep`, temporary folders of runs that died, and checkpoints after `newest`: those are
 * torn, or the run would have gone on from them. */
LENS_CHECKED lens_status checkpoint_prune(const char *run_dir, int64_t newest, int64_t keep);
/* Steps of the checkpoints, newest first; *steps [*n] is the caller's to free. A folder that is not there has none. */
LENS_CHECKED lens_status checkpoint_steps(int64_t **steps, int *n, const char *run_dir);

#endif
