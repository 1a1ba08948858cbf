#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client.h"

enum {
    POLL_US = 150,
    POLL_GIVE_UP_S = 30,
    WARM_UPS = 10,
};

static MYSQL_STMT *prepare_look(MYSQL *sink, struct image *image, int *found)
{
    static unsigned long origin_len = PEER_ORIGIN_LEN;
    MYSQL_BIND key[2];
    MYSQL_BIND result;
    MYSQL_STMT *look = peer_prepare(
        sink, "SELECT 1 FROM bench.record WHERE origin=? AND seq=?");
    memset(key, 0, sizeof key);
    memset(&result, 0, sizeof result);
    key[0].buffer_type = MYSQL_TYPE_STRING;
    key[0].buffer = image->origin;
    key[0].length = &origin_len;
    key[1].buffer_type = MYSQL_TYPE_LONGLONG;
    key[1].buffer = &image->seq;
    result.buffer_type = MYSQL_TYPE_LONG;
    result.buffer = found;
    if (mysql_stmt_bind_param(look, key) != 0 ||
        mysql_stmt_bind_result(look, &result) != 0) {
        peer_die("bind: %s", mysql_stmt_error(look));
    }
    return look;
}

static int64_t wait_until_visible(MYSQL_STMT *look, int64_t since_ns)
{
    for (;;) {
        peer_execute(look);
        bool hit = mysql_stmt_fetch(look) == 0;
        int64_t now_ns = clock_mono_ns();
        mysql_stmt_free_result(look);
        if (hit) {
            return now_ns;
        }
        if (bench_seconds(since_ns, now_ns) > POLL_GIVE_UP_S) {
            peer_die("a row is not visible after %d s", POLL_GIVE_UP_S);
        }
        usleep(POLL_US);
    }
}

static void print_latency(const struct options *opt, double *accept_ms,
                          double *visible_ms)
{
    struct buf line;
    bench_json_begin(&line, opt->bench, "mariadb");
    bench_json_number(&line, "rows", (double)opt->rows);
    bench_json_times(&line, "", visible_ms, opt->rows);
    bench_json_times(&line, "accept_", accept_ms, opt->rows);
    bench_json_end(&line);
}

void peer_latency(struct options *opt)
{
    MYSQL *village = peer_connect(opt->servers[0]);
    MYSQL *province = peer_connect(opt->sink);
    struct image image;
    int found;
    uint64_t pause = opt->first;
    double *accept_ms = mem_zalloc(opt->rows, sizeof *accept_ms);
    double *visible_ms = mem_zalloc(opt->rows, sizeof *visible_ms);
    MYSQL_STMT *insert = peer_prepare_insert(village);
    MYSQL_STMT *look = prepare_look(province, &image, &found);
    peer_bind_image(insert, &image);
    for (uint64_t i = 0; i < opt->rows + WARM_UPS; i++) {
        peer_make_image(&image, "341802001200", opt->first + i, opt->subjects);
        int64_t start_ns = clock_mono_ns();
        peer_execute(insert);
        int64_t accepted_ns = clock_mono_ns();
        int64_t visible_ns = wait_until_visible(look, accepted_ns);
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
    mysql_stmt_close(insert);
    mysql_stmt_close(look);
    mysql_close(village);
    mysql_close(province);
    mem_free(accept_ms);
    mem_free(visible_ms);
}
