/* acked - is everything that was acknowledged still there?
 *
 *   acked SOCKET < RECEIPTS
 *
 * Reads receipts of `creditnode import --receipt` and asks the node behind the
 * admin socket for every row that was taken: (log, number) must hold a record
 * with this key. Prints what is missing; status 1 if anything is. */
#include <stdio.h>

#include "run/receipts.h"

enum { SHOWN = 10 };

int main(int argc, char **argv)
{
    struct receipt receipt;
    unsigned long asked = 0;
    unsigned long missing = 0;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: acked SOCKET < RECEIPTS\n");
        return 2;
    }
    while (missing < SHOWN && receipt_next(stdin, &receipt)) {
        struct errmsg why;
        asked++;
        if (!receipt_holds(argv[1], &receipt, &why)) {
            (void)fprintf(stderr, "missing: %s #%llu key %s: %s\n", receipt.log,
                          (unsigned long long)receipt.number, receipt.key,
                          why.text);
            missing++;
        }
    }
    (void)printf("%lu acknowledged rows, %lu missing\n", asked, missing);
    return missing > 0;
}
