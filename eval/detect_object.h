/* One picture's work, and one object of it: the pixels that regions are compared by, and the best fit of them as a
 * whole. Each detect_work_t belongs to one thread. */
#ifndef LENS_EVAL_DETECT_OBJECT_H
#define LENS_EVAL_DETECT_OBJECT_H

#include "eval/detect.h"
#include "eval/detect_fit.h"
#include "eval/detect_regions.h"
#include "eval/detect_texture.h"

/* The best outline is said where the best other one is less likely by exp(OBJECT_ODDS). An object's radius is at least
 * OBJECT_RADIUS_MIN of the picture's side: the smallest in the scenes have 0.089. */
#define OBJECT_ODDS 6.0
#define OBJECT_RADIUS_MIN 0.065
#define OBJECT_PLAIN_UNEXPLAINED 0.008 /* of the contrast: below, no texture is tried */
#define OBJECT_SHARP_PX 0.4            /* blur below which a pattern shows as such */
/* px around a region that it is compared by; shapes whose textures are tried, of a region and of a chain of them */
enum { OBJECT_PAD_PX = 3, OBJECT_TEXTURED = 2, OBJECT_TEXTURED_CHAIN = 5 };

struct detector {
    fit_tables_t *tables;
};

typedef struct {
    canvas_t canvas;
    fit_pixel_t pixels[CANVAS_PX];
    uint8_t taken[CANVAS_PX]; /* of a shape inside another one, which is fitted without it */
    int8_t name[CANVAS_PX];   /* nearest fill, DETECT_UNKNOWN where none is near */
    bool seen[CANVAS_PX];     /* by the search for shapes inside others */
    texture_scratch_t scratch;
    fit_result_t alone[REGIONS_MAX];
    bool done[REGIONS_MAX];
    bool tried[REGIONS_MAX]; /* the chain that the region is of */
    int depth;               /* of regions parted within parted ones */
    const detector_t *detector;
    detection_t *out;
} detect_work_t;

/* `in`: bool [REGIONS_MAX], the regions that are taken as one object. */
bool object_leaves(const detect_work_t *w,
                   const fit_result_t *f); /* more than a plain surface should: a texture, or several objects */
bool object_is_good(const detect_work_t *w, const fit_result_t *f); /* an object, if of unknown shape */
void object_add(detect_work_t *w, const fit_result_t *f);           /* to the detection */
/* Pixels of the regions and of the background around them, without what belongs to others or is mixed with them. */
void object_take(detect_work_t *w, fit_region_t *r, const bool *in);
void object_names_find(detect_work_t *w); /* once the picture is parted */
void object_votes(const detect_work_t *w, const bool *in,
                  int *votes); /* votes: [SCENE_N_COLOURS], pixels nearest to each fill */
int object_most_voted(const int *votes);
void object_colour(double *out, scene_colour c); /* [3], code values */
void object_fit_plain(detect_work_t *w, fit_result_t *out, const bool *in);
/* Textures as the scenes have them, at the places of the n_shapes shapes that fit best. */
void object_add_textures(detect_work_t *w, fit_result_t *out, const fit_region_t *r, int n_shapes);
/* The best fit as one object: plain, or with a texture where plain leaves something or blur may hide one. What
 * the colours alone forbid is not tried. */
void object_fit(detect_work_t *w, fit_result_t *out, const bool *in, int n_shapes);

#endif
