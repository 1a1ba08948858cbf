/* batch.h - private to the backend: what a commit is to write.
 * The first group are functions of struct backend, as it says. */
#ifndef STORE_MARIADB_BATCH_H
#define STORE_MARIADB_BATCH_H

#include "store/mariadb/mariadb.h"

struct mdb_batch;
void *mdb_batch_new(void *db);
void mdb_batch_free(void *batch);
size_t mdb_batch_count(void *batch);
void mdb_put_block(void *batch, uint32_t log, uint64_t first,
                   struct slice block);
void mdb_put_node(void *batch, uint32_t log, unsigned level, uint64_t index,
                  const struct hash *hash);
void mdb_cut_log(void *batch, uint32_t log, uint64_t first, uint64_t size);
void mdb_put_part(void *batch, uint32_t log, enum log_part part,
                  struct slice value);
void mdb_put_meta(void *batch, enum meta meta, struct slice value);
void mdb_put_row(void *batch, uint8_t generation, const struct row *row);
void mdb_put_new_row(void *batch, uint8_t generation, const struct row *row);
void mdb_del_row(void *batch, uint8_t generation, const struct row_key *key);
void mdb_put_list_row(void *batch, uint8_t generation,
                      const struct list_row *row);
void mdb_del_list_row(void *batch, uint8_t generation,
                      const struct list_row *row);
void mdb_put_issue(void *batch, uint8_t generation, uint32_t log,
                   uint64_t number, uint8_t reason);
void mdb_del_issue(void *batch, uint8_t generation, uint32_t log,
                   uint64_t number);
void mdb_drop_index(void *batch, uint8_t generation);
void mdb_put_salvage(void *batch, uint64_t seq, struct slice entry);
void mdb_del_salvage(void *batch, uint64_t seq);
void mdb_put_source(void *batch, const uint8_t name[SOURCE_LEN],
                    struct slice value);

/* Beside its rows. */
struct mdb_intent {
    bool moves; /* META_SERIAL to `serial` */
    uint64_t serial;
    uint8_t drop[4]; /* generations */
    size_t drop_n;
};
const struct mdb_intent *mdb_batch_intent(const struct mdb_batch *batch);
/* Nothing more comes into it. Before it is written; may be called again. */
void mdb_batch_close(struct mdb_batch *batch);
/* All its rows, table by table, within the transaction of the connection. */
MUST_USE enum err mdb_batch_write(struct mdb_conn *c,
                                  const struct mdb_batch *batch,
                                  struct errmsg *why);

#endif
