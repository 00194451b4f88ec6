/* Requests as files for OpenAI's Batch API, one a line:
 *
 *     {"custom_id":..., "method":"POST", "url":"/v1/chat/completions", "body":{...}}
 *
 * PREFIX-00000.jsonl, PREFIX-00001.jsonl ..., each within the limits, whole and renamed when the next one begins. */
#ifndef LENS_RECAPTION_BATCH_OUT_H
#define LENS_RECAPTION_BATCH_OUT_H

#include "base/str.h"

/* As the service has them; MB are 10^6 bytes. */
enum { BATCH_MAX_REQUESTS = 50000, BATCH_MAX_BYTES = 200000000 };

typedef struct batch_out batch_out_t;
/* prefix: a folder that is there gets files "requests-00000.jsonl". STATE where the first file is there already. Writes
 * nothing yet. *out is owned by the caller. */
LENS_CHECKED lens_status batch_out_open(batch_out_t **out, const char *prefix, int64_t max_requests, int64_t max_bytes);
/* Any thread. ARGUMENT: a request that is larger than a file may be. */
LENS_CHECKED lens_status batch_out_add(batch_out_t *b, const str_t *custom_id, const str_t *body);
LENS_CHECKED lens_status batch_out_finish(batch_out_t *b); /* the last file is there */
void batch_out_close(batch_out_t *b);                      /* drops what is not finished; NULL is allowed */
int64_t batch_out_n_requests(const batch_out_t *b);
int64_t batch_out_n_files(const batch_out_t *b);

#endif
