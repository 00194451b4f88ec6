/* Being asked to stop: SIGTERM, or SIGUSR1 as SLURM sends it ahead of a time limit. The run then ends the step it is
 * in, or its first one, saves a checkpoint and ends; before the handlers are installed the signals kill, as they
 * usually do. A second SIGTERM kills as well; SIGUSR1 may come again: where a whole process group is told, mpirun tells
 * its ranks once more.
 *
 * mpirun hands SIGUSR1 on. A SIGTERM to mpirun itself leaves the ranks a second (odls_base_sigkill_timeout) before
 * SIGKILL, and the job fails even where the checkpoint is saved by then: launch/run.sh turns one into SIGUSR1. */
#ifndef LENS_TRAIN_STOP_SIGNAL_H
#define LENS_TRAIN_STOP_SIGNAL_H

void stop_signal_install(void);
int stop_signal_received(void);           /* its number, 0: none */
const char *stop_signal_name(int number); /* "SIGTERM" */

#endif
