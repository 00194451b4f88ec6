/* Embeddings beside a source: a NumPy file (.npy) of shape [n, d], float16 or float32, little-endian, C order, as
 * clip-retrieval writes them. Row i belongs to the i-th sample of its source, counting those that were left out too;
 * whoever reads both checks that n is the number of the source's samples: a tool that skipped one has moved all rows
 * after it. The file is hostile: its header is checked against its size, and every row for finite numbers. Reading
 * rows: any thread. */
#ifndef LENS_DATA_EMBEDDING_FILE_H
#define LENS_DATA_EMBEDDING_FILE_H

#include "base/str.h"

#define EMBEDDING_DIM_MAX 8192

typedef struct embedding_file embedding_file_t;

LENS_CHECKED lens_status embedding_file_open(embedding_file_t **out, const char *path);
void embedding_file_close(embedding_file_t *f); /* NULL is allowed */
int64_t embedding_file_n(const embedding_file_t *f);
int embedding_file_d(const embedding_file_t *f);
/* f16: [d]; float32 is rounded to nearest. FORMAT: no such row, a number that is not finite or beyond float16. */
LENS_CHECKED lens_status embedding_file_row(const embedding_file_t *f, int64_t i, uint16_t *f16);

/* Appends DIR/NAME, every {source} in the name standing for the last part of the source's path without .tar, .tar.gz or
 * what else its extension is: "/data/00000.tar" and "{source}.npy" give "DIR/00000.npy". */
void embedding_path(str_t *out, const char *dir, const char *name, const char *source);

#endif
