#include "store/lease_step.h"

enum { LOOKS = 20, BEATS = 6 }; /* within the time of a lapse */

void lease_init(struct lease_machine *m, uint64_t self, uint32_t lapse_ms,
                int64_t now_ms)
{
    *m = (struct lease_machine){
        .self = self, .lapse_ms = lapse_ms, .at_ms = now_ms};
}

enum lease_work lease_begin(struct lease_machine *m, int64_t now_ms)
{
    static const enum lease_work work[] = {[LEASE_WATCHING] = LEASE_READ,
                                           [LEASE_ASKING] = LEASE_TAKE,
                                           [LEASE_HOLDING] = LEASE_BEAT};
    m->sent_ms = now_ms;
    m->seen.beat += m->state == LEASE_HOLDING;
    return work[m->state];
}

static void hold(struct lease_machine *m, int64_t now_ms)
{
    m->state = LEASE_HOLDING;
    m->until_ms = m->sent_ms + m->lapse_ms;
    m->at_ms = now_ms + m->lapse_ms / BEATS;
}

static void watch(struct lease_machine *m, int64_t at_ms)
{
    m->state = LEASE_WATCHING;
    m->until_ms = 0;
    m->at_ms = at_ms;
}

static bool same(const struct lease_row *a, const struct lease_row *b)
{
    return a->term == b->term && a->holder == b->holder && a->beat == b->beat &&
           a->free == b->free;
}

void lease_on_row(struct lease_machine *m, const struct lease_row *row,
                  int64_t now_ms)
{
    if (!m->met || !same(&m->seen, row)) {
        m->since_ms = now_ms;
    }
    m->met = true;
    m->seen = *row;
    if (row->holder == m->self && !row->free) {
        /* Until when follows from the first beat. */
        m->state = LEASE_HOLDING;
        m->until_ms = 0;
        m->at_ms = now_ms;
    } else if (row->free || now_ms - m->since_ms >= m->lapse_ms) {
        m->state = LEASE_ASKING;
        m->at_ms = now_ms;
    } else {
        m->at_ms = now_ms + m->lapse_ms / LOOKS;
    }
}

void lease_on_done(struct lease_machine *m, bool changed, int64_t now_ms)
{
    if (!changed) {
        watch(m, now_ms);
        return;
    }
    if (m->state == LEASE_ASKING) {
        m->seen =
            (struct lease_row){.term = m->seen.term + 1, .holder = m->self};
    }
    hold(m, now_ms);
}

void lease_on_failure(struct lease_machine *m, int64_t now_ms)
{
    if (m->state == LEASE_ASKING) {
        m->state = LEASE_WATCHING;
    }
    m->at_ms = now_ms + m->lapse_ms / LOOKS;
}

void lease_on_freed(struct lease_machine *m, int64_t now_ms)
{
    watch(m, now_ms + m->lapse_ms);
}
