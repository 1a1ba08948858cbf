/* suite.h - the suite of the federation that a test makes: SUITE in the
 * environment, intl without it. */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <stdlib.h>

#include "ident/suite.h"

static inline enum suite test_suite(void)
{
    enum suite suite = SUITE_INTL;
    const char *name = getenv("SUITE");
    if (name != NULL && !suite_parse(name, &suite)) {
        abort(); /* a test of another suite than was asked for shows nothing */
    }
    return suite;
}

/* What signers' certificates are checked with, in the federation's folder. */
static inline const char *test_anchor(void)
{
    return test_suite() == SUITE_GM ? "signing-ca.pem" : "ca.pem";
}

#endif
