/* Any bytes as the files of counters: a rank's account (recaption/account_counts.h, account_endpoints.h), and
 * stats.json and caption-stats.json as a report shows them (eval/report_parts.h). */
#include <stdint.h>
#include <string.h>

#include "eval/report_parts.h"
#include "recaption/account_counts.h"
#include "recaption/account_endpoints.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static const caption_kind_t kinds[] = {{.name = "dense", .style = ""}, {.name = "brief", .style = ""}};

static void take_account(const char *text, size_t n) {
    account_counts_t one, sum = {0};
    json_t *root;
    lens_status st = account_counts_parse(&one, &root, text, n, "account-0.json", kinds, 2);
    LENS_ASSERT(st == LENS_OK || st == LENS_FORMAT, "status %d", (int)st);
    LENS_ASSERT((root != NULL) == (st == LENS_OK), "status %d", (int)st);
    if (st == LENS_OK) {
        static captioner_stats_t stats;
        str_t json = {0};
        stats = (captioner_stats_t){.n = 1, .endpoints = {{.name = "http://a:8000/v1"}}};
        for (int i = 0; i < 4; i++) account_counts_add(&sum, &one);
        LENS_ASSERT(sum.tokens_in >= 0 && sum.tokens_out >= one.tokens_out, "%lld tokens are below their part",
                    (long long)sum.tokens_in);
        for (int i = 0; i < 4; i++) (void)account_endpoints_add(&stats, json_object_get(root, "endpoints"));
        LENS_ASSERT(stats.endpoints[0].answered >= 0 && stats.endpoints[0].tokens_in >= 0, "%lld answers",
                    (long long)stats.endpoints[0].answered);
        /* What was read can be written, and read again. */
        str_add_char(&json, '{');
        account_counts_json(&one, kinds, 2, &json);
        str_add(&json, ",\"endpoints\":");
        account_endpoints_json(&stats, 1, &json);
        str_add_char(&json, '}');
        st = account_counts_parse(&sum, NULL, str_text(&json), json.len, "again", kinds, 2);
        LENS_ASSERT(st == LENS_OK && sum.tokens_in == one.tokens_in, "not the same again: %s", str_text(&json));
        str_free(&json);
    }
    json_decref(root);
}

static void show(const char *text, size_t n) {
    json_error_t error;
    str_t html = {0};
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(root)) {
        lens_status st = report_recaption_of(&html, root);
        LENS_ASSERT(st == LENS_OK || html.len == 0, "what is damaged is shown: %d", (int)st);
        str_clear(&html);
        st = report_captions_of(&html, root);
        LENS_ASSERT(st == LENS_OK || html.len == 0, "what is damaged is shown: %d", (int)st);
        LENS_ASSERT(!strstr(str_text(&html), "<script"), "a text is not escaped: %s", str_text(&html));
    }
    json_decref(root);
    str_free(&html);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    take_account((const char *)bytes, n);
    show((const char *)bytes, n);
    return 0;
}
