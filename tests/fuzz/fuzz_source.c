/* Sources: tars, manifests and sidecars of anybody's making. The first byte says which (bits 0 to 3), how large the
 * units are (4, 5), and whether a tar's checksums are made right (6), without which no change to a header gets far.
 * Beyond not to crash: the units, one after the other, say what the whole says. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/source_kinds.h"
#include "data/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static const char *const names[] = {"x.tar", "x.jsonl", "x.csv", "x.tsv"}; /* then: a sidecar */
#define N_FILES 4

static char folder[64];

static void remove_folder(void) {
    if (dir_remove(folder) != LENS_OK) fprintf(stderr, "fuzz_source: %s\n", lens_error());
}

static void make_folder(void) {
    char path[96];
    if (folder[0]) return;
    snprintf(folder, sizeof folder, "/tmp/lens-fuzz-XXXXXX");
    LENS_ASSERT(mkdtemp(folder) != NULL, "%s", folder);
    atexit(remove_folder);
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    FILE *f = fopen(path, "wb");
    LENS_ASSERT(f && fputs("\xff\xd8\xff\xe0 picture", f) > 0 && fclose(f) == 0, "%s", path);
}

static void put(const char *path, const uint8_t *bytes, size_t n) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    LENS_ASSERT(fd >= 0 && write(fd, bytes, n) == (ssize_t)n, "%s", path);
    close(fd);
}

/* In every block that may be the header of a tar. */
static void make_checksums(uint8_t *tar, size_t n) {
    for (size_t at = 0; at + 512 <= n; at += 512) {
        uint8_t *block = tar + at;
        unsigned sum = 0;
        char digits[8];
        if (memcmp(block + 257, "ustar", 5) != 0) continue;
        memset(block + 148, ' ', 8);
        for (int i = 0; i < 512; i++) sum += block[i];
        snprintf(digits, sizeof digits, "%06o", sum);
        memcpy(block + 148, digits, 7);
    }
}

static void check_sample(const raw_sample_t *s) {
    LENS_ASSERT(text_is_utf8(str_text(&s->key), s->key.len), "key %s", str_text(&s->key));
    LENS_ASSERT(!text_has_control(str_text(&s->key), s->key.len), "key %s", str_text(&s->key));
    if (s->reject != REJECT_NONE) {
        LENS_ASSERT(s->reason.len > 0, "reject %d", (int)s->reject);
        return;
    }
    LENS_ASSERT(text_is_utf8(str_text(&s->alt), s->alt.len), "alt %s", str_text(&s->alt));
    LENS_ASSERT(text_is_json_object(str_text(&s->meta), s->meta.len), "meta %s", str_text(&s->meta));
}

static void dump(str_t *out, source_t *source) {
    raw_sample_t raw = {0};
    lens_status st;
    while ((st = source_next(source, &raw)) == LENS_OK) {
        check_sample(&raw);
        str_addf(out, "%s|%d|%s|%s|%s|%zu\n", str_text(&raw.key), (int)raw.reject, str_text(&raw.reason),
                 str_text(&raw.alt), str_text(&raw.meta), raw.image.len);
    }
    LENS_ASSERT(st == LENS_END, "%s", lens_error());
    raw_sample_free(&raw);
    source_close(source);
}

static void read_whole_and_units(char *path, int64_t samples_per_unit) {
    const source_options_t options = {.unit_bytes = 1};
    source_units_t *units;
    source_t *source;
    str_t whole = {0}, parts = {0};
    if (source_units_open_with(&units, &path, 1, samples_per_unit, &options) != LENS_OK) {
        LENS_ASSERT(source_open(&source, path) != LENS_OK, "%s", lens_error());
        return;
    }
    for (int64_t i = 0; i < source_units_n(units); i++) {
        LENS_ASSERT(source_units_read(units, i, &source) == LENS_OK, "%s", lens_error());
        dump(&parts, source);
    }
    source_units_close(units);
    LENS_ASSERT(source_open(&source, path) == LENS_OK, "%s", lens_error());
    dump(&whole, source);
    LENS_ASSERT(strcmp(str_text(&whole), str_text(&parts)) == 0, "whole:\n%s\nunits:\n%s", str_text(&whole),
                str_text(&parts));
    str_free(&whole);
    str_free(&parts);
}

/* .txt, a NUL, .json */
static void read_sidecar(const uint8_t *bytes, size_t n) {
    const source_options_t options = {0};
    sidecar_t sidecar = {0};
    raw_sample_t raw = {0};
    const uint8_t *end = memchr(bytes, '\0', n);
    size_t n_txt = end ? (size_t)(end - bytes) : 0;
    sidecar.has_txt = end != NULL;
    sidecar.has_json = true;
    str_add_n(&sidecar.txt, bytes, n_txt);
    str_add_n(&sidecar.json, bytes + n_txt, n - n_txt);
    raw_sample_set_key(&raw, (const char *)bytes, n < 40 ? n : 40);
    sidecar_apply(&sidecar, &options, &raw);
    check_sample(&raw);
    if (raw.reject == REJECT_NONE) sidecar_apply_failure(&sidecar, &raw);
    check_sample(&raw);
    sidecar_free(&sidecar);
    raw_sample_free(&raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    char path[96];
    if (n == 0) return 0;
    int which = bytes[0] % 16 % (N_FILES + 1);
    if (which == N_FILES) {
        read_sidecar(bytes + 1, n - 1);
        return 0;
    }
    make_folder();
    snprintf(path, sizeof path, "%s/%s", folder, names[which]);
    uint8_t *copy = malloc(n);
    LENS_ASSERT(copy != NULL, "%zu bytes", n);
    memcpy(copy, bytes + 1, n - 1);
    if (which == 0 && bytes[0] & 64) make_checksums(copy, n - 1);
    put(path, copy, n - 1);
    free(copy);
    read_whole_and_units(path, 1 + bytes[0] / 16 % 4);
    return 0;
}
