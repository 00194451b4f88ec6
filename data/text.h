/* Texts of a dataset: UTF-8 without NUL. Reentrant. */
#ifndef LENS_DATA_TEXT_H
#define LENS_DATA_TEXT_H

#include "base/error.h"

#define TEXT_MAX_BYTES ((size_t)16 << 20) /* one key, caption or metadata record */

bool text_is_utf8(const char *text, size_t n);     /* well-formed, no NUL */
bool text_has_control(const char *text, size_t n); /* bytes below space, DEL */
bool text_is_json_object(const char *text, size_t n);
size_t text_count_words(const char *text, size_t n); /* runs of bytes that are no white space */

#endif
