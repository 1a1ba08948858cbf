/* planted - a creditnode with one fault built in, which the simulator must find
 * and call by name.
 *
 *   CREDITNODE_PLANT=NAME planted ARGS...     as creditnode does
 *
 * The program is the node's own, linked with --wrap (simulator.cmake), so that
 * calls between files come here first. Nothing of it is in the product.
 *
 *   name             what is wrong                          found as
 *   stale-as-fresh   every copy of a list is called fresh   stale-as-fresh
 *   unlisted         no subject is on any list              listed
 *   still-listed     a removal ends nothing                 listed
 *   skip-root        entries need not lead to a signed head refused
 *   fork             a log that was put back is a fork      fork
 *   fork-unseen      a second signed head marks no log      evidence
 *   half             every second listing of a package is seen  whole
 *   twice            no row is known to be unchanged        once
 *   again            a record that is there is not known,   once
 *                    and the index says nothing of a copy
 *   unmasked         persons' numbers are answered in clear person
 *   head-unseen      a signed head counts as far as held    withheld
 *
 * Threads: any. */
#include <stdlib.h>
#include <string.h>

#include "credit/citizen.h"
#include "credit/record.h"
#include "store/store_impl.h"
#include "sync/recv.h"
#include "sync/sync.h"

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the
 * linker wants these names. */
#define WRAP(type, name, args)                                                 \
    type __real_##name args;                                                   \
    type __wrap_##name args

static bool planted(const char *name)
{
    const char *plant = getenv("CREDITNODE_PLANT");
    return plant != NULL && strcmp(plant, name) == 0;
}

/* ---- stale-as-fresh ---- */

WRAP(void, fresh_judge,
     (struct fresh * fresh, const struct log_id *log, bool ended,
      struct freshness *out));

void __wrap_fresh_judge(struct fresh *fresh, const struct log_id *log,
                        bool ended, struct freshness *out)
{
    __real_fresh_judge(fresh, log, ended, out);
    out->state = planted("stale-as-fresh") ? FRESH_YES : out->state;
}

/* ---- unlisted, still-listed, half ---- */

struct seeing {
    store_listing_fn *fn;
    void *ctx;
};

static bool see_half(void *ctx, const struct store_listing *listing)
{
    const struct seeing *s = ctx;
    return listing->number % 2 == 0 || s->fn(s->ctx, listing);
}

WRAP(enum err, store_listings,
     (struct store * store, const struct listing_query *query,
      store_listing_fn *fn, void *ctx, bool *met));

enum err __wrap_store_listings(struct store *store,
                               const struct listing_query *query,
                               store_listing_fn *fn, void *ctx, bool *met)
{
    struct listing_query q = *query;
    struct seeing seeing = {fn, ctx};
    q.removed = q.removed || planted("still-listed");
    return planted("unlisted") ? ERR_OK
           : planted("half")
               ? __real_store_listings(store, &q, see_half, &seeing, met)
               : __real_store_listings(store, &q, fn, ctx, met);
}

/* ---- again ---- */

/* What is entered again gets number and version of its own, as a new record:
 * the index keeps the first and hides the copy, and no version is too high. */
static _Thread_local bool forgets;

WRAP(bool, group_take, (struct group * g, struct item *item));
WRAP(struct row_state *, row_map_get,
     (struct row_map * map, const struct row_key *key));
WRAP(void, group_index,
     (struct group * g, const struct log_slot *slot, uint64_t number,
      const struct judged *judged));

struct row_state *__wrap_row_map_get(struct row_map *map,
                                     const struct row_key *key)
{
    static _Thread_local struct row_state none;
    none = (struct row_state){0};
    return forgets ? &none : __real_row_map_get(map, key);
}

void __wrap_group_index(struct group *g, const struct log_slot *slot,
                        uint64_t number, const struct judged *judged)
{
    bool copy = planted("again") && judged->indexed &&
                __real_row_map_get(&g->rows, &judged->row.key)->row.version ==
                    judged->row.version;
    if (!copy) {
        __real_group_index(g, slot, number, judged);
    }
}

/* ---- skip-root ---- */

/* Both who receives a segment and who commits it look at the root. Claimed by
 * the newest signed head, while one of them does so; NULL: none does. */
static _Thread_local const struct hash *claimed;
static _Thread_local struct hash signed_root;

WRAP(enum err, recv_segment,
     (struct recv * recv, struct recv_log *log, const struct wire_segment *in,
      const struct tree_view *held, int64_t now_ms, struct segment **out,
      struct refusal *refusal));
WRAP(enum err, checkpoint_verify,
     (struct slice note, const char *federation, enum suite suite,
      const struct cert *cert, struct checkpoint *out));
WRAP(enum err, bridge_root,
     (const struct frontier *f, enum suite suite, const struct bridge *bridge,
      struct hash *root));

enum err __wrap_recv_segment(struct recv *recv, struct recv_log *log,
                             const struct wire_segment *in,
                             const struct tree_view *held, int64_t now_ms,
                             struct segment **out, struct refusal *refusal)
{
    signed_root = log->newest.root;
    claimed = planted("skip-root") ? &signed_root : NULL;
    enum err err =
        __real_recv_segment(recv, log, in, held, now_ms, out, refusal);
    claimed = NULL;
    return err;
}

bool __wrap_group_take(struct group *g, struct item *item)
{
    bool asked = planted("skip-root") && item->kind == ITEM_APPEND;
    claimed = asked ? &item->segment->newest.root : NULL;
    forgets = planted("again") && item->kind == ITEM_SUBMIT;
    bool taken = __real_group_take(g, item);
    forgets = false;
    claimed = NULL;
    return taken;
}

enum err __wrap_checkpoint_verify(struct slice note, const char *federation,
                                  enum suite suite, const struct cert *cert,
                                  struct checkpoint *out)
{
    enum err err = __real_checkpoint_verify(note, federation, suite, cert, out);
    signed_root = out->root;
    return err;
}

enum err __wrap_bridge_root(const struct frontier *f, enum suite suite,
                            const struct bridge *bridge, struct hash *root)
{
    enum err err = __real_bridge_root(f, suite, bridge, root);
    *root = err == ERR_OK && claimed != NULL ? *claimed : *root;
    return err;
}

/* ---- twice ---- */

WRAP(bool, record_digest, (struct slice body, uint8_t out[RECORD_DIGEST_LEN]));

bool __wrap_record_digest(struct slice body, uint8_t out[RECORD_DIGEST_LEN])
{
    return __real_record_digest(body, out) && !planted("twice");
}

/* ---- unmasked ---- */

WRAP(void, mask_identifier, (struct slice value, struct buf *out));

void __wrap_mask_identifier(struct slice value, struct buf *out)
{
    if (planted("unmasked")) {
        buf_put_slice(out, value);
    } else {
        __real_mask_identifier(value, out);
    }
}

/* ---- head-unseen ---- */

WRAP(void, store_logs, (struct store * store, store_log_fn *fn, void *ctx));

struct telling_heads {
    store_log_fn *fn;
    void *ctx;
};

static bool tell_held(void *ctx, const struct store_head *head)
{
    const struct telling_heads *t = ctx;
    struct store_head h = *head;
    h.newest.size = h.frontier.size;
    return t->fn(t->ctx, &h);
}

void __wrap_store_logs(struct store *store, store_log_fn *fn, void *ctx)
{
    struct telling_heads t = {fn, ctx};
    if (planted("head-unseen")) {
        __real_store_logs(store, tell_held, &t);
    } else {
        __real_store_logs(store, fn, ctx);
    }
}

/* ---- fork, fork-unseen ---- */

WRAP(enum err, store_mark_forked,
     (struct store * store, const struct log_id *log, struct slice other_note,
      const char *reason));

enum err __wrap_store_mark_forked(struct store *store, const struct log_id *log,
                                  struct slice other_note, const char *reason)
{
    return planted("fork-unseen")
               ? ERR_OK
               : __real_store_mark_forked(store, log, other_note, reason);
}

WRAP(enum err, store_succeed,
     (struct store * store, const struct log_id *log, uint64_t common,
      uint64_t peer_size, const struct hash *peer_root, struct slice note,
      struct errmsg *why));

enum err __wrap_store_succeed(struct store *store, const struct log_id *log,
                              uint64_t common, uint64_t peer_size,
                              const struct hash *peer_root, struct slice note,
                              struct errmsg *why)
{
    if (!planted("fork")) {
        return __real_store_succeed(store, log, common, peer_size, peer_root,
                                    note, why);
    }
    enum err err = store_mark_forked(store, log, note, "planted");
    return err != ERR_OK ? err : err_set(why, ERR_CONFLICT, "planted");
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
