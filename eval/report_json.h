/* JSON files beside a dataset, as a report reads them: written by other commands, so hostile. One thread. */
#ifndef LENS_EVAL_REPORT_JSON_H
#define LENS_EVAL_REPORT_JSON_H

#include <jansson.h>

#include "base/error.h"

/* The object in DIR/NAME, which the caller decrefs; NULL where there is no such file. FORMAT: it is no JSON object. */
LENS_CHECKED lens_status report_json_read(json_t **out, const char *dir, const char *name);
/* A member that is a number from 0 to 1e15; `where` begins the message. */
LENS_CHECKED lens_status report_json_number(double *out, const json_t *object, const char *name, const char *where);

#endif
