#include "sync/listframe.h"

#include <string.h>

#include "sync/listfile.h"

enum { MAGIC_LEN = sizeof LISTFILE_MAGIC - 1, LENGTH_LEN = 4 };

/* How long the piece at the front is, once that can be told; it may be longer
 * than `rest`. ERR_INVALID: no such piece. */
static enum err measure(const struct listframe *f, struct slice rest,
                        size_t *len, struct errmsg *why)
{
    if (f->ended) {
        return err_set(why, ERR_INVALID, "something follows the end");
    }
    *len = f->begun ? LENGTH_LEN : MAGIC_LEN;
    if (!f->begun) {
        size_t n = rest.len < MAGIC_LEN ? rest.len : MAGIC_LEN;
        return memcmp(rest.data, LISTFILE_MAGIC, n) == 0
                   ? ERR_OK
                   : err_set(why, ERR_INVALID, "is no export of directives");
    }
    if (rest.len >= LENGTH_LEN) {
        *len += be_get32(rest.data);
    }
    return *len - LENGTH_LEN <= LISTFRAME_MAX
               ? ERR_OK
               : err_set(why, ERR_INVALID, "a part is larger than %d bytes",
                         LISTFRAME_MAX);
}

static enum err take(struct listframe *f, struct slice piece, listframe_fn *fn,
                     void *ctx, struct errmsg *why)
{
    if (!f->begun) {
        f->begun = true;
        return ERR_OK;
    }
    f->ended = piece.len == LENGTH_LEN;
    return f->ended
               ? ERR_OK
               : fn(ctx,
                    slice_of(piece.data + LENGTH_LEN, piece.len - LENGTH_LEN),
                    why);
}

enum err listframe_feed(struct listframe *f, struct slice bytes,
                        listframe_fn *fn, void *ctx, struct errmsg *why)
{
    enum err err = ERR_OK;
    size_t len = 0;
    buf_put_slice(&f->bytes, bytes);
    struct slice rest = buf_slice(&f->bytes);
    while (rest.len > 0 && (err = measure(f, rest, &len, why)) == ERR_OK &&
           len <= rest.len &&
           (err = take(f, slice_of(rest.data, len), fn, ctx, why)) == ERR_OK) {
        rest = slice_of(rest.data + len, rest.len - len);
    }
    if (err == ERR_OK) {
        memmove(f->bytes.data, rest.data, rest.len);
        f->bytes.len = rest.len;
    }
    return err;
}

void listframe_fini(struct listframe *f)
{
    buf_fini(&f->bytes);
}
