/* The one EXIF tag that changes what a picture shows. The block comes from a hostile file: every offset is checked
 * against its end, and the entries are visited at most once each. */
#include "data/image_codecs.h"

#include <string.h>

#define EXIF_ORIENTATION 0x0112
#define EXIF_SHORT 3
#define EXIF_ENTRY_BYTES 12

static uint32_t exif_u16(const uint8_t *p, bool big) {
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t exif_u32(const uint8_t *p, bool big) {
    return big ? exif_u16(p, big) << 16 | exif_u16(p + 2, big) : exif_u16(p + 2, big) << 16 | exif_u16(p, big);
}

int image_exif_orientation(const uint8_t *bytes, size_t n) {
    if (n >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0) {
        bytes += 6;
        n -= 6;
    }
    if (n < 8) return 1;
    bool big = memcmp(bytes, "MM\0\x2a", 4) == 0;
    if (!big && memcmp(bytes, "II\x2a\0", 4) != 0) return 1;

    size_t ifd = exif_u32(bytes + 4, big);
    if (ifd > n - 2) return 1;
    size_t n_entries = exif_u16(bytes + ifd, big);
    size_t n_whole = (n - ifd - 2) / EXIF_ENTRY_BYTES;
    if (n_entries > n_whole) n_entries = n_whole;
    for (size_t i = 0; i < n_entries; i++) {
        const uint8_t *entry = bytes + ifd + 2 + i * EXIF_ENTRY_BYTES;
        if (exif_u16(entry, big) != EXIF_ORIENTATION) continue;
        if (exif_u16(entry + 2, big) != EXIF_SHORT || exif_u32(entry + 4, big) != 1) return 1;
        uint32_t value = exif_u16(entry + 8, big);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
