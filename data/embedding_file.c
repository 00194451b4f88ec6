#include "data/embedding_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { MAGIC_BYTES = 8, HEADER_BYTES_MAX = 1 << 16 };

struct embedding_file {
    int fd;
    char *path; /* owned */
    int64_t n;
    int d, element_bytes; /* 2 or 4 */
    uint64_t data;        /* offset of row 0 */
};

/* ---- the header: a Python dict literal of exactly descr, fortran_order, shape ---- */

static void skip_spaces(const char **p) {
    while (**p == ' ' || **p == '\n') (*p)++;
}

static bool take(const char **p, const char *text) {
    skip_spaces(p);
    if (!str_starts_with(*p, text)) return false;
    *p += strlen(text);
    return true;
}

/* A number of at most 15 digits. */
static bool take_number(const char **p, int64_t *out) {
    skip_spaces(p);
    int digits = 0;
    for (*out = 0; **p >= '0' && **p <= '9' && digits < 16; digits++) *out = *out * 10 + (*(*p)++ - '0');
    return digits > 0 && digits < 16;
}

static bool take_entry(const char **p, embedding_file_t *f, bool seen[3]) {
    int64_t d;
    int which;
    if (take(p, "'descr'") && take(p, ":")) {
        which = 0;
        f->element_bytes = take(p, "'<f2'") ? 2 : take(p, "'<f4'") ? 4 : 0;
        if (!f->element_bytes) return false;
    } else if (take(p, "'fortran_order'") && take(p, ":")) {
        which = 1;
        if (!take(p, "False")) return false;
    } else if (take(p, "'shape'") && take(p, ":")) {
        which = 2;
        if (!take(p, "(") || !take_number(p, &f->n) || !take(p, ",") || !take_number(p, &d)) return false;
        take(p, ",");
        if (!take(p, ")") || d < 1 || d > EMBEDDING_DIM_MAX) return false;
        f->d = (int)d;
    } else {
        return false;
    }
    bool first = !seen[which];
    seen[which] = true;
    return first;
}

static bool parse_header(embedding_file_t *f, const char *text) {
    bool seen[3] = {false};
    const char *p = text;
    if (!take(&p, "{")) return false;
    for (;;) {
        if (!take_entry(&p, f, seen)) return false;
        bool comma = take(&p, ",");
        if (take(&p, "}")) break;
        if (!comma) return false;
    }
    skip_spaces(&p);
    return *p == '\0' && seen[0] && seen[1] && seen[2];
}

/* text: [n + 1], NUL-terminated; a NUL inside ends it early, and then the size cannot fit. */
static lens_status read_header(embedding_file_t *f, char text[HEADER_BYTES_MAX + 1]) {
    uint64_t size;
    uint8_t lead[MAGIC_BYTES + 4];
    LENS_TRY(file_size(&size, f->path));
    if (size < sizeof lead) return lens_fail(LENS_FORMAT, "%s: %" PRIu64 " bytes are no .npy file", f->path, size);
    LENS_TRY(file_read_at(f->fd, lead, sizeof lead, 0, f->path));
    if (memcmp(lead, "\x93NUMPY", 6) != 0 || lead[6] < 1 || lead[6] > 3)
        return lens_fail(LENS_FORMAT, "%s: no .npy file of version 1 to 3", f->path);
    uint64_t n = lead[8] | (uint64_t)lead[9] << 8, begin = 10;
    if (lead[6] > 1) {
        n |= (uint64_t)lead[10] << 16 | (uint64_t)lead[11] << 24;
        begin = 12;
    }
    if (n > HEADER_BYTES_MAX || begin + n > size)
        return lens_fail(LENS_FORMAT, "%s: header of %" PRIu64 " bytes in a file of %" PRIu64, f->path, n, size);
    LENS_TRY(file_read_at(f->fd, text, (size_t)n, begin, f->path));
    text[n] = '\0';
    f->data = begin + n;
    if (!parse_header(f, text))
        return lens_fail(LENS_FORMAT,
                         "%s: expected float16 or float32, C order, shape (n, d) with d up to %d, got %.200s", f->path,
                         EMBEDDING_DIM_MAX, text);
    uint64_t row_bytes = (uint64_t)f->d * (uint64_t)f->element_bytes;
    if ((size - f->data) / row_bytes != (uint64_t)f->n || (size - f->data) % row_bytes != 0)
        return lens_fail(LENS_FORMAT, "%s: %" PRIu64 " bytes of data, expected %" PRId64 " rows of %" PRIu64, f->path,
                         size - f->data, f->n, row_bytes);
    return LENS_OK;
}

lens_status embedding_file_open(embedding_file_t **out, const char *path) {
    *out = NULL;
    embedding_file_t *f = calloc(1, sizeof *f);
    char *text = malloc(HEADER_BYTES_MAX + 1);
    lens_status st = LENS_OK;
    if (f) f->fd = -1;
    if (f) f->path = strdup(path);
    if (!f || !f->path || !text) LENS_GO(lens_fail(LENS_MEMORY, "%s: cannot allocate", path));
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0) LENS_GO(lens_fail(LENS_IO, "%s: %s", path, strerror(errno)));
    LENS_GO(read_header(f, text));
    *out = f;
    f = NULL;
done:
    free(text);
    embedding_file_close(f);
    return st;
}

void embedding_file_close(embedding_file_t *f) {
    if (!f) return;
    if (f->fd >= 0) close(f->fd);
    free(f->path);
    free(f);
}

int64_t embedding_file_n(const embedding_file_t *f) {
    return f->n;
}

int embedding_file_d(const embedding_file_t *f) {
    return f->d;
}

/* ---- rows ---- */

/* Rounds to nearest, ties to even. False where it is not finite or beyond float16. */
static bool narrow(uint16_t *out, uint32_t bits) {
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x477ff000) return false; /* rounds to 65536 and up */
    if (magnitude < 0x38800000) {              /* below 2^-14: counted in units of 2^-24 */
        uint32_t shift = 126 - (magnitude >> 23), mantissa = (magnitude & 0x7fffff) | 0x800000;
        if (shift > 24) {
            *out = (uint16_t)sign;
            return true;
        }
        uint32_t half = UINT32_C(1) << (shift - 1), odd = mantissa >> shift & 1;
        *out = (uint16_t)(sign | (mantissa + half - 1 + odd) >> shift);
        return true;
    }
    uint32_t odd = magnitude >> 13 & 1;
    *out = (uint16_t)(sign | (((magnitude + 0xfff + odd) >> 13) - (112 << 10)));
    return true;
}

lens_status embedding_file_row(const embedding_file_t *f, int64_t i, uint16_t *f16) {
    if (i < 0 || i >= f->n)
        return lens_fail(LENS_FORMAT, "%s: row %" PRId64 " of %" PRId64 " embeddings", f->path, i, f->n);
    uint8_t bytes[4 * EMBEDDING_DIM_MAX];
    size_t row_bytes = (size_t)f->d * (size_t)f->element_bytes;
    LENS_TRY(file_read_at(f->fd, bytes, row_bytes, f->data + (uint64_t)i * row_bytes, f->path));
    for (int k = 0; k < f->d; k++) {
        const uint8_t *b = bytes + (size_t)k * (size_t)f->element_bytes;
        bool finite;
        if (f->element_bytes == 2) {
            f16[k] = (uint16_t)(b[0] | b[1] << 8);
            finite = (f16[k] & 0x7c00) != 0x7c00;
        } else {
            finite = narrow(&f16[k], b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24);
        }
        if (!finite) return lens_fail(LENS_FORMAT, "%s: row %" PRId64 ", column %d: no finite float16", f->path, i, k);
    }
    return LENS_OK;
}

/* ---- names ---- */

void embedding_path(str_t *out, const char *dir, const char *name, const char *source) {
    static const char placeholder[] = "{source}";
    const char *slash = strrchr(source, '/'), *base = slash ? slash + 1 : source, *dot = strrchr(base, '.');
    size_t n = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    if (n > 4 && memcmp(base + n - 4, ".tar", 4) == 0) n -= 4;
    str_addf(out, "%s/", dir);
    for (const char *at; (at = strstr(name, placeholder)) != NULL; name = at + sizeof placeholder - 1) {
        str_add_n(out, name, (size_t)(at - name));
        str_add_n(out, base, n);
    }
    str_add(out, name);
}
