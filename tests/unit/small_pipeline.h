/* A pipeline of a few kilobytes, for tests of what is stored of it: so many blocks, and what else is set. */
#ifndef LENS_TESTS_UNIT_SMALL_PIPELINE_H
#define LENS_TESTS_UNIT_SMALL_PIPELINE_H

#include "model/pipeline.h"

#define SMALL_PIPELINE(blocks, ...)                                                                                    \
    {                                                                                                                  \
        .mmdit = {.num_layers = (blocks),                                                                              \
                  .num_heads = 1,                                                                                      \
                  .head_dim = 6,                                                                                       \
                  .in_channels = 12,                                                                                   \
                  .out_channels = 3,                                                                                   \
                  .patch_size = 2,                                                                                     \
                  .enc_hidden_dim = 8,                                                                                 \
                  .num_text_layers = 1,                                                                                \
                  .axes_dims_rope = {2, 2, 2},                                                                         \
                  .rope_theta = 10000,                                                                                 \
                  .eps = 1e-6,                                                                                         \
                  .txt_norm_eps = 1e-5},                                                                               \
        .text = {.tokens = TEXT_WORDS, .n_rows = 300, .dim = 8, .max_tok = 6}, .downscale = 1, .height = 8,            \
        .width = 12, __VA_ARGS__                                                                                       \
    }

#endif
