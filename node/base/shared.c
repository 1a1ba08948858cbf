#include "base/shared.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

struct shared {
    atomic_size_t refs;
    size_t len;
    uint8_t bytes[];
};

struct shared *shared_new(struct slice bytes)
{
    struct shared *s = mem_alloc(sizeof(*s) + bytes.len);
    atomic_init(&s->refs, 1);
    s->len = bytes.len;
    if (bytes.len > 0) {
        memcpy(s->bytes, bytes.data, bytes.len);
    }
    return s;
}

struct shared *shared_ref(struct shared *s)
{
    (void)atomic_fetch_add(&s->refs, 1);
    return s;
}

void shared_unref(struct shared **s)
{
    struct shared *old = *s;
    *s = NULL;
    if (old != NULL && atomic_fetch_sub(&old->refs, 1) == 1) {
        mem_free(old);
    }
}

struct slice shared_slice(const struct shared *s)
{
    return slice_of(s->bytes, s->len);
}
