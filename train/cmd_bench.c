/* `lens bench`: measures this machine. */
#include <string.h>
#include <unistd.h>

#include "base/command.h"
#include "base/log.h"
#include "data/bench_data.h"
#include "train/bench_count.h"
#include "train/bench_kernels.h"
#include "train/bench_train.h"

extern const command_t cmd_bench;

typedef struct {
    bench_options_t data;
    bench_count_options_t count;
    char *dump;
    bool full_text;
} bench_values_t;

#define AT(field) offsetof(bench_values_t, data.field)
#define COUNT_AT(field) offsetof(bench_values_t, count.field)

static const option_t ROWS[] = {
    {.name = "threads",
     .type = OPTION_INT,
     .offset = AT(threads),
     .initial = "0",
     .min = 0,
     .max = 256,
     .help = "0: one a core"},
    {.name = "buckets",
     .type = OPTION_STRING,
     .offset = AT(buckets),
     .initial = "512x512",
     .required = true,
     .choices = "LIST",
     .help = "lens-27, lens-512, 512x512,352x704"},
    {.name = "max-upscale",
     .type = OPTION_FLOAT,
     .offset = AT(max_upscale),
     .initial = "0",
     .min = 0,
     .max = 1000,
     .help = "pictures that all buckets would enlarge more are left out; 0: no limit"},
    {.name = "batch",
     .type = OPTION_INT,
     .offset = AT(batch),
     .initial = "16",
     .min = 1,
     .max = 1e6,
     .help = "samples a batch"},
    {.name = "window",
     .type = OPTION_INT,
     .offset = AT(window_shards),
     .initial = "0",
     .min = 0,
     .max = 1e9,
     .unit = "shards",
     .help = "shuffled at a time; 0: the whole set"},
    {.name = "prefetch",
     .type = OPTION_INT,
     .offset = AT(prefetch),
     .initial = "2",
     .min = 1,
     .max = 256,
     .unit = "batches",
     .help = "held ready"},
    {.name = "resample",
     .type = OPTION_CHOICE,
     .offset = AT(resample),
     .initial = "area",
     .choices = "area|triangle|lanczos",
     .help = "how pictures are scaled"},
    {.name = "captions",
     .type = OPTION_STRING,
     .offset = AT(captions),
     .initial = "alt",
     .required = true,
     .choices = "KIND[=W],...",
     .help = "caption kinds; the first is read alone too"},
    {.name = "array",
     .type = OPTION_STRING,
     .offset = AT(array),
     .choices = "KIND",
     .help = "measure this array layer too"},
    {.name = "seconds",
     .type = OPTION_FLOAT,
     .offset = AT(seconds),
     .initial = "20",
     .min = 0.01,
     .max = 1e5,
     .unit = "s",
     .help = "for all measurements together"},
    {.name = "rounds",
     .type = OPTION_INT,
     .offset = AT(rounds),
     .initial = "7",
     .min = 1,
     .max = 64,
     .help = "of all measurements in turn; medians count"},
    {.name = "cold",
     .type = OPTION_FLAG,
     .offset = AT(cold),
     .help = "from the disk: files leave the page cache before every round"},
    {.name = "json", .type = OPTION_FLAG, .offset = AT(json), .help = "one line for machines"},
    {.name = "gpu",
     .type = OPTION_CHOICE,
     .offset = COUNT_AT(gpu),
     .initial = "h200",
     .choices = GPU_NAMES,
     .help = "count: on which the time is predicted"},
    {.name = "ranks",
     .type = OPTION_INT,
     .offset = COUNT_AT(ranks),
     .initial = "1",
     .min = 1,
     .max = 1e6,
     .help = "count: one a GPU; the first is counted"},
    {.name = "text-tok",
     .type = OPTION_INT,
     .offset = COUNT_AT(text_tok),
     .initial = "0",
     .min = 0,
     .max = 65536,
     .unit = "tokens",
     .help = "count, kernels: of every caption; 0: 160, or half of text.max_tok"},
    {.name = "products",
     .type = OPTION_FLOAT,
     .offset = COUNT_AT(efficiency.products),
     .initial = "0.75",
     .min = 0.01,
     .max = 1,
     .help = "count: of the peak, by full waves of tiles; the clock falls under them"},
    {.name = "attention-forward",
     .type = OPTION_FLOAT,
     .offset = COUNT_AT(efficiency.attention_fwd),
     .initial = "0.65",
     .min = 0.01,
     .max = 1,
     .help = "count: of the peak, at heads of 128 columns; narrower ones have more softmax"},
    {.name = "attention-backward",
     .type = OPTION_FLOAT,
     .offset = COUNT_AT(efficiency.attention_bwd),
     .initial = "0.5",
     .min = 0.01,
     .max = 1,
     .help = "count: the same, of its five products"},
    {.name = "copies",
     .type = OPTION_FLOAT,
     .offset = COUNT_AT(efficiency.copies),
     .initial = "0.85",
     .min = 0.01,
     .max = 1,
     .help = "count: of the memory's bandwidth, as large copies reach"},
    {.name = "launch",
     .type = OPTION_FLOAT,
     .offset = COUNT_AT(efficiency.launch_us),
     .initial = "2.5",
     .min = 0,
     .max = 1000,
     .unit = "us",
     .help = "count: from the end of a kernel to the work of the next"},
    {.name = "dump",
     .type = OPTION_STRING,
     .offset = offsetof(bench_values_t, dump),
     .choices = "FILE",
     .help = "train: write weights, a batch and its gradients instead"},
    {.name = "full-text",
     .type = OPTION_FLAG,
     .offset = offsetof(bench_values_t, full_text),
     .help = "train: every text has text.max_tok tokens, not from half of them up"},
    {.name = "make",
     .type = OPTION_FLAG,
     .offset = AT(make),
     .help = "write a set of noise to DIR first, with layers dense and latents"},
    {.name = "n",
     .letter = 'n',
     .type = OPTION_INT,
     .offset = AT(n),
     .initial = "512",
     .min = 1,
     .max = 1e7,
     .help = "--make: pictures"},
    {.name = "size",
     .type = OPTION_INT,
     .offset = AT(size_px),
     .initial = "640",
     .min = 16,
     .max = 8192,
     .unit = "px",
     .help = "--make: width and height"},
    {.name = "quality",
     .type = OPTION_FLOAT,
     .offset = AT(quality),
     .initial = "90",
     .min = 0,
     .max = 100,
     .help = "--make: of WebP"},
    {.name = "shard-samples",
     .type = OPTION_INT,
     .offset = AT(shard_samples),
     .initial = "256",
     .min = 1,
     .max = 1e6,
     .help = "--make: samples a shard"},
    {.name = "seed",
     .type = OPTION_INT,
     .offset = AT(seed),
     .initial = "0",
     .min = 0,
     .max = 1e15,
     .help = "--make: same seed, same pixels"},
};

static lens_status run_data(bench_options_t o, int n_args, char **args) {
    if (n_args != 1) return lens_fail(LENS_ARGUMENT, "data: expected one dataset folder, got %d", n_args);
    if (o.threads == 0) o.threads = sysconf(_SC_NPROCESSORS_ONLN);
    if (o.make) LENS_TRY(bench_make(args[0], &o));
    return bench_data(args[0], &o);
}

/* Nothing is read from data.dataset or written to run.dir: both may be missing. */
static lens_status load_config(train_config_t *out, int n_args, char **args) {
    static char dataset[] = "data.dataset=random", dir[] = "run.dir=none";
    enum { MAX_OVERRIDES = 64 };
    char *all[MAX_OVERRIDES + 2] = {dataset, dir};
    if (n_args - 1 > MAX_OVERRIDES)
        return lens_fail(LENS_ARGUMENT, "expected at most %d settings, got %d", MAX_OVERRIDES, n_args - 1);
    for (int i = 1; i < n_args; i++) all[i + 1] = args[i];
    return train_config_load(out, args[0], n_args + 1, all);
}

typedef struct {
    const bench_values_t *values;
    int n_args;
    char **args;
} train_words_t;

/* What one process does for all: its configuration. */
static lens_status load_alone(train_config_t *out, comm_t *comm, const train_words_t *w) {
    if (comm_world(comm) > 1)
        return lens_fail(LENS_ARGUMENT, "count, kernels: expected one process, got %d ranks", comm_world(comm));
    return load_config(out, w->n_args, w->args);
}

static lens_status count_by(comm_t *comm, void *words) {
    const train_words_t *w = words;
    bench_count_options_t o = w->values->count;
    train_config_t c;
    LENS_TRY(load_alone(&c, comm, w));
    o.json = w->values->data.json;
    lens_status st = bench_count(&c, comm, &o);
    train_config_free(&c);
    return st;
}

static lens_status kernels_by(comm_t *comm, void *words) {
    const train_words_t *w = words;
    const bench_values_t *v = w->values;
    const bench_kernels_options_t o = {.text_tok = v->count.text_tok, .seconds = v->data.seconds, .json = v->data.json};
    train_config_t c;
    LENS_TRY(load_alone(&c, comm, w));
    lens_status st = bench_kernels(&c, comm, &o);
    train_config_free(&c);
    return st;
}

static lens_status train_by(comm_t *comm, void *words) {
    const train_words_t *w = words;
    const bench_values_t *v = w->values;
    train_config_t c;
    LENS_TRY(comm_agree(comm, load_config(&c, w->n_args, w->args), "configuration"));
    lens_status st = LENS_OK;
    if (!v->dump)
        st = bench_train(&c, comm, v->data.rounds, v->full_text, v->data.json);
    else
        st = comm_agree(comm, comm_rank(comm) == 0 ? bench_train_dump(&c, v->dump) : LENS_OK, "dump");
    train_config_free(&c);
    return st;
}

static lens_status run_by(lens_status (*by)(comm_t *, void *), const bench_values_t *v, int n_args, char **args) {
    train_words_t w = {v, n_args - 1, args + 1};
    if (n_args < 2) return lens_fail(LENS_ARGUMENT, "%s: expected a configuration", args[0]);
    return command_by_ranks(by, &w);
}

static lens_status run(const void *values, int n_args, char **args) {
    const bench_values_t *v = values;
    const char *what = n_args < 1 ? "" : args[0];
    if (strcmp(what, "data") == 0) return run_data(v->data, n_args - 1, args + 1);
    if (strcmp(what, "train") == 0) return run_by(train_by, v, n_args, args);
    if (strcmp(what, "count") == 0) return run_by(count_by, v, n_args, args);
    if (strcmp(what, "kernels") == 0) return run_by(kernels_by, v, n_args, args);
    return lens_fail(LENS_ARGUMENT, "%s: expected data, train, count or kernels",
                     n_args < 1 ? "nothing to measure" : what);
}

const command_t cmd_bench = {
    .name = "bench",
    .usage = "data DIR | train CONFIG [KEY=VALUE...] | count|kernels CONFIG [KEY=VALUE...]",
    .summary = "measure what this machine loads and trains in a second",
    .details =
        "data: raw reads of the shards, single pictures and captions, the picture decoder alone, and the training "
        "loader, on as\n"
        "many threads each, a round of each in turn: ratios are taken within a round, so that they hold on a "
        "busy machine.\n"
        "All is read once before, so that it comes out of the page cache where that is large enough; with "
        "--cold, out of the\n"
        "disk.\n"
        "train: steps of the configuration on random data, buckets in turn, and the products of each step made "
        "bare; --rounds,\n"
        "--full-text and --json alone apply. Also under mpirun.\n"
        "count: a step of the configuration by count, without computing it, and its predicted time on a GPU.\n"
        "kernels: each call of that step alone, timed, beside the ceilings measured in the same run; --text-tok, "
        "--seconds\n"
        "and --json apply.",
    .options = {ROWS, sizeof ROWS / sizeof ROWS[0]},
    .values_size = sizeof(bench_values_t),
    .run = run,
};
