/* The paper's figures on cost (Lens, arXiv 2605.21573; Z-Image, arXiv 2511.22699) beside our arithmetic. */
#ifndef LENS_EVAL_COST_PAPER_H
#define LENS_EVAL_COST_PAPER_H

#include "eval/cost_hours.h"

/* Images of the dataset, which are also captioned. */
#define COST_PAPER_IMAGES 800e6

/* names and configs [n]: the two stages as configs/ has them. captions_per_s: of one GPU that captions; 0: nobody
 * measured it, and the row says so. */
LENS_CHECKED lens_status cost_paper_figures(cost_sheet_t *s, int n, const char *const *names,
                                            const train_config_t *configs, const cost_prices_t *prices,
                                            double captions_per_s);

#endif
