/* lease.h - which of several processes of one node writes
 * (docs/decisions/0018-several-processes.md).
 *
 * A row in the node's database, and a thread that keeps it up or waits for it
 * by a connection of its own. It says who should write; that nobody else can
 * is the store's claim.
 *
 * Threads:   any. `changed` runs on the lease's thread: it must not block nor
 *            call this module. */
#ifndef STORE_LEASE_H
#define STORE_LEASE_H

#include "base/log.h"
#include "store/store.h"

struct lease;

struct lease_conf {
    const struct store_mariadb_conf *mariadb; /* outlives the lease */
    const char *name;                         /* of this process */
    const char *address; /* where it listens, for the others to name */
    uint32_t lapse_ms;   /* unchanged for so long, another takes it */
    const struct log_ctx *log;
    void (*changed)(void *ctx, bool held);
    void *ctx;
};

/* Without an answer of the database it goes on trying. ERR_IO. */
MUST_USE enum err lease_open(struct lease **out, const struct lease_conf *conf,
                             struct errmsg *why);
/* Sets it free, if it is held and the database answers; joins. */
void lease_close(struct lease **lease);

bool lease_held(struct lease *lease);
/* Sets it free for a while: this process cannot write, perhaps another can. */
void lease_yield(struct lease *lease);
/* Waits until it is held or somebody else's, but no longer; is it held? */
bool lease_await(struct lease *lease, uint32_t for_ms);
/* Until then nobody else can have it; monotonic, 0: not held. One who was
 * frozen finds it in the past. */
int64_t lease_until_ms(struct lease *lease);

enum { LEASE_NAME_MAX = 33, LEASE_ADDRESS_MAX = 264 };
struct lease_status {
    bool held;
    bool known;                      /* there is or was a holder */
    bool free;                       /* it has set it free */
    uint64_t term;                   /* one more with each new holder */
    char name[LEASE_NAME_MAX];       /* of the holder */
    char address[LEASE_ADDRESS_MAX]; /* of it */
    char error[256];                 /* why the row cannot be had; "" */
};
void lease_status(struct lease *lease, struct lease_status *out);

/* ---- what the holder tells the others ---- */

/* A signed head of a log came, `size` entries of which are held. */
struct lease_head {
    struct log_id log;
    uint64_t size;
    int64_t signed_ms; /* by its issuer's clock */
    int64_t came_ms;   /* monotonic, of whoever has this struct */
};
enum { LEASE_HEADS_MAX = 32 };
/* Told behind the next beat, instead of what was told before. */
void lease_tell(struct lease *lease, const struct lease_head *heads, size_t n);
/* What a holder told last; came_ms may be a moment too early, never too late.
 * What was told before this process began to look is not known. */
size_t lease_heard(struct lease *lease, struct lease_head out[LEASE_HEADS_MAX]);

/* "this process stands by; A at ADDRESS writes": for whoever would write. */
void lease_say(struct lease *lease, char *out, size_t cap);

#endif
