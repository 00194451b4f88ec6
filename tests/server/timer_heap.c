#include "tests/server/timer_heap.h"

#include <stdlib.h>

static void put(timer_heap_t *h, size_t place, timer_entry_t *entry) {
    h->entries[place] = entry;
    entry->place = place;
}

static void settle(timer_heap_t *h, size_t place, timer_entry_t *entry) {
    for (; place > 1 && h->entries[place / 2]->due_ns > entry->due_ns; place /= 2) put(h, place, h->entries[place / 2]);
    for (size_t child; (child = 2 * place) <= h->n; place = child) {
        if (child < h->n && h->entries[child + 1]->due_ns < h->entries[child]->due_ns) child++;
        if (h->entries[child]->due_ns >= entry->due_ns) break;
        put(h, place, h->entries[child]);
    }
    put(h, place, entry);
}

lens_status timer_heap_add(timer_heap_t *h, timer_entry_t *entry, int64_t due_ns) {
    if (h->n + 2 > h->cap) {
        const size_t cap = h->cap ? 2 * h->cap : 64;
        timer_entry_t **grown = realloc(h->entries, cap * sizeof(timer_entry_t *));
        if (!grown) return lens_fail(LENS_MEMORY, "cannot allocate %zu timers", cap);
        h->entries = grown;
        h->cap = cap;
    }
    entry->due_ns = due_ns;
    settle(h, ++h->n, entry);
    return LENS_OK;
}

void timer_heap_remove(timer_heap_t *h, timer_entry_t *entry) {
    if (!entry->place) return;
    timer_entry_t *last = h->entries[h->n--];
    const size_t place = entry->place;
    if (last != entry) settle(h, place, last);
    entry->place = 0;
}

timer_entry_t *timer_heap_first(const timer_heap_t *h) {
    return h->n ? h->entries[1] : NULL;
}

void timer_heap_free(timer_heap_t *h) {
    free(h->entries);
}
