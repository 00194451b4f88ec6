#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recaption/openai_private.h"

/* ---- once a run ---- */

/* What the requests stand on: another value of these would break the reading of answers. */
static lens_status check_extra(const json_t *extra) {
    static const char *const refused[] = {"messages", "stream", "stream_options", "n"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (json_object_get(extra, refused[i]))
            return lens_fail(LENS_ARGUMENT, "--extra: \"%s\" cannot be set", refused[i]);
    return LENS_OK;
}

static void add_number(str_t *out, const json_t *extra, const char *name, double value) {
    if (!json_object_get(extra, name)) str_addf(out, ",\"%s\":%.6g", name, value);
}

static lens_status add_extra(str_t *out, const json_t *extra) {
    if (!json_object_size(extra)) return LENS_OK;
    char *text = json_dumps(extra, JSON_COMPACT);
    if (!text) return lens_fail(LENS_MEMORY, "out of memory for --extra");
    str_add_char(out, ',');
    str_add_n(out, text + 1, strlen(text) - 2); /* without its braces */
    free(text);
    return LENS_OK;
}

static lens_status make_tail(openai_request_t *r, const openai_values_t *v, const json_t *extra) {
    if (v->max_tokens && !json_object_get(extra, "max_completion_tokens"))
        add_number(&r->tail, extra, "max_tokens", (double)v->max_tokens);
    add_number(&r->tail, extra, "top_p", v->top_p);
    if (v->logprobs && !json_object_get(extra, "logprobs")) str_add(&r->tail, ",\"logprobs\":true");
    r->has_seed = json_object_get(extra, "seed") != NULL;
    r->has_temperature = json_object_get(extra, "temperature") != NULL;
    r->temperature = v->temperature;
    LENS_TRY(add_extra(&r->tail, extra));
    return str_status(&r->tail);
}

/* "" is the style of that name, or detailed. */
static const char *style_of(const caption_kind_t *k) {
    if (k->style && *k->style) return k->style;
    return strcmp(k->name, "brief") == 0 || strcmp(k->name, "tags") == 0 ? k->name : "detailed";
}

static lens_status make_head(openai_request_t *r, int kind, const captioner_options_t *o) {
    LENS_TRY(prompt_open(&r->prompts[kind], style_of(&o->kinds[kind])));
    const char *system = prompt_system(r->prompts[kind]);
    str_t *head = &r->head[kind];
    str_addf(head, "{\"model\":%s,\"messages\":[", str_text(&r->model));
    if (*system) {
        str_add(head, "{\"role\":\"system\",\"content\":");
        str_add_json(head, system, strlen(system));
        str_add(head, "},");
    }
    str_add(head, "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"");
    return str_status(head);
}

static image_format format_of(const char *name) {
    static const struct {
        const char *name;
        image_format format;
    } formats[] = {{"jpeg", IMAGE_JPEG}, {"png", IMAGE_PNG}, {"webp", IMAGE_WEBP}};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0) return formats[i].format;
    return IMAGE_UNKNOWN; /* auto */
}

lens_status openai_request_init(openai_request_t *r, const captioner_options_t *o, const openai_values_t *v) {
    json_error_t error;
    json_t *extra = v->extra ? json_loads(v->extra, JSON_REJECT_DUPLICATES, &error) : json_object();
    if (!json_is_object(extra)) {
        json_decref(extra);
        return lens_fail(LENS_ARGUMENT, "--extra: expected a JSON object, got '%.60s'", v->extra ? v->extra : "");
    }
    const json_t *own_model = json_object_get(extra, "model");
    lens_status st = own_model ? lens_fail(LENS_ARGUMENT, "--extra: use --model for \"model\"") : check_extra(extra);
    if (st == LENS_OK) st = make_tail(r, v, extra);
    json_decref(extra);
    str_add_json(&r->model, v->model, strlen(v->model));
    r->picture = (picture_uri_options_t){.longest_px = (int32_t)v->image_size, .format = format_of(v->image_format)};
    for (; st == LENS_OK && r->n_kinds < o->n_kinds; r->n_kinds++) st = make_head(r, r->n_kinds, o);
    return st;
}

void openai_request_free(openai_request_t *r) {
    for (int i = 0; i < CAPTION_MAX_KINDS; i++) {
        str_free(&r->head[i]);
        prompt_free(r->prompts[i]);
    }
    str_free(&r->tail);
    str_free(&r->model);
}

/* A body without picture and alt-text, so all of it that a run may set. */
void openai_request_settings(const openai_request_t *r, int kind, str_t *json) {
    const char *prompt = prompt_text(r->prompts[kind]);
    str_addf(json, "\"model\":%s,\"prompt\":", str_text(&r->model));
    str_add_json(json, prompt, strlen(prompt));
    str_addf(json, ",\"temperature\":%.6g,\"image_size\":%d,\"image_format\":%d,\"request\":{%s}", r->temperature,
             r->picture.longest_px, (int)r->picture.format, r->tail.len ? str_text(&r->tail) + 1 : "");
}

/* ---- once a picture ---- */

typedef struct {
    str_t uri;
    int32_t width, height;
} encoded_t;

static void encoded_free(void *made) {
    encoded_t *e = made;
    str_free(&e->uri);
    free(e);
}

static lens_status encode(encoded_t **out, const openai_request_t *r, const caption_request_t *request) {
    *out = calloc(1, sizeof **out);
    if (!*out) return lens_fail(LENS_MEMORY, "out of memory for a picture");
    lens_status st = picture_uri(&(*out)->uri, &(*out)->width, &(*out)->height, request->picture, &r->picture);
    if (st != LENS_OK) encoded_free(*out);
    return st;
}

/* ---- once a request ---- */

/* The metadata's "keywords": a text, or a list of texts. */
static void add_keywords(str_t *out, const char *meta) {
    if (!strstr(meta, "\"keywords\"")) return;
    json_error_t error;
    json_t *root = json_loads(meta, 0, &error);
    const json_t *keywords = json_object_get(root, "keywords");
    if (json_is_string(keywords)) str_add(out, json_string_value(keywords));
    for (size_t i = 0; i < json_array_size(keywords) && out->len < 8 * PROMPT_ALT_MAX; i++) {
        const char *word = json_string_value(json_array_get(keywords, i));
        if (word) str_addf(out, "%s%s", out->len ? ", " : "", word);
    }
    json_decref(root);
}

static void add_user(str_t *body, const prompt_t *prompt, const caption_request_t *request, const encoded_t *picture) {
    str_t user = {0}, keywords = {0};
    add_keywords(&keywords, request->meta ? request->meta : "");
    const prompt_fields_t fields = {
        .alt = request->alt, .keywords = str_text(&keywords), .width = picture->width, .height = picture->height};
    prompt_fill(prompt, &fields, &user);
    str_add_json(body, str_text(&user), user.len);
    body->failed |= user.failed || keywords.failed;
    str_free(&user);
    str_free(&keywords);
}

lens_status openai_request_body(const openai_request_t *r, const caption_request_t *request, str_t *body) {
    encoded_t *picture = request->shared ? request->shared->made : NULL;
    if (!picture) {
        LENS_TRY(encode(&picture, r, request));
        if (request->shared) *request->shared = (caption_shared_t){.made = picture, .free = encoded_free};
    }
    const str_t *head = &r->head[request->kind];
    str_reserve(body, head->len + picture->uri.len + r->tail.len + 4096);
    str_add_n(body, head->s, head->len);
    str_add_n(body, picture->uri.s, picture->uri.len);
    str_add(body, "\"}},{\"type\":\"text\",\"text\":");
    add_user(body, r->prompts[request->kind], request, picture);
    str_add(body, "}]}]");
    if (!r->has_temperature)
        str_addf(body, ",\"temperature\":%.4g",
                 fmax(r->temperature, fmin(r->temperature + 0.15 * request->attempt, 1.2)));
    /* 31 bits: some servers keep a seed in 32, and JSON's readers keep numbers in doubles. */
    if (!r->has_seed) str_addf(body, ",\"seed\":%llu", (unsigned long long)(request->seed & 0x7fffffff));
    str_add_n(body, str_text(&r->tail), r->tail.len);
    str_add_char(body, '}');
    if (!request->shared) encoded_free(picture);
    return str_status(body);
}
