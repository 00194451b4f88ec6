/* Inside of the checkpointer: checkpoint.c copies and waits, checkpoint_write.c is the thread. */
#ifndef LENS_TRAIN_CHECKPOINT_PRIVATE_H
#define LENS_TRAIN_CHECKPOINT_PRIVATE_H

#include <pthread.h>

#include "train/checkpoint.h"
#include "train/checkpoint_layout.h"
#include "train/checkpoint_manifest.h"

/* The thread owns all of it between its start and the join, but comm, which any thread may use. */
struct checkpointer {
    const train_config_t *c; /* borrowed */
    str_t yaml;              /* config.yaml */
    pipeline_config_t pipeline;
    comm_t *comm;

    checkpoint_layout_t layout; /* made at the first start */
    float *staging;             /* [layout.n_floats] */
    bool planned;

    pthread_t thread;
    bool running;
    state_view_t view; /* of which the thread reads names alone */
    checkpoint_position_t at;
    str_t dir;                      /* the temporary folder */
    checkpoint_manifest_t manifest; /* what this rank wrote; of rank 0, in the end, all */

    lens_status last; /* outcome of the last checkpoint, the same on all ranks */
    str_t message;    /* of its failure */
    int64_t n_failed;
};

void *checkpoint_write_thread(void *checkpointer); /* fills last and message */

#endif
