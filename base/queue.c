#include "base/queue.h"

#include <pthread.h>
#include <stdlib.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_full, not_empty;
    void **items; /* ring */
    int capacity, head, n;
    bool closed;
};

lens_status queue_new(queue_t **out, int capacity) {
    *out = NULL;
    LENS_ASSERT(capacity > 0, "capacity %d", capacity);
    queue_t *q = calloc(1, sizeof *q);
    void **items = calloc((size_t)capacity, sizeof *items);
    if (!q || !items) {
        free(q);
        free(items);
        return lens_fail(LENS_MEMORY, "out of memory for a queue of %d items", capacity);
    }
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->not_full, NULL);
    pthread_cond_init(&q->not_empty, NULL);
    q->items = items;
    q->capacity = capacity;
    *out = q;
    return LENS_OK;
}

void queue_free(queue_t *q) {
    if (!q) return;
    pthread_cond_destroy(&q->not_empty);
    pthread_cond_destroy(&q->not_full);
    pthread_mutex_destroy(&q->lock);
    free(q->items);
    free(q);
}

bool queue_push(queue_t *q, void *item) {
    pthread_mutex_lock(&q->lock);
    while (q->n == q->capacity && !q->closed) pthread_cond_wait(&q->not_full, &q->lock);
    bool accepted = !q->closed;
    if (accepted) {
        q->items[(q->head + q->n++) % q->capacity] = item;
        pthread_cond_signal(&q->not_empty);
    }
    pthread_mutex_unlock(&q->lock);
    return accepted;
}

bool queue_pop(queue_t *q, void **item) {
    pthread_mutex_lock(&q->lock);
    while (q->n == 0 && !q->closed) pthread_cond_wait(&q->not_empty, &q->lock);
    bool found = q->n > 0;
    if (found) {
        *item = q->items[q->head];
        q->head = (q->head + 1) % q->capacity;
        q->n--;
        pthread_cond_signal(&q->not_full);
    }
    pthread_mutex_unlock(&q->lock);
    return found;
}

void queue_close(queue_t *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_full);
    pthread_cond_broadcast(&q->not_empty);
    pthread_mutex_unlock(&q->lock);
}
