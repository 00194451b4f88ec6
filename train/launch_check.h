/* Before the first step of several ranks: is what must be the same everywhere the same, and does run.dir lie on a file
 * system that all of them see. Cheap; `lens launch-check` does this and more. Every function is called by all ranks,
 * and fails on all where it fails on one, with a message that names the rank. */
#ifndef LENS_TRAIN_LAUNCH_CHECK_H
#define LENS_TRAIN_LAUNCH_CHECK_H

#include "base/comm.h"
#include "train/train_config.h"

/* STATE where a rank's text is not rank 0's, with the first line that differs. what: "configuration". */
LENS_CHECKED lens_status launch_check_same(comm_t *comm, const char *text, const char *what);
/* STATE where a file that rank 0 writes in dir, and then renames, does not come to all ranks. Makes dir. */
LENS_CHECKED lens_status launch_check_shared(comm_t *comm, const char *dir);
/* Both, for a run: lens' version and commit, the resolved configuration, run.dir. Nothing in a world of 1. */
LENS_CHECKED lens_status launch_check_run(comm_t *comm, const train_config_t *c);

#endif
