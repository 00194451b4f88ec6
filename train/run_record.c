#include "train/run_record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/build_info.h"
#include "base/file.h"

static lens_status write_in_run(const train_config_t *c, const char *name, const char *text) {
    str_t path = {0};
    str_addf(&path, "%s/%s", c->run.dir, name);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = file_write(path.s, text, strlen(text));
    str_free(&path);
    return st;
}

static json_t *iso_time(time_t t) {
    char text[32];
    struct tm parts;
    gmtime_r(&t, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_string(text);
}

static lens_status write_json(const run_record_t *r, const train_config_t *c) {
    json_t *j =
        json_pack("{s:{s:I}, s:i, s:i, s:s, s:s, s:s, s:s, s:[s], s:o, s:s, s:I, s:I, s:f, s:s}", "model", "parameters",
                  (json_int_t)r->parameters, "world", r->world, "threads", r->threads, "device", r->device, "version",
                  build_version(), "commit", build_commit(), "build", build_type(), "datasets", c->data.dataset,
                  "started", iso_time(r->started), "batch", c->train.batch, "slots", (json_int_t)c->train.slots,
                  "steps", (json_int_t)c->train.steps, "peak_gflops", r->peak_gflops, "command", r->command);
    int bad = j == NULL;
    char *end;
    double batch = strtod(c->train.batch, &end); /* of one size alone a step has one number of images */
    if (!*end) bad |= json_object_set_new(j, "global_batch", json_integer((json_int_t)batch * c->train.slots));
    if (r->finished) {
        bad |= json_object_set_new(j, "finished", iso_time(r->finished));
        bad |= json_object_set_new(j, "wall_s", json_real(r->wall_s));
        bad |= json_object_set_new(j, "sgemm_ratio", json_real(r->sgemm_ratio));
    }
    char *text = bad ? NULL : json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(j);
    lens_status st =
        text ? write_in_run(c, "run.json", text) : lens_fail(LENS_MEMORY, "%s/run.json: out of memory", c->run.dir);
    free(text);
    return st;
}

lens_status run_record_write(const run_record_t *r, const train_config_t *c) {
    str_t yaml = {0};
    options_write_yaml(&yaml, train_config_table(), c);
    lens_status st = str_status(&yaml);
    if (st == LENS_OK) st = write_in_run(c, "config.yaml", yaml.s);
    str_free(&yaml);
    return st == LENS_OK ? write_json(r, c) : st;
}
