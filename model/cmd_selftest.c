/* `lens selftest`: the numerics of this build against golden files. */
#include <stdio.h>
#include <string.h>

#include "base/command.h"
#include "kernels/device.h"
#include "model/golden.h"

typedef struct {
    bool json;
    char *device;
} selftest_values_t;

static const option_t selftest_options[] = {
    {.name = "device",
     .type = OPTION_CHOICE,
     .offset = offsetof(selftest_values_t, device),
     .initial = "auto",
     .choices = DEVICE_KINDS,
     .help = "what computes; auto: a GPU where one answers, else the CPU"},
    {.name = "json", .type = OPTION_FLAG, .offset = offsetof(selftest_values_t, json), .help = "print one JSON object"},
};

/* A file's results with each way to keep activations. */
typedef struct {
    golden_result_t groups[MMDIT_N_CHECKPOINTING][GOLDEN_N_GROUPS];
} file_result_t;

static bool file_passed(const file_result_t *r) {
    bool passed = true;
    for (int mode = 0; mode < MMDIT_N_CHECKPOINTING; mode++) passed = passed && golden_passed(r->groups[mode]);
    return passed;
}

static const char *verdict(const golden_result_t *g) {
    return g->worst <= g->tolerance ? "" : "  <-- beyond tolerance";
}

static void print_text(const char *file, const file_result_t *r) {
    printf("%s: %s\n", file, file_passed(r) ? "ok" : "FAILED");
    for (int i = 0; i < GOLDEN_N_GROUPS; i++) {
        const golden_result_t *g = &r->groups[MMDIT_KEEP_ALL][i];
        printf("  %-27s %3d tensors  worst %.2e of %.0e  %s%s\n", g->name, g->n_tensors, g->worst, g->tolerance,
               g->worst_tensor, verdict(g));
    }
    for (int mode = MMDIT_KEEP_ALL + 1; mode < MMDIT_N_CHECKPOINTING; mode++) {
        const golden_result_t *g = &r->groups[mode][GOLDEN_GRADIENTS];
        char name[64];
        snprintf(name, sizeof name, "%s, checkpointing %s", g->name, mmdit_checkpointing_name(mode));
        printf("  %-35s %3d tensors  worst %.2e of %.0e  %s%s\n", name, g->n_tensors, g->worst, g->tolerance,
               g->worst_tensor, verdict(g));
    }
}

static void print_json(const char *file, const file_result_t *r, bool first) {
    str_t name = {0};
    str_add_json(&name, file, strlen(file));
    printf("%s\n  {\"file\": %s, \"passed\": %s, \"checkpointing\": {", first ? "" : ",", str_text(&name),
           file_passed(r) ? "true" : "false");
    str_free(&name);
    for (int mode = 0; mode < MMDIT_N_CHECKPOINTING; mode++) {
        printf("%s\"%s\": [", mode ? ", " : "", mmdit_checkpointing_name(mode));
        for (int i = 0; i < GOLDEN_N_GROUPS; i++) {
            const golden_result_t *g = &r->groups[mode][i];
            printf("%s{\"group\": \"%s\", \"tensors\": %d, \"worst\": %.3e, \"tolerance\": %.0e, "
                   "\"worst_tensor\": \"%s\"}",
                   i ? ", " : "", g->name, g->n_tensors, g->worst, g->tolerance, g->worst_tensor);
        }
        printf("]");
    }
    printf("}}");
}

/* One file; clears *passed where an error is beyond its tolerance. */
static lens_status test_file(kernels_t *k, const char *name, const char *path, bool json, bool first, bool *passed) {
    file_result_t result;
    for (int mode = 0; mode < MMDIT_N_CHECKPOINTING; mode++)
        LENS_TRY(golden_run(result.groups[mode], k, path, (mmdit_checkpointing)mode));
    if (json)
        print_json(name, &result, first);
    else
        print_text(name, &result);
    *passed = *passed && file_passed(&result);
    return LENS_OK;
}

static lens_status test_builtin(kernels_t *k, bool json, bool *passed) {
    golden_builtin_t files[GOLDEN_N_BUILTIN];
    lens_status st = golden_builtin_open(files);
    for (int i = 0; i < GOLDEN_N_BUILTIN && st == LENS_OK; i++)
        st = test_file(k, files[i].name, files[i].path, json, i == 0, passed);
    golden_builtin_close(files);
    return st;
}

static lens_status selftest_run(const void *values, int n_args, char **args) {
    const selftest_values_t *v = values;
    device_t device;
    bool passed = true;
    const device_options_t wanted = {.kind = device_kind_of(v->device)};
    LENS_TRY(device_open(&device, &wanted, NULL));
    kernels_t *k = device.k;
    const char *act = k->act_bytes == sizeof(float) ? "float32" : "bfloat16";
    if (v->json)
        printf("{\"device\": \"%s\", \"act\": \"%s\", \"files\": [", k->device, act);
    else
        printf("on %s, activations %s\n", k->device, act);
    lens_status st = n_args == 0 ? test_builtin(k, v->json, &passed) : LENS_OK;
    for (int i = 0; i < n_args && st == LENS_OK; i++) st = test_file(k, args[i], args[i], v->json, i == 0, &passed);
    if (v->json) printf("\n], \"passed\": %s}\n", st == LENS_OK && passed ? "true" : "false");
    device_close(&device);
    if (st == LENS_OK && !passed) st = lens_fail(LENS_STATE, "an error is beyond its tolerance");
    return st;
}

const command_t cmd_selftest = {
    .name = "selftest",
    .usage = "[FILE...]",
    .summary = "check the numerics of this build against golden files",
    .details =
        "Runs forward, backward and optimiser steps of each golden file (the built-in ones where none is named) and\n"
        "prints the worst relative error of each group of tensors, with each way to keep activations. Exits 1 where "
        "one\n"
        "is beyond its tolerance. On a GPU activations are bf16, with wider tolerances; LENS_CUDA_F32=1 makes them "
        "float.",
    .options = {selftest_options, sizeof selftest_options / sizeof selftest_options[0]},
    .values_size = sizeof(selftest_values_t),
    .run = selftest_run,
};
