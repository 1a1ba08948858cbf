#include "base/mem.h"
#include "mlog/entry.h"
#include "store/store.h"

struct segment *segment_new(void)
{
    return MEM_NEW(struct segment);
}

void segment_free(struct segment **segment)
{
    struct segment *seg = *segment;
    *segment = NULL;
    if (seg == NULL) {
        return;
    }
    mem_free(seg->leaves);
    mem_free(seg->slots);
    mem_free(seg->refs);
    buf_fini(&seg->raw);
    buf_fini(&seg->blocks);
    buf_fini(&seg->note);
    buf_fini(&seg->chain);
    mem_free(seg);
}

bool segment_has_keys(const struct segment *segment)
{
    struct entry e;
    for (size_t i = 0; i < segment->count; i++) {
        if (entry_decode(segment->slots[i].entry, &e) != ERR_OK ||
            e.type == ENTRY_KEY ||
            (e.type == ENTRY_RECORD && e.subject_kind == SUBJECT_PERSON)) {
            return true;
        }
    }
    return false;
}
