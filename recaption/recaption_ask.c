/* One picture: loaded, shown to the captioner for each kind, its answers judged and recorded or asked for again. */
#include <stdatomic.h>
#include <stdlib.h>

#include "recaption/recaption_private.h"

/* A picture with its requests, one a kind: all share it. Freed when the last was answered. */
typedef struct {
    run_t *run;
    open_shard_t *shard;
    int64_t within;
    atomic_int n_left;
    image_t image; /* where the captioner wants pixels */
    pthread_mutex_t facts_lock;
    bool has_facts;
    facts_t facts;
    str_t key, picture, alt, meta;
    caption_shared_t shared;
    struct {
        caption_request_t request;
        int n_lost; /* attempts without an answer */
    } asked[CAPTION_MAX_KINDS];
} picture_t;

/* ---- a picture ---- */

static void picture_release(picture_t *p) {
    if (atomic_fetch_sub(&p->n_left, 1) > 1) return;
    if (p->shared.free) p->shared.free(p->shared.made);
    image_free(&p->image);
    pthread_mutex_destroy(&p->facts_lock);
    str_free(&p->key);
    str_free(&p->picture);
    str_free(&p->alt);
    str_free(&p->meta);
    free(p);
}

/* *damaged: the picture alone is at fault. The texts come first, for they show a shard that cannot be read at all. */
static lens_status load(picture_t *p, const run_t *r, int64_t sample, bool *damaged) {
    *damaged = false;
    LENS_TRY(dataset_caption(r->dataset, sample, "alt", &p->alt));
    LENS_TRY(dataset_meta(r->dataset, sample, &p->meta));
    LENS_TRY(dataset_key(r->dataset, sample, &p->key));
    lens_status st = dataset_image(r->dataset, sample, &p->picture);
    int32_t width, height;
    if (st == LENS_OK)
        st = r->captioner->type->wants_pixels
                 ? image_decode(&p->image, (const uint8_t *)p->picture.s, p->picture.len)
                 : image_probe(&width, &height, (const uint8_t *)p->picture.s, p->picture.len);
    *damaged = st == LENS_FORMAT;
    return st;
}

/* ---- answers ---- */

static lens_status record(run_t *r, open_shard_t *s, const task_answer_t *a) {
    LENS_TRY(tasks_record(&s->tasks, a));
    r->result.n_answers += !a->turned_down;
    return LENS_OK;
}

/* Under the lock. A lost answer is asked for again with the same seed, one turned down with the next. */
static lens_status go_back(run_t *r, open_shard_t *s, const retry_t *again) {
    retry_t *t = malloc(sizeof *t);
    if (!t) return lens_fail(LENS_MEMORY, "out of memory for a request");
    *t = *again;
    t->next = NULL;
    *r->last = t;
    r->last = &t->next;
    s->n_asked++;
    return LENS_OK;
}

static lens_status settle(run_t *r, const picture_t *p, const caption_request_t *q, const caption_reply_t *reply,
                          const quality_t *verdict) {
    const bool lost = reply->outcome == CAPTION_FAILED;
    task_t *task = tasks_at(&p->shard->tasks, p->within, q->kind);
    if (reply->outcome == CAPTION_LATER || (lost && run_ending(r))) {
        task->state = TASK_LATER;
        return LENS_OK;
    }
    const int n_lost = p->asked[q->kind].n_lost + lost, attempt = q->attempt + !lost;
    const bool is_last = attempt + n_lost - task->attempts_before >= r->options->max_attempts;
    const bool again = verdict->reason != QUALITY_ACCEPTED && verdict->reason != QUALITY_PICTURE && !is_last;
    const retry_t next = {
        .shard = p->shard, .within = p->within, .kind = q->kind, .attempt = attempt, .n_lost = n_lost};
    if (again && lost) return go_back(r, p->shard, &next);
    const task_answer_t a = {.within = p->within,
                             .kind = q->kind,
                             .attempts = lost ? attempt + n_lost : attempt,
                             .turned_down = again,
                             .verdict = *verdict,
                             .text = verdict->reason == QUALITY_ACCEPTED ? str_text(&verdict->text) : reply->text,
                             .message = reply->reason,
                             .details = reply->details};
    LENS_TRY(record(r, p->shard, &a));
    return again ? go_back(r, p->shard, &next) : LENS_OK;
}

/* st: whether there is a verdict, which is freed. */
static void take_verdict(const caption_request_t *q, const caption_reply_t *reply, lens_status st, quality_t *verdict) {
    picture_t *p = q->context;
    run_t *r = p->run;
    const recaption_watch_t *w = &r->options->watch;
    if (st == LENS_OK && w->answered && reply->outcome != CAPTION_LATER)
        w->answered(w->context, q->kind, verdict->reason, reply);
    pthread_mutex_lock(&r->lock);
    if (st == LENS_OK) st = settle(r, p, q, reply, verdict);
    if (st != LENS_OK) run_fail_locked(r, st);
    r->n_in_flight--; /* the run may be over from here on */
    run_part_with(r, p->shard);
    pthread_mutex_unlock(&r->lock);
    quality_free(verdict);
    picture_release(p);
}

/* ---- answers that say what the pixels may exclude ---- */

/* Measured once for all kinds. FORMAT: the picture cannot be decoded. */
static lens_status facts_of(facts_t *out, picture_t *p) {
    const judge_t *j = &p->run->judge;
    lens_status st = LENS_OK;
    pthread_mutex_lock(&p->facts_lock);
    if (!p->has_facts)
        st = p->image.rgb ? judge_measure(j, &p->facts, &p->image) : judge_measure_stored(j, &p->facts, &p->picture);
    p->has_facts = st == LENS_OK;
    *out = p->facts;
    pthread_mutex_unlock(&p->facts_lock);
    return st;
}

void run_compare(run_t *r, parked_t *k) {
    quality_t verdict = {.reason = QUALITY_PICTURE};
    facts_t facts;
    lens_status st = facts_of(&facts, k->request->context);
    if (st == LENS_OK)
        st = judge_reply(&verdict, &r->judge, k->request, &facts, &k->reply);
    else if (st == LENS_FORMAT)
        st = parked_set_reason(k, lens_error());
    take_verdict(k->request, &k->reply, st, &verdict);
    parked_free(k);
}

/* False: no thread is left that would take it. */
static bool park(run_t *r, parked_t *k) {
    pthread_mutex_lock(&r->lock);
    const bool taken = r->n_threads > 0;
    if (taken) {
        k->next = r->parked;
        r->parked = k;
        pthread_cond_broadcast(&r->change);
    }
    pthread_mutex_unlock(&r->lock);
    return taken;
}

/* Decoding and measuring take milliseconds, in which the thread of a captioner with hundreds of requests in flight
 * would serve none of them: ours do it. */
static void take_reply(const caption_request_t *q, const caption_reply_t *reply) {
    run_t *r = ((picture_t *)q->context)->run;
    quality_t verdict;
    parked_t *k = NULL;
    lens_status st = judge_reply(&verdict, &r->judge, q, NULL, reply);
    const bool compare = st == LENS_OK && verdict.has_claims;
    if (compare) st = parked_new(&k, q, reply);
    if (!k) {
        take_verdict(q, reply, st, &verdict);
        return;
    }
    quality_free(&verdict);
    if (q->image || !park(r, k)) run_compare(r, k);
}

/* ---- asking ---- */

static lens_status reject_damaged(run_t *r, const ask_t *a) {
    lens_status st = LENS_OK;
    str_t message = {0};
    str_add(&message, lens_error());
    pthread_mutex_lock(&r->lock);
    for (int k = 0; k < r->options->n_kinds; k++) {
        if (!(a->kinds >> k & 1)) continue;
        const task_answer_t answer = {.within = a->within,
                                      .kind = k,
                                      .attempts = tasks_at(&a->shard->tasks, a->within, k)->attempts,
                                      .verdict = {.reason = QUALITY_PICTURE},
                                      .text = "",
                                      .message = str_text(&message)};
        if (st == LENS_OK) st = record(r, a->shard, &answer);
    }
    pthread_mutex_unlock(&r->lock);
    str_free(&message);
    return st;
}

static void make_request(picture_t *p, const ask_t *a, int kind) {
    const task_t *task = tasks_at(&a->shard->tasks, a->within, kind);
    const int attempt = a->is_retry ? a->attempt : task->attempts;
    const uint64_t content = a->shard->tasks.content[a->within];
    p->asked[kind].n_lost = a->n_lost;
    p->asked[kind].request =
        (caption_request_t){.sample = a->shard->tasks.begin + a->within,
                            .key = str_text(&p->key),
                            .kind = kind,
                            .image = p->run->captioner->type->wants_pixels ? &p->image : NULL,
                            .picture = &p->picture,
                            .content = content,
                            .seed = caption_seed(content, a->shard->tasks.kinds[kind].name, attempt),
                            .alt = str_text(&p->alt),
                            .meta = str_text(&p->meta),
                            .attempt = attempt,
                            .shared = &p->shared,
                            .done = take_reply,
                            .context = p};
}

/* Under the lock. A thread that waits until less is in flight ends parked answers meanwhile: they count as in flight,
 * and where all threads wait nobody else would. */
static void wait_or_compare(run_t *r) {
    parked_t *k;
    if (!run_take_parked(r, &k)) {
        pthread_cond_wait(&r->change, &r->lock);
        return;
    }
    pthread_mutex_unlock(&r->lock);
    run_compare(r, k);
    pthread_mutex_lock(&r->lock);
}

/* Counts one more as in flight, unless the run is to end. */
static bool may_submit(run_t *r, open_shard_t *s) {
    const recaption_watch_t *w = &r->options->watch;
    recaption_may answer = RECAPTION_ASK;
    pthread_mutex_lock(&r->lock);
    while (w->may_ask && !run_ending(r) && (answer = w->may_ask(w->context, r->n_in_flight)) == RECAPTION_WAIT)
        wait_or_compare(r);
    if (answer == RECAPTION_ENOUGH) {
        r->stopping = true;
        pthread_cond_broadcast(&r->change);
    }
    const bool may = !run_ending(r);
    if (may) {
        s->n_asked++;
        r->n_in_flight++;
    }
    pthread_mutex_unlock(&r->lock);
    return may;
}

static lens_status submit(run_t *r, picture_t *p, const ask_t *a, int kind) {
    if (!may_submit(r, a->shard)) return LENS_OK; /* its journal knows what is left */
    make_request(p, a, kind);
    atomic_fetch_add(&p->n_left, 1);
    lens_status st = r->captioner->type->submit(r->captioner, &p->asked[kind].request);
    if (st == LENS_OK) return LENS_OK;
    pthread_mutex_lock(&r->lock);
    r->n_in_flight--;
    run_part_with(r, a->shard);
    if (r->stopping) st = LENS_OK; /* cancelled: its journal knows what is left */
    pthread_mutex_unlock(&r->lock);
    picture_release(p);
    return st;
}

lens_status run_ask(run_t *r, const ask_t *a) {
    picture_t *p = calloc(1, sizeof *p);
    if (!p) return lens_fail(LENS_MEMORY, "out of memory for a request");
    p->run = r;
    p->shard = a->shard;
    p->within = a->within;
    atomic_init(&p->n_left, 1);
    pthread_mutex_init(&p->facts_lock, NULL);
    bool damaged;
    lens_status st = load(p, r, a->shard->tasks.begin + a->within, &damaged);
    if (damaged) st = reject_damaged(r, a);
    for (int k = 0; k < r->options->n_kinds && st == LENS_OK && !damaged; k++)
        if (a->kinds >> k & 1) st = submit(r, p, a, k);
    picture_release(p);
    return st;
}
