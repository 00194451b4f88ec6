#include "base/backoff.h"

#include <sched.h>
#include <time.h>

#include "base/log.h"

#define SPIN_S 20e-6
#define NAP_MIN_S 20e-6

void backoff_pause(backoff_t *b, double longest_us) {
    const double now_s = log_clock_s();
    if (b->since_s == 0) b->since_s = now_s;
    const double waited_s = now_s - b->since_s;
    if (waited_s < SPIN_S) {
        sched_yield();
        return;
    }
    double nap_s = waited_s / 4;
    if (nap_s < NAP_MIN_S) nap_s = NAP_MIN_S;
    if (nap_s > longest_us * 1e-6) nap_s = longest_us * 1e-6;
    nanosleep(&(struct timespec){.tv_nsec = (long)(nap_s * 1e9)}, NULL);
}
