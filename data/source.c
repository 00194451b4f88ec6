#include "data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "data/image_codecs.h"
#include "data/source_kinds.h"

const char *reject_text(reject_class c) {
    static const char *const texts[REJECT_N] = {
#define REJECT_TEXT_ROW(name, text) [REJECT_##name] = text,
        REJECT_LIST(REJECT_TEXT_ROW)
#undef REJECT_TEXT_ROW
    };
    return texts[c];
}

void raw_sample_clear(raw_sample_t *s) {
    str_clear(&s->key);
    str_clear(&s->image);
    str_clear(&s->alt);
    str_clear(&s->meta);
    str_clear(&s->reason);
    s->repaired = false;
    s->reject = REJECT_NONE;
}

void raw_sample_free(raw_sample_t *s) {
    str_free(&s->key);
    str_free(&s->image);
    str_free(&s->alt);
    str_free(&s->meta);
    str_free(&s->reason);
}

void raw_sample_reject(raw_sample_t *s, reject_class c, const char *format, ...) {
    if (s->reject != REJECT_NONE) return;
    char reason[1024]; /* a message for a person: what a hostile name makes longer is cut */
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    s->reject = c;
    str_clear(&s->reason);
    str_add(&s->reason, reason);
}

void raw_sample_set_key(raw_sample_t *s, const char *key, size_t n) {
    str_clear(&s->key);
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i; next < n && (unsigned char)key[next] >= ' ' && key[next] != 0x7F;) next++;
        s->repaired |= str_add_utf8(&s->key, key + i, next - i);
        if (next == n) break;
        str_add(&s->key, "\xEF\xBF\xBD");
        s->repaired = true;
        next++;
    }
}

lens_status raw_sample_status(const raw_sample_t *s) {
    LENS_TRY(str_status(&s->key));
    LENS_TRY(str_status(&s->image));
    LENS_TRY(str_status(&s->alt));
    LENS_TRY(str_status(&s->meta));
    return str_status(&s->reason);
}

bool source_name_is_picture(const char *name) {
    static const char *const extensions[] = {"jpg", "jpeg", "jpe",  "jfif", "png",  "webp", "gif", "bmp",
                                             "tif", "tiff", "avif", "heic", "heif", "jxl",  "jp2"};
    const char *dot = strrchr(name, '.');
    const char *extension = dot ? dot + 1 : name;
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++)
        if (strcasecmp(extension, extensions[i]) == 0) return true;
    return false;
}

bool source_name_ends(const char *name, const char *const *ends, size_t n_ends) {
    size_t n = strlen(name);
    for (size_t i = 0; i < n_ends; i++) {
        size_t n_end = strlen(ends[i]);
        if (n >= n_end && strcasecmp(name + n - n_end, ends[i]) == 0) return true;
    }
    return false;
}

bool source_is_picture(const void *bytes, size_t n) {
    image_format format = image_format_of(bytes, n);
    return format == IMAGE_JPEG || format == IMAGE_PNG || format == IMAGE_WEBP;
}

/* A bad file is its sample's fault; that memory or open files have run out is not. */
static lens_status reject_file(raw_sample_t *sample, const char *path, int error) {
    const lens_status st = file_error_kind(error);
    if (st == LENS_MEMORY) return lens_fail(st, "%s: %s", path, strerror(error));
    raw_sample_reject(sample, error == ENOENT ? REJECT_VANISHED : REJECT_UNREADABLE, "%s: %s", path, strerror(error));
    return str_status(&sample->reason);
}

/* Bytes of the file up to `n` in all. */
static lens_status read_up_to(str_t *out, size_t n, int fd, const char *path, raw_sample_t *sample) {
    str_reserve(out, n);
    LENS_TRY(str_status(out));
    while (out->len < n) {
        ssize_t got = read(fd, out->s + out->len, n - out->len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return reject_file(sample, path, errno);
        if (got == 0) {
            raw_sample_reject(sample, REJECT_UNREADABLE, "%s: became shorter while it was read", path);
            break;
        }
        out->len += (size_t)got;
        out->s[out->len] = '\0';
    }
    return str_status(&sample->reason);
}

static lens_status read_opened(str_t *out, int fd, const char *path, size_t max_bytes, bool only_pictures,
                               raw_sample_t *sample) {
    struct stat info;
    if (fstat(fd, &info) != 0) return reject_file(sample, path, errno);
    size_t n = S_ISREG(info.st_mode) && info.st_size > 0 ? (size_t)info.st_size : 0;
    if (!S_ISREG(info.st_mode)) {
        raw_sample_reject(sample, REJECT_UNREADABLE, "%s: not a regular file", path);
        return str_status(&sample->reason);
    }
    LENS_TRY(read_up_to(out, n < IMAGE_MAGIC_BYTES ? n : IMAGE_MAGIC_BYTES, fd, path, sample));
    if (sample->reject != REJECT_NONE || (only_pictures && !source_is_picture(out->s, out->len))) return LENS_OK;
    if (n <= max_bytes) return read_up_to(out, n, fd, path, sample);
    raw_sample_reject(sample, REJECT_TOO_LARGE, "%s: %zu bytes, at most %zu expected", path, n, max_bytes);
    return str_status(&sample->reason);
}

int source_open_to_read(const char *path) {
    int fd;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for its writer */
    } while (fd < 0 && errno == EINTR);
    return fd;
}

lens_status source_read_file(str_t *out, const char *path, size_t max_bytes, bool only_pictures, raw_sample_t *sample) {
    str_clear(out);
    int fd = source_open_to_read(path);
    if (fd < 0) return reject_file(sample, path, errno);
    lens_status st = read_opened(out, fd, path, max_bytes, only_pictures, sample);
    close(fd);
    return st;
}

lens_status source_check(const char *path) {
    if (strcmp(path, "-") == 0) return LENS_OK;
    if (!file_exists(path)) return lens_fail(LENS_IO, "%s: no such file or folder", path);
    int wanted = file_is_dir(path) ? R_OK | X_OK : R_OK;
    if (access(path, wanted) != 0) return lens_fail(LENS_IO, "%s: cannot read: %s", path, strerror(errno));
    return LENS_OK;
}

lens_status source_open(source_t **out, const char *path) {
    *out = NULL;
    char *paths[] = {(char *)path}; /* copied, not changed */
    source_units_t *units;
    LENS_TRY(source_units_open(&units, paths, 1, INT64_MAX));
    lens_status st = source_units_read(units, 0, out);
    if (st == LENS_OK)
        (*out)->units = units;
    else
        source_units_close(units);
    return st;
}

lens_status source_next(source_t *s, raw_sample_t *out) {
    raw_sample_clear(out);
    LENS_TRY(s->next(s, out));
    return raw_sample_status(out);
}

void source_close(source_t *s) {
    if (!s) return;
    source_units_t *units = s->units;
    s->close(s);
    source_units_close(units);
}
