/* Costs as one HTML page: charts, the table of sensitivity, and every figure with its derivation. */
#ifndef LENS_EVAL_COST_PAGE_H
#define LENS_EVAL_COST_PAGE_H

#include "eval/cost_hours.h"

typedef struct {
    const char *title;
    const cost_sheet_t *sheet;
    const cost_sensitivity_t *sensitivity;
    const mmdit_config_t *model; /* of the charts by tokens */
    int64_t max_text_tok;
} cost_page_t;

/* The sections without a page around them, for a report. */
void cost_page_sections(str_t *out, const cost_page_t *p);
LENS_CHECKED lens_status cost_page_write(const char *path, const cost_page_t *p); /* whole and durable */

#endif
