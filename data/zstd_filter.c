#include "data/zstd_filter.h"

#include <zstd.h>

size_t zstd_filter_capacity(size_t raw_bytes) {
    return ZSTD_compressBound(raw_bytes);
}

const char *zstd_filter_encode(void *frame, size_t capacity, size_t *frame_bytes, const void *raw, size_t raw_bytes,
                               int level) {
    *frame_bytes = 0;
    if (level < ZSTD_minCLevel() || level > ZSTD_maxCLevel()) return "zstd level out of range";
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (!context) return "out of memory";
    size_t n = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    if (!ZSTD_isError(n)) n = ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    /* One call with all input known: the frame carries its content size. */
    if (!ZSTD_isError(n)) n = ZSTD_compress2(context, frame, capacity, raw, raw_bytes);
    ZSTD_freeCCtx(context);
    if (ZSTD_isError(n)) return ZSTD_getErrorName(n);
    *frame_bytes = n;
    return NULL;
}

const char *zstd_filter_raw_bytes(size_t *raw_bytes, const void *frame, size_t frame_bytes) {
    *raw_bytes = 0;
    unsigned long long content = ZSTD_getFrameContentSize(frame, frame_bytes);
    if (content == ZSTD_CONTENTSIZE_ERROR) return "no zstd frame";
    if (content == ZSTD_CONTENTSIZE_UNKNOWN) return "zstd frame without content size";
    if (content == 0) return "empty zstd frame"; /* also a skippable one */
    if (content > ZSTD_FILTER_MAX_BYTES) return "zstd frame larger than a chunk may be";
    size_t used = ZSTD_findFrameCompressedSize(frame, frame_bytes);
    if (ZSTD_isError(used)) return ZSTD_getErrorName(used);
    if (used != frame_bytes) return "bytes after the zstd frame";
    *raw_bytes = (size_t)content;
    return NULL;
}

const char *zstd_filter_decode(void *raw, size_t raw_bytes, const void *frame, size_t frame_bytes) {
    size_t content;
    const char *fault = zstd_filter_raw_bytes(&content, frame, frame_bytes);
    if (fault) return fault;
    if (content != raw_bytes) return "zstd frame of another size than its chunk";
    size_t n = ZSTD_decompress(raw, raw_bytes, frame, frame_bytes);
    if (ZSTD_isError(n)) return ZSTD_getErrorName(n);
    return n == raw_bytes ? NULL : "zstd frame shorter than its header says";
}

/* What H5Z_func_t asks for: 0 is failure, else the bytes now in *buffer. */
static size_t zstd_filter_run(unsigned flags, size_t n_values, const unsigned values[], size_t n_bytes,
                              size_t *buffer_bytes, void **buffer) {
    bool decode = (flags & H5Z_FLAG_REVERSE) != 0;
    size_t capacity = zstd_filter_capacity(n_bytes), result = 0;
    if (decode && zstd_filter_raw_bytes(&capacity, *buffer, n_bytes)) return 0;
    void *out = H5allocate_memory(capacity, false);
    if (!out) return 0;
    const char *fault;
    if (decode) {
        fault = zstd_filter_decode(out, capacity, *buffer, n_bytes);
        result = capacity;
    } else {
        int level = n_values > 0 ? (int)values[0] : ZSTD_FILTER_LEVEL;
        fault = zstd_filter_encode(out, capacity, &result, *buffer, n_bytes, level);
    }
    if (fault) {
        H5free_memory(out);
        return 0;
    }
    H5free_memory(*buffer);
    *buffer = out;
    *buffer_bytes = capacity;
    return result;
}

const H5Z_class2_t zstd_filter_class = {
    .version = H5Z_CLASS_T_VERS,
    .id = ZSTD_FILTER_ID,
    .encoder_present = 1,
    .decoder_present = 1,
    .name = "Zstandard",
    .filter = zstd_filter_run,
};
