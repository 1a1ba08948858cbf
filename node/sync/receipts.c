#include "sync/receipts.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "credit/listing.h"
#include "rpc/alarm.h"
#include "sync/receipt.h"
#include "sync/roster.h"
#include "sync/wire.h"

enum {
    GATHER_MS = 100, /* from a change to a receipt: more changes come along */
    PACE_MS = 1000,  /* between two receipts */
    SAVE_MS = 10000, /* between two writes of the file */
    CHILDREN_MAX = 4096,
    FILE_BYTES_MAX = 256 << 20,
    FILE_MODE = 0600,
};

/*   file: magic, then for each child
 *   u64 code, u16 tier, u64 heard_ms, u32 len and chain, u16 receipts, each
 *   u32 len and text */
static const char magic[8] = "CNRCPT1\n";

/* What one child said last of one log. */
struct item {
    struct item *next;
    struct buf text;
    struct receipt receipt;
    uint64_t serial;   /* another one, another number */
    uint64_t compared; /* sizes below this were, with the log here */
    enum err read;     /* what kept others from it */
    bool disagrees;
    bool said; /* that it disagrees */
};

struct child {
    struct child *next;
    struct principal who;
    unsigned streams;
    int64_t heard_ms;
    struct buf chain; /* that of its newest receipt */
    /* Of the chain, as it was checked last; NULL: not yet, or in use. */
    struct cert *cert;
    uint64_t generation; /* trust_generation() then */
    struct item *items;  /* at most LISTS_LOGS_MAX */
};

struct receipts {
    const struct sync_env *env;
    char *path;
    /* Not a timer of the loop: what changes here comes with messages, so that
     * the poller is about to wake anyhow. */
    struct rpc_alarm *alarm;
    struct strand *strand;
    /* All below. The store's writer, the loop and the poller take it: nothing
     * is read from the store meanwhile. */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct child *children; /* by code */
    unsigned children_n;
    uint64_t serial; /* of the newest item */
    unsigned jobs;
    receipts_send_fn *send;
    void *send_ctx;
    bool sending; /* a call of `send` is under way */
    bool changed; /* since the last receipt */
    bool unsaved;
    bool stopping;
    int64_t sent_at_ms; /* monotonic, as the next one */
    int64_t saved_at_ms;
};

/* ---- children; lock held ---- */

static struct child *find_child(struct receipts *rs, uint64_t code)
{
    struct child *c = rs->children;
    while (c != NULL && c->who.code < code) {
        c = c->next;
    }
    return c != NULL && c->who.code == code ? c : NULL;
}

/* NULL: there are too many. */
static struct child *child_of(struct receipts *rs, const struct principal *who)
{
    struct child **at = &rs->children;
    while (*at != NULL && (*at)->who.code < who->code) {
        at = &(*at)->next;
    }
    if (*at != NULL && (*at)->who.code == who->code) {
        return *at;
    }
    if (rs->children_n >= CHILDREN_MAX) {
        return NULL;
    }
    struct child *c = MEM_NEW(struct child);
    c->who = *who;
    c->next = *at;
    *at = c;
    rs->children_n++;
    return c;
}

static struct item *find_item(const struct child *c, const struct log_id *log)
{
    struct item *it = c->items;
    while (it != NULL && !log_id_eq(&it->receipt.log, log)) {
        it = it->next;
    }
    return it;
}

/* What came last stands first: of more logs than any node follows, the one that
 * was not heard of for longest gives way. */
static struct item *item_of(struct child *c, const struct log_id *log)
{
    struct item **at = &c->items;
    for (size_t n = 1; *at != NULL && n < LISTS_LOGS_MAX &&
                       !log_id_eq(&(*at)->receipt.log, log);
         n++) {
        at = &(*at)->next;
    }
    struct item *it = *at;
    if (it == NULL) {
        it = MEM_NEW(struct item);
    } else {
        *at = it->next;
        it->said = it->said && log_id_eq(&it->receipt.log, log);
    }
    it->next = c->items;
    c->items = it;
    return it;
}

static void child_free(struct child *c)
{
    struct item *next;
    for (struct item *it = c->items; it != NULL; it = next) {
        next = it->next;
        buf_fini(&it->text);
        mem_free(it);
    }
    buf_fini(&c->chain);
    cert_free(&c->cert);
    mem_free(c);
}

/* One that went to another parent is counted there. */
static bool counts(const struct receipts *rs, const struct child *c)
{
    return rs->env->is_child(rs->env->ctx, &c->who);
}

/* ---- a receipt against the log that is held here ---- */

struct own {
    struct store_head head;
    struct tree_view view;
    struct hash empty; /* the root of nothing */
};

static enum err own_of(struct receipts *rs, const struct log_id *log,
                       struct own *out)
{
    enum err err = store_head(rs->env->store, log, &out->head);
    if (err == ERR_OK) {
        out->view = store_view(rs->env->store, &out->head);
        err = tree_root(&out->view, 0, &out->empty);
    }
    return err;
}

static void say_fork(struct receipts *rs, const struct receipt *r,
                     uint64_t size)
{
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&r->log, log);
    log_error(rs->env->log, "RECEIPT-FORK",
              "child=%012" PRIu64 " log=%s size=%" PRIu64
              " effect=\"it or a node below holds another history; none of "
              "them is counted\"",
              r->node, log, size);
}

/* Lock held. Is a size left that this node's copy of `size` entries reaches and
 * that was not compared? */
static bool is_open(const struct item *it, uint64_t size)
{
    bool open = false;
    for (size_t i = 0; i < it->receipt.at_n && !it->disagrees; i++) {
        uint64_t at = it->receipt.at[i].size;
        open = open || (at <= size && at >= it->compared);
    }
    return open;
}

/* A receipt as it was under the lock, and what was found without it. */
struct look {
    uint64_t code; /* of the child */
    uint64_t serial;
    uint64_t compared;
    struct receipt_at at[RECEIPT_SIZES_MAX];
    size_t at_n;
    enum err err;
    bool disagrees;
    uint64_t disagrees_at;
};

static void look_begin(struct look *l, const struct receipt *r)
{
    *l = (struct look){.code = r->node, .at_n = r->at_n};
    memcpy(l->at, r->at, r->at_n * sizeof *l->at);
}

/* Most hold what is held here, and that needs no look at the disk. */
static enum err root_at(const struct own *own, uint64_t size, struct hash *out)
{
    if (size == own->head.frontier.size) {
        *out = own->head.root;
        return ERR_OK;
    }
    return tree_root(&own->view, size, out);
}

/* Compares what was not yet compared, as far as this node's copy reaches. An
 * error: it cannot be read now, and is compared another time. */
static void look(struct look *l, const struct own *own)
{
    for (size_t i = 0; i < l->at_n && !l->disagrees && l->err == ERR_OK; i++) {
        struct hash root;
        uint64_t at = l->at[i].size;
        if (at > own->head.frontier.size || at < l->compared) {
            continue;
        }
        l->err = root_at(own, at, &root);
        l->disagrees = l->err == ERR_OK && !hash_eq(&root, &l->at[i].root);
        l->disagrees_at = at;
    }
}

/* Lock held. Another one may have looked meanwhile, and further. */
static void look_end(struct receipts *rs, struct item *it, const struct look *l,
                     const struct own *own)
{
    uint64_t compared = own->head.frontier.size + 1;
    if (it->disagrees || it->compared >= compared) {
        return;
    }
    it->read = l->err;
    if (l->err != ERR_OK) {
        return;
    }
    if (l->disagrees && !it->said) {
        say_fork(rs, &it->receipt, l->disagrees_at);
    }
    it->compared = compared;
    it->disagrees = it->said = l->disagrees;
}

/* What is to be looked at, by code; the caller frees it. */
static struct look *open_ones(struct receipts *rs, const struct own *own,
                              size_t *n)
{
    struct look *looks = NULL;
    size_t room = 0;
    *n = 0;
    (void)pthread_mutex_lock(&rs->lock);
    for (const struct child *c = rs->children; c != NULL; c = c->next) {
        const struct item *it = find_item(c, &own->head.log);
        if (it == NULL || !is_open(it, own->head.frontier.size)) {
            continue;
        }
        if (*n == room) {
            room = room > 0 ? room * 2 : 16;
            looks = mem_realloc(looks, room * sizeof *looks);
        }
        look_begin(&looks[*n], &it->receipt);
        looks[*n].serial = it->serial;
        looks[(*n)++].compared = it->compared;
    }
    (void)pthread_mutex_unlock(&rs->lock);
    return looks;
}

static void end_looks(struct receipts *rs, const struct own *own,
                      const struct look *looks, size_t n)
{
    size_t i = 0;
    (void)pthread_mutex_lock(&rs->lock);
    for (const struct child *c = rs->children; c != NULL; c = c->next) {
        while (i < n && looks[i].code < c->who.code) {
            i++;
        }
        struct item *it = i < n && looks[i].code == c->who.code
                              ? find_item(c, &own->head.log)
                              : NULL;
        if (it != NULL && it->serial == looks[i].serial) {
            look_end(rs, it, &looks[i], own);
        }
    }
    (void)pthread_mutex_unlock(&rs->lock);
}

/* Compares with the log here what its children said of it. */
static void compare_all(struct receipts *rs, const struct own *own)
{
    size_t n;
    struct look *looks = open_ones(rs, own, &n);
    for (size_t i = 0; i < n; i++) {
        look(&looks[i], own);
    }
    end_looks(rs, own, looks, n);
    mem_free(looks);
}

/* ---- taking receipts ---- */

/* The certificate of the chain if it was checked for this child already and
 * would be found good again; the caller owns it. */
static struct cert *borrow_cert(struct receipts *rs, uint64_t code,
                                struct slice chain, int64_t now_ms)
{
    struct cert *cert = NULL;
    (void)pthread_mutex_lock(&rs->lock);
    struct child *c = find_child(rs, code);
    if (c != NULL && c->cert != NULL &&
        c->generation == trust_generation(rs->env->trust) &&
        now_ms < cert_principal(c->cert)->not_after_ms &&
        slice_eq(buf_slice(&c->chain), chain)) {
        cert = c->cert;
        c->cert = NULL;
    }
    (void)pthread_mutex_unlock(&rs->lock);
    return cert;
}

/* Lock held. What was checked of another one goes. */
static void keep_chain(struct child *c, struct slice chain)
{
    if (!slice_eq(buf_slice(&c->chain), chain)) {
        cert_free(&c->cert);
        buf_clear(&c->chain);
        buf_put_slice(&c->chain, chain);
    }
}

/* Takes it back: it was found good for this chain, and a receipt by it is about
 * to be kept. */
static void return_cert(struct receipts *rs, uint64_t code, uint64_t generation,
                        struct slice chain, struct cert *cert)
{
    (void)pthread_mutex_lock(&rs->lock);
    struct child *c = find_child(rs, code);
    if (c != NULL) {
        keep_chain(c, chain);
        cert_free(&c->cert);
        c->cert = cert;
        c->generation = generation;
        cert = NULL;
    }
    (void)pthread_mutex_unlock(&rs->lock);
    cert_free(&cert);
}

/* `at_ms` 0: an old signature will do; then the certificate is not kept. */
static enum err verify(struct receipts *rs, const struct principal *child,
                       struct slice text, struct slice chain, int64_t at_ms,
                       struct receipt *out, struct errmsg *why)
{
    struct trust *trust = rs->env->trust;
    uint64_t generation = trust_generation(trust);
    struct cert *cert =
        at_ms != 0 ? borrow_cert(rs, child->code, chain, at_ms) : NULL;
    struct errmsg what;
    enum err err = cert != NULL ? ERR_OK
                                : trust_check(trust, chain, CERT_USE_SIGN,
                                              at_ms, &cert, &what);
    if (err == ERR_OK) {
        err = receipt_verify(text, trust_federation(trust), trust_suite(trust),
                             cert, out, &what);
    }
    if (err == ERR_OK && out->node != child->code) {
        err = err_set(&what, ERR_DENIED, "is of another node");
    }
    if (err == ERR_OK &&
        !listing_counts_at(out->log.origin, rs->env->self.code)) {
        err = err_set(&what, ERR_DENIED,
                      "is of a log that has no effect at this node");
    }
    if (err == ERR_OK && at_ms != 0) {
        return_cert(rs, child->code, generation, chain, cert);
    } else {
        cert_free(&cert);
    }
    return err == ERR_OK ? ERR_OK
                         : err_set(why, err, "receipt of %012" PRIu64 ": %s",
                                   child->code, what.text);
}

/* Lock held. */
static struct item *keep(struct receipts *rs, struct child *c,
                         const struct receipt *r, struct slice text,
                         struct slice chain)
{
    struct item *it = item_of(c, &r->log);
    it->receipt = *r;
    it->serial = ++rs->serial;
    it->compared = 0;
    it->read = ERR_OK;
    it->disagrees = false;
    buf_clear(&it->text);
    buf_put_slice(&it->text, text);
    keep_chain(c, chain);
    return it;
}

/* Lock held. When the next receipt or write is due; 0: none is. */
static int64_t due_at(const struct receipts *rs)
{
    int64_t now = clock_mono_ms();
    int64_t send = rs->sent_at_ms + PACE_MS;
    int64_t save = rs->saved_at_ms + SAVE_MS;
    send = send > now + GATHER_MS ? send : now + GATHER_MS;
    if (rs->changed && rs->send != NULL) {
        return rs->unsaved && save < send ? save : send;
    }
    return rs->unsaved ? save : 0;
}

/* Lock held. Lets it go. */
static void unlock_and_arm(struct receipts *rs)
{
    int64_t at = rs->stopping ? 0 : due_at(rs);
    (void)pthread_mutex_unlock(&rs->lock);
    if (at != 0) {
        rpc_alarm_at(rs->alarm, at);
    }
}

static enum err take(struct receipts *rs, const struct principal *child,
                     const struct receipt *r, struct slice text,
                     struct slice chain, struct errmsg *why)
{
    struct own *own = MEM_NEW(struct own);
    struct look *l = MEM_NEW(struct look);
    bool held = own_of(rs, &r->log, own) == ERR_OK;
    look_begin(l, r);
    if (held) {
        look(l, own); /* else when it is counted */
    }
    (void)pthread_mutex_lock(&rs->lock);
    struct child *c = child_of(rs, child);
    if (c != NULL) {
        c->heard_ms = clock_wall_ms();
        struct item *it = keep(rs, c, r, text, chain);
        rs->changed = rs->unsaved = true;
        if (held) {
            look_end(rs, it, l, own);
        }
    }
    unlock_and_arm(rs);
    mem_free(l);
    mem_free(own);
    return c != NULL
               ? ERR_OK
               : err_set(why, ERR_BUSY, "more than %d children", CHILDREN_MAX);
}

enum err receipts_came(struct receipts *receipts, const struct principal *child,
                       struct slice text, struct slice chain,
                       struct errmsg *why)
{
    if (receipts == NULL) {
        return ERR_OK;
    }
    struct receipt *r = MEM_NEW(struct receipt);
    enum err err =
        verify(receipts, child, text, chain, clock_wall_ms(), r, why);
    if (err == ERR_OK) {
        err = take(receipts, child, r, text, chain, why);
    }
    mem_free(r);
    return err;
}

void receipts_child(struct receipts *receipts, const struct principal *child,
                    bool here)
{
    if (receipts == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&receipts->lock);
    struct child *c = child_of(receipts, child);
    if (c != NULL) {
        bool known = c->heard_ms != 0;
        c->streams += here ? 1 : c->streams > 0 ? -1 : 0;
        c->heard_ms = clock_wall_ms();
        receipts->unsaved = true;
        receipts->changed = receipts->changed || !known;
    }
    unlock_and_arm(receipts);
}

void receipts_changed(struct receipts *receipts)
{
    if (receipts == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&receipts->lock);
    receipts->changed = true;
    unlock_and_arm(receipts);
}

/* ---- adding up ---- */

/* What a child stands for in the account of one log. */
struct share {
    const struct receipt *receipt; /* NULL: all its nodes hold nothing */
    uint64_t nodes;
    bool disagrees;
};

/* Behind compare_all(). Of a log of which it never spoke it holds nothing;
 * those below it are as many as it says of another. */
static struct share share_of(struct receipts *rs, const struct child *c,
                             const struct log_id *log, const struct own *own)
{
    struct share s = {.nodes = 1};
    struct item *it = find_item(c, log);
    if (it != NULL) {
        bool open = is_open(it, own->head.frontier.size);
        bool agrees = !open && !it->disagrees;
        /* Tell it later. */
        rs->changed = rs->changed || (open && err_is_passing(it->read));
        s.nodes = it->receipt.nodes;
        s.disagrees = it->disagrees;
        s.receipt = agrees ? &it->receipt : NULL;
        return s;
    }
    for (it = c->items; it != NULL; it = it->next) {
        s.nodes = it->receipt.nodes > s.nodes ? it->receipt.nodes : s.nodes;
    }
    return s;
}

/* Told of each that holds less than `size`. */
typedef void behind_fn(void *ctx, const struct receipts_node *node);

static void tell_behind(struct receipts *rs, const struct child *c,
                        const struct share *s, uint64_t size, behind_fn *fn,
                        void *ctx)
{
    const struct receipt *r = s->receipt;
    uint64_t held = r != NULL ? r->held : 0;
    uint64_t below = r != NULL ? receipt_below(r, held) : 0;
    if (held < size) {
        fn(ctx, &(struct receipts_node){.code = c->who.code,
                                        .size = held,
                                        .heard_ms = c->heard_ms,
                                        .nodes = s->nodes - below,
                                        .child = true,
                                        .here = c->streams > 0,
                                        .disagrees = s->disagrees});
    }
    for (size_t i = 0; r != NULL && i < r->missing_n; i++) {
        const struct receipt_missing *m = &r->missing[i];
        /* A name from elsewhere is counted, and not believed. */
        if (m->size < size &&
            rs->env->entitled(rs->env->ctx, m->code, c->who.code)) {
            fn(ctx, &(struct receipts_node){.code = m->code,
                                            .size = m->size,
                                            .heard_ms = m->heard_ms,
                                            .nodes = m->nodes});
        }
    }
}

static void name_it(void *ctx, const struct receipts_node *node)
{
    receipt_add_missing(ctx,
                        &(struct receipt_missing){.code = node->code,
                                                  .size = node->size,
                                                  .heard_ms = node->heard_ms,
                                                  .nodes = node->nodes});
}

static void add_up(struct receipts *rs, const struct own *own,
                   struct receipt *out)
{
    const struct store_head *head = &own->head;
    receipt_init(out, rs->env->self.code, &head->log, head->frontier.size,
                 &head->root);
    out->at_ms = clock_wall_ms();
    compare_all(rs, own);
    (void)pthread_mutex_lock(&rs->lock);
    for (const struct child *c = rs->children; c != NULL; c = c->next) {
        if (!counts(rs, c)) {
            continue;
        }
        struct share s = share_of(rs, c, &head->log, own);
        for (size_t i = 0; s.receipt != NULL && i < s.receipt->at_n; i++) {
            receipt_add(out, &s.receipt->at[i]);
        }
        if (s.receipt == NULL) {
            receipt_add(out, &(struct receipt_at){0, own->empty, s.nodes});
        }
        tell_behind(rs, c, &s, out->held, name_it, out);
    }
    (void)pthread_mutex_unlock(&rs->lock);
}

struct judging {
    struct roster *roster;
    receipts_node_fn *fn;
    void *ctx;
    struct receipts_sum *sum;
};

static void tell_node(void *ctx, const struct receipts_node *node)
{
    struct judging *j = ctx;
    struct receipts_node told = *node;
    told.revoked = roster_is_revoked(j->roster, node->code);
    j->sum->named += told.nodes;
    j->sum->revoked += told.revoked;
    j->fn(j->ctx, &told);
}

enum err receipts_judge(struct receipts *rs, const struct log_id *log,
                        uint64_t number, receipts_node_fn *fn, void *ctx,
                        struct receipts_sum *out)
{
    struct own *own = MEM_NEW(struct own);
    struct judging j = {rs->env->roster, fn, ctx, out};
    *out = (struct receipts_sum){.nodes = 1};
    enum err err = own_of(rs, log, own);
    out->held = err == ERR_OK ? own->head.frontier.size : 0;
    out->reached = number <= out->held ? 1 : 0;
    if (err == ERR_OK) {
        compare_all(rs, own);
    }
    (void)pthread_mutex_lock(&rs->lock);
    for (const struct child *c = err == ERR_OK ? rs->children : NULL; c != NULL;
         c = c->next) {
        if (!counts(rs, c)) {
            continue;
        }
        struct share s = share_of(rs, c, log, own);
        out->nodes += s.nodes;
        out->disagrees += s.disagrees;
        for (size_t i = 0; s.receipt != NULL && i < s.receipt->at_n; i++) {
            const struct receipt_at *at = &s.receipt->at[i];
            /* More than is held here cannot be compared. */
            out->reached +=
                at->size >= number && at->size <= out->held ? at->nodes : 0;
        }
        tell_behind(rs, c, &s, number, tell_node, &j);
    }
    (void)pthread_mutex_unlock(&rs->lock);
    mem_free(own);
    return err;
}

uint64_t receipts_disagree(struct receipts *receipts)
{
    uint64_t n = 0;
    (void)pthread_mutex_lock(&receipts->lock);
    for (struct child *c = receipts->children; c != NULL; c = c->next) {
        bool disagrees = false;
        for (struct item *it = c->items; it != NULL; it = it->next) {
            disagrees = disagrees || it->disagrees;
        }
        n += disagrees && counts(receipts, c);
    }
    (void)pthread_mutex_unlock(&receipts->lock);
    return n;
}

/* ---- sending ---- */

/* Strand. */
static enum err make(struct receipts *rs, const struct log_id *log,
                     struct buf *message)
{
    const struct sync_env *env = rs->env;
    const struct identity *signer = atomic_load(&env->signer);
    struct own *own = MEM_NEW(struct own);
    struct receipt *r = MEM_NEW(struct receipt);
    struct buf text = BUF_INIT;
    enum err err = own_of(rs, log, own);
    if (err == ERR_OK) {
        add_up(rs, own, r);
        err = receipt_sign(r, trust_federation(env->trust),
                           trust_suite(env->trust), signer->key, &text);
    }
    if (err == ERR_OK) {
        wire_put_receipt(message,
                         &(struct wire_receipt){buf_slice(&text),
                                                buf_slice(&signer->chain)});
    } else {
        log_error(env->log, "RECEIPT-SIGN", "err=%s", err_name(err));
    }
    buf_fini(&text);
    mem_free(r);
    mem_free(own);
    return err;
}

static bool send_log(void *ctx, const struct store_head *head)
{
    struct receipts *rs = ctx;
    struct buf message = BUF_INIT;
    if (head->own || !listing_counts_at(head->log.origin, rs->env->self.code)) {
        return true;
    }
    enum err err = make(rs, &head->log, &message);
    bool taken = message.len == 0 || rs->send(rs->send_ctx, &message);
    if (!taken || err_is_passing(err)) {
        (void)pthread_mutex_lock(&rs->lock);
        rs->changed = true;
        (void)pthread_mutex_unlock(&rs->lock);
    }
    return taken;
}

/* Strand. `sending` keeps send and its ctx as they are. */
static void send_due(struct receipts *rs)
{
    int64_t now = clock_mono_ms();
    (void)pthread_mutex_lock(&rs->lock);
    bool go =
        rs->changed && rs->send != NULL && now >= rs->sent_at_ms + PACE_MS;
    if (go) {
        rs->changed = false;
        rs->sent_at_ms = now;
        rs->sending = true;
    }
    (void)pthread_mutex_unlock(&rs->lock);
    if (!go) {
        return;
    }
    store_directives(rs->env->store, send_log, rs);
    (void)pthread_mutex_lock(&rs->lock);
    rs->sending = false;
    (void)pthread_cond_broadcast(&rs->idle);
    (void)pthread_mutex_unlock(&rs->lock);
}

void receipts_connect(struct receipts *receipts, receipts_send_fn *send,
                      void *ctx)
{
    if (receipts == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&receipts->lock);
    while (receipts->sending) {
        (void)pthread_cond_wait(&receipts->idle, &receipts->lock);
    }
    receipts->send = send;
    receipts->send_ctx = ctx;
    receipts->changed = send != NULL;
    unlock_and_arm(receipts);
}

/* ---- the file ---- */

static void put_child(const struct child *c, struct buf *out)
{
    uint16_t n = 0;
    for (const struct item *it = c->items; it != NULL; it = it->next) {
        n++;
    }
    buf_put_u64(out, c->who.code);
    buf_put_u16(out, (uint16_t)c->who.tier);
    buf_put_u64(out, (uint64_t)c->heard_ms);
    buf_put_u32(out, (uint32_t)c->chain.len);
    buf_put_slice(out, buf_slice(&c->chain));
    buf_put_u16(out, n);
    for (const struct item *it = c->items; it != NULL; it = it->next) {
        buf_put_u32(out, (uint32_t)it->text.len);
        buf_put_slice(out, buf_slice(&it->text));
    }
}

static void save(struct receipts *rs)
{
    struct buf bytes = BUF_INIT;
    struct errmsg why;
    buf_put(&bytes, magic, sizeof magic);
    (void)pthread_mutex_lock(&rs->lock);
    for (const struct child *c = rs->children; c != NULL; c = c->next) {
        if (counts(rs, c)) {
            put_child(c, &bytes);
        }
    }
    rs->unsaved = false;
    rs->saved_at_ms = clock_mono_ms();
    (void)pthread_mutex_unlock(&rs->lock);
    if (file_replace(rs->path, buf_slice(&bytes), FILE_MODE, &why) != ERR_OK) {
        (void)pthread_mutex_lock(&rs->lock);
        rs->unsaved = true; /* with the next turn */
        (void)pthread_mutex_unlock(&rs->lock);
        log_warn(rs->env->log, "RECEIPTS-SAVE",
                 "text=\"%s\" effect=\"after a start children that are away "
                 "are not known until they come back\"",
                 why.text);
    }
    buf_fini(&bytes);
}

static bool get_child(struct receipts *rs, struct reader *r)
{
    struct principal who = {.kind = PRINCIPAL_NODE};
    struct receipt *receipt = MEM_NEW(struct receipt);
    who.code = reader_u64(r);
    who.tier = (enum tier)reader_u16(r);
    int64_t heard_ms = (int64_t)reader_u64(r);
    struct slice chain = reader_bytes(r, reader_u32(r));
    struct child *c = r->bad ? NULL : child_of(rs, &who);
    if (c != NULL) {
        c->heard_ms = heard_ms;
    }
    for (unsigned n = reader_u16(r); n > 0 && !r->bad; n--) {
        struct slice text = reader_bytes(r, reader_u32(r));
        struct errmsg why;
        /* An old signature will do: the certificate may have expired since. */
        if (c != NULL && !r->bad && text.len > 0 &&
            verify(rs, &who, text, chain, 0, receipt, &why) == ERR_OK) {
            (void)keep(rs, c, receipt, text, chain);
        }
    }
    mem_free(receipt);
    return c != NULL && !r->bad;
}

/* Before anything else runs. What is not read is told again. */
static void load(struct receipts *rs)
{
    struct buf bytes = BUF_INIT;
    struct errmsg why = {""};
    enum err err = file_read(rs->path, FILE_BYTES_MAX, &bytes, &why);
    if (err == ERR_NOT_FOUND) {
        return;
    }
    struct reader r = reader_of(buf_slice(&bytes));
    bool ok = err == ERR_OK && slice_eq(reader_bytes(&r, sizeof magic),
                                        slice_of(magic, sizeof magic));
    while (ok && reader_left(&r) > 0) {
        ok = get_child(rs, &r);
    }
    if (!ok) {
        log_warn(rs->env->log, "RECEIPTS-LOAD",
                 "file=%s text=\"%s\" effect=\"children that are away are not "
                 "known until they come back\"",
                 rs->path, err != ERR_OK ? why.text : "damaged");
    }
    buf_fini(&bytes);
}

/* ---- when it is due ---- */

static void job(void *ctx)
{
    struct receipts *rs = ctx;
    send_due(rs);
    (void)pthread_mutex_lock(&rs->lock);
    bool due = rs->unsaved && clock_mono_ms() >= rs->saved_at_ms + SAVE_MS;
    (void)pthread_mutex_unlock(&rs->lock);
    if (due) {
        save(rs);
    }
    (void)pthread_mutex_lock(&rs->lock);
    int64_t at = rs->stopping ? 0 : due_at(rs);
    if (at != 0) {
        rpc_alarm_at(rs->alarm, at);
    }
    rs->jobs--;
    (void)pthread_cond_broadcast(&rs->idle);
    (void)pthread_mutex_unlock(&rs->lock);
}

/* The poller. */
static void on_due(void *ctx)
{
    struct receipts *rs = ctx;
    (void)pthread_mutex_lock(&rs->lock);
    bool go = !rs->stopping && rs->jobs == 0;
    rs->jobs += go;
    (void)pthread_mutex_unlock(&rs->lock);
    if (go) {
        strand_run(rs->strand, job, rs);
    }
}

/* ---- public ---- */

struct receipts *receipts_new(const struct sync_env *env, const char *path)
{
    struct receipts *rs = MEM_NEW(struct receipts);
    rs->env = env;
    rs->path = mem_strdup(path);
    (void)pthread_mutex_init(&rs->lock, NULL);
    (void)pthread_cond_init(&rs->idle, NULL);
    rs->sent_at_ms = clock_mono_ms() - PACE_MS;
    rs->saved_at_ms = clock_mono_ms();
    load(rs);
    rs->alarm = rpc_alarm_new(env->rpc, on_due, rs);
    rs->strand = strand_new(rpc_pool(env->rpc));
    return rs;
}

void receipts_free(struct receipts **receipts)
{
    struct receipts *rs = *receipts;
    *receipts = NULL;
    if (rs == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&rs->lock);
    rs->stopping = true;
    while (rs->jobs > 0) {
        (void)pthread_cond_wait(&rs->idle, &rs->lock);
    }
    (void)pthread_mutex_unlock(&rs->lock);
    rpc_alarm_free(&rs->alarm);
    strand_free(rs->strand);
    if (rs->unsaved) {
        save(rs);
    }
    struct child *next;
    for (struct child *c = rs->children; c != NULL; c = next) {
        next = c->next;
        child_free(c);
    }
    mem_free(rs->path);
    (void)pthread_cond_destroy(&rs->idle);
    (void)pthread_mutex_destroy(&rs->lock);
    mem_free(rs);
}
