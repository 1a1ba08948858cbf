/* Any bytes as the body of a catalogue version (first byte even) or a measure.
 * What is read has the same bytes again when encoded and read, and a version
 * that may follow gives a catalogue whose fields are found at their places. */
#include "credit/catalogue_change.h"
#include "credit/measure.h"
#include "fuzz/fuzz.h"

static void check_places(const struct catalogue *c)
{
    for (size_t i = 0; i < c->items_n; i++) {
        const struct catalogue_item *item = c->items[i];
        for (size_t k = 0; k < item->count; k++) {
            FUZZ_CHECK(catalogue_place(item, item->fields[k].id) == k);
        }
    }
}

static void check_change(const struct catalogue_change *c)
{
    struct buf room = BUF_INIT;
    struct buf more = BUF_INIT;
    struct catalogue_change again;
    struct entry e;
    struct entry f;
    catalogue_change_to_entry(c, &room, &e);
    FUZZ_CHECK(catalogue_change_take(&e, &again) == ERR_OK);
    catalogue_change_to_entry(&again, &more, &f);
    FUZZ_CHECK(slice_eq(e.body, f.body));
    if (catalogue_change_fault(catalogue_builtin(), c, NULL) == NULL) {
        const struct catalogue *next = catalogue_next(catalogue_builtin(), c);
        if (next != NULL) {
            check_places(next);
        }
    }
    catalogue_change_fini(&again);
    buf_fini(&room);
    buf_fini(&more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct catalogue_change c;
    struct measure m;
    if (len == 0) {
        return 0;
    }
    struct entry e = {.version = 1,
                      .decided = 20260301,
                      .from = 20260301,
                      .body = slice_of(data + 1, len - 1)};
    e.type = (data[0] & 1) == 0 ? ENTRY_CATALOGUE : ENTRY_MEASURE;
    if (e.type == ENTRY_CATALOGUE && catalogue_change_take(&e, &c) == ERR_OK) {
        check_change(&c);
        catalogue_change_fini(&c);
    }
    if (e.type == ENTRY_MEASURE && measure_take(&e, 1, &m) == ERR_OK) {
        FUZZ_CHECK(measure_fault(&m) == NULL);
    }
    return 0;
}
