/* err.h - one set of error codes for programs, one line of text for people.
 *
 * Every function that can fail returns MUST_USE enum err. Where a person waits
 * for the result it also fills a struct errmsg with one line naming the
 * object: file and line, peer, key. Rows: err.def. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum err {
#define ERR(name, text, grpc, http, cls) ERR_##name,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

enum err_class {
    ERR_CLASS_NOW,   /* retry at once */
    ERR_CLASS_LATER, /* retry with backoff */
    ERR_CLASS_NEVER, /* the caller must change something first */
    ERR_CLASS_BUG,   /* a fault of this program */
};

struct errmsg {
    char text[512];
};

/* Stable upper-case name ("TOO_LARGE"); never NULL. */
const char *err_name(enum err err);
/* Short English text; never NULL. */
const char *err_text(enum err err);
int err_grpc_status(enum err err);
int err_http_status(enum err err);
enum err_class err_class(enum err err);
/* Is it the state of the machine or of a server, and perhaps over in a moment?
 * A read that fails so says nothing about what is stored: it is neither "not
 * there" nor "differs", and is tried again. */
bool err_is_passing(enum err err);
/* The error whose gRPC status is `status`, for answers from other nodes. */
enum err err_from_grpc(int status);
/* Converts errno of a file operation at the place it failed. */
enum err err_from_errno(int errnum);

/* Writes the line and returns `err`, so that callers may `return err_set(…)`.
 * `why` may be NULL. Text that does not fit is cut. */
enum err err_set(struct errmsg *why, enum err err, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#endif
