/* Checkpoints: signed by identities that the certs/ scripts made, in both
 * suites, and everything a reader must refuse. */
#include "mlog/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "mlog/tree.h"
#include "unit/mlog/vectors.h"

#define ORIGIN UINT64_C(341821100201)
#define ORIGIN_TEXT "341821100201"

/* One federation: its trust, a node, the node with a renewed key, another. */
struct world {
    enum suite suite;
    char dir[64];
    struct trust *trust;
    struct identity node;
    struct identity renewed;
    struct identity other;
};
static struct world worlds[2];

static const struct checkpoint sample = {
    .log = {ORIGIN, 0x9f86d081884c7d65, LOG_RECORDS},
    .size = 20,
    .at_ms = 1767225600000,
};

static void run(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void run(const char *fmt, ...)
{
    struct buf command = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vputf(&command, fmt, ap);
    va_end(ap);
    int status = system(buf_cstr(&command));
    if (status != 0) {
        fail_msg("failed: %s", buf_cstr(&command));
    }
    buf_fini(&command);
}

static void load(struct world *w, const char *name, struct identity *out)
{
    char cert[128];
    char key[128];
    struct errmsg why = {""};
    snprintf(cert, sizeof(cert), "%s/%s/sign.pem", w->dir, name);
    snprintf(key, sizeof(key), "%s/%s/sign.key", w->dir, name);
    enum err err = identity_load(out, w->trust, CERT_USE_SIGN, cert, key, &why);
    if (err != ERR_OK) {
        fail_msg("%s", why.text);
    }
}

static void make_world(struct world *w, enum suite suite)
{
    static const struct {
        const char *name;
        const char *code;
    } nodes[] = {{"node", ORIGIN_TEXT},
                 {"renewed", ORIGIN_TEXT},
                 {"other", "341821100202"}};
    char ca[128];
    struct errmsg why = {""};
    w->suite = suite;
    snprintf(w->dir, sizeof(w->dir), "/tmp/checkpoint-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    run(SOURCE_DIR "/certs/make-federation.sh %s/fed --name example --suite %s"
                   " >/dev/null 2>&1",
        w->dir, suite_name(suite));
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
        run(SOURCE_DIR "/certs/make-node.sh %s/fed %s/%s --tier village"
                       " --code %s >/dev/null 2>&1",
            w->dir, w->dir, nodes[i].name, nodes[i].code);
    }
    snprintf(ca, sizeof(ca), "%s/node/%s", w->dir,
             suite == SUITE_GM ? "signing-ca.pem" : "ca.pem");
    if (trust_open(&w->trust, suite, "example", ca, NULL, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    load(w, "node", &w->node);
    load(w, "renewed", &w->renewed);
    load(w, "other", &w->other);
}

static int setup(void **state)
{
    (void)state;
    make_world(&worlds[0], SUITE_INTL);
    make_world(&worlds[1], SUITE_GM);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        struct world *w = &worlds[i];
        identity_fini(&w->node);
        identity_fini(&w->renewed);
        identity_fini(&w->other);
        trust_free(&w->trust);
        run("rm -r %s", w->dir);
    }
    return 0;
}

/* The checkpoint of tests/data/mlog_checkpoint.txt. */
static struct checkpoint sample_checkpoint(void)
{
    struct checkpoint cp = sample;
    struct buf file = BUF_INIT;
    struct buf root = BUF_INIT;
    vectors_load(TEST_DATA "/mlog_tree.txt", &file);
    vectors_hex(&file, "intl.20", &root);
    memcpy(cp.root.b, root.data, HASH_LEN);
    buf_fini(&root);
    buf_fini(&file);
    return cp;
}

static void sign(const struct world *w, struct buf *note)
{
    struct checkpoint cp = sample_checkpoint();
    assert_int_equal(checkpoint_sign(&cp, "example", w->suite, &w->node, note),
                     ERR_OK);
}

static enum err verify(const struct world *w, const struct buf *note)
{
    struct checkpoint cp;
    return checkpoint_verify(buf_slice(note), "example", w->suite, w->node.cert,
                             &cp);
}

static void text_load(struct buf *out)
{
    vectors_load(TEST_DATA "/mlog_checkpoint.txt", out);
}

/* A signature line of `name`: key id, then `signature`. */
static void put_line(struct buf *note, const char *name, const uint8_t id[4],
                     struct slice signature)
{
    struct buf bytes = BUF_INIT;
    buf_put(&bytes, id, 4);
    buf_put_slice(&bytes, signature);
    buf_putf(note, "\xe2\x80\x94 %s ", name);
    str_base64(buf_slice(&bytes), note);
    buf_put_str(note, "\n");
    buf_fini(&bytes);
}

static void key_id_of(const struct world *w, uint8_t out[4])
{
    struct hash hash;
    struct buf named = BUF_INIT;
    memcpy(out, cert_key_id(w->node.cert), 4);
    if (w->suite == SUITE_GM) {
        buf_put_str(&named, ORIGIN_TEXT "\n\xff"
                                        "creditnode/sm2-with-sm3");
        buf_put(&named, cert_key_id(w->node.cert), 32);
        suite_hash(SUITE_INTL, buf_slice(&named), &hash);
        memcpy(out, hash.b, 4);
    }
    buf_fini(&named);
}

static void a_signed_note_is_the_vector_and_a_signature(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        struct buf text = BUF_INIT;
        struct buf note = BUF_INIT;
        struct buf signature = BUF_INIT;
        uint8_t id[4];
        text_load(&text);
        size_t text_len = text.len;
        sign(&worlds[i], &note);
        buf_put_str(&text, "\n\xe2\x80\x94 " ORIGIN_TEXT " ");
        assert_true(note.len > text.len);
        assert_memory_equal(note.data, text.data, text.len);
        assert_int_equal(note.data[note.len - 1], '\n');
        assert_true(str_unbase64(
            slice_of(note.data + text.len, note.len - text.len - 1),
            &signature));
        key_id_of(&worlds[i], id);
        assert_memory_equal(signature.data, id, 4);
        struct slice der = slice_of(signature.data + 4, signature.len - 4);
        assert_int_equal(pubkey_verify(cert_pubkey(worlds[i].node.cert),
                                       worlds[i].suite,
                                       slice_of(note.data, text_len), der),
                         ERR_OK);
        buf_fini(&signature);
        buf_fini(&note);
        buf_fini(&text);
    }
}

static void what_was_signed_is_read_back(void **state)
{
    (void)state;
    static const struct checkpoint rows[] = {
        {{ORIGIN, 1, LOG_RECORDS}, 0, {{0}}, 0},
        {{ORIGIN, UINT64_MAX, LOG_AUDIT}, TREE_SIZE_MAX, {{0xff}}, INT64_MAX},
        {{ORIGIN, 2, LOG_DIRECTIVES}, 10, {{1, 2}}, 10},
        {{ORIGIN, 3, LOG_POST}, 1, {{3}}, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(worlds); i++) {
        const struct world *w = &worlds[i % 2];
        const struct checkpoint *cp = &rows[i / 2];
        struct checkpoint parsed;
        struct checkpoint verified;
        struct buf note = BUF_INIT;
        assert_int_equal(
            checkpoint_sign(cp, "example", w->suite, &w->node, &note), ERR_OK);
        assert_true(note.len <= CHECKPOINT_MAX);
        assert_int_equal(checkpoint_parse(buf_slice(&note), "example", &parsed),
                         ERR_OK);
        assert_int_equal(checkpoint_verify(buf_slice(&note), "example",
                                           w->suite, w->node.cert, &verified),
                         ERR_OK);
        assert_true(log_id_eq(&parsed.log, &cp->log));
        assert_true(log_id_eq(&verified.log, &cp->log));
        assert_int_equal(parsed.size, cp->size);
        assert_int_equal(verified.size, cp->size);
        assert_true(hash_eq(&parsed.root, &cp->root));
        assert_true(hash_eq(&verified.root, &cp->root));
        assert_int_equal(parsed.at_ms, cp->at_ms);
        assert_int_equal(verified.at_ms, cp->at_ms);
        buf_fini(&note);
    }
}

static void the_openssl_program_agrees(void **state)
{
    (void)state;
    static const char *const how[] = {
        "-digest sha256", "-digest sm3 -pkeyopt distid:1234567812345678"};
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        struct buf note = BUF_INIT;
        sign(&worlds[i], &note);
        char path[128];
        snprintf(path, sizeof(path), "%s/note", worlds[i].dir);
        struct errmsg why = {""};
        assert_int_equal(file_replace(path, buf_slice(&note), 0600, &why),
                         ERR_OK);
        run("cd %s && head -n 4 note >text && tail -n 1 note | cut -d' ' -f3 |"
            " base64 -d | tail -c +5 >der &&"
            " openssl x509 -in node/sign.pem -noout -pubkey >pub &&"
            " openssl pkeyutl -verify -pubin -inkey pub -rawin -in text"
            " -sigfile der %s >/dev/null",
            worlds[i].dir, how[i]);
        buf_fini(&note);
    }
}

static void every_changed_byte_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        struct buf note = BUF_INIT;
        sign(&worlds[i], &note);
        assert_int_equal(verify(&worlds[i], &note), ERR_OK);
        for (size_t at = 0; at < note.len; at++) {
            note.data[at] ^= 1;
            assert_int_not_equal(verify(&worlds[i], &note), ERR_OK);
            note.data[at] ^= 1;
        }
        buf_fini(&note);
    }
}

static void every_truncation_is_malformed(void **state)
{
    (void)state;
    struct buf note = BUF_INIT;
    struct checkpoint cp;
    sign(&worlds[0], &note);
    for (size_t cut = 0; cut < note.len; cut++) {
        assert_int_equal(
            checkpoint_parse(slice_of(note.data, cut), "example", &cp),
            ERR_INVALID);
    }
    buf_fini(&note);
}

/* `note` with the first `from` in it replaced by `to`. */
static void replaced(const struct buf *note, const char *from, struct slice to,
                     struct buf *out)
{
    const uint8_t *at = memmem(note->data, note->len, from, strlen(from));
    assert_non_null(at);
    size_t before = (size_t)(at - note->data);
    buf_clear(out);
    buf_put(out, note->data, before);
    buf_put_slice(out, to);
    buf_put(out, at + strlen(from), note->len - before - strlen(from));
}

static void malformed_notes_are_refused(void **state)
{
    (void)state;
#define TO(text) text, sizeof(text) - 1
    static const struct {
        const char *from;
        const char *to;
        size_t len;
    } rows[] = {
        {"creditnode/", TO("creditnod/")},
        {"creditnode/", TO(" creditnode/")},
        {"/example/", TO("/exampl/")},
        {"/example/", TO("/examples/")},
        {"/example/", TO("//")},
        {"/" ORIGIN_TEXT, TO("/34182110020")},
        {"/records/", TO("/record/")},
        {"9f86d081884c7d65", TO("9F86d081884c7d65")},
        {"9f86d081884c7d65", TO("0000000000000000")},
        {"9f86d081884c7d65", TO("9f86d081884c7d65 ")},
        {"\n20\n", TO("\n020\n")},
        {"\n20\n", TO("\n00\n")},
        {"\n20\n", TO("\n+20\n")},
        {"\n20\n", TO("\n20 \n")},
        {"\n20\n", TO("\n0x14\n")},
        {"\n20\n", TO("\n-1\n")},
        {"\n20\n", TO("\n\n")},
        {"\n20\n", TO("\n9223372036854775808\n")},
        {"\n20\n", TO("\n18446744073709551616\n")},
        {"\n20\n", TO("\r\n20\r\n")},
        {"VKqA=\n", TO("VKqB=\n")}, /* bits behind the end */
        {"VKqA=\n", TO("VKqA\n")},
        {"VKqA=\n", TO("VKqA==\n")},
        {"VKqA=\n", TO("VKqAAA\n")},
        {"VKqA=\n", TO("VK==\n")},
        {"VKqA=\n", TO("VKqAA=\n")},
        {"IU09", TO("IU0*")},
        {"IU09", TO("IU0\n")},
        {"time 1767225600000", TO("time 01767225600000")},
        {"time 1767225600000", TO("time -1")},
        {"time 1767225600000", TO("time  1767225600000")},
        {"time 1767225600000", TO("time")},
        {"time 1767225600000", TO("time ")},
        {"time 1767225600000", TO("time 9223372036854775808")},
        {"time 1767225600000\n", TO("")},
        {"time 1767225600000\n", TO("further\ntime 1767225600000\n")},
        {"time 1767225600000\n", TO("time 1767225600000\n\nmore\n")},
        {"time 1767225600000\n", TO("time 1767225600000\nmore\t\n")},
        {"time 1767225600000\n", TO("time 1767225600000\nmore\0\n")},
        {"time 1767225600000\n", TO("time 1767225600000\nmore\xff\n")},
        {"\n\n", TO("\n")},
        {"\n\n", TO("\n\n\n")},
        {"\xe2\x80\x94 ", TO("- ")},
        {"\xe2\x80\x94 ", TO("\xe2\x80\x94")},
        {"\xe2\x80\x94 ", TO("\xe2\x80\x94  ")},
        {"\xe2\x80\x94 " ORIGIN_TEXT, TO("\xe2\x80\x94 ")},
        {"\xe2\x80\x94 " ORIGIN_TEXT, TO("\xe2\x80\x94 a+b")},
        {"\xe2\x80\x94 ", TO("\xe2\x80\x94 x \n\xe2\x80\x94 ")},
        {"\xe2\x80\x94 ", TO("\xe2\x80\x94 x AAAAAA==\n\xe2\x80\x94 ")},
        {"\xe2\x80\x94 ", TO("\xe2\x80\x94 x AAAAAAB=\n\xe2\x80\x94 ")},
        {"\xe2\x80\x94 ", TO("signature\n\xe2\x80\x94 ")},
    };
    struct buf note = BUF_INIT;
    struct buf bad = BUF_INIT;
    struct checkpoint cp;
    sign(&worlds[0], &note);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        replaced(&note, rows[i].from, slice_of(rows[i].to, rows[i].len), &bad);
        if (checkpoint_parse(buf_slice(&bad), "example", &cp) != ERR_INVALID) {
            fail_msg("row %zu was read", i);
        }
        assert_int_equal(verify(&worlds[0], &bad), ERR_INVALID);
    }
    buf_put_str(&note, "\n");
    assert_int_equal(checkpoint_parse(buf_slice(&note), "example", &cp),
                     ERR_INVALID);
    buf_fini(&bad);
    buf_fini(&note);
}

static void notes_past_the_limit_are_refused(void **state)
{
    (void)state;
    struct buf note = BUF_INIT;
    sign(&worlds[0], &note);
    const uint8_t id[4] = {1, 2, 3, 4};
    uint8_t signature[600] = {0};
    while (note.len + 140 <= CHECKPOINT_MAX) {
        put_line(&note, "witness", id, slice_of(signature, 80));
        assert_int_equal(verify(&worlds[0], &note), ERR_OK);
    }
    put_line(&note, "witness", id, slice_of(signature, 120));
    assert_true(note.len > CHECKPOINT_MAX);
    assert_int_equal(verify(&worlds[0], &note), ERR_INVALID);
    buf_clear(&note);
    sign(&worlds[0], &note);
    put_line(&note, "witness", id, slice_of(signature, 509));
    assert_true(note.len > CHECKPOINT_MAX - 100);
    assert_int_equal(verify(&worlds[0], &note), ERR_INVALID);
    buf_fini(&note);
}

static void lines_of_other_keys_are_passed_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        struct buf note = BUF_INIT;
        struct buf text = BUF_INIT;
        uint8_t id[4];
        struct slice junk = slice_str("junk");
        const uint8_t other_id[4] = {0, 0, 0, 0};
        key_id_of(&worlds[i], id);
        sign(&worlds[i], &note);
        put_line(&note, "witness.example", id, junk);
        put_line(&note, ORIGIN_TEXT, other_id, junk);
        assert_int_equal(verify(&worlds[i], &note), ERR_OK);
        /* The same key once more, with a signature that does not fit. */
        put_line(&note, ORIGIN_TEXT, id, junk);
        assert_int_equal(verify(&worlds[i], &note), ERR_BAD_SIGNATURE);
        /* Only lines of others. */
        buf_clear(&note);
        text_load(&text);
        buf_put_slice(&note, buf_slice(&text));
        buf_put_str(&note, "\n");
        put_line(&note, "witness.example", id, junk);
        assert_int_equal(verify(&worlds[i], &note), ERR_BAD_SIGNATURE);
        buf_fini(&text);
        buf_fini(&note);
    }
}

static void signed_extension_lines_are_passed_over(void **state)
{
    (void)state;
    const struct world *w = &worlds[0];
    struct buf note = BUF_INIT;
    struct buf signature = BUF_INIT;
    struct checkpoint cp;
    uint8_t id[4];
    text_load(&note);
    buf_put_str(&note, "later extension \xe4\xb8\xad\xe6\x96\x87\n");
    assert_int_equal(
        key_sign(w->node.key, w->suite, buf_slice(&note), &signature), ERR_OK);
    key_id_of(w, id);
    buf_put_str(&note, "\n");
    put_line(&note, ORIGIN_TEXT, id, buf_slice(&signature));
    assert_int_equal(checkpoint_verify(buf_slice(&note), "example", w->suite,
                                       w->node.cert, &cp),
                     ERR_OK);
    assert_int_equal(cp.size, 20);
    assert_int_equal(cp.at_ms, sample.at_ms);
    /* An extension line that was not signed. */
    struct buf more = BUF_INIT;
    replaced(&note, "later", slice_str("never"), &more);
    assert_int_equal(verify(w, &more), ERR_BAD_SIGNATURE);
    buf_fini(&more);
    buf_fini(&signature);
    buf_fini(&note);
}

static void only_the_origin_may_sign(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        const struct world *w = &worlds[i];
        struct checkpoint cp = sample_checkpoint();
        struct buf note = BUF_INIT;
        assert_int_equal(
            checkpoint_sign(&cp, "example", w->suite, &w->other, &note),
            ERR_DENIED);
        assert_int_equal(
            checkpoint_sign(&cp, "elsewhere", w->suite, &w->node, &note),
            ERR_DENIED);
        cp.size = TREE_SIZE_MAX + 1;
        assert_int_equal(
            checkpoint_sign(&cp, "example", w->suite, &w->node, &note),
            ERR_INVALID);
        cp.size = 0;
        cp.at_ms = -1;
        assert_int_equal(
            checkpoint_sign(&cp, "example", w->suite, &w->node, &note),
            ERR_INVALID);
        assert_int_equal(note.len, 0);
        buf_fini(&note);
    }
}

static void another_certificate_does_not_verify(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        const struct world *w = &worlds[i];
        struct checkpoint cp;
        struct buf note = BUF_INIT;
        sign(w, &note);
        assert_int_equal(checkpoint_verify(buf_slice(&note), "example",
                                           w->suite, w->other.cert, &cp),
                         ERR_DENIED);
        assert_int_equal(checkpoint_verify(buf_slice(&note), "example",
                                           w->suite, w->renewed.cert, &cp),
                         ERR_BAD_SIGNATURE);
        assert_int_equal(checkpoint_verify(buf_slice(&note), "elsewhere",
                                           w->suite, w->node.cert, &cp),
                         ERR_INVALID);
        buf_fini(&note);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_note_is_the_vector_and_a_signature),
        cmocka_unit_test(what_was_signed_is_read_back),
        cmocka_unit_test(the_openssl_program_agrees),
        cmocka_unit_test(every_changed_byte_is_refused),
        cmocka_unit_test(every_truncation_is_malformed),
        cmocka_unit_test(malformed_notes_are_refused),
        cmocka_unit_test(notes_past_the_limit_are_refused),
        cmocka_unit_test(lines_of_other_keys_are_passed_over),
        cmocka_unit_test(signed_extension_lines_are_passed_over),
        cmocka_unit_test(only_the_origin_may_sign),
        cmocka_unit_test(another_certificate_does_not_verify),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
