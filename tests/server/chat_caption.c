#include "tests/server/chat_caption.h"

#include <string.h>

#include "base/rng.h"

/* Every word begins with a consonant: "a" stands before all of them. The letter is what stands for a list in a pattern.
 */
typedef struct {
    char letter;
    const char *words;
} word_list_t;

static const word_list_t lists[] = {
    {'o', "bench|wicker basket|ceramic vase|bicycle|lantern|stone bridge|wooden table|fishing boat|kettle|violin|"
          "bookshelf|rocking chair|clay pot|market stall|wheelbarrow|tent|piano|garden gate|telescope|canoe|sewing "
          "machine|picnic blanket|drum|chess board|ladder|windmill|fountain|scarecrow|bird house|mailbox"},
    {'m', "carved|weathered|polished|rough|smooth|patterned|folded|worn|painted|dented|glazed|woven|heavy|slender|"
          "rounded|tilted|dusty|shiny|knotted|quilted|riveted|hammered|braided|lacquered|moss-covered"},
    {'t', "wood|clay|metal|stone|fabric|glass|leather|paper|straw|porcelain|marble|canvas|rope|cork|slate|plaster"},
    {'p', "courtyard|meadow|kitchen|workshop|harbour|forest clearing|narrow street|library|beach|mountain path|"
          "railway platform|greenhouse|balcony|farmyard|lakeside|market square|study|hillside|vineyard|pier"},
    {'r', "beside|behind|in front of|close to|to the left of|to the right of|next to|below|partly hidden by"},
    {'l', "morning|evening|midday|late|diffuse|low|filtered|window|lamp|candle|storm|winter|summer"},
    {'q', "soft|gentle|sharp|strong|faint|even|dramatic|muted|warm|cool|hazy|clear"},
    {'s', "photograph|painting|drawing|watercolour|rendering|sketch|print|study"},
    {'d', "shadows|reflections|leaves|pebbles|ripples|scratches|folds|petals|footprints|cobwebs|twigs|raindrops"},
    {'v', "stretches|rises|curves|fades|opens|slopes|recedes|spreads"},
    {'b', "rolling hills|tall trees|brick walls|distant rooftops|tangled bushes|layered clouds|wooden shelves|"
          "stone columns|tiled surfaces|low fences|dense hedges|hanging curtains"},
    {'c', "calm|playful|solemn|busy|dreamy|homely|festive|lonely|peaceful|nostalgic|cheerful|mysterious"},
};

static const char *const openers[] = {
    "A $m $o made of $t stands at the centre of a $p, seen from slightly above.",
    "In a $c $p, a $m $o of $t takes up most of the foreground.",
    "A close view of a $m $o reveals the grain of its $t against a $p.",
    "The $s centres on a $m $o whose $t sides lean a little towards the viewer.",
};
static const char *const bodies[] = {
    "It rests $r a $m $o, and the $d between them catch the $q light.",
    "Along the lower edge, scattered $d lead the eye towards a $m $o.",
    "Its surface shows $m $t with fine lines, small marks and traces of long use.",
    "Further back, $b give the scene depth, while the ground $v towards the horizon.",
    "A smaller $o, $m and almost square, leans against the wall on the far side.",
    "The upper half is filled with $b, painted in loose strokes that blur at the rim.",
    "Thin $d run across the foreground and break up the otherwise $m texture.",
    "To one side, a $m $o made of $t is cropped by the frame, so that only half of it remains visible.",
    "Between them $v a path of $t, bordered by $d and the bases of $b.",
    "Near the corner, a stack of $t pieces balances $r a $m $o.",
};
static const char *const closers[] = {
    "The $q $l light falls from one side and gives the whole $s a $c mood.",
    "Overall the $s feels $c, with $q contrast and plenty of empty space around the subject.",
    "With its $q $l light and $m details, the composition stays $c and well balanced.",
};
#define N_OF(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

static void add_word(str_t *out, rng_t *rng, char letter) {
    const word_list_t *list = lists;
    while (list->letter != letter) list++;
    uint32_t n = 1;
    for (const char *c = list->words; *c; c++) n += *c == '|';
    const char *word = list->words;
    for (uint32_t skip = rng_below(rng, n); skip; skip--) word = strchr(word, '|') + 1;
    str_add_n(out, word, strcspn(word, "|"));
}

static void add_pattern(str_t *out, rng_t *rng, const char *pattern) {
    for (const char *c = pattern; *c; c++) {
        if (*c == '$')
            add_word(out, rng, *++c);
        else
            str_add_char(out, *c);
    }
}

static int n_words(const str_t *text) {
    int n = text->len > 0;
    for (const char *c = str_text(text); *c; c++) n += *c == ' ';
    return n;
}

static void detailed(str_t *out, rng_t *rng) {
    uint32_t order[N_OF(bodies)];
    for (uint32_t i = 0; i < N_OF(bodies); i++) { /* shuffled from within */
        const uint32_t j = rng_below(rng, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    const int enough = 52 + (int)rng_below(rng, 40);
    add_pattern(out, rng, openers[rng_below(rng, N_OF(openers))]);
    for (uint32_t i = 0; i < N_OF(bodies) && n_words(out) < enough; i++) {
        str_add_char(out, ' ');
        add_pattern(out, rng, bodies[order[i]]);
    }
    str_add_char(out, ' ');
    add_pattern(out, rng, closers[rng_below(rng, N_OF(closers))]);
}

void chat_caption(str_t *out, uint64_t picture, uint64_t seed, chat_style style) {
    rng_t rng = rng_stream(picture ^ seed * 0x9e3779b97f4a7c15u, (uint32_t)style, 0, RNG_TEST);
    str_t text = {0};
    if (style == CHAT_DETAILED)
        detailed(&text, &rng);
    else if (style == CHAT_BRIEF)
        add_pattern(&text, &rng, "A $m $o of $t stands $r a $m $o in a $c $p.");
    else
        add_pattern(&text, &rng, "$m $o, $t, $p, $q $l light, $d, $b, $c, $s");
    str_add_n(out, str_text(&text), text.len);
    out->failed |= text.failed;
    str_free(&text);
}
