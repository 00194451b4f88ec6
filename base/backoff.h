/* Waiting for what only looking can tell (MPI calls nobody when a message came): look again at once for some
 * microseconds, then nap for ever longer, so that a short wait costs no time and a long one no core. */
#ifndef LENS_BASE_BACKOFF_H
#define LENS_BASE_BACKOFF_H

typedef struct {
    double since_s; /* 0 at the beginning of a wait */
} backoff_t;

/* Between two looks. A nap is a quarter of the time waited so far, 20 us to longest_us. */
void backoff_pause(backoff_t *b, double longest_us);

#endif
