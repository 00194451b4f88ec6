#include "eval/cost_mfu.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "eval/run_stats.h"
#include "kernels/gpu.h"
#include "train/metrics.h"

enum { JSON_BYTES_MAX = 64 << 20 };
#define MFU_MAX 1.5 /* a clock above the sheet's may pass 1; more is another unit */

/* ---- a run ---- */

static lens_status read_run(double *mfu, str_t *source, const char *dir) {
    run_log_t r;
    LENS_TRY(run_log_open(&r, dir));
    lens_status st;
    LENS_GO(run_stats_median(mfu, &r, RUN_MFU));
    if (!isfinite(*mfu)) LENS_GO(lens_fail(LENS_FORMAT, "%s: no step has an mfu", dir));
    str_addf(source, "measured: median of %lld steps of %s on %s", (long long)r.n, dir, r.device ? r.device : "?");
    const gpu_t *gpu = r.device ? gpu_of_device(r.device) : NULL;
    if (gpu && isfinite(r.peak_gflops) && isfinite(r.world) && r.world > 0) {
        *mfu *= r.peak_gflops / (r.world * gpu->peak_tflops * 1e3);
        str_addf(source, ", of %g TFLOP/s by its data sheet", gpu->peak_tflops);
    } else if (isfinite(r.peak_gflops)) {
        str_addf(source, ", of the %.4g GFLOP/s that it measured", r.peak_gflops);
    } else {
        str_add(source, ", of the peak that it measured");
    }
done:
    run_log_free(&r);
    return st;
}

/* The folder of FOLDER/metrics.jsonl, to be freed; NULL where path is not such a one. */
static char *run_of(const char *path) {
    size_t n = strlen(path), tail = strlen(METRICS_FILE);
    if (n < tail || strcmp(path + n - tail, METRICS_FILE) != 0) return NULL;
    if (n == tail) return strdup(".");
    return path[n - tail - 1] == '/' ? strndup(path, n - tail > 1 ? n - tail - 1 : 1) : NULL;
}

/* ---- JSON ---- */

static json_t *at(json_t *j, const char *const *keys) {
    for (; j && *keys; keys++) j = json_object_get(j, *keys);
    return json_is_number(j) ? j : NULL;
}

static const struct {
    const char *keys[5], *what;
} places[] = {
    {{"figures", "mix", "mfu"}, "stage 2's three areas by time, of the data sheet's peak"},
    {{"figures", "train", "train_512", "mfu"}, "512 x 512, of the data sheet's peak"},
    {{"figures", "train", "train_512", "mfu_measured_peak"}, "512 x 512, of the peak measured in the same run"},
    {{"mfu_sheet"}, "a bench, of the data sheet's peak"},
    {{"mfu"}, "a bench, of the peak measured in the same run"},
};

static lens_status read_json(double *mfu, str_t *source, const char *path) {
    char *text;
    size_t n;
    json_error_t error;
    LENS_TRY(file_read(&text, &n, path, JSON_BYTES_MAX));
    json_t *j = json_loadb(text, n, 0, &error);
    free(text);
    if (!j) return lens_fail(LENS_FORMAT, "%s:%d: JSON: %s", path, error.line, error.text);
    const json_t *number = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places && !number; i++) {
        number = at(j, places[i].keys);
        if (number) str_addf(source, "measured: %s, %s", path, places[i].what);
    }
    if (number) *mfu = json_number_value(number);
    bool found = number != NULL;
    json_decref(j);
    return found ? LENS_OK
                 : lens_fail(LENS_FORMAT,
                             "%s: expected benchmarks-gpu.json, the JSON of lens bench train, or a run's " METRICS_FILE
                             ": found no mfu",
                             path);
}

lens_status cost_mfu_read(double *mfu, str_t *source, const char *path) {
    char *dir = run_of(path);
    *mfu = NAN;
    lens_status st = dir || file_is_dir(path) ? read_run(mfu, source, dir ? dir : path) : read_json(mfu, source, path);
    free(dir);
    LENS_TRY(st);
    if (!(*mfu > 0 && *mfu <= MFU_MAX))
        return lens_fail(LENS_FORMAT, "%s: MFU %g: expected above 0, at most %g", path, *mfu, MFU_MAX);
    return str_status(source);
}
