/* What image_decode takes at its peak against what image_inspect says it takes. This executable's own malloc counts
 * what all libraries ask for. */
#include "tests/unit/picture.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>

#include <lcms2.h>

#if defined(__SANITIZE_ADDRESS__)
#define COUNTS false /* the sanitizer's own malloc stands in this one's place */
#else
#define COUNTS true

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *p);
#endif

static atomic_size_t now_bytes, peak_bytes;

#if COUNTS
static void *taken(void *p) {
    if (!p) return p;
    size_t now = atomic_fetch_add(&now_bytes, malloc_usable_size(p)) + malloc_usable_size(p);
    if (now > atomic_load(&peak_bytes)) atomic_store(&peak_bytes, now);
    return p;
}

static void *given_back(void *p) {
    if (p) atomic_fetch_sub(&now_bytes, malloc_usable_size(p));
    return p;
}

void *malloc(size_t n) {
    return taken(__libc_malloc(n));
}

void *calloc(size_t n, size_t size) {
    return taken(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n) {
    return taken(__libc_realloc(given_back(p), n));
}

void free(void *p) {
    __libc_free(given_back(p));
}

int posix_memalign(void **out, size_t alignment, size_t n) {
    *out = taken(__libc_memalign(alignment, n));
    return *out ? 0 : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t n) {
    return taken(__libc_memalign(alignment, n));
}
#endif

/* The estimate is an upper one, and for a large picture at most twice what is taken. */
static void check(const char *name, const str_t *file) {
    image_facts_t facts;
    image_t im;
    assert_int_equal(image_inspect(&facts, (const uint8_t *)file->s, file->len), LENS_OK);
    size_t before = atomic_load(&now_bytes);
    atomic_store(&peak_bytes, before);
    assert_int_equal(image_decode(&im, (const uint8_t *)file->s, file->len), LENS_OK);
    size_t taken_bytes = atomic_load(&peak_bytes) - before;
    image_free(&im);
    assert_int_equal(atomic_load(&now_bytes), before);
    double ratio = (double)facts.decode_bytes / (double)taken_bytes;
    print_message("%s: %d x %d px, %zu bytes taken, estimate %.2f times that\n", name, (int)facts.width,
                  (int)facts.height, taken_bytes, ratio);
    bool large = (int64_t)facts.width * facts.height > 1000000;
    if (ratio < 1 || (large && ratio > 2)) fail_msg("%s: estimate %.2f times what is taken", name, ratio);
}

static void skip_without_counts(void) {
    if (COUNTS) return;
    print_message("skipped: the sanitizer counts for itself\n");
    skip();
}

static const int32_t sizes[][2] = {{1, 1}, {17, 33}, {640, 480}, {1152, 900}};
#define N_SIZES 4

/* Detail as of a photograph, for files and tables of an ordinary size. */
static void picture_photo(image_t *im, int32_t width, int32_t height) {
    picture_gradient(im, width, height);
    for (int32_t i = 0; i < width * height * 3; i++) im->rgb[i] += (uint8_t)((uint32_t)i * 2654435761u >> 28);
}

static void test_jpeg(void **state) {
    (void)state;
    skip_without_counts();
    str_t file = {0};
    for (int s = 0; s < N_SIZES; s++) {
        image_t im;
        picture_photo(&im, sizes[s][0], sizes[s][1]);
        picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr});
        check("JPEG", &file);
        picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr, .orientation = 6});
        check("turned JPEG", &file);
        picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr, .progressive = true});
        check("progressive JPEG", &file);
        picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_CMYK, .progressive = true, .orientation = 3});
        check("turned progressive CMYK JPEG", &file);
        picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_GRAYSCALE});
        check("grey JPEG", &file);
        image_free(&im);
    }
    str_free(&file);
}

static void test_png(void **state) {
    (void)state;
    skip_without_counts();
    str_t file = {0};
    for (int s = 0; s < N_SIZES; s++) {
        image_t im;
        int32_t width = sizes[s][0], height = sizes[s][1];
        picture_photo(&im, 4 * width, height); /* bytes for RGBA, and for 16 bits */
        picture_png_t png = {.width = width,
                             .height = height,
                             .depth = 8,
                             .color_type = PNG_COLOR_TYPE_RGB,
                             .rows = im.rgb,
                             .stride = (size_t)width * 12};
        picture_png(&file, png);
        check("PNG", &file);
        png.orientation = 5;
        picture_png(&file, png);
        check("turned PNG", &file);
        png.depth = 16;
        png.interlaced = true;
        png.color_type = PNG_COLOR_TYPE_RGB_ALPHA;
        picture_png(&file, png);
        check("turned interlaced PNG of 16 bits with alpha", &file);
        image_free(&im);
    }
    str_free(&file);
}

static void test_webp(void **state) {
    (void)state;
    skip_without_counts();
    str_t file = {0}, animation = {0};
    for (int s = 0; s < N_SIZES; s++) {
        image_t im;
        int32_t width = sizes[s][0], height = sizes[s][1];
        picture_photo(&im, width, height);
        str_clear(&file);
        assert_int_equal(image_encode_webp(&file, &im, 80, false), LENS_OK);
        check("WebP", &file);
        picture_webp_animation(&animation, &file, &file, 0, 0, 0, 0);
        check("animated WebP", &animation);
        picture_webp_add_exif(&file, 8);
        check("turned WebP", &file);
        str_clear(&file);
        assert_int_equal(image_encode_webp(&file, &im, 0, true), LENS_OK);
        check("lossless WebP", &file);
        image_free(&im);
        picture_photo(&im, 2 * width, height);
        if (s + 1 < N_SIZES) { /* seconds to encode */
            picture_webp_rgba(&file, im.rgb, width, height);
            check("lossless WebP with alpha", &file);
        }
        uint8_t *bytes;
        str_clear(&file);
        size_t n = WebPEncodeRGBA(im.rgb, width, height, width * 4, 80, &bytes);
        str_add_n(&file, bytes, n);
        WebPFree(bytes);
        check("WebP with alpha", &file);
        image_free(&im);
    }
    str_free(&file);
    str_free(&animation);
}

/* Wide red and green, and a curve of 1.8. */
static void rgb_profile(str_t *out) {
    const cmsCIExyY white = {0.3127, 0.3290, 1};
    const cmsCIExyYTRIPLE primaries = {{0.68, 0.32, 1}, {0.265, 0.69, 1}, {0.15, 0.06, 1}};
    cmsToneCurve *curve = cmsBuildGamma(NULL, 1.8), *const curves[3] = {curve, curve, curve};
    cmsHPROFILE profile = cmsCreateRGBProfile(&white, &primaries, curves);
    uint8_t bytes[4096];
    cmsUInt32Number n = sizeof bytes;
    assert_true(cmsSaveProfileToMem(profile, bytes, &n));
    str_add_n(out, bytes, n);
    cmsCloseProfile(profile);
    cmsFreeToneCurve(curve);
}

static void test_profiles(void **state) {
    (void)state;
    skip_without_counts();
    str_t icc = {0}, file = {0};
    rgb_profile(&icc);
    image_t im;
    picture_photo(&im, 1600, 1200);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr, .icc = &icc});
    check("JPEG with a profile", &file);
    image_free(&im);
    picture_photo(&im, 320, 200);
    str_clear(&file);
    assert_int_equal(image_encode_webp(&file, &im, 80, false), LENS_OK);
    picture_webp_add_chunk(&file, "ICCP", icc.s, icc.len);
    check("WebP with a profile", &file);
    image_free(&im);
    str_free(&icc);
    str_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_jpeg), cmocka_unit_test(test_png),
                                       cmocka_unit_test(test_webp), cmocka_unit_test(test_profiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
