/* Figures of a dataset: sizes, shapes, words per caption of each kind, bytes. Reads up to DATA_FIGURES_MAX samples,
 * evenly spread; only figures said to be exact are of all. One thread. */
#ifndef LENS_EVAL_DATA_FIGURES_H
#define LENS_EVAL_DATA_FIGURES_H

#include "data/dataset.h"

#define DATA_FIGURES_MAX 20000 /* samples whose captions are read */

typedef struct {
    const char *kind; /* borrowed from the dataset */
    double *words;    /* [n_filled] ascending, of captions that are not empty */
    int64_t n_filled;
    double text_bytes; /* of the captions read */
    double file_bytes; /* exact: of the layer's shards; 0 for "alt", which lives in the base shards */
} caption_figures_t;

typedef struct {
    int64_t n_samples, n_read;    /* exact; samples read */
    double base_file_bytes;       /* exact: of the base shards */
    double image_bytes, image_px; /* exact: sums over all samples */
    double *side_px;              /* [n_read] shorter side */
    double *aspect;               /* [n_read] width / height */
    double *image_kb;             /* [n_read] encoded picture, in 1000 bytes */
    caption_figures_t *kinds;     /* [n_kinds] */
    int n_kinds;
} data_figures_t;

/* layers: NULL, or another folder that layers of the set were added from. */
LENS_CHECKED lens_status data_figures_take(data_figures_t *out, const dataset_t *d, const char *layers);
void data_figures_free(data_figures_t *f); /* and resets */

int64_t data_figures_count_words(const char *text); /* runs of characters other than white space */
double data_figures_quantile(const double *ascending, int64_t n, double q); /* n > 0 */
double data_figures_mean(const double *values, int64_t n);                  /* n > 0 */

#endif
