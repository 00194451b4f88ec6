#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recaption/openai_private.h"

enum {
    MESSAGE_MAX = 300,      /* characters of a server's words */
    NAME_MAX_BYTES = 200,   /* of a model, of a finish_reason */
    ANSWER_MAX = 256 << 10, /* bytes: more is no caption, and its escaped form could not be kept */
    TOKENS_MAX = 1000000000,
};
static const char white[] = " \t\r\n";

void openai_reply_reset(openai_reply_t *r) {
    str_clear(&r->text);
    str_clear(&r->reason);
    str_clear(&r->details);
    r->is_answer = false;
    r->status = 200;
    r->outcome = CAPTION_FAILED;
    r->tokens_in = r->tokens_out = 0;
    r->mean_logprob = NAN;
}

static void add_trimmed(str_t *out, const char *text) {
    text += strspn(text, white);
    size_t n = strlen(text);
    while (n && strchr(white, text[n - 1])) n--;
    str_add_n(out, text, n);
}

static int64_t tokens(const json_t *usage, const char *name) {
    const json_int_t n = json_integer_value(json_object_get(usage, name));
    return n > 0 && n <= TOKENS_MAX ? (int64_t)n : 0;
}

static double mean_logprob(const json_t *choice) {
    const json_t *content = json_object_get(json_object_get(choice, "logprobs"), "content");
    double sum = 0;
    const size_t n = json_array_size(content);
    for (size_t i = 0; i < n; i++) {
        const json_t *logprob = json_object_get(json_array_get(content, i), "logprob");
        if (!json_is_number(logprob)) return NAN;
        sum += json_number_value(logprob);
    }
    return n && isfinite(sum) ? sum / (double)n : NAN;
}

/* At most `max` characters of what a server says, on one line. Redacted before it is cut: half a key is a secret too.
 */
static void add_said(str_t *out, const char *text, size_t n_bytes, size_t max, const secret_t *key) {
    str_t said = {0};
    str_add_utf8(&said, text, n_bytes);
    secret_redact(key, &said);
    size_t n = said.len, n_characters = 0;
    for (size_t i = 0; i < said.len && n == said.len; i++) {
        if ((unsigned char)said.s[i] < ' ') said.s[i] = ' ';
        if (((unsigned char)said.s[i] & 0xc0) != 0x80 && n_characters++ == max) n = i;
    }
    str_add_n(out, str_text(&said), n);
    out->failed |= said.failed;
    str_free(&said);
}

/* What the sample's record keeps: nothing that differs from run to run. */
static void add_details(openai_reply_t *r, const json_t *root, const char *finish) {
    const char *model = json_string_value(json_object_get(root, "model"));
    str_add(&r->details, "{\"finish_reason\":");
    str_add_json(&r->details, finish, strlen(finish));
    if (model && strlen(model) <= NAME_MAX_BYTES) {
        str_add(&r->details, ",\"model\":");
        str_add_json(&r->details, model, strlen(model));
    }
    str_addf(&r->details, ",\"tokens_in\":%lld,\"tokens_out\":%lld", (long long)r->tokens_in, (long long)r->tokens_out);
    if (!isnan(r->mean_logprob)) str_addf(&r->details, ",\"mean_logprob\":%.6g", r->mean_logprob);
    str_add_char(&r->details, '}');
}

static void settle(openai_reply_t *r, caption_outcome outcome, const char *text, const char *reason) {
    r->is_answer = true;
    r->outcome = outcome;
    add_trimmed(&r->text, text);
    str_add(&r->reason, reason);
}

/* The content is a text, or a list of parts, of which those of type "text" are the answer (others hold reasoning).
 * false: it is neither. */
static bool add_content(str_t *out, const json_t *content) {
    if (json_is_string(content)) str_add(out, json_string_value(content));
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i), *text = json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (type && strcmp(type, "text") == 0 && json_is_string(text)) str_add(out, json_string_value(text));
    }
    return json_is_string(content) || json_array_size(content) > 0;
}

/* A model that thinks aloud where no parser takes that out (into reasoning_content, which is not read): the answer is
 * what stands behind the first "</think>", whose beginning may have been part of the prompt. NULL: it thinks to the
 * end. */
static const char *behind_thoughts(const char *text) {
    static const char begin[] = "<think>", end[] = "</think>";
    const char *found = strstr(text, end);
    if (found) return found + sizeof end - 1;
    return str_starts_with(text + strspn(text, white), begin) ? NULL : text;
}

/* By finish_reason: "stop", "length", "content_filter" (vLLM, llama.cpp and OpenAI; "eos_token" of older servers). */
static void settle_by(openai_reply_t *r, const char *finish, const char *text, const char *refusal,
                      const secret_t *key) {
    if ((text && strlen(text) > ANSWER_MAX) || (refusal && strlen(refusal) > ANSWER_MAX))
        str_addf(&r->reason, "an answer of more than %d bytes", ANSWER_MAX);
    else if (refusal && *refusal)
        settle(r, CAPTION_REFUSED, refusal, "the model refused");
    else if (strcmp(finish, "content_filter") == 0)
        settle(r, CAPTION_REFUSED, text ? text : "", "the server's content filter");
    else if (strcmp(finish, "length") == 0)
        settle(r, CAPTION_TRUNCATED, text ? text : "", "stopped at the token limit");
    else if (strcmp(finish, "stop") != 0 && strcmp(finish, "eos_token") != 0) {
        str_add(&r->reason, "an answer with finish_reason '");
        add_said(&r->reason, finish, strlen(finish), 40, key);
        str_add_char(&r->reason, '\'');
    } else if (!text)
        str_add(&r->reason, "an answer without content");
    else
        settle(r, CAPTION_TEXT, text, "");
}

/* "error" in an answer of status 200, as gateways have it that began to answer before the model did: an object whose
 * code may be what the status should have been. */
static bool take_error(openai_reply_t *r, const json_t *error, const secret_t *key) {
    if (!json_object_size(error)) return false;
    const json_int_t code = json_integer_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    if (code >= 400 && code < 600) r->status = (int)code;
    if (!message) message = "without a message";
    str_add(&r->reason, "an error in place of an answer: ");
    add_said(&r->reason, message, strlen(message), MESSAGE_MAX, key);
    return true;
}

static void judge(openai_reply_t *r, const json_t *root, const secret_t *key) {
    const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    if (take_error(r, json_object_get(root, "error"), key) || take_error(r, json_object_get(choice, "error"), key))
        return;
    if (!json_is_object(message)) {
        str_add(&r->reason, choice ? "an answer without a message" : "an answer without choices");
        return;
    }
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    if (!finish || strlen(finish) > NAME_MAX_BYTES) finish = "";
    const json_t *usage = json_object_get(root, "usage");
    r->tokens_in = tokens(usage, "prompt_tokens");
    r->tokens_out = tokens(usage, "completion_tokens");
    r->mean_logprob = mean_logprob(choice);
    str_t content = {0};
    const char *text = add_content(&content, json_object_get(message, "content")) ? str_text(&content) : NULL;
    if (text) text = behind_thoughts(text);
    settle_by(r, finish, text, json_string_value(json_object_get(message, "refusal")), key);
    r->text.failed |= content.failed;
    str_free(&content);
    if (r->is_answer) add_details(r, root, finish);
}

lens_status openai_reply_parse(openai_reply_t *r, const str_t *body, const secret_t *key) {
    openai_reply_reset(r);
    json_error_t error;
    json_t *root = json_loadb(str_text(body), body->len, 0, &error);
    if (json_is_object(root))
        judge(r, root, key);
    else
        str_addf(&r->reason, "an answer that is no JSON object (%.80s)", root ? "another value" : error.text);
    json_decref(root);
    secret_redact(key, &r->text);
    secret_redact(key, &r->reason);
    secret_redact(key, &r->details);
    LENS_TRY(str_status(&r->text));
    LENS_TRY(str_status(&r->reason));
    return str_status(&r->details);
}

/* "error" is an object with a message, or a text; some servers have "message" or "detail" at the top, or the error in
 * the first choice. */
static const char *message_of(const json_t *root) {
    const json_t *error = json_object_get(root, "error"), *choice = json_array_get(json_object_get(root, "choices"), 0);
    const json_t *places[] = {json_object_get(error, "message"), error, json_object_get(root, "message"),
                              json_object_get(root, "detail"),
                              json_object_get(json_object_get(choice, "error"), "message")};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (json_is_string(places[i])) return json_string_value(places[i]);
    return NULL;
}

static bool is_about_content(const json_t *root) {
    const char *code = json_string_value(json_object_get(json_object_get(root, "error"), "code"));
    return code && (strcmp(code, "content_filter") == 0 || strcmp(code, "content_policy_violation") == 0);
}

void openai_reply_error(str_t *out, bool *is_filter, const str_t *body, const secret_t *key) {
    json_error_t error;
    json_t *root = json_loadb(str_text(body), body->len, 0, &error);
    const char *message = message_of(root);
    *is_filter = is_about_content(root);
    add_said(out, message ? message : str_text(body), message ? strlen(message) : body->len, MESSAGE_MAX, key);
    json_decref(root);
}

void openai_reply_free(openai_reply_t *r) {
    str_free(&r->text);
    str_free(&r->reason);
    str_free(&r->details);
}
