#include "run/tree.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "credit/division.h"
#include "run/certs.h"

enum {
    PATH_LEN = 640,
    ISSUERS_MAX = 256,
    ARGS_MAX = 2 * ISSUERS_MAX + 16,
    ISSUER_TEXT = 32,
    HASH_HEX = 64,
    ADDRESS_LEN = 24,
    PARENT_LEN = 64,
    ROW_LEN = 80,
    ROLE_MAX = 64 << 10,
};

bool tree_is_issuer(const struct place *place)
{
    return place->tier <= TIER_COUNTY;
}

unsigned tree_deciders(unsigned needed)
{
    return 2 * needed - 1;
}

static uint64_t province_of(uint64_t code)
{
    return code / 10000000000 * 10000000000;
}

/* ---- the federation, by the office's script ---- */

struct args {
    char *at[ARGS_MAX];
    char issuer[ISSUERS_MAX][ISSUER_TEXT];
    char province[ISSUER_TEXT];
    char script[PATH_LEN];
    char fed[PATH_LEN];
    unsigned n;
};

static void arg(struct args *a, char *text)
{
    a->at[a->n++] = text;
}

static void federation_args(const struct tree *t, struct args *a)
{
    static char name[] = "--name";
    static char federation[] = TREE_FEDERATION;
    static char suite[] = "--suite";
    static char gm[] = "gm";
    static char intl[] = "intl";
    static char province[] = "--province";
    static char issuer[] = "--issuer";
    (void)snprintf(a->script, sizeof a->script, "%s/certs/make-federation.sh",
                   t->source);
    (void)snprintf(a->fed, sizeof a->fed, "%s/fed", t->folder);
    (void)snprintf(a->province, sizeof a->province, "%012llu",
                   (unsigned long long)province_of(t->place[t->n - 1].code));
    char *const first[] = {a->script, a->fed,
                           name,      federation,
                           suite,     strcmp(t->suite, "gm") == 0 ? gm : intl,
                           province,  a->province};
    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        arg(a, first[i]);
    }
    for (unsigned i = 0, k = 0; i < t->n && k < ISSUERS_MAX; i++) {
        if (tree_is_issuer(&t->place[i])) {
            (void)snprintf(a->issuer[k], sizeof a->issuer[k], "%012llu:%u:%u",
                           (unsigned long long)t->place[i].code, t->deciders,
                           tree_deciders(t->deciders));
            arg(a, issuer);
            arg(a, a->issuer[k++]);
        }
    }
    arg(a, NULL);
}

/* Its last line is the hash of the root document. */
static enum err make_federation(const struct tree *t, char hash[HASH_HEX + 1],
                                struct errmsg *why)
{
    struct args *a = MEM_NEW(struct args);
    char path[PATH_LEN];
    int status = 0;
    federation_args(t, a);
    (void)snprintf(path, sizeof path, "%s/root_hash", t->folder);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        if (freopen(path, "w", stdout) != NULL) {
            (void)execv(a->script, a->at);
        }
        _exit(127);
    }
    bool made = pid > 0 && waitpid(pid, &status, 0) == pid &&
                WIFEXITED(status) && WEXITSTATUS(status) == 0;
    enum err err =
        made ? ERR_OK
             : err_set(why, ERR_CONF, "no federation: %s failed, see above",
                       a->script);
    FILE *file = made ? fopen(path, "re") : NULL;
    if (made && (file == NULL || fread(hash, 1, HASH_HEX, file) != HASH_HEX)) {
        err = err_set(why, ERR_IO, "%s: no hash of a root document", path);
    }
    hash[HASH_HEX] = '\0';
    if (file != NULL) {
        (void)fclose(file);
    }
    mem_free(a);
    return err;
}

/* ---- role files ---- */

struct roles {
    struct buf common;
    struct buf identity;
    struct buf tier[TIER_VILLAGE + 1];
};

static void roles_free(struct roles *r)
{
    buf_fini(&r->common);
    buf_fini(&r->identity);
    for (size_t i = 0; i < ARRAY_LEN(r->tier); i++) {
        buf_fini(&r->tier[i]);
    }
    mem_free(r);
}

static enum err read_role(const struct tree *t, const char *name,
                          struct buf *out, struct errmsg *why)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof path, "%s/tiers/%s.cfg", t->source, name);
    enum err err = out->len > 0 ? ERR_OK : file_read(path, ROLE_MAX, out, why);
    if (err == ERR_OK && (out->len == 0 || out->data[out->len - 1] != 0)) {
        buf_put_u8(out, 0);
    }
    return err;
}

/* The first line that has KEY = "OLD" gets `value`; old NULL: whatever stands
 * there; value NULL: this role has no such line, or it stays as it is. A list
 * is KEY = (OLD). */
struct fill {
    const char *key;
    const char *old;
    const char *value;
    bool list;
};

static const char *find_line(const char *text, const struct fill *f)
{
    char start[PATH_LEN];
    (void)snprintf(start, sizeof start, "%s = %c%s%s", f->key,
                   f->list ? '(' : '"', f->old != NULL ? f->old : "",
                   f->old == NULL ? ""
                   : f->list      ? ")"
                                  : "\"");
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *at = line + strspn(line, " ");
        if (strncmp(at, start, strlen(start)) == 0) {
            return at + strlen(f->key) + strlen(" = \"");
        }
    }
    return NULL;
}

/* Writes `text` with each fill, in the order in which the keys stand there. */
static enum err write_role(const char *path, const struct buf *role,
                           const struct fill *fills, size_t n, const char *more,
                           struct errmsg *why)
{
    const char *text = (const char *)role->data;
    FILE *out = fopen(path, "we");
    const char *missing = NULL;
    for (size_t i = 0; out != NULL && i < n && missing == NULL; i++) {
        const char *at =
            fills[i].value != NULL ? find_line(text, &fills[i]) : text;
        if (at == NULL) {
            missing = fills[i].key;
        } else if (fills[i].value != NULL) {
            (void)fwrite(text, 1, (size_t)(at - text), out);
            (void)fputs(fills[i].value, out);
            text = at + strcspn(at, fills[i].list ? ")\n" : "\"\n");
        }
    }
    if (out != NULL) {
        (void)fputs(text, out);
        (void)fputs(more, out);
    }
    if (out == NULL || fclose(out) != 0) {
        return err_set(why, ERR_IO, "%s cannot be written", path);
    }
    return missing == NULL
               ? ERR_OK
               : err_set(why, ERR_CONF, "%s: the role file has no %s to fill",
                         path, missing);
}

/* ---- a node ---- */

struct home {
    char dir[PATH_LEN - 64];
};

static enum err write_identity(const struct tree *t, const struct home *p,
                               const struct roles *roles, struct errmsg *why)
{
    const char *const files[] = {
        "certs/ca.pem",
        "certs/tls.pem",
        "certs/tls.key",
        "certs/sign.pem",
        "certs/sign.key",
        "certs/seal.pem",
        "certs/seal.key",
        strcmp(t->suite, "gm") == 0 ? "certs/signing-ca.pem" : "certs/ca.pem",
        "revoked"};
    static const char *const keys[] = {"ca",   "cert", "key", "cert",   "key",
                                       "cert", "key",  "ca",  "revoked"};
    char value[ARRAY_LEN(files)][PATH_LEN];
    char path[PATH_LEN];
    struct fill fills[ARRAY_LEN(files)];
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        (void)snprintf(value[i], sizeof value[i], "%s/%s", p->dir, files[i]);
        fills[i] = (struct fill){keys[i], "FILL-IN", value[i], false};
    }
    (void)snprintf(path, sizeof path, "%s/identity.cfg", p->dir);
    return write_role(path, &roles->identity, fills, ARRAY_LEN(fills), "", why);
}

static enum err write_common(const struct tree *t, const struct home *p,
                             const struct roles *roles, const char *hash,
                             struct errmsg *why)
{
    char document[PATH_LEN];
    char path[PATH_LEN];
    (void)snprintf(document, sizeof document, "%s/fed/root-document",
                   t->folder);
    (void)snprintf(path, sizeof path, "%s/common.cfg", p->dir);
    const struct fill fills[] = {{"name", "FILL-IN", TREE_FEDERATION, false},
                                 {"suite", NULL, t->suite, false},
                                 {"root_document", "FILL-IN", document, false},
                                 {"root_hash", "FILL-IN", hash, false}};
    return write_role(path, &roles->common, fills, ARRAY_LEN(fills), "", why);
}

static void address_of(const struct tree *t, int node, char out[ADDRESS_LEN])
{
    out[0] = '\0';
    if (node >= 0) {
        (void)snprintf(out, ADDRESS_LEN, "127.0.0.1:%u", t->port[node]);
    }
}

/* Is its parent another than its code says? */
static bool is_exception(const struct tree *t, unsigned i)
{
    int parent = t->place[i].parent;
    return parent >= 0 &&
           t->place[parent].code != division_default_parent(t->place[i].code);
}

/* Where the parent listens; of an exception also who it is: in the same group,
 * parent.code. */
static void parent_of(const struct tree *t, unsigned i, char out[PARENT_LEN])
{
    char address[ADDRESS_LEN];
    int parent = t->place[i].parent;
    address_of(t, parent, address);
    int n = snprintf(out, PARENT_LEN, "%s", address);
    if (is_exception(t, i)) {
        (void)snprintf(out + n, PARENT_LEN - (size_t)n,
                       "\";\n    code = \"%012llu",
                       (unsigned long long)t->place[parent].code);
    }
}

static bool is_below(const struct tree *t, unsigned node, unsigned top)
{
    int at = t->place[node].parent;
    while (at > (int)top) { /* parents stand before their children */
        at = t->place[at].parent;
    }
    return at == (int)top;
}

/* Each node above an exception has to know of it: whose log may come through
 * whom is judged there from its own configuration. */
static void put_exceptions(const struct tree *t, unsigned top, struct buf *out)
{
    for (unsigned i = top + 1; i < t->n; i++) {
        char row[ROW_LEN];
        if (!is_exception(t, i) || !is_below(t, i, top)) {
            continue;
        }
        int n = snprintf(
            row, sizeof row,
            "%s\n    { code = \"%012llu\"; parent = \"%012llu\"; }",
            out->len > 0 ? "," : "", (unsigned long long)t->place[i].code,
            (unsigned long long)t->place[t->place[i].parent].code);
        buf_put(out, row, (size_t)n);
    }
    if (out->len > 0) {
        buf_put_u8(out, '\0');
    }
}

static enum err write_node(const struct tree *t, const struct home *p,
                           unsigned i, const struct roles *roles,
                           struct errmsg *why)
{
    const struct place *place = &t->place[i];
    char listen[ADDRESS_LEN];
    char parent[PARENT_LEN];
    struct buf children = BUF_INIT;
    char code[CODE_LEN + 1];
    char data[PATH_LEN];
    char path[PATH_LEN];
    char admin[PATH_LEN + 64];
    address_of(t, (int)i, listen);
    parent_of(t, i, parent);
    put_exceptions(t, i, &children);
    code_format(place->code, code);
    (void)snprintf(data, sizeof data, "%s/data", p->dir);
    (void)snprintf(path, sizeof path, "%s/node.cfg", p->dir);
    (void)snprintf(admin, sizeof admin, "\nadmin: { socket = \"%s/sock\"; };\n",
                   p->dir);
    /* A top that is no national one has a parent to be left out. */
    bool has_parent = place->tier != TIER_NATIONAL;
    const struct fill fills[] = {
        {"code", NULL, code, false},
        {"name", NULL, place->name, false},
        {"address", "FILL-IN", has_parent ? parent : NULL, false},
        {"address", NULL, listen, false},
        {"dir", "/var/lib/creditnode", data, false},
        {"reserve", NULL, "64 MiB", false},
        {"children", "", children.len > 0 ? (const char *)children.data : NULL,
         true}};
    enum err err = write_role(path, &roles->tier[place->tier], fills,
                              ARRAY_LEN(fills), admin, why);
    buf_fini(&children);
    return err;
}

static enum err write_small(const struct home *p, const char *name,
                            const char *text, struct errmsg *why)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof path, "%s/%s", p->dir, name);
    FILE *file = fopen(path, "we");
    bool good = file != NULL && fputs(text, file) >= 0;
    return file != NULL && fclose(file) == 0 && good
               ? ERR_OK
               : err_set(why, ERR_IO, "%s cannot be written", path);
}

static enum err make_node(const struct tree *t, unsigned i, const char *hash,
                          struct roles *roles, struct certs *certs,
                          struct errmsg *why)
{
    const struct place *place = &t->place[i];
    struct home p;
    char parent[CODE_LEN + 1] = "";
    char path[PATH_LEN];
    (void)snprintf(p.dir, sizeof p.dir, "%s/%012llu", t->folder,
                   (unsigned long long)place->code);
    if (mkdir(p.dir, 0700) != 0 && errno != EEXIST) {
        return err_set(why, ERR_IO, "%s cannot be made", p.dir);
    }
    if (place->parent >= 0) {
        code_format(t->place[place->parent].code, parent);
    }
    (void)snprintf(path, sizeof path, "%s/certs", p.dir);
    enum err err = certs_make(certs, path, place->tier, place->code, why);
    if (err == ERR_OK) {
        err = read_role(t, tier_name(place->tier), &roles->tier[place->tier],
                        why);
    }
    if (err == ERR_OK) {
        err = write_node(t, &p, i, roles, why);
    }
    if (err == ERR_OK) {
        err = write_common(t, &p, roles, hash, why);
    }
    if (err == ERR_OK) {
        err = write_identity(t, &p, roles, why);
    }
    if (err == ERR_OK) {
        err = write_small(&p, "revoked", "", why);
    }
    return err != ERR_OK ? err : write_small(&p, "parent", parent, why);
}

/* ---- all ---- */

static enum err write_order(const struct tree *t, struct errmsg *why)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof path, "%s/order", t->folder);
    FILE *file = fopen(path, "we");
    for (unsigned i = 0; file != NULL && i < t->n; i++) {
        (void)fprintf(file, "%012llu\n", (unsigned long long)t->place[i].code);
    }
    return file != NULL && fclose(file) == 0
               ? ERR_OK
               : err_set(why, ERR_IO, "%s cannot be written", path);
}

/* One intermediate at a time: siblings follow each other. */
static enum err open_certs(const struct tree *t, unsigned i,
                           struct certs **certs, struct errmsg *why)
{
    char fed[PATH_LEN];
    uint64_t province = province_of(t->place[i].code);
    if (i > 0 && province_of(t->place[i - 1].code) == province) {
        return ERR_OK;
    }
    certs_close(certs);
    (void)snprintf(fed, sizeof fed, "%s/fed", t->folder);
    return certs_open(certs, fed, TREE_FEDERATION, t->suite, province, why);
}

enum err tree_make(const struct tree *t, tree_progress_fn *progress, void *ctx,
                   struct errmsg *why)
{
    char hash[HASH_HEX + 1] = "";
    struct roles *roles = MEM_NEW(struct roles);
    struct certs *certs = NULL;
    enum err err = write_order(t, why);
    if (err == ERR_OK) {
        err = make_federation(t, hash, why);
    }
    if (err == ERR_OK) {
        err = read_role(t, "common", &roles->common, why);
    }
    if (err == ERR_OK) {
        err = read_role(t, "identity", &roles->identity, why);
    }
    for (unsigned i = 0; i < t->n && err == ERR_OK; i++) {
        err = open_certs(t, i, &certs, why);
        if (err == ERR_OK) {
            err = make_node(t, i, hash, roles, certs, why);
        }
        progress(ctx, i + 1);
    }
    certs_close(&certs);
    roles_free(roles);
    return err;
}
