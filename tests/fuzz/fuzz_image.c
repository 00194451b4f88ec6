/* The picture decoders: what the header says holds for what is decoded, and the loader's way fails where decoding does
 * and nowhere else. Large pictures are left out for speed only. */
#include <string.h>

#include "base/error.h"
#include "data/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define MAX_PIXELS (1 << 16)
#define MAX_BYTES ((uint64_t)64 << 20)

static void load(const uint8_t *bytes, size_t n, lens_status decoded, int32_t width, int32_t height,
                 image_resampling_t how) {
    static uint8_t rgb[40 * 40 * 3];
    lens_status st = image_load_cover(rgb, width, height, 0.3, 0.8, how, bytes, n);
    LENS_ASSERT((st == LENS_OK) == (decoded == LENS_OK), "decoding: %d, loading: %d (%s)", (int)decoded, (int)st,
                lens_error());
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    image_facts_t facts;
    lens_status st = image_inspect(&facts, bytes, n);
    if (st == LENS_OK && (int64_t)facts.width * facts.height > MAX_PIXELS) return 0;
    image_t im;
    lens_status decoded = image_decode_within(&im, bytes, n, MAX_BYTES);
    LENS_ASSERT(st == LENS_OK || decoded != LENS_OK, "decoded what image_inspect refuses: %s", lens_error());
    LENS_ASSERT(decoded != LENS_OK || (im.width == facts.width && im.height == facts.height),
                "header: %d x %d px, decoded: %d x %d", (int)facts.width, (int)facts.height, (int)im.width,
                (int)im.height);
    if (st == LENS_OK && facts.decode_bytes <= MAX_BYTES) {
        load(bytes, n, decoded, 16, 9, (image_resampling_t){IMAGE_AREA, false});
        load(bytes, n, decoded, 31, 40, (image_resampling_t){IMAGE_LANCZOS, true});
    }
    image_free(&im);
    return 0;
}
