#include "base/file_hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"

enum { BUFFER_BYTES = 1 << 20 };

static lens_status hash_stream(file_hash_t *out, XXH3_state_t *state, char *buffer, int fd, const char *path) {
    size_t got;
    XXH3_128bits_reset(state);
    do {
        LENS_TRY(file_read_some(fd, buffer, BUFFER_BYTES, out->n_bytes, &got, path));
        XXH3_128bits_update(state, buffer, got);
        out->n_bytes += got;
    } while (got > 0);
    XXH128_hash_t h = XXH3_128bits_digest(state);
    snprintf(out->hex, sizeof out->hex, "%016" PRIx64 "%016" PRIx64, h.high64, h.low64);
    return LENS_OK;
}

lens_status file_hash(file_hash_t *out, const char *path) {
    int fd;
    *out = (file_hash_t){0};
    LENS_TRY(file_open(&fd, path));
    char *buffer = malloc(BUFFER_BYTES);
    XXH3_state_t *state = XXH3_createState();
    lens_status st = buffer && state ? hash_stream(out, state, buffer, fd, path)
                                     : lens_fail(LENS_MEMORY, "%s: out of memory for its hash", path);
    XXH3_freeState(state);
    free(buffer);
    close(fd);
    return st;
}
