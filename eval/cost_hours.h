/* From FLOP to hours and money. */
#ifndef LENS_EVAL_COST_HOURS_H
#define LENS_EVAL_COST_HOURS_H

#include "eval/cost_prices.h"
#include "eval/cost_recipe.h"

typedef struct {
    const char *gpu; /* as cost_gpu_price names it */
    double peak_tflops;
    double mfu;
    const char *mfu_source;
    const cost_gpu_price_t *price;
} cost_rate_t;

/* GPU hours of that many FLOP at `share` of the peak. */
double cost_hours(double flop, double peak_tflops, double share);
/* Peak-hours, GPU hours and money of the recipe. */
void cost_hours_figures(cost_sheet_t *s, const cost_recipe_t *r, const cost_rate_t *rate);
/* Money for `hours`; NaN where no price is given. */
void cost_money_figure(cost_sheet_t *s, const char *key, const char *name, double hours, const char *gpu,
                       const cost_gpu_price_t *price);

/* What the hours depend on: rows of assumptions, columns of MFU. */
enum { COST_N_CASES = 5, COST_N_MFU = 6 };
typedef struct {
    const char *gpu;
    const char *name[COST_N_CASES];
    double mfu[COST_N_MFU];
    double hours[COST_N_CASES][COST_N_MFU];
} cost_sensitivity_t;
/* As cost_recipe_count; the recipe's own assumptions are varied one by one. */
LENS_CHECKED lens_status cost_sensitivity_make(cost_sensitivity_t *out, int n, const char *const *names,
                                               const train_config_t *configs, const cost_assumptions_t *a,
                                               const cost_rate_t *rate);
void cost_sensitivity_print(str_t *out, const cost_sensitivity_t *t);
json_t *cost_sensitivity_json(const cost_sensitivity_t *t); /* NULL: out of memory */

#endif
