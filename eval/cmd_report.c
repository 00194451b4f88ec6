/* `lens report`: one HTML page on training runs and their datasets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/command.h"
#include "eval/report.h"

typedef struct {
    char *out, *dataset, *layers, *ablation, *title;
} values_t;

static const option_t rows[] = {
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     .offset = offsetof(values_t, out),
     .initial = "report.html",
     .choices = "FILE",
     .help = "the page to write"},
    {.name = "dataset",
     .letter = 'd',
     .type = OPTION_STRING,
     .offset = offsetof(values_t, dataset),
     .choices = "DIR[,DIR...]",
     .help = "datasets to show besides those the runs trained on"},
    {.name = "layers",
     .type = OPTION_STRING,
     .offset = offsetof(values_t, layers),
     .choices = "DIR",
     .help = "folder with more layers of the one dataset, where lens recaption had -o"},
    {.name = "ablation",
     .type = OPTION_STRING,
     .offset = offsetof(values_t, ablation),
     .choices = "DIR",
     .help = "runs of launch/ablation.sh to compare, such as docs/ablation"},
    {.name = "title",
     .type = OPTION_STRING,
     .offset = offsetof(values_t, title),
     .choices = "TEXT",
     .help = "title of the page instead of the first run's name"},
};

/* Splits `list` at its commas in place: at most strlen(list) + 1 pointers into it. */
static int split(char *list, const char **out) {
    int n = 0;
    for (char *rest = list, *item; (item = strsep(&rest, ",")) != NULL;)
        if (item[0] != '\0') out[n++] = item;
    return n;
}

static lens_status run(const void *values, int n_args, char **args) {
    const values_t *v = values;
    char *list = strdup(v->dataset != NULL ? v->dataset : "");
    const char **datasets = list != NULL ? calloc(strlen(list) + 1, sizeof *datasets) : NULL;
    lens_status st = LENS_OK;
    if (datasets == NULL) LENS_GO(lens_fail(LENS_MEMORY, "report: out of memory"));
    LENS_GO(report_write(v->out, &(report_options_t){.title = v->title,
                                                     .runs = (const char *const *)args,
                                                     .n_runs = n_args,
                                                     .datasets = datasets,
                                                     .n_datasets = split(list, datasets),
                                                     .layers = v->layers,
                                                     .ablation = v->ablation}));
    printf("%s\n", v->out);
done:
    free(datasets);
    free(list);
    return st;
}

const command_t cmd_report = {
    .name = "report",
    .usage = "[RUN...] [-o FILE] [--dataset DIR[,DIR...]] [--layers DIR] [--ablation DIR] [--title TEXT]",
    .summary = "write one HTML page on training runs and their datasets",
    .details =
        "The page needs no other file and no network: charts are drawn in it, pictures are inside. RUN is the folder\n"
        "that `lens train` writes; the datasets that it trained on are shown after it. A run that still goes on or\n"
        "has crashed can be shown as well; what is missing is said on the page. Without RUN, only datasets are shown.\n"
        "Beside captions, stats.json of lens recaption and caption-stats.json of lens caption-stats -o are shown.",
    .options = {rows, sizeof rows / sizeof rows[0]},
    .values_size = sizeof(values_t),
    .run = run,
};
