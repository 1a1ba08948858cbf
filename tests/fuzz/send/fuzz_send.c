/* Any bytes as what happens to a sender: logs grow, the parent says what it
 * has, acknowledges, stops and wants; segments go out. Its books always
 * balance: the bytes in flight are the sum of the logs', nothing is sent that
 * is not held unless it was forwarded, and whoever has a turn has work. */
#include "sync/send.h"

#include <string.h>

#include "fuzz/fuzz.h"

enum { LOGS = 5, WINDOW = 4096, SEGMENT = 512, PACE = 20, SIZE_MAX_HERE = 300 };

struct script {
    struct reader r;
    int64_t now_ms;
};

static struct log_id id_of(uint8_t n)
{
    return (struct log_id){.origin = 341821100201,
                           .incarnation = (uint64_t)(n % LOGS) + 1,
                           .kind = LOG_RECORDS};
}

static void check(const struct send *s)
{
    uint64_t in_flight = 0;
    size_t queued = 0;
    for (size_t i = 0; i < s->logs.count; i++) {
        const struct send_log *l = s->logs.item[i];
        in_flight += l->in_flight;
        queued += l->queue != QUEUE_NONE;
        FUZZ_CHECK(l->state == SEND_UNKNOWN || l->sent >= l->acked);
        FUZZ_CHECK(l->queue == QUEUE_NONE || l->state == SEND_LIVE);
        FUZZ_CHECK(!l->barred || l->state != SEND_LIVE);
        FUZZ_CHECK((l->want_first == 0) == (l->want_last == 0));
    }
    FUZZ_CHECK(in_flight == s->in_flight);
    for (int q = 0; q < QUEUES; q++) {
        const struct send_log *last = NULL;
        for (const struct send_log *l = s->queue[q].first; l != NULL;
             l = l->next) {
            FUZZ_CHECK(l->queue == q && queued > 0);
            queued--;
            last = l;
        }
        FUZZ_CHECK(s->queue[q].last == last);
    }
    FUZZ_CHECK(queued == 0);
}

static void pump(struct send *s, uint8_t some)
{
    struct send_job job;
    if (!send_next(s, &job)) {
        return;
    }
    FUZZ_CHECK(job.from >= 1 && job.from <= job.last);
    if (some % 8 == 0) {
        FUZZ_CHECK(send_unreadable(s, &job));
        return;
    }
    uint64_t last = job.from + some % 16;
    send_sent(s, &job, last < job.last ? last : job.last, (size_t)some * 8 + 1);
}

static void happen(struct send *s, struct script *in)
{
    uint8_t what = reader_u8(&in->r);
    struct log_id log = id_of(reader_u8(&in->r));
    uint64_t size = reader_u16(&in->r) % SIZE_MAX_HERE;
    uint8_t some = reader_u8(&in->r);
    bool known;
    switch (what % 12) {
    case 0:
    case 1:
        send_grew(s, &log, size, some % 2 == 0);
        break;
    case 2:
        (void)send_have(s, &log, (enum send_verdict)(some % 4), size);
        break;
    case 3:
        known = send_acked(s, &log, size, 0);
        FUZZ_CHECK(!known || send_find(s, &log) != NULL);
        break;
    case 4:
        send_stop(s, &log);
        break;
    case 5:
        send_restored(s, &log, size, some % 2 == 0);
        break;
    case 6:
        send_bar(s, &log);
        break;
    case 7:
        send_want(s, &log, size, size + some % 8);
        break;
    case 8:
        known = send_forward(s, &log, size, size + some % 8, some);
        FUZZ_CHECK(!known || send_find(s, &log)->sent == size + some % 8);
        break;
    case 9:
        send_named(s, &log, size);
        (void)send_arrived(s, &log);
        break;
    case 10:
        in->now_ms += some;
        send_at(s, in->now_ms);
        break;
    default:
        pump(s, some);
        break;
    }
    if (what >= 250) {
        send_reset(s, WINDOW);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct send s;
    struct script in = {.r = reader_of(slice_of(data, len)), .now_ms = 1};
    send_init(&s, SEGMENT, PACE);
    send_reset(&s, WINDOW);
    send_at(&s, in.now_ms);
    while (reader_left(&in.r) >= 5) {
        happen(&s, &in);
        check(&s);
    }
    send_fini(&s);
    return 0;
}
