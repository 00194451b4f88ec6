/* `lens ckpt`: looks into checkpoints and weights, and makes others out of them. */
#include <inttypes.h>
#include <string.h>

#include "base/command.h"
#include "train/ckpt.h"
#include "train/ckpt_source.h"

extern const command_t cmd_ckpt;

static lens_status show(const ckpt_options_t *o, int n, char **paths) {
    for (int i = 0; i < n; i++) LENS_TRY(ckpt_show(paths[i], o));
    return LENS_OK;
}

static lens_status verify(const ckpt_options_t *o, int n, char **paths) {
    (void)o;
    int64_t n_faults = 0;
    for (int i = 0; i < n; i++) {
        int64_t more;
        LENS_TRY(ckpt_verify(paths[i], &more));
        n_faults += more;
    }
    if (n_faults == 0) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%" PRId64 " fault%s found", n_faults, n_faults == 1 ? "" : "s");
}

static lens_status convert(const ckpt_options_t *o, int n, char **paths) {
    if (n != 1 || !o->out) return lens_fail(LENS_ARGUMENT, "convert: expected one PATH and -o OUT");
    return ckpt_convert(paths[0], o);
}

static lens_status average(const ckpt_options_t *o, int n, char **paths) {
    if (n < 2 || !o->out) return lens_fail(LENS_ARGUMENT, "average: expected several PATH and -o OUT");
    return ckpt_average(n, paths, o);
}

static lens_status merge_lora(const ckpt_options_t *o, int n, char **paths) {
    if (n != 2 || !o->out) return lens_fail(LENS_ARGUMENT, "merge-lora: expected BASE, ADAPTER and -o OUT");
    return ckpt_merge_lora(paths[0], paths[1], o);
}

static lens_status diff(const ckpt_options_t *o, int n, char **paths) {
    int64_t n_different;
    if (n != 2) return lens_fail(LENS_ARGUMENT, "diff: expected two PATH");
    LENS_TRY(ckpt_diff(paths[0], paths[1], o, &n_different));
    if (n_different == 0) return LENS_OK;
    return lens_fail(LENS_STATE, "%" PRId64 " tensor%s", n_different, n_different == 1 ? " differs" : "s differ");
}

static const struct {
    const char *name;
    lens_status (*run)(const ckpt_options_t *o, int n, char **paths);
} actions[] = {
    {"show", show},       {"verify", verify}, {"convert", convert},
    {"average", average}, {"diff", diff},     {"merge-lora", merge_lora},
};
enum { N_ACTIONS = sizeof actions / sizeof *actions };

static lens_status run(const void *values, int n_args, char **args) {
    const char *names[N_ACTIONS];
    int which;
    if (n_args == 0) return lens_fail(LENS_ARGUMENT, "expected an action: show, verify, convert and others");
    for (int i = 0; i < N_ACTIONS; i++) names[i] = actions[i].name;
    LENS_TRY(command_action(&which, args[0], names, N_ACTIONS));
    if (n_args == 1) return lens_fail(LENS_ARGUMENT, "%s: expected a checkpoint, a folder or a file", args[0]);
    return actions[which].run(values, n_args - 1, args + 1);
}

static const option_t rows[] = {
    {.name = "json",
     .type = OPTION_FLAG,
     .offset = offsetof(ckpt_options_t, json),
     .help = "show, diff: one JSON object a line"},
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     .offset = offsetof(ckpt_options_t, out),
     .choices = "OUT",
     .help = "the new folder, or a file that ends in .safetensors: the transformer alone"},
    {.name = "part",
     .type = OPTION_STRING,
     .offset = offsetof(ckpt_options_t, part),
     .initial = CKPT_WEIGHTS,
     .choices = "weights|ema|ema-DECAY",
     .help = "which weights of a checkpoint are read"},
    {.name = "dtype",
     .type = OPTION_CHOICE,
     .offset = offsetof(ckpt_options_t, dtype),
     .initial = "same",
     .choices = "same|f32|bf16|f16",
     .help = "convert, average, merge-lora: type of the result; same: as in the first PATH"},
    {.name = "max-file-mb",
     .type = OPTION_INT,
     .offset = offsetof(ckpt_options_t, max_file_mb),
     .initial = "5000",
     .min = 1,
     .max = 1e9,
     .unit = "MB",
     .help = "weights of a folder are cut into files of so much, and an index"},
    {.name = "weights",
     .type = OPTION_STRING,
     .offset = offsetof(ckpt_options_t, weights),
     .choices = "W,W,...",
     .help = "average: of each PATH; all the same without it"},
    {.name = "tolerance",
     .type = OPTION_FLOAT,
     .offset = offsetof(ckpt_options_t, tolerance),
     .initial = "0",
     .min = 0,
     .max = 1e30,
     .help = "diff: values that are no further apart are the same"},
};

const command_t cmd_ckpt = {
    .name = "ckpt",
    .usage = "show|verify|convert|average|diff|merge-lora PATH...",
    .summary = "look into checkpoints, check, convert, average and compare them",
    .details =
        "PATH is a run (its newest checkpoint), a checkpoint, a pipeline's folder, a folder of safetensors files,\n"
        "an index or a file.\n"
        "\n"
        "show PATH...              step, parameters, what is in it with types and sizes, the configuration\n"
        "verify PATH...            hashes of a checkpoint's files, names and shapes of a pipeline's tensors; one line "
        "a\n"
        "                          fault, exit status 1\n"
        "convert PATH -o OUT       another type (--dtype), other files (--max-file-mb), an average (--part ema)\n"
        "average PATH... -o OUT    the mean, weighted with --weights\n"
        "diff A B                  tensors that differ; exit status 0: none, 1: some\n"
        "merge-lora BASE ADAPTER -o OUT\n"
        "                          BASE with the low-rank adapter (names of diffusers or peft) added",
    .options = OPTION_TABLE(rows),
    .values_size = sizeof(ckpt_options_t),
    .run = run,
};
