#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "client.h"

enum { SAMPLES_MAX = 1 << 18, ROUNDS = 2 };

/* One call in flight, followed by the next. */
struct lane {
    struct phase *phase;
    uint64_t seed;
    int64_t sent_ns;
    uint64_t calls;
    uint64_t rows;
    double *ms;
};

/* Empty calls or queries, until the time is over; or one query for each
 * subject, in turn. */
struct phase {
    const struct options *opt;
    const char *name;
    struct rpc_channel *channel;
    bool queries;
    bool in_turn;
    uint64_t turn; /* lock */
    int64_t end_ns;
    struct lane lanes[OWN_THREADS_MAX];
    double seconds; /* of all rounds */
    size_t running; /* lock */
    pthread_mutex_t lock;
    pthread_cond_t over;
};

static uint64_t count_records(struct slice reply)
{
    struct reader r = reader_of(reply);
    struct pb_field f;
    uint64_t n = 0;
    while (pb_next(&r, &f)) {
        n += f.number == 1;
    }
    return n;
}

static void send_next(struct lane *lane);

/* The subject that comes next; false: the round is over. */
static bool next_subject(struct lane *lane, uint64_t *out)
{
    struct phase *phase = lane->phase;
    uint64_t subjects = phase->opt->subjects;
    if (!phase->in_turn) {
        *out = phase->queries ? bench_random(&lane->seed) % subjects : 0;
        return clock_mono_ns() < phase->end_ns;
    }
    pthread_mutex_lock(&phase->lock);
    *out = phase->turn++;
    pthread_mutex_unlock(&phase->lock);
    return *out < subjects;
}

static void on_answer(void *ctx, enum err err, const char *text,
                      struct slice reply)
{
    struct lane *lane = ctx;
    struct phase *phase = lane->phase;
    int64_t now_ns = clock_mono_ns();
    if (err != ERR_OK) {
        own_die("%s: %s", phase->name, text);
    }
    if (lane->calls < SAMPLES_MAX) {
        lane->ms[lane->calls] = bench_seconds(lane->sent_ns, now_ns) * 1e3;
    }
    lane->calls++;
    lane->rows += phase->queries ? count_records(reply) : 0;
    send_next(lane);
}

static void end_lane(struct phase *phase)
{
    pthread_mutex_lock(&phase->lock);
    phase->running--;
    pthread_cond_signal(&phase->over);
    pthread_mutex_unlock(&phase->lock);
}

static void send_next(struct lane *lane)
{
    struct phase *phase = lane->phase;
    struct buf request = BUF_INIT;
    uint64_t subject;
    if (!next_subject(lane, &subject)) {
        end_lane(phase);
        return;
    }
    if (phase->queries) {
        char code[BENCH_CODE_LEN + 1];
        bench_subject_code(subject, code);
        pb_put_str(&request, 1, code);
    }
    lane->sent_ns = clock_mono_ns();
    rpc_unary(phase->channel,
              phase->queries ? "/creditnode.query.v1.Query/Subject"
                             : "/grpc.health.v1.Health/Check",
              &request, OWN_CALL_MS, on_answer, lane);
}

static void run_round(struct phase *phase)
{
    const struct options *opt = phase->opt;
    int64_t start_ns = clock_mono_ns();
    phase->end_ns = start_ns + (int64_t)opt->seconds * 1000000000;
    phase->running = opt->threads;
    for (uint64_t i = 0; i < opt->threads; i++) {
        send_next(&phase->lanes[i]);
    }
    pthread_mutex_lock(&phase->lock);
    while (phase->running > 0) {
        pthread_cond_wait(&phase->over, &phase->lock);
    }
    pthread_mutex_unlock(&phase->lock);
    phase->seconds += bench_seconds(start_ns, clock_mono_ns());
}

static void phase_init(struct phase *phase, const struct options *opt,
                       struct rpc_channel *channel, const char *name,
                       bool queries)
{
    *phase = (struct phase){
        .opt = opt, .name = name, .channel = channel, .queries = queries};
    pthread_mutex_init(&phase->lock, NULL);
    pthread_cond_init(&phase->over, NULL);
    for (uint64_t i = 0; i < opt->threads; i++) {
        phase->lanes[i] =
            (struct lane){.phase = phase,
                          .seed = i,
                          .ms = mem_zalloc(SAMPLES_MAX, sizeof(double))};
    }
}

/* Asks about every subject once, however long that takes: the peer's pages are
 * all in memory too. Returns how many a second; not counted otherwise. */
static double warm_up(struct phase *phase)
{
    phase->in_turn = true;
    run_round(phase);
    phase->in_turn = false;
    double per_s = (double)phase->opt->subjects / phase->seconds;
    phase->seconds = 0;
    for (uint64_t i = 0; i < phase->opt->threads; i++) {
        phase->lanes[i].calls = 0;
        phase->lanes[i].rows = 0;
    }
    return per_s;
}

/* `first_per_s`: what the warm-up reached; 0: there was none, and one call is
 * like the other. */
static void phase_print(struct phase *phase, double first_per_s)
{
    struct buf line;
    uint64_t calls = 0;
    uint64_t rows = 0;
    size_t samples = 0;
    uint64_t lanes = phase->opt->threads;
    double *ms = mem_zalloc(lanes * SAMPLES_MAX, sizeof *ms);
    for (uint64_t i = 0; i < lanes; i++) {
        struct lane *lane = &phase->lanes[i];
        size_t n = lane->calls < SAMPLES_MAX ? lane->calls : SAMPLES_MAX;
        memcpy(ms + samples, lane->ms, n * sizeof *ms);
        samples += n;
        calls += lane->calls;
        rows += lane->rows;
        mem_free(lane->ms);
    }
    bench_json_begin(&line, phase->opt->bench, phase->name);
    bench_json_number(&line, "in_flight", (double)lanes);
    double per_s = (double)calls / phase->seconds;
    bench_json_number(&line, "queries_per_s", per_s);
    bench_json_number(&line, "first_per_s",
                      first_per_s > 0 ? first_per_s : per_s);
    if (phase->queries) {
        bench_json_number(&line, "rows_per_query",
                          (double)rows / (double)calls);
    }
    bench_json_times(&line, "", ms, samples);
    bench_json_end(&line);
    mem_free(ms);
}

void own_point(struct options *opt)
{
    struct phase *empty = MEM_NEW(struct phase);
    struct phase *query = MEM_NEW(struct phase);
    own_open(opt);
    struct rpc_channel *channel = own_connect(opt, opt->server);
    phase_init(empty, opt, channel, "empty_call", false);
    phase_init(query, opt, channel, "own", true);
    double first_per_s = warm_up(query);
    for (int i = 0; i < ROUNDS; i++) {
        run_round(empty);
        run_round(query);
    }
    phase_print(empty, 0);
    phase_print(query, first_per_s);
    rpc_channel_close(&channel);
    own_close(opt);
    mem_free(empty);
    mem_free(query);
}
