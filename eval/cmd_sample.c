/* `lens sample`: pictures from prompts and a checkpoint. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/command.h"
#include "base/file.h"
#include "base/log.h"
#include "data/image_grid.h"
#include "eval/drawer.h"
#include "kernels/device.h"
#include "model/prompts.h"

enum { SAMPLE_GUTTER_PX = 2 };

typedef struct {
    char *prompt, *prompts, *out, *device;
    int64_t count, steps, seed, columns, threads;
    double guidance;
    bool raw, separate, json;
} sample_values_t;

#define AT(field) offsetof(sample_values_t, field)
static const option_t sample_options[] = {
    {.name = "prompt",
     .type = OPTION_STRING,
     .offset = AT(prompt),
     .choices = "TEXT",
     .help = "what to draw; \"\" draws without a prompt",
     .letter = 'p'},
    {.name = "prompts", .type = OPTION_STRING, .offset = AT(prompts), .choices = "FILE", .help = "one prompt a line"},
    {.name = "out",
     .type = OPTION_STRING,
     .offset = AT(out),
     .required = true,
     .choices = "FILE",
     .help = "a sheet, .png or .webp; with --separate a folder",
     .letter = 'o'},
    {.name = "count",
     .type = OPTION_INT,
     .offset = AT(count),
     .initial = "1",
     .min = 1,
     .max = 100000,
     .help = "pictures of each prompt",
     .letter = 'n'},
    {.name = "steps",
     .type = OPTION_INT,
     .offset = AT(steps),
     .initial = "20",
     .min = 1,
     .max = 1000,
     .help = "Euler steps"},
    {.name = "guidance",
     .type = OPTION_FLOAT,
     .offset = AT(guidance),
     .initial = "4",
     .min = 0,
     .max = 100,
     .help = "classifier-free guidance; 1: none",
     .letter = 'g'},
    {.name = "seed",
     .type = OPTION_INT,
     .offset = AT(seed),
     .initial = "1",
     .min = 0,
     .max = 1e15,
     .help = "of the noise; picture i of a call is a function of seed and i"},
    {.name = "columns",
     .type = OPTION_INT,
     .offset = AT(columns),
     .initial = "0",
     .min = 0,
     .max = 1000,
     .help = "of the sheet; 0: nearly square"},
    {.name = "separate",
     .type = OPTION_FLAG,
     .offset = AT(separate),
     .help = "one PNG a picture, 00000.png and so on, and prompts.txt"},
    {.name = "raw", .type = OPTION_FLAG, .offset = AT(raw), .help = "the last weights, not their average"},
    {.name = "device",
     .type = OPTION_CHOICE,
     .offset = AT(device),
     .initial = "auto",
     .choices = DEVICE_KINDS,
     .help = "what computes; auto: a GPU where one answers, else the CPU"},
    {.name = "threads",
     .type = OPTION_INT,
     .offset = AT(threads),
     .initial = "0",
     .min = 0,
     .max = 1024,
     .help = "on the CPU; 0: all cores"},
    {.name = "json", .type = OPTION_FLAG, .offset = AT(json), .help = "print one JSON object"},
};

static lens_status write_separate(const image_t *pictures, int64_t n, const prompts_t *prompts,
                                  const sample_values_t *v) {
    str_t path = {0}, list = {0};
    lens_status st = LENS_OK;
    LENS_GO(dir_make(v->out));
    for (int64_t i = 0; i < n; i++) {
        str_clear(&path);
        str_addf(&path, "%s/%05lld.png", v->out, (long long)i);
        LENS_GO(str_status(&path));
        LENS_GO(image_write(path.s, &pictures[i]));
        str_addf(&list, "%s\n", prompts->text[i / v->count]);
    }
    str_clear(&path);
    str_addf(&path, "%s/prompts.txt", v->out);
    LENS_GO(str_status(&path));
    LENS_GO(str_status(&list));
    st = file_write(path.s, list.s, list.len);
done:
    str_free(&path);
    str_free(&list);
    return st;
}

static lens_status write_sheet(const image_t *pictures, int64_t n, const sample_values_t *v) {
    /* One row a prompt reads best, where there are several pictures of each. */
    int64_t columns = v->columns ? v->columns : v->count > 1 ? v->count : (int64_t)ceil(sqrt((double)n));
    image_t sheet = {0};
    LENS_TRY(image_grid(&sheet, pictures, (int)n, (int)columns, SAMPLE_GUTTER_PX));
    lens_status st = image_write(v->out, &sheet);
    image_free(&sheet);
    return st;
}

static void print_summary(int64_t n, const sample_values_t *v, const char *device, double s) {
    str_t out = {0};
    str_add_json(&out, v->out, strlen(v->out));
    if (v->json)
        printf(
            "{\"out\": %s, \"pictures\": %lld, \"steps\": %lld, \"guidance\": %g, \"seed\": %lld, \"device\": \"%s\", "
            "\"seconds\": %.3f}\n",
            str_text(&out), (long long)n, (long long)v->steps, v->guidance, (long long)v->seed, device, s);
    else
        printf("%s: %lld pictures, %lld steps, guidance %g, seed %lld, %.1f s on %s\n", v->out, (long long)n,
               (long long)v->steps, v->guidance, (long long)v->seed, s, device);
    str_free(&out);
}

/* Picture i shows prompt i / count. */
static lens_status draw_all(drawer_t *d, image_t *pictures, int64_t n, const prompts_t *prompts,
                            const sample_values_t *v) {
    const char **words = malloc(sizeof *words * (size_t)n);
    if (!words) return lens_fail(LENS_MEMORY, "out of memory for pictures");
    for (int64_t i = 0; i < n; i++) words[i] = prompts->text[i / v->count];
    generator_options_t how = {v->steps, v->guidance, (uint64_t)v->seed, 0};
    lens_status st = drawer_draw(d, pictures, words, n, &how);
    free(words);
    return st;
}

static lens_status draw_and_write(const char *checkpoint, const prompts_t *prompts, const sample_values_t *v) {
    int64_t n = prompts->n * v->count;
    double begin_s = log_clock_s();
    drawer_t *d;
    drawer_options_t o = {v->device, v->threads, v->raw, n < DRAWER_BATCH ? n : DRAWER_BATCH};
    LENS_TRY(drawer_open(&d, checkpoint, &o));
    image_t *pictures = calloc((size_t)n, sizeof *pictures);
    lens_status st =
        pictures ? draw_all(d, pictures, n, prompts, v) : lens_fail(LENS_MEMORY, "out of memory for pictures");
    if (st == LENS_OK) st = v->separate ? write_separate(pictures, n, prompts, v) : write_sheet(pictures, n, v);
    for (int64_t i = 0; pictures && i < n; i++) image_free(&pictures[i]);
    free(pictures);
    if (st == LENS_OK) print_summary(n, v, drawer_device(d), log_clock_s() - begin_s);
    drawer_close(d);
    return st;
}

static lens_status check_values(const sample_values_t *v, int n_args) {
    if (n_args != 1) return lens_fail(LENS_ARGUMENT, "expected one checkpoint folder, got %d arguments", n_args);
    if (!v->prompt == !v->prompts) return lens_fail(LENS_ARGUMENT, "expected either --prompt TEXT or --prompts FILE");
    if (!v->separate && !str_ends_with(v->out, ".png") && !str_ends_with(v->out, ".webp"))
        return lens_fail(LENS_ARGUMENT, "--out %s: expected a name that ends in .png or .webp, or --separate", v->out);
    return LENS_OK;
}

static lens_status sample_run(const void *values, int n_args, char **args) {
    const sample_values_t *v = values;
    prompts_t prompts = {0};
    LENS_TRY(check_values(v, n_args));
    lens_status st =
        v->prompt ? prompts_add(&prompts, v->prompt, strlen(v->prompt)) : prompts_read(&prompts, v->prompts);
    if (st == LENS_OK) st = draw_and_write(args[0], &prompts, v);
    prompts_free(&prompts);
    return st;
}

const command_t cmd_sample = {
    .name = "sample",
    .usage = "CHECKPOINT (--prompt TEXT | --prompts FILE) -o FILE",
    .summary = "draw pictures from prompts with a trained model",
    .details = "CHECKPOINT is a folder that lens train wrote, such as RUN/checkpoints/latest. The averaged weights are "
               "used where they\n"
               "are there. The same seed draws the same pictures.\n"
               "    lens sample runs/a/checkpoints/latest --prompt 'a red circle' -n 8 -o circles.png",
    .options = {sample_options, sizeof sample_options / sizeof sample_options[0]},
    .values_size = sizeof(sample_values_t),
    .run = sample_run,
};
