#include <grpc/support/alloc.h>
#include <grpc/support/string_util.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "rpc/rpc_private.h"

/* ---- server ---- */

static bool usable(const struct tls_material *m)
{
    return m != NULL && m->ca_pem != NULL && m->ca_pem[0] != 0 &&
           m->chain_pem != NULL && m->chain_pem[0] != 0 && m->key_pem != NULL &&
           m->key_pem[0] != 0;
}

static grpc_ssl_certificate_config_reload_status
fetch_newest(struct rpc_fetcher *f, grpc_ssl_server_certificate_config **out)
{
    uint64_t generation = 0;
    const struct tls_material *m = f->tls.get(f->tls.ctx, &generation);
    if (!usable(m)) {
        return f->loaded ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED
                         : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    }
    if (f->loaded && generation == f->generation) {
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    grpc_ssl_pem_key_cert_pair pair = {m->key_pem, m->chain_pem};
    *out = grpc_ssl_server_certificate_config_create(m->ca_pem, &pair, 1);
    f->generation = generation;
    f->loaded = true;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

/* Runs on the poller at each handshake and once in rpc_listen(), one at a time:
 * gRPC holds a mutex of its own. */
static grpc_ssl_certificate_config_reload_status
fetch(void *ctx, grpc_ssl_server_certificate_config **out)
{
    RPC_CONSUME(ctx);
    grpc_ssl_certificate_config_reload_status status = fetch_newest(ctx, out);
    RPC_PUBLISH(ctx);
    return status;
}

grpc_server_credentials *rpc_tls_server(struct rpc_fetcher *fetcher)
{
    RPC_PUBLISH(fetcher);
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch,
            fetcher));
}

/* ---- client ----
 *
 * The `tls` credentials, not the `ssl` ones: the latter always compare the
 * host name with the certificate, and node certificates name the node, not
 * the machine it runs on. And the verifier's text reaches the status of the
 * calls, while a verify_peer_callback has none. Their material is static: the
 * file watcher aborts the process on an empty file. */

struct rpc_verifier {
    grpc_tls_certificate_verifier_external ext; /* what gRPC is given */
    grpc_tls_certificate_verifier *handle;      /* the channel's reference */
    pthread_mutex_t lock;
    bool open;
    char federation[FEDERATION_MAX + 1]; /* this side's */
    bool has_check;
    struct rpc_peer_check check;
};

static enum err check_server(struct rpc_verifier *v, const char *pem,
                             struct errmsg *why)
{
    struct principal peer;
    enum err err = principal_from_pem(slice_str(pem), &peer, why);
    if (err != ERR_OK) {
        return err;
    }
    if (peer.kind != PRINCIPAL_NODE) {
        return err_set(why, ERR_UNAUTHENTICATED,
                       "the server's certificate is not a node's");
    }
    (void)pthread_mutex_lock(&v->lock);
    if (!v->open) {
        err = err_set(why, ERR_CANCELLED, "the channel was closed");
    } else {
        err = principal_check_federation(&peer, v->federation, why);
    }
    if (err == ERR_OK && v->has_check) {
        err = v->check.check(v->check.ctx, &peer, why);
    }
    (void)pthread_mutex_unlock(&v->lock);
    return err;
}

static int verify(void *ctx, grpc_tls_custom_verification_check_request *req,
                  grpc_tls_on_custom_verification_check_done_cb done,
                  void *done_ctx, grpc_status_code *status, char **details)
{
    (void)done;
    (void)done_ctx;
    struct errmsg why = {""};
    const char *pem = req->peer_info.peer_cert;
    RPC_CONSUME(ctx);
    enum err err = check_server(ctx, pem != NULL ? pem : "", &why);
    RPC_PUBLISH(ctx);
    if (err != ERR_OK) {
        *status = (grpc_status_code)err_grpc_status(err);
        *details = gpr_strdup(why.text[0] != 0 ? why.text : err_text(err));
        log_warn(NULL, "RPC-SERVER-REFUSED", "target=%s reason=\"%s\"",
                 req->target_name != NULL ? req->target_name : "", why.text);
    } else {
        *status = GRPC_STATUS_OK;
    }
    return 1; /* decided at once */
}

static void cancel_verify(void *ctx,
                          grpc_tls_custom_verification_check_request *req)
{
    (void)ctx;
    (void)req;
}

static void destroy_verifier(void *ctx)
{
    struct rpc_verifier *v = ctx;
    RPC_CONSUME(v);
    (void)pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

struct rpc_verifier *rpc_verifier_new(const struct rpc_peer_check *expect)
{
    struct rpc_verifier *v = MEM_NEW(struct rpc_verifier);
    (void)pthread_mutex_init(&v->lock, NULL);
    v->open = true;
    if (expect != NULL) {
        v->has_check = true;
        v->check = *expect;
    }
    v->ext.user_data = v;
    v->ext.verify = verify;
    v->ext.cancel = cancel_verify;
    v->ext.destruct = destroy_verifier;
    RPC_PUBLISH(v);
    v->handle = grpc_tls_certificate_verifier_external_create(&v->ext);
    return v;
}

void rpc_verifier_close(struct rpc_verifier *v)
{
    grpc_tls_certificate_verifier *handle = v->handle;
    (void)pthread_mutex_lock(&v->lock);
    v->open = false;
    (void)pthread_mutex_unlock(&v->lock);
    RPC_PUBLISH(v);
    grpc_tls_certificate_verifier_release(handle);
}

grpc_channel_credentials *rpc_tls_client(const struct tls_material *material,
                                         struct rpc_verifier *verifier)
{
    if (!usable(material)) {
        return NULL;
    }
    (void)pthread_mutex_lock(&verifier->lock);
    memcpy(verifier->federation, material->self.federation,
           sizeof verifier->federation);
    (void)pthread_mutex_unlock(&verifier->lock);
    grpc_tls_identity_pairs *pairs = grpc_tls_identity_pairs_create();
    grpc_tls_identity_pairs_add_pair(pairs, material->key_pem,
                                     material->chain_pem);
    grpc_tls_certificate_provider *provider =
        grpc_tls_certificate_provider_static_data_create(material->ca_pem,
                                                         pairs);
    grpc_tls_credentials_options *options =
        grpc_tls_credentials_options_create();
    grpc_tls_credentials_options_set_certificate_provider(options, provider);
    grpc_tls_credentials_options_watch_root_certs(options);
    grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
    grpc_tls_credentials_options_set_certificate_verifier(options,
                                                          verifier->handle);
    grpc_tls_credentials_options_set_check_call_host(options, 0);
    grpc_channel_credentials *creds = grpc_tls_credentials_create(options);
    grpc_tls_certificate_provider_release(provider);
    return creds;
}

/* ---- identity of the other side ---- */

enum {
    CACHE_SLOTS = 256,
    /* Where a PEM certificate differs most from others: its signature, which
     * stands before the 26 bytes of the last line. */
    TAIL_SKIP = 32,
    TAIL_LEN = 64,
};

/* Parsing a certificate costs more than the rest of a small call. */
struct peer_cache {
    pthread_mutex_t lock;
    struct {
        char *pem;
        size_t len;
        struct principal peer;
    } slots[CACHE_SLOTS];
};

struct peer_cache *peer_cache_new(void)
{
    struct peer_cache *cache = MEM_NEW(struct peer_cache);
    (void)pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void peer_cache_free(struct peer_cache *cache)
{
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        mem_free(cache->slots[i].pem);
    }
    (void)pthread_mutex_destroy(&cache->lock);
    mem_free(cache);
}

static size_t slot_of(struct slice pem)
{
    size_t end = pem.len > TAIL_SKIP ? pem.len - TAIL_SKIP : pem.len;
    size_t at = end > TAIL_LEN ? end - TAIL_LEN : 0;
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; at < end; at++) {
        h = (h ^ pem.data[at]) * 16777619u;
    }
    return (h ^ (h >> 16)) % CACHE_SLOTS;
}

static bool cache_get(struct peer_cache *cache, struct slice pem,
                      struct principal *out)
{
    size_t i = slot_of(pem);
    (void)pthread_mutex_lock(&cache->lock);
    bool hit = cache->slots[i].pem != NULL && cache->slots[i].len == pem.len &&
               memcmp(cache->slots[i].pem, pem.data, pem.len) == 0;
    if (hit) {
        *out = cache->slots[i].peer;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return hit;
}

static void cache_put(struct peer_cache *cache, struct slice pem,
                      const struct principal *peer)
{
    size_t i = slot_of(pem);
    char *copy = mem_dup(pem.data, pem.len);
    (void)pthread_mutex_lock(&cache->lock);
    mem_free(cache->slots[i].pem);
    cache->slots[i].pem = copy;
    cache->slots[i].len = pem.len;
    cache->slots[i].peer = *peer;
    (void)pthread_mutex_unlock(&cache->lock);
}

static enum err read_peer(struct rpc *rpc, grpc_auth_context *auth,
                          struct principal *out, struct errmsg *why)
{
    grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(
        auth, GRPC_X509_PEM_CERT_PROPERTY_NAME);
    const grpc_auth_property *p = grpc_auth_property_iterator_next(&it);
    if (p == NULL) {
        return err_set(why, ERR_UNAUTHENTICATED, "no certificate");
    }
    struct slice pem = slice_of(p->value, p->value_length);
    if (cache_get(rpc->peers, pem, out)) {
        return ERR_OK;
    }
    enum err err = principal_from_pem(pem, out, why);
    if (err == ERR_OK) {
        cache_put(rpc->peers, pem, out);
    }
    return err;
}

enum err rpc_peer_of(struct rpc *rpc, grpc_call *call, struct principal *out,
                     struct errmsg *why)
{
    grpc_auth_context *auth = grpc_call_auth_context(call);
    if (auth == NULL) {
        return err_set(why, ERR_UNAUTHENTICATED, "no certificate");
    }
    enum err err = read_peer(rpc, auth, out, why);
    grpc_auth_context_release(auth);
    return err;
}
