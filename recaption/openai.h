/* The captioner `openai`: any server that speaks OpenAI's chat completions (vLLM, SGLang, llama.cpp's, hosted ones).
 *
 * Bodies are made by the threads that submit; one thread sends them (http_loop.h) to the endpoint with most room
 * (endpoints.h) and reads the answers. What goes wrong on the way (connections, 429, 5xx, answers that are none) is
 * asked again here, with the same body, after 0.25 s, then twice as long each time to 30 s, with jitter, and never
 * before a Retry-After; a task that is older than task_timeout_s is answered FAILED. What a model says is the engine's
 * to judge. Before the first answer of any server an answer that no request can change (400, 401, 403, 404, a redirect)
 * or a certificate that is not trusted ends the run, and so do 10 s of 500 and 501; later 401, 403 and 404
 * rest that endpoint, and other 4xx are one picture's fault.
 *
 * The key goes nowhere but into the Authorization header, and is taken out of all that a server sends. */
#ifndef LENS_RECAPTION_OPENAI_H
#define LENS_RECAPTION_OPENAI_H

#include "base/options.h"
#include "recaption/captioner.h"

/* captioner_options_t.own. */
typedef struct {
    char *model, *image_format, *key_env, *key_file, *ca_file, *extra;
    int64_t concurrency, max_tokens, image_size;
    double temperature, top_p, request_timeout_s, task_timeout_s, give_up_s;
    bool logprobs;
} openai_values_t;

/* Rows for a command's option table whose struct of values has an openai_values_t at `at` bytes. */
#define OPENAI_ROW(at, field_, name_, type_, ...)                                                                      \
    { .name = name_, .type = type_, .offset = (at) + offsetof(openai_values_t, field_), __VA_ARGS__ }
#define OPENAI_OPTIONS(at)                                                                                             \
    OPENAI_ROW(at, model, "model", OPTION_STRING, .choices = "NAME", .help = "model that the endpoints serve"),        \
        OPENAI_ROW(at, concurrency, "concurrency", OPTION_INT, .initial = "256", .min = 1, .max = 65536,               \
                   .help = "requests in flight at each endpoint, at most; how many it takes is found by trying"),      \
        OPENAI_ROW(at, temperature, "temperature", OPTION_FLOAT, .initial = "0.6", .max = 2,                           \
                   .help = "of the first attempt; later ones get 0.15 more each, to 1.2"),                             \
        OPENAI_ROW(at, top_p, "top-p", OPTION_FLOAT, .initial = "0.95", .min = 0.001, .max = 1,                        \
                   .help = "nucleus of sampling"),                                                                     \
        OPENAI_ROW(at, max_tokens, "max-tokens", OPTION_INT, .initial = "512", .max = 1e6, .unit = "tokens",           \
                   .help = "longest answer; 0: left to the server"),                                                   \
        OPENAI_ROW(at, image_size, "image-size", OPTION_INT, .initial = "1024", .min = 32, .max = 16383, .unit = "px", \
                   .help = "longer side of the pictures that are sent"),                                               \
        OPENAI_ROW(at, image_format, "image-format", OPTION_CHOICE, .initial = "auto",                                 \
                   .choices = "auto|jpeg|png|webp",                                                                    \
                   .help = "of the pictures that are sent; auto: as stored where that fits, else JPEG"),               \
        OPENAI_ROW(at, request_timeout_s, "request-timeout", OPTION_FLOAT, .initial = "120", .min = 0.1, .max = 1e6,   \
                   .unit = "s", .help = "longest wait for one answer"),                                                \
        OPENAI_ROW(at, task_timeout_s, "task-timeout", OPTION_FLOAT, .initial = "3600", .min = 0.1, .max = 1e7,        \
                   .unit = "s", .help = "longest time to ask for one answer again and again"),                         \
        OPENAI_ROW(at, give_up_s, "give-up", OPTION_FLOAT, .initial = "1800", .min = 0.1, .max = 1e7, .unit = "s",     \
                   .help = "time without an answer of any endpoint after which the run ends"),                         \
        OPENAI_ROW(at, key_env, "key-env", OPTION_STRING, .initial = "OPENAI_API_KEY", .choices = "NAME",              \
                   .help = "environment variable that holds the key; no key where it is not set"),                     \
        OPENAI_ROW(at, key_file, "key-file", OPTION_STRING, .choices = "FILE",                                         \
                   .help = "file that holds the key, before --key-env"),                                               \
        OPENAI_ROW(at, ca_file, "ca-file", OPTION_STRING, .choices = "FILE",                                           \
                   .help = "PEM file of certificates that servers are trusted by, in place of the system's"),          \
        OPENAI_ROW(at, logprobs, "logprobs", OPTION_FLAG, .help = "ask for log-probabilities and keep their mean"),    \
        OPENAI_ROW(at, extra, "extra", OPTION_STRING, .choices = "JSON",                                               \
                   .help = "object whose members go into each request, in place of lens' own")

/* The same for openai_values_t alone. */
extern const option_table_t openai_options;
extern const captioner_type_t captioner_openai;

#endif
