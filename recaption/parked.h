/* An answer that waits for its picture to be measured: replies end with done(), so all of one is copied. */
#ifndef LENS_RECAPTION_PARKED_H
#define LENS_RECAPTION_PARKED_H

#include "recaption/captioner.h"

typedef struct parked {
    struct parked *next;
    const caption_request_t *request; /* borrowed */
    caption_reply_t reply;            /* its strings lie in what follows */
    str_t text, reason, details;
} parked_t;

LENS_CHECKED lens_status parked_new(parked_t **out, const caption_request_t *request, const caption_reply_t *reply);
/* The reply's reason is now this one; MEMORY. */
LENS_CHECKED lens_status parked_set_reason(parked_t *k, const char *reason);
void parked_free(parked_t *k);

#endif
