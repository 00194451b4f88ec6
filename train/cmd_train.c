/* `lens train`: a training run from a YAML file, alone or under mpirun. */
#include <stdio.h>

#include "base/command.h"
#include "base/log.h"
#include "train/train_plan.h"
#include "train/trainer.h"

typedef struct {
    bool resume, keys, dry_run;
} train_values_t;

static const option_t train_options[] = {
    {.name = "resume",
     .type = OPTION_FLAG,
     .offset = offsetof(train_values_t, resume),
     .help = "go on from the newest checkpoint of run.dir, start where there is none"},
    {.name = "keys",
     .type = OPTION_FLAG,
     .offset = offsetof(train_values_t, keys),
     .help = "list the keys of a configuration and stop"},
    {.name = "dry-run",
     .type = OPTION_FLAG,
     .offset = offsetof(train_values_t, dry_run),
     .help = "say what the run would compute and hold in memory, and stop"},
};

static lens_status print_keys(void) {
    str_t text = {0};
    options_help(&text, train_config_table());
    lens_status st = str_status(&text);
    if (st == LENS_OK) fputs(text.s, stdout);
    str_free(&text);
    return st;
}

static lens_status dry_run(const train_config_t *c, comm_t *comm) {
    str_t text = {0};
    lens_status st = train_plan_dry_run(&text, c, comm_world(comm));
    if (st == LENS_OK && comm_rank(comm) == 0) fputs(text.s, stdout);
    str_free(&text);
    return comm_agree(comm, st, "plan");
}

typedef struct {
    const train_values_t *values;
    int n_args;
    char **args;
} train_words_t;

static lens_status train_by(comm_t *comm, void *words) {
    const train_words_t *w = words;
    train_config_t c;
    str_t command = {0};
    str_add(&command, "lens train");
    for (int i = 0; i < w->n_args; i++) str_addf(&command, " %s", w->args[i]);
    if (w->values->resume) str_add(&command, " --resume");
    lens_status st = str_status(&command);
    if (st == LENS_OK) st = train_config_load(&c, w->args[0], w->n_args - 1, w->args + 1);
    st = comm_agree(comm, st, "configuration");
    if (st == LENS_OK) {
        st = w->values->dry_run ? dry_run(&c, comm) : trainer_run(&c, comm, w->values->resume, command.s);
        train_config_free(&c);
    }
    str_free(&command);
    return st;
}

static lens_status train_run(const void *values, int n_args, char **args) {
    train_words_t w = {values, n_args, args};
    if (w.values->keys) return print_keys();
    if (n_args < 1) return lens_fail(LENS_ARGUMENT, "expected a configuration: lens train CONFIG [KEY=VALUE...]");
    return command_by_ranks(train_by, &w);
}

const command_t cmd_train = {
    .name = "train",
    .usage = "CONFIG [KEY=VALUE...]",
    .summary = "train a model from a configuration, alone or under mpirun",
    .details = "Writes metrics.jsonl, TensorBoard events, sheets of samples and checkpoints into run.dir. A run that "
               "is stopped goes\n"
               "on with --resume and gives the same losses to the bit as one that was not. `lens train --keys` lists "
               "the keys.\n"
               "    mpirun -np 2 lens train configs/nano.yaml data.dataset=scenes run.dir=runs/a",
    .options = {train_options, sizeof train_options / sizeof train_options[0]},
    .values_size = sizeof(train_values_t),
    .run = train_run,
};
