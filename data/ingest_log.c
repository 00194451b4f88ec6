#include "data/ingest_log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define END_FORMAT "end %" PRId64 "\n"

void ingest_log_add(str_t *log, const ingest_record_t *r) {
    if (r->accepted) {
        const bool none = !r->shrunk && !r->kept && !r->repaired;
        str_addf(log, "a %" PRIx32 " %016" PRIx64 " %" PRIu64 " %" PRIu64 " %s%s%s%s ", r->missing, r->phash,
                 r->picture_bytes, r->source_bytes, r->shrunk ? "s" : "", r->kept ? "k" : "", r->repaired ? "r" : "",
                 none ? "-" : "");
        str_add_n(log, r->key, r->key_bytes);
    } else {
        str_addf(log, "r %" PRIx32 " %d %d ", r->missing, (int)r->reject, r->stage);
        str_add_n(log, r->line, r->line_bytes);
    }
    str_add_char(log, '\n');
}

void ingest_log_end(str_t *log, int64_t n) {
    str_addf(log, END_FORMAT, n);
}

/* ---- reading ---- */

/* The word at *text up to a space, which is passed over; NULL where there is none before `end`. */
static const char *take_word(const char **text, const char *end, size_t *n) {
    const char *begin = *text, *space = memchr(begin, ' ', (size_t)(end - begin));
    if (!space || space == begin) return NULL;
    *n = (size_t)(space - begin);
    *text = space + 1;
    return begin;
}

static bool take_number(const char **text, const char *end, int base, uint64_t *out) {
    size_t n;
    const char *word = take_word(text, end, &n);
    char copy[32], *stop;
    if (!word || n >= sizeof copy || !strchr("0123456789abcdef", word[0])) return false;
    memcpy(copy, word, n);
    copy[n] = '\0';
    errno = 0;
    *out = strtoull(copy, &stop, base);
    return errno == 0 && *stop == '\0';
}

static bool take_missing(const char **text, const char *end, uint32_t *out) {
    uint64_t bits;
    if (!take_number(text, end, 16, &bits) || bits > UINT32_MAX) return false;
    *out = (uint32_t)bits;
    return true;
}

static bool parse_accepted(ingest_record_t *r, const char *text, const char *end) {
    size_t n;
    if (!take_missing(&text, end, &r->missing) || !take_number(&text, end, 16, &r->phash) ||
        !take_number(&text, end, 10, &r->picture_bytes) || !take_number(&text, end, 10, &r->source_bytes))
        return false;
    const char *flags = take_word(&text, end, &n);
    if (!flags) return false;
    for (size_t i = 0; i < n; i++) {
        r->shrunk |= flags[i] == 's';
        r->kept |= flags[i] == 'k';
        r->repaired |= flags[i] == 'r';
        if (!strchr("skr-", flags[i])) return false;
    }
    r->key = text;
    r->key_bytes = (size_t)(end - text);
    return r->key_bytes > 0;
}

static bool parse_rejected(ingest_record_t *r, const char *text, const char *end) {
    uint64_t reject, stage;
    if (!take_missing(&text, end, &r->missing) || !take_number(&text, end, 10, &reject) || reject >= REJECT_N)
        return false;
    r->reject = (reject_class)reject;
    if (str_starts_with(text, "-1 "))
        text += 3;
    else if (take_number(&text, end, 10, &stage) && stage < 1000)
        r->stage = (int)stage;
    else
        return false;
    r->line = text;
    r->line_bytes = (size_t)(end - text);
    return (r->reject == REJECT_NONE) == (r->stage >= 0);
}

lens_status ingest_log_next(ingest_log_reader_t *r, ingest_record_t *out) {
    *out = (ingest_record_t){.stage = -1};
    const char *line = r->text + r->at, *end = memchr(line, '\n', r->n - r->at);
    const bool whole = end && end - line >= 2 && line[1] == ' ';
    if (whole && (line[0] == 'a' || line[0] == 'r')) {
        out->accepted = line[0] == 'a';
        if (!(out->accepted ? parse_accepted(out, line + 2, end) : parse_rejected(out, line + 2, end)))
            return lens_fail(LENS_FORMAT, "%s: line %" PRId64 " is malformed", r->name, r->n_records + 1);
        r->at = (size_t)(end + 1 - r->text);
        r->n_records++;
        return LENS_OK;
    }
    char expected[32];
    const size_t n = (size_t)snprintf(expected, sizeof expected, END_FORMAT, r->n_records);
    if (r->n - r->at == n && memcmp(line, expected, n) == 0) return LENS_END;
    return lens_fail(LENS_FORMAT, "%s: expected a record or the end after line %" PRId64, r->name, r->n_records);
}

int64_t ingest_log_count(const char *log, size_t n) {
    int64_t n_lines = 0;
    for (const char *at = log, *end = log + n; (at = memchr(at, '\n', (size_t)(end - at))); at++) n_lines++;
    return n_lines - 1;
}

void ingest_reject_line(str_t *out, const char *source, const char *key, size_t key_bytes, const char *class_name,
                        const char *reason, const double *value) {
    str_add(out, "{\"source\":");
    str_add_json(out, source, strlen(source));
    str_add(out, ",\"key\":");
    str_add_json(out, key, key_bytes);
    str_add(out, ",\"class\":");
    str_add_json(out, class_name, strlen(class_name));
    str_add(out, ",\"reason\":");
    str_add_json(out, reason, strlen(reason));
    if (value && isfinite(*value)) str_addf(out, ",\"value\":%.6g", *value);
    if (value && !isfinite(*value)) str_add(out, ",\"value\":null");
    str_add_char(out, '}');
}
