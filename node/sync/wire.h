/* wire.h - the federation messages as bytes (private to sync).
 *
 * What was decoded borrows from the message: a block goes from the socket to
 * the store with one copy.
 * Every count and size is bounded while decoding; an error names the field.
 * Unknown fields are skipped, unknown messages are WIRE_OTHER. Pure. */
#ifndef SYNC_WIRE_H
#define SYNC_WIRE_H

#include "ident/rootdoc.h"
#include "mlog/block.h"
#include "mlog/log_id.h"
#include "store/store.h"

enum {
    WIRE_PROTOCOL = 1,
    WIRE_LOGS_MAX = 2048, /* of one Have or Ack */
    WIRE_CHAINS_MAX = 8,  /* sealing chains of one Hello */
    WIRE_TEXT_MAX = 480,  /* bytes of a text for people */
    WIRE_FRONTIER_MAX = 8 + TREE_LEVELS * HASH_LEN,
    WIRE_BRIDGE_MAX = 16 + TREE_LEVELS * HASH_LEN,
    WIRE_BLOCK_MAX = BLOCK_HEADER_LEN + BLOCK_RAW_MAX,
    /* Packed bytes do not bound unpacked ones, so these do. */
    WIRE_RAW_MAX = 8 << 20, /* unpacked bytes of one segment */
};

enum wire_kind {
    WIRE_OTHER, /* of a later build: ignored */
    WIRE_HELLO,
    WIRE_SEGMENT,
    WIRE_EVIDENCE,
    WIRE_HAVE,
    WIRE_ACK,
    WIRE_STOP,
    WIRE_WANT,
    WIRE_ROOT,
    WIRE_RECEIPT,
};

/* A repeated field, checked and counted, walked with wire_next(). */
struct wire_list {
    struct slice body; /* of the message that has the field */
    uint32_t number;
    size_t count;
};
struct wire_iter {
    struct reader r;
    uint32_t number;
};
struct wire_iter wire_iter_of(const struct wire_list *list);
bool wire_next(struct wire_iter *it, struct slice *item);

struct wire_hello {
    uint32_t protocol;
    struct slice suite;
    struct slice federation;
    struct slice root_document;
    uint64_t code;
    struct slice version;
    uint64_t clock_ms;
    struct wire_list sealing_chain; /* chains */
    uint64_t window;
    uint64_t root_version; /* of root_document */
};
struct wire_root_document {
    struct slice text; /* with its signatures */
};
struct wire_segment {
    struct log_id log;
    uint64_t first;
    struct wire_list block;
    struct slice note;
    struct slice bridge;
    struct slice chain;
    uint64_t held; /* durable at the sender; 0: all of it is */
};
struct wire_evidence {
    struct log_id log;
    struct slice note;
    struct slice chain;
};
struct wire_receipt {
    struct slice text; /* with its signature */
    struct slice chain;
};
struct wire_have {
    struct wire_list logs; /* wire_log_have_get() */
    bool last;
};
struct wire_log_have {
    struct log_id log;
    uint64_t size;
    struct hash root;
    bool stopped;
    uint64_t signed_ms; /* of the newest signed head; 0: not told */
};
struct wire_ack {
    struct wire_list logs; /* wire_log_ack_get() */
};
struct wire_log_ack {
    struct log_id log;
    uint64_t size;
    struct store_above above[ABOVE_MAX];
    size_t above_count;
    uint32_t held_ms; /* the last of it waited for the store; 0: not told */
};
enum { WIRE_REASON_SHOWN = 256 }; /* bytes of it that a log line shows */
struct wire_stop {
    struct log_id log;
    uint64_t number;
    struct slice reason;
    bool retry;
    struct slice note;
};
/* Want and FetchRequest. */
struct wire_range {
    struct log_id log;
    uint64_t first;
    uint64_t last;
};
struct wire_root_request {
    struct log_id log;
    uint64_t size;
};
struct wire_root_reply {
    uint64_t size;
    struct hash root;
    uint64_t held;
    struct slice note;
    struct slice chain;
    struct slice frontier; /* at `size`, as frontier_put() writes it */
    struct slice bridge;   /* from there to the note's size; may be empty */
};

struct wire_message {
    enum wire_kind kind;
    union {
        struct wire_hello hello;
        struct wire_segment segment;
        struct wire_evidence evidence;
        struct wire_have have;
        struct wire_ack ack;
        struct wire_stop stop;
        struct wire_range want;
        struct wire_root_document root;
        struct wire_receipt receipt;
    };
};

/* ERR_PROTOCOL names the message and the field. */
MUST_USE enum err wire_get_child(struct slice bytes, struct wire_message *out,
                                 struct errmsg *why);
MUST_USE enum err wire_get_parent(struct slice bytes, struct wire_message *out,
                                  struct errmsg *why);
/* Of Subscribe: what the follower says, and what comes down to it. */
MUST_USE enum err wire_get_follower(struct slice bytes,
                                    struct wire_message *out,
                                    struct errmsg *why);
MUST_USE enum err wire_get_feed(struct slice bytes, struct wire_message *out,
                                struct errmsg *why);
MUST_USE enum err wire_get_fetch_request(struct slice bytes,
                                         struct wire_range *out,
                                         struct errmsg *why);
MUST_USE enum err wire_get_fetch_reply(struct slice bytes,
                                       struct wire_message *out,
                                       struct errmsg *why);
MUST_USE enum err wire_get_root_request(struct slice bytes,
                                        struct wire_root_request *out,
                                        struct errmsg *why);
MUST_USE enum err wire_get_root_reply(struct slice bytes,
                                      struct wire_root_reply *out,
                                      struct errmsg *why);
/* Items of a list that was checked with its message. */
void wire_log_have_get(struct slice item, struct wire_log_have *out);
void wire_log_ack_get(struct slice item, struct wire_log_ack *out);

/* Appended to `out`, each a whole message. */
struct wire_segment_out {
    struct log_id log;
    const struct buf *blocks;
    const struct block_ref *refs; /* at least one, consecutive */
    size_t refs_count;
    struct slice note;
    struct slice bridge;
    struct slice chain;
    uint64_t held; /* as above */
};
void wire_put_hello(struct buf *out, const struct wire_hello *hello,
                    const struct slice *sealing, size_t sealing_count);
void wire_put_child_root(struct buf *out, struct slice text);
void wire_put_parent_root(struct buf *out, struct slice text);
void wire_put_feed_root(struct buf *out, struct slice text);
void wire_put_segment(struct buf *out, const struct wire_segment_out *segment);
void wire_put_fetch_reply(struct buf *out,
                          const struct wire_segment_out *segment);
void wire_put_evidence(struct buf *out, const struct wire_evidence *evidence);
/* A follower's; a feed's Head is wire_put_evidence(). */
void wire_put_follower_evidence(struct buf *out,
                                const struct wire_evidence *evidence);
void wire_put_receipt(struct buf *out, const struct wire_receipt *receipt);
void wire_put_have(struct buf *out, const struct wire_log_have *logs, size_t n,
                   bool last);
void wire_put_ack(struct buf *out, const struct wire_log_ack *logs, size_t n);
void wire_put_stop(struct buf *out, const struct wire_stop *stop);
void wire_put_want(struct buf *out, const struct wire_range *want);
void wire_put_fetch_request(struct buf *out, const struct wire_range *range);
void wire_put_root_request(struct buf *out,
                           const struct wire_root_request *request);
void wire_put_root_reply(struct buf *out, const struct wire_root_reply *reply);

/* Status texts may end in "; retry after N ms": how a server asks for a
 * delay. 0: it does not. */
uint32_t wire_retry_after_ms(const char *text);

#endif
