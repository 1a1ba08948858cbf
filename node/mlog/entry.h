/* entry.h - the bytes that are hashed, signed and carried unchanged.
 *
 *   off len
 *    0   1  format      1
 *    1   1  type        enum entry_type
 *    2   1  flags       ENTRY_FLAG_*
 *    3   1  status      enum record_status
 *    4   1  disclosure  enum disclosure
 *    5   1  subject kind
 *    6   2  item        catalogue item
 *    8   8  entered_at  ms since 1970 UTC, the origin's clock
 *   16  16  record key
 *   32   4  version     1, 2, … of the record
 *   36   8  predecessor's incarnation  } 0 if this is version 1
 *   44   8  predecessor's number       }
 *   52   4  decided     yyyymmdd as a number, 0 unknown
 *   56   4  from        yyyymmdd, 0 open
 *   60   4  until       yyyymmdd, 0 open
 *   64   4  publish until  yyyymmdd, 0 by rule
 *   68   1  subject len
 *   69   1  predecessor's subject len, 0 if the same subject
 *   70   2  reserved, written 0, carried as they are
 *   72   4  body len
 *   76      subject, predecessor's subject, body
 *
 * The envelope (all but the body) is what the index needs; it is read without
 * the catalogue. A subject is clear text of an organisation's identifier or,
 * with ENTRY_FLAG_SEALED, a sealed value (docs/protocol.md, persons). The
 * body's form depends on the type; a record's is record.h's. Entries of an
 * unknown format or type are carried on and get no effect. */
#ifndef MLOG_ENTRY_H
#define MLOG_ENTRY_H

#include "base/buf.h"

enum entry_type {
    ENTRY_OPEN = 1,   /* entry 1 of every log; body: struct entry_open */
    ENTRY_RECORD = 2, /* a version of a record */
    ENTRY_KEY = 3,    /* a seal key wrapped to an ancestor */
    ENTRY_ERASE = 4,  /* reserved: names entries whose bytes are dropped */
    ENTRY_MARK = 5,   /* reserved: overlay on a record, such as disputed */
    /* Directives (credit/listing.h, credit/package.h); post is reserved. */
    ENTRY_PACKAGE = 16,     /* begins a package; body: what is signed */
    ENTRY_PACKAGE_END = 17, /* ends it; body: the signatures */
    ENTRY_LISTING = 18,     /* a subject goes on a list */
    ENTRY_CORRECTION = 19,  /* a listing reads otherwise */
    ENTRY_REMOVAL = 20,     /* a listing ends */
    ENTRY_NODE = 21,        /* about a node (credit/registry.h) */
    ENTRY_CATALOGUE = 22,   /* a catalogue version (catalogue_change.h) */
    ENTRY_MEASURE = 23,     /* a measure (credit/measure.h) */
};

enum {
    ENTRY_HEADER_LEN = 76,
    ENTRY_FORMAT = 1,
    RECORD_KEY_LEN = 16,
    SUBJECT_MAX = 160,
    ENTRY_FLAG_SEALED = 1 << 0, /* subjects are sealed values */
};

enum record_status {
    STATUS_VALID = 0,
    STATUS_REVOKED = 1,
    STATUS_DISPUTED = 2,
    STATUS_OTHER = 3,
};

enum disclosure {
    DISCLOSURE_PUBLIC = 0,
    DISCLOSURE_SHARED = 1,
    DISCLOSURE_AUTHORISED = 2,
};

enum subject_kind {
    SUBJECT_NONE = 0,    /* not about a subject */
    SUBJECT_USCC = 1,    /* 18-character unified social credit code */
    SUBJECT_ORG = 2,     /* an organisation known by an older code only */
    SUBJECT_PERSON = 3,  /* always sealed */
    SUBJECT_LISTING = 4, /* LOG#NUMBER of a listing (credit/execution.h) */
    SUBJECT_NODE = 5,    /* 12-digit node code */
    SUBJECT_RULES = 6,   /* in no entry: rows of versions and measures */
};

/* Slices borrow from the bytes given to entry_decode(). */
struct entry {
    uint8_t type;
    uint8_t flags;
    uint8_t status;
    uint8_t disclosure;
    uint8_t subject_kind;
    uint16_t item;
    int64_t entered_at_ms;
    uint8_t record_key[RECORD_KEY_LEN];
    uint32_t version;
    uint64_t prev_incarnation;
    uint64_t prev_number;
    uint32_t decided;
    uint32_t from;
    uint32_t until;
    uint32_t publish_until;
    struct slice subject;
    struct slice prev_subject; /* empty: the same as subject */
    struct slice body;
};

void entry_encode(const struct entry *e, struct buf *out);
/* ERR_INVALID: lengths do not fit; ERR_UNSUPPORTED: a format of a later
 * build. Neither stops a log: the entry is carried on as `unindexed`. */
MUST_USE enum err entry_decode(struct slice bytes, struct entry *out);

/* Body of ENTRY_OPEN: what this incarnation follows. All zero for the first
 * of an origin. Form: u64 incarnation, u64 size, 32 bytes root. */
struct entry_open {
    uint64_t prev_incarnation;
    uint64_t prev_size;
    uint8_t prev_root[32];
};
void entry_open_encode(const struct entry_open *open, int64_t now_ms,
                       struct buf *out);
MUST_USE enum err entry_open_decode(const struct entry *e,
                                    struct entry_open *out);

/* Body of ENTRY_KEY: seal key `period` wrapped to one ancestor. Form:
 * u32 period, u64 holder code, 32 bytes key id of the holder's sealing
 * certificate, wrapped bytes. */
struct entry_key {
    uint32_t period;
    uint64_t holder;
    uint8_t holder_key_id[32];
    struct slice wrapped;
};
void entry_key_encode(const struct entry_key *key, int64_t now_ms,
                      struct buf *out);
MUST_USE enum err entry_key_decode(const struct entry *e,
                                   struct entry_key *out);

#endif
