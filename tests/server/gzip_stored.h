/* gzip (RFC 1952) without compression: stored blocks (RFC 1951, 3.2.4). What matters is that a reader must unpack it.
 */
#ifndef LENS_TESTS_SERVER_GZIP_STORED_H
#define LENS_TESTS_SERVER_GZIP_STORED_H

#include "base/str.h"

void gzip_stored(str_t *out, const char *bytes, size_t n);

#endif
