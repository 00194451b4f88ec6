/* The formats: POSIX.1-1988 ustar, POSIX.1-2001 pax (headers x and g), and GNU tar's L for long names, as pax(1) and
 * GNU tar's manual describe them. */
#include "data/source_tar_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define TAR_BLOCK 512
#define TAR_WINDOW 4096                /* small members are passed over within one read */
#define TAR_NAME_MAX ((uint64_t)65536) /* of a header L or x; a longer one ends the index */

typedef struct {
    int fd;
    const char *path;
    uint64_t size;
    uint64_t at;    /* of the next header */
    lens_status st; /* what reading has failed with; the end of the file is no failure */
    uint8_t window[TAR_WINDOW];
    uint64_t window_begin;
    size_t window_len;
} tar_headers_t;

typedef struct {
    uint64_t begin; /* of its first header */
    str_t path;
    bool is_file; /* part of a sample */
    /* from headers before it */
    bool has_path, has_size, binary; /* binary: the path is no text */
    uint64_t size;
} tar_member_t;

/* The block at `at`, borrowed until the next call; NULL: none is there. */
static const uint8_t *block_at(tar_headers_t *h, uint64_t at) {
    if (at > h->size || h->size - at < TAR_BLOCK) return NULL;
    if (at < h->window_begin || at + TAR_BLOCK > h->window_begin + h->window_len) {
        h->window_begin = at;
        h->st = file_read_some(h->fd, h->window, TAR_WINDOW, at, &h->window_len, h->path);
        if (h->st != LENS_OK || h->window_len < TAR_BLOCK) return NULL; /* cut short meanwhile, or unreadable */
    }
    return h->window + (at - h->window_begin);
}

/* Octal digits between spaces or NULs, or GNU's base 256. */
static bool parse_number(uint64_t *out, const uint8_t *p, size_t n) {
    uint64_t value = 0;
    if (p[0] == 0x80) {
        for (size_t i = 1; i < n; i++) {
            if (value >> 55) return false;
            value = value << 8 | p[i];
        }
        *out = value;
        return true;
    }
    size_t i = 0;
    while (i < n && p[i] == ' ') i++;
    size_t begin = i;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) value = value << 3 | (uint64_t)(p[i] - '0');
    if (i == begin || value >> 62) return false;
    for (; i < n; i++)
        if (p[i] != ' ' && p[i] != '\0') return false;
    *out = value;
    return true;
}

static bool checksum_fits(const uint8_t *block) {
    uint64_t sum = 0, said;
    for (int i = 0; i < TAR_BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : block[i];
    return parse_number(&said, block + 148, 8) && said == sum;
}

lens_status tar_index_begins(bool *out, int fd, const char *path) {
    uint8_t block[TAR_BLOCK];
    size_t n;
    *out = false;
    LENS_TRY(file_read_some(fd, block, TAR_BLOCK, 0, &n, path));
    *out = n == TAR_BLOCK && checksum_fits(block);
    return LENS_OK;
}

static void add_field(str_t *out, const uint8_t *p, size_t n) {
    str_add_n(out, p, strnlen((const char *)p, n));
}

/* False where it is of another dialect than ustar, GNU and the headers of before both. */
static bool take_path(tar_member_t *m, const uint8_t *block) {
    str_clear(&m->path);
    const uint8_t *magic = block + 257;
    bool ustar = memcmp(magic, "ustar", 6) == 0;
    if (!ustar && memcmp(magic, "ustar", 5) == 0 && memcmp(magic, "ustar  ", 8) != 0) return false;
    if (ustar && block[345]) {
        add_field(&m->path, block + 345, 155);
        if (m->path.s && m->path.s[m->path.len - 1] != '/') str_add_char(&m->path, '/');
    }
    add_field(&m->path, block, 100);
    return true;
}

/* One record "LENGTH KEY=VALUE\n" of a pax header. False: it changes more than a name or a size. */
static bool take_record(tar_member_t *m, const char *key, size_t n_key, const char *value, size_t n) {
    static const char *const plain[] = {"mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment"};
    if (n_key == 4 && memcmp(key, "path", 4) == 0) {
        str_clear(&m->path);
        str_add_n(&m->path, value, n);
        m->has_path = true;
        return n > 0 && !memchr(value, '\0', n) && (m->binary || str_is_utf8(str_text(&m->path)));
    }
    if (n_key == 10 && memcmp(key, "hdrcharset", 10) == 0) return m->binary = n == 6 && memcmp(value, "BINARY", 6) == 0;
    if (n_key == 4 && memcmp(key, "size", 4) == 0) {
        m->has_size = n > 0 && n < 19;
        m->size = 0;
        for (size_t i = 0; i < n && m->has_size; i++) {
            m->has_size = value[i] >= '0' && value[i] <= '9';
            m->size = 10 * m->size + (uint64_t)(value[i] - '0');
        }
        return m->has_size;
    }
    if (n_key == 8 && memcmp(key, "linkpath", 8) == 0) return n > 0;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (n_key == strlen(plain[i]) && memcmp(key, plain[i], n_key) == 0) return true;
    return n_key > 12 && (memcmp(key, "SCHILY.xattr", 12) == 0 || memcmp(key, "LIBARCHIVE.x", 12) == 0);
}

static bool take_pax(tar_member_t *m, const char *p, size_t n) {
    while (n > 0) {
        char *after;
        unsigned long long length = *p >= '1' && *p <= '9' ? strtoull(p, &after, 10) : 0;
        if (length < 5 || length > n || *after != ' ' || p[length - 1] != '\n') return false;
        const char *key = after + 1, *end = p + length - 1;
        const char *equals = key < end ? memchr(key, '=', (size_t)(end - key)) : NULL;
        if (!equals || !take_record(m, key, (size_t)(equals - key), equals + 1, (size_t)(end - equals - 1)))
            return false;
        p += length;
        n -= (size_t)length;
    }
    return true;
}

/* A header that speaks of the next one: its body. */
static bool take_extension(tar_headers_t *h, tar_member_t *m, uint8_t type, uint64_t body, uint64_t n) {
    if (type == 'g' || type == 'K' || type == 'V') return true; /* nothing about the member's name or size */
    if (n > TAR_NAME_MAX) return false;
    char *bytes = malloc((size_t)n + 1);
    size_t got = 0;
    h->st = bytes ? file_read_some(h->fd, bytes, (size_t)n, body, &got, h->path)
                  : lens_fail(LENS_MEMORY, "%s: out of memory for a name", h->path);
    bool good = h->st == LENS_OK && got == n;
    if (good) bytes[n] = '\0';
    if (good && type == 'L') {
        str_clear(&m->path);
        add_field(&m->path, (const uint8_t *)bytes, (size_t)n);
        good = m->has_path = m->path.len > 0;
    } else if (good) {
        good = take_pax(m, bytes, (size_t)n);
    }
    free(bytes);
    return good;
}

/* The header of the member itself. */
static bool take_member(tar_member_t *m, const uint8_t *block, uint64_t *n) {
    uint8_t type = block[156];
    if (!m->has_path && !take_path(m, block)) return false;
    if (m->has_size) *n = m->size;
    bool file = type == '0' || type == '\0' || type == '7';
    bool slash = m->path.len > 0 && m->path.s[m->path.len - 1] == '/'; /* an old way to say that it is a folder */
    bool link = (type == '1' || type == '2') && m->path.len > 0 && source_name_is_picture(m->path.s);
    m->is_file = link || (file && !slash && m->path.len > 0);
    if (file && !slash) return true;
    if ((type == '1' || type == '2') && block[157] == '\0') return false; /* a link to what another header names */
    return *n == 0 && (file || (type >= '1' && type <= '6'));
}

/* Reads on to the next member. False: here the index ends. */
static bool next_member(tar_headers_t *h, tar_member_t *m) {
    m->begin = h->at;
    m->has_path = m->has_size = m->binary = false;
    for (;;) {
        uint64_t n;
        const uint8_t *block = block_at(h, h->at);
        if (!block || !checksum_fits(block) || !parse_number(&n, block + 124, 12)) return false;
        uint8_t type = block[156];
        bool extension = type == 'g' || type == 'x' || type == 'L' || type == 'K' || type == 'V';
        bool good = extension ? take_extension(h, m, type, h->at + TAR_BLOCK, n) : take_member(m, block, &n);
        uint64_t left = h->size - h->at - TAR_BLOCK;
        if (!good || n > left || m->path.failed) return false;
        uint64_t padded = (n + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
        if (padded > left) return false;
        h->at += TAR_BLOCK + padded;
        if (!extension) return true;
    }
}

/* Cuts before a member that begins a sample for sure. */
static lens_status cut_members(tar_headers_t *h, source_cuts_t *c) {
    tar_member_t m = {0};
    str_t key = {0}, last = {0}, kind = {0};
    int64_t n_samples = 0, n_in_unit = 0;
    lens_status st = LENS_OK;
    while (next_member(h, &m)) {
        if (!m.is_file || !source_split_member(&key, &kind, m.path.s)) continue;
        LENS_GO(str_status(&key));
        LENS_GO(str_status(&kind));
        if (n_samples > 0 && strcmp(key.s, last.s) == 0) continue;
        if (n_in_unit == c->samples_per_unit) {
            LENS_GO(source_cut(c, m.begin, n_samples));
            n_in_unit = 0;
        }
        n_samples++;
        n_in_unit++;
        str_t swap = last;
        last = key;
        key = swap;
    }
    st = h->st;
    if (st == LENS_OK) st = str_status(&m.path);
done:
    str_free(&m.path);
    str_free(&key);
    str_free(&last);
    str_free(&kind);
    return st;
}

lens_status tar_index_cut(const char *path, source_cuts_t *c) {
    struct stat info;
    int fd = source_open_to_read(path);
    tar_headers_t *h = calloc(1, sizeof *h);
    lens_status st = LENS_OK;
    if (!h) {
        st = lens_fail(LENS_MEMORY, "%s: out of memory", path);
    } else if (fd < 0 || fstat(fd, &info) != 0) {
        st = lens_fail(file_error_kind(errno), "%s: %s", path, strerror(errno));
    } else {
        posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* bodies between the headers are not wanted */
        h->fd = fd;
        h->path = path;
        h->size = (uint64_t)info.st_size;
        st = cut_members(h, c);
    }
    if (fd >= 0) close(fd);
    free(h);
    return st;
}
