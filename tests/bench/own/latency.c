#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "client.h"

enum {
    POLL_US = 150,
    POLL_GIVE_UP_S = 30,
    WARM_UPS = 10,
};

static int64_t wait_until_visible(struct rpc_channel *sink, const char *code,
                                  const struct own_place *place,
                                  int64_t since_ns)
{
    struct buf reply = BUF_INIT;
    for (;;) {
        struct buf request = BUF_INIT;
        pb_put_str(&request, 1, code);
        pb_put_bytes(&request, 2,
                     slice_of(place->record_key, sizeof place->record_key));
        enum err err = own_call(sink, "/creditnode.query.v1.Query/Record",
                                &request, &reply);
        int64_t now_ns = clock_mono_ns();
        if (err == ERR_OK) {
            buf_fini(&reply);
            return now_ns;
        }
        if (bench_seconds(since_ns, now_ns) > POLL_GIVE_UP_S) {
            own_die("a record is not found after %d s", POLL_GIVE_UP_S);
        }
        usleep(POLL_US);
    }
}

static void print_latency(const struct options *opt, double *accept_ms,
                          double *visible_ms)
{
    struct buf line;
    bench_json_begin(&line, opt->bench, "own");
    bench_json_number(&line, "rows", (double)opt->rows);
    bench_json_times(&line, "", visible_ms, opt->rows);
    bench_json_times(&line, "accept_", accept_ms, opt->rows);
    bench_json_end(&line);
}

void own_latency(struct options *opt)
{
    own_open(opt);
    struct rpc_channel *village = own_connect(opt, opt->server);
    struct rpc_channel *province = own_connect(opt, opt->sink);
    struct buf request = BUF_INIT;
    struct buf reply = BUF_INIT;
    uint64_t pause = opt->first;
    double *accept_ms = mem_zalloc(opt->rows, sizeof *accept_ms);
    double *visible_ms = mem_zalloc(opt->rows, sizeof *visible_ms);
    for (uint64_t i = 0; i < opt->rows + WARM_UPS; i++) {
        struct bench_row row;
        struct own_place place;
        bench_row_make(opt->first + i, opt->subjects, &row);
        own_render(&request, &row);
        int64_t start_ns = clock_mono_ns();
        own_submit(village, &request, &reply, &place);
        int64_t accepted_ns = clock_mono_ns();
        int64_t visible_ns =
            wait_until_visible(province, row.code, &place, accepted_ns);
        if (i >= WARM_UPS) {
            accept_ms[i - WARM_UPS] =
                bench_seconds(start_ns, accepted_ns) * 1e3;
            visible_ms[i - WARM_UPS] =
                bench_seconds(accepted_ns, visible_ns) * 1e3;
        }
        /* 20 to 30 ms apart, in step with nothing. */
        usleep(20000 + (useconds_t)(bench_random(&pause) % 10000));
    }
    print_latency(opt, accept_ms, visible_ms);
    buf_fini(&reply);
    rpc_channel_close(&village);
    rpc_channel_close(&province);
    own_close(opt);
    mem_free(accept_ms);
    mem_free(visible_ms);
}
