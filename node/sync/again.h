/* again.h - when what was refused is offered again (private to sync).
 *
 * What stops a log may pass by itself, as a wrong clock does, or be mended: it
 * is tried again after five seconds and, as long as it is refused again, after
 * twice as long each time, up to ten minutes. Threads: any. */
#ifndef SYNC_AGAIN_H
#define SYNC_AGAIN_H

#include <stdatomic.h>
#include <stdint.h>

/* All zero at first. */
struct again {
    _Atomic int64_t tried_ms; /* monotonic */
    _Atomic uint32_t wait_ms; /* before the next try */
};

/* It was refused just now: when to try again, by the monotonic clock. */
int64_t again_at(struct again *again);
/* It is tried again now. */
void again_tried(struct again *again);

#endif
