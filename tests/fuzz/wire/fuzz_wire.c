/* The federation messages: the first byte chooses which. What was decoded is
 * walked, and what can be encoded again decodes to the same. */
#include "base/mem.h"
#include "fuzz/fuzz.h"
#include "sync/receipt.h"
#include "sync/wire.h"

enum { KINDS = 8 };

static size_t walk(const struct wire_list *list)
{
    struct wire_iter it = wire_iter_of(list);
    struct slice item;
    size_t n = 0;
    while (wire_next(&it, &item)) {
        FUZZ_CHECK(item.len > 0);
        n++;
    }
    return n;
}

static void walk_logs(const struct wire_message *m)
{
    struct wire_iter it = wire_iter_of(&m->have.logs);
    struct slice item;
    while (wire_next(&it, &item)) {
        if (m->kind == WIRE_HAVE) {
            struct wire_log_have have;
            wire_log_have_get(item, &have);
            FUZZ_CHECK(have.log.incarnation != 0);
        } else {
            struct wire_log_ack ack;
            wire_log_ack_get(item, &ack);
            FUZZ_CHECK(ack.above_count <= ABOVE_MAX);
        }
    }
}

static void check(const struct wire_message *m)
{
    switch (m->kind) {
    case WIRE_HELLO:
        FUZZ_CHECK(walk(&m->hello.sealing_chain) ==
                   m->hello.sealing_chain.count);
        break;
    case WIRE_SEGMENT:
        FUZZ_CHECK(walk(&m->segment.block) == m->segment.block.count);
        FUZZ_CHECK(m->segment.block.count <= SEGMENT_ENTRIES_MAX);
        break;
    case WIRE_HAVE:
    case WIRE_ACK:
        FUZZ_CHECK(walk(&m->have.logs) == m->have.logs.count);
        walk_logs(m);
        break;
    case WIRE_EVIDENCE:
        FUZZ_CHECK(m->evidence.note.len <= CHECKPOINT_MAX);
        break;
    case WIRE_STOP:
        FUZZ_CHECK(m->stop.reason.len <= WIRE_TEXT_MAX);
        break;
    case WIRE_ROOT:
        FUZZ_CHECK(m->root.text.len <= ROOTDOC_FILE_MAX);
        break;
    case WIRE_RECEIPT:
        FUZZ_CHECK(m->receipt.text.len <= RECEIPT_MAX);
        FUZZ_CHECK(m->receipt.chain.len <= CERT_CHAIN_MAX);
        break;
    case WIRE_WANT:
    case WIRE_OTHER:
        break;
    }
}

static void again(const struct wire_range *range)
{
    struct buf out = BUF_INIT;
    struct wire_range second;
    wire_put_fetch_request(&out, range);
    FUZZ_CHECK(wire_get_fetch_request(buf_slice(&out), &second, NULL) ==
               ERR_OK);
    FUZZ_CHECK(log_id_eq(&second.log, &range->log) &&
               second.first == range->first && second.last == range->last);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) {
        return 0;
    }
    struct slice bytes = slice_of(data + 1, len - 1);
    struct wire_message m;
    struct wire_range range;
    struct wire_root_request request;
    struct wire_root_reply reply;
    struct errmsg why = {""};
    enum err err = ERR_OK;
    switch (data[0] % KINDS) {
    case 0:
        err = wire_get_child(bytes, &m, &why);
        break;
    case 1:
        err = wire_get_parent(bytes, &m, &why);
        break;
    case 2:
        err = wire_get_fetch_reply(bytes, &m, &why);
        break;
    case 3:
        err = wire_get_fetch_request(bytes, &range, &why);
        break;
    case 4:
        err = wire_get_root_request(bytes, &request, &why);
        break;
    case 6:
        err = wire_get_follower(bytes, &m, &why);
        break;
    case 7:
        err = wire_get_feed(bytes, &m, &why);
        break;
    default:
        err = wire_get_root_reply(bytes, &reply, &why);
        break;
    }
    unsigned kind = data[0] % KINDS;
    if (err == ERR_OK && (kind < 3 || kind > 5)) {
        check(&m);
    } else if (err == ERR_OK && kind == 3) {
        again(&range);
    }
    FUZZ_CHECK(err == ERR_OK || why.text[0] != '\0');
    return 0;
}
