/* Writes TFRecords of hand-made protobuf. The field numbers stand beside each field, from
 * tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto. */
#include "train/tfevents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

#define NAME_ATTEMPTS 1000 /* files that one process may open in one second */

struct tfevents {
    FILE *stream;
    char *path;
    str_t event, summary, value; /* messages being built, each inside the one before; kept for their memory */
};

/* ---- checksum ---- */

uint32_t tfevents_crc32c(const void *bytes, size_t n) {
    /* The reflected polynomial 0x82f63b78, for 4 bits at a time. */
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
                                       0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const uint8_t *p = bytes;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* TensorFlow masks checksums, because the checksum of data that holds its own checksum is a poor one. */
static uint32_t masked(uint32_t crc) {
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* ---- protobuf ---- */

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put_little_endian(str_t *s, uint64_t x, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) str_add_char(s, (char)(x >> (8 * i)));
}

static void put_varint(str_t *s, uint64_t x) {
    for (; x >= 128; x >>= 7) str_add_char(s, (char)(x | 128));
    str_add_char(s, (char)x);
}

static void put_int(str_t *s, int field, int64_t x) {
    put_varint(s, (uint64_t)field << 3 | WIRE_VARINT);
    put_varint(s, (uint64_t)x);
}

static void put_double(str_t *s, int field, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    put_varint(s, (uint64_t)field << 3 | WIRE_64);
    put_little_endian(s, bits, 8);
}

static void put_float(str_t *s, int field, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    put_varint(s, (uint64_t)field << 3 | WIRE_32);
    put_little_endian(s, bits, 4);
}

/* Strings, bytes and messages look the same. */
static void put_bytes(str_t *s, int field, const void *bytes, size_t n) {
    put_varint(s, (uint64_t)field << 3 | WIRE_BYTES);
    put_varint(s, n);
    str_add_n(s, bytes, n);
}

static lens_status put_message(str_t *s, int field, const str_t *message) {
    LENS_TRY(str_status(message));
    put_bytes(s, field, str_text(message), message->len);
    return LENS_OK;
}

/* ---- events ---- */

static void begin_event(tfevents_t *f, int64_t step) {
    struct timeval now;
    gettimeofday(&now, NULL);
    str_clear(&f->event);
    put_double(&f->event, 1, (double)now.tv_sec + (double)now.tv_usec * 1e-6); /* wall_time */
    put_int(&f->event, 2, step);                                               /* step */
}

static lens_status write_event(tfevents_t *f) {
    str_t frame = {0};
    LENS_TRY(str_status(&f->event));
    put_little_endian(&frame, f->event.len, 8);
    if (!frame.failed) put_little_endian(&frame, masked(tfevents_crc32c(frame.s, 8)), 4);
    str_add_n(&frame, f->event.s, f->event.len);
    put_little_endian(&frame, masked(tfevents_crc32c(f->event.s, f->event.len)), 4);
    lens_status st = str_status(&frame);
    if (st == LENS_OK && (fwrite(frame.s, 1, frame.len, f->stream) != frame.len || fflush(f->stream) != 0))
        st = lens_fail(LENS_IO, "%s: cannot write: %s", f->path, strerror(errno));
    str_free(&frame);
    return st;
}

/* Event.summary from f->summary. */
static lens_status write_summary(tfevents_t *f, int64_t step) {
    begin_event(f, step);
    LENS_TRY(put_message(&f->event, 5, &f->summary)); /* summary */
    return write_event(f);
}

/* Adds f->value to f->summary. */
static lens_status add_value(tfevents_t *f) {
    return put_message(&f->summary, 1, &f->value); /* value */
}

lens_status tfevents_scalars(tfevents_t *f, int64_t step, int n, const char *const *tags, const double *values) {
    str_clear(&f->summary);
    for (int i = 0; i < n; i++) {
        str_clear(&f->value);
        put_bytes(&f->value, 1, tags[i], strlen(tags[i])); /* tag */
        put_float(&f->value, 2, (float)values[i]);         /* simple_value */
        LENS_TRY(add_value(f));
    }
    return write_summary(f, step);
}

lens_status tfevents_image(tfevents_t *f, int64_t step, const char *tag, const void *png, size_t n_bytes, int32_t width,
                           int32_t height) {
    str_t image = {0};
    put_int(&image, 1, height);
    put_int(&image, 2, width);
    put_int(&image, 3, 3); /* colorspace: RGB */
    put_bytes(&image, 4, png, n_bytes);
    str_clear(&f->summary);
    str_clear(&f->value);
    put_bytes(&f->value, 1, tag, strlen(tag));          /* tag */
    lens_status st = put_message(&f->value, 4, &image); /* image */
    str_free(&image);
    LENS_TRY(st);
    LENS_TRY(add_value(f));
    return write_summary(f, step);
}

/* ---- files ---- */

static lens_status create_file(tfevents_t *f, const char *dir) {
    char host[256] = "";
    str_t name = {0};
    lens_status st = LENS_OK;
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0' || strchr(host, '/'))
        snprintf(host, sizeof(host), "localhost");
    for (int i = 0; i < NAME_ATTEMPTS && !f->stream; i++) {
        str_clear(&name);
        str_addf(&name, "%s/events.out.tfevents.%010lld.%s.%ld", dir, (long long)time(NULL), host, (long)getpid());
        if (i > 0) str_addf(&name, ".%d", i);
        LENS_GO(str_status(&name));
        f->stream = fopen(name.s, "wbxe");
        if (!f->stream && errno != EEXIST) break;
    }
    if (!f->stream) {
        st = lens_fail(LENS_IO, "%s: cannot create: %s", name.s, strerror(errno));
        goto done;
    }
    f->path = name.s; /* moves */
    name = (str_t){0};
done:
    str_free(&name);
    return st;
}

/* The first event names the format; the second makes TensorBoard forget what older files say of these steps. */
static lens_status write_preamble(tfevents_t *f, int64_t first_step) {
    begin_event(f, 0);
    put_bytes(&f->event, 3, "brain.Event:2", 13); /* file_version */
    LENS_TRY(write_event(f));
    begin_event(f, first_step);
    str_clear(&f->value);
    put_int(&f->value, 1, 1);                       /* status: START */
    LENS_TRY(put_message(&f->event, 7, &f->value)); /* session_log */
    return write_event(f);
}

lens_status tfevents_open(tfevents_t **out, const char *dir, int64_t first_step) {
    *out = NULL;
    tfevents_t *f = calloc(1, sizeof(*f));
    if (!f) return lens_fail(LENS_MEMORY, "%s: event file", dir);
    lens_status st = create_file(f, dir);
    if (st == LENS_OK) st = write_preamble(f, first_step);
    if (st != LENS_OK) {
        tfevents_close(f);
        return st;
    }
    *out = f;
    return LENS_OK;
}

void tfevents_close(tfevents_t *f) {
    if (!f) return;
    if (f->stream) fclose(f->stream);
    free(f->path);
    str_free(&f->event);
    str_free(&f->summary);
    str_free(&f->value);
    free(f);
}

const char *tfevents_path(const tfevents_t *f) {
    return f->path;
}

lens_status tfevents_sync(tfevents_t *f) {
    if (fsync(fileno(f->stream)) != 0 && errno != EINVAL)
        return lens_fail(LENS_IO, "%s: cannot sync: %s", f->path, strerror(errno));
    return LENS_OK;
}
