/* What goes wrong with an answer, and when: drawn so that a run can be repeated, whatever the order in which its
 * requests come.
 *
 * Faults on the way depend on (server's seed, picture, request's seed, how many times this was asked before): a client
 * that asks again gets another draw. Bad answers are the model's: they depend on (server's seed, picture, request's
 * seed) alone, so that the same question gets the same bad answer again and another seed may get a good one. A bad
 * answer may meet a fault on its way too: one that is slow is as bad as one that is not. */
#ifndef LENS_TESTS_SERVER_CHAT_FAULT_H
#define LENS_TESTS_SERVER_CHAT_FAULT_H

#include "base/error.h"

/* X(identifier, name, kind). Kinds: OK; WAY, drawn by --error-rate; NAMED, the same but only where --faults names it;
 * BAD, drawn by --bad-rate. */
#define CHAT_FAULT_LIST(X)                                                                                             \
    X(NONE, "ok", OK)                                                                                                  \
    X(TOO_MANY, "429", WAY)            /* with Retry-After, in seconds or as a date */                                 \
    X(ERROR, "500", WAY)               /* with an error in JSON */                                                     \
    X(UNAVAILABLE, "503", WAY)         /* without a body */                                                            \
    X(RESET, "reset", WAY)             /* RST before the first byte */                                                 \
    X(RESET_AMID, "reset-amid", WAY)   /* RST after half of the body */                                                \
    X(TRUNCATED, "truncated", WAY)     /* FIN after half of the body */                                                \
    X(MALFORMED, "malformed", WAY)     /* a body that ends amid its JSON, with the length it has */                    \
    X(HTML, "html", WAY)               /* a proxy's page, as 200 or 502 */                                             \
    X(SLOW, "slow", WAY)               /* right, in ten pieces over --slow-ms */                                       \
    X(EMPTY, "empty-choices", WAY)     /* "choices": [] */                                                             \
    X(CLOSE, "close", WAY)             /* right, and then FIN, unannounced */                                          \
    X(HANG, "hang", NAMED)             /* accepted and never answered */                                               \
    X(STALE, "stale", NAMED)           /* FIN without a byte, on a connection that was used before; else right */      \
    X(ERROR_200, "error-200", NAMED)   /* a gateway's: status 200, an error for a body, or for a choice */             \
    X(CHUNKED, "chunked", NAMED)       /* right, in chunks */                                                          \
    X(GZIP, "gzip", NAMED)             /* right, compressed */                                                         \
    X(PARTS, "parts", NAMED)           /* right, the content a list of parts */                                        \
    X(THINK, "think", NAMED)           /* right, behind thoughts in the content */                                     \
    X(LENGTH, "length", BAD)           /* cut amid a sentence, finish_reason length */                                 \
    X(FILTERED, "content-filter", BAD) /* no content, finish_reason content_filter */                                  \
    X(REFUSAL, "refusal", BAD)         /* in its field, or in words as the content */                                  \
    X(LOOP, "loop", BAD)               /* the same words over and over */

typedef enum {
#define CHAT_FAULT_ENUM(identifier, name, kind) CHAT_FAULT_##identifier,
    CHAT_FAULT_LIST(CHAT_FAULT_ENUM)
#undef CHAT_FAULT_ENUM
        CHAT_N_FAULTS
} chat_fault;

typedef struct {
    chat_fault on_the_way, bad; /* NONE or of that kind */
    uint32_t times;             /* how often the same was asked before */
} chat_draw_t;

typedef struct {
    uint64_t seed;
    double error_rate, bad_rate;
    uint32_t allowed;       /* a bit each; 0: all but those that must be named */
    struct seen_slot *seen; /* owned: how often what was asked */
    size_t n_seen, cap_seen;
} chat_faults_t;

const char *chat_fault_name(chat_fault fault);
/* "429,reset": sets allowed. "all": 0. ARGUMENT for a name that is none. */
LENS_CHECKED lens_status chat_faults_allow(chat_faults_t *f, const char *names);
LENS_CHECKED lens_status chat_faults_draw(chat_faults_t *f, uint64_t picture, uint64_t seed, chat_draw_t *out);
void chat_faults_free(chat_faults_t *f);

#endif
