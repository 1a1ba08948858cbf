/* pb.h - protobuf wire format without generated code, for hot paths and for
 * small messages. The fields and their meaning are in proto/. */
#ifndef BASE_PB_H
#define BASE_PB_H

#include "base/buf.h"

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

/* Default values (0, empty) are left out, as proto3 does. */
void pb_put_u64(struct buf *b, uint32_t field, uint64_t value);
void pb_put_bytes(struct buf *b, uint32_t field, struct slice bytes);
void pb_put_str(struct buf *b, uint32_t field, const char *text);
/* A nested message: what is put between begin and end. Its length is written
 * as a padded varint of 4 bytes, so it may hold up to 256 MiB. */
MUST_USE size_t pb_begin(struct buf *b, uint32_t field);
void pb_end(struct buf *b, size_t mark);

struct pb_field {
    uint32_t number;
    enum pb_type type;
    uint64_t value;     /* varint, fixed */
    struct slice bytes; /* PB_BYTES; borrowed */
};
/* The next field; false at the end or if the bytes are malformed (r->bad). */
bool pb_next(struct reader *r, struct pb_field *out);

#endif
