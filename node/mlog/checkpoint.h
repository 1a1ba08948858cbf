/* checkpoint.h - signed heads of logs, as C2SP tlog-checkpoint signed notes.
 *
 *   creditnode/<federation>/<origin>/<kind>/<incarnation>\n
 *   <size>\n
 *   <base64 root>\n
 *   time <milliseconds since 1970 UTC>\n
 *   \n
 *   — <origin code> <base64 of 4-byte key id || DER signature>\n
 *
 * The signature covers the text up to and including the newline before the
 * empty line, as the signed-note form says. The key name is the origin code,
 * as of a node and not of one log: a node signs all its logs with one key. The
 * key id is
 *   intl  the first 4 bytes of SHA-256(SubjectPublicKeyInfo)
 *   gm    the first 4 bytes of SHA-256(origin code || 0x0A || 0xFF ||
 *         "creditnode/sm2-with-sm3" || SHA-256(SubjectPublicKeyInfo))
 * Further extension lines and further signature lines are kept and ignored
 * but must be well-formed; every signature line of the origin's key must fit.
 * Pure; threads: any. */
#ifndef MLOG_CHECKPOINT_H
#define MLOG_CHECKPOINT_H

#include "ident/ident.h"
#include "mlog/log_id.h"

enum { CHECKPOINT_MAX = 1024 };

struct checkpoint {
    struct log_id log;
    uint64_t size;
    struct hash root;
    int64_t at_ms; /* the signer's clock */
};

/* Appends the signed note. ERR_INVALID: a size, code or time that no note can
 * hold; ERR_DENIED: the signer is not the log's origin. */
MUST_USE enum err checkpoint_sign(const struct checkpoint *cp,
                                  const char *federation, enum suite suite,
                                  const struct identity *signer,
                                  struct buf *note);
/* Reads the fields without checking the signature. ERR_INVALID. */
MUST_USE enum err checkpoint_parse(struct slice note, const char *federation,
                                   struct checkpoint *out);
/* Parses, and checks the signature by the certificate of the log's origin.
 * ERR_INVALID, ERR_BAD_SIGNATURE, ERR_DENIED (certificate of another node).
 * After an error *out means nothing. */
MUST_USE enum err checkpoint_verify(struct slice note, const char *federation,
                                    enum suite suite, const struct cert *cert,
                                    struct checkpoint *out);

#endif
