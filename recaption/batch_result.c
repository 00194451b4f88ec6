#include "recaption/batch_result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static lens_status read_response(batch_result_t *out, const json_t *response) {
    const json_t *status = json_object_get(response, "status_code");
    const json_int_t code = json_integer_value(status);
    if (!json_is_integer(status) || code < 100 || code > 999)
        return lens_fail(LENS_FORMAT, "response.status_code: expected 100 to 999");
    out->status = (int)code;
    out->body = json_object_get(response, "body");
    return LENS_OK;
}

static lens_status read_line(batch_result_t *out) {
    const json_t *response = json_object_get(out->line, "response"), *error = json_object_get(out->line, "error");
    out->custom_id = json_string_value(json_object_get(out->line, "custom_id"));
    if (!out->custom_id) return lens_fail(LENS_FORMAT, "expected an object with a custom_id");
    out->code = text_of(error, "code");
    out->message = text_of(error, "message");
    if (json_is_object(response)) return read_response(out, response);
    if (json_is_object(error)) return LENS_OK;
    return lens_fail(LENS_FORMAT, "expected a response or an error");
}

lens_status batch_result_parse(batch_result_t *out, const char *line, size_t n) {
    json_error_t error;
    *out = (batch_result_t){.line = json_loadb(line, n, 0, &error)};
    lens_status st = out->line ? read_line(out) : lens_fail(LENS_FORMAT, "no JSON: %s", error.text);
    if (st != LENS_OK) batch_result_free(out);
    return st;
}

void batch_result_free(batch_result_t *r) {
    json_decref(r->line);
    *r = (batch_result_t){0};
}

/* ---- what came of it ---- */

static lens_status add_body(str_t *out, const json_t *body) {
    char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text) return lens_fail(LENS_MEMORY, "out of memory for an answer");
    str_add(out, text);
    free(text);
    return str_status(out);
}

static void tell_error(str_t *reason, bool *is_filter, const batch_result_t *r, const str_t *body) {
    if (r->status) str_addf(reason, "HTTP %d: ", r->status);
    if (*r->code || *r->message)
        str_addf(reason, "%.100s: %.300s", r->code, r->message);
    else
        openai_reply_error(reason, is_filter, body, NULL);
}

lens_status batch_result_reply(batch_outcome *outcome, openai_reply_t *reply, const batch_result_t *r) {
    str_t body = {0};
    bool is_filter = false;
    lens_status st = r->body ? add_body(&body, r->body) : LENS_OK;
    *outcome = BATCH_FAILED;
    if (st == LENS_OK && r->status == 200 && !*r->code && !*r->message) {
        st = openai_reply_parse(reply, &body, NULL);
        if (st == LENS_OK && reply->is_answer) *outcome = BATCH_ANSWERED;
    } else if (st == LENS_OK) {
        openai_reply_reset(reply);
        tell_error(&reply->reason, &is_filter, r, &body);
        const int s = r->status;
        *outcome = is_filter                                      ? BATCH_REFUSED
                   : s == 400 || s == 413 || s == 415 || s == 422 ? BATCH_PICTURE
                                                                  : BATCH_FAILED;
        st = str_status(&reply->reason);
    }
    str_free(&body);
    return st;
}
