/* Any bytes as an uploaded table. The outcome does not depend on how the bytes
 * arrive; a good row makes an entry that reads back; no message shows a
 * citizen number. */
#include "ingest/rows.h"

#include <string.h>

#include "credit/citizen.h"
#include "fuzz/fuzz.h"

enum { LEN_MAX = 60000 /* below the sample by which encodings are told */ };

static const struct record_keys keys = {
    .suite = SUITE_INTL,
    .identity = {(const uint8_t *)"identity", 8},
    .digest = {(const uint8_t *)"digest", 6},
};

struct tally {
    size_t good;
    size_t refused;
    size_t faults;
    uint64_t lines; /* sum of line numbers */
    enum err err;
};

static enum err seal(void *ctx, struct slice aad, struct slice plain,
                     struct buf *out)
{
    static const uint8_t key[SEAL_KEY_LEN] = {1};
    (void)ctx;
    buf_put_u32(out, 1);
    suite_seal(SUITE_INTL, key, aad, plain, out);
    return ERR_OK;
}

static enum err on_record(void *ctx, uint64_t line, const struct record *record)
{
    struct tally *o = ctx;
    const struct sealer sealer = {seal, NULL};
    struct buf room = BUF_INIT;
    struct entry e;
    struct record back;
    o->good++;
    o->lines += line;
    enum err err =
        record_to_entry(record, &keys, 341821100201, 1, &sealer, &room, &e);
    FUZZ_CHECK(err == ERR_OK || err == ERR_TOO_LARGE);
    if (err == ERR_OK) {
        FUZZ_CHECK(record_from_entry(&e, &back) == ERR_OK);
        FUZZ_CHECK(back.unknown == 0);
        FUZZ_CHECK(back.status == record->status);
    }
    buf_fini(&room);
    return ERR_OK;
}

static enum err on_refused(void *ctx, uint64_t line,
                           const struct rows_fault *faults, size_t count)
{
    struct tally *o = ctx;
    o->refused++;
    o->faults += count;
    o->lines += line;
    FUZZ_CHECK(count > 0 && count <= ROWS_FAULTS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct slice found;
        FUZZ_CHECK(
            !citizen_find(slice_str(faults[i].text), CITIZEN_NEW, &found));
    }
    return ERR_OK;
}

static void run(const uint8_t *data, size_t len, size_t step, struct tally *o)
{
    const struct rows_options options = {.keys = &keys, .today = 20261231};
    const struct rows_sink sink = {on_record, on_refused, NULL, o};
    struct errmsg why = {""};
    struct rows *rows;
    rows_begin(&rows, &options, &sink);
    for (size_t at = 0; o->err == ERR_OK && at < len; at += step) {
        size_t n = len - at < step ? len - at : step;
        o->err = rows_feed(rows, slice_of(data + at, n), &why);
    }
    if (o->err == ERR_OK) {
        o->err = rows_finish(rows, &why);
    }
    FUZZ_CHECK(o->err == ERR_OK || why.text[0] != '\0');
    rows_free(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct tally whole = {.good = 0};
    struct tally cut = {.good = 0};
    if (len == 0 || len > LEN_MAX) {
        return 0;
    }
    run(data, len, len, &whole);
    run(data, len, 1U + data[len - 1], &cut);
    FUZZ_CHECK(whole.err == cut.err);
    FUZZ_CHECK(whole.good == cut.good && whole.refused == cut.refused &&
               whole.faults == cut.faults && whole.lines == cut.lines);
    return 0;
}
