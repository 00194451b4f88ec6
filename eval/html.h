/* Pieces of HTML text: numbers as people read them, and bytes as data URIs. Each adds to a str_t, whose `failed` is the
 * one check. What is added is well formed as XML too. Reentrant; any thread. */
#ifndef LENS_EVAL_HTML_H
#define LENS_EVAL_HTML_H

#include "base/str.h"

void html_add_int(str_t *out, int64_t v);       /* 1234567 as 1,234,567 */
void html_add_number(str_t *out, double v);     /* three significant digits, 1.50e-05; "none" where not finite */
void html_add_short(str_t *out, double v);      /* 6.92 M */
void html_add_bytes(str_t *out, double bytes);  /* 12.3 MB, powers of 1000 */
void html_add_duration(str_t *out, double s);   /* 1 h 23 min, 45.2 s */
void html_add_percent(str_t *out, double frac); /* 0.634 as 63.4 % */

/* data:MIME;base64,... of the n bytes. mime is ours, not a file's. */
void html_add_data_uri(str_t *out, const char *mime, const void *bytes, size_t n);

#endif
