#include "kernels/device.h"

#include <string.h>

device_kind device_kind_of(const char *name) {
    return strcmp(name, "cuda") == 0 ? DEVICE_CUDA : strcmp(name, "cpu") == 0 ? DEVICE_CPU : DEVICE_AUTO;
}

device_kind device_here(device_kind kind) {
    if (kind != DEVICE_AUTO) return kind;
    return kernels_cuda_count() > 0 ? DEVICE_CUDA : DEVICE_CPU;
}

/* ---- one kind for all ranks ---- */

/* GPUs on some hosts only are a mistake of whoever chose the hosts: neither the slow ranks nor the idle GPUs are what
 * was wanted. */
static lens_status agree_kind(device_kind *kind, device_kind asked, comm_t *comm) {
    *kind = device_here(asked);
    if (!comm || asked != DEVICE_AUTO) return LENS_OK;
    double n = *kind == DEVICE_CUDA;
    LENS_TRY(comm_sum_f64(comm, &n, 1, "GPUs"));
    lens_status st = LENS_OK;
    if (n > 0 && *kind == DEVICE_CPU)
        st = lens_fail(LENS_ARGUMENT,
                       "%s: no GPU answers, but one does on %.0f of the %d ranks: expected GPUs on all hosts, or "
                       "run.device=cpu",
                       comm_host(comm, comm_rank(comm)), n, comm_world(comm));
    return comm_agree(comm, st, "device");
}

/* ---- a GPU ---- */

static lens_status open_cuda(device_t *d, bool varies, comm_t *comm) {
    int n = kernels_cuda_count(), mine = comm ? comm_node_rank(comm) : 0, ranks = comm ? comm_node_ranks(comm) : 1;
    if (n > 0 && n < ranks)
        return lens_fail(LENS_ARGUMENT,
                         "%s: %d ranks, and %d GPU%s that each of them sees: expected a GPU a rank: run.device=cpu, or "
                         "fewer ranks",
                         comm_host(comm, comm_rank(comm)), ranks, n, n == 1 ? "" : "s");
    return lens_context(kernels_cuda_new(&d->k, mine, !varies), "device cuda"); /* says why none answers */
}

/* ---- both ---- */

static lens_status open_kernels(device_t *d, const device_options_t *o, comm_t *comm) {
    return d->kind == DEVICE_CUDA ? open_cuda(d, o->varies, comm)
                                  : kernels_cpu_new(&d->k, o->n_threads, comm ? comm_core_ranks(comm) : 1);
}

static lens_status open_collectives(device_t *d, comm_t *comm) {
    if (d->kind == DEVICE_CPU || comm_world(comm) == 1) return collectives_host_new(&d->coll, comm);
    return collectives_cuda_new(&d->coll, d->k, comm);
}

lens_status device_open(device_t *out, const device_options_t *o, comm_t *comm) {
    *out = (device_t){0};
    LENS_TRY(agree_kind(&out->kind, o->kind, comm));
    lens_status st = open_kernels(out, o, comm);
    if (comm) LENS_GO(comm_agree(comm, st, "device"));
    if (comm) LENS_GO(comm_agree(comm, open_collectives(out, comm), "device"));
done:
    if (st != LENS_OK) device_close(out);
    return st;
}

void device_close(device_t *d) {
    collectives_free(d->coll);
    kernels_free(d->k);
    *d = (device_t){0};
}
