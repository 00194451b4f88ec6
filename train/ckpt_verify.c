/* lens ckpt verify: whether files are those of the manifest, and tensors those of the configuration beside them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "model/weights.h"
#include "train/checkpoint_manifest.h"
#include "train/ckpt.h"
#include "train/ckpt_source.h"

static bool is_fault(lens_status st) {
    return st == LENS_FORMAT || st == LENS_IO;
}

/* A line for a fault, which is counted; other failures pass. */
static lens_status count_fault(lens_status st, int64_t *n_faults) {
    if (!is_fault(st)) return st;
    printf("%s\n", lens_error());
    ++*n_faults;
    return LENS_OK;
}

static lens_status verify_manifest(const char *dir, int64_t *n_faults) {
    checkpoint_manifest_t m;
    uint64_t n_bytes = 0;
    int64_t before = *n_faults;
    lens_status st = checkpoint_manifest_read(&m, dir);
    if (st != LENS_OK) return count_fault(st, n_faults);
    for (int i = 0; i < m.n && st == LENS_OK; i++) {
        n_bytes += m.file[i].hash.n_bytes;
        st = count_fault(checkpoint_manifest_check(&m, dir, i), n_faults);
    }
    if (st == LENS_OK && *n_faults == before)
        printf("%s: step %" PRId64 ", %d files, %.1f MiB: whole\n", dir, m.step, m.n, (double)n_bytes / (1 << 20));
    checkpoint_manifest_free(&m);
    return st;
}

static lens_status check_plan(const char *dir, const plan_t *plan) {
    weights_t *w;
    LENS_TRY(weights_open(&w, plan, dir));
    printf("%s: %d tensors, %" PRId64 " parameters: those of its configuration\n", dir, plan->n, plan_n_elements(plan));
    weights_close(w);
    return LENS_OK;
}

static lens_status check_tensors(const char *dir) {
    bool ours;
    LENS_TRY(pipeline_has_embedding(&ours, dir));
    if (!ours) {
        mmdit_config_t c;
        mmdit_tensors_t t;
        plan_t plan = {0};
        LENS_TRY(pipeline_load_mmdit(&c, dir));
        LENS_TRY(mmdit_plan_tensors(&plan, &t, &c));
        lens_status st = check_plan(dir, &plan);
        mmdit_tensors_free(&t);
        plan_free(&plan);
        return st;
    }
    pipeline_config_t c;
    pipeline_tensors_t t;
    LENS_TRY(pipeline_load_config(&c, dir));
    LENS_TRY(pipeline_tensors_init(&t, &c, 0));
    lens_status st = check_plan(dir, &t.plan);
    pipeline_tensors_free(&t);
    return st;
}

static lens_status has_file(bool *out, const char *dir, const char *name) {
    str_t path = {0};
    str_addf(&path, "%s/%s", dir, name);
    lens_status st = str_status(&path);
    *out = st == LENS_OK && file_exists(path.s);
    str_free(&path);
    return st;
}

/* Folders of weights alone have no manifest, checkpoints of an adapter no configured transformer. */
static lens_status verify(const char *dir, int64_t *n_faults) {
    bool manifest, state, weights, adapter;
    LENS_TRY(has_file(&manifest, dir, CHECKPOINT_MANIFEST_NAME));
    LENS_TRY(has_file(&state, dir, "state"));
    LENS_TRY(has_file(&weights, dir, "transformer/config.json"));
    if (!manifest && !state && !weights) return lens_fail(LENS_IO, "%s: neither a checkpoint nor a pipeline", dir);
    if (manifest || state) LENS_TRY(verify_manifest(dir, n_faults));
    if (!weights) return LENS_OK;
    LENS_TRY(has_file(&adapter, dir, "pytorch_lora_weights.safetensors"));
    return adapter ? LENS_OK : count_fault(check_tensors(dir), n_faults);
}

lens_status ckpt_verify(const char *path, int64_t *n_faults) {
    str_t dir = {0};
    *n_faults = 0;
    lens_status st = ckpt_source_path(&dir, path, CKPT_WEIGHTS);
    if (st == LENS_OK) st = verify(dir.s, n_faults);
    str_free(&dir);
    return st;
}
