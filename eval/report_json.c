#include "eval/report_json.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/str.h"

enum { FILE_MAX_BYTES = 16 << 20 };
#define NUMBER_MAX 1e15

lens_status report_json_read(json_t **out, const char *dir, const char *name) {
    str_t path = {0};
    char *bytes = NULL;
    size_t n = 0;
    json_error_t error;
    *out = NULL;
    str_addf(&path, "%s/%s", dir, name);
    lens_status st = str_status(&path);
    if (st != LENS_OK || !file_exists(path.s)) goto done;
    LENS_GO(file_read(&bytes, &n, path.s, FILE_MAX_BYTES));
    *out = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(*out)) goto done;
    json_decref(*out);
    *out = NULL;
    st = lens_fail(LENS_FORMAT, "%s: expected a JSON object", path.s);
done:
    free(bytes);
    str_free(&path);
    return st;
}

lens_status report_json_number(double *out, const json_t *object, const char *name, const char *where) {
    const json_t *value = json_object_get(object, name);
    *out = json_number_value(value);
    if (json_is_number(value) && *out >= 0 && *out <= NUMBER_MAX) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: \"%s\": expected a number from 0 to %g", where, name, NUMBER_MAX);
}
