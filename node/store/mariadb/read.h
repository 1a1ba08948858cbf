/* read.h - private to the backend: reads of struct backend, as it
 * says. */
#ifndef STORE_MARIADB_READ_H
#define STORE_MARIADB_READ_H

#include "store/mariadb/mariadb.h"

/* The connections that read, of an open database. */
struct mdb_pool *mdb_pool_of(void *db);

MUST_USE enum err mdb_blocks(void *db, uint32_t log, uint64_t from, bool bulk,
                             backend_block_fn *fn, void *ctx,
                             struct errmsg *why);
MUST_USE enum err mdb_blocks_at(void *db, const struct entry_place *places,
                                size_t n, backend_place_fn *fn, void *ctx,
                                struct errmsg *why);
MUST_USE enum err mdb_node(void *db, uint32_t log, unsigned level,
                           uint64_t index, struct hash *out,
                           struct errmsg *why);
MUST_USE enum err mdb_rows(void *db, uint8_t generation,
                           const struct row_key *const *keys, size_t n,
                           struct row *const *out, struct errmsg *why);
MUST_USE enum err mdb_rows_of(void *db, uint8_t generation,
                              const struct subject_key *subject, bool now,
                              backend_row_fn *fn, void *ctx,
                              struct errmsg *why);
MUST_USE enum err mdb_list_rows(void *db, uint8_t generation,
                                const struct subject_key *subjects, size_t n,
                                bool now, backend_list_row_fn *fn, void *ctx,
                                struct errmsg *why);
MUST_USE enum err mdb_part(void *db, uint32_t log, enum log_part part,
                           struct buf *out, struct errmsg *why);
MUST_USE enum err mdb_parts(void *db, enum log_part part, backend_part_fn *fn,
                            void *ctx, struct errmsg *why);
MUST_USE enum err mdb_changes(void *db, uint64_t since, backend_change_fn *fn,
                              void *ctx, struct errmsg *why);
MUST_USE enum err mdb_meta(void *db, enum meta meta, struct buf *out,
                           struct errmsg *why);
MUST_USE enum err mdb_issues(void *db, uint8_t generation, uint32_t log,
                             uint64_t number, backend_issue_fn *fn, void *ctx,
                             struct errmsg *why);
MUST_USE enum err mdb_salvage(void *db, uint64_t from, backend_salvage_fn *fn,
                              void *ctx, struct errmsg *why);
MUST_USE enum err mdb_source(void *db, const uint8_t name[SOURCE_LEN],
                             struct buf *out, struct errmsg *why);
MUST_USE enum err mdb_sources(void *db, backend_source_fn *fn, void *ctx,
                              struct errmsg *why);
MUST_USE enum err mdb_check(void *db, struct buf *cursor, struct errmsg *why);

#endif
