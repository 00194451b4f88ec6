/* What all charts share: the figure around the SVG, its axes, and columns with tooltips. Coordinates are those of the
 * SVG's view box; the plot lies between LEFT, RIGHT, TOP and BOTTOM. Every text is escaped here. Reentrant; any thread.
 */
#ifndef LENS_EVAL_CHART_FRAME_H
#define LENS_EVAL_CHART_FRAME_H

#include "base/str.h"
#include "eval/chart_axis.h"

enum { CHART_WIDTH = 480, CHART_HEIGHT = 250, CHART_LEFT = 54, CHART_RIGHT = 466, CHART_TOP = 12, CHART_BOTTOM = 206 };

/* In this order: figure, keys of the legend, SVG, axes; the caller ends with </svg></figure>. unit may be NULL. */
void chart_begin_figure(str_t *out, const char *title, const char *unit);
void chart_add_key(str_t *out, int colour, const char *name);
void chart_begin_svg(str_t *out, const char *title);
void chart_place_axes(chart_axis_t *x, chart_axis_t *y);  /* at the plot's edges */
void chart_add_values(str_t *out, const chart_axis_t *y); /* ticks and grid of the values, and the line at the bottom */
/* That, and the other axis. */
void chart_add_axes(str_t *out, const chart_axis_t *x, const chart_axis_t *y, const char *x_label);

/* A column as high as the plot, whose tooltip the caller writes until chart_end_hit. */
void chart_begin_hit(str_t *out, double px_low, double px_high);
void chart_end_hit(str_t *out);

#endif
