/* Where compute happens, chosen once: the op table of the CPU or of a GPU, and the collectives that go with it. */
#ifndef LENS_KERNELS_DEVICE_H
#define LENS_KERNELS_DEVICE_H

#include "kernels/collectives.h"
#include "kernels/kernels.h"

typedef enum { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA } device_kind; /* AUTO: a GPU where one answers, else the CPU */
#define DEVICE_KINDS "auto|cpu|cuda"                               /* as option_t.choices */
device_kind device_kind_of(const char *name);                      /* one of them */

typedef struct {
    device_kind kind;
    int n_threads; /* of the CPU, as kernels_cpu_new */
    bool varies;   /* a GPU may give other bits for equal inputs where that saves time; else it never does */
} device_options_t;

typedef struct {
    device_kind kind;    /* DEVICE_CPU or DEVICE_CUDA */
    kernels_t *k;        /* owned */
    collectives_t *coll; /* owned; NULL where comm was NULL */
} device_t;

/* comm NULL: this process alone, on the first GPU or the CPU, without collectives. Otherwise every rank calls it, and
 * all come to the same kind or fail: on a host, rank r of its ranks has GPU r. ARGUMENT: GPUs on some hosts only, or
 * fewer than ranks of a host; STATE or CUDA: one is asked for, and none answers. */
LENS_CHECKED lens_status device_open(device_t *out, const device_options_t *o, comm_t *comm);
void device_close(device_t *d); /* and resets; never opened is allowed */
/* What AUTO comes to for this process; other kinds stay. */
device_kind device_here(device_kind kind);

#endif
