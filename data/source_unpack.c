/* A compressed manifest, unpacked once: rows are read by address, from several threads. */
#include "data/source_kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive.h>

#define UNPACK_MAX_BYTES (UINT64_C(64) << 30)

static lens_status write_all(int fd, const char *bytes, size_t n, const char *folder) {
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return lens_fail(LENS_IO, "%s: cannot write a temporary file: %s", folder, strerror(errno));
        bytes += written;
        n -= (size_t)written;
    }
    return LENS_OK;
}

static lens_status unpack_into(int fd, struct archive *a, const char *path, const char *folder) {
    struct archive_entry *entry;
    uint64_t total = 0;
    char bytes[65536];
    la_ssize_t n = 0;
    int code = archive_read_open_filename(a, path, sizeof bytes);
    if (code == ARCHIVE_OK) code = archive_read_next_header(a, &entry);
    while (code == ARCHIVE_OK && (n = archive_read_data(a, bytes, sizeof bytes)) > 0) {
        total += (uint64_t)n;
        if (total > UNPACK_MAX_BYTES)
            return lens_fail(LENS_FORMAT, "%s: more than %" PRIu64 " bytes when unpacked", path, UNPACK_MAX_BYTES);
        LENS_TRY(write_all(fd, bytes, (size_t)n, folder));
    }
    if (code == ARCHIVE_OK && n >= 0) return LENS_OK;
    const char *why = archive_error_string(a);
    return lens_fail(LENS_FORMAT, "%s: cannot unpack after %" PRIu64 " bytes: %s", path, total, why ? why : "empty");
}

lens_status source_unpack(int *out, const char *path) {
    const char *folder = getenv("TMPDIR");
    if (!folder || !*folder) folder = "/tmp";
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return lens_fail(LENS_IO, "%s: cannot make a temporary file: %s", folder, strerror(errno));
    struct archive *a = archive_read_new();
    lens_status st = LENS_OK;
    if (!a || archive_read_support_format_raw(a) != ARCHIVE_OK || archive_read_support_filter_gzip(a) < ARCHIVE_WARN ||
        archive_read_support_filter_zstd(a) < ARCHIVE_WARN)
        st = lens_fail(LENS_MEMORY, "%s: cannot create a reader", path);
    else
        st = unpack_into(fd, a, path, folder);
    archive_read_free(a);
    if (st == LENS_OK)
        *out = fd;
    else
        close(fd);
    return st;
}
