#include "crowd/child.h"

#include <dirent.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "ident/rootchain.h"
#include "ingest/rows.h"
#include "run/rows.h"
#include "run/tree.h"
#include "sync/hello.h"
#include "sync/receipt.h"

enum {
    PATH_LEN = 640,
    HASH_HEX = 64,
    WORKERS = 2,
    SUBJECTS = 5000,
    QUOTA_A_CHILD = 1 << 20,
};

struct child {
    struct children *all;
    uint64_t code;
    struct tls_material tls;
    struct identity signer;
    struct log_id log;
    struct frontier frontier; /* of what was said */
    struct buf *entry;        /* owned: the opening, then records */
    unsigned made;
    unsigned said;
    struct buf opening; /* the whole message */
    struct rpc_channel *channel;
    struct rpc_stream *up;     /* lock; NULL: closed */
    struct rpc_stream *follow; /* lock; NULL: closed */
    uint64_t held;             /* lock: entries that the parent has */
    bool following;            /* lock */
    bool dialing;              /* lock */
    bool joined;               /* lock */
    bool lost;                 /* lock */
    /* Of the lists: what came. */
    struct log_id list;      /* lock */
    uint64_t list_size;      /* lock */
    struct hash list_root;   /* lock: at list_root_size */
    uint64_t list_root_size; /* lock; 0: none is known */
};

static void PRINTF_LIKE(2, 3) fault(struct children *all, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (all->fault[0] == '\0' && !all->over) {
        (void)vsnprintf(all->fault, sizeof all->fault, fmt, ap);
    }
    va_end(ap);
    (void)pthread_cond_broadcast(&all->told);
}

static void lock(struct child *c)
{
    (void)pthread_mutex_lock(&c->all->lock);
}

static void unlock(struct child *c)
{
    (void)pthread_cond_broadcast(&c->all->told);
    (void)pthread_mutex_unlock(&c->all->lock);
}

/* ---- its log ---- */

/* One entry as a segment under its own signed head. */
static void put_segment(struct child *c, struct slice entry, bool chain,
                        struct buf *out)
{
    struct block_codec *codec = block_codec_new();
    struct buf block = BUF_INIT;
    struct buf note = BUF_INIT;
    struct hash leaf;
    suite_hash_leaf(SUITE_INTL, entry, &leaf);
    frontier_append(&c->frontier, SUITE_INTL, &leaf, NULL, NULL);
    struct checkpoint head = {
        .log = c->log, .size = c->frontier.size, .at_ms = clock_wall_ms()};
    frontier_root(&c->frontier, SUITE_INTL, &head.root);
    enum err err =
        checkpoint_sign(&head, TREE_FEDERATION, SUITE_INTL, &c->signer, &note);
    block_pack(codec, &(struct slot){.entry = entry}, 1, &block);
    const struct block_ref ref = {
        .first = head.size, .count = 1, .len = (uint32_t)block.len};
    struct slice none = slice_of(NULL, 0);
    wire_put_segment(out,
                     &(struct wire_segment_out){
                         .log = c->log,
                         .blocks = &block,
                         .refs = &ref,
                         .refs_count = 1,
                         .note = buf_slice(&note),
                         .chain = chain ? buf_slice(&c->signer.chain) : none});
    if (err != ERR_OK) {
        lock(c);
        fault(c->all, "%012llu cannot sign: %s", (unsigned long long)c->code,
              err_name(err));
        unlock(c);
    }
    block_codec_free(&codec);
    buf_fini(&block);
    buf_fini(&note);
}

/* Lock held. Nothing is to wait for room: a child says little. */
static void say(struct child *c, struct rpc_stream *stream, struct buf *message)
{
    enum err err =
        stream != NULL ? rpc_stream_send(stream, message) : ERR_CANCELLED;
    buf_fini(message);
    if (err != ERR_OK && err != ERR_CANCELLED) {
        fault(c->all, "%012llu cannot send: %s", (unsigned long long)c->code,
              err_name(err));
    }
}

/* ---- what the parent says ---- */

/* Lock held. */
static void note_joined(struct child *c)
{
    if (c->dialing && c->following && c->held > 0) {
        c->dialing = false;
        c->joined = true;
        c->all->dialing--;
        c->all->joined++;
    }
}

/* Lock held. */
static void note_held(struct child *c, uint64_t size)
{
    if (size > c->held) {
        c->all->acked += size - c->held;
        c->held = size;
        note_joined(c);
    }
}

static void on_have(struct child *c, const struct wire_have *have)
{
    struct wire_iter it = wire_iter_of(&have->logs);
    struct slice item;
    while (wire_next(&it, &item)) {
        struct wire_log_have one;
        wire_log_have_get(item, &one);
        if (log_id_eq(&one.log, &c->log)) {
            note_held(c, one.size);
        }
    }
    if (have->last && c->held == 0) {
        struct buf message = BUF_INIT;
        buf_put_slice(&message, buf_slice(&c->opening));
        say(c, c->up, &message);
    }
}

static void on_ack(struct child *c, const struct wire_ack *ack)
{
    struct wire_iter it = wire_iter_of(&ack->logs);
    struct slice item;
    while (wire_next(&it, &item)) {
        struct wire_log_ack one;
        wire_log_ack_get(item, &one);
        if (log_id_eq(&one.log, &c->log)) {
            note_held(c, one.size);
        }
    }
}

static void on_up(struct rpc_stream *s, void *user, struct slice message)
{
    struct child *c = user;
    struct wire_message m;
    struct errmsg why;
    (void)s;
    enum err err = wire_get_parent(message, &m, &why);
    lock(c);
    if (err != ERR_OK) {
        fault(c->all, "the parent says to %012llu: %s",
              (unsigned long long)c->code, why.text);
    } else if (m.kind == WIRE_HAVE) {
        on_have(c, &m.have);
    } else if (m.kind == WIRE_ACK) {
        on_ack(c, &m.ack);
    } else if (m.kind == WIRE_STOP) {
        fault(c->all, "the parent stopped the log of %012llu: %.*s",
              (unsigned long long)c->code, (int)m.stop.reason.len,
              (const char *)m.stop.reason.data);
    }
    unlock(c);
}

/* Entries of lists: believed, counted, acknowledged. */
static void on_list(struct child *c, const struct wire_segment *m)
{
    struct wire_iter it = wire_iter_of(&m->block);
    struct slice block;
    struct checkpoint head;
    struct buf message = BUF_INIT;
    uint64_t end = m->first - 1;
    size_t count;
    while (wire_next(&it, &block) && block_count(block, &count) == ERR_OK) {
        end += count;
    }
    if (end > c->list_size) {
        c->all->followed += end - c->list_size;
        c->list = m->log;
        c->list_size = end;
    }
    if (checkpoint_parse(m->note, TREE_FEDERATION, &head) == ERR_OK &&
        head.size == c->list_size) {
        c->list_root = head.root;
        c->list_root_size = head.size;
    }
    const struct wire_log_ack ack = {.log = m->log, .size = c->list_size};
    wire_put_ack(&message, &ack, 1);
    say(c, c->follow, &message);
}

static void on_follow(struct rpc_stream *s, void *user, struct slice message)
{
    struct child *c = user;
    struct wire_message m;
    struct errmsg why;
    (void)s;
    enum err err = wire_get_feed(message, &m, &why);
    lock(c);
    if (err != ERR_OK) {
        fault(c->all, "the parent's list says to %012llu: %s",
              (unsigned long long)c->code, why.text);
    } else if (m.kind == WIRE_HELLO) {
        struct buf have = BUF_INIT;
        wire_put_have(&have, NULL, 0, true);
        say(c, c->follow, &have);
        c->following = true;
        note_joined(c);
    } else if (m.kind == WIRE_SEGMENT) {
        on_list(c, &m.segment);
    } else if (m.kind == WIRE_EVIDENCE) {
        c->all->heads++;
    }
    unlock(c);
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct child *c = user;
    lock(c);
    if (s == c->up) {
        c->up = NULL;
    } else {
        c->follow = NULL;
    }
    if (c->joined) {
        fault(c->all, "%012llu was cut off: %s: %s",
              (unsigned long long)c->code, err_name(err), text);
    } else if (c->dialing && !c->all->over) {
        c->dialing = false;
        c->lost = true;
        c->all->dialing--;
        c->all->lost++;
    }
    unlock(c);
}

static const struct rpc_stream_ops up_ops = {.message = on_up,
                                             .closed = on_closed};
static const struct rpc_stream_ops follow_ops = {.message = on_follow,
                                                 .closed = on_closed};

/* ---- connecting ---- */

static const struct tls_material *get_tls(void *ctx, uint64_t *generation)
{
    const struct child *c = ctx;
    *generation = 1;
    return &c->tls;
}

static void greet(struct child *c, const char *path,
                  const struct rpc_stream_ops *ops, struct rpc_stream **stream)
{
    struct sync_env env = {.trust = c->all->trust,
                           .roots = c->all->roots,
                           .self = c->tls.self,
                           .version = "crowd"};
    struct buf hello = BUF_INIT;
    hello_put(&env, 0, &hello);
    enum err err = rpc_stream_open(stream, c->channel, path, ops, c, 0);
    if (err != ERR_OK) {
        *stream = NULL;
        fault(c->all, "%012llu cannot call: %s", (unsigned long long)c->code,
              err_name(err));
    }
    say(c, *stream, &hello);
}

void child_dial(struct children *all, unsigned i)
{
    struct child *c = &all->child[i];
    const struct rpc_tls tls = {get_tls, c};
    struct errmsg why = {""};
    rpc_channel_close(&c->channel);
    if (c->opening.len == 0) {
        put_segment(c, buf_slice(&c->entry[0]), true, &c->opening);
        c->said = 1;
    }
    enum err err =
        rpc_channel_open(&c->channel, all->rpc, all->address, &tls, NULL, &why);
    lock(c);
    if (c->lost) {
        c->lost = false;
        all->lost--;
    }
    c->following = false;
    c->dialing = true;
    all->dialing++;
    if (err != ERR_OK) {
        fault(all, "%s", why.text);
    } else {
        greet(c, SYNC_REPLICATE, &up_ops, &c->up);
        greet(c, SYNC_SUBSCRIBE, &follow_ops, &c->follow);
    }
    unlock(c);
}

bool child_lost(struct children *all, unsigned *i)
{
    (void)pthread_mutex_lock(&all->lock);
    for (*i = 0; all->lost > 0 && *i < all->conf.n; (*i)++) {
        if (all->child[*i].lost) {
            break;
        }
    }
    bool lost = all->lost > 0 && *i < all->conf.n;
    (void)pthread_mutex_unlock(&all->lock);
    return lost;
}

void child_say_record(struct children *all, unsigned i)
{
    struct child *c = &all->child[i];
    struct buf message = BUF_INIT;
    put_segment(c, buf_slice(&c->entry[c->said++]), false, &message);
    lock(c);
    say(c, c->up, &message);
    unlock(c);
}

void child_say_receipt(struct children *all, unsigned i)
{
    struct child *c = &all->child[i];
    struct receipt *r = MEM_NEW(struct receipt);
    struct buf text = BUF_INIT;
    struct buf message = BUF_INIT;
    lock(c);
    bool known = c->list_size > 0 && c->list_root_size == c->list_size;
    receipt_init(r, c->code, &c->list, c->list_size, &c->list_root);
    unlock(c);
    r->at_ms = clock_wall_ms();
    if (known && receipt_sign(r, TREE_FEDERATION, SUITE_INTL, c->signer.key,
                              &text) == ERR_OK) {
        wire_put_receipt(&message, &(struct wire_receipt){
                                       .text = buf_slice(&text),
                                       .chain = buf_slice(&c->signer.chain)});
        lock(c);
        say(c, c->follow, &message);
        unlock(c);
    }
    buf_fini(&text);
    mem_free(r);
}

/* ---- waiting, counting ---- */

bool children_wait(struct children *all, const uint64_t *value, uint64_t wanted,
                   int64_t ms)
{
    struct timespec until;
    bool late = false;
    clock_until(ms, &until);
    (void)pthread_mutex_lock(&all->lock);
    while (*value < wanted && all->fault[0] == '\0' && !late) {
        late = pthread_cond_timedwait(&all->told, &all->lock, &until) != 0;
    }
    bool there = *value >= wanted && all->fault[0] == '\0';
    (void)pthread_mutex_unlock(&all->lock);
    return there;
}

bool children_room(struct children *all, unsigned n, int64_t ms)
{
    struct timespec until;
    bool late = false;
    clock_until(ms, &until);
    (void)pthread_mutex_lock(&all->lock);
    while (all->dialing >= n && all->fault[0] == '\0' && !late) {
        late = pthread_cond_timedwait(&all->told, &all->lock, &until) != 0;
    }
    bool room = all->dialing < n && all->fault[0] == '\0';
    (void)pthread_mutex_unlock(&all->lock);
    return room;
}

static bool leads_to(int fd, unsigned port)
{
    /* gRPC uses sockets of IPv6 for both families. */
    struct sockaddr_in6 peer = {.sin6_family = AF_UNSPEC};
    socklen_t len = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
           (peer.sin6_family == AF_INET6 || peer.sin6_family == AF_INET) &&
           ntohs(peer.sin6_port) == port; /* at the same place in both */
}

void children_bytes(const struct children *all, uint64_t *up, uint64_t *down)
{
    DIR *dir = opendir("/proc/self/fd");
    *up = *down = 0;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        struct tcp_info info;
        socklen_t len = sizeof info;
        uint64_t fd = 0;
        if (str_u64(slice_str(e->d_name), &fd) &&
            leads_to((int)fd, all->port) &&
            getsockopt((int)fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0) {
            *up += info.tcpi_bytes_acked;
            *down += info.tcpi_bytes_received;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

/* ---- making them ---- */

static enum err load_child(struct child *c, const char *folder,
                           struct errmsg *why)
{
    static const char *const names[] = {"ca.pem", "tls.pem", "tls.key",
                                        "sign.pem", "sign.key"};
    char path[ARRAY_LEN(names)][PATH_LEN];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path[i], PATH_LEN, "%s/%012llu/certs/%s", folder,
                       (unsigned long long)c->code, names[i]);
    }
    enum err err = tls_material_load(&c->tls, path[0], path[1], path[2], why);
    if (err == ERR_OK) {
        err = identity_load(&c->signer, c->all->trust, CERT_USE_SIGN, path[3],
                            path[4], why);
    }
    return err;
}

/* The record of a row as an entry of whoever is next to have one. */
struct making {
    struct children *all;
    struct record_keys keys;
    unsigned next;
    struct buf room;
};

static enum err on_record(void *ctx, uint64_t line, const struct record *record)
{
    struct making *m = ctx;
    struct child *c = &m->all->child[m->next++ % m->all->conf.n];
    struct entry entry;
    (void)line;
    buf_clear(&m->room);
    enum err err = record_to_entry(record, &m->keys, c->code, clock_wall_ms(),
                                   NULL, &m->room, &entry);
    if (err == ERR_OK) {
        entry.version = 1;
        entry_encode(&entry, &c->entry[c->made++]);
    }
    return err;
}

static enum err on_refused(void *ctx, uint64_t line,
                           const struct rows_fault *faults, size_t count)
{
    (void)ctx;
    (void)line;
    (void)faults;
    (void)count;
    return ERR_INVALID;
}

static enum err make_records(struct children *all, struct errmsg *why)
{
    static const uint8_t secret[HASH_LEN] = {1};
    struct making m = {.all = all,
                       .keys = {.suite = SUITE_INTL,
                                .identity = slice_of(secret, sizeof secret),
                                .digest = slice_of(secret, sizeof secret)},
                       .room = BUF_INIT};
    struct rows_options options = {.keys = &m.keys};
    struct rows_sink sink = {
        .record = on_record, .refused = on_refused, .ctx = &m};
    struct rows *rows = NULL;
    struct buf line = BUF_INIT;
    rows_begin(&rows, &options, &sink);
    buf_putf(&line, "%s\n", bench_csv_header);
    enum err err = rows_feed(rows, buf_slice(&line), why);
    for (uint64_t i = 0;
         i < (uint64_t)all->conf.n * all->conf.records && err == ERR_OK; i++) {
        struct bench_row row;
        bench_row_make(i + 1, SUBJECTS, &row);
        buf_clear(&line);
        buf_putf(&line, "%s\n", row.csv);
        err = rows_feed(rows, buf_slice(&line), why);
    }
    err = err == ERR_OK ? rows_finish(rows, why) : err;
    rows_free(&rows);
    buf_fini(&line);
    buf_fini(&m.room);
    return err;
}

static enum err make_children(struct children *all, struct errmsg *why)
{
    enum err err = ERR_OK;
    for (unsigned i = 0; i < all->conf.n && err == ERR_OK; i++) {
        struct child *c = &all->child[i];
        c->all = all;
        c->code = all->conf.place[i + 1].code;
        c->log = (struct log_id){c->code, i + 1, LOG_RECORDS};
        c->entry = mem_zalloc(all->conf.records + 1, sizeof *c->entry);
        entry_open_encode(&(struct entry_open){0}, clock_wall_ms(),
                          &c->entry[c->made++]);
        err = load_child(c, all->conf.folder, why);
    }
    return err == ERR_OK ? make_records(all, why) : err;
}

static enum err open_trust(struct children *all, struct errmsg *why)
{
    char ca[PATH_LEN];
    char document[PATH_LEN];
    char path[PATH_LEN];
    struct buf hash = BUF_INIT;
    const char *folder = all->conf.folder;
    (void)snprintf(ca, sizeof ca, "%s/fed/ca.pem", folder);
    (void)snprintf(path, sizeof path, "%s/root_hash", folder);
    enum err err =
        trust_open(&all->trust, SUITE_INTL, TREE_FEDERATION, ca, NULL, why);
    if (err == ERR_OK) {
        err = file_read(path, (size_t)2 * HASH_HEX, &hash, why);
    }
    if (err == ERR_OK && hash.len < HASH_HEX) {
        err = err_set(why, ERR_IO, "%s: no hash", path);
    }
    if (err == ERR_OK) {
        char expected[HASH_HEX + 1] = "";
        memcpy(expected, hash.data, HASH_HEX);
        (void)snprintf(document, sizeof document, "%s/fed/root-document",
                       folder);
        (void)snprintf(path, sizeof path, "%s/roots", folder);
        err = rootchain_open(&all->roots, document, expected, path, why);
    }
    buf_fini(&hash);
    return err;
}

enum err children_open(struct children **out, const struct children_conf *conf,
                       struct errmsg *why)
{
    struct children *all = MEM_NEW(struct children);
    struct rpc_conf rpc = rpc_conf_default();
    all->conf = *conf;
    all->child = mem_zalloc(conf->n, sizeof *all->child);
    (void)pthread_mutex_init(&all->lock, NULL);
    clock_cond_init(&all->told);
    *out = all;
    rpc.workers = WORKERS;
    rpc.quota_bytes += (size_t)conf->n * QUOTA_A_CHILD;
    enum err err = open_trust(all, why);
    if (err == ERR_OK) {
        err = make_children(all, why);
    }
    if (err == ERR_OK) {
        err = rpc_open(&all->rpc, &rpc, why);
    }
    if (err != ERR_OK) {
        children_close(out);
    }
    return err;
}

static void child_fini(struct child *c, unsigned entries)
{
    for (unsigned k = 0; c->entry != NULL && k < entries; k++) {
        buf_fini(&c->entry[k]);
    }
    mem_free(c->entry);
    buf_fini(&c->opening);
    identity_fini(&c->signer);
    tls_material_fini(&c->tls);
}

void children_close(struct children **children)
{
    struct children *all = *children;
    if (all == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&all->lock);
    all->over = true;
    (void)pthread_mutex_unlock(&all->lock);
    for (unsigned i = 0; i < all->conf.n; i++) {
        rpc_channel_close(&all->child[i].channel);
    }
    if (all->rpc != NULL) {
        rpc_close(&all->rpc);
    }
    for (unsigned i = 0; i < all->conf.n; i++) {
        child_fini(&all->child[i], all->conf.records + 1);
    }
    rootchain_free(&all->roots);
    trust_free(&all->trust);
    (void)pthread_cond_destroy(&all->told);
    (void)pthread_mutex_destroy(&all->lock);
    mem_free(all->child);
    mem_free(all);
    *children = NULL;
}
