/* `lens cost`: what a recipe costs, counted from the architecture, and the paper's figures beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/build_info.h"
#include "base/command.h"
#include "eval/cost_mfu.h"
#include "eval/cost_page.h"
#include "eval/cost_paper.h"
#include "kernels/gpu.h"

typedef struct {
    char *gpu, *from, *prices, *encoders, *mix, *html;
    double mfu, dataset_images, captions_per_s;
    int64_t text_tok;
    bool padded, paper, json, explain;
} cost_values_t;

/* Of the source tree, wherever the program is called: */
#define PRICES "configs/prices.yaml"
/* the paper's two stages, which are also what is counted where nothing is named. */
static const char *const paper_stages[] = {"configs/lens-3.8b-stage1.yaml", "configs/lens-3.8b-stage2.yaml"};
enum { N_PAPER_STAGES = sizeof paper_stages / sizeof *paper_stages };

static const option_t options[] = {
    {.name = "gpu",
     .type = OPTION_CHOICE,
     .offset = offsetof(cost_values_t, gpu),
     .initial = "a100-80g",
     .choices = GPU_NAMES,
     .help = "which hours and prices"},
    {.name = "mfu",
     .type = OPTION_FLOAT,
     .offset = offsetof(cost_values_t, mfu),
     .initial = "0",
     .min = 0,
     .max = 1,
     .help = "model FLOP over bf16 dense peak; 0: that of --from, or the assumption 0.5"},
    {.name = "from",
     .type = OPTION_STRING,
     .offset = offsetof(cost_values_t, from),
     .choices = "FILE",
     .help = "take the MFU from RUN/metrics.jsonl, benchmarks-gpu.json or the JSON of lens bench train"},
    {.name = "prices",
     .type = OPTION_STRING,
     .offset = offsetof(cost_values_t, prices),
     .choices = "FILE",
     .help = "prices with dates and sources, instead of " PRICES},
    {.name = "text-tok",
     .type = OPTION_INT,
     .offset = offsetof(cost_values_t, text_tok),
     .initial = "0",
     .min = 0,
     .max = 65536,
     .unit = "tokens",
     .help = "of a caption; 0: 160, or half of text.max_tok"},
    {.name = "padded",
     .type = OPTION_FLAG,
     .offset = offsetof(cost_values_t, padded),
     .help = "captions are padded to text.max_tok"},
    {.name = "encoders",
     .type = OPTION_CHOICE,
     .offset = offsetof(cost_values_t, encoders),
     .initial = "cached",
     .choices = "cached|online",
     .help = "run once for each image of the dataset, or for each image seen"},
    {.name = "mix",
     .type = OPTION_CHOICE,
     .offset = offsetof(cost_values_t, mix),
     .initial = "images",
     .choices = "images|batches",
     .help = "what falls into all areas alike"},
    {.name = "dataset-images",
     .type = OPTION_FLOAT,
     .offset = offsetof(cost_values_t, dataset_images),
     .initial = "800e6",
     .min = 1,
     .max = 1e12,
     .help = "images of the dataset: what cached encoders run for"},
    {.name = "captions-per-s",
     .type = OPTION_FLOAT,
     .offset = offsetof(cost_values_t, captions_per_s),
     .initial = "0",
     .min = 0,
     .max = 1e6,
     .help = "paper: measured captions/s of a GPU; 0: not measured"},
    {.name = "paper",
     .type = OPTION_FLAG,
     .offset = offsetof(cost_values_t, paper),
     .help = "the paper's figures beside our arithmetic"},
    {.name = "html",
     .type = OPTION_STRING,
     .offset = offsetof(cost_values_t, html),
     .choices = "FILE",
     .help = "write a page with charts too"},
    {.name = "json", .type = OPTION_FLAG, .offset = offsetof(cost_values_t, json), .help = "for machines"},
    {.name = "explain",
     .type = OPTION_FLAG,
     .offset = offsetof(cost_values_t, explain),
     .help = "below each figure its formula with the numbers put in, and its source"},
};

/* What a call works on. */
typedef struct {
    const cost_values_t *v;
    int n;
    const char *names[COST_MAX_STAGES];
    train_config_t configs[COST_MAX_STAGES];
    cost_prices_t prices;
    cost_assumptions_t assumed;
    str_t mfu_source;
    cost_rate_t rate;
    cost_recipe_t recipe;
    cost_sensitivity_t sensitivity;
    cost_sheet_t sheet;
} cost_job_t;

/* CONFIG [KEY=VALUE...] CONFIG ...: overrides belong to the configuration before them. */
static lens_status load_configs(cost_job_t *j, int n_args, char *const *args) {
    for (int i = 0; i < n_args;) {
        int n = 0;
        if (strchr(args[i], '=') != NULL)
            return lens_fail(LENS_ARGUMENT, "expected a configuration before \"%s\"", args[i]);
        if (j->n == COST_MAX_STAGES)
            return lens_fail(LENS_ARGUMENT, "\"%s\": at most %d configurations", args[i], COST_MAX_STAGES);
        while (i + 1 + n < n_args && strchr(args[i + 1 + n], '=') != NULL) n++;
        LENS_TRY(train_config_load(&j->configs[j->n], args[i], n, (char **)(uintptr_t)(args + i + 1)));
        j->names[j->n++] = args[i];
        i += 1 + n;
    }
    return LENS_OK;
}

static lens_status in_source_tree(str_t *path, const char *name) {
    str_clear(path);
    str_addf(path, "%s/%s", build_source_dir(), name);
    return str_status(path);
}

static lens_status load_paper_stages(cost_job_t *j, str_t *path) {
    for (int i = 0; i < N_PAPER_STAGES; i++) {
        LENS_TRY(in_source_tree(path, paper_stages[i]));
        LENS_TRY(train_config_load(&j->configs[i], str_text(path), 0, NULL));
        j->names[j->n++] = paper_stages[i];
    }
    return LENS_OK;
}

static lens_status load_files(cost_job_t *j, int n_args, char *const *args) {
    str_t path = {0};
    lens_status st;
    LENS_GO(n_args > 0 ? load_configs(j, n_args, args) : load_paper_stages(j, &path));
    if (!j->v->prices) LENS_GO(in_source_tree(&path, PRICES));
    LENS_GO(cost_prices_read(&j->prices, j->v->prices ? j->v->prices : str_text(&path)));
done:
    str_free(&path);
    return st;
}

static lens_status find_rate(cost_job_t *j) {
    const cost_values_t *v = j->v;
    const gpu_t *gpu = gpu_find(v->gpu);
    j->rate = (cost_rate_t){.gpu = gpu->name,
                            .peak_tflops = gpu->peak_tflops,
                            .mfu = v->mfu > 0 ? v->mfu : 0.5,
                            .mfu_source = v->mfu > 0 ? "--mfu" : "an assumption; --mfu or --from say another",
                            .price = cost_gpu_price(&j->prices, gpu->name)};
    if (!v->from) return LENS_OK;
    if (v->mfu > 0) return lens_fail(LENS_ARGUMENT, "--mfu and --from: expected one of them");
    LENS_TRY(cost_mfu_read(&j->rate.mfu, &j->mfu_source, v->from));
    j->rate.mfu_source = str_text(&j->mfu_source);
    return LENS_OK;
}

static lens_status fill(cost_job_t *j, int n_args, char **args) {
    const cost_values_t *v = j->v;
    if (v->paper && n_args > 0)
        return lens_fail(LENS_ARGUMENT,
                         "--paper is about the paper's two stages: expected no configuration, got \"%s\"", args[0]);
    LENS_TRY(load_files(j, n_args, args));
    LENS_TRY(find_rate(j));
    j->assumed = (cost_assumptions_t){.text_tok = v->text_tok,
                                      .padded = v->padded,
                                      .by_batches = strcmp(v->mix, "batches") == 0,
                                      .online = strcmp(v->encoders, "online") == 0,
                                      .dataset_images = v->dataset_images};
    LENS_TRY(cost_recipe_count(&j->recipe, j->n, j->names, j->configs, &j->assumed));
    LENS_TRY(cost_sensitivity_make(&j->sensitivity, j->n, j->names, j->configs, &j->assumed, &j->rate));
    if (v->paper) return cost_paper_figures(&j->sheet, j->n, j->names, j->configs, &j->prices, v->captions_per_s);
    cost_recipe_figures(&j->sheet, &j->recipe);
    cost_hours_figures(&j->sheet, &j->recipe, &j->rate);
    return cost_sheet_status(&j->sheet);
}

static lens_status print_text(const cost_job_t *j) {
    str_t out = {0};
    cost_sheet_print(&out, &j->sheet, j->v->explain);
    str_add_char(&out, '\n');
    if (!j->v->paper) {
        cost_recipe_print_buckets(&out, &j->recipe);
        str_add_char(&out, '\n');
    }
    cost_sensitivity_print(&out, &j->sensitivity);
    lens_status st = str_status(&out);
    if (st == LENS_OK) fputs(out.s, stdout);
    str_free(&out);
    return st;
}

static lens_status print_json(const cost_job_t *j) {
    json_t *o = json_pack("{s:s, s:f, s:o, s:o, s:o}", "gpu", j->rate.gpu, "peak_tflops", j->rate.peak_tflops,
                          "figures", cost_sheet_json(&j->sheet), "buckets", cost_recipe_buckets_json(&j->recipe),
                          "sensitivity", cost_sensitivity_json(&j->sensitivity));
    char *text = o ? json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(o);
    if (!text) return lens_fail(LENS_MEMORY, "out of memory for JSON");
    puts(text);
    free(text);
    return LENS_OK;
}

static lens_status write_page(const cost_job_t *j) {
    int64_t most = j->configs[0].text.max_tok;
    return cost_page_write(
        j->v->html, &(cost_page_t){.title = j->v->paper ? "Lens: the paper's cost, checked" : "What a recipe costs",
                                   .sheet = &j->sheet,
                                   .sensitivity = &j->sensitivity,
                                   .model = &j->recipe.stage[0].model,
                                   .max_text_tok = most});
}

static lens_status run(const void *values, int n_args, char **args) {
    cost_job_t *j = calloc(1, sizeof *j);
    lens_status st = LENS_OK;
    if (!j) return lens_fail(LENS_MEMORY, "cost: out of memory");
    j->v = values;
    LENS_GO(fill(j, n_args, args));
    if (j->v->html) LENS_GO(write_page(j));
    st = j->v->json ? print_json(j) : print_text(j);
done:
    for (int i = 0; i < j->n; i++) train_config_free(&j->configs[i]);
    cost_prices_free(&j->prices);
    cost_sheet_free(&j->sheet);
    str_free(&j->mfu_source);
    free(j);
    return st;
}

const command_t cmd_cost = {
    .name = "cost",
    .usage = "[CONFIG [KEY=VALUE...]]... [--gpu NAME] [--mfu F | --from FILE] [--explain] | --paper",
    .summary = "say what a recipe costs: FLOP by term, images, GPU hours, money",
    .details =
        "Counted from the architecture: linear layers, attention, modulation, backward, what is made again, the\n"
        "frozen encoders; tokens by bucket; hours and money on a GPU at an MFU, and how they depend on it. Several\n"
        "configurations are stages that sum up; without one, the paper's two stages of configs/ are counted.\n"
        "    lens cost configs/lens-3.8b-stage1.yaml configs/lens-3.8b-stage2.yaml --gpu h200\n"
        "    lens cost --paper --explain",
    .options = OPTION_TABLE(options),
    .values_size = sizeof(cost_values_t),
    .run = run,
};
