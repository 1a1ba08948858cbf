#include "sync/source.h"

#include "base/mem.h"

enum { TRIES = 8 }; /* a commit may come between two reads */

void source_init(struct source *s, const char *federation)
{
    *s = (struct source){
        .federation = federation,
        .refs = mem_zalloc(SOURCE_BLOCKS_MAX, sizeof(struct block_ref)),
    };
}

void source_fini(struct source *s)
{
    buf_fini(&s->blocks);
    buf_fini(&s->bridge);
    buf_fini(&s->note);
    buf_fini(&s->chain);
    mem_free(s->refs);
    s->refs = NULL;
}

static uint32_t raw_len(const struct source *s, const struct block_ref *ref)
{
    return be_get32(s->blocks.data + ref->offset + 2);
}

/* The receiver bounds entries and unpacked bytes, so the segment is cut. */
static void cut(struct source *s)
{
    size_t entries = 0;
    size_t raw = 0;
    size_t n = 0;
    for (; n < s->refs_count; n++) {
        entries += s->refs[n].count;
        raw += raw_len(s, &s->refs[n]);
        if (n > 0 && (entries > SEGMENT_ENTRIES_MAX || raw > WIRE_RAW_MAX)) {
            break;
        }
    }
    s->refs_count = n;
    const struct block_ref *last = &s->refs[n - 1];
    s->end = last->first + last->count - 1;
    s->blocks.len = last->offset + last->len;
}

static enum err build_bridge(struct source *s, struct store *store)
{
    buf_clear(&s->bridge);
    if (s->end == s->head.newest.size) {
        return ERR_OK;
    }
    struct tree_view view = store_view(store, &s->head);
    enum err err = tree_bridge(&view, s->end, s->head.newest.size, &s->proof);
    if (err == ERR_OK) {
        bridge_put(&s->bridge, &s->proof);
    }
    return err;
}

enum err source_read(struct source *s, struct store *store,
                     const struct log_id *log, uint64_t from, uint64_t last,
                     size_t max_bytes)
{
    enum err err = store_head(store, log, &s->head);
    if (err != ERR_OK) {
        return err;
    }
    last = last < s->head.frontier.size ? last : s->head.frontier.size;
    if (from == 0 || from > last) {
        return ERR_NOT_FOUND;
    }
    buf_clear(&s->blocks);
    err = store_blocks(store, log, from, last, max_bytes, &s->blocks, s->refs,
                       SOURCE_BLOCKS_MAX, &s->refs_count);
    if (err != ERR_OK) {
        return err;
    }
    if (s->refs_count == 0) {
        return ERR_NOT_FOUND;
    }
    cut(s);
    if (s->end > s->head.frontier.size) {
        /* A merged block reaches past the head read before it. */
        err = store_head(store, log, &s->head);
    }
    return err == ERR_OK ? build_bridge(s, store) : err;
}

static bool same_head(const struct checkpoint *a, const struct checkpoint *b)
{
    return a->size == b->size && a->at_ms == b->at_ms &&
           hash_eq(&a->root, &b->root);
}

enum err source_head(struct store *store, const char *federation,
                     const struct log_id *log, struct store_head *head,
                     struct buf *note, struct buf *chain)
{
    struct checkpoint signed_head;
    enum err err = ERR_OK;
    bool same = false;
    for (unsigned i = 0; i < TRIES && err == ERR_OK && !same; i++) {
        buf_clear(note);
        buf_clear(chain);
        err = store_head(store, log, head);
        if (err == ERR_OK) {
            err = store_note(store, log, note, chain);
        }
        if (err == ERR_OK) {
            err = checkpoint_parse(buf_slice(note), federation, &signed_head);
            same = err == ERR_OK && same_head(&signed_head, &head->newest);
        }
    }
    return err;
}

enum err source_read_note(struct source *s, struct store *store)
{
    for (unsigned i = 0; i < TRIES; i++) {
        struct checkpoint signed_head;
        buf_clear(&s->note);
        buf_clear(&s->chain);
        enum err err = store_note(store, &s->head.log, &s->note, &s->chain);
        if (err == ERR_OK) {
            err = checkpoint_parse(buf_slice(&s->note), s->federation,
                                   &signed_head);
        }
        if (err != ERR_OK || same_head(&signed_head, &s->head.newest)) {
            return err;
        }
        /* A commit came between: the bridge must lead to its head. */
        err = store_head(store, &s->head.log, &s->head);
        if (err == ERR_OK) {
            err = build_bridge(s, store);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_BUSY;
}

struct wire_segment_out source_segment(const struct source *s, bool note,
                                       bool chain)
{
    struct slice none = slice_of(NULL, 0);
    return (struct wire_segment_out){
        .log = s->head.log,
        .blocks = &s->blocks,
        .refs = s->refs,
        .refs_count = s->refs_count,
        .note = note ? buf_slice(&s->note) : none,
        .bridge = buf_slice(&s->bridge),
        .chain = chain ? buf_slice(&s->chain) : none,
    };
}
