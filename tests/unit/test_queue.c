/* The bounded queue: order, what close means to those who wait, many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/queue.h"

static void first_in_first_out(void **state) {
    (void)state;
    queue_t *q;
    int items[5];
    void *got;
    assert_int_equal(queue_new(&q, 3), LENS_OK);
    for (int round = 0; round < 4; round++) { /* around the ring */
        for (int i = 0; i < 3; i++) assert_true(queue_push(q, &items[i]));
        for (int i = 0; i < 2; i++) assert_true(queue_pop(q, &got) && got == &items[i]);
        assert_true(queue_push(q, &items[3]));
        assert_true(queue_pop(q, &got) && got == &items[2]);
        assert_true(queue_pop(q, &got) && got == &items[3]);
    }
    queue_free(q);
    queue_free(NULL);
}

static void closed_queues_give_what_is_left(void **state) {
    (void)state;
    queue_t *q;
    int items[2];
    void *got = NULL;
    assert_int_equal(queue_new(&q, 2), LENS_OK);
    assert_true(queue_push(q, &items[0]));
    assert_true(queue_push(q, &items[1]));
    queue_close(q);
    assert_false(queue_push(q, &items[0])); /* not blocked, though full */
    assert_true(queue_pop(q, &got) && got == &items[0]);
    assert_false(queue_push(q, &items[0]));
    assert_true(queue_pop(q, &got) && got == &items[1]);
    assert_false(queue_pop(q, &got));
    queue_close(q); /* again is fine */
    assert_false(queue_pop(q, &got));
    queue_free(q);
}

typedef struct {
    queue_t *q;
    atomic_int begun, n_refused, n_popped, sum;
    int per_producer;
} work_t;

static void *pop_all(void *arg) {
    work_t *w = arg;
    void *item;
    atomic_fetch_add(&w->begun, 1);
    while (queue_pop(w->q, &item)) {
        atomic_fetch_add(&w->n_popped, 1);
        atomic_fetch_add(&w->sum, *(int *)item);
    }
    return NULL;
}

static int one_to_eight[] = {1, 2, 3, 4, 5, 6, 7, 8};

static void *push_all(void *arg) {
    work_t *w = arg;
    atomic_fetch_add(&w->begun, 1);
    for (int i = 0; i < w->per_producer; i++)
        if (!queue_push(w->q, &one_to_eight[i % 8])) {
            atomic_fetch_add(&w->n_refused, 1);
            break;
        }
    return NULL;
}

static void start(pthread_t *threads, int n, void *(*run)(void *), work_t *w) {
    for (int i = 0; i < n; i++) assert_int_equal(pthread_create(&threads[i], NULL, run, w), 0);
}
static void join(pthread_t *threads, int n) {
    for (int i = 0; i < n; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Time for the threads to be asleep inside; a test of a thread that is not there yet is passed as well. */
static void let_them_wait(work_t *w, int n) {
    while (atomic_load(&w->begun) < n) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static void nothing_is_lost_between_threads(void **state) {
    (void)state;
    pthread_t producers[3], consumers[3];
    work_t w = {.per_producer = 4000};
    assert_int_equal(queue_new(&w.q, 2), LENS_OK);
    start(consumers, 3, pop_all, &w);
    start(producers, 3, push_all, &w);
    join(producers, 3);
    queue_close(w.q);
    join(consumers, 3);
    assert_int_equal(atomic_load(&w.n_refused), 0);
    assert_int_equal(atomic_load(&w.n_popped), 3 * 4000);
    assert_int_equal(atomic_load(&w.sum), 3 * 4000 / 8 * 36);
    queue_free(w.q);
}

static void close_wakes_consumers(void **state) {
    (void)state;
    pthread_t consumers[4];
    work_t w = {0};
    assert_int_equal(queue_new(&w.q, 1), LENS_OK);
    start(consumers, 4, pop_all, &w);
    let_them_wait(&w, 4);
    queue_close(w.q);
    join(consumers, 4);
    assert_int_equal(atomic_load(&w.n_popped), 0);
    queue_free(w.q);
}

static void close_wakes_producers(void **state) {
    (void)state;
    pthread_t producers[4];
    work_t w = {.per_producer = 10};
    void *item;
    assert_int_equal(queue_new(&w.q, 1), LENS_OK);
    start(producers, 4, push_all, &w);
    let_them_wait(&w, 4);
    queue_close(w.q);
    join(producers, 4);
    assert_int_equal(atomic_load(&w.n_refused), 4);
    assert_true(queue_pop(w.q, &item)); /* the one that found room */
    assert_false(queue_pop(w.q, &item));
    queue_free(w.q);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(closed_queues_give_what_is_left),
        cmocka_unit_test(close_wakes_consumers),
        cmocka_unit_test(close_wakes_producers),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
