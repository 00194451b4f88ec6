/* A key that must stay secret: read from the environment or a file, kept in one page of memory that core dumps leave
 * out (MADV_DONTDUMP), wiped when freed. NULL is the secret of who has none. What a server sends back goes through
 * secret_redact() before it may reach a message or a file. */
#ifndef LENS_RECAPTION_SECRET_H
#define LENS_RECAPTION_SECRET_H

#include "base/error.h"
#include "base/str.h"

enum { SECRET_MIN_BYTES = 4, SECRET_MAX_BYTES = 4000 };

typedef struct secret secret_t;

/* The variable's value; *out is NULL where it is not set or empty. ARGUMENT: not printable ASCII, too short or long. */
LENS_CHECKED lens_status secret_from_env(secret_t **out, const char *name);
/* The file's first line. ARGUMENT: others than its owner and group may read it, more than one line, as above. */
LENS_CHECKED lens_status secret_from_file(secret_t **out, const char *path);
/* "Authorization: Bearer KEY", in the same page; NULL for NULL. Borrowed. */
char *secret_header(secret_t *s);
/* Each occurrence of the key in `text` becomes "[key]". */
void secret_redact(const secret_t *s, str_t *text);
void secret_free(secret_t *s); /* NULL is allowed */

#endif
