/* Under which names public data sets keep one and the same thing: LAION, laion-coco, DataComp, COYO, PD12M, img2dataset
 * and the folders of Hugging Face's datasets. The one list; any thread. */
#ifndef LENS_DATA_COLUMNS_KNOWN_H
#define LENS_DATA_COLUMNS_KNOWN_H

#include <stddef.h>

struct json_t;

/* meaning: "picture" (path of its file), "caption", "key", "url", "status" and "error" (of a download), "aesthetic",
 * "nsfw", "watermark" (scores), "similarity" (of picture and caption), "width", "height". The names in the order in
 * which they are looked for, ended by NULL; names are compared with their case. NULL: no such meaning. */
const char *const *columns_known(const char *meaning);

/* The first of these columns that the JSON object has and that is not null: its name, borrowed from the list; NULL
 * where there is none. */
const char *columns_find(const struct json_t *object, const char *meaning);

#endif
