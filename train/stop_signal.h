/* Being asked to stop: SIGTERM, or SIGUSR1 as SLURM sends it ahead of a time limit. The run then saves a checkpoint and
 * ends; a second signal of the same kind has its usual effect. */
#ifndef LENS_TRAIN_STOP_SIGNAL_H
#define LENS_TRAIN_STOP_SIGNAL_H

void stop_signal_install(void);
int stop_signal_received(void);           /* its number, 0: none */
const char *stop_signal_name(int number); /* "SIGTERM" */

#endif
