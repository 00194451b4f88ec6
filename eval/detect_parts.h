/* Regions that one object does not explain: objects that run together in one, and one object in several. */
#ifndef LENS_EVAL_DETECT_PARTS_H
#define LENS_EVAL_DETECT_PARTS_H

#include "eval/detect_object.h"

/* Fits region i as one object, and where that leaves something as several: those are new regions at the end. */
void parts_fit(detect_work_t *w, int i);
/* Blur reaches from one object over its neighbours: all are fitted again on what the others leave. */
void parts_fit_together(detect_work_t *w);
/* Stripes alone may look like objects: where the chain they are of is a texture's and they leave more, it is that. */
void parts_join_stripes(detect_work_t *w, int first);
/* The chain of regions that `first` is of, as one object or a column of them, where all are good. */
void parts_try_chain(detect_work_t *w, int first);

#endif
