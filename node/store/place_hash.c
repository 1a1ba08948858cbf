#include "store/place_hash.h"

#include <pthread.h>

#include "ident/suite.h"

uint64_t place_secret = UINT64_C(0x9e3779b97f4a7c15);

static void choose(void)
{
    suite_random(&place_secret, sizeof place_secret);
    place_secret |= 1;
}

void place_hash_begin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, choose);
}
