/* The folder of a training run, read: run.json, config.yaml, metrics.jsonl, and the sample grids. One thread.
 *
 *     RUN/run.json         who ran what, with what; at the end also when it finished
 *     RUN/config.yaml      the resolved configuration
 *     RUN/metrics.jsonl    one JSON object a step
 *     RUN/samples/step-00000100.png, prompts.txt    sheets of pictures; their prompts, row by row
 *
 * A run may still go on or may have crashed: parts may be missing and the last line of the metrics may be cut short.
 * What is missing is NULL or NaN here, and each gap is one sentence in `notes`. */
#ifndef LENS_EVAL_RUN_LOG_H
#define LENS_EVAL_RUN_LOG_H

#include "base/str.h"

/* X(NAME, key in a line of metrics.jsonl) */
#define RUN_METRIC_LIST(X)                                                                                             \
    X(LOSS, "loss")                                                                                                    \
    X(VALIDATION_LOSS, "validation_loss")                                                                              \
    X(LR, "lr")                                                                                                        \
    X(GRAD_NORM, "grad_norm")                                                                                          \
    X(IMAGES_PER_S, "images_per_s")                                                                                    \
    X(MFU, "mfu")                                                                                                      \
    X(STEP_S, "step_s")                                                                                                \
    X(WAIT_S, "wait_s")                                                                                                \
    X(IMAGES, "images")

typedef enum {
#define RUN_METRIC_ENUM(name, key) RUN_##name,
    RUN_METRIC_LIST(RUN_METRIC_ENUM)
#undef RUN_METRIC_ENUM
        RUN_N_METRICS
} run_metric;

typedef struct {
    char *dir, *name; /* as given; its last component */
    /* of run.json; NaN and NULL where missing */
    double parameters, world, threads, global_batch, steps, peak_gflops, sgemm_ratio, wall_s;
    char *device, *version, *commit, *build, *command, *started, *finished;
    char **datasets;
    int64_t n_datasets;
    char *config; /* text of config.yaml or NULL */
    /* metrics.jsonl; steps ascending */
    int64_t n;
    double *step;                  /* [n] */
    double *metric[RUN_N_METRICS]; /* [n] each; NaN where a line lacks it */
    /* samples/, by step */
    char **sample_paths;
    int64_t *sample_steps;
    int64_t n_samples;
    char **prompts;
    int64_t n_prompts;
    char **notes;
    int64_t n_notes;
} run_log_t;

/* IO or FORMAT where the folder is not there or holds neither run.json nor metrics.jsonl; other gaps become notes. */
LENS_CHECKED lens_status run_log_open(run_log_t *out, const char *dir);
void run_log_free(run_log_t *r); /* and resets */

#endif
