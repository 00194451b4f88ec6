#include "recaption/captioner.h"

#include <string.h>
#include <xxhash.h>

#include "recaption/describe.h"
#include "recaption/openai.h"

static const captioner_type_t *const types[] = {&captioner_describe, &captioner_openai};
enum { N_TYPES = sizeof types / sizeof types[0] };

lens_status captioner_open(captioner_t **out, const captioner_options_t *options) {
    *out = NULL;
    const char *name = options->captioner;
    if (str_starts_with(name, "http://") || str_starts_with(name, "https://") || *name == '@') name = "openai";
    str_t known = {0};
    for (int i = 0; i < N_TYPES; i++) {
        if (strcmp(types[i]->name, name) == 0) {
            str_free(&known);
            return types[i]->open(out, options);
        }
        str_addf(&known, "%s%s", i ? ", " : "", types[i]->name);
    }
    lens_status st = lens_fail(LENS_ARGUMENT, "unknown captioner '%s'; there are: %s", name, str_text(&known));
    str_free(&known);
    return st;
}

void captioner_close(captioner_t *c) {
    if (c) c->type->close(c);
}

lens_status captioner_provenance(const captioner_t *c, int kind, str_t *json) {
    str_add(json, "{\"captioner\":");
    str_add_json(json, c->type->name, strlen(c->type->name));
    str_add(json, ",\"version\":");
    str_add_json(json, c->type->version, strlen(c->type->version));
    str_add(json, ",\"lens\":\"" LENS_VERSION "\",\"settings\":{");
    c->type->settings(c, kind, json);
    str_add(json, "}}");
    return str_status(json);
}

uint64_t caption_seed(uint64_t content, const char *kind, int attempt) {
    const uint64_t of_kind = XXH3_64bits_withSeed(kind, strlen(kind), content);
    const uint64_t number = (uint64_t)attempt;
    return XXH3_64bits_withSeed(&number, sizeof number, of_kind) >> 1;
}
