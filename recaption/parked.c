#include "recaption/parked.h"

#include <stdlib.h>

lens_status parked_new(parked_t **out, const caption_request_t *request, const caption_reply_t *reply) {
    *out = NULL;
    parked_t *k = calloc(1, sizeof *k);
    if (!k) return lens_fail(LENS_MEMORY, "out of memory for an answer");
    k->request = request;
    k->reply = *reply;
    str_add(&k->text, reply->text);
    if (reply->details) str_add(&k->details, reply->details);
    k->reply.text = str_text(&k->text);
    if (reply->details) k->reply.details = str_text(&k->details);
    lens_status st = str_status(&k->text);
    if (st == LENS_OK) st = str_status(&k->details);
    if (st == LENS_OK) st = parked_set_reason(k, reply->reason);
    if (st == LENS_OK)
        *out = k;
    else
        parked_free(k);
    return st;
}

lens_status parked_set_reason(parked_t *k, const char *reason) {
    str_clear(&k->reason);
    str_add(&k->reason, reason);
    k->reply.reason = str_text(&k->reason);
    return str_status(&k->reason);
}

void parked_free(parked_t *k) {
    if (!k) return;
    str_free(&k->text);
    str_free(&k->reason);
    str_free(&k->details);
    free(k);
}
