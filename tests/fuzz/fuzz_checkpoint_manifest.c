/* Manifests of checkpoints and indexes of weights, as hostile text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "model/safetensors_set.h"
#include "train/checkpoint_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* What a manifest holds leads nowhere outside its folder, and reads back as itself. */
static void read_manifest(const char *text, size_t n) {
    checkpoint_manifest_t m, again;
    str_t json = {0};
    if (checkpoint_manifest_from_json(&m, text, n, "fuzz") != LENS_OK) return;
    for (int i = 0; i < m.n; i++) { /* two dots within a part, as in "a..b", lead nowhere */
        const char *name = m.file[i].name;
        if (name[0] == '/' || strncmp(name, "..", 2) == 0 || strstr(name, "/..")) abort();
    }
    if (checkpoint_manifest_to_json(&json, &m) != LENS_OK) abort();
    if (checkpoint_manifest_from_json(&again, json.s, json.len, "fuzz") != LENS_OK || again.n != m.n) abort();
    checkpoint_manifest_free(&again);
    checkpoint_manifest_free(&m);
    str_free(&json);
}

static void read_index(const char *text, size_t n) {
    static char path[64];
    safetensors_set_t *s;
    snprintf(path, sizeof path, "/dev/shm/lens-fuzz-%ld.json", (long)getpid());
    if (file_write(path, text, n) != LENS_OK) abort();
    if (safetensors_set_open(&s, path) == LENS_OK) safetensors_set_close(s);
    remove(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    read_manifest((const char *)bytes, n);
    read_index((const char *)bytes, n);
    return 0;
}
