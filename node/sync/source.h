/* source.h - segments read from the store, ready to be sent (private to sync).
 *
 * One object is one set of buffers, used again for each segment. */
#ifndef SYNC_SOURCE_H
#define SYNC_SOURCE_H

#include "store/store.h"
#include "sync/wire.h"

enum { SOURCE_BLOCKS_MAX = 2048 };

struct source {
    const char *federation;
    struct store_head head;
    uint64_t end; /* number of the segment's last entry */
    struct buf blocks;
    struct block_ref *refs;
    size_t refs_count;
    struct bridge proof;
    struct buf bridge; /* empty if the segment ends at the signed head */
    struct buf note;
    struct buf chain;
};

/* `federation` is borrowed. */
void source_init(struct source *source, const char *federation);
void source_fini(struct source *source);
/* Reads blocks of `log` from entry `from` to at most `last` and the head, and
 * builds the bridge between; `max_bytes` bounds the blocks unless one alone is
 * larger. ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO. */
MUST_USE enum err source_read(struct source *source, struct store *store,
                              const struct log_id *log, uint64_t from,
                              uint64_t last, size_t max_bytes);
/* Note and chain of the newest head; it and the bridge move along. ERR_BUSY:
 * commits overtook it, one more comes. */
MUST_USE enum err source_read_note(struct source *source, struct store *store);
/* A log's head, its note and chain, of one commit; `federation` is the note's.
 * Of two commits only if one follows the other without a pause. */
MUST_USE enum err source_head(struct store *store, const char *federation,
                              const struct log_id *log, struct store_head *head,
                              struct buf *note, struct buf *chain);
/* The segment as a message's part; `note`, `chain`: include them. */
struct wire_segment_out source_segment(const struct source *source, bool note,
                                       bool chain);

#endif
