/* village_fixture.h - for the contract tests of the store that need one node: a
 * village, made by each test's start(). */
#ifndef TESTS_VILLAGE_FIXTURE_H
#define TESTS_VILLAGE_FIXTURE_H

#include "contract/store_fixture.h"

#define SUBJECT "91341821MA2T00001X"

static struct node village;

static inline int stop(void **state)
{
    (void)state;
    node_fini(&village);
    return 0;
}

/* A record of SUBJECT. */
static inline enum err submit_one(uint32_t record)
{
    struct draft d = {.record = record, .subject = SUBJECT, .text = "a"};
    return submit(village.store, &d, 1, NULL);
}

#endif
