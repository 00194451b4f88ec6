/* configs/prices.yaml: prices, each with its date and source. */
#ifndef LENS_EVAL_COST_PRICES_H
#define LENS_EVAL_COST_PRICES_H

#include "base/options.h"

typedef struct {
    double usd_per_h; /* 0: no price given */
    char *date, *source;
} cost_gpu_price_t;

typedef struct {
    cost_gpu_price_t a100, h100, h200, h800;
    struct {
        char *model, *date, *source;
        double usd_per_mtok_in, usd_per_mtok_out; /* of a million tokens */
        double batch_discount;                    /* share of the price that the batch interface leaves out */
    } hosted;
    struct {
        char *model, *date, *source;
        double usd_per_kimage; /* of a thousand captions */
    } open;
} cost_prices_t;

/* ARGUMENT with the file: unknown keys, negative or missing numbers; a price without date, source, or model of a
 * captioner. */
LENS_CHECKED lens_status cost_prices_read(cost_prices_t *out, const char *path);
void cost_prices_free(cost_prices_t *p);
/* By the names of kernels/gpu.h, and "h800"; never NULL for these. */
const cost_gpu_price_t *cost_gpu_price(const cost_prices_t *p, const char *gpu);

#endif
