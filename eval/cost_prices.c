#include "eval/cost_prices.h"

#include <math.h>
#include <string.h>

#define PRICE(key, at, of)                                                                                             \
    {                                                                                                                  \
        .name = key, .type = OPTION_FLOAT, .offset = offsetof(cost_prices_t, at), .min = 0, .max = 1e6, .unit = "USD", \
        .help = of                                                                                                     \
    }
#define TEXT(key, at, of)                                                                                              \
    { .name = key, .type = OPTION_STRING, .offset = offsetof(cost_prices_t, at), .help = of }
#define GPU(key, at)                                                                                                   \
    PRICE(key ".usd_per_h", at.usd_per_h, "an hour of one GPU; 0: no price given"),                                    \
        TEXT(key ".date", at.date, "when it was seen"), TEXT(key ".source", at.source, "where")

static const option_t rows[] = {
    GPU("gpu.a100-80g", a100),
    GPU("gpu.h100", h100),
    GPU("gpu.h200", h200),
    GPU("gpu.h800", h800),
    TEXT("caption.hosted.model", hosted.model, "name of the hosted captioner"),
    PRICE("caption.hosted.usd_per_mtok_in", hosted.usd_per_mtok_in, "a million tokens read"),
    PRICE("caption.hosted.usd_per_mtok_out", hosted.usd_per_mtok_out, "a million tokens written"),
    {.name = "caption.hosted.batch_discount",
     .type = OPTION_FLOAT,
     .offset = offsetof(cost_prices_t, hosted.batch_discount),
     .min = 0,
     .max = 1,
     .help = "share of the price that the batch interface leaves out"},
    TEXT("caption.hosted.date", hosted.date, "when it was seen"),
    TEXT("caption.hosted.source", hosted.source, "where"),
    TEXT("caption.open.model", open.model, "name of the open captioner"),
    PRICE("caption.open.usd_per_kimage", open.usd_per_kimage, "a thousand captions"),
    TEXT("caption.open.date", open.date, "when it was seen"),
    TEXT("caption.open.source", open.source, "where"),
};
#define TABLE OPTION_TABLE(rows)

/* A number that the file does not give is no number. */
static void forget_numbers(cost_prices_t *p) {
    for (int i = 0; i < TABLE.n; i++)
        if (rows[i].type == OPTION_FLOAT) *(double *)((char *)p + rows[i].offset) = NAN;
}

static lens_status check_numbers(const cost_prices_t *p, const char *path) {
    for (int i = 0; i < TABLE.n; i++)
        if (rows[i].type == OPTION_FLOAT && isnan(*(const double *)((const char *)p + rows[i].offset)))
            return lens_fail(LENS_ARGUMENT, "%s: expected %s (of a price, 0: not given)", path, rows[i].name);
    return LENS_OK;
}

static lens_status check(const char *path, const char *what, double price, const char *date, const char *source) {
    if (price == 0 || (date && *date && source && *source)) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "%s: %s has a price, expected its date and source too", path, what);
}

static lens_status check_model(const char *path, const char *what, double price, const char *model) {
    if (price == 0 || (model && *model)) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "%s: %s has a price, expected its model too", path, what);
}

static lens_status check_all(const cost_prices_t *p, const char *path) {
    double hosted = p->hosted.usd_per_mtok_in + p->hosted.usd_per_mtok_out;
    LENS_TRY(check_numbers(p, path));
    LENS_TRY(check(path, "gpu.a100-80g", p->a100.usd_per_h, p->a100.date, p->a100.source));
    LENS_TRY(check(path, "gpu.h100", p->h100.usd_per_h, p->h100.date, p->h100.source));
    LENS_TRY(check(path, "gpu.h200", p->h200.usd_per_h, p->h200.date, p->h200.source));
    LENS_TRY(check(path, "gpu.h800", p->h800.usd_per_h, p->h800.date, p->h800.source));
    LENS_TRY(check(path, "caption.hosted", hosted, p->hosted.date, p->hosted.source));
    LENS_TRY(check_model(path, "caption.hosted", hosted, p->hosted.model));
    LENS_TRY(check(path, "caption.open", p->open.usd_per_kimage, p->open.date, p->open.source));
    return check_model(path, "caption.open", p->open.usd_per_kimage, p->open.model);
}

lens_status cost_prices_read(cost_prices_t *out, const char *path) {
    memset(out, 0, sizeof *out);
    lens_status st = options_defaults(TABLE, out);
    forget_numbers(out);
    if (st == LENS_OK) st = options_load_yaml(TABLE, out, path);
    if (st == LENS_OK) st = check_all(out, path);
    if (st != LENS_OK) cost_prices_free(out);
    return st;
}

void cost_prices_free(cost_prices_t *p) {
    options_free(TABLE, p);
}

const cost_gpu_price_t *cost_gpu_price(const cost_prices_t *p, const char *gpu) {
    if (strcmp(gpu, "a100-80g") == 0) return &p->a100;
    if (strcmp(gpu, "h100") == 0) return &p->h100;
    if (strcmp(gpu, "h200") == 0) return &p->h200;
    LENS_ASSERT(strcmp(gpu, "h800") == 0, "no price row of GPU %s", gpu);
    return &p->h800;
}
