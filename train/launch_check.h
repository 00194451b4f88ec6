/* Before the first step of several ranks: is what must be the same everywhere the same, and does run.dir lie on a file
 * system that all of them see. Cheap; `lens launch-check` does this and more. Every function is called by all ranks,
 * and fails on all where it fails on one, with a message that names the rank. */
#ifndef LENS_TRAIN_LAUNCH_CHECK_H
#define LENS_TRAIN_LAUNCH_CHECK_H

#include "kernels/collectives_speed.h"
#include "kernels/device.h"
#include "train/train_config.h"

/* STATE where a rank's text is not rank 0's, with the first line that differs. what: "configuration". */
LENS_CHECKED lens_status launch_check_same(comm_t *comm, const char *text, const char *what);
/* STATE where a file that rank 0 writes in dir, and then renames, does not come to all ranks. Makes dir. */
LENS_CHECKED lens_status launch_check_shared(comm_t *comm, const char *dir);
/* Sends 64 MiB over the device's collectives, 32 on the CPU, or 1 where that takes a millisecond or more. *out: all 0
 * in a world of 1. The times of its collectives begin anew. */
LENS_CHECKED lens_status launch_check_link(collectives_speed_t *out, comm_t *comm, device_t *device);
/* "a rank sends ...", of a world of several. */
void launch_check_link_text(str_t *out, const collectives_speed_t *speed, const device_t *device);
/* What is the same and what is shared, for a run: lens' version and commit, the resolved configuration, run.dir.
 * Nothing in a world of 1. */
LENS_CHECKED lens_status launch_check_run(comm_t *comm, const train_config_t *c);

#endif
