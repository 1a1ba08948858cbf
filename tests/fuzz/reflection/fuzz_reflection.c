/* Any bytes as a question about what is served: it is answered or refused, and
 * an answer repeats the question and says one thing. */
#include "rpc/reflection.h"

#include "base/pb.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct rpc_method served[] = {
        {.path = "/creditnode.query.v1.Query/Subject"},
        {.path = "/creditnode.query.v1.Query/Record"},
        {.path = "/grpc.health.v1.Health/Check"},
    };
    struct slice request = slice_of(data, len);
    struct buf out = BUF_INIT;
    enum err err = reflection_answer(request, served, 3, &out);
    FUZZ_CHECK(err == ERR_OK || (err == ERR_INVALID && out.len == 0));
    struct reader r = reader_of(buf_slice(&out));
    struct pb_field f;
    unsigned said = 0;
    while (pb_next(&r, &f)) {
        FUZZ_CHECK(f.type == PB_BYTES);
        FUZZ_CHECK(f.number != 2 || slice_eq(f.bytes, request));
        said += f.number >= 4;
    }
    FUZZ_CHECK(!r.bad && said == (err == ERR_OK));
    buf_fini(&out);
    return 0;
}
