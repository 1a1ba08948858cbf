/* record.h - one version of one record, between a form of text values and the
 * entry that is hashed, signed and carried.
 *
 * The body of an ENTRY_RECORD is a run of protobuf fields, all of wire type 2
 * (length-delimited), in order of field id:
 *
 *   number 1                     16 bytes  keyed digest of the content
 *   number = field id            UTF-8 text, forms: enum field_type
 *   number = field id + 1024     sealed: u32 period, nonce, ciphertext, tag
 *
 * so that any protobuf tool reads it, and a holder with another catalogue
 * never takes sealed bytes for text. The aad of a sealed value is
 * "creditnode:field", u64 origin, record key, u16 field id (0: the subject).
 *
 * Record key: first 16 bytes of H("creditnode:record" 0x00, u16 item,
 * authority, document number, subject kind and identity), each behind its u16
 * length: the same decision gives the same record. The authority is its credit
 * code, or its name where the column set has none. A person's identity goes in
 * as a keyed value only.
 *
 * Pure; any thread. Sealing is the caller's, through callbacks: this module
 * knows no key but the two it is handed to derive values. */
#ifndef CREDIT_RECORD_H
#define CREDIT_RECORD_H

#include "credit/catalogue.h"
#include "ident/suite.h"
#include "mlog/entry.h"

enum {
    RECORD_DIGEST_LEN = 16,
    RECORD_SEALED_BASE = 1024,
    RECORD_BODY_MAX = 65000, /* leaves room for the rest of the entry */
    RECORD_SUBJECT_MAX = 72, /* bytes of a clear subject */
    RECORD_AAD_LEN = 42,
    RECORD_SUBJECT_FIELD = 0, /* field id in the aad of a sealed subject */
};

struct record {
    const struct catalogue_item *item;
    /* By place in item->fields; empty: no value. Borrowed from whoever filled
     * them; of a decoded record from the entry's bytes. */
    struct slice values[CATALOGUE_FIELDS_MAX];
    uint64_t sealed; /* bit per place: the value is sealed bytes */
    size_t unknown;  /* decoded fields that this catalogue does not have */
    uint8_t key[RECORD_KEY_LEN];
    enum subject_kind subject_kind;
    /* Clear identity: the credit code; for SUBJECT_ORG "column/number" as in
     * "ZZJG/742183213"; for a person "GA/T 517 type/number" as in "111/…".
     * Decoded and sealed: empty until record_unseal_subject(). */
    char subject[RECORD_SUBJECT_MAX + 1];
    enum record_status status;
    enum disclosure disclosure;
    uint32_t decided; /* yyyymmdd, as in struct entry */
    uint32_t from;
    uint32_t until;
};

/* Secrets of the entering node, never sent anywhere. They must survive for as
 * long as its records do: another identity key gives persons' records other
 * keys, another digest key makes unchanged records look changed. */
struct record_keys {
    enum suite suite;
    struct slice identity; /* person -> record key */
    struct slice digest;   /* content -> digest */
};

/* Appends u32 period and the sealed value. */
typedef enum err record_seal_fn(void *ctx, struct slice aad, struct slice plain,
                                struct buf *out);
/* Takes what record_seal_fn appended; appends the plain value. ERR_SEALED: no
 * key here. */
typedef enum err record_unseal_fn(void *ctx, struct slice aad,
                                  struct slice sealed, struct buf *out);
struct sealer {
    record_seal_fn *fn;
    void *ctx;
};
struct unsealer {
    record_unseal_fn *fn;
    void *ctx;
};

void record_init(struct record *r, const struct catalogue_item *item);
/* The value of a field, empty if it has none. */
struct slice record_get(const struct record *r, uint16_t field_id);
/* The word that the value of an enumerated field is, or NULL. */
const struct enum_word *record_word(const struct record *r, uint16_t field_id);
/* Borrows `value`. The item must have the field. */
void record_set(struct record *r, uint16_t field_id, struct slice value);

/* Derives subject, key, status, disclosure and dates from clear values that
 * passed rules.h. ERR_INVALID if no identity of the subject is there. */
MUST_USE enum err record_identify(struct record *r,
                                  const struct record_keys *keys);

/* Fills `out` but for version and predecessor. Body and sealed subject are
 * appended to `room`, from which `out` borrows: clear `room` when the entry is
 * encoded. `sealer` is needed for records with personal values: without one
 * they are refused, ERR_SEALED. ERR_TOO_LARGE: over RECORD_BODY_MAX. On an
 * error `room` is as it was. */
MUST_USE enum err record_to_entry(const struct record *r,
                                  const struct record_keys *keys,
                                  uint64_t origin, int64_t entered_at_ms,
                                  const struct sealer *sealer, struct buf *room,
                                  struct entry *out);
/* ERR_UNSUPPORTED: not a record, or an item outside this catalogue;
 * ERR_INVALID: a malformed body. Values borrow from the entry. */
MUST_USE enum err record_from_entry(const struct entry *e, struct record *out);

/* Appends the clear values as protobuf fields, in order of id. */
void record_put_values(const struct record *r, struct buf *out);
/* Takes them from `body` into a record of item `item`, borrowed. ERR_INVALID.
 */
MUST_USE enum err record_take_values(struct record *out,
                                     const struct catalogue_item *item,
                                     struct slice body);

/* The digest at the head of a record's body: equal digests under one record
 * key mean an unchanged record. False if there is none. */
MUST_USE bool record_digest(struct slice body, uint8_t out[RECORD_DIGEST_LEN]);

void record_aad(uint64_t origin, const uint8_t key[RECORD_KEY_LEN],
                uint16_t field_id, uint8_t out[RECORD_AAD_LEN]);
/* Appends the clear subject of any record entry: as it is, or unsealed.
 * ERR_SEALED: no key here (`unsealer` may be NULL). */
MUST_USE enum err record_unseal_subject(const struct entry *e, uint64_t origin,
                                        const struct unsealer *unsealer,
                                        struct buf *out);

/* Is the clear subject of an organisation a citizen number? Then it had to be
 * sealed. A valid credit code may look like one by chance. */
MUST_USE bool record_is_citizen(enum subject_kind kind, struct slice subject);

enum record_view {
    RECORD_MASKED, /* personal values masked, "***" where no key is here */
    RECORD_CLEAR,  /* for authorised, audited queries only */
};
/* Appends a value as people read it: dates yyyy-mm-dd or 长期, amounts in
 * yuan. In masked view a citizen number that the origin left in a clear text
 * shows as "***". `unsealer` may be NULL. ERR_SEALED in clear view only. */
MUST_USE enum err record_show(const struct record *r, size_t place,
                              uint64_t origin, enum record_view view,
                              const struct unsealer *unsealer, struct buf *out);
/* Does a clear value of the field hold a citizen number, as people write them?
 * Codes of businesses have 15 digits as well: there only 18 count. */
MUST_USE bool record_names_citizen(const struct catalogue_field *field,
                                   struct slice value);
/* True if a person looking at the value must see it masked by default. */
bool record_is_personal(const struct catalogue_field *field,
                        enum subject_kind kind);
/* Appends `value` of a personal field masked: names keep the first character,
 * identifiers first 3 and last 4, other text nothing. */
void record_mask(const struct catalogue_field *field, struct slice value,
                 struct buf *out);

#endif
