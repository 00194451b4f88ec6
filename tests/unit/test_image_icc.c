/* ICC profiles: pictures in other colour spaces, made with lcms2, give the expected sRGB. */
#include "tests/unit/picture.h"

#include <math.h>

#include <lcms2.h>

#include "data/image_icc.h"

/* ---- profiles ---- */

static void save_profile(str_t *out, cmsHPROFILE profile) {
    cmsUInt32Number n = 0;
    assert_non_null(profile);
    assert_true(cmsSaveProfileToMem(profile, NULL, &n));
    uint8_t *bytes = malloc(n);
    assert_non_null(bytes);
    assert_true(cmsSaveProfileToMem(profile, bytes, &n));
    str_clear(out);
    str_add_n(out, bytes, n);
    free(bytes);
    cmsCloseProfile(profile);
}

static cmsToneCurve *srgb_curve(void) {
    const cmsFloat64Number p[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
    return cmsBuildParametricToneCurve(NULL, 4, p);
}

/* xy of red, green, blue; sRGB's curve where gamma is 0. */
static void rgb_profile(str_t *out, const double xy[6], double gamma) {
    const cmsCIExyY white = {0.3127, 0.3290, 1};
    const cmsCIExyYTRIPLE primaries = {{xy[0], xy[1], 1}, {xy[2], xy[3], 1}, {xy[4], xy[5], 1}};
    cmsToneCurve *curve = gamma > 0 ? cmsBuildGamma(NULL, gamma) : srgb_curve();
    cmsToneCurve *const curves[3] = {curve, curve, curve};
    save_profile(out, cmsCreateRGBProfile(&white, &primaries, curves));
    cmsFreeToneCurve(curve);
}

static const double srgb_xy[6] = {0.64, 0.33, 0.30, 0.60, 0.15, 0.06};
static const double p3_xy[6] = {0.680, 0.320, 0.265, 0.690, 0.150, 0.060};
static const double swapped_xy[6] = {0.30, 0.60, 0.64, 0.33, 0.15, 0.06}; /* red and green exchanged */

static void grey_profile(str_t *out, double gamma) {
    cmsToneCurve *curve = gamma > 0 ? cmsBuildGamma(NULL, gamma) : srgb_curve();
    save_profile(out, cmsCreateGrayProfile(cmsD50_xyY(), curve));
    cmsFreeToneCurve(curve);
}

/* Inks to Lab: neutral, light by the product of what each ink leaves; cyan darkens half as much as the others, so that
 * an exchange of inks shows. */
static int sample_inks(const cmsUInt16Number in[], cmsUInt16Number out[], void *cargo) {
    (void)cargo;
    double left = (1 - in[0] / 65535.0 / 2) * (1 - in[1] / 65535.0) * (1 - in[2] / 65535.0) * (1 - in[3] / 65535.0);
    const cmsCIELab lab = {100 * left, 0, 0};
    cmsFloat2LabEncoded(out, &lab);
    return TRUE;
}

static void cmyk_profile(str_t *out) {
    cmsHPROFILE profile = cmsCreateProfilePlaceholder(NULL);
    cmsSetProfileVersion(profile, 2.4);
    cmsSetDeviceClass(profile, cmsSigOutputClass);
    cmsSetColorSpace(profile, cmsSigCmykData);
    cmsSetPCS(profile, cmsSigLabData);
    cmsPipeline *lut = cmsPipelineAlloc(NULL, 4, 3);
    cmsStage *table = cmsStageAllocCLut16bit(NULL, 9, 4, 3, NULL);
    assert_true(cmsStageSampleCLut16bit(table, sample_inks, NULL, 0));
    assert_true(cmsPipelineInsertStage(lut, cmsAT_BEGIN, table));
    assert_true(cmsWriteTag(profile, cmsSigAToB0Tag, lut) && cmsWriteTag(profile, cmsSigAToB1Tag, lut));
    assert_true(cmsWriteTag(profile, cmsSigMediaWhitePointTag, cmsD50_XYZ()));
    cmsPipelineFree(lut);
    save_profile(out, profile);
}

/* ---- files ---- */

typedef enum { FILE_JPEG, FILE_PNG, FILE_PNG_ALPHA, FILE_PNG_GREY_ALPHA, FILE_WEBP, FILE_WEBP_ALPHA } file_kind;

/* im in the file's own space; lossless but for JPEG. Alpha is 255 in the left half, 0 in the right. */
static void write_file(str_t *out, file_kind kind, const image_t *im, const str_t *icc) {
    size_t n_px = (size_t)im->width * (size_t)im->height, width = (size_t)im->width;
    uint8_t *rgba = malloc(n_px * 4), *grey = malloc(n_px * 2);
    assert_true(rgba && grey);
    for (size_t i = 0; i < n_px; i++) {
        memcpy(rgba + 4 * i, im->rgb + 3 * i, 3);
        grey[2 * i] = im->rgb[3 * i];
        rgba[4 * i + 3] = grey[2 * i + 1] = i % width < width / 2 ? 255 : 0;
    }
    picture_png_t png = {.width = im->width, .height = im->height, .depth = 8, .icc = icc};
    str_clear(out);
    switch (kind) {
    case FILE_JPEG:
        picture_jpeg(out, im, (picture_jpeg_t){.file_space = JCS_RGB, .icc = icc});
        break;
    case FILE_PNG:
        png.color_type = PNG_COLOR_TYPE_RGB, png.rows = im->rgb, png.stride = width * 3;
        picture_png(out, png);
        break;
    case FILE_PNG_ALPHA:
        png.color_type = PNG_COLOR_TYPE_RGB_ALPHA, png.rows = rgba, png.stride = width * 4;
        picture_png(out, png);
        break;
    case FILE_PNG_GREY_ALPHA:
        png.color_type = PNG_COLOR_TYPE_GRAY_ALPHA, png.rows = grey, png.stride = width * 2;
        picture_png(out, png);
        break;
    case FILE_WEBP:
        assert_int_equal(image_encode_webp(out, im, 0, true), LENS_OK);
        picture_webp_add_chunk(out, "ICCP", icc->s, icc->len);
        break;
    case FILE_WEBP_ALPHA:
        picture_webp_rgba(out, rgba, im->width, im->height);
        picture_webp_add_chunk(out, "ICCP", icc->s, icc->len);
        break;
    }
    free(rgba);
    free(grey);
}

static int worst_difference(const image_t *a, const image_t *b) {
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    int worst = 0;
    for (int32_t i = 0; i < a->width * a->height * 3; i++)
        if (abs(a->rgb[i] - b->rgb[i]) > worst) worst = abs(a->rgb[i] - b->rgb[i]);
    return worst;
}

static void decode(image_t *out, const str_t *file) {
    assert_int_equal(image_decode(out, (const uint8_t *)file->s, file->len), LENS_OK);
}

static void white_right_half(image_t *im) {
    for (int32_t i = 0; i < im->width * im->height; i++)
        if (i % im->width >= im->width / 2) memset(im->rgb + 3 * i, 255, 3);
}

/* Where the profile exchanges red and green, so does decoding. */
static void test_swapped_channels(void **state) {
    (void)state;
    image_t im, expected, back;
    str_t icc = {0}, file = {0};
    rgb_profile(&icc, swapped_xy, 0);
    picture_gradient(&im, 24, 16);
    const file_kind kinds[] = {FILE_JPEG, FILE_PNG, FILE_WEBP, FILE_PNG_ALPHA, FILE_WEBP_ALPHA};
    for (int k = 0; k < 5; k++) {
        picture_gradient(&expected, 24, 16);
        for (int i = 0; i < 24 * 16; i++) {
            expected.rgb[3 * i] = im.rgb[3 * i + 1];
            expected.rgb[3 * i + 1] = im.rgb[3 * i];
        }
        if (kinds[k] == FILE_PNG_ALPHA || kinds[k] == FILE_WEBP_ALPHA) white_right_half(&expected);
        write_file(&file, kinds[k], &im, &icc);
        decode(&back, &file);
        int worst = worst_difference(&back, &expected);
        if (worst > (kinds[k] == FILE_JPEG ? 6 : 1)) fail_msg("kind %d: off by %d", (int)kinds[k], worst);
        image_free(&back);
        image_free(&expected);
    }
    image_free(&im);
    str_free(&icc);
    str_free(&file);
}

/* Display P3, by its matrix in double: red and green primaries are wider than sRGB's and so clip. */
static void p3_to_srgb(double out[3], const double code[3]) {
    static const double m[3][3] = {/* linear P3 to linear sRGB, both D65 */
                                   {1.2249401763, -0.2249401763, 0},
                                   {-0.0420569547, 1.0420569547, 0},
                                   {-0.0196375546, -0.0786360456, 1.0982736001}};
    double light[3];
    for (int c = 0; c < 3; c++) {
        double v = code[c] / 255;
        light[c] = v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
    }
    for (int c = 0; c < 3; c++) {
        double l = m[c][0] * light[0] + m[c][1] * light[1] + m[c][2] * light[2];
        l = l < 0 ? 0 : l > 1 ? 1 : l;
        out[c] = 255 * (l <= 0.0031308 ? 12.92 * l : 1.055 * pow(l, 1 / 2.4) - 0.055);
    }
}

static void test_display_p3(void **state) {
    (void)state;
    image_t im, back;
    str_t icc = {0}, file = {0};
    rgb_profile(&icc, p3_xy, 0);
    assert_false(image_icc_is_srgb((uint8_t *)icc.s, icc.len, ICC_RGB));
    assert_int_equal(image_new(&im, 16, 16), LENS_OK);
    for (int i = 0; i < 256; i++) {
        const uint8_t p[3] = {(uint8_t)(i % 6 * 51), (uint8_t)(i / 6 % 6 * 51), (uint8_t)(i / 36 % 6 * 51)};
        memcpy(im.rgb + 3 * i, p, 3);
    }
    for (file_kind kind = FILE_PNG; kind <= FILE_WEBP; kind += FILE_WEBP - FILE_PNG) {
        write_file(&file, kind, &im, &icc);
        decode(&back, &file);
        for (int i = 0; i < 256; i++) {
            const double code[3] = {im.rgb[3 * i], im.rgb[3 * i + 1], im.rgb[3 * i + 2]};
            double expected[3];
            p3_to_srgb(expected, code);
            for (int c = 0; c < 3; c++)
                if (fabs(back.rgb[3 * i + c] - expected[c]) > 2)
                    fail_msg("P3 %g %g %g, channel %d: %d, expected %g", code[0], code[1], code[2], c,
                             back.rgb[3 * i + c], expected[c]);
        }
        image_free(&back);
    }
    image_free(&im);
    str_free(&icc);
    str_free(&file);
}

static void test_grey(void **state) {
    (void)state;
    image_t im, back;
    str_t icc = {0}, file = {0};
    grey_profile(&icc, 1.0);
    assert_int_equal(image_new(&im, 512, 1), LENS_OK);
    for (int i = 0; i < 512; i++) memset(im.rgb + 3 * i, i % 256, 3);
    write_file(&file, FILE_PNG_GREY_ALPHA, &im, &icc);
    decode(&back, &file);
    for (int i = 0; i < 512; i++) {
        double l = i % 256 / 255.0, code = 255 * (l <= 0.0031308 ? 12.92 * l : 1.055 * pow(l, 1 / 2.4) - 0.055);
        double expected = i < 256 ? code : 255;
        for (int c = 0; c < 3; c++)
            if (fabs(back.rgb[3 * i + c] - expected) > 2)
                fail_msg("grey %d: %d, expected %g", i, back.rgb[3 * i + c], expected);
    }
    image_free(&back);
    picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_GRAYSCALE, .icc = &icc});
    decode(&back, &file);
    assert_in_range(back.rgb[3 * 128], 186, 190);
    image_free(&back);
    image_free(&im);
    str_free(&icc);
    str_free(&file);
}

/* Cyan and black as the profile has them, whether the file's inks are inverted or not. */
static void test_cmyk(void **state) {
    (void)state;
    image_t im, back;
    str_t icc = {0}, file = {0};
    cmyk_profile(&icc);
    assert_int_equal(image_new(&im, 16, 16), LENS_OK);
    for (int plain = 0; plain < 2; plain++) {
        for (int i = 0; i < 256; i++) memcpy(im.rgb + 3 * i, (const uint8_t[3]){0, 255, 255}, 3); /* all cyan */
        picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_CMYK, .no_adobe_marker = plain, .icc = &icc});
        decode(&back, &file);
        /* L* = 50 is 119 in sRGB; without the profile it would be 0, 255, 255. */
        for (int c = 0; c < 3; c++) assert_in_range(back.rgb[3 * 100 + c], 117, 121);
        image_free(&back);
        for (int i = 0; i < 256; i++) memset(im.rgb + 3 * i, 255, 3);
        picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_CMYK, .no_adobe_marker = plain, .icc = &icc});
        decode(&back, &file);
        for (int c = 0; c < 3; c++) assert_in_range(back.rgb[3 * 100 + c], 253, 255);
        image_free(&back);
    }
    image_free(&im);
    str_free(&icc);
    str_free(&file);
}

/* ---- sRGB, and what is ignored ---- */

static void assert_no_transform(const str_t *icc, icc_space space) {
    image_icc_t *t;
    assert_int_equal(image_icc_new(&t, (const uint8_t *)icc->s, icc->len, space, 3), LENS_OK);
    assert_null(t);
}

static void test_srgb_costs_nothing(void **state) {
    (void)state;
    str_t icc = {0};
    save_profile(&icc, cmsCreate_sRGBProfile());
    assert_true(image_icc_is_srgb((uint8_t *)icc.s, icc.len, ICC_RGB));
    assert_no_transform(&icc, ICC_RGB);
    grey_profile(&icc, 0);
    assert_true(image_icc_is_srgb((uint8_t *)icc.s, icc.len, ICC_GREY));
    assert_no_transform(&icc, ICC_GREY);
    /* Not quite: the right primaries with another curve, and the right curve with others. */
    rgb_profile(&icc, srgb_xy, 2.2);
    assert_false(image_icc_is_srgb((uint8_t *)icc.s, icc.len, ICC_RGB));
    rgb_profile(&icc, srgb_xy, 0);
    assert_true(image_icc_is_srgb((uint8_t *)icc.s, icc.len, ICC_RGB));
    grey_profile(&icc, 2.2);
    assert_false(image_icc_is_srgb((uint8_t *)icc.s, icc.len, ICC_GREY));
    str_free(&icc);
}

static void test_plain(void **state) {
    (void)state;
    image_t im;
    image_facts_t facts;
    str_t icc = {0}, file = {0};
    picture_gradient(&im, 16, 16);
    for (int srgb = 0; srgb < 2; srgb++) {
        rgb_profile(&icc, srgb ? srgb_xy : p3_xy, 0);
        picture_jpeg(&file, &im, (picture_jpeg_t){.file_space = JCS_YCbCr, .icc = &icc});
        assert_int_equal(image_inspect(&facts, (uint8_t *)file.s, file.len), LENS_OK);
        assert_int_equal(facts.plain, srgb);
    }
    image_free(&im);
    str_free(&icc);
    str_free(&file);
}

/* Garbage, profiles of other pixels and profiles cut short leave the picture as it is. */
static void test_ignored(void **state) {
    (void)state;
    image_t im, back;
    str_t icc = {0}, file = {0}, cut = {0};
    str_add(&icc, "this is no profile, but is long enough to have the header of one: "
                  "................................................................................................");
    assert_no_transform(&icc, ICC_RGB);
    picture_gradient(&im, 16, 12);
    write_file(&file, FILE_WEBP, &im, &icc);
    decode(&back, &file);
    assert_int_equal(worst_difference(&back, &im), 0);
    image_free(&back);
    cmyk_profile(&icc);
    write_file(&file, FILE_WEBP, &im, &icc);
    decode(&back, &file);
    assert_int_equal(worst_difference(&back, &im), 0);
    image_free(&back);
    rgb_profile(&icc, p3_xy, 0);
    assert_no_transform(&icc, ICC_GREY);
    for (size_t n = 0; n < icc.len; n += 7) {
        image_icc_t *t;
        str_clear(&cut);
        str_add_n(&cut, icc.s, n);
        assert_int_equal(image_icc_new(&t, (const uint8_t *)cut.s, n, ICC_RGB, 3), LENS_OK);
        image_icc_free(t); /* a tag that is not needed may be missing */
    }
    image_free(&im);
    str_free(&icc);
    str_free(&file);
    str_free(&cut);
}

/* A table that claims more memory than there is. */
static void test_hostile_table(void **state) {
    (void)state;
    str_t icc = {0};
    cmyk_profile(&icc);
    uint8_t *p = (uint8_t *)icc.s;
    for (size_t i = 128; i + 4 < icc.len; i++)
        if (memcmp(p + i, "mft2", 4) == 0) p[i + 10] = 255; /* 255 to the power of 4 points */
    assert_no_transform(&icc, ICC_CMYK);
    str_free(&icc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swapped_channels),
        cmocka_unit_test(test_display_p3),
        cmocka_unit_test(test_grey),
        cmocka_unit_test(test_cmyk),
        cmocka_unit_test(test_srgb_costs_nothing),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_ignored),
        cmocka_unit_test(test_hostile_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
