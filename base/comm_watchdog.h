/* A thread of each rank that notices when a rank hangs, says which, and ends the job with exit status 1.
 *
 * Each rank tells the first and the last one, once a second and as it begins a step, which step it is in and whether it
 * stands in a collective. The first judges (base/watch_verdict.h); the last does where the first is silent. The limit
 * has to be longer than whatever a rank does between two beats while others wait for it. A process has one; in a world
 * of 1, or where it was not started, all calls do nothing. */
#ifndef LENS_BASE_COMM_WATCHDOG_H
#define LENS_BASE_COMM_WATCHDOG_H

#include "base/comm.h"

/* Every rank calls both. limit_s > 0. comm is borrowed until the end, for which each waits. */
LENS_CHECKED lens_status comm_watchdog_start(comm_t *c, double limit_s);
void comm_watchdog_stop(comm_t *c);

/* This rank has begun this step, or is still getting on with it. Any thread. */
void comm_watchdog_beat(comm_t *c, int64_t step);
/* Between them this rank may take its time, and those that wait for it as well. They may be nested. */
void comm_watchdog_suspend(comm_t *c);
void comm_watchdog_resume(comm_t *c);

/* The driving thread waits for other ranks from now on, in `what` (copied); NULL: no more. For base/comm_*.c and
 * kernels/collectives_*.c. */
void comm_watchdog_stand(const char *what);

/* Seconds that a wait for other ranks may take, for who can end one: without end while a rank takes its time; else
 * twice the limit, since the watch, which can name ranks, goes first. Half an hour where nobody watches. */
double comm_watchdog_patience_s(void);
int64_t comm_watchdog_step(void); /* this rank's last, for messages; 0 where nobody watches */

#endif
