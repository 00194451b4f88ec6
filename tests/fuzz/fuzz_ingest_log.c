/* data/ingest_log.h: any bytes as the log of a part. */
#include <stdint.h>

#include "data/ingest_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    ingest_log_reader_t r = {.text = (const char *)bytes, .n = n, .name = "log"};
    ingest_record_t record;
    str_t again = {0};
    int64_t n_records = 0;
    lens_status st;
    for (; (st = ingest_log_next(&r, &record)) == LENS_OK; n_records++) ingest_log_add(&again, &record);
    LENS_ASSERT(st == LENS_END || st == LENS_FORMAT, "status %d", (int)st);
    LENS_ASSERT(n_records == r.n_records, "%lld records", (long long)n_records);
    str_free(&again);
    return 0;
}
