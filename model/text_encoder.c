#include "model/text_encoder.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct text_encoder {
    kernels_t *k;
    text_config_t config;
    int64_t max_batch, B, T, n_cut;
    int32_t *host_tokens;             /* [max_batch, max_tok, ids]: each text's own */
    int32_t *host_ids;                /* [B, T, ids]: padded to T */
    int32_t *host_lengths;            /* [max_batch] */
    void *ids, *features, *dfeatures; /* device */
};

static bool in_word(unsigned char c) {
    return isalnum(c) || c >= 0x80 || c == '\'';
}

/* Longer words differ in their first WORD_MAX bytes or not at all. */
enum { WORD_MAX = 64 };

/* Two rows of the word's own and one of the pair; *previous is the hash of the word before, replaced by this one's. */
static void word_ids(const text_config_t *c, const char *word, size_t n, XXH64_hash_t *previous, int32_t *ids) {
    char lower[WORD_MAX];
    size_t m = n < WORD_MAX ? n : WORD_MAX;
    for (size_t i = 0; i < m; i++) lower[i] = (char)tolower((unsigned char)word[i]);
    XXH64_hash_t own = XXH3_64bits_withSeed(lower, m, 1), pair[2] = {*previous, own};
    ids[0] = (int32_t)(own % (uint64_t)c->n_rows);
    ids[1] = (int32_t)(XXH3_64bits_withSeed(lower, m, 2) % (uint64_t)c->n_rows);
    ids[2] = (int32_t)(XXH3_64bits(pair, sizeof pair) % (uint64_t)c->n_rows);
    *previous = own;
}

static int64_t tokenize_words(const text_config_t *c, const char *text, int32_t *ids) {
    int64_t n = 0;
    XXH64_hash_t previous = 0;
    for (const char *p = text; *p;) {
        const char *begin = p;
        while (in_word((unsigned char)*p)) p++;
        if (p == begin) p++; /* punctuation is a token of its own, blanks are none */
        if (isspace((unsigned char)*begin)) continue;
        if (n < c->max_tok) word_ids(c, begin, (size_t)(p - begin), &previous, ids + n * TEXT_IDS_PER_TOKEN);
        n++;
    }
    return n;
}

int64_t text_tokenize(const text_config_t *c, const char *text, int32_t *ids) {
    if (c->tokens == TEXT_WORDS) return tokenize_words(c, text, ids);
    int64_t n = (int64_t)strlen(text);
    for (int64_t i = 0; i < n && i < c->max_tok; i++) {
        int32_t *token = ids + i * TEXT_IDS_PER_TOKEN;
        token[0] = (unsigned char)text[i];
        for (int j = 1; j < TEXT_IDS_PER_TOKEN; j++) token[j] = -1;
    }
    return n;
}

lens_status text_encoder_new(text_encoder_t **out, kernels_t *k, const text_config_t *c, int64_t max_batch) {
    *out = NULL;
    if (c->n_rows < 256 || c->n_rows > INT32_MAX || c->dim < 1 || c->max_tok < 1)
        return lens_fail(LENS_ARGUMENT,
                         "text: expected at least 256 rows and positive dim and max_tok, got %lld, %lld, %lld",
                         (long long)c->n_rows, (long long)c->dim, (long long)c->max_tok);
    text_encoder_t *e = calloc(1, sizeof *e);
    if (!e) return lens_fail(LENS_MEMORY, "out of memory for the text encoder");
    *e = (text_encoder_t){.k = k, .config = *c, .max_batch = max_batch};
    lens_status st = LENS_OK;
    size_t n = (size_t)(max_batch * c->max_tok), ids_bytes = n * TEXT_IDS_PER_TOKEN * sizeof(int32_t);
    e->host_tokens = malloc(ids_bytes);
    e->host_ids = malloc(ids_bytes);
    e->host_lengths = calloc((size_t)max_batch, sizeof *e->host_lengths);
    if (!e->host_tokens || !e->host_ids || !e->host_lengths)
        LENS_GO(lens_fail(LENS_MEMORY, "out of memory for token ids"));
    LENS_GO(k->alloc(k, &e->ids, ids_bytes, "token ids"));
    LENS_GO(k->alloc(k, &e->features, n * (size_t)c->dim * k->act_bytes, "text features"));
    LENS_GO(k->alloc(k, &e->dfeatures, n * (size_t)c->dim * k->act_bytes, "gradients of text features"));
    *out = e;
done:
    if (st != LENS_OK) text_encoder_free(e);
    return st;
}

void text_encoder_free(text_encoder_t *e) {
    if (!e) return;
    e->k->free(e->k, e->ids);
    e->k->free(e->k, e->features);
    e->k->free(e->k, e->dfeatures);
    free(e->host_tokens);
    free(e->host_ids);
    free(e->host_lengths);
    free(e);
}

/* Copies every text's tokens into rows of T, with -1 behind them. */
static void pad_ids(text_encoder_t *e) {
    int64_t row = e->T * TEXT_IDS_PER_TOKEN;
    for (int64_t b = 0; b < e->B; b++) {
        int64_t n = e->host_lengths[b] * TEXT_IDS_PER_TOKEN;
        int32_t *to = e->host_ids + b * row;
        memcpy(to, e->host_tokens + b * e->config.max_tok * TEXT_IDS_PER_TOKEN, sizeof *to * (size_t)n);
        for (int64_t i = n; i < row; i++) to[i] = -1;
    }
}

lens_status text_encoder_forward(text_encoder_t *e, const act_t *table, const char *const *texts, int64_t B,
                                 act_t **features, const int32_t **lengths, int64_t *T) {
    LENS_ASSERT(B <= e->max_batch, "batch %lld of at most %lld", (long long)B, (long long)e->max_batch);
    kernels_t *k = e->k;
    e->B = B;
    e->T = 0;
    for (int64_t b = 0; b < B; b++) {
        int64_t max = e->config.max_tok;
        int64_t n = text_tokenize(&e->config, texts[b], e->host_tokens + b * max * TEXT_IDS_PER_TOKEN);
        if (n > max) e->n_cut++;
        e->host_lengths[b] = (int32_t)(n < max ? n : max);
        if (e->host_lengths[b] > e->T) e->T = e->host_lengths[b];
    }
    e->T = kernels_padded_tokens(k, e->T, e->config.max_tok);
    pad_ids(e);
    k->upload(k, e->ids, e->host_ids, sizeof(int32_t) * (size_t)(B * e->T * TEXT_IDS_PER_TOKEN));
    k->embed_fwd(k, e->features, table, e->ids, B * e->T, TEXT_IDS_PER_TOKEN, e->config.dim);
    *features = e->features;
    *lengths = e->host_lengths;
    *T = e->T;
    return LENS_OK;
}

act_t *text_encoder_dfeatures(text_encoder_t *e) {
    return e->dfeatures;
}

void text_encoder_backward(text_encoder_t *e, float *dtable) {
    e->k->embed_bwd(e->k, dtable, e->dfeatures, e->ids, e->B * e->T, TEXT_IDS_PER_TOKEN, e->config.dim);
}

int64_t text_encoder_n_cut(const text_encoder_t *e) {
    return e->n_cut;
}
