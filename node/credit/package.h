/* package.h - directives that take effect together, signed by those who decide.
 *
 * In the log: an ENTRY_PACKAGE whose body is the text below, the entries, and
 * an ENTRY_PACKAGE_END whose body is the signature lines. Nothing of it counts
 * before the end is there and enough deciders signed (k of n, root document).
 *
 *   creditnode-package 1
 *   federation <name>
 *   suite intl|gm
 *   issuer <code>
 *   id <32 hex digits>       random: a package takes effect once
 *   prepared <ms>            since 1970 UTC, the clock of who prepared it
 *   expires <yyyymmdd>       last day (China) on which it may be published
 *   entries <n>              1 to 10,000
 *   root <64 hex digits>     RFC 6962 root over the n entries, by the suite
 *
 * That text is what is signed; no other text that deciders sign begins so. As
 * a file it is followed by `entry <base64>` lines and `signature …` lines
 * (ident/signature.h), so that it can be carried to the deciders' machines.
 *
 * Pure; any thread. */
#ifndef CREDIT_PACKAGE_H
#define CREDIT_PACKAGE_H

#include "ident/rootdoc.h"
#include "mlog/entry.h"

enum {
    PACKAGE_ID_LEN = 16,
    PACKAGE_ENTRIES_MAX = 10000,
    PACKAGE_TEXT_MAX = 1024,
    PACKAGE_FILE_MAX = 64 << 20,
    PACKAGE_DAYS = 30, /* from preparing to the last day of publishing */
};

struct package_head {
    char federation[64];
    enum suite suite;
    uint64_t issuer;
    uint8_t id[PACKAGE_ID_LEN];
    int64_t prepared_ms;
    uint32_t expires;
    uint32_t entries;
    struct hash root;
};

void package_head_put(const struct package_head *head, struct buf *out);
/* Strict: the one text that package_head_put() gives. ERR_INVALID names the
 * line. */
MUST_USE enum err package_head_get(struct slice text, struct package_head *out,
                                   struct errmsg *why);

/* ERR_OK if at least k deciders of `issuer` signed `text`, each line fits, is
 * by one of them, and none signed twice; else ERR_BAD_SIGNATURE. */
MUST_USE enum err package_check_signed(const struct rootdoc_issuer *issuer,
                                       enum suite suite, struct slice text,
                                       struct slice lines, struct errmsg *why);

/* ---- as a file ---- */

struct package {
    struct package_head head;
    struct buf text;       /* owned */
    struct buf bytes;      /* owned: the entries, one behind the other */
    struct slice *entries; /* owned, into `bytes`; head.entries of them */
    struct buf signatures; /* owned: lines */
    size_t signed_by;
    struct hash signers[ROOTDOC_DECIDERS_MAX]; /* key ids of `signed_by` */
};
void package_free(struct package **package);
/* Makes one of encoded entries, copied; fills the head but for federation,
 * suite, issuer and prepared_ms, which `head` gives. ERR_TOO_LARGE. */
MUST_USE enum err package_new(struct package **out,
                              const struct package_head *head,
                              const struct slice *entries, size_t n);
/* ERR_INVALID names line and rule: also if the entries do not give the root.
 * Signatures are well-formed; whether they fit, package_check_signed() says.
 */
MUST_USE enum err package_parse(struct package **out, struct slice file,
                                const char *name, struct errmsg *why);
void package_put(const struct package *package, struct buf *out);
bool package_has_signed(const struct package *package,
                        const struct hash *key_id);
/* Adds the signature of `key`. ERR_EXISTS: it signed already; ERR_INVALID: it
 * is not one of the suite. */
MUST_USE enum err package_sign(struct package *package, const struct key *key);
/* Takes over the signatures of another copy of the same package.
 * ERR_CONFLICT: of another package. */
MUST_USE enum err package_merge(struct package *package,
                                const struct package *other);
/* The entries of the log: the package's with begin and end around them,
 * encoded into `room`; `out` has room for head.entries + 2 and borrows. */
void package_log_entries(const struct package *package, int64_t now_ms,
                         struct buf *room, struct slice *out);

/* Bodies of the two entries around a package. ERR_INVALID. */
MUST_USE enum err package_begin_decode(const struct entry *e,
                                       struct package_head *out);

#endif
