#include "sync/recv.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sync/roster.h"

/* How long a checked chain stands by itself; its leaf's end is looked at with
 * each new head. */
enum { RECHECK_MS = 3600000 };

enum { SMALL_RAW_MAX = 128 << 10 }; /* unpacked bytes */

struct recv {
    struct trust *trust;
    struct roster *roster; /* whose seals count; NULL: none do */
    enum log_kind kind;
    struct block_codec *codec;
};

struct recv *recv_new(struct trust *trust, enum log_kind kind)
{
    struct recv *recv = MEM_NEW(struct recv);
    recv->trust = trust;
    recv->kind = kind;
    recv->codec = block_codec_new();
    return recv;
}

void recv_heed(struct recv *recv, struct roster *roster)
{
    recv->roster = roster;
}

void recv_free(struct recv **recv)
{
    if (*recv != NULL) {
        block_codec_free(&(*recv)->codec);
        mem_free(*recv);
        *recv = NULL;
    }
}

struct recv_log *recv_log_new(const struct log_id *log)
{
    struct recv_log *l = MEM_NEW(struct recv_log);
    l->log = *log;
    return l;
}

void recv_log_free(struct recv_log **log)
{
    if (*log == NULL) {
        return;
    }
    cert_free(&(*log)->cert);
    buf_fini(&(*log)->note);
    buf_fini(&(*log)->chain);
    mem_free(*log);
    *log = NULL;
}

static void replace(struct buf *buf, struct slice bytes)
{
    buf_clear(buf);
    buf_put_slice(buf, bytes);
}

enum err recv_log_load(struct recv_log *log, struct trust *trust,
                       const struct store_head *head, struct slice note,
                       struct slice chain, struct errmsg *why)
{
    /* The note's, for a commit may have come between the two reads. */
    log->newest = head->newest;
    enum err err =
        note.len == 0
            ? ERR_OK
            : checkpoint_parse(note, trust_federation(trust), &log->newest);
    if (err != ERR_OK) {
        return err_set(why, err, "its stored signed head: %s", err_text(err));
    }
    log->verified = head->frontier;
    replace(&log->note, note);
    replace(&log->chain, chain);
    return ERR_OK;
}

/* ---- one segment ---- */

struct work {
    struct recv *recv;
    struct recv_log *log;
    const struct wire_segment *in;
    const struct tree_view *held;
    int64_t now_ms; /* 0: a certificate valid at any time will do */
    enum suite suite;
    uint64_t generation; /* trust_generation() */
    struct cert *cert;   /* newly checked, or NULL */
    enum err untrusted;  /* why no certificate vouches for the head … */
    struct errmsg why;
    bool by_seal; /* … but a seal does */
    struct checkpoint head;
    bool new_note;
    struct segment *seg;
    uint64_t end;           /* number of the message's last entry */
    struct frontier start;  /* before the first entry, if that is held */
    struct frontier theirs; /* at `end`, by their leaves alone */
    struct refusal *refusal;
};

static enum err refuse(struct work *w, enum err err, uint64_t number,
                       const char *fmt, ...) PRINTF_LIKE(4, 5);

static enum err refuse(struct work *w, enum err err, uint64_t number,
                       const char *fmt, ...)
{
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&w->log->log, log);
    w->refusal->number = number;
    int n =
        snprintf(w->refusal->text, sizeof w->refusal->text, "log %s: ", log);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(w->refusal->text + n, sizeof w->refusal->text - (size_t)n,
                    fmt, ap);
    va_end(ap);
    return err;
}

static enum err check_place(struct work *w)
{
    const struct wire_segment *in = w->in;
    if (in->log.kind != w->recv->kind) {
        return refuse(w, ERR_DENIED, 0, "only %s logs %s, this is %s",
                      log_kind_name(w->recv->kind),
                      w->recv->kind == LOG_RECORDS ? "rise" : "come down",
                      log_kind_name(in->log.kind));
    }
    if (in->first == 0 || in->block.count == 0) {
        return refuse(w, ERR_PROTOCOL, in->first, "a segment without entries");
    }
    if (in->first > w->log->verified.size + 1) {
        return refuse(w, ERR_GAP, w->log->verified.size + 1,
                      "entry %llu came where %llu is next",
                      (unsigned long long)in->first,
                      (unsigned long long)w->log->verified.size + 1);
    }
    return ERR_OK;
}

/* What comes of it is for the head to say. */
static void check_chain(struct work *w, struct slice chain)
{
    if (chain.len > 0 && !slice_eq(chain, buf_slice(&w->log->chain))) {
        w->untrusted = trust_check(w->recv->trust, chain, CERT_USE_SIGN,
                                   w->now_ms, &w->cert, &w->why);
    }
}

static bool recently_checked(const struct work *w)
{
    const struct recv_log *log = w->log;
    return log->cert != NULL && log->generation == w->generation &&
           (w->now_ms == 0 ||
            (log->checked_ms <= w->now_ms &&
             w->now_ms - log->checked_ms < RECHECK_MS &&
             w->now_ms < cert_principal(log->cert)->not_after_ms));
}

/* The chain that a new head comes under was given before: it may have expired
 * or been revoked since. */
static void check_known_chain(struct work *w)
{
    struct recv_log *log = w->log;
    if (w->cert != NULL || w->untrusted != ERR_OK || recently_checked(w)) {
        return;
    }
    if (log->chain.len == 0) {
        w->untrusted =
            err_set(&w->why, ERR_PROTOCOL, "none came with its first head");
        return;
    }
    struct cert *cert;
    w->untrusted = trust_check(w->recv->trust, buf_slice(&log->chain),
                               CERT_USE_SIGN, w->now_ms, &cert, &w->why);
    if (w->untrusted == ERR_OK) {
        cert_free(&log->cert);
        log->cert = cert;
        log->checked_ms = w->now_ms;
        log->generation = w->generation;
    }
}

/* Two heads of one log, both signed: they must be heads of one tree. */
static enum err check_agrees(struct work *w)
{
    const struct checkpoint *newest = &w->log->newest;
    struct hash ours = newest->root;
    bool known = newest->size == w->head.size;
    if (w->held != NULL && w->head.size <= w->held->size) {
        enum err err = tree_root(w->held, w->head.size, &ours);
        if (err != ERR_OK) {
            return refuse(w, err, w->head.size, "own tree cannot be read");
        }
        known = true;
    }
    if (known && !hash_eq(&ours, &w->head.root) && w->by_seal) {
        return refuse(w, ERR_CONFLICT, w->head.size,
                      "what is held is not what is sealed");
    }
    if (known && !hash_eq(&ours, &w->head.root)) {
        w->refusal->disagree = true;
        return refuse(w, ERR_CONFLICT, w->head.size,
                      "its origin signed two different heads of size %llu",
                      (unsigned long long)w->head.size);
    }
    return ERR_OK;
}

static enum err verify_signature(struct work *w, struct slice note)
{
    const struct cert *cert = w->cert != NULL ? w->cert : w->log->cert;
    enum err err = checkpoint_verify(note, trust_federation(w->recv->trust),
                                     w->suite, cert, &w->head);
    if (err != ERR_OK) {
        return refuse(w, err, w->in != NULL ? w->in->first : 0,
                      "signed head: %s", err_text(err));
    }
    if (!log_id_eq(&w->head.log, &w->log->log)) {
        return refuse(w, ERR_BAD_SIGNATURE, 0, "signed head is of another log");
    }
    return ERR_OK;
}

/* Its signer's certificate has ended or was revoked, and there is no other: the
 * signature says nothing any more. */
static enum err ask_seal(struct work *w, struct slice note)
{
    enum err err =
        roster_vouch(w->recv->roster, w->untrusted, &w->log->log, note,
                     trust_federation(w->recv->trust), &w->head, &w->why);
    w->by_seal = err == ERR_OK;
    return err == ERR_OK
               ? ERR_OK
               : refuse(w, err, 0, "signing certificate: %s", w->why.text);
}

static enum err verify_note(struct work *w, struct slice note)
{
    check_known_chain(w);
    enum err err =
        w->untrusted == ERR_OK ? verify_signature(w, note) : ask_seal(w, note);
    w->new_note = err == ERR_OK;
    return err == ERR_OK ? check_agrees(w) : err;
}

/* Whoever signed it: nothing goes past a seal, and at its end nothing else is
 * there. */
static enum err check_seal(struct work *w)
{
    struct roster_seal seal;
    if (!roster_seal(w->recv->roster, &w->log->log, &seal) ||
        w->head.size < seal.size ||
        (w->head.size == seal.size && hash_eq(&w->head.root, &seal.root))) {
        return ERR_OK;
    }
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&seal.decision.log, log);
    return refuse(w, ERR_SEALED, seal.size + (w->head.size > seal.size),
                  "it ends with entry %llu as directive %llu of %s seals it, "
                  "and this is a head of %llu",
                  (unsigned long long)seal.size,
                  (unsigned long long)seal.decision.number, log,
                  (unsigned long long)w->head.size);
}

static enum err check_note(struct work *w)
{
    struct slice note = w->in->note;
    struct slice last = buf_slice(&w->log->note);
    bool known = note.len == 0 || slice_eq(note, last);
    if (known && last.len == 0) {
        return refuse(w, ERR_PROTOCOL, w->in->first,
                      "no signed head came with its entries");
    }
    if (known && w->cert == NULL && w->untrusted == ERR_OK) {
        w->head = w->log->newest;
        return check_seal(w);
    }
    /* Head and chain are kept as a pair: a new chain must fit an old head. */
    note = known ? last : note;
    enum err err = verify_note(w, note);
    if (err != ERR_OK) {
        return err;
    }
    if (w->head.size < w->log->newest.size) {
        return refuse(w, ERR_BAD_PROOF, w->head.size,
                      "its signed head went back from %llu to %llu",
                      (unsigned long long)w->log->newest.size,
                      (unsigned long long)w->head.size);
    }
    return check_seal(w);
}

/* ---- entries ---- */

bool recv_is_small(const struct wire_segment *in)
{
    struct wire_iter it = wire_iter_of(&in->block);
    struct slice block;
    size_t raw = 0;
    while (raw <= SMALL_RAW_MAX && wire_next(&it, &block)) {
        size_t count;
        size_t len;
        if (block_sizes(block, &count, &len) != ERR_OK) {
            return false;
        }
        raw += len;
    }
    return raw <= SMALL_RAW_MAX;
}

struct sizes {
    size_t entries;
    size_t raw;
    size_t packed;
};

static enum err measure(struct work *w, struct sizes *sizes)
{
    struct wire_iter it = wire_iter_of(&w->in->block);
    struct slice block;
    while (wire_next(&it, &block)) {
        size_t count;
        size_t raw_len;
        if (block_sizes(block, &count, &raw_len) != ERR_OK) {
            return refuse(w, ERR_PROTOCOL, w->in->first + sizes->entries,
                          "a block is malformed");
        }
        sizes->entries += count;
        sizes->raw += raw_len;
        sizes->packed += block.len;
    }
    w->end = w->in->first + sizes->entries - 1;
    if (sizes->entries > SEGMENT_ENTRIES_MAX || sizes->raw > WIRE_RAW_MAX) {
        return refuse(w, ERR_TOO_LARGE, w->in->first,
                      "a segment of %zu entries, %zu bytes", sizes->entries,
                      sizes->raw);
    }
    if (w->end > w->head.size) {
        return refuse(w, ERR_BAD_PROOF, w->head.size + 1,
                      "entries %llu to %llu go past the signed head of %llu",
                      (unsigned long long)w->in->first,
                      (unsigned long long)w->end,
                      (unsigned long long)w->head.size);
    }
    return ERR_OK;
}

static void make_room(struct segment *seg, const struct sizes *sizes,
                      size_t blocks)
{
    seg->leaves = mem_alloc(sizes->entries * sizeof *seg->leaves);
    seg->slots = mem_alloc(sizes->entries * sizeof *seg->slots);
    seg->refs = mem_alloc(blocks * sizeof *seg->refs);
    (void)buf_reserve(&seg->raw, sizes->raw);
    (void)buf_reserve(&seg->blocks, sizes->packed);
}

/* Room for all of it was made, so the slots' addresses hold. */
static enum err take_block(struct work *w, struct slice block)
{
    struct segment *seg = w->seg;
    uint64_t number = w->in->first + seg->count;
    struct slot *slots = seg->slots + seg->count;
    size_t count;
    if (block_unpack_to(w->recv->codec, block, &seg->raw, slots, &count) !=
        ERR_OK) {
        return refuse(w, ERR_PROTOCOL, number, "a block cannot be unpacked");
    }
    for (size_t i = 0; i < count; i++) {
        if (slots[i].entry.data == NULL) {
            return refuse(w, ERR_UNSUPPORTED, number + i,
                          "entry %llu is withheld and no erasure covers it",
                          (unsigned long long)number + i);
        }
        suite_hash_leaf(w->suite, slots[i].entry, &seg->leaves[seg->count++]);
    }
    seg->refs[seg->refs_count++] = (struct block_ref){
        .first = number,
        .count = (uint32_t)count,
        .offset = (uint32_t)seg->blocks.len,
        .len = (uint32_t)block.len,
    };
    buf_put_slice(&seg->blocks, block);
    return ERR_OK;
}

static enum err take_blocks(struct work *w)
{
    struct sizes sizes = {0, 0, 0};
    enum err err = measure(w, &sizes);
    if (err != ERR_OK) {
        return err;
    }
    w->seg = segment_new();
    w->seg->log = w->log->log;
    w->seg->first = w->in->first;
    make_room(w->seg, &sizes, w->in->block.count);
    struct wire_iter it = wire_iter_of(&w->in->block);
    struct slice block;
    while (err == ERR_OK && wire_next(&it, &block)) {
        err = take_block(w, block);
    }
    return err;
}

/* ---- the tree ---- */

static void extend(struct work *w, struct frontier *f, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        frontier_append(f, w->suite, &w->seg->leaves[i], NULL, NULL);
    }
}

/* True if `f` with the message's bridge gives the signed root. */
static bool leads_to_head(struct work *w, const struct frontier *f)
{
    struct bridge *bridge = &w->seg->bridge;
    struct slice bytes = w->in->bridge;
    *bridge = (struct bridge){.size = f->size, .n = 0};
    if (bytes.len != 0) {
        struct reader r = reader_of(bytes);
        bridge_get(&r, bridge);
        if (!reader_done(&r)) {
            return false;
        }
    }
    struct hash root;
    return bridge->size == w->head.size &&
           bridge_root(f, w->suite, bridge, &root) == ERR_OK &&
           hash_eq(&root, &w->head.root);
}

static enum err bad_proof(struct work *w, uint64_t from)
{
    return refuse(w, ERR_BAD_PROOF, from,
                  "entries %llu to %llu do not lead to the signed head of %llu",
                  (unsigned long long)from, (unsigned long long)w->end,
                  (unsigned long long)w->head.size);
}

/* The first number at which their leaves leave our tree. */
static uint64_t first_difference(struct work *w, struct frontier *f,
                                 size_t overlap)
{
    struct hash theirs;
    struct hash ours;
    for (size_t i = 0; i < overlap; i++) {
        extend(w, f, i, i + 1);
        frontier_root(f, w->suite, &theirs);
        if (f->size > w->held->size ||
            tree_root(w->held, f->size, &ours) != ERR_OK ||
            !hash_eq(&theirs, &ours)) {
            return f->size;
        }
    }
    return f->size;
}

/* What is held already must be the same: `overlap` first leaves. */
static enum err check_overlap(struct work *w, size_t overlap)
{
    uint64_t upto = w->in->first - 1 + overlap;
    struct hash ours;
    struct hash theirs;
    if (w->held == NULL || upto > w->held->size) {
        return refuse(w, ERR_PROTOCOL, w->in->first,
                      "entries %llu to %llu came twice on this stream",
                      (unsigned long long)w->in->first,
                      (unsigned long long)upto);
    }
    enum err err = tree_frontier(w->held, w->in->first - 1, &w->start);
    if (err == ERR_OK) {
        err = tree_root(w->held, upto, &ours);
    }
    if (err != ERR_OK) {
        return refuse(w, err, w->in->first, "own tree cannot be read");
    }
    w->theirs = w->start;
    extend(w, &w->theirs, 0, overlap);
    frontier_root(&w->theirs, w->suite, &theirs);
    if (hash_eq(&ours, &theirs)) {
        return ERR_OK;
    }
    extend(w, &w->theirs, overlap, w->seg->count);
    uint64_t number = first_difference(w, &w->start, overlap);
    bool leads = leads_to_head(w, &w->theirs);
    w->refusal->disagree = leads && !w->by_seal;
    return refuse(w, leads ? ERR_CONFLICT : ERR_BAD_PROOF, number,
                  "entry %llu is not the one that is held",
                  (unsigned long long)number);
}

/* Drops the first `overlap` entries and the blocks that hold only such. */
static void trim(struct segment *seg, size_t overlap)
{
    seg->first += overlap;
    seg->count -= overlap;
    memmove(seg->leaves, seg->leaves + overlap,
            seg->count * sizeof *seg->leaves);
    memmove(seg->slots, seg->slots + overlap, seg->count * sizeof *seg->slots);
    size_t drop = 0;
    while (drop < seg->refs_count &&
           seg->refs[drop].first + seg->refs[drop].count <= seg->first) {
        drop++;
    }
    seg->refs_count -= drop;
    memmove(seg->refs, seg->refs + drop, seg->refs_count * sizeof *seg->refs);
}

/* Entries that are held already, up to the last, come again with a head that
 * is newer than the one that is kept: store_append() knows such a run. What a
 * seal stands for has no time that anybody signed. */
static bool brings_head(const struct work *w)
{
    const struct checkpoint *kept = &w->log->newest;
    return w->new_note && w->end == w->log->verified.size &&
           (w->head.size > kept->size ||
            (!w->by_seal && w->head.at_ms > kept->at_ms));
}

static enum err check_tree(struct work *w)
{
    struct segment *seg = w->seg;
    uint64_t ahead = w->log->verified.size - (w->in->first - 1);
    size_t overlap = ahead < seg->count ? (size_t)ahead : seg->count;
    if (overlap > 0) {
        enum err err = check_overlap(w, overlap);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (overlap == seg->count) {
        seg->before = w->start;
        seg->after = w->theirs;
        seg->count = brings_head(w) ? seg->count : 0;
        return leads_to_head(w, &w->theirs) ? ERR_OK
                                            : bad_proof(w, w->in->first);
    }
    trim(seg, overlap);
    seg->before = w->log->verified;
    seg->after = w->log->verified;
    extend(w, &seg->after, 0, seg->count);
    return leads_to_head(w, &seg->after) ? ERR_OK : bad_proof(w, seg->first);
}

/* Everything held: the log and the segment take the results over. */
static void adopt(struct work *w, struct slice note, struct slice chain)
{
    struct recv_log *log = w->log;
    /* The same head by a seal: the one that is kept may be signed. */
    if (w->by_seal && log->note.len > 0 && log->newest.size == w->head.size) {
        return;
    }
    if (w->cert != NULL) {
        cert_free(&log->cert);
        log->cert = w->cert;
        log->checked_ms = w->now_ms;
        log->generation = w->generation;
        w->cert = NULL;
        replace(&log->chain, chain);
    } else if (w->by_seal) {
        /* Nothing of its chain was judged, but that it fits into a store. */
        cert_free(&log->cert);
        if (chain.len > 0 && chain.len <= CERT_CHAIN_MAX) {
            replace(&log->chain, chain);
        }
    }
    if (w->new_note && note.len > 0) {
        log->newest = w->head;
        replace(&log->note, note);
    }
}

static enum err check(struct work *w)
{
    enum err err = check_place(w);
    if (err == ERR_OK) {
        check_chain(w, w->in->chain);
        err = check_note(w);
    }
    if (err == ERR_OK) {
        err = take_blocks(w);
    }
    return err == ERR_OK ? check_tree(w) : err;
}

enum err recv_segment(struct recv *recv, struct recv_log *log,
                      const struct wire_segment *in,
                      const struct tree_view *held, int64_t now_ms,
                      struct segment **out, struct refusal *refusal)
{
    struct work w = {.recv = recv,
                     .log = log,
                     .in = in,
                     .held = held,
                     .now_ms = now_ms,
                     .suite = trust_suite(recv->trust),
                     .generation = trust_generation(recv->trust),
                     .refusal = refusal};
    *out = NULL;
    *refusal = (struct refusal){.number = 0};
    enum err err = check(&w);
    if (err == ERR_OK) {
        struct segment *seg = w.seg;
        adopt(&w, in->note, in->chain);
        if (seg->count > 0) {
            log->verified = seg->after;
            seg->newest = log->newest;
            buf_put_slice(&seg->note, buf_slice(&log->note));
            buf_put_slice(&seg->chain, buf_slice(&log->chain));
            *out = seg;
            w.seg = NULL;
        }
    }
    segment_free(&w.seg);
    cert_free(&w.cert);
    return err;
}

enum err recv_note(struct recv *recv, struct recv_log *log, struct slice note,
                   struct slice chain, const struct tree_view *held,
                   int64_t now_ms, struct checkpoint *out,
                   struct refusal *refusal)
{
    struct work w = {.recv = recv,
                     .log = log,
                     .held = held,
                     .now_ms = now_ms,
                     .suite = trust_suite(recv->trust),
                     .generation = trust_generation(recv->trust),
                     .refusal = refusal};
    *refusal = (struct refusal){.number = 0};
    check_chain(&w, chain);
    /* Evidence: what was signed under the known chain, signed it was. */
    w.now_ms = 0;
    enum err err = verify_note(&w, note);
    *out = w.head;
    cert_free(&w.cert);
    return err;
}
