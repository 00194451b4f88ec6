/* The answer to a chat completion: whole, as server-sent events, or as wrong as a chat_fault asks for. */
#ifndef LENS_TESTS_SERVER_CHAT_ANSWER_H
#define LENS_TESTS_SERVER_CHAT_ANSWER_H

#include "tests/server/chat_fault.h"
#include "tests/server/chat_request.h"
#include "tests/server/http_server.h"

typedef struct {
    bool echo, any_seed;   /* the answer is the prompt; the text depends on the picture alone */
    double tokens_per_s;   /* 0: all at once */
    int64_t slow_ns;       /* what SLOW takes */
    int64_t retry_after_s; /* of 429 */
    bool retry_after_date; /* as a date; else every second time */
} chat_manner_t;

typedef struct {
    int64_t prompt_tokens, completion_tokens;
    const char *finish_reason; /* "" where there is no completion */
} chat_spent_t;

void chat_answer(http_answer_t *answer, chat_request_t *r, const chat_draw_t *draw, const chat_manner_t *manner,
                 chat_spent_t *spent);
/* An error as OpenAI's API says it. */
void chat_answer_error(http_answer_t *answer, int status, const char *fields, const char *type, const char *message);
/* 429, at once. The time to wait is told in seconds or as an HTTP date. */
void chat_answer_too_many(http_answer_t *answer, int64_t retry_after_s, bool as_date);

#endif
