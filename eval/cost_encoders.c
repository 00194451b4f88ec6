#include "eval/cost_encoders.h"

/* ---- GPT-OSS-20B, as its configuration says ---- */

enum { LAYERS = 24, WIDTH = 2880, HEADS = 64, KV_HEADS = 8, HEAD = 64, EXPERTS = 32, ACTIVE = 4, WINDOW = 128 };

double cost_text_linear_tok(void) {
    double q_and_out = 2.0 * WIDTH * HEADS * HEAD, k_and_v = 2.0 * WIDTH * KV_HEADS * HEAD;
    double router = (double)WIDTH * EXPERTS, experts = ACTIVE * 3.0 * WIDTH * WIDTH; /* gate and up, down */
    return 2 * LAYERS * (q_and_out + k_and_v + router + experts);
}

/* Half of the layers see everything before, the others the last WINDOW tokens. */
cost_encoder_t cost_text_encoder(int64_t n_tok) {
    double n = (double)n_tok, all = n * (n + 1) / 2, near = all;
    if (n > WINDOW) near = WINDOW * (WINDOW + 1) / 2.0 + (n - WINDOW) * WINDOW;
    return (cost_encoder_t){.linear = n * cost_text_linear_tok(),
                            .attention = 4.0 * HEADS * HEAD * LAYERS / 2 * (all + near)};
}

/* ---- FLUX.2's autoencoder: four levels of two residual blocks, each but the last halves the sides ---- */

enum { LEVELS = 4, DEEPEST = 512, LATENT = 32, CELL_PX = 8 };
static const double channels[LEVELS + 1] = {128, 128, 256, 512, 512}; /* after conv_in, and after each level */

static double conv3(double in, double out) {
    return 2 * 9 * in * out;
}

/* Two convolutions; a third of 1 x 1 where the width changes. */
static double residual(double in, double out) {
    return conv3(in, out) + conv3(out, out) + (in != out ? 2 * in * out : 0);
}

double cost_vae_linear_px(void) {
    double sum = conv3(3, channels[0]), px = 1; /* of the level, over those of the picture */
    for (int i = 0; i < LEVELS; i++) {
        double in = channels[i], out = channels[i + 1];
        sum += px * (residual(in, out) + residual(out, out));
        if (i + 1 == LEVELS) break;
        px /= 4;
        sum += px * conv3(out, out);
    }
    double middle = 2 * residual(DEEPEST, DEEPEST) + 4 * 2.0 * DEEPEST * DEEPEST;
    return sum + px * (middle + conv3(DEEPEST, 2 * LATENT) + 2.0 * (2 * LATENT) * (2 * LATENT));
}

cost_encoder_t cost_vae_encoder(double width, double height) {
    double px = width * height, cells = px / (CELL_PX * CELL_PX);
    return (cost_encoder_t){.linear = px * cost_vae_linear_px(), .attention = 4 * DEEPEST * cells * cells};
}
