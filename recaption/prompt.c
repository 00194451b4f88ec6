#include "recaption/prompt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define PROMPT_EMBED(symbol, path)                                                                                     \
    __asm__(".section .rodata\n" #symbol "_begin:\n.incbin \"" path "\"\n.byte 0\n.previous\n");                       \
    extern const char symbol##_begin[] __attribute__((visibility("hidden")))

PROMPT_EMBED(prompt_detailed, LENS_PROMPT_DIR "/detailed.txt");
PROMPT_EMBED(prompt_brief, LENS_PROMPT_DIR "/brief.txt");
PROMPT_EMBED(prompt_tags, LENS_PROMPT_DIR "/tags.txt");

static const struct {
    const char *name, *text;
} styles[] = {{"detailed", prompt_detailed_begin}, {"brief", prompt_brief_begin}, {"tags", prompt_tags_begin}};
enum { N_STYLES = sizeof styles / sizeof styles[0], PROMPT_MAX_BYTES = 1 << 20 };

struct prompt {
    char *text;       /* owned: the template as it was read */
    str_t system;     /* owned */
    str_t words;      /* owned */
    const char *user; /* within text */
};

typedef enum { FIELD_ALT, FIELD_KEYWORDS, FIELD_WIDTH, FIELD_HEIGHT, N_FIELDS } field;
static const char *const field_names[N_FIELDS] = {"alt", "keywords", "width", "height"};

/* ---- opening ---- */

/* The field that begins at the brace `at`; *end: behind its closing brace. N_FIELDS: none of that name. */
static field field_at(const char *at, const char **end) {
    for (int i = 0; i < N_FIELDS; i++) {
        const size_t n = strlen(field_names[i]);
        if (strncmp(at + 1, field_names[i], n) == 0 && at[1 + n] == '}') {
            *end = at + n + 2;
            return (field)i;
        }
    }
    return N_FIELDS;
}

/* Every brace is a field's or doubled. */
static lens_status check_fields(const char *text, const char *user, const char *where) {
    int line = 1;
    for (const char *at = text; at < user; at++) line += *at == '\n';
    for (const char *at = user; *at;) {
        line += *at == '\n';
        if (*at != '{' && *at != '}') {
            at++;
            continue;
        }
        if (at[1] == *at) {
            at += 2;
            continue;
        }
        const char *end;
        if (*at == '}' || field_at(at, &end) == N_FIELDS)
            return lens_fail(
                LENS_FORMAT,
                "%s:%d: expected {alt}, {keywords}, {width} or {height} at \"%.20s\" ({{ and }} are braces)", where,
                line, at);
        at = end;
    }
    return LENS_OK;
}

static lens_status parse(prompt_t *p, const char *where) {
    if (!str_is_utf8(p->text)) return lens_fail(LENS_FORMAT, "%s: the prompt is not UTF-8", where);
    const char *rule = str_starts_with(p->text, "---\n") ? p->text : strstr(p->text, "\n---\n");
    if (!rule) return lens_fail(LENS_FORMAT, "%s: expected a line \"---\" between system and user message", where);
    str_add_n(&p->system, p->text, (size_t)(rule - p->text));
    p->user = rule + (*rule == '\n') + 4;
    if (p->user[strspn(p->user, " \t\r\n")] == '\0')
        return lens_fail(LENS_FORMAT, "%s: the user message is empty", where);
    LENS_TRY(check_fields(p->text, p->user, where));
    return str_status(&p->system);
}

static lens_status make_words(prompt_t *p) {
    str_addf(&p->words, "%s\n", str_text(&p->system));
    prompt_fill(p, &(prompt_fields_t){.alt = "", .keywords = ""}, &p->words);
    return str_status(&p->words);
}

static lens_status read_template(char **text, const char *style) {
    str_t known = {0};
    for (int i = 0; i < N_STYLES; i++) {
        str_addf(&known, "%s, ", styles[i].name);
        if (strcmp(styles[i].name, style) != 0) continue;
        str_free(&known);
        *text = strdup(styles[i].text);
        return *text ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for a prompt");
    }
    lens_status st = LENS_OK;
    size_t n;
    if (!file_exists(style))
        st = lens_fail(LENS_ARGUMENT, "no prompt '%s'; there are: %sor a file's path", style, str_text(&known));
    else
        st = file_read(text, &n, style, PROMPT_MAX_BYTES);
    if (st == LENS_OK && strlen(*text) != n) st = lens_fail(LENS_FORMAT, "%s: the prompt holds a NUL byte", style);
    str_free(&known);
    return st;
}

lens_status prompt_open(prompt_t **out, const char *style) {
    *out = NULL;
    prompt_t *p = calloc(1, sizeof *p);
    if (!p) return lens_fail(LENS_MEMORY, "out of memory for a prompt");
    lens_status st = read_template(&p->text, style);
    if (st == LENS_OK) st = parse(p, style);
    if (st == LENS_OK) st = make_words(p);
    if (st == LENS_OK)
        *out = p;
    else
        prompt_free(p);
    return st;
}

void prompt_free(prompt_t *p) {
    if (!p) return;
    free(p->text);
    str_free(&p->system);
    str_free(&p->words);
    free(p);
}

const char *prompt_text(const prompt_t *p) {
    return p->text;
}

const char *prompt_system(const prompt_t *p) {
    return str_text(&p->system);
}

const char *prompt_words(const prompt_t *p) {
    return str_text(&p->words);
}

/* ---- alt-text as data ---- */

/* One code point of well-formed UTF-8. */
static uint32_t next_code_point(const unsigned char **at) {
    const unsigned char *s = *at;
    const int more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
    uint32_t c = more == 0 ? s[0] : s[0] & (0x3fu >> more);
    for (int i = 1; i <= more; i++) c = c << 6 | (s[i] & 0x3fu);
    *at = s + more + 1;
    return c;
}

static bool is_control(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
}

/* Not seen, but read: zero-width and direction characters, tags, the replacement for what was invalid. */
static bool is_hidden(uint32_t c) {
    return (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           c == 0xfeff || c == 0xfffd || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

static void add_harmless(str_t *out, const unsigned char *from, size_t n) {
    switch (*from) {
    case '&':
        str_add(out, "&amp;");
        break;
    case '<':
        str_add(out, "&lt;");
        break;
    case '>':
        str_add(out, "&gt;");
        break;
    default:
        str_add_n(out, from, n);
    }
}

void prompt_clean(str_t *out, const char *text, int max_characters) {
    /* Four bytes a character, and as many again for what is taken out: a megabyte is not read to its end. */
    const size_t most = (size_t)max_characters * 8, n = strnlen(text, most);
    str_t valid = {0};
    str_add_utf8(&valid, text, n);
    const unsigned char *at = (const unsigned char *)str_text(&valid), *end = at + valid.len;
    bool space = false, any = false;
    for (int kept = 0; at < end && kept < max_characters;) {
        const unsigned char *from = at;
        const uint32_t c = next_code_point(&at);
        if (is_hidden(c)) continue;
        if (is_control(c) || c == ' ') {
            space = any;
            continue;
        }
        if (space) str_add_char(out, ' ');
        kept += 1 + space;
        space = false;
        any = true;
        add_harmless(out, from, (size_t)(at - from));
    }
    out->failed |= valid.failed;
    str_free(&valid);
}

/* ---- filling in ---- */

static void add_field(str_t *out, field f, const prompt_fields_t *fields) {
    if (f == FIELD_ALT || f == FIELD_KEYWORDS)
        prompt_clean(out, f == FIELD_ALT ? fields->alt : fields->keywords, PROMPT_ALT_MAX);
    else if ((f == FIELD_WIDTH ? fields->width : fields->height) > 0)
        str_addf(out, "%" PRId32, f == FIELD_WIDTH ? fields->width : fields->height);
}

void prompt_fill(const prompt_t *p, const prompt_fields_t *fields, str_t *user) {
    for (const char *at = p->user; *at;) {
        const size_t line_begin = user->len;
        int n_fields = 0, n_filled = 0;
        for (bool ended = false; *at && !ended;) {
            ended = *at == '\n';
            const bool is_brace = *at == '{' || *at == '}', is_field = is_brace && at[1] != *at;
            if (!is_field) {
                str_add_char(user, *at);
                at += 1 + is_brace;
                continue;
            }
            const size_t before = user->len;
            add_field(user, field_at(at, &at), fields);
            n_fields++;
            n_filled += user->len > before;
        }
        if (n_fields && !n_filled && !user->failed) user->s[user->len = line_begin] = '\0';
    }
    while (user->len && user->s[user->len - 1] == '\n') user->s[--user->len] = '\0';
}
