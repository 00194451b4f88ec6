/* Whose turn comes first: a binary heap of what waits for its time. The members hold their own place, so that one may
 * leave before its time. */
#ifndef LENS_TESTS_SERVER_TIMER_HEAP_H
#define LENS_TESTS_SERVER_TIMER_HEAP_H

#include "base/error.h"

typedef struct {
    int64_t due_ns;
    size_t place; /* 1 and up; 0: in no heap */
} timer_entry_t;

typedef struct {
    timer_entry_t **entries; /* the list is owned, its members are borrowed; entries[0] is unused */
    size_t n, cap;
} timer_heap_t;

LENS_CHECKED lens_status timer_heap_add(timer_heap_t *h, timer_entry_t *entry, int64_t due_ns);
void timer_heap_remove(timer_heap_t *h, timer_entry_t *entry); /* one that is in no heap is fine */
timer_entry_t *timer_heap_first(const timer_heap_t *h);        /* NULL where it is empty */
void timer_heap_free(timer_heap_t *h);

#endif
