/* What a call of a row costs as kernels/cuda runs it, by count: arithmetic, bytes of device memory, launches. The
 * figures are those of the head comments there; what the L2 cache saves where a kernel reads twice is counted as moved
 * only where the second reading comes a whole pass later. */
#ifndef LENS_KERNELS_OP_COST_H
#define LENS_KERNELS_OP_COST_H

#include "kernels/op_call.h"

typedef struct {
    double flop;        /* of products, attention's too: 2 x multiply-adds */
    double ops;         /* all other arithmetic, a root or an exponential as one */
    double bytes;       /* of device memory (of the link, for upload and download) that our kernels move */
    double least_bytes; /* each operand once */
    double launches;    /* of kernels, copies and fills */
} op_cost_t;

/* Of one call. Products are taken to move the least: their tiles meet the same operands again in the L2 cache. */
op_cost_t op_cost(const op_call_t *call, size_t act_bytes);

#endif
