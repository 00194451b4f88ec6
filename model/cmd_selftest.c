/* `lens selftest`: the numerics of this build against golden files. */
#include <stdio.h>
#include <string.h>

#include "base/command.h"
#include "model/golden.h"

typedef struct {
    bool json;
} selftest_values_t;

static const option_t selftest_options[] = {
    {.name = "json", .type = OPTION_FLAG, .offset = offsetof(selftest_values_t, json), .help = "print one JSON object"},
};

static void print_text(const char *file, const golden_result_t *results) {
    printf("%s: %s\n", file, golden_passed(results) ? "ok" : "FAILED");
    for (int i = 0; i < GOLDEN_N_GROUPS; i++) {
        const golden_result_t *g = &results[i];
        printf("  %-27s %3d tensors  worst %.2e of %.0e  %s%s\n", g->name, g->n_tensors, g->worst, g->tolerance,
               g->worst_tensor, g->worst <= g->tolerance ? "" : "  <-- beyond tolerance");
    }
}

static void print_json(const char *file, const golden_result_t *results, bool first) {
    str_t name = {0};
    str_add_json(&name, file, strlen(file));
    printf("%s\n  {\"file\": %s, \"passed\": %s, \"groups\": [", first ? "" : ",", str_text(&name),
           golden_passed(results) ? "true" : "false");
    str_free(&name);
    for (int i = 0; i < GOLDEN_N_GROUPS; i++) {
        const golden_result_t *g = &results[i];
        printf("%s{\"group\": \"%s\", \"tensors\": %d, \"worst\": %.3e, \"tolerance\": %.0e, \"worst_tensor\": \"%s\"}",
               i ? ", " : "", g->name, g->n_tensors, g->worst, g->tolerance, g->worst_tensor);
    }
    printf("]}");
}

/* One file; clears *passed where an error is beyond its tolerance. */
static lens_status test_file(kernels_t *k, const char *name, const char *path, bool json, bool first, bool *passed) {
    golden_result_t results[GOLDEN_N_GROUPS];
    LENS_TRY(golden_run(results, k, path));
    if (json)
        print_json(name, results, first);
    else
        print_text(name, results);
    *passed = *passed && golden_passed(results);
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
    kernels_t *k;
    bool passed = true;
    LENS_TRY(kernels_cpu_new(&k, 0, 1));
    if (v->json) printf("{\"device\": \"%s\", \"files\": [", k->name);
    lens_status st = n_args == 0 ? test_builtin(k, v->json, &passed) : LENS_OK;
    for (int i = 0; i < n_args && st == LENS_OK; i++) st = test_file(k, args[i], args[i], v->json, i == 0, &passed);
    if (v->json) printf("\n], \"passed\": %s}\n", st == LENS_OK && passed ? "true" : "false");
    kernels_free(k);
    if (st == LENS_OK && !passed) st = lens_fail(LENS_STATE, "an error is beyond its tolerance");
    return st;
}

const command_t cmd_selftest = {
    .name = "selftest",
    .usage = "[FILE...]",
    .summary = "check the numerics of this build against golden files",
    .details =
        "Runs forward, backward and optimiser steps of each golden file (the built-in ones where none is named) and\n"
        "prints the worst relative error of each group of tensors. Exits 1 where one is beyond its tolerance.",
    .options = {selftest_options, sizeof selftest_options / sizeof selftest_options[0]},
    .values_size = sizeof(selftest_values_t),
    .run = selftest_run,
};
