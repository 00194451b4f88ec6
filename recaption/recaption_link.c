#include "recaption/recaption_link.h"

#include <string.h>
#include <time.h>

#include "recaption/recaption_shard.h"

/* What a request begins with; of LEAVE the result and a message follow. Ranks run the same program. */
typedef enum { ASK_NEXT, LEAVE } request_kind;
typedef struct {
    int64_t kind, status;
} header_t;

static void take_next(recaption_link_t *l, int64_t *shard) {
    *shard = -1;
    pthread_mutex_lock(&l->lock);
    while (!l->ended && l->next < dataset_n_shards(l->dataset) && *shard < 0) {
        if (recaption_shard_wanted(l->dataset, l->next, l->options))
            *shard = l->next;
        else if (l->options->limit == 0 || dataset_shard_begin(l->dataset, l->next) < l->options->limit)
            l->total.n_shards_skipped++;
        l->next++;
    }
    pthread_mutex_unlock(&l->lock);
}

lens_status recaption_link_next(recaption_link_t *l, int64_t *shard) {
    if (comm_rank(l->comm) == 0) {
        take_next(l, shard);
        return LENS_OK;
    }
    const header_t h = {.kind = ASK_NEXT};
    str_t answer = {0};
    lens_status st = comm_ask(l->comm, &h, sizeof h, &answer);
    if (st == LENS_OK && answer.len != sizeof *shard)
        st = lens_fail(LENS_COMM, "an answer of %zu bytes, expected %zu", answer.len, sizeof *shard);
    if (st == LENS_OK) memcpy(shard, answer.s, sizeof *shard);
    str_free(&answer);
    return st;
}

void recaption_sum(recaption_result_t *to, const recaption_result_t *from) {
    to->n_shards_written += from->n_shards_written;
    to->n_shards_skipped += from->n_shards_skipped;
    to->n_shards_left += from->n_shards_left;
    to->n_samples += from->n_samples;
    to->n_answers += from->n_answers;
    to->stopped |= from->stopped;
    for (int k = 0; k < CAPTION_MAX_KINDS; k++) {
        for (int r = 0; r < QUALITY_N; r++) to->by_kind[k].n_by_reason[r] += from->by_kind[k].n_by_reason[r];
        to->by_kind[k].n_words += from->by_kind[k].n_words;
        to->by_kind[k].n_retried += from->by_kind[k].n_retried;
    }
}

static void take_leave(recaption_link_t *l, lens_status st, const recaption_result_t *result, const char *message) {
    pthread_mutex_lock(&l->lock);
    recaption_sum(&l->total, result);
    l->n_left++;
    if (st != LENS_OK && l->status == LENS_OK) {
        l->status = st;
        str_add(&l->failure, message);
    }
    l->ended |= st != LENS_OK || result->stopped;
    pthread_mutex_unlock(&l->lock);
}

static lens_status serve_one(recaption_link_t *l, int from, const str_t *request) {
    header_t h;
    recaption_result_t result;
    if (request->len < sizeof h) return lens_fail(LENS_COMM, "rank %d: a request of %zu bytes", from, request->len);
    memcpy(&h, request->s, sizeof h);
    if (h.kind == ASK_NEXT) {
        int64_t shard;
        take_next(l, &shard);
        return comm_answer(l->comm, from, &shard, sizeof shard);
    }
    if (h.kind != LEAVE || request->len < sizeof h + sizeof result)
        return lens_fail(LENS_COMM, "rank %d: a request that is not known", from);
    memcpy(&result, request->s + sizeof h, sizeof result);
    take_leave(l, (lens_status)h.status, &result, request->s + sizeof h + sizeof result);
    return LENS_OK; /* answered when all have left */
}

lens_status recaption_link_serve(recaption_link_t *l) {
    str_t request = {0};
    lens_status st = LENS_OK;
    for (int from = 0; st == LENS_OK && from >= 0;) {
        st = comm_receive(l->comm, &from, &request);
        if (st == LENS_OK && from >= 0) st = serve_one(l, from, &request);
    }
    str_free(&request);
    return st;
}

static lens_status leave_rank_0(recaption_link_t *l, lens_status st, recaption_result_t *result) {
    take_leave(l, st, result, st == LENS_OK ? "" : lens_error());
    while (l->n_left < comm_world(l->comm)) {
        LENS_TRY(recaption_link_serve(l));
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    for (int rank = 1; rank < comm_world(l->comm); rank++) LENS_TRY(comm_answer(l->comm, rank, "", 0));
    *result = l->total;
    if (l->status != LENS_OK) lens_set_error("%s", str_text(&l->failure));
    return l->status;
}

lens_status recaption_link_leave(recaption_link_t *l, lens_status st, recaption_result_t *result) {
    if (comm_rank(l->comm) == 0) return leave_rank_0(l, st, result);
    const header_t h = {.kind = LEAVE, .status = st};
    str_t request = {0}, answer = {0};
    str_add_n(&request, &h, sizeof h);
    str_add_n(&request, result, sizeof *result);
    if (st != LENS_OK) str_add(&request, lens_error());
    st = str_status(&request);
    if (st == LENS_OK) st = comm_ask(l->comm, request.s, request.len, &answer);
    str_free(&request);
    str_free(&answer);
    return st;
}
