#include "data/image_icc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lcms2.h>
#include <lcms2_plugin.h>

#include "data/image_light.h"

#define GRID 6 /* levels of a channel at which a profile is compared with sRGB: 0, 51, .. 255 */

struct image_icc {
    cmsContext context;
    cmsHTRANSFORM transform; /* NULL for grey */
    int n_channels;
    bool out_of_memory; /* the context's user data: what lcms itself cannot tell from damage */
    uint8_t grey[256][3];
};

/* ---- lcms's memory ---- */

static void *icc_alloc(cmsContext context, cmsUInt32Number size) {
    if (size == 0 || size > ICC_MAX_ALLOC_BYTES) return NULL;
    void *p = malloc(size);
    bool *out_of_memory = p ? NULL : cmsGetContextUserData(context);
    if (out_of_memory) *out_of_memory = true;
    return p;
}

static void icc_release(cmsContext context, void *p) {
    (void)context;
    free(p);
}

static void *icc_resize(cmsContext context, void *p, cmsUInt32Number size) {
    (void)context;
    return size <= ICC_MAX_ALLOC_BYTES ? realloc(p, size) : NULL;
}

static cmsContext icc_context(bool *out_of_memory) {
    cmsPluginMemHandler memory = {
        .base = {.Magic = cmsPluginMagicNumber, .ExpectedVersion = 2000, .Type = cmsPluginMemHandlerSig},
        .MallocPtr = icc_alloc,
        .FreePtr = icc_release,
        .ReallocPtr = icc_resize,
    };
    return cmsCreateContext(&memory, out_of_memory);
}

/* ---- profiles ---- */

static cmsColorSpaceSignature icc_signature(icc_space space) {
    return space == ICC_GREY ? cmsSigGrayData : space == ICC_RGB ? cmsSigRgbData : cmsSigCmykData;
}

/* NULL where it is no profile of such pixels: damaged, of another space, or no description of a device. */
static cmsHPROFILE icc_open(cmsContext context, const uint8_t *bytes, size_t n, icc_space space) {
    if (n > ICC_MAX_PROFILE_BYTES) return NULL;
    cmsHPROFILE profile = cmsOpenProfileFromMemTHR(context, bytes, (cmsUInt32Number)n);
    if (!profile) return NULL;
    cmsProfileClassSignature kind = cmsGetDeviceClass(profile);
    bool device = kind == cmsSigInputClass || kind == cmsSigDisplayClass || kind == cmsSigOutputClass ||
                  kind == cmsSigColorSpaceClass;
    if (device && cmsGetColorSpace(profile) == icc_signature(space)) return profile;
    cmsCloseProfile(profile);
    return NULL;
}

/* ---- is it sRGB ---- */

/* From XYZ relative to D50 to linear sRGB (IEC 61966-2-1, adapted by Bradford). */
static const double srgb_of_xyz[3][3] = {
    {3.1338561, -1.6168667, -0.4906146}, {-0.9787684, 1.9161415, 0.0334540}, {0.0719453, -0.2289914, 1.4052427}};

/* The light that sRGB gives a code that is one level off, on either side; beyond the ends there is no limit. */
typedef struct {
    double from[GRID], to[GRID];
} near_srgb_t;

static near_srgb_t near_srgb(void) {
    near_srgb_t s;
    for (int i = 0; i < GRID; i++) {
        s.from[i] = i == 0 ? -INFINITY : image_light_of_srgb((i * 51 - 1) / 255.0);
        s.to[i] = i == GRID - 1 ? INFINITY : image_light_of_srgb((i * 51 + 1) / 255.0);
    }
    return s;
}

static bool is_near(const near_srgb_t *s, double light, int i) {
    return light >= s->from[i] && light <= s->to[i];
}

/* light[level]: of the levels 0, 51, .. 255. A curve of a hostile profile may say NaN, which is near to nothing. */
static bool icc_curve(cmsHPROFILE profile, cmsTagSignature tag, double light[GRID]) {
    const cmsToneCurve *curve = cmsReadTag(profile, tag);
    if (!curve) return false;
    for (int i = 0; i < GRID; i++) {
        light[i] = (double)cmsEvalToneCurveFloat(curve, (cmsFloat32Number)i / (GRID - 1));
        if (!isfinite(light[i])) return false;
    }
    return true;
}

static bool grey_is_srgb(cmsHPROFILE profile) {
    double light[GRID];
    if (!icc_curve(profile, cmsSigGrayTRCTag, light)) return false;
    near_srgb_t near = near_srgb();
    for (int i = 0; i < GRID; i++)
        if (!is_near(&near, light[i], i)) return false;
    return true;
}

/* to_srgb: linear, from the profile's own linear RGB. */
static bool icc_matrix(cmsHPROFILE profile, double to_srgb[3][3]) {
    const cmsTagSignature tags[3] = {cmsSigRedColorantTag, cmsSigGreenColorantTag, cmsSigBlueColorantTag};
    for (int c = 0; c < 3; c++) {
        const cmsCIEXYZ *xyz = cmsReadTag(profile, tags[c]);
        if (!xyz) return false;
        for (int k = 0; k < 3; k++)
            to_srgb[k][c] = srgb_of_xyz[k][0] * xyz->X + srgb_of_xyz[k][1] * xyz->Y + srgb_of_xyz[k][2] * xyz->Z;
    }
    return true;
}

static bool rgb_is_srgb(cmsHPROFILE profile) {
    /* Where there are tables, the matrix is not what counts. */
    if (cmsIsTag(profile, cmsSigAToB0Tag) || cmsIsTag(profile, cmsSigAToB1Tag) || cmsIsTag(profile, cmsSigDToB0Tag) ||
        cmsIsTag(profile, cmsSigDToB1Tag))
        return false;
    double m[3][3], r[GRID], g[GRID], b[GRID];
    if (!icc_matrix(profile, m) || !icc_curve(profile, cmsSigRedTRCTag, r) ||
        !icc_curve(profile, cmsSigGreenTRCTag, g) || !icc_curve(profile, cmsSigBlueTRCTag, b))
        return false;
    near_srgb_t near = near_srgb();
    for (int i = 0; i < GRID * GRID * GRID; i++) {
        int code[3] = {i % GRID, i / GRID % GRID, i / GRID / GRID};
        for (int c = 0; c < 3; c++) {
            double light = m[c][0] * r[code[0]] + m[c][1] * g[code[1]] + m[c][2] * b[code[2]];
            if (!is_near(&near, light, code[c])) return false;
        }
    }
    return true;
}

static bool profile_is_srgb(cmsHPROFILE profile, icc_space space) {
    return space == ICC_RGB ? rgb_is_srgb(profile) : space == ICC_GREY && grey_is_srgb(profile);
}

bool image_icc_is_srgb(const uint8_t *bytes, size_t n, icc_space space) {
    cmsContext context = icc_context(NULL);
    if (!context) return false;
    cmsHPROFILE profile = icc_open(context, bytes, n, space);
    bool same = profile && profile_is_srgb(profile, space);
    if (profile) cmsCloseProfile(profile);
    cmsDeleteContext(context);
    return same;
}

/* ---- transforms ---- */

static cmsHTRANSFORM icc_transform(cmsContext context, cmsHPROFILE profile, icc_space space, int n_channels) {
    cmsHPROFILE srgb = cmsCreate_sRGBProfileTHR(context);
    if (!srgb) return NULL;
    cmsUInt32Number from = space == ICC_GREY   ? TYPE_GRAY_FLT
                           : space == ICC_CMYK ? TYPE_CMYK_8_REV
                           : n_channels == 4   ? TYPE_RGBA_8
                                               : TYPE_RGB_8;
    cmsUInt32Number to = space == ICC_RGB ? from : space == ICC_GREY ? TYPE_RGB_FLT : TYPE_RGB_8;
    /* lcms's cache is of one pixel: in photographs it is missed more often than it saves. */
    cmsUInt32Number flags =
        cmsFLAGS_BLACKPOINTCOMPENSATION | cmsFLAGS_NOCACHE | (from == TYPE_RGBA_8 ? cmsFLAGS_COPY_ALPHA : 0);
    cmsHTRANSFORM transform =
        cmsCreateTransformTHR(context, profile, from, srgb, to, INTENT_RELATIVE_COLORIMETRIC, flags);
    cmsCloseProfile(srgb);
    return transform;
}

/* Grey has only 256 pixels: they are all asked for at once, in floats, since of 8 bits lcms makes a table too coarse
 * for curves that are steep near black. */
static void icc_tabulate_grey(image_icc_t *t) {
    float codes[256], srgb[256][3];
    for (int i = 0; i < 256; i++) codes[i] = (float)i / 255;
    cmsDoTransform(t->transform, codes, srgb, 256);
    for (int i = 0; i < 256; i++)
        for (int c = 0; c < 3; c++) t->grey[i][c] = (uint8_t)lrintf(fminf(fmaxf(srgb[i][c], 0), 1) * 255);
    cmsDeleteTransform(t->transform);
    t->transform = NULL;
}

/* False where the profile changes nothing or is of no use. */
static bool icc_make(image_icc_t *t, const uint8_t *bytes, size_t n, icc_space space) {
    cmsHPROFILE profile = icc_open(t->context, bytes, n, space);
    if (!profile) return false;
    if (!profile_is_srgb(profile, space)) t->transform = icc_transform(t->context, profile, space, t->n_channels);
    cmsCloseProfile(profile);
    bool made = t->transform;
    if (made && space == ICC_GREY) icc_tabulate_grey(t);
    return made;
}

lens_status image_icc_new(image_icc_t **out, const uint8_t *profile, size_t n, icc_space space, int n_channels) {
    *out = NULL;
    image_icc_t *t = calloc(1, sizeof *t);
    if (!t) return lens_fail(LENS_MEMORY, "%zu bytes for a colour profile", sizeof *t);
    t->n_channels = n_channels;
    t->context = icc_context(&t->out_of_memory);
    if (!t->context) {
        free(t);
        return lens_fail(LENS_MEMORY, "cannot create lcms's context");
    }
    lens_status st = LENS_OK;
    if (icc_make(t, profile, n, space)) {
        *out = t;
    } else {
        if (t->out_of_memory) st = lens_fail(LENS_MEMORY, "memory for a colour profile of %zu bytes", n);
        image_icc_free(t);
    }
    return st;
}

void image_icc_free(image_icc_t *t) {
    if (!t) return;
    if (t->transform) cmsDeleteTransform(t->transform);
    cmsDeleteContext(t->context);
    free(t);
}

void image_icc_apply(const image_icc_t *t, uint8_t *to, const uint8_t *from, size_t n_px) {
    size_t step = (size_t)t->n_channels;
    if (t->transform)
        cmsDoTransform(t->transform, from, to, (cmsUInt32Number)n_px);
    else
        for (size_t i = 0; i < n_px; i++) memcpy(to + i * step, t->grey[from[i * step]], 3);
}
