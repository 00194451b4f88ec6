/* Text to features for the MMDiT. The encoder of small configurations: words or bytes through a learned embedding,
 * trained with the model. A frozen encoder will stand behind the same calls: features of n layers, and no gradient.
 *
 * A word is lower-cased and hashed twice into one table; its feature is the sum of both rows (hash embeddings,
 * Svenstrup et al., arXiv 1709.03933). So no vocabulary has to be gathered, kept or shared between ranks, and two words
 * share a feature only where both hashes collide. A byte is its own row. */
#ifndef LENS_MODEL_TEXT_ENCODER_H
#define LENS_MODEL_TEXT_ENCODER_H

#include "kernels/kernels.h"

/* TEXT_FEATURES: no learned table; a frozen encoder's features are given, and no text_encoder_t is made. */
typedef enum { TEXT_WORDS, TEXT_BYTES, TEXT_FEATURES } text_tokens;

typedef struct {
    text_tokens tokens;
    int64_t n_rows;  /* of the table; at least 256 for bytes */
    int64_t dim;     /* e */
    int64_t max_tok; /* tokens of a text that are used; the rest is cut off and counted */
} text_config_t;

#define TEXT_IDS_PER_TOKEN 3 /* bytes have one: the others are -1 */

/* Tokens of `text`, all of them; ids [max_tok, TEXT_IDS_PER_TOKEN] holds the first max_tok. */
int64_t text_tokenize(const text_config_t *c, const char *text, int32_t *ids);

typedef struct text_encoder text_encoder_t;
LENS_CHECKED lens_status text_encoder_new(text_encoder_t **out, kernels_t *k, const text_config_t *c,
                                          int64_t max_batch);
void text_encoder_free(text_encoder_t *e); /* NULL is allowed */

/* Features of B texts: act [B, T, e] in *features, T the longest of them (0: all empty), lengths i32 [B] in *lengths
 * (host). Both are the encoder's until the next call. table: act [n_rows, e]. */
LENS_CHECKED lens_status text_encoder_forward(text_encoder_t *e, const act_t *table, const char *const *texts,
                                              int64_t B, act_t **features, const int32_t **lengths, int64_t *T);
act_t *text_encoder_dfeatures(text_encoder_t *e); /* where mmdit_backward puts the gradient of the features */
void text_encoder_backward(text_encoder_t *e, float *dtable); /* adds, for the texts of the last forward */
int64_t text_encoder_n_cut(const text_encoder_t *e);          /* texts longer than max_tok so far */

#endif
