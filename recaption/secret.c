#include "recaption/secret.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { PAGE_BYTES = 8192 };
static const char scheme[] = "Authorization: Bearer ";

/* All of it lies in the page. */
struct secret {
    size_t n;                                          /* bytes of the key */
    char header[sizeof scheme + SECRET_MAX_BYTES + 1]; /* the scheme, then the key */
};

static const char *key_of(const secret_t *s) {
    return s->header + sizeof scheme - 1;
}

static lens_status make_page(secret_t **out) {
    static_assert(sizeof(secret_t) <= PAGE_BYTES, "a secret fits its page");
    *out = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*out == MAP_FAILED) {
        *out = NULL;
        return lens_fail(LENS_MEMORY, "out of memory for a key");
    }
    if (madvise(*out, PAGE_BYTES, MADV_DONTDUMP) == 0) return LENS_OK;
    lens_status st = lens_fail(LENS_IO, "cannot keep the key out of core dumps: %s", strerror(errno));
    secret_free(*out);
    *out = NULL;
    return st;
}

/* The key stands in place. What is wrong is said without it. */
static lens_status check(secret_t *s, const char *where) {
    s->n = strlen(key_of(s));
    while (s->n && (key_of(s)[s->n - 1] == '\n' || key_of(s)[s->n - 1] == '\r'))
        s->header[sizeof scheme - 2 + s->n--] = 0;
    if (s->n < SECRET_MIN_BYTES)
        return lens_fail(LENS_ARGUMENT, "%s: expected a key of at least %d characters, got %zu", where,
                         SECRET_MIN_BYTES, s->n);
    for (size_t i = 0; i < s->n; i++)
        if (key_of(s)[i] <= ' ' || key_of(s)[i] > '~')
            return lens_fail(LENS_ARGUMENT, "%s: expected a key of printable ASCII on one line, got byte 0x%02x at %zu",
                             where, (unsigned char)key_of(s)[i], i);
    memcpy(s->header, scheme, sizeof scheme - 1);
    return LENS_OK;
}

lens_status secret_from_env(secret_t **out, const char *name) {
    *out = NULL;
    const char *value = getenv(name);
    if (!value || !*value) return LENS_OK;
    const size_t n = strlen(value);
    if (n > SECRET_MAX_BYTES)
        return lens_fail(LENS_ARGUMENT, "$%s: expected a key of at most %d bytes, got %zu", name, SECRET_MAX_BYTES, n);
    LENS_TRY(make_page(out));
    memcpy((*out)->header + sizeof scheme - 1, value, n);
    lens_status st = check(*out, name);
    if (st == LENS_OK) return LENS_OK;
    secret_free(*out);
    *out = NULL;
    return st;
}

static lens_status read_key(secret_t *s, int fd, const char *path) {
    struct stat facts;
    if (fstat(fd, &facts) != 0) return lens_fail(LENS_IO, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISREG(facts.st_mode)) return lens_fail(LENS_ARGUMENT, "%s: expected a file that holds a key", path);
    if (facts.st_mode & S_IROTH)
        return lens_fail(LENS_ARGUMENT, "%s: others may read this key (mode %03o); chmod 600 it", path,
                         (unsigned)facts.st_mode & 0777u);
    if (facts.st_size > SECRET_MAX_BYTES)
        return lens_fail(LENS_ARGUMENT, "%s: expected a key of at most %d bytes, got %lld", path, SECRET_MAX_BYTES,
                         (long long)facts.st_size);
    size_t got;
    LENS_TRY(file_read_some(fd, s->header + sizeof scheme - 1, SECRET_MAX_BYTES, 0, &got, path));
    return check(s, path);
}

lens_status secret_from_file(secret_t **out, const char *path) {
    *out = NULL;
    int fd = -1;
    LENS_TRY(file_open(&fd, path));
    lens_status st = make_page(out);
    if (st == LENS_OK) st = read_key(*out, fd, path);
    close(fd);
    if (st == LENS_OK) return LENS_OK;
    secret_free(*out);
    *out = NULL;
    return st;
}

char *secret_header(secret_t *s) {
    return s ? s->header : NULL;
}

void secret_redact(const secret_t *s, str_t *text) {
    const char *at = str_text(text), *found = s ? memmem(at, text->len, key_of(s), s->n) : NULL;
    if (!found) return;
    str_t clean = {0};
    const char *end = at + text->len;
    for (; found; found = memmem(at, (size_t)(end - at), key_of(s), s->n)) {
        str_add_n(&clean, at, (size_t)(found - at));
        str_add(&clean, "[key]");
        at = found + s->n;
    }
    str_add_n(&clean, at, (size_t)(end - at));
    explicit_bzero(text->s, text->len);
    str_free(text);
    *text = clean;
}

void secret_free(secret_t *s) {
    if (!s) return;
    explicit_bzero(s, PAGE_BYTES);
    munmap(s, PAGE_BYTES);
}
