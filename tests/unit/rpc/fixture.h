/* fixture.h - certificates, servers and channels for the tests of rpc/.
 *
 * A program makes its certificates once, by the scripts in certs/, in a
 * temporary folder: <name>.pem and <name>.key, ca.pem, and other-ca.pem of
 * another federation. */
#ifndef UNIT_RPC_FIXTURE_H
#define UNIT_RPC_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/rpc.h"
#include "support/patience.h"

#define UNUSED __attribute__((unused))
#define COUNTY "spiffe://anhui/county/341821000000"
#define VILLAGE "spiffe://anhui/village/341821100201"
#define TOWN "spiffe://anhui/township/341821100000"

enum { CALL_MS = WAIT_MS };

static char pki_dir[] = "/tmp/rpc-test-XXXXXX";

static void UNUSED PRINTF_LIKE(1, 2) shell(const char *fmt, ...)
{
    char command[4096];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    assert_in_range(n, 1, sizeof command - 1);
    if (system(command) != 0) {
        fail_msg("command failed: %s", command);
    }
}

static const char making[] =
    "for fed in fed other; do"
    " $C/make-federation.sh $fed --name anhui --province 340000000000"
    " --issuer 000000000000:1:1;"
    "done;"
    "cp fed/ca.pem ca.pem; cp other/ca.pem other-ca.pem;"
    "node() {"
    " $C/make-node.sh $1 $2.d --tier $3 --code $4 $5 $6;"
    " cp $2.d/tls.pem $2.pem; cp $2.d/tls.key $2.key;"
    "};"
    "node fed county county 341821000000;"
    "node fed village village 341821100201;"
    "node fed town township 341821100000;"
    "node fed expired village 341821100201 --not-after yesterday;"
    "node other stranger village 341821100201;"
    "$C/make-app.sh fed app.d --name hall --scopes public;"
    "cp app.d/app.pem app.pem; cp app.d/app.key app.key";

static int UNUSED make_pki(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(pki_dir));
    shell("%s/tests/support/cast.sh %s '%s'", SOURCE_DIR, pki_dir, making);
    log_set_level(getenv("RPC_TEST_DEBUG") != NULL ? LOG_DEBUG : LOG_ERROR);
    return 0;
}

static int UNUSED remove_pki(void **state)
{
    (void)state;
    shell("rm -rf %s", pki_dir);
    return 0;
}

static char *read_pem(const char *name, const char *suffix)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s.%s", pki_dir, name, suffix);
    struct buf b = BUF_INIT;
    struct errmsg why;
    assert_int_equal(file_read(path, 65536, &b, &why), ERR_OK);
    buf_put_u8(&b, 0);
    size_t len;
    return (char *)buf_steal(&b, &len);
}

/* Source of TLS material whose content a test may change. */
struct tls_source {
    struct tls_material material;
    bool missing; /* get() returns NULL */
    uint64_t generation;
    pthread_mutex_t lock;
};

static const struct tls_material *source_get(void *ctx, uint64_t *generation)
{
    struct tls_source *s = ctx;
    (void)pthread_mutex_lock(&s->lock);
    *generation = s->generation;
    const struct tls_material *m = s->missing ? NULL : &s->material;
    (void)pthread_mutex_unlock(&s->lock);
    return m;
}

static struct tls_source UNUSED *source_new(const char *leaf, const char *ca)
{
    struct tls_source *s = MEM_NEW(struct tls_source);
    (void)pthread_mutex_init(&s->lock, NULL);
    s->material.ca_pem = read_pem(ca, "pem");
    s->material.chain_pem = read_pem(leaf, "pem");
    s->material.key_pem = read_pem(leaf, "key");
    struct errmsg why = {""};
    assert_int_equal(principal_from_pem(slice_str(s->material.chain_pem),
                                        &s->material.self, &why),
                     ERR_OK);
    s->generation = 1;
    return s;
}

static void UNUSED source_free(struct tls_source *s)
{
    mem_free(s->material.ca_pem);
    mem_free(s->material.chain_pem);
    mem_free(s->material.key_pem);
    (void)pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static struct rpc_tls UNUSED source_tls(struct tls_source *s)
{
    return (struct rpc_tls){.get = source_get, .ctx = s};
}

/* A server named `county` and, for most tests, one client. */
struct net {
    struct rpc *rpc;
    struct tls_source *server_tls;
    struct tls_source *client_tls;
    struct rpc_server *server;
    struct rpc_channel *channel;
    char target[32];
};

static struct rpc_channel UNUSED *net_dial(struct net *n,
                                           struct tls_source *tls,
                                           const struct rpc_peer_check *expect)
{
    struct rpc_channel *ch = NULL;
    struct errmsg why = {""};
    struct rpc_tls source = source_tls(tls);
    enum err err =
        rpc_channel_open(&ch, n->rpc, n->target, &source, expect, &why);
    if (err != ERR_OK) {
        fail_msg("channel: %s", why.text);
    }
    return ch;
}

static void UNUSED net_open_with(struct net *n, const struct rpc_conf *conf,
                                 const struct rpc_method *methods, size_t count)
{
    struct errmsg why = {""};
    assert_int_equal(rpc_open(&n->rpc, conf, &why), ERR_OK);
    n->server_tls = source_new("county", "ca");
    n->client_tls = source_new("village", "ca");
    struct rpc_tls tls = source_tls(n->server_tls);
    enum err err = rpc_listen(&n->server, n->rpc, "127.0.0.1:0", &tls, methods,
                              count, &why);
    if (err != ERR_OK) {
        fail_msg("listen: %s", why.text);
    }
    (void)snprintf(n->target, sizeof n->target, "127.0.0.1:%u",
                   rpc_server_port(n->server));
    n->channel = net_dial(n, n->client_tls, NULL);
}

/* The defaults, but for a machine on which a handshake takes its time. */
static struct rpc_conf UNUSED patient_conf(void)
{
    struct rpc_conf conf = rpc_conf_default();
    conf.handshake_timeout_ms = WAIT_MS;
    return conf;
}

static void UNUSED net_open(struct net *n, const struct rpc_method *methods,
                            size_t count)
{
    struct rpc_conf conf = patient_conf();
    net_open_with(n, &conf, methods, count);
}

static void UNUSED net_close(struct net *n)
{
    rpc_channel_close(&n->channel);
    rpc_server_close(&n->server, 1000);
    rpc_close(&n->rpc);
    source_free(n->server_tls);
    source_free(n->client_tls);
}

static void UNUSED sleep_ms(long ms)
{
    struct timespec ts = {ms / 1000, (ms % 1000) * 1000000};
    (void)nanosleep(&ts, NULL);
}

/* One unary call; the reply's text or the refusal's into `out`. */
static enum err UNUSED call_text(struct rpc_channel *ch, const char *path,
                                 const char *request, struct errmsg *out)
{
    struct buf in = BUF_INIT;
    struct buf reply = BUF_INIT;
    buf_put_str(&in, request);
    out->text[0] = 0;
    enum err err = rpc_unary_wait(ch, path, &in, CALL_MS, &reply, out);
    if (err == ERR_OK) {
        (void)snprintf(out->text, sizeof out->text, "%s", buf_cstr(&reply));
    }
    buf_fini(&reply);
    return err;
}

static void UNUSED assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, text);
    }
}

#endif
