/* The journal of a shard: answers, appended as they come, so that whatever ends a run loses at most what came since the
 * last journal_sync().
 *
 *     file    "LENSJNL1", frames
 *     frame   u32 length of the payload, u64 xxh64 of it (both little-endian), payload
 *
 * The first payload is the settings, a JSON object; each other one a record, opaque here. Reading stops at the first
 * frame that is not whole: the rest was never synced, and is cut off. One writer; append and read from any thread. */
#ifndef LENS_RECAPTION_JOURNAL_H
#define LENS_RECAPTION_JOURNAL_H

#include "base/error.h"
#include "base/str.h"

enum { JOURNAL_MAX_PAYLOAD = 32 << 20 };

typedef struct journal journal_t;
/* Not OK ends journal_open. The payload is borrowed and NUL-terminated. */
typedef lens_status (*journal_visit)(void *context, const char *payload, size_t n, uint64_t offset);

/* Opens, or makes where there is none, and shows each record. STATE where it was made with other settings: the message
 * names the first that differs. *out is owned by the caller. */
LENS_CHECKED lens_status journal_open(journal_t **out, const char *path, const char *settings, journal_visit visit,
                                      void *context);
/* The settings of a journal that is there; "" where they are not whole, or it is none of this version. */
LENS_CHECKED lens_status journal_settings(str_t *out, const char *path);
/* Only whether journal_open would refuse a journal for its settings. */
LENS_CHECKED lens_status journal_check(const char *path, const char *settings);
void journal_close(journal_t *j); /* NULL is allowed; does not sync */
/* *offset: for journal_read. What could not be written whole is taken back: the journal stays as it was. */
LENS_CHECKED lens_status journal_append(journal_t *j, const char *payload, size_t n, uint64_t *offset);
LENS_CHECKED lens_status journal_read(const journal_t *j, uint64_t offset, str_t *payload); /* cleared and filled */
LENS_CHECKED lens_status journal_sync(journal_t *j); /* what was appended before is on disk afterwards */
const char *journal_path(const journal_t *j);

/* The frame at the start of bytes[n]: its size, 0 where none is whole. *payload is borrowed. */
size_t journal_frame(const char *bytes, size_t n, const char **payload, size_t *n_payload);

#endif
