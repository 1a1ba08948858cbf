#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "store/lease_step.h"

enum { LAPSE = 2000, SELF = 7, OTHER = 9 };

static struct lease_machine started(void)
{
    struct lease_machine m;
    lease_init(&m, SELF, LAPSE, 0);
    return m;
}

static void look(struct lease_machine *m, int64_t now, struct lease_row row)
{
    assert_int_equal(lease_begin(m, now), LEASE_READ);
    lease_on_row(m, &row, now);
}

static struct lease_row row_of(uint64_t holder, uint64_t term, uint64_t beat)
{
    return (struct lease_row){.holder = holder, .term = term, .beat = beat};
}

static struct lease_machine holding(void)
{
    struct lease_machine m = started();
    look(&m, 0, (struct lease_row){.term = 4, .free = true});
    assert_int_equal(lease_begin(&m, 10), LEASE_TAKE);
    lease_on_done(&m, true, 20);
    return m;
}

static void a_free_lease_is_taken_at_once(void **state)
{
    (void)state;
    struct lease_machine m = holding();
    assert_int_equal(m.state, LEASE_HOLDING);
    assert_int_equal(m.seen.term, 5);
    assert_int_equal(m.until_ms, 10 + LAPSE); /* of the sending */
}

static void one_that_beats_is_never_asked_for(void **state)
{
    (void)state;
    struct lease_machine m = started();
    for (uint64_t beat = 0; beat < 100; beat++) {
        look(&m, (int64_t)beat * (LAPSE - 1), row_of(OTHER, 3, beat));
        assert_int_equal(m.state, LEASE_WATCHING);
    }
}

static void one_that_stands_still_is_asked_for_after_the_lapse(void **state)
{
    (void)state;
    struct lease_machine m = started();
    look(&m, 100, row_of(OTHER, 3, 8));
    look(&m, 100 + LAPSE - 1, row_of(OTHER, 3, 8));
    assert_int_equal(m.state, LEASE_WATCHING);
    look(&m, 100 + LAPSE, row_of(OTHER, 3, 8));
    assert_int_equal(m.state, LEASE_ASKING);
    assert_int_equal(lease_begin(&m, 2200), LEASE_TAKE);
    lease_on_done(&m, false, 2300); /* it had beaten */
    assert_int_equal(m.state, LEASE_WATCHING);
    look(&m, 2300, row_of(OTHER, 3, 9));
    assert_int_equal(m.state, LEASE_WATCHING);
}

static void answers_that_do_not_come_make_nothing_lapse(void **state)
{
    (void)state;
    struct lease_machine m = started();
    look(&m, 0, row_of(OTHER, 3, 8));
    for (int64_t now = 100; now < 5 * LAPSE; now += 100) {
        assert_int_equal(lease_begin(&m, now), LEASE_READ);
        lease_on_failure(&m, now);
        assert_int_equal(m.state, LEASE_WATCHING);
    }
    look(&m, 5 * LAPSE, row_of(OTHER, 3, 30));
    assert_int_equal(m.state, LEASE_WATCHING);
}

static void a_doubtful_taking_is_read_back(void **state)
{
    (void)state;
    struct lease_machine m = started();
    look(&m, 0, (struct lease_row){.term = 4, .free = true});
    assert_int_equal(lease_begin(&m, 10), LEASE_TAKE);
    lease_on_failure(&m, 1000);
    assert_int_equal(m.state, LEASE_WATCHING);
    look(&m, 1100, row_of(SELF, 5, 0));
    assert_int_equal(m.state, LEASE_HOLDING);
    assert_int_equal(m.until_ms, 0); /* nothing is known yet */
    assert_int_equal(lease_begin(&m, 1150), LEASE_BEAT);
    lease_on_done(&m, true, 1160);
    assert_int_equal(m.until_ms, 1150 + LAPSE);
}

static void
a_holder_goes_on_without_answers_until_it_reads_of_another(void **state)
{
    (void)state;
    struct lease_machine m = holding();
    int64_t until = m.until_ms;
    for (int64_t now = 500; now < 10 * LAPSE; now += 500) {
        assert_int_equal(lease_begin(&m, now), LEASE_BEAT);
        lease_on_failure(&m, now);
        assert_int_equal(m.state, LEASE_HOLDING);
        assert_int_equal(m.until_ms, until);
    }
    assert_int_equal(lease_begin(&m, 10 * LAPSE), LEASE_BEAT);
    lease_on_done(&m, false, 10 * LAPSE);
    assert_int_equal(m.state, LEASE_WATCHING);
    assert_int_equal(m.until_ms, 0);
}

static void who_sets_it_free_asks_again_after_a_lapse(void **state)
{
    (void)state;
    struct lease_machine m = holding();
    lease_on_freed(&m, 300);
    assert_int_equal(m.state, LEASE_WATCHING);
    assert_int_equal(m.until_ms, 0);
    assert_int_equal(m.at_ms, 300 + LAPSE);
    look(&m, m.at_ms, (struct lease_row){.term = 5, .free = true});
    assert_int_equal(m.state, LEASE_ASKING);
}

/* Two processes and one row, in any order of steps, with answers that get lost
 * after they took effect: whoever beats in time keeps it, and the times in
 * which two know it for theirs do not meet. */
struct side {
    struct lease_machine m;
    bool frozen;
};

static void step(struct side *s, struct lease_row *row, int64_t now, bool lost)
{
    bool changed = false;
    enum lease_work work = lease_begin(&s->m, now);
    if (work == LEASE_TAKE) {
        changed = row->term == s->m.seen.term && row->beat == s->m.seen.beat &&
                  row->free == s->m.seen.free;
        if (changed) {
            *row = row_of(s->m.self, row->term + 1, 0);
        }
    } else if (work == LEASE_BEAT) {
        changed = row->term == s->m.seen.term && row->holder == s->m.self &&
                  row->beat < s->m.seen.beat;
        row->beat = changed ? s->m.seen.beat : row->beat;
    }
    if (lost) {
        lease_on_failure(&s->m, now);
    } else if (work == LEASE_READ) {
        lease_on_row(&s->m, row, now);
    } else {
        lease_on_done(&s->m, changed, now);
    }
}

static void two_never_know_it_for_theirs_at_once(void **state)
{
    (void)state;
    uint32_t dice = 12345;
    struct lease_row row = {.free = true};
    struct side side[2];
    unsigned taken[2] = {0};
    lease_init(&side[0].m, SELF, LAPSE, 0);
    lease_init(&side[1].m, OTHER, LAPSE, 0);
    side[0].frozen = side[1].frozen = false;
    for (int64_t now = 1; now < 1000000; now++) {
        dice = dice * 1664525u + 1013904223u;
        struct side *s = &side[(dice >> 8) & 1];
        s->frozen = (dice >> 12) % 2000 == 0 ? !s->frozen : s->frozen;
        if (!s->frozen && s->m.at_ms <= now) {
            enum lease_state before = s->m.state;
            step(s, &row, now, (dice >> 20) % 10 == 0);
            taken[s - side] +=
                before != LEASE_HOLDING && s->m.state == LEASE_HOLDING;
        }
        assert_false(side[0].m.until_ms > now && side[1].m.until_ms > now);
    }
    assert_true(taken[0] > 20 && taken[1] > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_free_lease_is_taken_at_once),
        cmocka_unit_test(one_that_beats_is_never_asked_for),
        cmocka_unit_test(one_that_stands_still_is_asked_for_after_the_lapse),
        cmocka_unit_test(answers_that_do_not_come_make_nothing_lapse),
        cmocka_unit_test(a_doubtful_taking_is_read_back),
        cmocka_unit_test(
            a_holder_goes_on_without_answers_until_it_reads_of_another),
        cmocka_unit_test(who_sets_it_free_asks_again_after_a_lapse),
        cmocka_unit_test(two_never_know_it_for_theirs_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
