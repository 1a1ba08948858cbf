/* Any bytes as who a peer is: a SPIFFE ID, and a certificate in PEM as gRPC
 * hands it over. A name that was read is written back the same. */
#include "ident/ident.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"

enum { NAME_ROOM = 160 };

static void check_name(const uint8_t *data, size_t len)
{
    struct principal p;
    char out[NAME_ROOM];
    char *text = mem_alloc(len + 1);
    if (len > 0) {
        memcpy(text, data, len);
    }
    text[len] = 0;
    if (principal_parse(text, &p) == ERR_OK) {
        principal_format(&p, out, sizeof out);
        FUZZ_CHECK(strcmp(out, text) == 0);
    }
    mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct principal p;
    struct errmsg why = {""};
    check_name(data, len);
    enum err err = principal_from_pem(slice_of(data, len), &p, &why);
    FUZZ_CHECK(err == ERR_OK || why.text[0] != 0);
    return 0;
}
