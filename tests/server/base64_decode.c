#include "tests/server/base64_decode.h"

#include <string.h>

enum { BAD = 1 << 24 };

/* Four tables, so that a group is four loads: the six bits at their place in 24, BAD beside them for no digit. */
static uint32_t table[4][256];

static void make_tables(void) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 4; i++) {
        for (int c = 0; c < 256; c++) table[i][c] = BAD;
        for (uint32_t d = 0; d < 64; d++) table[i][(unsigned char)digits[d]] = d << (18 - 6 * i);
    }
}

static uint32_t group(const unsigned char *c) {
    return table[0][c[0]] | table[1][c[1]] | table[2][c[2]] | table[3][c[3]];
}

static void put(unsigned char *out, uint32_t bits) {
    out[0] = (unsigned char)(bits >> 16);
    out[1] = (unsigned char)(bits >> 8);
    out[2] = (unsigned char)bits;
}

static bool decode_plain(str_t *out, const char *text, size_t n) {
    if (n == 0 || n % 4) return false;
    if (!table[0][0]) make_tables();
    str_reserve(out, out->len + n / 4 * 3);
    if (out->failed) return false;
    const unsigned char *c = (const unsigned char *)text, *last = c + n - 4;
    unsigned char *to = (unsigned char *)out->s + out->len;
    uint32_t wrong = 0;
    for (; c < last; c += 4, to += 3) {
        const uint32_t bits = group(c);
        wrong |= bits;
        put(to, bits);
    }
    const int padding = last[3] != '=' ? 0 : last[2] != '=' ? 1 : 2;
    unsigned char end[4];
    memcpy(end, last, 4);
    for (int i = 0; i < padding; i++) end[3 - i] = 'A';
    wrong |= group(end);
    put(to, group(end));
    out->len += n / 4 * 3 - (size_t)padding;
    out->s[out->len] = '\0';
    return !(wrong & BAD);
}

bool base64_decode(str_t *out, const char *text, size_t n) {
    if (!memchr(text, '\\', n)) return decode_plain(out, text, n);
    str_t plain = {0};
    for (size_t i = 0; i < n; i++)
        if (text[i] != '\\' || i + 1 == n || text[i + 1] != '/') str_add_char(&plain, text[i]);
    const bool is_good = !plain.failed && decode_plain(out, str_text(&plain), plain.len);
    str_free(&plain);
    return is_good;
}
