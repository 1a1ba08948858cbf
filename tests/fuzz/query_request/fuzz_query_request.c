/* Any bytes as a request of an app. What is taken is within its bounds and can
 * be read to its end. */
#include "api/effects.h"
#include "api/request.h"

#include <string.h>

#include "base/str.h"
#include "credit/uscc.h"
#include "fuzz/fuzz.h"

static void check_inside(const uint8_t *data, size_t len, struct slice part)
{
    FUZZ_CHECK(part.len == 0 ||
               (part.data >= data && part.data + part.len <= data + len));
}

struct checked {
    struct slice all;
    size_t n;
};

static enum err on_subject(void *ctx, size_t place, struct slice text,
                           struct errmsg *why)
{
    struct checked *c = ctx;
    char code[USCC_LEN + 1];
    FUZZ_CHECK(place == ++c->n && place <= CHECK_SUBJECTS_MAX);
    FUZZ_CHECK(text.len <= CHECK_TEXT_MAX);
    check_inside(c->all.data, c->all.len, text);
    if (uscc_read(text, code) == USCC_OK) {
        FUZZ_CHECK(strlen(code) == USCC_LEN);
        return ERR_OK;
    }
    return str_utf8_valid(text) ? ERR_OK : err_set(why, ERR_INVALID, "no text");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice bytes = slice_of(data, len);
    struct errmsg why = {""};
    struct subject_request subject;
    struct record_request record;
    struct slice csv;
    if (request_subject(bytes, &subject, &why) == ERR_OK) {
        FUZZ_CHECK(strnlen(subject.subject, SUBJECT_TEXT_MAX) <
                   SUBJECT_TEXT_MAX);
        FUZZ_CHECK(subject.after.len == 0 ||
                   subject.after.len == QUERY_PLACE_LEN);
        check_inside(data, len, subject.after);
    }
    if (request_record(bytes, &record, &why) == ERR_OK) {
        FUZZ_CHECK(strnlen(record.subject, SUBJECT_TEXT_MAX) <
                   SUBJECT_TEXT_MAX);
        FUZZ_CHECK(strnlen(record.log, LOG_TEXT_MAX) < LOG_TEXT_MAX);
        FUZZ_CHECK(record.key.len == RECORD_KEY_LEN || record.number != 0);
        check_inside(data, len, record.key);
    }
    static struct effects_report report;
    if (request_feedback(bytes, &report, &why) == ERR_OK) {
        FUZZ_CHECK(strnlen(report.log, sizeof report.log) < sizeof report.log);
        FUZZ_CHECK(strnlen(report.reason, sizeof report.reason) <
                   sizeof report.reason);
    }
    struct checked checked = {.all = bytes};
    if (request_check(bytes, on_subject, &checked, &why) != ERR_OK) {
        FUZZ_CHECK(why.text[0] != 0);
    }
    if (request_submit(bytes, &csv, &why) == ERR_OK) {
        FUZZ_CHECK(csv.len > 0);
        check_inside(data, len, csv);
    }
    return 0;
}
