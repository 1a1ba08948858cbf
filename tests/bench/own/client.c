#include "client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"

enum {
    LOOK_US = 2000,
    GIVE_UP_S = 900,
    SAMPLE_ROWS = 50,
    REMARK_LEN = 48, /* random digits at the end of a row */
};

void own_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("bench_client: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

/* ---- connections ---- */

void own_open(struct options *opt)
{
    struct errmsg why = {{0}};
    struct buf ca = BUF_INIT;
    struct buf cert = BUF_INIT;
    struct buf key = BUF_INIT;
    struct rpc_conf conf = rpc_conf_default();
    buf_putf(&ca, "%s/ca.pem", opt->certs);
    buf_putf(&cert, "%s/app.pem", opt->certs);
    buf_putf(&key, "%s/app.key", opt->certs);
    if (tls_material_load(&opt->tls, buf_cstr(&ca), buf_cstr(&cert),
                          buf_cstr(&key), &why) != ERR_OK ||
        rpc_open(&opt->rpc, &conf, &why) != ERR_OK) {
        own_die("%s", why.text);
    }
    buf_fini(&ca);
    buf_fini(&cert);
    buf_fini(&key);
}

void own_close(struct options *opt)
{
    rpc_close(&opt->rpc);
    tls_material_fini(&opt->tls);
}

static const struct tls_material *get_tls(void *ctx, uint64_t *generation)
{
    *generation = 1;
    return ctx;
}

struct rpc_channel *own_connect(struct options *opt, const char *address)
{
    struct errmsg why = {{0}};
    struct rpc_tls tls = {.get = get_tls, .ctx = &opt->tls};
    struct rpc_channel *channel = NULL;
    if (rpc_channel_open(&channel, opt->rpc, address, &tls, NULL, &why) !=
        ERR_OK) {
        own_die("%s", why.text);
    }
    return channel;
}

static enum err call(struct rpc_channel *channel, const char *path,
                     struct buf *request, struct buf *reply, struct errmsg *why)
{
    buf_clear(reply);
    return rpc_unary_wait(channel, path, request, OWN_CALL_MS, reply, why);
}

enum err own_call(struct rpc_channel *channel, const char *path,
                  struct buf *request, struct buf *reply)
{
    struct errmsg why = {{0}};
    enum err err = call(channel, path, request, reply, &why);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        own_die("%s: %s", path, why.text);
    }
    return err;
}

/* ---- entering ---- */

void own_render(struct buf *request, const struct bench_row *row)
{
    struct buf csv = BUF_INIT;
    buf_putf(&csv, "%s\n", bench_csv_header);
    buf_put(&csv, row->csv, row->csv_len);
    buf_put_str(&csv, "\n");
    pb_put_bytes(request, 1, buf_slice(&csv));
    buf_fini(&csv);
}

static void read_row(struct slice bytes, struct own_place *out)
{
    struct reader r = reader_of(bytes);
    struct pb_field f;
    bool fresh = false;
    while (pb_next(&r, &f)) {
        if (f.number == 2) {
            fresh = slice_eq(f.bytes, slice_str("new"));
        } else if (f.number == 3 && f.bytes.len == sizeof out->record_key) {
            memcpy(out->record_key, f.bytes.data, f.bytes.len);
        } else if (f.number == 4) {
            snprintf(out->at.log, sizeof out->at.log, "%.*s", (int)f.bytes.len,
                     (const char *)f.bytes.data);
        } else if (f.number == 5) {
            out->at.number = f.value;
        }
    }
    if (r.bad || !fresh || out->at.number == 0) {
        own_die("a row was not taken as a new record");
    }
}

void own_submit(struct rpc_channel *channel, struct buf *request,
                struct buf *reply, struct own_place *out)
{
    struct pb_field f;
    *out = (struct own_place){.at = {.number = 0}};
    if (own_call(channel, "/creditnode.ingest.v1.Ingest/Submit", request,
                 reply) != ERR_OK) {
        own_die("Submit is not there");
    }
    struct reader r = reader_of(buf_slice(reply));
    if (!pb_next(&r, &f) || f.number != 1) {
        own_die("an answer without a row");
    }
    read_row(f.bytes, out);
}

/* ---- at the sink ---- */

static enum err look(struct rpc_channel *sink, const struct goal *goal,
                     struct buf *reply, struct errmsg *why)
{
    struct buf request = BUF_INIT;
    pb_put_str(&request, 3, goal->log);
    pb_put_u64(&request, 4, goal->number);
    return call(sink, "/creditnode.query.v1.Query/Record", &request, reply,
                why);
}

void own_wait(struct rpc_channel *sink, const struct goal *goals, size_t count,
              bool patient)
{
    struct buf reply = BUF_INIT;
    int64_t give_up_ms = clock_mono_ms() + GIVE_UP_S * 1000;
    for (size_t i = 0; i < count;) {
        struct errmsg why = {{0}};
        enum err err = look(sink, &goals[i], &reply, &why);
        /* ERR_INVALID: it is there and no record, but an entry of keys. */
        if (err == ERR_OK || err == ERR_INVALID) {
            i++;
            continue;
        }
        if (err == ERR_UNAVAILABLE && patient) {
            rpc_channel_reset(sink);
        } else if (err != ERR_NOT_FOUND) {
            own_die("looking at the sink: %s", why.text);
        }
        if (clock_mono_ms() > give_up_ms) {
            own_die("entry %llu of %s has not arrived after %d s",
                    (unsigned long long)goals[i].number, goals[i].log,
                    GIVE_UP_S);
        }
        usleep(LOOK_US);
    }
    buf_fini(&reply);
}

void own_check_rows(struct rpc_channel *sink, const struct options *opt)
{
    struct buf reply = BUF_INIT;
    uint64_t seed = opt->first;
    for (int i = 0; i < SAMPLE_ROWS; i++) {
        struct bench_row row;
        struct buf request = BUF_INIT;
        uint64_t number = opt->first + bench_random(&seed) % opt->rows;
        bench_row_make(number, opt->subjects, &row);
        pb_put_str(&request, 1, row.code);
        enum err err = own_call(sink, "/creditnode.query.v1.Query/Subject",
                                &request, &reply);
        if (err != ERR_OK || reply.len == 0 ||
            memmem(reply.data, reply.len, row.csv + row.csv_len - REMARK_LEN,
                   REMARK_LEN) == NULL) {
            own_die("row %llu of %s is not found at the sink",
                    (unsigned long long)number, row.code);
        }
    }
    buf_fini(&reply);
}

void own_print_load(const struct options *opt, double accepted_s,
                    double arrived_s, double *accept_ms, size_t accept_count)
{
    struct buf line;
    double rows = (double)opt->rows;
    bench_json_begin(&line, opt->bench, "own");
    bench_json_number(&line, "rows", rows);
    bench_json_number(&line, "seconds", arrived_s);
    bench_json_number(&line, "rows_per_s", rows / arrived_s);
    bench_json_number(&line, "accepted_rows_per_s", rows / accepted_s);
    bench_json_cpu(&line, &opt->cpu, rows);
    if (accept_count > 0) {
        bench_json_times(&line, "accept_", accept_ms, accept_count);
    }
    bench_json_end(&line);
}
