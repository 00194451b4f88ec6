/* What the files that call MPI share: one lock around single calls, and waits that hold nothing. For base/comm_*.c.
 *
 * MPI_THREAD_SERIALIZED: any thread may call, one at a time. The lock is never held while a call waits for another
 * rank: whatever may wait is begun by a non-blocking call and looked at. Threads that may have collectives under way
 * beside each other have communicators of their own. */
#ifndef LENS_BASE_COMM_CALLS_H
#define LENS_BASE_COMM_CALLS_H

#include <mpi.h>

#include "base/error.h"

enum { COMM_NAP_LONGEST_US = 1000 };

void comm_mpi_lock(void);
void comm_mpi_unlock(void);
MPI_Comm comm_mpi_messages(void); /* communicator of requests and answers */
/* The failure of an MPI call. what: what was being done. */
lens_status comm_mpi_error(int code, const char *what);

#define MPI_TRY(call, what)                                                                                            \
    do {                                                                                                               \
        int mpi_try_code_ = (call);                                                                                    \
        if (mpi_try_code_ != MPI_SUCCESS) return comm_mpi_error(mpi_try_code_, what);                                  \
    } while (0)

/* Waits for `request`, which a call under the lock that gave `code` has begun. */
LENS_CHECKED lens_status comm_mpi_finish(int code, MPI_Request *request, const char *what);
/* A communicator of all ranks; each of them calls it. To be freed with MPI_Comm_free under the lock. */
LENS_CHECKED lens_status comm_mpi_new_communicator(MPI_Comm *out);

#endif
