/* keyring.h - keys that seal natural persons' values, and lookup tokens.
 *
 * A node seals with a key of its own per period (a calendar year by default),
 * kept 0600 beside the store. Each key is wrapped to the sealing certificate
 * of every ancestor by ENTRY_KEY entries in the node's own log, so ancestors
 * and nobody else can open the values. Lookup tokens are HMACs under a secret
 * that never leaves the holder. Destroying a key erases what it sealed.
 *
 * Threads: any; takes its own lock. */
#ifndef STORE_KEYRING_H
#define STORE_KEYRING_H

#include "ident/ident.h"
#include "mlog/entry.h"

struct keyring;

/* Of another origin; more than one a period only if it lost its keyring. */
enum { KEYS_OF_PERIOD_MAX = 8, KEYS_OF_ORIGIN_MAX = 64 };

/* `path` is a folder; the secret and the first key are made if missing. Learned
 * keys that are damaged are left out, and said to be: reindexing learns them
 * again. ERR_IO: a file is there and cannot be read now.
 * `sealing` may be NULL: wrapped keys of others cannot be opened then. */
MUST_USE enum err keyring_open(struct keyring **out, const char *path,
                               enum suite suite, uint64_t self,
                               const struct identity *sealing,
                               struct errmsg *why);
/* Beside another process of this node, which writes the folder: nothing is
 * made, kept or sealed here, and what that one learns is found with the next
 * value that needs it, at most once in 10 s. ERR_NOT_FOUND: nothing there yet.
 */
MUST_USE enum err keyring_open_beside(struct keyring **out, const char *path,
                                      enum suite suite, uint64_t self,
                                      const struct identity *sealing,
                                      struct errmsg *why);
void keyring_free(struct keyring **keyring);

/* Keys that are learned from now on are kept in memory only: the folder is
 * another process's. Before other threads have it; then nothing is sealed. */
void keyring_freeze(struct keyring *keyring);

/* The sealing certificate was renewed; it outlives the keyring, and so does the
 * one before. What was learned under an older key stays. */
void keyring_renew(struct keyring *keyring, const struct identity *sealing);

/* Seals under the key of the current period: u32 period || suite_seal. */
MUST_USE enum err keyring_seal(struct keyring *keyring, struct slice aad,
                               struct slice plain, struct buf *out);
/* Opens a value sealed by node `origin`. ERR_SEALED: no key here (yet). */
MUST_USE enum err keyring_unseal(struct keyring *keyring, uint64_t origin,
                                 struct slice aad, struct slice sealed,
                                 struct buf *out);
/* Takes in a wrapped key met in `origin`'s log; ERR_NOT_FOUND if it is for
 * another holder, ERR_SEALED if it cannot be opened, ERR_TOO_LARGE if the
 * origin has KEYS_OF_PERIOD_MAX of the period or KEYS_OF_ORIGIN_MAX already.
 * Other errors: it could not be kept (no space); try again. */
MUST_USE enum err keyring_learn(struct keyring *keyring, uint64_t origin,
                                const struct entry_key *key);
/* Encoded ENTRY_KEY entries still owed to `holder` (its checked sealing
 * certificate), one per own period key; *n of them appended to `entries`, each
 * behind its u32 length. */
void keyring_wraps_for(struct keyring *keyring, const struct cert *holder,
                       int64_t now_ms, struct buf *entries, size_t *n);
/* Marks `entries`, in the form in which keyring_wraps_for() gave them, as
 * appended. */
MUST_USE enum err keyring_wrapped(struct keyring *keyring,
                                  struct slice entries);
/* Entries that were appended may be gone from the log: all are owed again. One
 * that a holder has already does no harm. */
MUST_USE enum err keyring_owe_again(struct keyring *keyring,
                                    struct errmsg *why);
/* 32-byte token of `value` in domain `domain`, under the holder's secret. */
void keyring_token(struct keyring *keyring, const char *domain,
                   struct slice value, struct hash *out);

#endif
