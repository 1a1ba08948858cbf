/* client.h - private to bench_client: connections, calls and the commands.
 *
 * Everything is rendered before the clock starts, so the client's share of
 * the time is that of sending. A failure ends the program: a benchmark that
 * mends errors measures something else. */
#ifndef BENCH_OWN_CLIENT_H
#define BENCH_OWN_CLIENT_H

#include "measure.h"
#include "mlog/log_id.h"
#include "rpc/rpc.h"
#include "run/rows.h"

enum {
    OWN_THREADS_MAX = 64,
    OWN_FILES_MAX = 16,
    OWN_CALL_MS = 60000,
};

/* An entry that must be found at the sink: then everything before it is
 * there too, verified and indexed. */
struct goal {
    char log[LOG_ID_TEXT_MAX];
    uint64_t number;
};

struct options {
    const char *server;               /* HOST:PORT to write to or ask */
    const char *sink;                 /* HOST:PORT where the rows must arrive */
    const char *certs;                /* folder of app.pem, app.key, ca.pem */
    const char *node;                 /* the creditnode program, for imports */
    const char *confs[OWN_FILES_MAX]; /* imports: of the nodes */
    size_t conf_count;
    const char *files[OWN_FILES_MAX]; /* one for each configuration */
    size_t file_count;
    struct goal goals[OWN_FILES_MAX];
    size_t goal_count;
    const char *bench;
    uint64_t rows;
    uint64_t first;
    uint64_t threads;
    uint64_t subjects;
    uint64_t seconds;
    struct bench_cpu cpu;
    struct tls_material tls;
    struct rpc *rpc;
};

_Noreturn void own_die(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Opens opt->rpc with the certificate of opt->certs. */
void own_open(struct options *opt);
void own_close(struct options *opt);
struct rpc_channel *own_connect(struct options *opt, const char *address);
/* One call, emptying `request`; the reply replaces what `reply` held. */
enum err own_call(struct rpc_channel *channel, const char *path,
                  struct buf *request, struct buf *reply);
/* The request of Ingest/Submit for one row. */
void own_render(struct buf *request, const struct bench_row *row);
/* One row entered; where it went. */
struct own_place {
    uint8_t record_key[16];
    struct goal at;
};
/* Ends the program if the row is not new. */
void own_submit(struct rpc_channel *channel, struct buf *request,
                struct buf *reply, struct own_place *out);
/* Returns when every goal is found at the sink. `patient`: the sink may not
 * run yet. */
void own_wait(struct rpc_channel *sink, const struct goal *goals, size_t count,
              bool patient);
/* Asks the sink for a sample of the rows by their subjects, and looks for the
 * content: a node that lost rows has no figure. */
void own_check_rows(struct rpc_channel *sink, const struct options *opt);
void own_print_load(const struct options *opt, double accepted_s,
                    double arrived_s, double *accept_ms, size_t accept_count);

/* The commands; each prints its lines of JSON. */

/* One row a call from many clients, timed until the sink has them all. */
void own_singles(struct options *opt);
/* Files by `creditnode import`, one process each, timed in the same way. */
void own_import(struct options *opt);
/* One row at a time: answered here, then found at the sink. */
void own_latency(struct options *opt);
/* Empty calls and queries by subject over one connection. */
void own_point(struct options *opt);
/* Query/Check of the subjects in a file, `rows` times; `subjects` of them are
 * listed. */
void own_check(struct options *opt);
/* Until the goals are found at a sink that may not run yet. */
void own_arrival(struct options *opt);

#endif
