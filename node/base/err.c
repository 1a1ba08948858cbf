#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define CLASS_NOW ERR_CLASS_NOW
#define CLASS_LATER ERR_CLASS_LATER
#define CLASS_NEVER ERR_CLASS_NEVER
#define CLASS_BUG ERR_CLASS_BUG

static const struct {
    const char *name;
    const char *text;
    int grpc;
    int http;
    enum err_class cls;
} rows[ERR_COUNT] = {
#define ERR(name, text, grpc, http, cls)                                       \
    [ERR_##name] = {#name, text, grpc, http, CLASS_##cls},
#include "base/err.def"
#undef ERR
};

const char *err_name(enum err err)
{
    return rows[err].name;
}

const char *err_text(enum err err)
{
    return rows[err].text;
}

int err_grpc_status(enum err err)
{
    return rows[err].grpc;
}

int err_http_status(enum err err)
{
    return rows[err].http;
}

enum err_class err_class(enum err err)
{
    return rows[err].cls;
}

bool err_is_passing(enum err err)
{
    switch (err) {
    case ERR_IO:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_NO_SPACE:
    case ERR_BUSY:
    case ERR_ELSEWHERE:
    case ERR_UNCERTAIN:
        return true;
    default:
        return false;
    }
}

enum err err_from_grpc(int status)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        if (rows[i].grpc == status) {
            return (enum err)i;
        }
    }
    return ERR_UNAVAILABLE;
}

enum err err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return ERR_OK;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EROFS:
        return ERR_NO_SPACE;
    default:
        return ERR_IO;
    }
}

enum err err_set(struct errmsg *why, enum err err, const char *fmt, ...)
{
    if (why != NULL) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(why->text, sizeof why->text, fmt, ap);
        va_end(ap);
    }
    return err;
}
