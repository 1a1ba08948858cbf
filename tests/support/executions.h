/* executions.h - what apps did about listings, as a node enters it that judges
 * nothing. Include behind contract/store_fixture.h. */
#ifndef TESTS_EXECUTIONS_H
#define TESTS_EXECUTIONS_H

#include "base/clock.h"
#include "base/mem.h"
#include "credit/date.h"
#include "credit/execution.h"
#include "support/suite.h"

/* In the node's own log; `code`, `app` and `reason` are any bytes. */
static inline void enter_execution(struct store *store, uint64_t node,
                                   const struct listing_place *listing,
                                   const char *code, const char *app,
                                   const char *reason)
{
    const struct record_keys keys = {.suite = test_suite()};
    const struct execution x = {.listing = *listing,
                                .node = node,
                                .app = app,
                                .day = date_from_ms(clock_wall_ms())};
    struct record *r = MEM_NEW(struct record);
    struct buf room = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct entry e;
    record_init(r, catalogue_item(ITEM_EXECUTION));
    record_set(r, FIELD_USCC, slice_str(code));
    record_set(r, FIELD_FACTS, slice_str(reason));
    record_set(r, FIELD_APP, slice_str(app));
    record_set(r, FIELD_OUTCOME, slice_str("未实施"));
    r->subject_kind = SUBJECT_LISTING;
    execution_subject(listing, r->subject);
    r->disclosure = DISCLOSURE_SHARED;
    r->decided = x.day;
    execution_key(test_suite(), &x, r->key);
    assert_ok(
        record_to_entry(r, &keys, node, clock_wall_ms(), NULL, &room, &e));
    entry_encode(&e, &bytes);
    const struct slice draft = buf_slice(&bytes);
    assert_ok(submit_bytes(store, &draft, 1, NULL));
    buf_fini(&room);
    buf_fini(&bytes);
    mem_free(r);
}

#endif
