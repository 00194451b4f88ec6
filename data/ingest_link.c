#include "data/ingest_link.h"

#include <stdlib.h>
#include <string.h>

#include "data/ingest_log.h"

typedef enum { ASK_NEXT, ASK_STATE, SAY_PART_DONE, SAY_SHARD_DONE, SAY_FAILED, SAY_GOODBYE } request_kind;

/* What a request and an answer begin with; a log, a message or runs follow. Ranks run the same program. */
typedef struct {
    int64_t kind;   /* request_kind; of an answer ingest_task_kind: END where the run has failed */
    int64_t number; /* of the part or shard; of SAY_FAILED the status */
} header_t;

static lens_status ask(ingest_link_t *l, header_t header, const void *rest, size_t n, str_t *answer) {
    str_t request = {0};
    str_add_n(&request, &header, sizeof header);
    str_add_n(&request, rest, n);
    lens_status st = str_status(&request);
    if (st == LENS_OK) st = comm_ask(l->comm, request.s, request.len, answer);
    str_free(&request);
    if (st == LENS_OK && answer->len < sizeof header)
        st = lens_fail(LENS_COMM, "an answer of %zu bytes, expected at least %zu", answer->len, sizeof header);
    return st;
}

/* Asks where the answer's header is all. */
static lens_status tell(ingest_link_t *l, header_t header, const void *rest, size_t n, header_t *out) {
    str_t answer = {0};
    lens_status st = ask(l, header, rest, n, &answer);
    if (st == LENS_OK) memcpy(out, answer.s, sizeof *out);
    str_free(&answer);
    return st;
}

lens_status ingest_link_next(ingest_link_t *l, ingest_task_t *out) {
    if (l->tasks) return ingest_tasks_next(l->tasks, out);
    *out = (ingest_task_t){.kind = INGEST_WAIT};
    str_t answer = {0};
    header_t h;
    lens_status st;
    LENS_GO(ask(l, (header_t){.kind = ASK_NEXT}, NULL, 0, &answer));
    memcpy(&h, answer.s, sizeof h);
    const size_t n = answer.len - sizeof h;
    if (n > 0) {
        out->runs.runs = malloc(n);
        if (!out->runs.runs) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for %zu bytes of runs", n));
        memcpy(out->runs.runs, answer.s + sizeof h, n);
        out->runs.n = out->runs.cap = (int64_t)(n / sizeof *out->runs.runs);
    }
    out->kind = (ingest_task_kind)h.kind;
    out->number = h.number;
done:
    str_free(&answer);
    return st;
}

lens_status ingest_link_part_done(ingest_link_t *l, int64_t part, str_t *log) {
    if (l->tasks) return ingest_tasks_part_done(l->tasks, part, log);
    header_t h;
    lens_status st = tell(l, (header_t){SAY_PART_DONE, part}, log->s, log->len, &h);
    str_free(log);
    return st;
}

lens_status ingest_link_shard_done(ingest_link_t *l, int64_t shard) {
    header_t h;
    return l->tasks ? ingest_tasks_shard_done(l->tasks, shard)
                    : tell(l, (header_t){SAY_SHARD_DONE, shard}, NULL, 0, &h);
}

void ingest_link_fail(ingest_link_t *l, lens_status st) {
    header_t h;
    if (l->tasks)
        ingest_tasks_fail(l->tasks, st, lens_error());
    else if (tell(l, (header_t){SAY_FAILED, st}, lens_error(), strlen(lens_error()), &h) != LENS_OK)
        comm_abort(l->comm, 1); /* the failure cannot be reported: nothing else would end the others */
}

lens_status ingest_link_has_failed(ingest_link_t *l, bool *failed) {
    header_t h = {0};
    if (l->tasks) {
        *failed = ingest_tasks_progress(l->tasks).failed;
        return LENS_OK;
    }
    LENS_TRY(tell(l, (header_t){.kind = ASK_STATE}, NULL, 0, &h));
    *failed = h.kind == INGEST_END;
    return LENS_OK;
}

lens_status ingest_link_goodbye(ingest_link_t *l) {
    header_t h;
    return tell(l, (header_t){.kind = SAY_GOODBYE}, NULL, 0, &h);
}

/* ---- rank 0 ---- */

/* What a request asks to be done; the failure of it is the run's. */
static lens_status carry_out(ingest_link_t *l, const header_t *h, const char *rest, size_t n, ingest_task_t *task) {
    str_t log = {0};
    lens_status st = LENS_OK;
    switch ((request_kind)h->kind) {
    case ASK_NEXT:
        return ingest_tasks_next(l->tasks, task);
    case SAY_PART_DONE:
        l->n_read_elsewhere += ingest_log_count(rest, n);
        str_add_n(&log, rest, n);
        st = str_status(&log);
        if (st == LENS_OK) st = ingest_tasks_part_done(l->tasks, h->number, &log);
        str_free(&log);
        return st;
    case SAY_SHARD_DONE:
        return ingest_tasks_shard_done(l->tasks, h->number);
    case SAY_FAILED:
        ingest_tasks_fail(l->tasks, (lens_status)h->number, rest);
        return LENS_OK;
    case ASK_STATE:
    case SAY_GOODBYE:
        return LENS_OK;
    }
    return lens_fail(LENS_COMM, "request %lld is unknown", (long long)h->kind);
}

static lens_status answer(ingest_link_t *l, int to, const ingest_task_t *task) {
    str_t text = {0};
    const bool failed = ingest_tasks_progress(l->tasks).failed;
    const header_t h = {failed ? INGEST_END : task->kind, task->number};
    str_add_n(&text, &h, sizeof h);
    str_add_n(&text, task->runs.runs, (size_t)task->runs.n * sizeof *task->runs.runs);
    lens_status st = str_status(&text);
    if (st == LENS_OK) st = comm_answer(l->comm, to, text.s, text.len);
    str_free(&text);
    return st;
}

static lens_status serve_one(ingest_link_t *l, int from, const str_t *request) {
    header_t h;
    ingest_task_t task = {.kind = INGEST_WAIT};
    if (request->len < sizeof h)
        return lens_fail(LENS_COMM, "rank %d: a request of %zu bytes, expected at least %zu", from, request->len,
                         sizeof h);
    memcpy(&h, request->s, sizeof h);
    lens_status st = carry_out(l, &h, request->s + sizeof h, request->len - sizeof h, &task);
    if (st != LENS_OK) ingest_tasks_fail(l->tasks, st, lens_error());
    st = LENS_OK;
    if (h.kind == SAY_GOODBYE)
        l->n_left++; /* answered by ingest_link_let_go */
    else
        st = answer(l, from, &task);
    free(task.runs.runs);
    return st;
}

lens_status ingest_link_serve(ingest_link_t *l) {
    str_t request = {0};
    lens_status st = LENS_OK;
    for (int from = 0; st == LENS_OK && from >= 0;) {
        st = comm_receive(l->comm, &from, &request);
        if (st == LENS_OK && from >= 0) st = serve_one(l, from, &request);
    }
    str_free(&request);
    return st;
}

lens_status ingest_link_let_go(ingest_link_t *l) {
    const ingest_task_t nothing = {.kind = INGEST_END};
    for (int rank = 1; rank < comm_world(l->comm); rank++) LENS_TRY(answer(l, rank, &nothing));
    return LENS_OK;
}
