/* The pure simulation: that schedules hold, that a run can be repeated and
 * made smaller, and that each invariant can break. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "pure/pure.h"

enum {
    SCHEDULES = 4,
    TRIES = 20, /* seeds of a default run: within them a plant is caught */
};

static struct pure_fed *fed;
static const struct pure_conf normal = {
    .seed = 1, .faults = 20, .busy_ms = 60000};

static int setup(void **state)
{
    struct pure_shape shape;
    struct errmsg why = {""};
    (void)state;
    assert_true(pure_shape_parse("1,2,4", &shape, &why));
    if (pure_fed_open(&fed, NULL, SOURCE_DIR "/certs", &shape, &why) !=
        ERR_OK) {
        fail_msg("%s", why.text);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pure_fed_close(&fed);
    return 0;
}

static void check_holds(const struct pure_conf *conf,
                        const struct pure_result *r)
{
    if (r->invariant != NULL) {
        fail_msg("seed %llu: %s: %s", (unsigned long long)conf->seed,
                 r->invariant, r->text);
    }
}

static void every_invariant_holds_over_random_schedules(void **state)
{
    struct pure_conf conf = normal;
    struct pure_result *r = MEM_NEW(struct pure_result);
    unsigned crashes = 0;
    uint64_t acked = 0;
    (void)state;
    for (conf.seed = 1; conf.seed <= SCHEDULES; conf.seed++) {
        pure_run(fed, &conf, r);
        check_holds(&conf, r);
        crashes += r->counts.crashes;
        acked += r->counts.acked;
    }
    assert_true(crashes > SCHEDULES);
    assert_true(acked > UINT64_C(500) * SCHEDULES);
    mem_free(r);
}

/* A backup whose tail the parent never got runs twice: each process appends the
 * tail to a successor of its own, before it can know of the other. */
static void a_tail_that_two_processes_set_aside_may_be_there_twice(void **state)
{
    static const unsigned kept[] = {8, 24, 25, 39, 55};
    bool left_out[PURE_FAULTS_MAX];
    struct pure_conf conf = {
        .seed = 20113, .faults = 60, .busy_ms = 120000, .left_out = left_out};
    struct pure_result *r = MEM_NEW(struct pure_result);
    (void)state;
    memset(left_out, true, sizeof left_out);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        left_out[kept[i]] = false;
    }
    pure_run(fed, &conf, r);
    check_holds(&conf, r);
    assert_true(r->counts.successions > 1);
    mem_free(r);
}

static void a_seed_gives_the_same_run_again(void **state)
{
    struct pure_conf conf = normal;
    struct pure_result *r = mem_zalloc(3, sizeof *r);
    (void)state;
    pure_run(fed, &conf, &r[0]);
    pure_run(fed, &conf, &r[1]);
    conf.seed++;
    pure_run(fed, &conf, &r[2]);
    assert_true(r[0].digest == r[1].digest);
    assert_int_equal(r[0].counts.events, r[1].counts.events);
    assert_true(r[0].digest != r[2].digest);
    mem_free(r);
}

/* Seeds that show a plant; others are 1. If one does not any more, those behind
 * it are tried. */
static const uint64_t shown_by[PLANTS] = {
    [PLANT_ACK_EARLY] = 3,    [PLANT_ANY_LOG] = 9,    [PLANT_FORK_BLIND] = 10,
    [PLANT_TWICE] = 8,        [PLANT_NO_WINDOW] = 16, [PLANT_DEAF] = 2,
    [PLANT_NO_SUCCESSOR] = 2,
};

/* The first of some seeds that breaks anything. */
static void break_it(struct pure_conf *conf, struct pure_result *r)
{
    for (unsigned i = 0; i < TRIES; i++, conf->seed++) {
        pure_run(fed, conf, r);
        if (r->invariant != NULL) {
            return;
        }
    }
}

static bool is_caught_by(const struct pure_plant_info *plant,
                         const char *invariant)
{
    return strcmp(invariant, plant->invariant) == 0 ||
           (plant->also != NULL && strcmp(invariant, plant->also) == 0);
}

static void a_planted_fault_is_caught_by_name(void **state)
{
    const unsigned index = *(const unsigned *)*state;
    const struct pure_plant_info *plant = &pure_plants[index];
    struct pure_conf conf = normal;
    struct pure_result *r = MEM_NEW(struct pure_result);
    conf.plant = (enum pure_plant)index;
    conf.seed = shown_by[index] != 0 ? shown_by[index] : 1;
    break_it(&conf, r);
    const char *invariant = r->invariant != NULL ? r->invariant : "none";
    if (!is_caught_by(plant, invariant)) {
        fail_msg("%s: caught by %s within %d seeds", plant->name, invariant,
                 TRIES);
    }
    assert_true(r->tail_n > 0);
    mem_free(r);
}

static bool has_plant(const char *invariant)
{
    bool found = false;
    for (unsigned p = 1; p < PLANTS; p++) {
        found = found || strcmp(pure_plants[p].invariant, invariant) == 0;
    }
    return found;
}

/* The first that has none, or NULL. */
static const char *without_plant(void)
{
    const struct pure_invariant *i = pure_invariants;
    while (i->name != NULL && has_plant(i->name)) {
        i++;
    }
    return i->name;
}

static void every_invariant_has_a_plant_that_breaks_it(void **state)
{
    (void)state;
    assert_null(without_plant());
}

static void a_failing_plan_shrinks_and_still_fails(void **state)
{
    struct pure_conf conf = normal;
    struct pure_result *r = mem_zalloc(2, sizeof *r);
    bool left_out[PURE_FAULTS_MAX] = {false};
    (void)state;
    conf.plant = PLANT_SUBMIT_EARLY;
    conf.busy_ms = 30000;
    break_it(&conf, &r[0]);
    assert_non_null(r[0].invariant);
    assert_in_range(pure_shrink(fed, &conf, left_out, &r[0]), 1, 3);
    conf.left_out = left_out;
    pure_run(fed, &conf, &r[1]);
    assert_string_equal(r[1].invariant, "acknowledged");
    assert_true(r[0].digest == r[1].digest);
    mem_free(r);
}

static void check_refused(const char *text)
{
    struct pure_shape shape;
    struct errmsg why = {""};
    bool taken = pure_shape_parse(text, &shape, &why);
    if (taken || strstr(why.text, "1,3,9") == NULL) {
        fail_msg("\"%s\": %s", text, why.text);
    }
}

static void a_shape_that_cannot_be_is_refused(void **state)
{
    static const char *const bad[] = {"",      "0",     "2",          "1,0",
                                      "1,2,1", "1,,2",  "1,2,",       "1,100",
                                      "1,x",   "1,2 3", "1,1,1,1,1,1"};
    struct pure_shape shape;
    struct errmsg why;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        check_refused(bad[i]);
    }
    assert_true(pure_shape_parse("1,3,9", &shape, &why));
    assert_int_equal(shape.levels, 3);
    assert_int_equal(shape.count[2], 9);
}

int main(void)
{
    struct CMUnitTest tests[PLANTS + 6] = {
        cmocka_unit_test(every_invariant_holds_over_random_schedules),
        cmocka_unit_test(
            a_tail_that_two_processes_set_aside_may_be_there_twice),
        cmocka_unit_test(a_seed_gives_the_same_run_again),
        cmocka_unit_test(a_failing_plan_shrinks_and_still_fails),
        cmocka_unit_test(a_shape_that_cannot_be_is_refused),
        cmocka_unit_test(every_invariant_has_a_plant_that_breaks_it),
    };
    unsigned index[PLANTS];
    for (unsigned i = 1; i < PLANTS; i++) {
        index[i] = i;
        tests[5 + i] =
            (struct CMUnitTest){.name = pure_plants[i].name,
                                .test_func = a_planted_fault_is_caught_by_name,
                                .initial_state = &index[i]};
    }
    return _cmocka_run_group_tests("pure", tests, PLANTS + 5, setup, teardown);
}
