/* Signing certificates that are renewed, expire or are revoked; children and
 * parents whose certificates are revoked while they talk. */
#include "base/file.h"
#include "fixture.h"
#include "sync/reclaim.h"
#include "sync/recv.h"
#include "sync/source.h"

#define YEARS_MS(n) ((int64_t)(n)*365 * 86400 * 1000)

/* ---- one log taken from a village's store into a township's ---- */

struct receiving {
    struct node *from;
    struct node *to;
    struct trust *trust;
    struct log_id log;
    struct source source;
    struct recv *recv;
    struct recv_log *rl;
    struct store_head *head;
    struct tree_view view;
    bool there;
    struct refusal refusal;
};

/* As a new stream finds it. */
static void begin_stream(struct receiving *r)
{
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct errmsg why;
    recv_log_free(&r->rl);
    r->rl = recv_log_new(&r->log);
    r->there = store_head(r->to->store, &r->log, r->head) == ERR_OK;
    if (r->there) {
        r->view = store_view(r->to->store, r->head);
        assert_ok(store_note(r->to->store, &r->log, &note, &chain));
        assert_ok(recv_log_load(r->rl, r->trust, r->head, buf_slice(&note),
                                buf_slice(&chain), &why));
    }
    buf_fini(&note);
    buf_fini(&chain);
}

static struct receiving *receiving_new(struct node *from, struct node *to,
                                       struct trust *trust)
{
    struct receiving *r = MEM_NEW(struct receiving);
    r->from = from;
    r->to = to;
    r->trust = trust;
    r->log = store_own_log(from->store);
    r->head = MEM_NEW(struct store_head);
    r->recv = recv_new(trust, LOG_RECORDS);
    source_init(&r->source, FEDERATION);
    begin_stream(r);
    return r;
}

static void receiving_free(struct receiving *r)
{
    recv_log_free(&r->rl);
    recv_free(&r->recv);
    source_fini(&r->source);
    mem_free(r->head);
    mem_free(r);
}

struct landing {
    struct waiter waiter;
    uint64_t size;
};

static void on_landed(void *ctx, enum err err, const char *why,
                      const struct log_id *log, uint64_t size, uint64_t added)
{
    struct landing *l = ctx;
    (void)added;
    (void)why;
    (void)log;
    l->size = size;
    waiter_done(&l->waiter, err);
}

static void land(struct node *to, struct segment **seg)
{
    struct landing l = {.size = 0};
    waiter_init(&l.waiter);
    assert_ok(store_append(to->store, seg, on_landed, &l));
    assert_ok(waiter_end(&l.waiter));
}

/* Entries from `first` under the newest head, with the chain or without, as
 * the clock says `now_ms`. What is new is stored. */
static enum err receive(struct receiving *r, uint64_t first, bool chain,
                        int64_t now_ms)
{
    struct buf bytes = BUF_INIT;
    struct wire_message m;
    struct errmsg why;
    struct segment *seg = NULL;
    assert_ok(source_read(&r->source, r->from->store, &r->log, first,
                          first + 999, 1 << 20));
    assert_ok(source_read_note(&r->source, r->from->store));
    struct wire_segment_out out = source_segment(&r->source, true, chain);
    wire_put_segment(&bytes, &out);
    assert_ok(wire_get_child(buf_slice(&bytes), &m, &why));
    enum err err =
        recv_segment(r->recv, r->rl, &m.segment, r->there ? &r->view : NULL,
                     now_ms, &seg, &r->refusal);
    if (seg != NULL) {
        land(r->to, &seg);
    }
    buf_fini(&bytes);
    return err;
}

/* Does the stored head verify under the chain stored with it? */
static enum err stored_pair(const struct receiving *r)
{
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct errmsg why;
    struct cert *cert = NULL;
    struct checkpoint cp;
    assert_ok(store_note(r->to->store, &r->log, &note, &chain));
    assert_ok(trust_check(r->trust, buf_slice(&chain), CERT_USE_SIGN, 0, &cert,
                          &why));
    enum err err = checkpoint_verify(buf_slice(&note), FEDERATION, test_suite(),
                                     cert, &cp);
    cert_free(&cert);
    buf_fini(&note);
    buf_fini(&chain);
    return err;
}

/* A second signing certificate of the village's, in use at once. */
static void renew(struct node *village, struct identity *id)
{
    char cert[160];
    char key[160];
    struct errmsg why;
    shell("$C/make-node.sh fed second --tier village --code %012llu "
          ">/dev/null",
          (unsigned long long)VILLAGE);
    (void)snprintf(cert, sizeof cert, "%s/second/sign.pem", fed_dir);
    (void)snprintf(key, sizeof key, "%s/second/sign.key", fed_dir);
    assert_ok(identity_load(id, fed_trust, CERT_USE_SIGN, cert, key, &why));
    assert_ok(store_renew(village->store, id, &why));
}

static void a_renewed_signer_s_chain_is_stored_with_its_heads(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "renewed");
    struct node *town = node_new(TOWNSHIP, "town-renewed");
    struct receiving *r = receiving_new(village, town, fed_trust);
    struct identity second;
    struct store_head ours;
    submit(village, 0, 99);
    assert_ok(receive(r, 1, true, clock_wall_ms()));
    assert_ok(stored_pair(r));
    renew(village, &second);
    begin_stream(r);
    /* All of it is held, but the new head goes to the store. */
    assert_ok(receive(r, 81, true, clock_wall_ms()));
    begin_stream(r);
    assert_ok(store_head(village->store, &r->log, &ours));
    assert_int_equal(r->head->newest.at_ms, ours.newest.at_ms);
    assert_int_equal(r->head->frontier.size, 100);
    assert_ok(stored_pair(r));
    submit(village, 500, 5);
    assert_ok(receive(r, 101, false, clock_wall_ms()));
    assert_int_equal(size_of(town, &r->log), 105);
    assert_ok(stored_pair(r));
    receiving_free(r);
    node_free(village);
    node_free(town);
    identity_fini(&second);
    shell("rm -rf second");
}

/* A signing certificate of the county's that ended yesterday: no node starts
 * with it. */
static void load_ended(struct identity *id)
{
    char path[160];
    struct buf der = BUF_INIT;
    struct errmsg why;
    *id = (struct identity){.chain = BUF_INIT};
    shell("$C/make-node.sh fed ended --tier county --code %012llu --not-after "
          "yesterday >/dev/null && cd ended && awk '/BEGIN/ {n++} {print > "
          "n \".pem\"}' sign.pem && for c in [0-9].pem; do openssl x509 -in $c "
          "-outform DER -out ${c%%.pem}.der; done",
          (unsigned long long)COUNTY);
    for (int i = 1; i < 4; i++) { /* leaf first */
        (void)snprintf(path, sizeof path, "%s/ended/%d.der", fed_dir, i);
        buf_clear(&der);
        if (file_read(path, CERT_CHAIN_MAX, &der, &why) == ERR_OK) {
            buf_put_u32(&id->chain, (uint32_t)der.len);
            buf_put_slice(&id->chain, buf_slice(&der));
        }
    }
    assert_ok(trust_check(fed_trust, buf_slice(&id->chain), CERT_USE_SIGN, 0,
                          &id->cert, &why));
    (void)snprintf(path, sizeof path, "%s/ended/sign.key", fed_dir);
    assert_ok(key_load(&id->key, path, &why));
    buf_fini(&der);
}

/* An issuer that is put back long after it wrote the log. */
static void own_lists_come_back_under_a_certificate_that_ended(void **state)
{
    (void)state;
    struct node *before = node_new(COUNTY, "before");
    struct node *after = node_new(COUNTY, "after");
    struct identity ended;
    struct log_id log;
    struct source source;
    struct buf bytes = BUF_INIT;
    struct wire_message m;
    struct segment *seg = NULL;
    struct errmsg why;
    load_ended(&ended);
    assert_ok(store_open_directives(before->store, &log, &why));
    assert_ok(store_renew(before->store, &ended, &why));
    source_init(&source, FEDERATION);
    assert_ok(source_read(&source, before->store, &log, 1, 1, 1 << 20));
    assert_ok(source_read_note(&source, before->store));
    struct wire_segment_out out = source_segment(&source, true, true);
    wire_put_segment(&bytes, &out);
    assert_ok(wire_get_child(buf_slice(&bytes), &m, &why));
    struct reclaim *reclaim = reclaim_new(&after->env, &log);
    assert_ok(reclaim_segment(reclaim, &m.segment, &seg, &why));
    assert_non_null(seg);
    segment_free(&seg);
    reclaim_free(&reclaim);
    source_fini(&source);
    buf_fini(&bytes);
    node_free(before);
    node_free(after);
    identity_fini(&ended);
    shell("rm -rf ended");
}

static void a_new_head_needs_a_certificate_valid_now(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "expired");
    struct node *town = node_new(TOWNSHIP, "town-expired");
    struct receiving *r = receiving_new(village, town, fed_trust);
    int64_t late = clock_wall_ms() + YEARS_MS(8);
    submit(village, 0, 99);
    assert_ok(receive(r, 1, true, clock_wall_ms()));
    submit(village, 100, 5);
    assert_int_equal(receive(r, 101, false, late), ERR_UNAUTHENTICATED);
    assert_non_null(strstr(r->refusal.text, "signing certificate"));
    /* Nor at a new stream, which finds chain and head in the store. */
    begin_stream(r);
    assert_int_equal(receive(r, 101, true, late), ERR_UNAUTHENTICATED);
    assert_int_equal(size_of(town, &r->log), 100);
    /* Old heads stay good: only the newest is looked at. */
    assert_ok(receive(r, 101, true, clock_wall_ms()));
    assert_int_equal(size_of(town, &r->log), 105);
    begin_stream(r);
    assert_ok(receive(r, 97, true, late));
    receiving_free(r);
    node_free(village);
    node_free(town);
}

static struct trust *trust_with_list(void)
{
    struct trust *trust;
    struct errmsg why;
    char ca[160];
    char list[160];
    (void)snprintf(ca, sizeof ca, "%s/fed/%s", fed_dir, test_anchor());
    (void)snprintf(list, sizeof list, "%s/list", fed_dir);
    shell("rm -f list && touch list");
    assert_ok(trust_open(&trust, test_suite(), FEDERATION, ca, list, &why));
    return trust;
}

static void revoke_cert(struct trust *trust, uint64_t code, const char *name)
{
    struct errmsg why;
    shell("$C/revoke.sh list %012llu/%s.pem >/dev/null",
          (unsigned long long)code, name);
    assert_ok(trust_reload(trust, &why));
}

static void a_signer_revoked_in_mid_stream_signs_no_new_head(void **state)
{
    (void)state;
    struct trust *trust = trust_with_list();
    struct node *village = node_new(VILLAGE, "signer");
    struct node *town = node_new(TOWNSHIP, "town-signer");
    struct receiving *r = receiving_new(village, town, trust);
    submit(village, 0, 9);
    assert_ok(receive(r, 1, true, clock_wall_ms()));
    revoke_cert(trust, VILLAGE, "sign");
    submit(village, 10, 5);
    assert_int_equal(receive(r, 11, false, clock_wall_ms()),
                     ERR_UNAUTHENTICATED);
    assert_non_null(strstr(r->refusal.text, "revoked"));
    assert_int_equal(size_of(town, &r->log), 10);
    receiving_free(r);
    node_free(village);
    node_free(town);
    trust_free(&trust);
}

/* ---- streams ---- */

static bool is_waiting(void *ctx)
{
    return status_of(ctx).state == UPLINK_WAITING;
}

static void recheck_children(void *ctx)
{
    struct node *n = ctx;
    downlink_recheck(n->down);
}

static void recheck_parent(void *ctx)
{
    struct node *n = ctx;
    uplink_recheck(n->up);
}

static void the_idle_stream_of_a_revoked_child_ends_by_name(void **state)
{
    (void)state;
    struct trust *trust = trust_with_list();
    struct node *village = node_new(VILLAGE, "child");
    struct node *other = node_new(VILLAGE2, "sister");
    struct node *town = node_new(TOWNSHIP, "town-child");
    struct log_id log = store_own_log(village->store);
    struct log_id log2 = store_own_log(other->store);
    town->env.trust = trust;
    node_listen(town);
    node_connect(village, town);
    node_connect(other, town);
    submit(village, 0, 10);
    submit(other, 0, 10);
    await_acked(village, town, &log);
    await_acked(other, town, &log2);
    revoke_cert(trust, VILLAGE, "tls");
    on_loop(recheck_children, town);
    assert_true(comes_true(is_waiting, village, WAIT_MS));
    assert_non_null(strstr(status_of(village).error, "revoked"));
    /* The other one noticed nothing. */
    submit(other, 20, 5);
    await_acked(other, town, &log2);
    uint64_t before = size_of(village, &log);
    submit(village, 20, 5);
    (void)usleep(100000);
    assert_true(size_of(town, &log) <= before);
    node_free(village);
    node_free(other);
    node_free(town);
    trust_free(&trust);
}

static void a_child_lets_go_of_a_revoked_parent(void **state)
{
    (void)state;
    struct trust *trust = trust_with_list();
    struct node *village = node_new(VILLAGE, "orphan");
    struct node *town = node_new(TOWNSHIP, "town-revoked");
    struct log_id log = store_own_log(village->store);
    village->env.trust = trust;
    node_listen(town);
    node_connect(village, town);
    submit(village, 0, 10);
    await_acked(village, town, &log);
    revoke_cert(trust, TOWNSHIP, "tls");
    on_loop(recheck_parent, village);
    assert_true(comes_true(is_waiting, village, WAIT_MS));
    uint64_t before = size_of(village, &log);
    submit(village, 20, 5);
    (void)usleep(100000);
    assert_true(size_of(town, &log) <= before);
    node_free(village);
    node_free(town);
    trust_free(&trust);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewed_signer_s_chain_is_stored_with_its_heads),
        cmocka_unit_test(own_lists_come_back_under_a_certificate_that_ended),
        cmocka_unit_test(a_new_head_needs_a_certificate_valid_now),
        cmocka_unit_test(a_signer_revoked_in_mid_stream_signs_no_new_head),
        cmocka_unit_test(the_idle_stream_of_a_revoked_child_ends_by_name),
        cmocka_unit_test(a_child_lets_go_of_a_revoked_parent),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
