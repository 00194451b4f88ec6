/* recaption/decision_list.h: any bytes as lines of decisions; what is taken keeps to the header's word. */
#include <stdint.h>
#include <string.h>

#include "recaption/decision_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    decision_list_t list;
    lens_status st = decision_list_parse(&list, (const char *)bytes, n, "decisions");
    LENS_ASSERT(st == LENS_OK || st == LENS_FORMAT, "status %d", (int)st);
    int64_t before = 0;
    for (size_t i = 0; st == LENS_OK && i < list.n; i++) {
        const decision_t *r = &list.rows[i];
        LENS_ASSERT(r->number > before, "line %lld after %lld", (long long)r->number, (long long)before);
        LENS_ASSERT(r->decision < DECISION_N && *decision_name(r->decision), "decision %d", (int)r->decision);
        LENS_ASSERT(r->kind && (r->key ? r->sample == -1 : r->sample >= 0), "sample %lld", (long long)r->sample);
        LENS_ASSERT((r->text != NULL) == (r->decision == DECISION_EDIT), "text of decision %d", (int)r->decision);
        LENS_ASSERT(!r->text || strlen(r->text) > 0, "an empty text in line %lld", (long long)r->number);
        before = r->number;
    }
    decision_list_free(&list);
    return 0;
}
