/* recaption/journal.h: any bytes as a journal's frames, and as the records of a shard's tasks. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "recaption/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { N_SAMPLES = 3, N_KINDS = 2 };

static void apply(const char *payload, size_t n) {
    static const caption_kind_t kinds[N_KINDS] = {{.name = "dense", .style = ""}, {.name = "brief", .style = ""}};
    task_t rows[N_SAMPLES * N_KINDS] = {0};
    task_kind_t by_kind[N_KINDS] = {{.wanted = true, .n_waiting = N_SAMPLES}, {.wanted = true, .n_waiting = N_SAMPLES}};
    uint64_t content[N_SAMPLES] = {1, 2, 1};
    tasks_t t = {.n = N_SAMPLES,
                 .n_kinds = N_KINDS,
                 .kinds = kinds,
                 .unique = true,
                 .max_attempts = 2,
                 .by_kind = by_kind,
                 .tasks = rows,
                 .content = content};
    for (size_t at = 0; at < n;) { /* a line is a record */
        const char *end = memchr(payload + at, '\n', n - at);
        const size_t length = end ? (size_t)(end - payload) - at : n - at;
        lens_status st = tasks_apply(&t, payload + at, length, at);
        LENS_ASSERT(st == LENS_OK || st == LENS_FORMAT, "status %d", (int)st);
        at += length + 1;
    }
    for (int i = 0; i < N_SAMPLES * N_KINDS; i++)
        for (int32_t at = rows[i].turned_down; at; at = t.turned_down[at - 1].before)
            LENS_ASSERT(at <= t.n_turned_down && t.turned_down[at - 1].before < at, "row %d", (int)at);
    free(t.turned_down);
    for (int k = 0; k < N_KINDS; k++) {
        LENS_ASSERT(by_kind[k].n_waiting >= 0 && by_kind[k].n_waiting <= N_SAMPLES, "%lld tasks wait",
                    (long long)by_kind[k].n_waiting);
        caption_set_free(&by_kind[k].captions);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    const char *text = (const char *)bytes, *payload;
    size_t n_payload, at = 0, size;
    while ((size = journal_frame(text + at, n - at, &payload, &n_payload)) > 0) {
        LENS_ASSERT(payload + n_payload == text + at + size, "%zu bytes", n_payload);
        at += size;
    }
    apply(text, n);
    return 0;
}
