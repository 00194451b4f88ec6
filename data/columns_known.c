#include "data/columns_known.h"

#include <string.h>

#include <jansson.h>

#define KNOWN_NAMES_MAX 8

typedef struct {
    const char *meaning;
    const char *names[KNOWN_NAMES_MAX]; /* the last stays NULL */
} known_t;

static const known_t known[] = {
    {"picture", {"path", "image", "file", "filename", "file_name", "image_path"}},
    {"caption", {"caption", "alt", "alt_text", "text", "TEXT"}},
    {"key", {"key"}},
    {"url", {"url", "URL"}},
    {"status", {"status"}},
    {"error", {"error_message"}},
    {"aesthetic", {"aesthetic", "AESTHETIC_SCORE", "aesthetic_score", "aesthetic_score_laion_v2"}},
    {"nsfw", {"punsafe", "NSFW", "NSFW score", "nsfw_score", "nsfw_score_opennsfw2", "nsfw_score_gantman"}},
    {"watermark", {"pwatermark", "watermark_score", "watermark"}},
    {"similarity",
     {"similarity", "clip_l14_similarity_score", "clip_similarity_vitl14", "clip_b32_similarity_score",
      "clip_similarity_vitb32"}},
    {"width", {"width", "WIDTH"}},
    {"height", {"height", "HEIGHT"}},
};

const char *const *columns_known(const char *meaning) {
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].meaning, meaning) == 0) return known[i].names;
    return NULL;
}

const char *columns_find(const struct json_t *object, const char *meaning) {
    const char *const *names = columns_known(meaning);
    for (; names && *names; names++) {
        const json_t *value = json_object_get(object, *names);
        if (value && !json_is_null(value)) return *names;
    }
    return NULL;
}
