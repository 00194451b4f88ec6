/* The ranks of a test program, for a group of tests: those of mpirun, or this process alone. */
#ifndef LENS_TESTS_UNIT_COMM_FIXTURE_H
#define LENS_TESTS_UNIT_COMM_FIXTURE_H

#include <stdio.h>

#include "base/comm.h"

static comm_t *comm;

static int set_up_all(void **state) {
    (void)state;
    if (comm_init(&comm) == LENS_OK) return 0;
    fprintf(stderr, "%s\n", lens_error());
    return -1;
}

static int tear_down_all(void **state) {
    (void)state;
    comm_free(comm);
    return 0;
}

#endif
