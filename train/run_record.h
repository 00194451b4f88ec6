/* RUN/run.json and RUN/config.yaml: what a run is, for the report and for people. */
#ifndef LENS_TRAIN_RUN_RECORD_H
#define LENS_TRAIN_RUN_RECORD_H

#include <time.h>

#include "train/train_config.h"

typedef struct {
    const char *command, *device;
    int64_t parameters;
    int world, threads;
    double peak_gflops; /* of all ranks */
    time_t started;
    /* at the end; finished 0: not yet */
    time_t finished;
    double wall_s, sgemm_ratio;
} run_record_t;

LENS_CHECKED lens_status run_record_write(const run_record_t *r, const train_config_t *c);

#endif
