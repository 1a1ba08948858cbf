#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pb.h"
#include "federation.pb-c.h"
#include "sync/wire.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)

static const struct log_id log_a = {341821100201, 77, LOG_RECORDS};

/* `out` has room for it. */
static struct slice unhex(const char *text, uint8_t *out)
{
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++) {
        const char digits[] = {text[2 * i], text[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return slice_of(out, n);
}

static bool same(struct slice a, const char *b)
{
    return slice_eq(a, slice_str(b));
}

static void a_receipt_goes_up_and_only_up(void **state)
{
    struct buf out = BUF_INIT;
    struct wire_message m;
    struct errmsg why;
    (void)state;
    wire_put_receipt(&out,
                     &(struct wire_receipt){slice_str("text\nsignature a b\n"),
                                            slice_str("chain")});
    assert_ok(wire_get_follower(buf_slice(&out), &m, &why));
    assert_int_equal(m.kind, WIRE_RECEIPT);
    assert_true(same(m.receipt.text, "text\nsignature a b\n"));
    assert_true(same(m.receipt.chain, "chain"));
    assert_ok(wire_get_feed(buf_slice(&out), &m, &why));
    assert_int_equal(m.kind, WIRE_OTHER);
    buf_fini(&out);
}

static void a_segment_comes_back_as_it_was(void **state)
{
    static const struct block_ref refs[] = {
        {.first = 5, .count = 1, .offset = 0, .len = 7},
        {.first = 6, .count = 1, .offset = 7, .len = 9},
    };
    static const char bytes[] = "block-Ablock-BBB";
    struct buf blocks = BUF_INIT;
    struct buf out = BUF_INIT;
    struct wire_message m;
    struct errmsg why;
    (void)state;
    buf_put(&blocks, bytes, 16);
    wire_put_segment(&out,
                     &(struct wire_segment_out){.log = log_a,
                                                .blocks = &blocks,
                                                .refs = refs,
                                                .refs_count = 2,
                                                .note = slice_str("note"),
                                                .bridge = slice_str("bridge"),
                                                .chain = slice_str("chain"),
                                                .held = 3});
    assert_ok(wire_get_child(buf_slice(&out), &m, &why));
    assert_int_equal(m.kind, WIRE_SEGMENT);
    assert_int_equal(m.segment.held, 3);
    assert_true(log_id_eq(&m.segment.log, &log_a));
    assert_int_equal(m.segment.first, 5);
    assert_int_equal(m.segment.block.count, 2);
    assert_true(same(m.segment.note, "note"));
    assert_true(same(m.segment.bridge, "bridge"));
    assert_true(same(m.segment.chain, "chain"));
    struct wire_iter it = wire_iter_of(&m.segment.block);
    struct slice block;
    assert_true(wire_next(&it, &block) && same(block, "block-A"));
    assert_true(wire_next(&it, &block) && same(block, "block-BBB"));
    assert_false(wire_next(&it, &block));
    /* Another reader of the same schema agrees. */
    Creditnode__Federation__V1__ChildMessage *pb =
        creditnode__federation__v1__child_message__unpack(NULL, out.len,
                                                          out.data);
    assert_non_null(pb);
    assert_int_equal(pb->segment->n_block, 2);
    assert_int_equal(pb->segment->first, 5);
    assert_int_equal(pb->segment->held, 3);
    assert_int_equal(pb->segment->log.len, LOG_ID_LEN);
    creditnode__federation__v1__child_message__free_unpacked(pb, NULL);
    buf_fini(&blocks);
    buf_fini(&out);
}

static void a_hello_comes_back_as_it_was(void **state)
{
    const struct slice chains[] = {slice_str("one"), slice_str("two")};
    struct buf out = BUF_INIT;
    struct wire_message m;
    struct errmsg why;
    (void)state;
    wire_put_hello(&out,
                   &(struct wire_hello){.protocol = 1,
                                        .suite = slice_str("intl"),
                                        .federation = slice_str("anhui"),
                                        .root_document = slice_str("root"),
                                        .code = 341800000000,
                                        .version = slice_str("0.1"),
                                        .clock_ms = 1772000000000,
                                        .window = 4 << 20,
                                        .root_version = 7},
                   chains, 2);
    assert_ok(wire_get_parent(buf_slice(&out), &m, &why));
    assert_int_equal(m.kind, WIRE_HELLO);
    assert_int_equal(m.hello.code, 341800000000);
    assert_int_equal(m.hello.window, 4 << 20);
    assert_int_equal(m.hello.root_version, 7);
    assert_int_equal(m.hello.clock_ms, 1772000000000);
    assert_true(same(m.hello.federation, "anhui"));
    assert_int_equal(m.hello.sealing_chain.count, 2);
    struct wire_iter it = wire_iter_of(&m.hello.sealing_chain);
    struct slice chain;
    assert_true(wire_next(&it, &chain) && same(chain, "one"));
    buf_fini(&out);
}

/* Recorded from the first build that spoke protocol 1: what came later is not
 * in it, and is 0. */
static void what_the_first_build_said_is_read(void **state)
{
    static const char hello[] =
        "0acb80800008011204696e746c1a076578616d706c6522201111111111111111111111"
        "11111111111111111111111111111111111111111128c092fab0f9093203302e313880"
        "d0eab6b7334880808002";
    static const char have[] =
        "12be8080000ab78080000a110000004f962010a9019f86d081884c7d6510141a202222"
        "2222222222222222222222222222222222222222222222222222222222221001";
    static const char ack[] =
        "1aaa8080000aa58080000a110000004f962010a9019f86d081884c7d6510141a8b8080"
        "000880b4f8a6f90910281807";
    uint8_t bytes[sizeof hello / 2];
    struct wire_message m;
    struct wire_log_have h;
    struct wire_log_ack a;
    struct slice item;
    struct errmsg why;
    (void)state;
    assert_ok(wire_get_parent(unhex(hello, bytes), &m, &why));
    assert_int_equal(m.kind, WIRE_HELLO);
    assert_int_equal(m.hello.protocol, 1);
    assert_int_equal(m.hello.code, 341821000000);
    assert_int_equal(m.hello.clock_ms, 1767225600000);
    assert_int_equal(m.hello.window, 4 << 20);
    assert_int_equal(m.hello.root_version, 0);
    assert_ok(wire_get_child(unhex(hello, bytes), &m, &why));
    assert_true(same(m.hello.federation, "example"));
    assert_ok(wire_get_parent(unhex(have, bytes), &m, &why));
    assert_true(m.have.last);
    struct wire_iter it = wire_iter_of(&m.have.logs);
    assert_true(wire_next(&it, &item));
    wire_log_have_get(item, &h);
    assert_int_equal(h.log.origin, 341821100201);
    assert_int_equal(h.size, 20);
    assert_int_equal(h.root.b[31], 0x22);
    assert_int_equal(h.signed_ms, 0);
    assert_ok(wire_get_parent(unhex(ack, bytes), &m, &why));
    it = wire_iter_of(&m.ack.logs);
    assert_true(wire_next(&it, &item));
    wire_log_ack_get(item, &a);
    assert_int_equal(a.size, 20);
    assert_int_equal(a.above_count, 1);
    assert_int_equal(a.above[0].code, 341800000000);
    assert_int_equal(a.above[0].size, 7);
    assert_int_equal(a.held_ms, 0);
}

static void a_root_document_goes_both_ways(void **state)
{
    struct buf out = BUF_INIT;
    struct wire_message m;
    struct errmsg why;
    (void)state;
    wire_put_child_root(&out, slice_str("creditnode-root 1\n"));
    assert_ok(wire_get_child(buf_slice(&out), &m, &why));
    assert_int_equal(m.kind, WIRE_ROOT);
    assert_true(same(m.root.text, "creditnode-root 1\n"));
    buf_clear(&out);
    wire_put_parent_root(&out, slice_str("creditnode-root 1\n"));
    assert_ok(wire_get_parent(buf_slice(&out), &m, &why));
    assert_int_equal(m.kind, WIRE_ROOT);
    assert_true(same(m.root.text, "creditnode-root 1\n"));
    buf_fini(&out);
}

static void pages_and_acks_come_back_as_they_were(void **state)
{
    struct wire_log_have haves[3];
    struct wire_log_ack acks[2];
    struct buf out = BUF_INIT;
    struct wire_message m;
    struct wire_iter it;
    struct slice item;
    struct errmsg why;
    (void)state;
    memset(haves, 7, sizeof haves);
    memset(acks, 0, sizeof acks);
    for (size_t i = 0; i < 3; i++) {
        haves[i].log = log_a;
        haves[i].size = i; /* 0 too: the root alone must not be lost */
        haves[i].stopped = i == 1;
    }
    wire_put_have(&out, haves, 3, true);
    assert_ok(wire_get_parent(buf_slice(&out), &m, &why));
    assert_int_equal(m.kind, WIRE_HAVE);
    assert_true(m.have.last);
    assert_int_equal(m.have.logs.count, 3);
    it = wire_iter_of(&m.have.logs);
    for (size_t i = 0; wire_next(&it, &item); i++) {
        struct wire_log_have have;
        wire_log_have_get(item, &have);
        assert_int_equal(have.size, i);
        assert_int_equal(have.stopped, i == 1);
        assert_int_equal(have.root.b[31], 7);
    }
    buf_clear(&out);
    acks[0] = (struct wire_log_ack){.log = log_a, .size = 9, .above_count = 2};
    acks[0].above[0] = (struct store_above){TIER_COUNTY, 341821000000, 8};
    acks[0].above[1] = (struct store_above){TIER_CITY, 341800000000, 0};
    acks[1].log = log_a;
    wire_put_ack(&out, acks, 2);
    assert_ok(wire_get_parent(buf_slice(&out), &m, &why));
    assert_int_equal(m.ack.logs.count, 2);
    it = wire_iter_of(&m.ack.logs);
    struct wire_log_ack ack;
    assert_true(wire_next(&it, &item));
    wire_log_ack_get(item, &ack);
    assert_int_equal(ack.size, 9);
    assert_int_equal(ack.above_count, 2);
    assert_int_equal(ack.above[0].tier, TIER_COUNTY);
    assert_int_equal(ack.above[1].code, 341800000000);
    buf_fini(&out);
}

/* One field too much, too long, too many or of another form. */
static void put_field(struct buf *out, uint32_t outer, uint32_t field,
                      struct slice bytes, unsigned times)
{
    size_t mark = pb_begin(out, outer);
    for (unsigned i = 0; i < times; i++) {
        pb_put_bytes(out, field, bytes);
    }
    pb_end(out, mark);
}

static void what_is_out_of_bounds_is_refused_by_its_field(void **state)
{
    static uint8_t big[ROOTDOC_FILE_MAX + 1];
    static const struct {
        uint32_t outer;
        uint32_t field;
        size_t len;
        unsigned times;
        const char *name;
    } rows[] = {
        {2, 1, 16, 1, "Segment.log"},
        {2, 2, 1, 1, "Segment.first"},
        {2, 3, 3, 1, "Segment.block"},
        {2, 3, 8, SEGMENT_ENTRIES_MAX + 1, "Segment.block"},
        {2, 4, CHECKPOINT_MAX + 1, 1, "Segment.note"},
        {2, 5, WIRE_BRIDGE_MAX + 1, 1, "Segment.bridge"},
        {2, 6, CERT_CHAIN_MAX + 1, 1, "Segment.chain"},
        {1, 8, 5, WIRE_CHAINS_MAX + 1, "Hello.sealing_chain"},
        {1, 2, 17, 1, "Hello.suite"},
        {1, 4, 33, 1, "Hello.root_document"},
        {4, 1, ROOTDOC_FILE_MAX + 1, 1, "RootDocument.text"},
        {2, 9, 5, 1, "Segment.log: missing"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = BUF_INIT;
        struct wire_message m;
        struct errmsg why = {""};
        put_field(&out, rows[i].outer, rows[i].field,
                  slice_of(big, rows[i].len), rows[i].times);
        assert_int_equal(wire_get_child(buf_slice(&out), &m, &why),
                         ERR_PROTOCOL);
        assert_non_null(strstr(why.text, rows[i].name));
        buf_fini(&out);
    }
}

static void a_nested_error_names_its_path(void **state)
{
    struct buf out = BUF_INIT;
    struct wire_message m;
    struct errmsg why = {""};
    (void)state;
    size_t mark = pb_begin(&out, 2);
    size_t item = pb_begin(&out, 1);
    pb_put_bytes(&out, 3, slice_str("short"));
    pb_end(&out, item);
    pb_end(&out, mark);
    assert_int_equal(wire_get_parent(buf_slice(&out), &m, &why), ERR_PROTOCOL);
    assert_non_null(strstr(why.text, "Have.logs: LogHave.root"));
    buf_fini(&out);
}

static void a_message_of_a_later_build_is_passed_over(void **state)
{
    struct buf out = BUF_INIT;
    struct wire_message m;
    struct errmsg why;
    (void)state;
    pb_put_bytes(&out, 9, slice_str("whatever"));
    assert_ok(wire_get_child(buf_slice(&out), &m, &why));
    assert_int_equal(m.kind, WIRE_OTHER);
    /* And so is an unknown field of a known one. */
    buf_clear(&out);
    wire_put_want(&out, &(struct wire_range){log_a, 3, 4});
    size_t len = out.len;
    assert_ok(wire_get_parent(buf_slice(&out), &m, &why));
    assert_int_equal(m.want.last, 4);
    /* Two messages in one are not. */
    wire_put_want(&out, &(struct wire_range){log_a, 3, 4});
    assert_int_equal(out.len, 2 * len);
    assert_int_equal(wire_get_parent(buf_slice(&out), &m, &why), ERR_PROTOCOL);
    buf_fini(&out);
}

static void every_cut_of_a_message_is_refused_or_shorter(void **state)
{
    struct buf out = BUF_INIT;
    struct wire_message m;
    struct errmsg why;
    (void)state;
    wire_put_stop(&out, &(struct wire_stop){.log = log_a,
                                            .number = 300,
                                            .reason = slice_str("why"),
                                            .note = slice_str("n")});
    for (size_t len = 1; len < out.len; len++) {
        uint8_t *copy = mem_dup(out.data, len);
        assert_int_equal(wire_get_parent(slice_of(copy, len), &m, &why),
                         ERR_PROTOCOL);
        mem_free(copy);
    }
    buf_fini(&out);
}

static void a_root_question_and_its_answer_come_back(void **state)
{
    struct buf out = BUF_INIT;
    struct wire_root_request q;
    struct wire_root_reply a;
    struct errmsg why;
    (void)state;
    wire_put_root_request(&out, &(struct wire_root_request){log_a, 12});
    assert_ok(wire_get_root_request(buf_slice(&out), &q, &why));
    assert_int_equal(q.size, 12);
    buf_clear(&out);
    wire_put_root_reply(&out,
                        &(struct wire_root_reply){.size = 12,
                                                  .root = {{1, 2}},
                                                  .held = 90,
                                                  .note = slice_str("n"),
                                                  .chain = slice_str("c"),
                                                  .frontier = slice_str("f"),
                                                  .bridge = slice_str("br")});
    assert_ok(wire_get_root_reply(buf_slice(&out), &a, &why));
    assert_int_equal(a.frontier.len, 1);
    assert_int_equal(a.bridge.len, 2);
    assert_int_equal(a.held, 90);
    assert_int_equal(a.root.b[1], 2);
    buf_fini(&out);
}

static void a_server_may_ask_for_a_delay_within_reason(void **state)
{
    (void)state;
    assert_int_equal(wire_retry_after_ms("full; retry after 30000 ms"), 30000);
    assert_int_equal(wire_retry_after_ms("full; retry after 999999 ms"),
                     600000);
    assert_int_equal(wire_retry_after_ms("full"), 0);
    assert_int_equal(wire_retry_after_ms("; retry after soon"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_receipt_goes_up_and_only_up),
        cmocka_unit_test(a_segment_comes_back_as_it_was),
        cmocka_unit_test(a_hello_comes_back_as_it_was),
        cmocka_unit_test(what_the_first_build_said_is_read),
        cmocka_unit_test(a_root_document_goes_both_ways),
        cmocka_unit_test(pages_and_acks_come_back_as_they_were),
        cmocka_unit_test(what_is_out_of_bounds_is_refused_by_its_field),
        cmocka_unit_test(a_nested_error_names_its_path),
        cmocka_unit_test(a_message_of_a_later_build_is_passed_over),
        cmocka_unit_test(every_cut_of_a_message_is_refused_or_shorter),
        cmocka_unit_test(a_root_question_and_its_answer_come_back),
        cmocka_unit_test(a_server_may_ask_for_a_delay_within_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
