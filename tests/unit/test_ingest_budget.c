/* The budget under threads: never exceeded, and a request as large as the budget gets its turn among small ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/ingest_budget.h"

enum { TOTAL = 100, SMALL = 30, ROUNDS = 2000, N_SMALL = 6 };

typedef struct {
    ingest_budget_t budget;
    atomic_int held, most;
    atomic_bool large_done;
} shared_t;

static void use(shared_t *s, int bytes) {
    ingest_budget_take(&s->budget, (uint64_t)bytes);
    int held = atomic_fetch_add(&s->held, bytes) + bytes, most = atomic_load(&s->most);
    while (held > most && !atomic_compare_exchange_weak(&s->most, &most, held)) {
    }
    atomic_fetch_sub(&s->held, bytes);
    ingest_budget_give(&s->budget, (uint64_t)bytes);
}

/* Small requests go on until the large ones are all served: where those starve, this does not end. */
static void *small_main(void *arg) {
    shared_t *s = arg;
    while (!atomic_load(&s->large_done)) use(s, SMALL);
    return NULL;
}

static void *large_main(void *arg) {
    shared_t *s = arg;
    for (int i = 0; i < ROUNDS; i++) use(s, TOTAL);
    atomic_store(&s->large_done, true);
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    static shared_t s;
    pthread_t threads[N_SMALL + 1];
    ingest_budget_init(&s.budget, TOTAL);
    for (int i = 0; i <= N_SMALL; i++) /* the large one comes when the small ones are at it */
        assert_int_equal(pthread_create(&threads[i], NULL, i < N_SMALL ? small_main : large_main, &s), 0);
    for (int i = 0; i <= N_SMALL; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(s.most, TOTAL);
    assert_int_equal(s.budget.used, 0);
    ingest_budget_reset(&s.budget);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
