/* fuzz.h - what a fuzz target and replay_main.c agree on.
 *
 * A target is a folder tests/fuzz/<target>/ with fuzz_<target>.c, which
 * defines LLVMFuzzerTestOneInput(), and seeds/. A crash that was mended
 * becomes a seed. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Returns 0 for any input; a broken invariant ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* assert() that a release build keeps. */
#define FUZZ_CHECK(what)                                                       \
    do {                                                                       \
        if (!(what)) {                                                         \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                           \
        }                                                                      \
    } while (0)

#endif
