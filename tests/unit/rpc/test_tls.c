/* Who is let in, who is talked to, and changes of certificates. */
#include "unit/rpc/raw_client.h"

static void who(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    char name[160];
    principal_format(rpc_call_peer(call), name, sizeof name);
    struct buf out = BUF_INIT;
    buf_put_str(&out, name);
    rpc_reply(call, &out);
}

static void refer(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    struct slice address = rpc_call_request(call);
    rpc_refer(call, address.len > 0 ? "b.example:7460" : "", "b writes");
}

static void echo_message(struct rpc_stream *s, void *user, struct slice message)
{
    (void)user;
    struct buf out = BUF_INIT;
    buf_put_slice(&out, message);
    if (rpc_stream_send(s, &out) != ERR_OK) {
        buf_fini(&out);
    }
}

static void ignore_closed(struct rpc_stream *s, void *user, enum err err,
                          const char *text)
{
    (void)s;
    (void)user;
    (void)err;
    (void)text;
}

static const struct rpc_stream_ops echo_ops = {.message = echo_message,
                                               .closed = ignore_closed};
static const struct rpc_method methods[] = {
    {.path = "/t.T/Who", .unary = who},
    {.path = "/t.T/Refer", .unary = refer},
    {.path = "/t.T/Echo", .stream = &echo_ops},
};

static struct net net;

static int up(void **state)
{
    (void)state;
    net_open(&net, methods, ARRAY_LEN(methods));
    return 0;
}

static int down(void **state)
{
    (void)state;
    net_close(&net);
    return 0;
}

/* What a call with this certificate and this trust anchor comes to. */
static enum err call_as(const char *leaf, const char *ca,
                        const struct rpc_peer_check *expect, struct errmsg *out)
{
    struct tls_source *tls = source_new(leaf, ca);
    struct rpc_channel *ch = net_dial(&net, tls, expect);
    enum err err = call_text(ch, "/t.T/Who", "", out);
    rpc_channel_close(&ch);
    source_free(tls);
    return err;
}

static void a_certificate_of_the_ca_is_let_in(void **state)
{
    (void)state;
    struct errmsg out;
    (void)call_as("town", "ca", NULL, &out);
    assert_string_equal(out.text, TOWN); /* else it says why not */
    (void)call_as("app", "ca", NULL, &out);
    assert_string_equal(out.text, "spiffe://anhui/app/hall");
}

static void a_certificate_of_another_ca_is_refused(void **state)
{
    (void)state;
    struct errmsg out;
    assert_int_equal(call_as("stranger", "ca", NULL, &out), ERR_UNAVAILABLE);
    assert_has(out.text, "certificate");
}

static void an_expired_certificate_is_refused(void **state)
{
    (void)state;
    struct errmsg out;
    assert_int_equal(call_as("expired", "ca", NULL, &out), ERR_UNAVAILABLE);
    assert_has(out.text, "certificate");
}

static void no_certificate_is_refused(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(
        raw_call(net.target, "ca", "village", false, "/t.T/Who", 0, text),
        GRPC_STATUS_OK);
    assert_int_equal(
        raw_call(net.target, "ca", NULL, false, "/t.T/Who", 0, text),
        GRPC_STATUS_UNAVAILABLE);
}

/* Under a status that any client tries again, with where in the metadata. */
static void who_is_sent_elsewhere_is_told_where(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(
        raw_call(net.target, "ca", "village", false, "/t.T/Refer", 1, text),
        GRPC_STATUS_UNAVAILABLE);
    assert_string_equal(text, "b writes");
    assert_string_equal(raw_writer, "b.example:7460");
    assert_int_equal(
        raw_call(net.target, "ca", "village", false, "/t.T/Refer", 0, text),
        GRPC_STATUS_UNAVAILABLE);
    assert_string_equal(raw_writer, "");
    struct errmsg out;
    struct tls_source *tls = source_new("village", "ca");
    struct rpc_channel *ch = net_dial(&net, tls, NULL);
    assert_int_equal(call_text(ch, "/t.T/Refer", "x", &out), ERR_ELSEWHERE);
    rpc_channel_close(&ch);
    source_free(tls);
}

static void a_server_of_another_ca_is_refused(void **state)
{
    (void)state;
    struct errmsg out;
    assert_int_equal(call_as("village", "other-ca", NULL, &out),
                     ERR_UNAVAILABLE);
    assert_has(out.text, "certificate verify failed");
}

static enum err expect_name(void *ctx, const struct principal *peer,
                            struct errmsg *why)
{
    char name[160];
    principal_format(peer, name, sizeof name);
    if (strcmp(name, ctx) == 0) {
        return ERR_OK;
    }
    return err_set(why, ERR_UNAUTHENTICATED, "the server is %s, expected %s",
                   name, (const char *)ctx);
}

static void the_expected_server_is_talked_to(void **state)
{
    (void)state;
    struct errmsg out;
    char name[] = COUNTY;
    struct rpc_peer_check expect = {expect_name, name};
    assert_int_equal(call_as("village", "ca", &expect, &out), ERR_OK);
}

static void another_server_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct errmsg out;
    char name[] = TOWN;
    struct rpc_peer_check expect = {expect_name, name};
    assert_int_equal(call_as("village", "ca", &expect, &out), ERR_UNAVAILABLE);
    assert_has(out.text, "the server is " COUNTY ", expected " TOWN);
}

/* Puts another certificate in place; the old one stays valid for whoever
 * still holds it. */
static void swap(struct tls_source *to, struct tls_source *with)
{
    (void)pthread_mutex_lock(&to->lock);
    struct tls_material old = to->material;
    to->material = with->material;
    with->material = old;
    to->generation++;
    (void)pthread_mutex_unlock(&to->lock);
}

/* A CA may serve two federations, one of them for trials. */
static void a_server_of_another_federation_is_refused(void **state)
{
    (void)state;
    struct errmsg out;
    struct tls_source *tls = source_new("village", "ca");
    (void)snprintf(tls->material.self.federation,
                   sizeof tls->material.self.federation, "trial");
    struct rpc_channel *ch = net_dial(&net, tls, NULL);
    assert_int_not_equal(call_text(ch, "/t.T/Who", "", &out), ERR_OK);
    assert_has(out.text, "another federation");
    rpc_channel_close(&ch);
    source_free(tls);
}

static void an_app_certificate_is_not_a_server(void **state)
{
    (void)state;
    struct errmsg out;
    struct tls_source *app = source_new("app", "ca");
    swap(net.server_tls, app);
    assert_int_equal(call_as("village", "ca", NULL, &out), ERR_UNAVAILABLE);
    assert_has(out.text, "certificate");
    source_free(app);
}

/* A stream that lives across changes; answers are counted. */
struct watch {
    atomic_int answers;
    atomic_int closed;
    char peer[160];
};

static void watch_open(struct rpc_stream *s, void *user)
{
    struct watch *w = user;
    principal_format(rpc_stream_peer(s), w->peer, sizeof w->peer);
}

static void watch_message(struct rpc_stream *s, void *user,
                          struct slice message)
{
    (void)s;
    (void)message;
    struct watch *w = user;
    atomic_fetch_add(&w->answers, 1);
}

static void watch_closed(struct rpc_stream *s, void *user, enum err err,
                         const char *text)
{
    (void)s;
    (void)err;
    (void)text;
    struct watch *w = user;
    atomic_fetch_add(&w->closed, 1);
}

static const struct rpc_stream_ops watch_ops = {
    .open = watch_open, .message = watch_message, .closed = watch_closed};

static struct rpc_stream *watch_start(struct watch *w)
{
    struct rpc_stream *s = NULL;
    assert_int_equal(
        rpc_stream_open(&s, net.channel, "/t.T/Echo", &watch_ops, w, 0),
        ERR_OK);
    return s;
}

static void watch_ask(struct watch *w, struct rpc_stream *s)
{
    int before = atomic_load(&w->answers);
    struct buf b = BUF_INIT;
    buf_put_str(&b, "?");
    assert_int_equal(rpc_stream_send(s, &b), ERR_OK);
    WAIT_FOR(atomic_load(&w->answers) == before + 1);
    assert_int_equal(atomic_load(&w->closed), 0);
}

static void watch_end(struct watch *w, struct rpc_stream *s)
{
    rpc_stream_finish(s, ERR_OK, NULL);
    WAIT_FOR(atomic_load(&w->closed) == 1);
}

static void a_new_server_certificate_disturbs_nobody(void **state)
{
    (void)state;
    struct watch old = {0};
    struct watch new = {0};
    struct rpc_stream *first = watch_start(&old);
    watch_ask(&old, first);
    struct tls_source *town = source_new("town", "ca");
    swap(net.server_tls, town);
    rpc_channel_reset(net.channel);
    struct rpc_stream *second = watch_start(&new);
    watch_ask(&new, second);
    watch_ask(&old, first);
    assert_string_equal(old.peer, COUNTY);
    assert_string_equal(new.peer, TOWN);
    watch_end(&old, first);
    watch_end(&new, second);
    source_free(town);
}

static void a_new_client_certificate_is_used_by_what_begins(void **state)
{
    (void)state;
    struct errmsg out;
    struct watch old = {0};
    struct rpc_stream *first = watch_start(&old);
    watch_ask(&old, first);
    assert_int_equal(call_text(net.channel, "/t.T/Who", "", &out), ERR_OK);
    assert_string_equal(out.text, VILLAGE);
    struct tls_source *town = source_new("town", "ca");
    swap(net.client_tls, town);
    assert_int_equal(call_text(net.channel, "/t.T/Who", "", &out), ERR_OK);
    assert_string_equal(out.text, TOWN);
    watch_ask(&old, first);
    watch_end(&old, first);
    source_free(town);
}

static void without_new_material_the_old_is_kept(void **state)
{
    (void)state;
    struct errmsg out;
    struct tls_source *both[] = {net.server_tls, net.client_tls};
    for (size_t i = 0; i < 2; i++) {
        (void)pthread_mutex_lock(&both[i]->lock);
        both[i]->missing = true;
        (void)pthread_mutex_unlock(&both[i]->lock);
    }
    assert_int_equal(call_as("town", "ca", NULL, &out), ERR_OK);
    assert_int_equal(call_text(net.channel, "/t.T/Who", "", &out), ERR_OK);
}

static void broken_material_does_not_stop_the_listener(void **state)
{
    (void)state;
    static const char *const broken[] = {"", "not a certificate\n",
                                         "-----BEGIN CERTIFICATE-----\nMII=\n"
                                         "-----END CERTIFICATE-----\n"};
    struct errmsg out;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct tls_source *bad = source_new("town", "ca");
        mem_free(bad->material.chain_pem);
        bad->material.chain_pem = mem_strdup(broken[i]);
        swap(net.server_tls, bad);
        assert_int_equal(call_as("town", "ca", NULL, &out), ERR_OK);
        swap(net.server_tls, bad);
        source_free(bad);
    }
}

static void listening_without_a_certificate_is_refused(void **state)
{
    (void)state;
    struct errmsg why = {""};
    struct rpc_server *second = NULL;
    struct tls_source *none = source_new("town", "ca");
    none->missing = true;
    struct rpc_tls tls = source_tls(none);
    assert_int_equal(rpc_listen(&second, net.rpc, "127.0.0.1:0", &tls, methods,
                                ARRAY_LEN(methods), &why),
                     ERR_CONF);
    assert_has(why.text, "certificate");
    struct rpc_channel *ch = NULL;
    assert_int_equal(
        rpc_channel_open(&ch, net.rpc, net.target, &tls, NULL, &why), ERR_CONF);
    source_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
        CASE(a_certificate_of_the_ca_is_let_in),
        CASE(a_certificate_of_another_ca_is_refused),
        CASE(an_expired_certificate_is_refused),
        CASE(no_certificate_is_refused),
        CASE(who_is_sent_elsewhere_is_told_where),
        CASE(a_server_of_another_ca_is_refused),
        CASE(the_expected_server_is_talked_to),
        CASE(another_server_is_refused_with_the_reason),
        CASE(an_app_certificate_is_not_a_server),
        CASE(a_server_of_another_federation_is_refused),
        CASE(a_new_server_certificate_disturbs_nobody),
        CASE(a_new_client_certificate_is_used_by_what_begins),
        CASE(without_new_material_the_old_is_kept),
        CASE(broken_material_does_not_stop_the_listener),
        CASE(listening_without_a_certificate_is_refused),
#undef CASE
    };
    return cmocka_run_group_tests(tests, make_pki, remove_pki);
}
