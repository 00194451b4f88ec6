/* What the frozen encoders of Lens cost, counted from their architectures: 2 x multiply-adds, products only. Pure
 * functions; any thread. */
#ifndef LENS_EVAL_COST_ENCODERS_H
#define LENS_EVAL_COST_ENCODERS_H

#include <stdint.h>

/* Tokens of the chat prompt before a caption, which the text encoder reads and Lens drops. */
enum { COST_PROMPT_TOK = 97 };

typedef struct {
    double linear;    /* convolutions too */
    double attention; /* scores, and values weighted by them */
} cost_encoder_t;

/* One forward pass of GPT-OSS-20B (24 layers, 4 of 32 experts a token) over n_tok tokens, without the logits. */
cost_encoder_t cost_text_encoder(int64_t n_tok);
double cost_text_linear_tok(void); /* its linear term, a token */

/* FLUX.2's encoder on a picture of width x height px. */
cost_encoder_t cost_vae_encoder(double width, double height);
double cost_vae_linear_px(void);

#endif
