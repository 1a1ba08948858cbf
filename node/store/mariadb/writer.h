/* writer.h - private to the backend: the connection that writes,
 * and the right to. Threads: one, the store's writer, or who opens it. */
#ifndef STORE_MARIADB_WRITER_H
#define STORE_MARIADB_WRITER_H

#include <stdatomic.h>

#include "store/mariadb/batch.h"

struct mdb_writer;
/* Without a connection yet. `conf` and `writes_to`, which it fills in, outlive
 * it. */
struct mdb_writer *mdb_writer_new(const struct store_conf *conf,
                                  struct mdb_target *writes_to);
void mdb_writer_free(struct mdb_writer **writer);
/* Takes the folder at `path`, unless it has it, connects, and claims the
 * database for `instance` (`reopened` by the same store). Again: on a new
 * connection, under a new claim; what the one before has not committed by then
 * comes to nothing. The folder stays taken when the server does not let itself
 * be written to: nobody else writes in the meantime. Errors: backend.open. */
MUST_USE enum err mdb_writer_open(struct mdb_writer *w,
                                  const struct store_conf *now,
                                  struct errmsg *why);
/* Folder of the server's data; "" unless it runs on this machine. Open. */
const char *mdb_writer_datadir(const struct mdb_writer *writer);
/* backend.commit. Connects again if need be. */
MUST_USE enum err mdb_writer_commit(struct mdb_writer *w,
                                    struct mdb_batch *batch,
                                    struct errmsg *why);

#endif
