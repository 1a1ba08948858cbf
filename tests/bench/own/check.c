/* Query/Check of many subjects at once. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pb.h"
#include "base/str.h"
#include "client.h"

enum { CODES_BYTES_MAX = 1 << 20, WARM_UP = 2 };

/* One code a line, as a CheckRequest. */
static void render(const char *path, struct buf *request)
{
    struct buf codes = BUF_INIT;
    struct errmsg why;
    struct slice line;
    if (file_read(path, CODES_BYTES_MAX, &codes, &why) != ERR_OK) {
        own_die("%s", why.text);
    }
    struct slice rest = buf_slice(&codes);
    while (str_next_line(&rest, &line)) {
        pb_put_bytes(request, 1, line);
    }
    buf_fini(&codes);
}

static uint64_t count_hits(struct slice reply)
{
    struct reader r = reader_of(reply);
    struct pb_field f;
    uint64_t hits = 0;
    while (pb_next(&r, &f)) {
        hits += f.number == 1;
        if (f.number == 4) {
            own_die("a subject is no credit code");
        }
    }
    return hits;
}

void own_check(struct options *opt)
{
    struct buf all = BUF_INIT;
    struct buf request = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct buf line = BUF_INIT;
    double *ms = mem_alloc(opt->rows * sizeof *ms);
    uint64_t hits = 0;
    own_open(opt);
    struct rpc_channel *channel = own_connect(opt, opt->server);
    render(opt->files[0], &all);
    for (uint64_t i = 0; i < opt->rows + WARM_UP; i++) {
        buf_put_slice(&request, buf_slice(&all));
        int64_t from = clock_mono_ns();
        if (own_call(channel, "/creditnode.query.v1.Query/Check", &request,
                     &reply) != ERR_OK) {
            own_die("a check was refused");
        }
        if (i >= WARM_UP) {
            ms[i - WARM_UP] = bench_seconds(from, clock_mono_ns()) * 1e3;
        }
        hits = count_hits(buf_slice(&reply));
    }
    if (hits != opt->subjects) {
        own_die("%llu subjects are listed, not %llu", (unsigned long long)hits,
                (unsigned long long)opt->subjects);
    }
    bench_json_begin(&line, opt->bench, "own");
    bench_json_number(&line, "hits", (double)hits);
    bench_json_times(&line, "", ms, opt->rows);
    bench_json_end(&line);
    rpc_channel_close(&channel);
    own_close(opt);
    mem_free(ms);
    buf_fini(&all);
    buf_fini(&request);
    buf_fini(&reply);
}
