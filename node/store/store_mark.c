#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/store_impl.h"

/* u8 state, id, u64 at_ms, the rest is `where`. */

static void mark_put(const struct mark *mark, struct buf *out)
{
    if (mark->state != MARK_NONE) {
        buf_put_u8(out, (uint8_t)mark->state);
        buf_put(out, mark->id, MARK_ID_LEN);
        buf_put_u64(out, (uint64_t)mark->at_ms);
        buf_put_str(out, mark->where);
    }
}

static bool mark_get(struct slice value, struct mark *out)
{
    struct reader r = reader_of(value);
    uint8_t state = reader_u8(&r);
    struct slice id = reader_bytes(&r, MARK_ID_LEN);
    out->at_ms = (int64_t)reader_u64(&r);
    struct slice where = reader_bytes(&r, reader_left(&r));
    if (r.bad || (state != MARK_COPY && state != MARK_MOVED)) {
        return false;
    }
    out->state = (enum mark_state)state;
    memcpy(out->id, id.data, MARK_ID_LEN);
    (void)snprintf(out->where, sizeof out->where, "%.*s", (int)where.len,
                   (const char *)where.data);
    return true;
}

enum err mark_load(struct store *s, struct mark *out, struct errmsg *why)
{
    struct buf value = BUF_INIT;
    *out = (struct mark){.state = MARK_NONE};
    enum err err = s->backend->meta(s->db, META_MARK, &value, why);
    if (err == ERR_OK && !mark_get(buf_slice(&value), out)) {
        err = err_set(why, ERR_CORRUPT,
                      "store %s: the mark of a move cannot be read",
                      s->conf.path);
    }
    buf_fini(&value);
    return err;
}

enum err mark_write(struct store *s, const struct mark *mark,
                    struct errmsg *why)
{
    struct buf value = BUF_INIT;
    void *batch = s->backend->batch_new(s->db);
    mark_put(mark, &value);
    s->backend->put_meta(batch, META_MARK, buf_slice(&value));
    buf_clear(&value);
    identity_encode(s, mark->state != MARK_NONE, &value);
    s->backend->put_meta(batch, META_IDENTITY, buf_slice(&value));
    enum err err = writer_commit(s, batch, why);
    s->backend->batch_free(batch);
    buf_fini(&value);
    if (err == ERR_OK) {
        s->mark = *mark;
    }
    return err;
}

static void format_time(int64_t at_ms, char *out, size_t cap)
{
    struct tm tm;
    time_t t = (time_t)(at_ms / 1000);
    if (gmtime_r(&t, &tm) == NULL ||
        strftime(out, cap, "%Y-%m-%d %H:%M UTC", &tm) == 0) {
        out[0] = 0;
    }
}

enum err mark_refuse(struct store *s, struct errmsg *why)
{
    const struct mark *m = &s->mark;
    char at[sizeof "2026-01-01 00:00 UTC +"];
    format_time(m->at_ms, at, sizeof at);
    switch (m->state) {
    case MARK_COPY:
        return err_set(why, ERR_CONF,
                       "store %s is an unfinished copy of %.160s, begun %s: "
                       "run `creditnode store copy` again until it says that "
                       "the store has moved",
                       s->conf.path, m->where, at);
    case MARK_MOVED:
        return err_set(why, ERR_CONF,
                       "store %s was moved to %.160s on %s: start the node "
                       "with that configuration; what is here may be removed",
                       s->conf.path, m->where, at);
    case MARK_NONE:
        break;
    }
    return ERR_OK;
}
