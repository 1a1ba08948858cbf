#include "node_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

/* `option` names the certificate: the message says where it was configured. */
static enum err check_principal(const struct conf *conf, const char *option,
                                const struct principal *p, struct errmsg *why)
{
    char have[CODE_LEN + 1];
    char want[CODE_LEN + 1];
    struct errmsg place;
    const char *at = conf_origin(conf, option, &place);
    code_format(p->code, have);
    code_format(conf->node.code, want);
    if (p->kind != PRINCIPAL_NODE || p->code != conf->node.code ||
        (int)p->tier != conf->node.tier) {
        return err_set(why, ERR_CONF,
                       "%s: %s: certificate of %s %s, but the configuration "
                       "says %s %s; use this node's own certificate or correct "
                       "node.code and node.tier",
                       at, option, tier_name(p->tier), have,
                       tier_name((enum tier)conf->node.tier), want);
    }
    if (strcmp(p->federation, conf->federation.name) != 0) {
        return err_set(why, ERR_CONF,
                       "%s: %s: certificate of federation '%s', but the "
                       "configuration says '%s'; use a certificate of this "
                       "federation's CA or correct federation.name",
                       at, option, p->federation, conf->federation.name);
    }
    return ERR_OK;
}

enum err node_path(const struct node *node, const char *name, char *out,
                   struct errmsg *why)
{
    int n = snprintf(out, PATH_LEN, "%s/%s", node->conf->data.dir, name);
    return n < PATH_LEN ? ERR_OK
                        : err_set(why, ERR_CONF, "data.dir: path too long");
}

/* Do the CA files trust no other CAs than this version of the document? */
static enum err check_cas(const struct conf *c, const struct rootdoc *doc,
                          struct errmsg *why)
{
    enum err err = rootdoc_check_ca(doc, c->tls.ca, why);
    return err == ERR_OK ? rootdoc_check_ca(doc, c->trust.ca, why) : err;
}

/* Any thread; waits for the store. Owed until it is done. */
void node_judge_again(void *ctx)
{
    struct node *node = ctx;
    struct errmsg why = {{0}};
    atomic_store(&node->owes_judging, false);
    if (store_judge_again(node->store, &why) != ERR_OK) {
        atomic_store(&node->owes_judging, true);
        log_error(
            &node->log, "ROOT-JUDGE",
            "reason=\"%s\" effect=\"directives are not judged by it yet\" "
            "next=\"tried again\"",
            why.text);
        node_owe(node);
    }
}

/* Whoever brought the version: what it says holds from now on. */
static void on_root(void *ctx, const struct rootdoc *doc)
{
    struct node *node = ctx;
    downlink_root_changed(node->downlink);
    if (node->uplink != NULL) {
        uplink_root_changed(node->uplink);
    }
    if (node->writes) {
        node_judge_again(node);
    }
    struct errmsg why = {{0}};
    if (check_cas(node->conf, doc, &why) != ERR_OK) {
        log_error(&node->log, "ROOT-CA",
                  "reason=\"%s\" effect=\"this node will not start again with "
                  "it\"",
                  why.text);
    }
}

static enum err load_root(struct node *node, struct errmsg *why)
{
    const struct conf *c = node->conf;
    char expected[2 * HASH_LEN + 1];
    char folder[PATH_LEN];
    str_hex(c->federation.root_hash, HASH_LEN, expected);
    enum err err = node_path(node, "root", folder, why);
    if (err == ERR_OK) {
        err = rootchain_open(&node->roots, c->federation.root_document,
                             expected, folder, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    const struct rootdoc *doc = rootchain_newest(node->roots);
    rootchain_watch(node->roots, on_root, node);
    if ((int)rootdoc_suite(doc) != c->federation.suite ||
        strcmp(rootdoc_federation(doc), c->federation.name) != 0) {
        struct errmsg place;
        return err_set(why, ERR_CONF,
                       "%s: federation.root_document: %s is of federation '%s' "
                       "(suite %s), but the configuration says '%s' (suite "
                       "%s); name this federation's document, or correct "
                       "federation.name and federation.suite",
                       conf_origin(c, "federation.root_document", &place),
                       c->federation.root_document, rootdoc_federation(doc),
                       suite_name(rootdoc_suite(doc)), c->federation.name,
                       suite_name((enum suite)c->federation.suite));
    }
    return check_cas(c, doc, why);
}

enum err node_load_identity(const struct node *node, enum cert_use use,
                            struct identity *out, struct errmsg *why)
{
    const struct conf *c = node->conf;
    bool sign = use == CERT_USE_SIGN;
    enum err err =
        identity_load(out, node->trust, use, sign ? c->sign.cert : c->seal.cert,
                      sign ? c->sign.key : c->seal.key, why);
    return err == ERR_OK ? check_principal(c, sign ? "sign.cert" : "seal.cert",
                                           cert_principal(out->cert), why)
                         : err;
}

/* NULL: none. */
const char *node_revoked(const struct node *node)
{
    const char *path = node->latest->trust.revoked;
    return path[0] != 0 ? path : NULL;
}

static enum err load_identities(struct node *node, struct errmsg *why)
{
    const struct conf *c = node->conf;
    enum err err =
        trust_open(&node->trust, (enum suite)c->federation.suite,
                   c->federation.name, c->trust.ca, node_revoked(node), why);
    if (err == ERR_OK) {
        err = node_load_identity(node, CERT_USE_SIGN, &node->signer, why);
    }
    if (err == ERR_OK) {
        err = node_load_identity(node, CERT_USE_SEAL, &node->sealing, why);
    }
    atomic_store(&node->signs, &node->signer);
    node->seals = &node->sealing;
    return err;
}

static enum err tls_fits(void *ctx, const struct principal *self,
                         struct errmsg *why)
{
    const struct node *node = ctx;
    enum err err = check_principal(node->conf, "tls.cert", self, why);
    return err == ERR_OK ? rootdoc_check_ca(rootchain_newest(node->roots),
                                            node->conf->tls.ca, why)
                         : err;
}

enum err node_up_ident(struct node *node, struct errmsg *why)
{
    enum err err = load_root(node, why);
    if (err == ERR_OK) {
        err = load_identities(node, why);
    }
    if (err == ERR_OK) {
        err = node_tls_open(&node->tls, &node->conf->tls, tls_fits, node,
                            &node->log, why);
    }
    if (err == ERR_OK) {
        node->rpc_tls = node_tls_source(node->tls);
    }
    return err;
}

void node_down_ident(struct node *node)
{
    node_tls_close(&node->tls);
    struct renewed *older;
    for (struct renewed *r = node->renewed; r != NULL; r = older) {
        older = r->older;
        identity_fini(&r->id);
        mem_free(r);
    }
    node->renewed = NULL;
    identity_fini(&node->sealing);
    identity_fini(&node->signer);
    trust_free(&node->trust);
    rootchain_free(&node->roots);
}
