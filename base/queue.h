/* A bounded queue of pointers between threads. Any number of producers and consumers. */
#ifndef LENS_BASE_QUEUE_H
#define LENS_BASE_QUEUE_H

#include "base/error.h"

typedef struct queue queue_t;

LENS_CHECKED lens_status queue_new(queue_t **out, int capacity);
void queue_free(queue_t *q); /* NULL is allowed; items left inside are the caller's */
/* Blocks while full. False where the queue was closed: the item is still the caller's. */
bool queue_push(queue_t *q, void *item);
/* Blocks while empty. False where the queue is closed and empty. */
bool queue_pop(queue_t *q, void **item);
void queue_close(queue_t *q); /* wakes everyone; items inside can still be popped */

#endif
