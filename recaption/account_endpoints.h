/* What each endpoint of a run has done, as JSON, and summed over ranks. */
#ifndef LENS_RECAPTION_ACCOUNT_ENDPOINTS_H
#define LENS_RECAPTION_ACCOUNT_ENDPOINTS_H

#include <jansson.h>

#include "recaption/captioner.h"

/* Adds a JSON array; per_s: answers a second, by `seconds` of this run. */
void account_endpoints_json(const captioner_stats_t *s, double seconds, str_t *out);
/* Adds another rank's array to the endpoints of the same names; unknown names are another run's and left out. Counts
 * are sums; latencies are means of the ranks' by their answers, quantiles too. The text of what is wrong, or NULL. */
const char *account_endpoints_add(captioner_stats_t *to, const json_t *array);
/* For the progress line: ", a:8000 12.3/s, b:8000 9.8/s (rests)", the first few. */
void account_endpoints_line(const captioner_stats_t *s, double seconds, str_t *out);

#endif
