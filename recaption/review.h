/* The review page: one HTML file that shows a sample of captions beside their pictures and alt-texts, and takes what a
 * person decides over them (recaption/review.html). It works from disk, without network or server; decisions are
 * exported as the JSON lines that decisions.h reads.
 *
 * An item is a caption: a sample in a kind. Items are drawn without replacement, each as likely as another; with
 * by_kind or by_reason every stratum gets the same share as far as it reaches, so that rare reasons are seen.
 *
 * Texts are hostile: they travel as JSON in which no `<` stands, and the page builds text nodes from them, with control
 * and direction characters spelled out. One thread. Memory: 32 bytes a caption of the set, the texts of the items, and
 * one picture. */
#ifndef LENS_RECAPTION_REVIEW_H
#define LENS_RECAPTION_REVIEW_H

#include "data/dataset.h"

#define REVIEW_PICTURE_PX 512 /* longer side */

typedef struct {
    const char *dir;          /* where the layers are: the set's folder, or recaption's -o */
    const char *const *kinds; /* [n_kinds] */
    int n_kinds;
    int64_t n;     /* items at most, >= 1 */
    uint64_t seed; /* of the draw */
    bool rejected; /* only what the gate rejected */
    bool by_kind, by_reason;
} review_options_t;

typedef struct {
    int64_t n_items, n_captions; /* drawn; those there were to draw from */
} review_result_t;

/* Written aside and renamed. STATE where there is nothing to review; FORMAT where a layer is damaged or another set's.
 */
LENS_CHECKED lens_status review_write(review_result_t *result, const char *path, const dataset_t *d,
                                      const review_options_t *o);

#endif
