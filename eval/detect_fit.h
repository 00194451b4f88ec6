/* Fits the known outlines to the pixels of one region. Reentrant.
 *
 * A pixel is modelled as ground + c (own - ground): c is the share of it that the outline covers, blurred by a
 * Gaussian; own is the fill F, or between F and the accent A where the surface is one of the scenes' textures. F of a
 * plain surface is the least-squares one (variable projection). */
#ifndef LENS_EVAL_DETECT_FIT_H
#define LENS_EVAL_DETECT_FIT_H

#include "data/scene.h"

typedef enum {
    SURFACE_PLAIN,
    SURFACE_PATTERNED,
    SURFACE_OUTLINED,
    N_SURFACES,
    SURFACE_DRAWN = N_SURFACES
} detect_surface;

#define TEXTURED_RADIUS_MIN 0.14 /* of the side: smaller shapes are plain */

typedef struct {
    float x, y;                 /* px, of its middle */
    float colour[3], ground[3]; /* code values */
} fit_pixel_t;

/* What a region is compared by. */
typedef struct {
    const fit_pixel_t *pixels; /* [n] */
    int n;
    double x0, y0, x1, y1; /* px: its box, where the search begins */
    double side_px;        /* of the picture: lengths of textures are shares of it */
    double fill[3], accent[3];
    bool surfaces[N_SURFACES]; /* which to try; all but PLAIN need fill and accent */
    double noise;              /* standard deviation of a code value, as seen on the background */
} fit_region_t;

typedef struct {
    scene_shape shape;
    detect_surface surface;
    double x, y, radius, blur; /* px */
    double fill[3];            /* code values */
    double error;              /* sum of squares over pixels and channels; INFINITY: no such fit */
} fit_t;

typedef struct {
    /* best.error is INFINITY, and unexplained 1, where no outline has the region's box: its place is the box's then. */
    fit_t best;
    fit_t plain, drawn; /* the best of those surfaces */
    int drawn_colour;
    fit_t of[SCENE_N_SHAPES];        /* the best of each shape */
    double colours[SCENE_N_COLOURS]; /* least error of any fit with that fill; INFINITY: none */
    double values;                   /* pixels x channels */
    double energy;                   /* sum of squares of colour - ground */
    double unexplained;              /* best.error less what noise explains, relative to the energy */
    double odds; /* log likelihood ratio of best to the best of another shape, for the residual that best leaves */
    double colour_odds; /* and to the best of another colour */
    int colour;         /* scene_colour, or DETECT_UNKNOWN */
} fit_result_t;

typedef struct fit_tables fit_tables_t;
LENS_CHECKED lens_status fit_tables_new(fit_tables_t **out);
void fit_tables_free(fit_tables_t *t); /* NULL is allowed */

/* begin; add as many as are to be compared, on the same pixels; end: compares them. */
void fit_begin(fit_result_t *out, const fit_region_t *r);
void fit_add_outlines(fit_result_t *out, const fit_tables_t *t, const fit_region_t *r);
void fit_end(fit_result_t *out, const fit_region_t *r);
void fit_add(fit_result_t *out, const fit_t *fit, int colour); /* colour: scene_colour or DETECT_UNKNOWN */
/* Whether so great an error is more than a search for a better place makes up for. */
bool fit_is_hopeless(const fit_result_t *f, const fit_region_t *r, double error);
/* Takes what the fit adds to its ground out of the pixels: the fit is of a plain surface. */
void fit_take_out(const fit_tables_t *t, const fit_region_t *r, const fit_t *f, fit_pixel_t *pixels);
/* How far the pixels well inside the fit, which is of a plain surface, are from its fill: code values, the least first.
 * left: [r->n]. Their number. */
int fit_left(const fit_tables_t *t, const fit_region_t *r, const fit_t *f, float *left);
/* Signed distance to the fit's outline in px, [h, w] from (x0, y0) on in steps of `step`; its radius where far. */
void fit_distances(float *out, const fit_tables_t *t, const fit_t *f, double x0, double y0, double step, int w, int h);
/* Begin, add, end on plain outlines. */
void fit_region(fit_result_t *out, const fit_tables_t *t, const fit_region_t *r);

#endif
