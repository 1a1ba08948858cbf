/* patience.h - waits that end: what does not come fails the test by its name,
 * however busy the machine is. */
#ifndef TESTS_PATIENCE_H
#define TESTS_PATIENCE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

/* More than anything takes here. */
enum { WAIT_MS = 60000 };

#define WAIT_FOR(condition)                                                    \
    do {                                                                       \
        int64_t until_ms_ = clock_mono_ms() + WAIT_MS;                         \
        while (!(condition)) {                                                 \
            if (clock_mono_ms() > until_ms_) {                                 \
                fail_msg("never came: %s", #condition);                        \
            }                                                                  \
            clock_sleep(2);                                                    \
        }                                                                      \
    } while (0)

#endif
