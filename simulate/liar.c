/* liar - a middle tier that does not pass on what it got.
 *
 *   liar CONFIG PARENT ORIGIN LIE
 *
 * Connects to PARENT (host:port) with the certificate of the node whose
 * configuration is CONFIG, and sends the log of ORIGIN from that node's store
 * (the node must be stopped) with one LIE in it; see the table. Prints what
 * the parent answers:
 *   stop NUMBER REASON      the parent stopped the log
 *   ack SIZE                it took entries that it had not
 *   withheld LOG SENT SIZE  it took all that it was sent of so many; of that
 * LIE closed ERROR TEXT       it ended the stream Ends after the first of stop
 * and closed, or ten quiet seconds. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf.h"
#include "ident/rootchain.h"
#include "sync/hello.h"
#include "sync/source.h"

enum {
    QUIET_S = 10,
    MESSAGE_BYTES = 65536,
    LIE_AT = 5, /* entries before the lie, in a block that has more */
    FLOOD = 2000,
};

struct liar {
    struct sync_env env;
    const struct identity *signer;
    const struct identity *sealer;
    struct source source;
    struct log_id log;
    struct rpc_stream *stream;
    uint64_t parent_has;
    uint64_t acked;
    uint64_t enough; /* an acknowledgement of so many ends it; 0: none does */
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool ready; /* the parent's last page came */
    bool over;
};

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "liar: %s: %s\n", what, why);
    exit(2);
}

static void must(enum err err, const char *what, const struct errmsg *why)
{
    if (err != ERR_OK) {
        die(what, why != NULL && why->text[0] != 0 ? why->text : err_text(err));
    }
}

/* ---- what the parent says ---- */

static void on_have(struct liar *l, const struct wire_have *have)
{
    struct wire_iter it = wire_iter_of(&have->logs);
    struct slice item;
    while (wire_next(&it, &item)) {
        struct wire_log_have one;
        wire_log_have_get(item, &one);
        if (log_id_eq(&one.log, &l->log)) {
            l->parent_has = one.size;
        }
    }
    l->ready = l->ready || have->last;
}

static void on_ack(struct liar *l, const struct wire_ack *ack)
{
    struct wire_iter it = wire_iter_of(&ack->logs);
    struct slice item;
    while (wire_next(&it, &item)) {
        struct wire_log_ack one;
        wire_log_ack_get(item, &one);
        /* What it had before is acknowledged too. */
        if (log_id_eq(&one.log, &l->log) && one.size > l->acked &&
            one.size > l->parent_has) {
            l->acked = one.size;
            l->over = l->over || (l->enough != 0 && l->acked >= l->enough);
            (void)printf("ack %llu\n", (unsigned long long)one.size);
        }
    }
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    struct liar *l = user;
    struct wire_message m;
    struct errmsg why;
    (void)s;
    must(wire_get_parent(message, &m, &why), "message", &why);
    (void)pthread_mutex_lock(&l->lock);
    if (m.kind == WIRE_HAVE) {
        on_have(l, &m.have);
    } else if (m.kind == WIRE_ACK) {
        on_ack(l, &m.ack);
    } else if (m.kind == WIRE_STOP) {
        (void)printf("stop %llu %.*s\n", (unsigned long long)m.stop.number,
                     (int)m.stop.reason.len, (const char *)m.stop.reason.data);
        l->over = true;
    }
    (void)pthread_cond_broadcast(&l->told);
    (void)pthread_mutex_unlock(&l->lock);
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct liar *l = user;
    (void)s;
    (void)pthread_mutex_lock(&l->lock);
    if (!l->over) {
        (void)printf("closed %s %s\n", err_name(err), text);
    }
    l->stream = NULL;
    l->over = true;
    (void)pthread_cond_broadcast(&l->told);
    (void)pthread_mutex_unlock(&l->lock);
}

static const struct rpc_stream_ops ops = {
    .message = on_message,
    .closed = on_closed,
};

static bool wait_for(struct liar *l, const bool *what)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += QUIET_S;
    (void)pthread_mutex_lock(&l->lock);
    while (!*what && !l->over &&
           pthread_cond_timedwait(&l->told, &l->lock, &until) == 0) {
    }
    bool came = *what;
    (void)pthread_mutex_unlock(&l->lock);
    return came;
}

static void say(struct liar *l, struct buf *message)
{
    (void)pthread_mutex_lock(&l->lock);
    struct rpc_stream *stream = l->stream;
    (void)pthread_mutex_unlock(&l->lock);
    if (stream == NULL || rpc_stream_send(stream, message) != ERR_OK) {
        buf_clear(message);
    }
}

/* ---- lies: they change the segment in `source` ---- */

static size_t at; /* of the lie, in its block */

/* The way from where the changed entries end to the signed head is the true
 * one: nothing but their hashes tells that they are changed. */
static void bridge_anew(struct liar *l)
{
    struct source *src = &l->source;
    struct tree_view view = store_view(l->env.store, &src->head);
    if (src->end <= src->head.newest.size) {
        must(tree_bridge(&view, src->end, src->head.newest.size, &src->proof),
             "bridge", NULL);
        buf_clear(&src->bridge);
        bridge_put(&src->bridge, &src->proof);
    }
}

/* The first block's entries, of which `change` needs so many, changed by it and
 * packed again. */
static void repack(struct liar *l, size_t needs,
                   void (*change)(struct slot *slots, size_t *count))
{
    struct source *src = &l->source;
    struct block_codec *codec = block_codec_new();
    struct block_codec *packer = block_codec_new();
    struct slot slots[BLOCK_ENTRIES_MAX + 1];
    struct buf packed = BUF_INIT;
    size_t count = 0;
    struct block_ref *ref = &src->refs[0];
    must(block_unpack(codec, slice_of(src->blocks.data + ref->offset, ref->len),
                      slots, &count),
         "block", NULL);
    if (count < needs) {
        die("block", "too few entries");
    }
    at = count > LIE_AT + 1 ? LIE_AT : 0;
    change(slots, &count);
    block_pack(packer, slots, count, &packed);
    block_codec_free(&codec);
    block_codec_free(&packer);
    src->refs_count = 1;
    src->end = ref->first + count - 1;
    *ref = (struct block_ref){.first = ref->first,
                              .count = (uint32_t)count,
                              .len = (uint32_t)packed.len};
    buf_fini(&src->blocks);
    src->blocks = packed;
    bridge_anew(l);
}

static uint8_t altered[ENTRY_MAX];

static void change_byte(struct slot *slots, size_t *count)
{
    (void)count;
    struct slice *entry = &slots[at].entry;
    memcpy(altered, entry->data, entry->len);
    altered[entry->len - 1] ^= 1;
    entry->data = altered;
}

static void drop_one(struct slot *slots, size_t *count)
{
    memmove(&slots[at], &slots[at + 1], (*count - at - 1) * sizeof *slots);
    (*count)--;
}

static void swap_two(struct slot *slots, size_t *count)
{
    (void)count;
    struct slot kept = slots[at];
    slots[at] = slots[at + 1];
    slots[at + 1] = kept;
}

static void invent_one(struct slot *slots, size_t *count)
{
    memmove(&slots[at + 1], &slots[at], (*count - at - 1) * sizeof *slots);
    change_byte(slots, count);
}

static void lie_altered(struct liar *l)
{
    repack(l, 1, change_byte);
}

static void lie_dropped(struct liar *l)
{
    repack(l, 2, drop_one);
}

static void lie_reordered(struct liar *l)
{
    repack(l, 2, swap_two);
}

static void lie_invented(struct liar *l)
{
    repack(l, 2, invent_one);
}

/* A whole block is left out. */
static void lie_gap(struct liar *l)
{
    struct source *src = &l->source;
    struct block_ref *ref = src->refs;
    if (src->refs_count < 2) {
        die("gap", "too few blocks");
    }
    src->refs_count--;
    memmove(ref, ref + 1, src->refs_count * sizeof *ref);
}

/* The head says other than its signature. */
static void lie_head(struct liar *l)
{
    uint8_t *size = memchr(l->source.note.data, '\n', l->source.note.len);
    size[1] = size[1] == '9' ? '8' : (uint8_t)(size[1] + 1);
}

/* The liar's own certificate for another's log; for its own log, where that
 * would be the truth, the one it seals with. */
static void lie_signer(struct liar *l)
{
    bool own = l->log.origin == l->env.self.code;
    const struct buf *chain = own ? &l->sealer->chain : &l->signer->chain;
    buf_clear(&l->source.chain);
    buf_put(&l->source.chain, chain->data, chain->len);
}

/* Nothing is false: its first entries, under the signed head of all. */
static void lie_withheld(struct liar *l)
{
    struct source *src = &l->source;
    if (src->refs_count < 2) {
        die("withheld", "too few blocks");
    }
    src->refs_count = 1;
    src->end = src->refs[0].first + src->refs[0].count - 1;
    bridge_anew(l);
    (void)pthread_mutex_lock(&l->lock);
    l->enough = src->end;
    (void)pthread_mutex_unlock(&l->lock);
}

/* An office of another township. */
static void lie_foreign(struct liar *l)
{
    l->source.head.log.origin = 341822100201;
}

static void lie_nothing(struct liar *l)
{
    (void)l;
}

/* ---- lies that are no segments ---- */

static void send_garbage(struct liar *l)
{
    struct buf message = BUF_INIT;
    for (int i = 0; i < 300; i++) {
        buf_put_u8(&message, (uint8_t)(i * 7 + 3));
    }
    say(l, &message);
    buf_fini(&message);
}

/* A block that claims to unpack to far more than a block may. */
static void send_bomb(struct liar *l)
{
    struct buf message = BUF_INIT;
    struct source *src = &l->source;
    src->refs_count = 1;
    src->blocks.data[src->refs[0].offset] = 2;
    be_put32(src->blocks.data + src->refs[0].offset + 2, UINT32_MAX);
    struct wire_segment_out out = source_segment(src, true, true);
    wire_put_segment(&message, &out);
    say(l, &message);
    buf_fini(&message);
}

static void send_giant(struct liar *l)
{
    struct buf message = BUF_INIT;
    static uint8_t zeros[65536];
    while (message.len < RPC_MESSAGE_MAX - sizeof zeros) {
        buf_put(&message, zeros, sizeof zeros);
    }
    say(l, &message);
    buf_fini(&message);
}

/* One entry is never done: the same block over and over, many logs. */
static void send_flood(struct liar *l)
{
    struct buf message = BUF_INIT;
    l->source.refs_count = 1;
    for (uint64_t i = 0; i < FLOOD; i++) {
        l->source.head.log.incarnation = i + 1;
        struct wire_segment_out out = source_segment(&l->source, true, true);
        buf_clear(&message);
        wire_put_segment(&message, &out);
        say(l, &message);
    }
    buf_fini(&message);
}

static const struct {
    const char *name;
    void (*change)(struct liar *l);
    void (*send)(struct liar *l);
} lies[] = {
    {"none", lie_nothing, NULL},      {"altered", lie_altered, NULL},
    {"dropped", lie_dropped, NULL},   {"reordered", lie_reordered, NULL},
    {"invented", lie_invented, NULL}, {"gap", lie_gap, NULL},
    {"head", lie_head, NULL},         {"signer", lie_signer, NULL},
    {"foreign", lie_foreign, NULL},   {"garbage", NULL, send_garbage},
    {"bomb", NULL, send_bomb},        {"giant", NULL, send_giant},
    {"flood", NULL, send_flood},      {"withheld", lie_withheld, NULL},
};

static void say_withheld(struct liar *l)
{
    char log[LOG_ID_TEXT_MAX];
    (void)pthread_mutex_lock(&l->lock);
    bool taken = l->enough != 0 && l->acked == l->enough;
    (void)pthread_mutex_unlock(&l->lock);
    if (taken) {
        log_id_format(&l->log, log);
        (void)printf("withheld %s %llu %llu\n", log,
                     (unsigned long long)l->source.end,
                     (unsigned long long)l->source.head.newest.size);
    }
}

static void tell(struct liar *l, size_t lie)
{
    struct buf message = BUF_INIT;
    must(source_read(&l->source, l->env.store, &l->log, l->parent_has + 1,
                     UINT64_MAX, MESSAGE_BYTES),
         "no entries that the parent lacks", NULL);
    must(source_read_note(&l->source, l->env.store), "head", NULL);
    if (lies[lie].send != NULL) {
        lies[lie].send(l);
        return;
    }
    lies[lie].change(l);
    struct wire_segment_out out = source_segment(&l->source, true, true);
    wire_put_segment(&message, &out);
    say(l, &message);
    buf_fini(&message);
}

/* ---- set-up ---- */

static struct tls_material material;

static const struct tls_material *get_tls(void *ctx, uint64_t *generation)
{
    (void)ctx;
    *generation = 1;
    return &material;
}

static bool pick_log(void *ctx, const struct store_head *head)
{
    struct liar *l = ctx;
    if (head->log.origin == l->log.origin) {
        l->log = head->log;
    }
    return l->log.kind != LOG_RECORDS;
}

static void open_all(struct liar *l, const struct conf *c,
                     struct identity *signer, struct identity *sealer)
{
    struct errmsg why = {""};
    char path[4096];
    enum suite suite = (enum suite)c->federation.suite;
    must(tls_material_load(&material, c->tls.ca, c->tls.cert, c->tls.key, &why),
         "TLS", &why);
    must(trust_open(&l->env.trust, suite, c->federation.name, c->trust.ca, NULL,
                    &why),
         "trust", &why);
    must(identity_load(signer, l->env.trust, CERT_USE_SIGN, c->sign.cert,
                       c->sign.key, &why),
         "identity", &why);
    must(identity_load(sealer, l->env.trust, CERT_USE_SEAL, c->seal.cert,
                       c->seal.key, &why),
         "sealing identity", &why);
    l->signer = signer;
    l->sealer = sealer;
    l->env.self = material.self;
    char expected[2 * HASH_LEN + 1];
    str_hex(c->federation.root_hash, HASH_LEN, expected);
    (void)snprintf(path, sizeof path, "%s/root", c->data.dir);
    must(rootchain_open(&l->env.roots, c->federation.root_document, expected,
                        path, &why),
         "root document", &why);
    l->env.version = "liar";
    (void)snprintf(path, sizeof path, "%s/store", c->data.dir);
    struct store_conf conf = {.path = path,
                              .cache_bytes = 1 << 20,
                              .write_buffer_bytes = 1 << 20,
                              .queue_max = 16,
                              .queue_bytes_max = 4 << 20};
    struct store_env env = {.suite = suite,
                            .federation = c->federation.name,
                            .self = c->node.code,
                            .signer = signer};
    must(store_open(&l->env.store, &conf, &env, &why), "store", &why);
    source_init(&l->source, c->federation.name);
}

static void connect_to(struct liar *l, const char *parent,
                       struct rpc_channel **channel)
{
    struct errmsg why = {""};
    struct buf hello = BUF_INIT;
    static const struct rpc_tls tls = {.get = get_tls};
    struct rpc_conf conf = rpc_conf_default();
    must(rpc_open(&l->env.rpc, &conf, &why), "rpc", &why);
    must(rpc_channel_open(channel, l->env.rpc, parent, &tls, NULL, &why),
         "channel", &why);
    must(rpc_stream_open(&l->stream, *channel, SYNC_REPLICATE, &ops, l, 0),
         "stream", NULL);
    hello_put(&l->env, 0, &hello);
    say(l, &hello);
    buf_fini(&hello);
}

static void close_all(struct liar *l, struct rpc_channel **channel)
{
    (void)pthread_mutex_lock(&l->lock);
    l->over = true;
    (void)pthread_mutex_unlock(&l->lock);
    rpc_channel_close(channel);
    rpc_close(&l->env.rpc);
    source_fini(&l->source);
    store_close(&l->env.store);
    trust_free(&l->env.trust);
    tls_material_fini(&material);
}

static size_t find_lie(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        if (strcmp(lies[i].name, name) == 0) {
            return i;
        }
    }
    die("no such lie", name);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        die("usage", "liar CONFIG PARENT ORIGIN LIE");
    }
    size_t lie = find_lie(argv[4]);
    struct conf *conf = NULL;
    struct conf_errors errors;
    struct identity signer = {0};
    struct identity sealer = {0};
    struct rpc_channel *channel = NULL;
    struct liar l = {.lock = PTHREAD_MUTEX_INITIALIZER,
                     .told = PTHREAD_COND_INITIALIZER};
    char address[256];
    const char *const set[] = {address};
    (void)snprintf(address, sizeof address, "parent.address=%s", argv[2]);
    if (conf_load(&conf, argv[1], set, 1, &errors) != ERR_OK) {
        die("configuration", errors.at[0].text);
    }
    if (!code_parse(argv[3], &l.log.origin)) {
        die("no code", argv[3]);
    }
    open_all(&l, conf, &signer, &sealer);
    store_logs(l.env.store, pick_log, &l);
    if (l.log.kind != LOG_RECORDS) {
        die("no log of", argv[3]);
    }
    connect_to(&l, argv[2], &channel);
    if (wait_for(&l, &l.ready)) {
        tell(&l, lie);
        (void)wait_for(&l, &l.over);
        say_withheld(&l);
    }
    close_all(&l, &channel);
    rootchain_free(&l.env.roots);
    identity_fini(&signer);
    identity_fini(&sealer);
    conf_free(&conf);
    return 0;
}
