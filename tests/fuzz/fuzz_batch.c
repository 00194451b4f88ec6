/* recaption/batch_result.h, batch_id.h: any bytes as lines of a batch's result file, and as names of requests. */
#include <stdint.h>
#include <string.h>

#include "recaption/batch_id.h"
#include "recaption/batch_result.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void name(const char *text) {
    batch_id_t id;
    if (!batch_id_parse(&id, text)) return;
    str_t again = {0};
    LENS_ASSERT(batch_id_write(&again, &id) == LENS_OK && strcmp(again.s, text) == 0, "'%.80s'", text);
    str_free(&again);
}

static void line(const char *text, size_t n, openai_reply_t *reply) {
    batch_result_t r;
    batch_outcome outcome;
    lens_status st = batch_result_parse(&r, text, n);
    LENS_ASSERT(st == LENS_OK || (st == LENS_FORMAT && !r.line), "status %d", (int)st);
    if (st != LENS_OK) return;
    name(r.custom_id);
    st = batch_result_reply(&outcome, reply, &r);
    LENS_ASSERT(st == LENS_OK, "status %d", (int)st);
    LENS_ASSERT((outcome == BATCH_ANSWERED) == reply->is_answer, "outcome %d", (int)outcome);
    batch_result_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    const char *text = (const char *)bytes;
    openai_reply_t reply = {0};
    for (size_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t length = end ? (size_t)(end - text) - at : n - at;
        line(text + at, length, &reply);
        at += length + 1;
    }
    char id[BATCH_ID_MAX + 8] = "";
    memcpy(id, text, n < sizeof id - 1 ? n : sizeof id - 1);
    name(id);
    openai_reply_free(&reply);
    return 0;
}
