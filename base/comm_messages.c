/* Requests and answers over MPI. */
#include <limits.h>
#include <pthread.h>

#include "base/backoff.h"
#include "base/comm_calls.h"
#include "base/comm_mpi.h"

enum { TAG_REQUEST = 1, TAG_ANSWER = 2 };

/* Held from a request to its answer: answers carry no name. */
static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;

static lens_status send_message(const void *bytes, size_t n, int to, int tag) {
    MPI_Request sending;
    if (n > INT_MAX) return lens_fail(LENS_COMM, "a message of %zu bytes to rank %d, at most %d", n, to, INT_MAX);
    comm_mpi_lock();
    int code = MPI_Isend(bytes, (int)n, MPI_BYTE, to, tag, comm_mpi_messages(), &sending);
    comm_mpi_unlock();
    return comm_mpi_finish(code, &sending, "sending a message");
}

/* *from: -1 where nothing is waiting. */
static lens_status find_message(int source, int tag, int *from, int *n, MPI_Message *message) {
    MPI_Status status;
    int found = 0;
    *from = -1;
    comm_mpi_lock();
    int code = MPI_Improbe(source, tag, comm_mpi_messages(), &found, message, &status);
    if (code == MPI_SUCCESS && found) code = MPI_Get_count(&status, MPI_BYTE, n);
    comm_mpi_unlock();
    MPI_TRY(code, "looking for a message");
    if (found) *from = status.MPI_SOURCE;
    return LENS_OK;
}

static lens_status receive_message(int source, int tag, int *from, str_t *out) {
    MPI_Message message;
    MPI_Request receiving;
    int n = 0;
    LENS_TRY(find_message(source, tag, from, &n, &message));
    if (*from < 0) return LENS_OK;
    str_clear(out);
    str_reserve(out, (size_t)n);
    LENS_TRY(str_status(out));
    comm_mpi_lock();
    int code = MPI_Imrecv(out->s, n, MPI_BYTE, &message, &receiving);
    comm_mpi_unlock();
    LENS_TRY(comm_mpi_finish(code, &receiving, "receiving a message"));
    out->len = (size_t)n;
    out->s[n] = '\0';
    return LENS_OK;
}

lens_status comm_mpi_receive(int *from, str_t *request) {
    return receive_message(MPI_ANY_SOURCE, TAG_REQUEST, from, request);
}

lens_status comm_mpi_answer(int to, const void *answer, size_t n) {
    return send_message(answer, n, to, TAG_ANSWER);
}

lens_status comm_mpi_ask(const void *request, size_t n, str_t *answer) {
    backoff_t wait = {0};
    pthread_mutex_lock(&asking);
    lens_status st = send_message(request, n, 0, TAG_REQUEST);
    for (int from = -1; st == LENS_OK && from < 0;) {
        st = receive_message(0, TAG_ANSWER, &from, answer);
        if (st == LENS_OK && from < 0) backoff_pause(&wait, COMM_NAP_LONGEST_US);
    }
    pthread_mutex_unlock(&asking);
    return st;
}
