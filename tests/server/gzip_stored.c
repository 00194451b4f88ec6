#include "tests/server/gzip_stored.h"

enum { BLOCK_MAX = 65535 };

static uint32_t crc32_of(const char *bytes, size_t n) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void add_little(str_t *out, uint32_t value, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) str_add_char(out, (char)(value >> 8 * i & 255));
}

void gzip_stored(str_t *out, const char *bytes, size_t n) {
    static const char head[10] = {'\x1f', '\x8b', 8, 0, 0, 0, 0, 0, 0, '\xff'}; /* deflate; no name, no time */
    str_add_n(out, head, sizeof head);
    for (size_t at = 0, size; at < n || at == 0; at += size) {
        size = n - at < BLOCK_MAX ? n - at : BLOCK_MAX;
        str_add_char(out, at + size == n); /* the last block? */
        add_little(out, (uint32_t)size, 2);
        add_little(out, (uint32_t)size ^ 0xffff, 2);
        str_add_n(out, bytes + at, size);
        if (n == 0) break;
    }
    add_little(out, crc32_of(bytes, n), 4);
    add_little(out, (uint32_t)n, 4);
}
