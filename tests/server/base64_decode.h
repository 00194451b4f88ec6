/* Base64 (RFC 4648, section 4), strictly: whole groups, padding at the end alone. "\/" of JSON counts as "/". */
#ifndef LENS_TESTS_SERVER_BASE64_DECODE_H
#define LENS_TESTS_SERVER_BASE64_DECODE_H

#include "base/str.h"

/* Adds to out. False where the text is no base64; out then holds a part. */
bool base64_decode(str_t *out, const char *text, size_t n);

#endif
