/* Leaks: the prompt's own words in the answer, and the tokens that part the turns of a chat. */
#include <string.h>

#include "recaption/quality_rules.h"

enum { TOKEN_VALUE = 1000, PROMPT_WORDS_MAX = 2048 };

static bool has_chat_token(const quality_text_t *t) {
    static const char *const tokens[] = {"<|",
                                         "|>",
                                         "</s>",
                                         "<s>",
                                         "[INST]",
                                         "[/INST]",
                                         "<image>",
                                         "<start_of_turn>",
                                         "<end_of_turn>",
                                         "<think>",
                                         "</think>",
                                         "<<SYS>>",
                                         "<unk>",
                                         "<pad>",
                                         "<eos>",
                                         "### Instruction",
                                         "### Response",
                                         NULL};
    if (!strpbrk(t->text, "<[|#")) return false;
    for (const char *const *token = tokens; *token; token++)
        if (strstr(t->text, *token)) return true;
    return false;
}

/* "ASSISTANT:" where a turn may begin: at a sentence's start. */
static bool has_role(const quality_text_t *t) {
    static const char *const roles[] = {"assistant", "user", "human", "system", "alt text", NULL};
    for (int32_t k = 0; k < t->n_sentences; k++) {
        int32_t i = t->sentences[k].first;
        if (t->sentences[k].n == 0 || t->words[i].quoted) continue;
        int32_t n = quality_text_match_any(t, i, roles);
        if (n && t->text[t->words[i + n - 1].end] == ':') return true;
    }
    return false;
}

/* Longest run of words that both hold: the usual recurrence over pairs of words, one row at a time. */
static int32_t longest_common(const quality_text_t *a, const quality_text_t *b) {
    static const int32_t most = PROMPT_WORDS_MAX;
    int32_t n = b->n_words < most ? b->n_words : most, longest = 0;
    uint32_t words[PROMPT_WORDS_MAX + 1];
    int32_t run[PROMPT_WORDS_MAX + 1];
    memset(run, 0, (size_t)(n + 1) * sizeof *run);
    for (int32_t j = 0; j < n; j++) words[j + 1] = b->words[j].hash;
    for (int32_t i = 0; i < a->n_words; i++) {
        uint32_t word = a->words[i].hash;
        for (int32_t j = n; j > 0; j--) run[j] = word == words[j] ? run[j - 1] + 1 : 0;
        for (int32_t j = 1; j <= n; j++) longest = run[j] > longest ? run[j] : longest;
    }
    return longest;
}

double quality_prompt(const quality_case_t *c) {
    if (has_chat_token(c->text) || has_role(c->text)) return TOKEN_VALUE;
    return c->prompt->n_words ? longest_common(c->text, c->prompt) : 0;
}
