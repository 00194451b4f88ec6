/* A line of a batch's result file, as OpenAI's Batch API writes it (and vLLM's run-batch):
 *
 *     {"id":..., "custom_id":..., "response":{"status_code":200,"request_id":...,"body":{...}}, "error":null}
 *
 * with response null and error {"code","message"} where the request did not come to an answer ("batch_expired"). */
#ifndef LENS_RECAPTION_BATCH_RESULT_H
#define LENS_RECAPTION_BATCH_RESULT_H

#include <jansson.h>

#include "recaption/openai_private.h"

typedef enum {
    BATCH_ANSWERED, /* the reply is whole */
    BATCH_REFUSED,  /* the server will not, for what is shown: reply.reason says so */
    BATCH_PICTURE,  /* 400, 413, 415, 422: one picture's fault, the same request would get it again */
    BATCH_FAILED,   /* anything else: to be asked again */
} batch_outcome;

typedef struct {
    json_t *line;               /* owned */
    const char *custom_id;      /* borrowed from it, as all below */
    int status;                 /* of HTTP; 0: none */
    const json_t *body;         /* NULL: none */
    const char *code, *message; /* of the error; "" */
} batch_result_t;

/* FORMAT where it is no such line. *out is freed on failure. */
LENS_CHECKED lens_status batch_result_parse(batch_result_t *out, const char *line, size_t n);
void batch_result_free(batch_result_t *r);
/* What came of it; fills the reply, its reason where there is no answer. */
LENS_CHECKED lens_status batch_result_reply(batch_outcome *outcome, openai_reply_t *reply, const batch_result_t *r);

#endif
