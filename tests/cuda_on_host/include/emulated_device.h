/* A CUDA device on the host, as far as kernels can tell: what the emulated headers beside this one are made of.
 *
 * Whatever a stream is given is done at once; LENS_CUDA_STREAMS=strict finds collectives and copies that rely on it, and
 * a host that reads what is copied to it before it has waited. Of a launch, blocks run one after another. The threads of
 * a block are fibres: each has a stack of its own and runs until it waits at a barrier or at an exchange within its
 * warp, so these and shared memory mean what they mean on a device. LENS_CUDA_ORDER in the environment says in which
 * order fibres (and blocks) take turns: `forward` (the default), `reverse`, or `shuffle:SEED`, another order at every
 * turn. A kernel whose result depends on it lacks a barrier.
 *
 * Stricter than a device: a barrier that some thread of the block never reaches (because it returned, or waits
 * elsewhere), and a mask that names lanes which are not there, end the process with a message. A kernel that goes past
 * an allocation's pages gets a segmentation fault. Where LENS_CUDA_GUARD=1 is in the environment when memory is first
 * allocated, the host gets one too wherever it touches device memory but by the runtime's calls; launches then cost
 * time by the size of all memory. One host thread launches. */
#ifndef LENS_TESTS_EMULATED_DEVICE_H
#define LENS_TESTS_EMULATED_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EMULATED_WARP 32
#define EMULATED_SHARED_MAX (227 * 1024) /* of a block on sm_90 */

typedef struct {
    unsigned x, y, z;
} emulated_index_t;

typedef struct {
    emulated_index_t thread, block, block_dim, grid_dim;
    void *shared; /* the block's dynamic shared memory */
    unsigned linear;
} emulated_place_t;

/* Of the running fibre; NULL on the host. */
extern const emulated_place_t *emulated_place;

/* run(args) once a thread. name: for messages. */
void emulated_launch(emulated_index_t grid, emulated_index_t block, size_t shared_bytes, void (*run)(void *args),
                     void *args, const char *name);

/* Waits for all threads of the block; returns how many of them came with predicate != 0. */
int emulated_barrier(int predicate, const char *file, int line);
/* Waits for all lanes of mask; returns what each of them brought, valid until this thread's next exchange. */
const uint64_t *emulated_exchange(unsigned mask, uint64_t value, const char *file, int line);

/* Device memory, page-protected; bytes of 0xFF at first. NULL where there is none left. */
void *emulated_memory_new(size_t bytes);
int emulated_memory_free(void *p); /* 0 where p is none, or was written past its end (which ends the process) */
size_t emulated_memory_bytes(void);
/* Between these two, which nest, the host may touch device memory: for what stands for a copy or a library's kernel. */
void emulated_memory_open(void);
void emulated_memory_close(void);

/* ---- streams: emulated_streams.c ---- */
struct CUstream_st;
/* Before each piece of work that a stream is given. */
void emulated_stream_work(struct CUstream_st *stream);
/* The same for a collective; ends the process where LENS_CUDA_STREAMS=strict and work of another stream, given before,
 * is not waited for. */
void emulated_stream_collective(struct CUstream_st *stream);
/* What that collective, or a copy to the host, leaves at out. Strict: NaN there until a stream or the host has waited
 * for it. */
void emulated_stream_result(struct CUstream_st *stream, void *out, const void *bytes, size_t n);
/* A copy's or a memset's access to device memory. Strict: ends the process where another stream accessed the same bytes
 * before, one of both wrote, and this stream does not wait for that. The last 256 accesses are known. */
void emulated_stream_access(struct CUstream_st *stream, const void *p, size_t n, int writes);
/* A copy from pinned memory. Strict: ends the process where the host has changed it before it knew the copy's end. */
void emulated_stream_reads_pinned(struct CUstream_st *stream, const void *in, size_t n);
/* What a stream was given does not end while it hangs; whoever waits for it without a limit is told so and ends. */
void emulated_stream_hang(struct CUstream_st *stream, int hangs);

/* Calls so far in which the host may stand until the device is done: for one event, and for more than that (streams,
 * the device, memory that is made or released). */
typedef struct {
    long of_events, of_all;
} emulated_waits_t;
emulated_waits_t emulated_waits(void);
/* Counts one of the latter. */
void emulated_count_wait(void);

#ifdef __cplusplus
}
#endif

#endif
