#include "eval/cost_paper.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/gpu.h"

#define LENS_PAPER "Lens, arXiv 2605.21573"
#define Z_IMAGE "Z-Image, arXiv 2511.22699"
#define SHEET "data sheet"
#define COUNT "our count: mmdit_forward_flop_terms"

static const double lens_hours = 192e3, z_image_hours = 314e3;
static const double a100 = 312, h800 = 989.5; /* TFLOP/s, bf16, dense */
static const double z_image_parameters = 6e9;
static const double prompt_tok = 150, tile_tok = 85, tiles_tok = 170, caption_tok = 145; /* of a hosted captioner */
static const double captioner_parameters = 8e9, picture_tok = 1002;                      /* of one's own */

enum { TEXT_MEAN = 160, TEXT_MOST = 512 };

/* The recipe under every assumption that the paper leaves open. */
enum { N_TEXTS = 2, N_MIXES = 2, N_CASES = N_TEXTS * N_MIXES };
typedef struct {
    cost_sheet_t *s;
    const cost_prices_t *prices;
    double captions_per_s;
    cost_recipe_t cached[N_CASES], online[N_CASES]; /* [text * N_MIXES + by_batches] */
} paper_t;

static const char *const case_names[N_CASES] = {"160 text tokens, areas by images", "160 text tokens, areas by batches",
                                                "padded to 512, areas by images", "padded to 512, areas by batches"};
static const char *const case_keys[N_CASES] = {"160_images", "160_batches", "512_images", "512_batches"};

static double peak_flop(double hours, double tflops) {
    return hours * 3600 * tflops * 1e12;
}

/* ---- the claim ---- */

static void input(cost_sheet_t *s, const char *key, const char *name, double value, const char *unit,
                  const char *source) {
    cost_add(s,
             COST_FIGURE(.key = key, .name = name, .value = value, .unit = unit, .how = "an input", .source = source),
             "%s", "");
}

static void claim_inputs(cost_sheet_t *s) {
    input(s, "lens_hours", "Lens: A100 hours", lens_hours, "h", LENS_PAPER);
    input(s, "a100_tflops", "A100: bf16, dense", a100, "TFLOP/s", SHEET " (kernels/gpu.h)");
    input(s, "z_image_hours", "Z-Image: H800 hours", z_image_hours, "h", Z_IMAGE);
    input(s, "h800_tflops", "H800: bf16, dense", h800, "TFLOP/s", SHEET ", as H100");
}

static void claim(cost_sheet_t *s) {
    double lens = peak_flop(lens_hours, a100), z_image = peak_flop(z_image_hours, h800);
    cost_section(s, "The claim: 19.3 % of Z-Image's compute");
    claim_inputs(s);
    cost_add(s,
             COST_FIGURE(.key = "lens_peak_flop", .name = "Lens: what its hours hold at the peak", .value = lens,
                         .unit = "FLOP", .how = "hours x 3600 x peak", .source = LENS_PAPER "; " SHEET),
             "%.12g * 3600 * %.12g * 1e12", lens_hours, a100);
    cost_add(s,
             COST_FIGURE(.key = "z_image_peak_flop", .name = "Z-Image: what its hours hold at the peak",
                         .value = z_image, .unit = "FLOP", .how = "hours x 3600 x peak", .source = Z_IMAGE "; " SHEET),
             "%.12g * 3600 * %.12g * 1e12", z_image_hours, h800);
    cost_add(s,
             &(cost_figure_t){.key = "ratio",
                              .name = "ratio of the two: by peaks, not by work done",
                              .value = 100 * lens / z_image,
                              .unit = "%",
                              .how = "(hours x peak) of Lens over that of Z-Image; captioning is in neither",
                              .source = LENS_PAPER "; " Z_IMAGE,
                              .paper = 19.3,
                              .last_digit = 0.1},
             "100 * (%.12g * %.12g) / (%.12g * %.12g)", lens_hours, a100, z_image_hours, h800);
    cost_add(s,
             COST_FIGURE(.key = "hours_ratio", .name = "ratio of the hours alone",
                         .value = 100 * lens_hours / z_image_hours, .unit = "%",
                         .how = "an A100 hour counted as an H800 hour", .source = LENS_PAPER "; " Z_IMAGE),
             "100 * %.12g / %.12g", lens_hours, z_image_hours);
}

/* ---- an image, and the balance of 24, 10 and 6 ---- */

enum { N_BASES = 3 };
static const int base_px[N_BASES] = {512, 768, 1024};
static const double base_images[N_BASES] = {24, 10, 6};

static int64_t base_tok(int base) {
    return (int64_t)(base_px[base] / 16) * (base_px[base] / 16);
}

static double image_flop(const paper_t *p, int base, int64_t text_tok) {
    return 3 * mmdit_forward_flop(&p->cached[0].stage[0].model, base_tok(base), text_tok);
}

static void image_figures(paper_t *p, int base) {
    char key[64], name[96];
    const int px = base_px[base];
    mmdit_flop_t f = mmdit_forward_flop_terms(&p->cached[0].stage[0].model, base_tok(base), TEXT_MEAN);
    double flop = image_flop(p, base, TEXT_MEAN), padded = image_flop(p, base, TEXT_MOST);
    snprintf(key, sizeof key, "image_%d", px);
    snprintf(name, sizeof name, "%d x %d, %d text tokens", px, px, TEXT_MEAN);
    cost_add(p->s,
             COST_FIGURE(.key = key, .name = name, .value = flop * 1e-12, .unit = "TFLOP",
                         .how = "3 x (linear + attention + modulation + ends)", .source = COUNT),
             "3 * (%.12g + %.12g + %.12g + %.12g) / 1e12", f.linear, f.attention, f.modulation, f.ends);
    snprintf(key, sizeof key, "attention_%d", px);
    cost_add(p->s,
             COST_FIGURE(.key = key, .name = "   attention's share", .value = 100 * 3 * f.attention / flop, .unit = "%",
                         .how = "scores and weighted values over all", .source = COUNT),
             "100 * 3 * %.12g / %.12g", f.attention, flop);
    snprintf(key, sizeof key, "padding_%d", px);
    cost_add(p->s,
             COST_FIGURE(.key = key, .name = "   more where text is padded to 512", .value = 100 * (padded / flop - 1),
                         .unit = "%", .how = "padded over not padded, less 1", .source = COUNT),
             "100 * (%.12g / %.12g - 1)", padded, flop);
}

/* By the square of each area, which its other buckets are near. */
static void balance_figures(paper_t *p) {
    char key[64], name[96];
    double flop[N_BASES], least = INFINITY, most = 0;
    cost_section(p->s, "The balance: a GPU's step has 24, 10 or 6 images by area");
    for (int i = 0; i < N_BASES; i++) {
        flop[i] = base_images[i] * image_flop(p, i, TEXT_MEAN) * 1e-12;
        least = fmin(least, flop[i]);
        most = fmax(most, flop[i]);
        snprintf(key, sizeof key, "step_%d", base_px[i]);
        snprintf(name, sizeof name, "a GPU's step of %g at %d x %d", base_images[i], base_px[i], base_px[i]);
        cost_add(p->s,
                 COST_FIGURE(.key = key, .name = name, .value = flop[i], .unit = "TFLOP",
                             .how = "images of the paper x TFLOP of one", .source = LENS_PAPER "; " COUNT),
                 "%.12g * %.12g", base_images[i], flop[i] / base_images[i]);
    }
    cost_add(p->s,
             COST_FIGURE(.key = "balance", .name = "dearest over cheapest: what faster ranks wait for",
                         .value = most / least, .unit = "x", .how = "the largest of the three over the least",
                         .source = LENS_PAPER "; " COUNT),
             "%.12g / %.12g", most, least);
    double tokens = 24.0 * (double)base_tok(0) / (6.0 * (double)base_tok(2));
    cost_add(p->s,
             COST_FIGURE(.key = "balance_tokens", .name = "image tokens of 24 small over 6 large images",
                         .value = tokens, .unit = "x", .how = "equal tokens are not equal work: attention is quadratic",
                         .source = LENS_PAPER),
             "24 * %lld / (6 * %lld)", (long long)base_tok(0), (long long)base_tok(2));
}

/* ---- the recipe and the MFU it implies ---- */

static void recipe_figures(paper_t *p) {
    char key[64];
    cost_section(p->s, "The recipe: two stages of 400 K steps on 128 GPUs, model FLOP");
    for (int i = 0; i < N_CASES; i++) {
        const cost_recipe_t *r = &p->cached[i];
        snprintf(key, sizeof key, "recipe_%s", case_keys[i]);
        cost_add(p->s,
                 COST_FIGURE(.key = key, .name = case_names[i], .value = r->model_flop, .unit = "FLOP",
                             .how = "stage 1 + stage 2, each images x 3 x forward", .source = LENS_PAPER "; " COUNT),
                 "3 * %.12g + 3 * %.12g", cost_forward(&r->stage[0].forward), cost_forward(&r->stage[1].forward));
    }
}

static void implied(paper_t *p, const char *key, const char *name, double flop, const char *how) {
    cost_add(p->s,
             COST_FIGURE(.key = key, .name = name, .value = 100 * flop / peak_flop(lens_hours, a100), .unit = "%",
                         .how = how, .source = LENS_PAPER "; " COUNT "; eval/cost_encoders.c"),
             "100 * %.12g / (%.12g * 3600 * %.12g * 1e12)", flop, lens_hours, a100);
}

static void implied_figures(paper_t *p) {
    char key[64], name[128];
    cost_section(p->s, "The MFU that 192 K A100 hours imply (peak 312 TFLOP/s)");
    for (int i = 0; i < N_CASES; i++) {
        snprintf(key, sizeof key, "mfu_%s", case_keys[i]);
        implied(p, key, case_names[i], p->cached[i].model_flop, "model FLOP over the hours at the peak");
        snprintf(key, sizeof key, "cached_%s", case_keys[i]);
        snprintf(name, sizeof name, "   with encoders once for each of 800 M images");
        implied(p, key, name, p->cached[i].model_flop + p->cached[i].encoder_flop,
                "model FLOP + encoders' over the hours at the peak, were their time in the hours");
        snprintf(key, sizeof key, "online_%s", case_keys[i]);
        snprintf(name, sizeof name, "   with encoders online, for each image seen");
        implied(p, key, name, p->online[i].model_flop + p->online[i].encoder_flop,
                "model FLOP + encoders' over the hours at the peak");
    }
}

/* ---- what a better trainer would need, and what Z-Image's hours imply ---- */

static void half_figures(paper_t *p) {
    const gpu_t *gpus[] = {gpu_find("a100-80g"), gpu_find("h200")};
    char key[64], name[96];
    cost_section(p->s, "A trainer at 50 % of the peak");
    for (int g = 0; g < 2; g++)
        for (int by_batches = 0; by_batches < N_MIXES; by_batches++) {
            double flop = p->cached[by_batches].model_flop, hours = cost_hours(flop, gpus[g]->peak_tflops, 0.5);
            snprintf(key, sizeof key, "half_%s_%s", gpus[g]->name, by_batches ? "batches" : "images");
            snprintf(name, sizeof name, "hours on %s, %s", gpus[g]->name, case_names[by_batches]);
            cost_add(p->s,
                     COST_FIGURE(.key = key, .name = name, .value = hours, .unit = "h",
                                 .how = "model FLOP / (peak x 3600 x 0.5)", .source = COUNT "; " SHEET),
                     "%.12g / (%.12g * 1e12 * 3600 * 0.5)", flop, gpus[g]->peak_tflops);
            snprintf(key, sizeof key, "half_%s_%s_usd", gpus[g]->name, by_batches ? "batches" : "images");
            cost_money_figure(p->s, key, "   money", hours, gpus[g]->name, cost_gpu_price(p->prices, gpus[g]->name));
        }
    cost_money_figure(p->s, "lens_usd", "the paper's 192 K A100 hours, for comparison", lens_hours, "a100-80g",
                      &p->prices->a100);
}

static void z_image_figures(paper_t *p) {
    double share = p->cached[0].model_flop / peak_flop(lens_hours, a100);
    double all = peak_flop(z_image_hours, h800), flop = all * share, each = 6 * z_image_parameters * (4096 + TEXT_MEAN);
    cost_section(p->s, "What Z-Image's 314 K H800 hours imply");
    input(p->s, "z_image_parameters", "parameters of Z-Image", z_image_parameters, "", Z_IMAGE);
    cost_add(p->s,
             COST_FIGURE(.key = "z_image_flop", .name = "FLOP at the MFU that Lens' hours imply (160, by images)",
                         .value = flop, .unit = "FLOP", .how = "hours x 3600 x peak x that MFU",
                         .source = Z_IMAGE "; that both have the same MFU is assumed"),
             "%.12g * 3600 * %.12g * 1e12 * %.12g", z_image_hours, h800, share);
    cost_add(p->s,
             COST_FIGURE(.key = "z_image_flop_half", .name = "FLOP at 50 % of the peak", .value = all / 2,
                         .unit = "FLOP", .how = "hours x 3600 x peak / 2", .source = Z_IMAGE "; " SHEET),
             "%.12g * 3600 * %.12g * 1e12 / 2", z_image_hours, h800);
    cost_add(p->s,
             COST_FIGURE(.key = "z_image_images", .name = "images of 1024 x 1024 that the former would train",
                         .value = flop / each, .unit = "images",
                         .how = "FLOP / (6 x parameters x (4096 image + 160 text tokens)); attention left out",
                         .source = Z_IMAGE "; our estimate"),
             "%.12g / (6 * %.12g * (4096 + %d))", flop, z_image_parameters, TEXT_MEAN);
    cost_add(p->s,
             COST_FIGURE(.key = "z_image_mfu_for_lens", .name = "MFU at which they equal Lens' model FLOP",
                         .value = 100 * p->cached[0].model_flop / all, .unit = "%",
                         .how = "Lens' model FLOP over what the hours hold at the peak", .source = COUNT "; " Z_IMAGE),
             "100 * %.12g / (%.12g * 3600 * %.12g * 1e12)", p->cached[0].model_flop, z_image_hours, h800);
    cost_money_figure(p->s, "z_image_usd", "money for the hours", z_image_hours, "h800", &p->prices->h800);
}

/* ---- captioning ---- */

static void no_price(paper_t *p, const char *key, const char *name, const char *source) {
    cost_add(
        p->s,
        COST_FIGURE(.key = key, .name = name, .value = NAN, .unit = "USD", .how = "no price given", .source = source),
        "%s", "");
}

/* Pictures of one size, at the list price or in batches. */
static void hosted_figure(paper_t *p, int px, bool batch, const char *source) {
    const cost_prices_t *q = p->prices;
    char key[64], name[96];
    double tiles = px / 512.0 * (px / 512.0), read = tile_tok + tiles_tok * tiles + prompt_tok;
    double each = (read * q->hosted.usd_per_mtok_in + caption_tok * q->hosted.usd_per_mtok_out) * 1e-6;
    double factor = batch ? 1 - q->hosted.batch_discount : 1, usd = COST_PAPER_IMAGES * each * factor;
    const char *how = batch ? "batch" : "list";
    snprintf(key, sizeof key, "caption_%s_%d", how, px);
    snprintf(name, sizeof name, "%s, pictures of %d px, %s price", q->hosted.model, px, how);
    cost_add(p->s,
             COST_FIGURE(.key = key, .name = name, .value = usd, .unit = "USD",
                         .how = "images x (tokens read x price + tokens written x price) x share of the price",
                         .source = source),
             "%.12g * (%.12g * %.12g + %.12g * %.12g) * 1e-6 * %.12g", COST_PAPER_IMAGES, read,
             q->hosted.usd_per_mtok_in, caption_tok, q->hosted.usd_per_mtok_out, factor);
    snprintf(key, sizeof key, "even_%s_%d", how, px);
    cost_add(p->s,
             COST_FIGURE(.key = key, .name = "   as much as all 192 K A100 hours at", .value = usd / lens_hours,
                         .unit = "USD an hour", .how = "money / hours of Lens' training",
                         .source = LENS_PAPER "; the row above"),
             "%.12g / %.12g", usd, lens_hours);
    if (q->a100.usd_per_h == 0) return;
    snprintf(key, sizeof key, "a100_hours_%s_%d", how, px);
    cost_add(p->s,
             COST_FIGURE(.key = key, .name = "   as A100 hours", .value = usd / q->a100.usd_per_h, .unit = "h",
                         .how = "money / price of an A100 hour", .source = "prices: gpu.a100-80g"),
             "%.12g / %.12g", usd, q->a100.usd_per_h);
}

static void hosted_figures(paper_t *p) {
    const cost_prices_t *q = p->prices;
    str_t source = {0};
    if (q->hosted.usd_per_mtok_in == 0 || q->hosted.usd_per_mtok_out == 0) {
        no_price(p, "caption_hosted", "a hosted captioner", "prices: caption.hosted");
        return;
    }
    str_addf(&source,
             "prices: caption.hosted, %s, %s; tokens: 85 + 170 a tile of 512 px, 150 of prompt and alt-text, "
             "109 words written",
             q->hosted.date, q->hosted.source);
    for (int base = 0; base < N_BASES; base += 2) {
        hosted_figure(p, base_px[base], false, str_text(&source));
        hosted_figure(p, base_px[base], true, str_text(&source));
    }
    p->s->failed |= source.failed;
    str_free(&source);
}

static void open_figure(paper_t *p) {
    const cost_prices_t *q = p->prices;
    char name[96];
    str_t source = {0};
    if (q->open.usd_per_kimage == 0) {
        no_price(p, "caption_open", "an open captioner, hosted in batches", "prices: caption.open");
        return;
    }
    str_addf(&source, "prices: caption.open, %s, %s", q->open.date, q->open.source);
    snprintf(name, sizeof name, "%s, hosted in batches", q->open.model);
    cost_add(p->s,
             COST_FIGURE(.key = "caption_open", .name = name, .value = COST_PAPER_IMAGES * q->open.usd_per_kimage / 1e3,
                         .unit = "USD", .how = "images x price of a thousand / 1000", .source = str_text(&source)),
             "%.12g * %.12g / 1000", COST_PAPER_IMAGES, q->open.usd_per_kimage);
    p->s->failed |= source.failed;
    str_free(&source);
}

static void own_figures(paper_t *p) {
    double each = 2 * captioner_parameters * (picture_tok + prompt_tok + caption_tok), flop = COST_PAPER_IMAGES * each;
    double lens = peak_flop(lens_hours, a100), share = p->cached[0].model_flop / lens;
    cost_add(p->s,
             COST_FIGURE(.key = "caption_flop", .name = "one's own captioner of 8 B parameters, by count",
                         .value = flop, .unit = "FLOP",
                         .how = "images x 2 x parameters x (1002 picture + 150 prompt + 145 caption tokens)",
                         .source = "our estimate; attention and the picture encoder left out"),
             "%.12g * 2 * %.12g * (%.12g + %.12g + %.12g)", COST_PAPER_IMAGES, captioner_parameters, picture_tok,
             prompt_tok, caption_tok);
    cost_add(p->s,
             COST_FIGURE(.key = "caption_share", .name = "   of the recipe's model FLOP (160, by images)",
                         .value = 100 * flop / p->cached[0].model_flop, .unit = "%", .how = "one over the other",
                         .source = "the row above; " COUNT),
             "100 * %.12g / %.12g", flop, p->cached[0].model_flop);
    cost_add(
        p->s,
        COST_FIGURE(.key = "ratio_captioned", .name = "   the 19.3 % with it, at Lens' implied MFU",
                    .value = 100 * (lens + flop / share) / peak_flop(z_image_hours, h800), .unit = "%",
                    .how = "(Lens' FLOP at the peak + captioning / MFU) over Z-Image's, whose captions are left out",
                    .source = "the rows above"),
        "100 * (%.12g + %.12g / %.12g) / %.12g", lens, flop, share, peak_flop(z_image_hours, h800));
}

static void rate_figures(paper_t *p) {
    double rate = p->captions_per_s;
    cost_add(p->s,
             COST_FIGURE(.key = "even_captions_per_s", .name = "captions/s of a GPU at which they take 192 K GPU hours",
                         .value = COST_PAPER_IMAGES / (lens_hours * 3600), .unit = "captions/s",
                         .how = "images / (hours x 3600)", .source = LENS_PAPER),
             "%.12g / (%.12g * 3600)", COST_PAPER_IMAGES, lens_hours);
    cost_figure_t f = {.key = "caption_hours", .name = "GPU hours at the captions/s measured", .unit = "h"};
    f.value = rate > 0 ? COST_PAPER_IMAGES / (rate * 3600) : NAN;
    f.how = rate > 0 ? "images / (captions/s of a GPU x 3600)" : "not measured: --captions-per-s";
    f.source = rate > 0
                   ? "the rate that --captions-per-s gives: captions a second and GPU, as measured by whoever calls"
                   : "a rate, captions a second and GPU, that --captions-per-s would give";
    if (rate > 0)
        cost_add(p->s, &f, "%.12g / (%.12g * 3600)", COST_PAPER_IMAGES, rate);
    else
        cost_add(p->s, &f, "%s", "");
}

static void caption_figures(paper_t *p) {
    cost_section(p->s, "Captioning 800 M images, which both papers leave out");
    input(p->s, "caption_images", "images", COST_PAPER_IMAGES, "", LENS_PAPER);
    input(p->s, "caption_tok", "tokens of a caption", caption_tok, "tokens",
          LENS_PAPER ": mean of 109 words; about 4/3 token a word");
    hosted_figures(p);
    open_figure(p);
    own_figures(p);
    rate_figures(p);
}

/* ---- all ---- */

static lens_status count_cases(paper_t *p, int n, const char *const *names, const train_config_t *configs) {
    for (int i = 0; i < N_CASES; i++) {
        cost_assumptions_t a = {.text_tok = TEXT_MEAN,
                                .padded = i >= N_MIXES,
                                .by_batches = i % N_MIXES != 0,
                                .dataset_images = COST_PAPER_IMAGES};
        LENS_TRY(cost_recipe_count(&p->cached[i], n, names, configs, &a));
        a.online = true;
        LENS_TRY(cost_recipe_count(&p->online[i], n, names, configs, &a));
    }
    return LENS_OK;
}

lens_status cost_paper_figures(cost_sheet_t *s, int n, const char *const *names, const train_config_t *configs,
                               const cost_prices_t *prices, double captions_per_s) {
    paper_t *p = calloc(1, sizeof *p);
    lens_status st = LENS_OK;
    if (!p) return lens_fail(LENS_MEMORY, "cost: out of memory");
    *p = (paper_t){.s = s, .prices = prices, .captions_per_s = captions_per_s};
    LENS_ASSERT(n == 2, "the paper has two stages, got %d", n);
    LENS_GO(count_cases(p, n, names, configs));
    claim(s);
    cost_section(s, "An image: 3 x forward");
    for (int base = 0; base < N_BASES; base++) image_figures(p, base);
    balance_figures(p);
    recipe_figures(p);
    implied_figures(p);
    half_figures(p);
    z_image_figures(p);
    caption_figures(p);
    st = cost_sheet_status(s);
done:
    free(p);
    return st;
}
