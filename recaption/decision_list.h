/* What people decided over captions, as `lens review` exports it: one JSON object a line.
 *
 *     {"sample":KEY or index in the set, "kind":"dense", "decision":"accept"|"reject"|"edit", "text":"...",
 *      "of":"16 hex digits"}
 *
 * text: the new caption of an edit. of: the hash of the text that was decided over (decision_hash); without it, as in a
 * file written by hand, a decision is about whatever stands in the layer. Other members are ignored. Reentrant. */
#ifndef LENS_RECAPTION_DECISION_LIST_H
#define LENS_RECAPTION_DECISION_LIST_H

#include "base/error.h"

typedef enum { DECISION_ACCEPT, DECISION_REJECT, DECISION_EDIT, DECISION_N } decision_kind;

typedef struct {
    struct json_t *line;    /* owned; the strings are in it */
    const char *key, *kind; /* key: NULL where `sample` is the line's own */
    const char *text;       /* of an edit, not empty; else NULL */
    decision_kind decision;
    bool has_of;
    uint64_t of;
    int64_t sample; /* index in the set; -1 where there is a key */
    int64_t number; /* of the line, from 1 */
} decision_t;

typedef struct {
    decision_t *rows; /* owned; [n], as the lines come */
    size_t n, cap;
} decision_list_t;

/* All lines, or FORMAT with `path` and the first line that is no decision. Free in every case. */
LENS_CHECKED lens_status decision_list_parse(decision_list_t *out, const char *text, size_t n, const char *path);
void decision_list_free(decision_list_t *list);
const char *decision_name(decision_kind k);
/* Of a caption, or where that is "" of the answer that was rejected. */
uint64_t decision_hash(const char *answer);

#endif
