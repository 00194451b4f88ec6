#include "recaption/account_endpoints.h"

#include <inttypes.h>
#include <string.h>

#include "recaption/account_counts.h"

enum { SHOWN = 4 };

static double per(double x, double y) {
    return y > 0 ? x / y : 0;
}

void account_endpoints_json(const captioner_stats_t *s, double seconds, str_t *out) {
    str_add_char(out, '[');
    for (int i = 0; i < s->n; i++) {
        const endpoint_stats_t *e = &s->endpoints[i];
        str_add(out, i ? ",{\"name\":" : "{\"name\":");
        str_add_json(out, e->name, strlen(e->name));
        str_addf(out,
                 ",\"answered\":%" PRId64 ",\"failed\":%" PRId64 ",\"rested\":%s,\"answers_per_s\":%.3f"
                 ",\"tokens_in\":%" PRId64 ",\"tokens_out\":%" PRId64
                 ",\"latency_s\":{\"mean\":%.6g,\"p50\":%.6g,\"p95\":%.6g}}",
                 e->answered, e->failed, e->rested ? "true" : "false", per((double)e->answered, seconds), e->tokens_in,
                 e->tokens_out, e->latency_mean_s, e->latency_p50_s, e->latency_p95_s);
    }
    str_add_char(out, ']');
}

static const char *read_one(endpoint_stats_t *e, const json_t *row) {
    const json_t *latency = json_object_get(row, "latency_s");
    if (!account_read_count(row, "answered", &e->answered)) return "answered";
    if (!account_read_count(row, "failed", &e->failed)) return "failed";
    if (!account_read_count(row, "tokens_in", &e->tokens_in)) return "tokens_in";
    if (!account_read_count(row, "tokens_out", &e->tokens_out)) return "tokens_out";
    if (!account_read_amount(latency, "mean", &e->latency_mean_s)) return "mean";
    if (!account_read_amount(latency, "p50", &e->latency_p50_s)) return "p50";
    if (!account_read_amount(latency, "p95", &e->latency_p95_s)) return "p95";
    e->rested = json_is_true(json_object_get(row, "rested"));
    return NULL;
}

static double mean(double a, double n_a, double b, double n_b) {
    return per(a * n_a + b * n_b, n_a + n_b);
}

static void add_one(endpoint_stats_t *to, const endpoint_stats_t *from) {
    const double n = (double)to->answered, m = (double)from->answered;
    to->latency_mean_s = mean(to->latency_mean_s, n, from->latency_mean_s, m);
    to->latency_p50_s = mean(to->latency_p50_s, n, from->latency_p50_s, m);
    to->latency_p95_s = mean(to->latency_p95_s, n, from->latency_p95_s, m);
    to->answered += from->answered;
    to->failed += from->failed;
    to->tokens_in += from->tokens_in;
    to->tokens_out += from->tokens_out;
    to->rested |= from->rested;
}

const char *account_endpoints_add(captioner_stats_t *to, const json_t *array) {
    size_t at;
    const json_t *row;
    json_array_foreach(array, at, row) {
        const char *name = json_string_value(json_object_get(row, "name"));
        endpoint_stats_t one = {0};
        const char *wrong = name ? read_one(&one, row) : "name";
        if (wrong) return wrong;
        for (int i = 0; i < to->n; i++)
            if (strcmp(to->endpoints[i].name, name) == 0) add_one(&to->endpoints[i], &one);
    }
    return NULL;
}

/* A URL without what all have: "http://" and "/v1". */
static void add_short(str_t *out, const char *url) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    str_add_n(out, host, strcspn(host, "/"));
}

void account_endpoints_line(const captioner_stats_t *s, double seconds, str_t *out) {
    for (int i = 0; i < s->n && i < SHOWN; i++) {
        const endpoint_stats_t *e = &s->endpoints[i];
        str_add(out, ", ");
        add_short(out, e->name);
        str_addf(out, " %.1f/s%s", per((double)e->answered, seconds), e->rested ? " (rests)" : "");
    }
    if (s->n > SHOWN) str_addf(out, " and %d more", s->n - SHOWN);
}
