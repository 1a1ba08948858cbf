/* lists_fixture.h - nodes of a federation with deciders, and packages that
 * these signed, for the contract tests of lists. */
#ifndef TESTS_LISTS_FIXTURE_H
#define TESTS_LISTS_FIXTURE_H

#define FED_ISSUERS                                                            \
    "--issuer 341821100000:2:3 --issuer 341821100201:1:1 --issuer "            \
    "340000000000:1:1"
#include "contract/store_fixture.h"
#include "ident/rootdraft.h"
#include "support/decisions.h"

enum { TODAY = 20260601 };
#define TOP 340000000000ull /* no issuer stands above it */

static struct rootchain *roots;

static inline void open_roots(void)
{
    char path[128];
    char folder[128];
    char hash[2 * HASH_LEN + 1];
    struct rootdoc *doc = NULL;
    struct errmsg why;
    (void)snprintf(path, sizeof path, "%s/fed/root-document", fed_dir);
    (void)snprintf(folder, sizeof folder, "%s/roots", fed_dir);
    assert_ok(rootdoc_load(&doc, path, &why));
    (void)snprintf(hash, sizeof hash, "%s", rootdoc_hash(doc));
    rootdoc_free(&doc);
    assert_ok(rootchain_open(&roots, path, hash, folder, &why));
}

static inline int lists_setup(void **state)
{
    int rc = fed_setup(state);
    shell("$C/make-node.sh fed %012llu --tier province --code %012llu "
          ">/dev/null",
          TOP, TOP);
    open_roots();
    return rc;
}

static inline int lists_teardown(void **state)
{
    rootchain_free(&roots);
    return fed_teardown(state);
}

/* ---- nodes and packages ---- */

static inline void start_on(struct node *n, const struct backend *backend,
                            uint64_t code, const char *name)
{
    node_init(n, backend, code, name);
    n->roots = roots;
    node_restart(n);
}

static inline void start(struct node *n, uint64_t code, const char *name)
{
    start_on(n, fixture_backend(), code, name);
}

static inline const char *key_path(uint64_t issuer, unsigned i)
{
    static char paths[4][128];
    static unsigned next;
    char *out = paths[next++ % 4];
    (void)snprintf(out, sizeof paths[0], "%s/fed/deciders/%012llu-%u.key",
                   fed_dir, (unsigned long long)issuer, i);
    return out;
}

/* Signed by the first `signers` deciders of the issuer. */
static inline struct package *signed_package(uint64_t issuer, unsigned signers,
                                             const struct decision *decisions,
                                             size_t n)
{
    const char *keys[3];
    for (unsigned i = 0; i < signers; i++) {
        keys[i] = key_path(issuer, i + 1);
    }
    const struct making m = {.federation = FEDERATION,
                             .issuer = issuer,
                             .keys = keys,
                             .keys_n = signers};
    return package_of(&m, decisions, n);
}

struct published {
    struct waiter *w;
    struct log_id log;
    uint64_t first;
    uint64_t last;
};

static inline void on_published(void *ctx, enum err err, const char *why,
                                const struct log_id *log, uint64_t first,
                                uint64_t last)
{
    struct published *p = ctx;
    p->log = *log;
    p->first = first;
    p->last = last;
    waiter_done(p->w, err, why);
}

static inline enum err publish(struct node *n, const struct package *package,
                               struct published *out)
{
    struct published p = {.w = waiter_new()};
    enum err err = store_publish(n->store, package, on_published, &p);
    err = err == ERR_OK ? waiter_wait(p.w) : err;
    waiter_free(p.w);
    p.w = NULL;
    if (out != NULL) {
        *out = p;
    }
    return err;
}

/* Publishes decisions of the township, two of three signing. */
static inline struct published
decide(struct node *township, const struct decision *decisions, size_t n)
{
    struct published p;
    struct package *package = signed_package(TOWNSHIP, 2, decisions, n);
    assert_ok(publish(township, package, &p));
    package_free(&package);
    return p;
}

/* Entries of a directives log that count, but for void packages. */
static inline uint64_t visible(struct node *n, const struct log_id *log)
{
    struct lists_view view;
    uint64_t number = 0;
    lists_view_take(n->store, &view);
    for (size_t i = 0; i < view.n; i++) {
        number =
            log_id_eq(&view.logs[i].log, log) ? view.logs[i].visible : number;
    }
    lists_view_fini(&view);
    return number;
}

/* A package of `n` decisions at the end of a log that another node holds. */
static inline void forge_entries(struct forge *f, struct node *to,
                                 const struct package *p, size_t n,
                                 int64_t at_ms)
{
    struct slice *entries = mem_zalloc(n + 2, sizeof *entries);
    struct buf room = BUF_INIT;
    package_log_entries(p, at_ms, &room, entries);
    for (size_t i = 0; i < n + 2; i++) {
        assert_ok(forge_bytes(f, to->store, entries[i]));
    }
    buf_fini(&room);
    mem_free(entries);
}

/* ---- another root document ---- */

/* Of the first `size` entries that the node holds. */
static inline struct hash root_at(struct node *n, const struct log_id *log,
                                  uint64_t size)
{
    struct store_head head;
    struct hash root;
    assert_ok(store_head(n->store, log, &head));
    struct tree_view view = store_view(n->store, &head);
    assert_ok(tree_root(&view, size, &root));
    return root;
}

/* Decider 3 of the township makes room for the village's; what was signed
 * counts up to entry `size` of the log that has this root there, or nothing if
 * that is 0. Own chain, so that other tests keep theirs. */
static inline void replace_third(struct rootchain *chain,
                                 const struct log_id *log, uint64_t size,
                                 const struct hash *root)
{
    struct rootdraft *draft = rootdraft_new(rootchain_newest(chain));
    struct key *key = NULL;
    struct hash id;
    struct buf text = BUF_INIT;
    struct errmsg why;
    struct rootdoc *doc = NULL;
    bool added;
    uint64_t version;
    const struct rootdoc_last last = {
        .incarnation = log->incarnation, .size = size, .root = *root};
    assert_ok(key_load(&key, key_path(VILLAGE, 1), &why));
    suite_hash(test_suite(), pubkey_spki(key_pubkey(key)), &id);
    key_free(&key);
    assert_ok(
        rootdraft_remove_decider(draft, TOWNSHIP, "341821100000-3", &why));
    assert_ok(rootdraft_add_decider(draft, TOWNSHIP, &id, "new", &why));
    if (size > 0) {
        assert_ok(rootdraft_set_last(draft, TOWNSHIP, &last, &why));
    }
    rootdraft_put(draft, &text);
    assert_ok(rootdoc_parse(&doc, buf_slice(&text), "next", &why));
    for (unsigned i = 1; i <= 2; i++) {
        assert_ok(key_load(&key, key_path(TOWNSHIP, i), &why));
        assert_ok(rootdoc_sign(doc, key, &text, &why));
        key_free(&key);
    }
    assert_ok(
        rootchain_add(chain, buf_slice(&text), "test", &added, &version, &why));
    rootdoc_free(&doc);
    buf_fini(&text);
    rootdraft_free(&draft);
}

#endif
