/* Event files, read back with a reader of their own: framing, checksums, the fields of the messages. */
#include "train/tfevents.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/file.h"

/* ---- a reader of TFRecords and protobuf ---- */

typedef struct {
    const uint8_t *p, *end;
} view_t;

static uint64_t take_little_endian(view_t *v, int n) {
    uint64_t x = 0;
    assert_true(v->end - v->p >= n);
    for (int i = n - 1; i >= 0; i--) x = x << 8 | v->p[i];
    v->p += n;
    return x;
}

static uint64_t take_varint(view_t *v) {
    uint64_t x = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(v->p < v->end && shift < 70);
        uint8_t byte = *v->p++;
        x |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return x;
    }
}

static view_t take_bytes(view_t *v, uint64_t n) {
    assert_true((uint64_t)(v->end - v->p) >= n);
    view_t out = {v->p, v->p + n};
    v->p += n;
    return out;
}

static uint32_t unmasked(uint32_t x) {
    x -= 0xa282ead8u;
    return x >> 17 | x << 15;
}

static view_t take_record(view_t *v) {
    view_t length = {v->p, v->p + 8};
    uint64_t n = take_little_endian(v, 8);
    assert_int_equal(unmasked((uint32_t)take_little_endian(v, 4)), tfevents_crc32c(length.p, 8));
    view_t data = take_bytes(v, n);
    assert_int_equal(unmasked((uint32_t)take_little_endian(v, 4)), tfevents_crc32c(data.p, n));
    return data;
}

/* The value of a field by number: an integer, the bits of a float, or bytes. Fails where it is missing. */
typedef struct {
    uint64_t bits;
    view_t bytes;
} field_t;

static bool find_field(view_t message, int number, int occurrence, field_t *out) {
    while (message.p < message.end) {
        uint64_t tag = take_varint(&message);
        *out = (field_t){0};
        switch (tag & 7) {
        case 0:
            out->bits = take_varint(&message);
            break;
        case 1:
            out->bits = take_little_endian(&message, 8);
            break;
        case 2:
            out->bytes = take_bytes(&message, take_varint(&message));
            break;
        case 5:
            out->bits = take_little_endian(&message, 4);
            break;
        default:
            fail_msg("wire type %d", (int)(tag & 7));
        }
        if ((int)(tag >> 3) == number && occurrence-- == 0) return true;
    }
    return false;
}

static field_t field(view_t message, int number, int occurrence) {
    field_t out;
    if (!find_field(message, number, occurrence, &out)) fail_msg("no field %d", number);
    return out;
}

static float as_float(uint64_t bits) {
    uint32_t low = (uint32_t)bits;
    float x;
    memcpy(&x, &low, sizeof(x));
    return x;
}

static void expect_text(view_t v, const char *text) {
    assert_int_equal(v.end - v.p, strlen(text));
    assert_memory_equal(v.p, text, strlen(text));
}

/* ---- tests ---- */

/* RFC 3720, appendix B.4, and the usual check value. */
static void test_crc32c(void **state) {
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(tfevents_crc32c(bytes, 0), 0);
    assert_int_equal(tfevents_crc32c(bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    assert_int_equal(tfevents_crc32c(bytes, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
    assert_int_equal(tfevents_crc32c(bytes, 32), 0x46dd794eu);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(tfevents_crc32c(bytes, 32), 0x113fdb5cu);
    assert_int_equal(tfevents_crc32c("123456789", 9), 0xe3069283u);
}

static void expect_preamble(view_t *file, int64_t first_step) {
    view_t event = take_record(file);
    expect_text(field(event, 3, 0).bytes, "brain.Event:2");
    event = take_record(file);
    assert_int_equal(field(event, 2, 0).bits, first_step);
    assert_int_equal(field(field(event, 7, 0).bytes, 1, 0).bits, 1); /* session_log.status: START */
}

static void test_events(void **state) {
    (void)state;
    char dir[] = "/tmp/lens-tfevents-XXXXXX", *bytes, path[512];
    size_t n;
    tfevents_t *f, *second;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(tfevents_open(&f, dir, 300), LENS_OK);
    assert_int_equal(tfevents_open(&second, dir, 300), LENS_OK); /* in the same second, by the same process */
    assert_string_not_equal(tfevents_path(f), tfevents_path(second));
    tfevents_close(second);
    assert_non_null(strstr(tfevents_path(f), "/events.out.tfevents."));
    snprintf(path, sizeof(path), "%s", tfevents_path(f));

    static const char *const tags[] = {"loss", "optim/lr", "norm"};
    static const double values[] = {0.1, -2.5, INFINITY};
    static const char png[200] = "\x89PNG\r\n\x1a\n";
    assert_int_equal(tfevents_scalars(f, 300, 3, tags, values), LENS_OK);
    assert_int_equal(tfevents_image(f, INT64_C(1) << 40, "samples", png, sizeof(png), 640, 480), LENS_OK);
    assert_int_equal(tfevents_sync(f), LENS_OK);
    assert_int_equal(file_read(&bytes, &n, path, 1 << 20), LENS_OK); /* before it is closed: readers follow */
    tfevents_close(f);

    view_t file = {(const uint8_t *)bytes, (const uint8_t *)bytes + n};
    expect_preamble(&file, 300);
    view_t event = take_record(&file), summary = field(event, 5, 0).bytes;
    double wall_time;
    uint64_t bits = field(event, 1, 0).bits;
    memcpy(&wall_time, &bits, sizeof(wall_time));
    assert_true(fabs(wall_time - (double)time(NULL)) < 60);
    assert_int_equal(field(event, 2, 0).bits, 300);
    for (int i = 0; i < 3; i++) {
        view_t value = field(summary, 1, i).bytes;
        expect_text(field(value, 1, 0).bytes, tags[i]);
        assert_true(as_float(field(value, 2, 0).bits) == (float)values[i]);
    }
    event = take_record(&file);
    assert_int_equal(field(event, 2, 0).bits, INT64_C(1) << 40);
    view_t value = field(field(event, 5, 0).bytes, 1, 0).bytes, image = field(value, 4, 0).bytes;
    expect_text(field(value, 1, 0).bytes, "samples");
    assert_int_equal(field(image, 1, 0).bits, 480);
    assert_int_equal(field(image, 2, 0).bits, 640);
    assert_int_equal(field(image, 3, 0).bits, 3);
    view_t encoded = field(image, 4, 0).bytes;
    assert_int_equal(encoded.end - encoded.p, sizeof(png));
    assert_memory_equal(encoded.p, png, sizeof(png));
    assert_ptr_equal(file.p, file.end);
    free(bytes);
    assert_int_equal(dir_remove(dir), LENS_OK);
}

static void test_no_folder(void **state) {
    (void)state;
    tfevents_t *f;
    assert_int_equal(tfevents_open(&f, "/nonexistent", 0), LENS_IO);
    assert_null(f);
    assert_non_null(strstr(lens_error(), "/nonexistent/events.out.tfevents."));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
