#include "eval/cost_hours.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

double cost_hours(double flop, double peak_tflops, double share) {
    return flop / (peak_tflops * 1e12 * share * 3600);
}

void cost_money_figure(cost_sheet_t *s, const char *key, const char *name, double hours, const char *gpu,
                       const cost_gpu_price_t *price) {
    bool given = price->usd_per_h > 0;
    str_t source = {0};
    str_addf(&source, "prices: gpu.%s", gpu);
    if (given) str_addf(&source, ", %s, %s", price->date, price->source);
    cost_figure_t f = {.key = key, .name = name, .value = given ? hours * price->usd_per_h : NAN, .unit = "USD"};
    f.how = given ? "hours x price of an hour" : "no price given";
    f.source = str_text(&source);
    if (given)
        cost_add(s, &f, "%.12g * %.12g", hours, price->usd_per_h);
    else
        cost_add(s, &f, "%s", "");
    s->failed |= source.failed;
    str_free(&source);
}

void cost_hours_figures(cost_sheet_t *s, const cost_recipe_t *r, const cost_rate_t *rate) {
    double peak = rate->peak_tflops, mfu = rate->mfu, training = cost_hours(r->model_flop, peak, mfu),
           encoders = cost_hours(r->encoder_flop, peak, mfu);
    char title[64], sheet[96];
    snprintf(title, sizeof title, "On %s, %.1f TFLOP/s (bf16, dense)", rate->gpu, peak);
    snprintf(sheet, sizeof sheet, "our count; the peak is the data sheet's (kernels/gpu.h)");
    cost_section(s, title);
    cost_add(s,
             COST_FIGURE(.key = "mfu", .name = "MFU", .value = 100 * mfu, .unit = "%",
                         .how = "model FLOP over what the peak would do meanwhile", .source = rate->mfu_source),
             "100 * %.12g", mfu);
    cost_add(s,
             COST_FIGURE(.key = "peak_hours", .name = "peak-hours: training at 100 %", .unit = "h",
                         .value = cost_hours(r->model_flop, peak, 1), .how = "model FLOP / (peak x 3600 s)",
                         .source = sheet),
             "%.12g / (%.12g * 1e12 * 3600)", r->model_flop, peak);
    cost_add(s,
             COST_FIGURE(.key = "training_hours", .name = "GPU hours of training", .value = training, .unit = "h",
                         .how = "peak-hours / MFU", .source = sheet),
             "%.12g / (%.12g * 1e12 * 3600 * %.12g)", r->model_flop, peak, mfu);
    cost_add(s,
             COST_FIGURE(.key = "encoder_hours", .name = "GPU hours of the frozen encoders, at the same rate",
                         .value = encoders, .unit = "h", .how = "their FLOP / (peak x 3600 s x the same share)",
                         .source = "our count; that they reach the same share of the peak is assumed"),
             "%.12g / (%.12g * 1e12 * 3600 * %.12g)", r->encoder_flop, peak, mfu);
    cost_add(s,
             COST_FIGURE(.key = "gpu_hours", .name = "GPU hours of both", .value = training + encoders, .unit = "h",
                         .how = "training + encoders; neither loading, nor checkpoints, nor failures", .source = sheet),
             "%.12g + %.12g", training, encoders);
    cost_money_figure(s, "usd", "money", training + encoders, rate->gpu, rate->price);
}

/* ---- sensitivity ---- */

typedef struct {
    const char *name;
    bool padded, online, again;
} case_t;

static const case_t cases[COST_N_CASES] = {
    {"captions as they are, encoders' outputs cached", false, false, false},
    {"padded to text.max_tok", true, false, false},
    {"encoders online", false, true, false},
    {"all checkpointed: blocks forward twice", false, false, true},
    {"padded, encoders online, all checkpointed", true, true, true},
};

/* A block's forward pass made again is work at the same rate, which MFU does not count: the hours grow by its share. */
static double case_flop(const cost_recipe_t *r, bool again) {
    double flop = r->model_flop + r->encoder_flop;
    for (int i = 0; again && i < r->n_stages; i++) flop += r->stage[i].blocks_again;
    return flop;
}

static lens_status count_case(double *flop, int n, const char *const *names, const train_config_t *configs,
                              const cost_assumptions_t *a, const case_t *c) {
    static char full[] = "full", none[] = "none";
    cost_assumptions_t varied = *a;
    train_config_t changed[COST_MAX_STAGES]; /* borrow their strings */
    cost_recipe_t *r = malloc(sizeof *r);
    if (!r) return lens_fail(LENS_MEMORY, "cost: out of memory");
    for (int i = 0; i < n; i++) {
        changed[i] = configs[i];
        changed[i].train.checkpointing = c->again ? full : none;
    }
    varied.padded = c->padded;
    varied.online = c->online;
    lens_status st = cost_recipe_count(r, n, names, changed, &varied);
    if (st == LENS_OK) *flop = case_flop(r, c->again);
    free(r);
    return st;
}

lens_status cost_sensitivity_make(cost_sensitivity_t *out, int n, const char *const *names,
                                  const train_config_t *configs, const cost_assumptions_t *a, const cost_rate_t *rate) {
    *out = (cost_sensitivity_t){.gpu = rate->gpu};
    for (int k = 0; k < COST_N_MFU; k++) out->mfu[k] = 0.1 * (k + 1);
    for (int i = 0; i < COST_N_CASES; i++) {
        double flop;
        out->name[i] = cases[i].name;
        LENS_TRY(count_case(&flop, n, names, configs, a, &cases[i]));
        for (int k = 0; k < COST_N_MFU; k++) out->hours[i][k] = cost_hours(flop, rate->peak_tflops, out->mfu[k]);
    }
    return LENS_OK;
}

void cost_sensitivity_print(str_t *out, const cost_sensitivity_t *t) {
    str_addf(out, "GPU hours on %s by share of the peak that the products reach\n  %-48s", t->gpu, "");
    for (int k = 0; k < COST_N_MFU; k++) str_addf(out, " %8.0f %%", 100 * t->mfu[k]);
    str_add_char(out, '\n');
    for (int i = 0; i < COST_N_CASES; i++) {
        str_addf(out, "  %-48s", t->name[i]);
        for (int k = 0; k < COST_N_MFU; k++) str_addf(out, " %10.4g", t->hours[i][k]);
        str_add_char(out, '\n');
    }
}

json_t *cost_sensitivity_json(const cost_sensitivity_t *t) {
    json_t *rows = json_array();
    for (int i = 0; rows && i < COST_N_CASES; i++) {
        json_t *hours = json_array();
        for (int k = 0; k < COST_N_MFU; k++)
            if (json_array_append_new(hours, json_pack("{s:f, s:f}", "mfu", t->mfu[k], "hours", t->hours[i][k])) != 0) {
                json_decref(hours);
                hours = NULL;
                break;
            }
        if (json_array_append_new(rows, json_pack("{s:s, s:o}", "case", t->name[i], "hours", hours)) == 0) continue;
        json_decref(rows);
        rows = NULL;
    }
    return rows;
}
