/* Plain shapes drawn in memory, for the tests of the describer. Coordinates in px; colours as 0xrrggbb. */
#ifndef LENS_TESTS_DRAWING_H
#define LENS_TESTS_DRAWING_H

// clang-format off: CMocka needs these first
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <math.h>
#include <string.h>

#include "data/image.h"

static inline void draw_new(image_t *im, int32_t width, int32_t height, uint32_t rgb) {
    assert_int_equal(image_new(im, width, height), LENS_OK);
    for (int64_t i = 0; i < (int64_t)width * height; i++) {
        im->rgb[3 * i] = (uint8_t)(rgb >> 16);
        im->rgb[3 * i + 1] = (uint8_t)(rgb >> 8);
        im->rgb[3 * i + 2] = (uint8_t)rgb;
    }
}

static inline void draw_pixel(image_t *im, int32_t x, int32_t y, uint32_t rgb) {
    if (x < 0 || y < 0 || x >= im->width || y >= im->height) return;
    uint8_t *p = im->rgb + 3 * ((int64_t)y * im->width + x);
    p[0] = (uint8_t)(rgb >> 16);
    p[1] = (uint8_t)(rgb >> 8);
    p[2] = (uint8_t)rgb;
}

static inline void draw_rectangle(image_t *im, int32_t x0, int32_t y0, int32_t x1, int32_t y1, uint32_t rgb) {
    for (int32_t y = y0; y < y1; y++)
        for (int32_t x = x0; x < x1; x++) draw_pixel(im, x, y, rgb);
}

/* rx = ry and hole = 0: a disc. hole: inner radius as a fraction. */
static inline void draw_ellipse(image_t *im, double cx, double cy, double rx, double ry, double hole, uint32_t rgb) {
    for (int32_t y = (int32_t)(cy - ry) - 1; y <= cy + ry + 1; y++)
        for (int32_t x = (int32_t)(cx - rx) - 1; x <= cx + rx + 1; x++) {
            double d = hypot((x + 0.5 - cx) / rx, (y + 0.5 - cy) / ry);
            if (d <= 1 && d >= hole) draw_pixel(im, x, y, rgb);
        }
}

/* points >= 3 corners on a circle, the first straight up; inner < 1 puts corners of that radius between (a star). */
static inline void draw_polygon(image_t *im, double cx, double cy, double radius, int points, double inner,
                                uint32_t rgb) {
    int n = inner < 1 ? 2 * points : points;
    for (int32_t y = (int32_t)(cy - radius) - 1; y <= cy + radius + 1; y++)
        for (int32_t x = (int32_t)(cx - radius) - 1; x <= cx + radius + 1; x++) {
            bool inside = false;
            for (int i = 0; i < n; i++) {
                int k = (i + 1) % n;
                double ra = inner < 1 && i % 2 ? radius * inner : radius,
                       rb = inner < 1 && k % 2 ? radius * inner : radius;
                double ax = cx + ra * sin(2 * M_PI * i / n), ay = cy - ra * cos(2 * M_PI * i / n);
                double bx = cx + rb * sin(2 * M_PI * k / n), by = cy - rb * cos(2 * M_PI * k / n);
                double px = x + 0.5, py = y + 0.5;
                if ((ay > py) != (by > py) && px < (bx - ax) * (py - ay) / (by - ay) + ax) inside = !inside;
            }
            if (inside) draw_pixel(im, x, y, rgb);
        }
}

#endif
