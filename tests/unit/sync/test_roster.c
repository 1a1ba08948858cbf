/* Of many decisions about nodes: which ones hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credit/registry.h"
#include "sync/roster.h"

#define PROVINCE 340000000000ull
#define COUNTY 341821000000ull
#define COUNTY2 341822000000ull
#define TOWN 341821100000ull
#define VILLAGE 341821100201ull

static struct store_node decision(uint64_t issuer, uint64_t number,
                                  enum registry_what what, int64_t at_ms)
{
    return (struct store_node){.log = {issuer, 7, LOG_DIRECTIVES},
                               .number = number,
                               .what = (uint8_t)what,
                               .code = VILLAGE,
                               .at_ms = at_ms};
}

/* Of one node. */
static struct roster_node judge(const struct store_node *all, size_t n)
{
    size_t nodes_n;
    struct roster_node *nodes = roster_judge(all, n, &nodes_n);
    assert_int_equal(nodes_n, 1);
    struct roster_node node = nodes[0];
    mem_free(nodes);
    return node;
}

static void in_one_log_the_later_entry_counts(void **state)
{
    /* The times are wrong; the numbers are not. */
    const struct store_node all[] = {
        decision(COUNTY, 5, REGISTRY_RESTORED, 1000),
        decision(COUNTY, 9, REGISTRY_REVOKED, 500),
        decision(COUNTY, 2, REGISTRY_REVOKED, 2000),
    };
    (void)state;
    assert_true(judge(all, 3).is_revoked);
    assert_int_equal(judge(all, 3).revoked.number, 9);
    assert_false(judge(&all[0], 1).is_revoked);
    const struct store_node lifted[] = {all[2], all[0]};
    assert_false(judge(lifted, 2).is_revoked);
}

static void one_above_lifts_one_below_does_not(void **state)
{
    struct store_node all[] = {
        decision(COUNTY, 5, REGISTRY_REVOKED, 1000),
        decision(PROVINCE, 3, REGISTRY_RESTORED, 2000),
    };
    (void)state;
    assert_false(judge(all, 2).is_revoked);
    all[1].at_ms = 999; /* by its clock, before: the clocks do not matter */
    assert_false(judge(all, 2).is_revoked);
    const struct store_node other[] = {
        decision(PROVINCE, 3, REGISTRY_REVOKED, 1000),
        decision(COUNTY, 5, REGISTRY_RESTORED, 2000),
    };
    assert_true(judge(other, 2).is_revoked);
    assert_int_equal(judge(other, 2).revoked.log.origin, PROVINCE);
}

static void no_clock_below_holds_off_a_higher_one(void **state)
{
    struct store_node all[] = {
        decision(COUNTY, 5, REGISTRY_REVOKED, INT64_MAX),
        decision(PROVINCE, 3, REGISTRY_RESTORED, 1000),
        decision(PROVINCE, 4, REGISTRY_REVOKED, 1001),
        decision(PROVINCE, 6, REGISTRY_RESTORED, 1002),
    };
    const struct store_node turned[] = {all[3], all[2], all[1], all[0]};
    (void)state;
    assert_false(judge(all, 2).is_revoked);
    assert_false(judge(turned + 2, 2).is_revoked);
    assert_true(judge(all, 3).is_revoked);
    assert_false(judge(all, 4).is_revoked);
    assert_false(judge(turned, 4).is_revoked);
    /* Nor does one below lift, at whatever time. */
    all[0].what = REGISTRY_RESTORED;
    assert_true(judge(all, 3).is_revoked);
}

/* Another incarnation of the issuer's log: the later decision counts. */
static void the_same_issuer_lifts_later_only(void **state)
{
    struct store_node all[] = {
        decision(COUNTY, 5, REGISTRY_REVOKED, 1000),
        decision(COUNTY, 3, REGISTRY_RESTORED, 2000),
    };
    (void)state;
    all[1].log.incarnation = 8;
    assert_false(judge(all, 2).is_revoked);
    all[1].at_ms = 999;
    assert_true(judge(all, 2).is_revoked);
}

/* Whatever the clocks say and in whatever order the store tells it: all nodes
 * judge alike. By time alone each of the three would be later than another. */
static void the_order_of_telling_does_not_matter(void **state)
{
    struct store_node all[] = {
        decision(COUNTY, 5, REGISTRY_REVOKED, 1000),
        decision(COUNTY, 6, REGISTRY_REVOKED, 500),
        decision(COUNTY, 3, REGISTRY_RESTORED, 750),
    };
    static const uint8_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    (void)state;
    all[2].log.incarnation = 8;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        const struct store_node told[] = {all[orders[i][0]], all[orders[i][1]],
                                          all[orders[i][2]]};
        struct roster_node node = judge(told, 3);
        assert_true(node.is_revoked);
        assert_int_equal(node.revoked.number, 6);
        assert_int_equal(node.revoked.at_ms, 1000);
    }
}

static void at_the_same_time_the_higher_one_is_later(void **state)
{
    const struct store_node all[] = {
        decision(COUNTY, 5, REGISTRY_REVOKED, INT64_MAX),
        decision(PROVINCE, 3, REGISTRY_RESTORED, INT64_MAX),
    };
    const struct store_node turned[] = {all[1], all[0]};
    (void)state;
    assert_false(judge(all, 2).is_revoked);
    assert_false(judge(turned, 2).is_revoked);
}

static void what_was_moved_out_of_an_area_is_not_taken_back(void **state)
{
    struct store_node all[] = {
        decision(COUNTY, 5, REGISTRY_PARENT, 1000),
        decision(PROVINCE, 3, REGISTRY_PARENT, 2000),
        decision(COUNTY, 6, REGISTRY_PARENT, 3000),
    };
    (void)state;
    all[0].parent = TOWN;
    all[1].parent = COUNTY2;
    all[2].parent = TOWN;
    assert_int_equal(judge(all, 3).moved.parent, COUNTY2);
    all[1].parent = TOWN + 100000; /* within it: the county may go on */
    assert_int_equal(judge(all, 3).moved.number, 6);
}

static void the_last_parent_counts(void **state)
{
    struct store_node all[] = {
        decision(COUNTY, 5, REGISTRY_PARENT, 1000),
        decision(PROVINCE, 3, REGISTRY_PARENT, 2000),
        decision(PROVINCE, 2, REGISTRY_PARENT, 3000),
    };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        all[i].parent = TOWN + i;
    }
    struct roster_node node = judge(all, 3);
    assert_true(node.is_moved && !node.is_revoked);
    assert_int_equal(node.moved.parent, TOWN + 1);
}

static void each_node_for_itself(void **state)
{
    struct store_node all[] = {
        decision(COUNTY, 5, REGISTRY_REVOKED, 1000),
        decision(COUNTY, 6, REGISTRY_RESTORED, 2000),
        decision(COUNTY, 7, REGISTRY_REVOKED, 3000),
    };
    size_t n;
    (void)state;
    all[0].code = TOWN;
    all[1].code = VILLAGE;
    all[2].code = VILLAGE + 1;
    struct roster_node *nodes = roster_judge(all, 3, &n);
    assert_int_equal(n, 3);
    assert_true(nodes[0].code == TOWN && nodes[0].is_revoked);
    assert_true(nodes[1].code == VILLAGE && !nodes[1].is_revoked);
    assert_true(nodes[2].code == VILLAGE + 1 && nodes[2].is_revoked);
    mem_free(nodes);
    assert_null(roster_judge(NULL, 0, &n));
    assert_int_equal(n, 0);
}

static struct store_node of_log(uint64_t issuer, uint64_t number,
                                enum registry_what what, uint64_t incarnation)
{
    struct store_node d = decision(issuer, number, what, 1000);
    d.parent = incarnation;
    return d;
}

static void a_log_s_last_seal_holds_the_higher_authority_s_first(void **state)
{
    const struct store_node all[] = {
        of_log(COUNTY, 2, REGISTRY_SEALED, 5),
        of_log(COUNTY, 4, REGISTRY_SEALED, 5),
        of_log(COUNTY, 6, REGISTRY_SEALED, 4),
        of_log(PROVINCE, 1, REGISTRY_SEALED, 3),
        of_log(COUNTY, 8, REGISTRY_UNSEALED, 3),
        of_log(PROVINCE, 3, REGISTRY_UNSEALED, 2),
        of_log(COUNTY, 9, REGISTRY_SEALED, 2),
        of_log(COUNTY, 10, REGISTRY_SEALED, 1),
        of_log(COUNTY, 11, REGISTRY_UNSEALED, 1),
        decision(COUNTY, 12, REGISTRY_REVOKED, 1000),
    };
    size_t n;
    struct store_node *seals =
        roster_judge_seals(all, sizeof all / sizeof *all, &n);
    (void)state;
    assert_int_equal(n, 3);
    assert_int_equal(seals[0].parent, 3);
    assert_int_equal(seals[0].log.origin, PROVINCE);
    assert_int_equal(seals[1].parent, 4);
    assert_int_equal(seals[2].parent, 5);
    assert_int_equal(seals[2].number, 4);
    mem_free(seals);
    /* They say nothing of the node. */
    assert_int_equal(judge(all, sizeof all / sizeof *all).revoked.number, 12);
    assert_false(judge(all, 9).is_revoked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_one_log_the_later_entry_counts),
        cmocka_unit_test(a_log_s_last_seal_holds_the_higher_authority_s_first),
        cmocka_unit_test(one_above_lifts_one_below_does_not),
        cmocka_unit_test(no_clock_below_holds_off_a_higher_one),
        cmocka_unit_test(the_same_issuer_lifts_later_only),
        cmocka_unit_test(the_order_of_telling_does_not_matter),
        cmocka_unit_test(at_the_same_time_the_higher_one_is_later),
        cmocka_unit_test(what_was_moved_out_of_an_area_is_not_taken_back),
        cmocka_unit_test(the_last_parent_counts),
        cmocka_unit_test(each_node_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
