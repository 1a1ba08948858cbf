#include "unit/ident/federation.h"

#include "base/mem.h"
#include "ident/suite.h"

static const enum suite both[] = {SUITE_INTL, SUITE_GM};
static struct key *keys[SUITE_GM + 1];
static struct key *others[SUITE_GM + 1];

static int setup(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        [SUITE_INTL] = {"p1.key", "p2.key"}, [SUITE_GM] = {"s1.key", "s2.key"}};
    struct errmsg why;
    fed_open();
    run("umask 077; for i in 1 2; do "
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 "
        "-out p$i.key; openssl genpkey -algorithm SM2 -out s$i.key; done");
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        enum suite s = both[i];
        assert_int_equal(key_load(&keys[s], at(files[s][0]), &why), ERR_OK);
        assert_int_equal(key_load(&others[s], at(files[s][1]), &why), ERR_OK);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        key_free(&keys[both[i]]);
        key_free(&others[both[i]]);
    }
    fed_close();
    return 0;
}

/* A public key from the text of its point. */
static struct pubkey *pubkey_of(const char *prefix, const char *x,
                                const char *y)
{
    struct buf hex = BUF_INIT;
    uint8_t der[91];
    struct pubkey *key = NULL;
    buf_putf(&hex, "%s04%s%s", prefix, x, y);
    assert_true(str_unhex(buf_cstr(&hex), der, sizeof der));
    assert_int_equal(pubkey_from_spki(&key, slice_of(der, sizeof der)), ERR_OK);
    assert_true(slice_eq(pubkey_spki(key), slice_of(der, sizeof der)));
    buf_fini(&hex);
    return key;
}

static const char p256[] =
    "3059301306072a8648ce3d020106082a8648ce3d030107034200";
static const char sm2[] =
    "3059301306072a8648ce3d020106082a811ccf5501822d034200";

/* RFC 6979 A.2.5, SHA-256, "sample". */
static void ecdsa_verifies_the_known_signature(void **state)
{
    (void)state;
    uint8_t sig[72];
    struct pubkey *key = pubkey_of(
        p256,
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
    assert_true(str_unhex(
        "3046"
        "022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda"
        "8",
        sig, sizeof sig));
    struct slice s = slice_of(sig, sizeof sig);
    assert_int_equal(pubkey_suite(key), SUITE_INTL);
    assert_int_equal(pubkey_verify(key, SUITE_INTL, slice_str("sample"), s),
                     ERR_OK);
    assert_int_equal(pubkey_verify(key, SUITE_INTL, slice_str("samplE"), s),
                     ERR_BAD_SIGNATURE);
    pubkey_free(&key);
}

/* GB/T 32918.5-2017 A.2, id 1234567812345678. */
static void sm2_verifies_the_known_signature(void **state)
{
    (void)state;
    uint8_t sig[72];
    struct pubkey *key = pubkey_of(
        sm2, "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020",
        "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13");
    assert_true(str_unhex(
        "3046"
        "022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
        "022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1a"
        "a",
        sig, sizeof sig));
    struct slice s = slice_of(sig, sizeof sig);
    assert_int_equal(pubkey_suite(key), SUITE_GM);
    assert_int_equal(
        pubkey_verify(key, SUITE_GM, slice_str("message digest"), s), ERR_OK);
    assert_int_equal(
        pubkey_verify(key, SUITE_GM, slice_str("message digesT"), s),
        ERR_BAD_SIGNATURE);
    pubkey_free(&key);
}

static void a_signature_fits_its_key_and_message_only(void **state)
{
    (void)state;
    struct slice message = slice_str("a checkpoint");
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        enum suite s = both[i];
        const struct pubkey *pub = key_pubkey(keys[s]);
        struct buf sig = BUF_INIT;
        assert_int_equal(key_sign(keys[s], s, message, &sig), ERR_OK);
        assert_true(sig.len <= SIGNATURE_MAX);
        assert_int_equal(pubkey_verify(pub, s, message, buf_slice(&sig)),
                         ERR_OK);
        assert_int_equal(
            pubkey_verify(key_pubkey(others[s]), s, message, buf_slice(&sig)),
            ERR_BAD_SIGNATURE);
        for (size_t len = 0; len < sig.len; len++) {
            assert_int_equal(
                pubkey_verify(pub, s, message, slice_of(sig.data, len)),
                ERR_BAD_SIGNATURE);
        }
        buf_put_u8(&sig, 0);
        assert_int_equal(pubkey_verify(pub, s, message, buf_slice(&sig)),
                         ERR_BAD_SIGNATURE);
        buf_fini(&sig);
    }
}

/* More keys than are kept: some have one place there. */
static void each_signature_is_checked_by_its_own_key(void **state)
{
    enum { KEYS = 70 };
    (void)state;
    struct key *list[KEYS];
    struct buf sigs[KEYS] = {BUF_INIT};
    struct slice message = slice_str("a receipt");
    struct errmsg why;
    run("umask 077; for i in $(seq 0 69); do openssl genpkey -algorithm EC "
        "-pkeyopt ec_paramgen_curve:P-256 -out many$i.key; done");
    for (unsigned i = 0; i < KEYS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "many%u.key", i);
        assert_int_equal(key_load(&list[i], at(name), &why), ERR_OK);
        assert_int_equal(key_sign(list[i], SUITE_INTL, message, &sigs[i]),
                         ERR_OK);
    }
    for (unsigned i = 0; i < 2 * KEYS; i++) {
        const struct pubkey *pub = key_pubkey(list[i % KEYS]);
        assert_int_equal(
            pubkey_verify(pub, SUITE_INTL, message, buf_slice(&sigs[i % KEYS])),
            ERR_OK);
        assert_int_equal(pubkey_verify(pub, SUITE_INTL, message,
                                       buf_slice(&sigs[(i + 1) % KEYS])),
                         ERR_BAD_SIGNATURE);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        key_free(&list[i]);
        buf_fini(&sigs[i]);
    }
}

static void an_empty_message_can_be_signed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        enum suite s = both[i];
        struct buf sig = BUF_INIT;
        assert_int_equal(key_sign(keys[s], s, slice_str(""), &sig), ERR_OK);
        assert_int_equal(pubkey_verify(key_pubkey(keys[s]), s, slice_str(""),
                                       buf_slice(&sig)),
                         ERR_OK);
        buf_fini(&sig);
    }
}

static void a_key_of_the_other_suite_is_refused(void **state)
{
    (void)state;
    uint8_t seal_key[SEAL_KEY_LEN] = {1};
    struct slice m = slice_str("m");
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        const struct key *key = keys[both[1 - i]];
        struct buf out = BUF_INIT;
        assert_int_equal(key_sign(key, both[i], m, &out), ERR_INVALID);
        assert_int_equal(pubkey_verify(key_pubkey(key), both[i], m, m),
                         ERR_BAD_SIGNATURE);
        assert_int_equal(
            pubkey_wrap(key_pubkey(key), both[i], seal_key, m, &out),
            ERR_INVALID);
        assert_int_equal(key_unwrap(key, both[i], m, m, seal_key), ERR_SEALED);
        assert_int_equal(out.len, 0);
        buf_fini(&out);
    }
}

static void wrap_opens_for_the_one_key_and_info(void **state)
{
    (void)state;
    uint8_t seal_key[SEAL_KEY_LEN];
    uint8_t back[SEAL_KEY_LEN];
    struct slice info = slice_str("341821100201 2026-03");
    suite_random(seal_key, sizeof seal_key);
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        enum suite s = both[i];
        struct buf w = BUF_INIT;
        assert_int_equal(
            pubkey_wrap(key_pubkey(keys[s]), s, seal_key, info, &w), ERR_OK);
        assert_true(w.len <= WRAP_MAX);
        assert_int_equal(key_unwrap(keys[s], s, buf_slice(&w), info, back),
                         ERR_OK);
        assert_memory_equal(back, seal_key, SEAL_KEY_LEN);
        assert_int_equal(key_unwrap(others[s], s, buf_slice(&w), info, back),
                         ERR_SEALED);
        assert_int_equal(
            key_unwrap(keys[s], s, buf_slice(&w), slice_str("other"), back),
            ERR_SEALED);
        buf_fini(&w);
    }
}

static void unwrap_refuses_any_damaged_byte(void **state)
{
    (void)state;
    uint8_t seal_key[SEAL_KEY_LEN] = {3};
    uint8_t back[SEAL_KEY_LEN];
    struct slice info = slice_str("info");
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        enum suite s = both[i];
        struct buf w = BUF_INIT;
        assert_int_equal(
            pubkey_wrap(key_pubkey(keys[s]), s, seal_key, info, &w), ERR_OK);
        for (size_t at_byte = 0; at_byte < w.len; at_byte++) {
            w.data[at_byte] ^= 0x10;
            assert_int_equal(key_unwrap(keys[s], s, buf_slice(&w), info, back),
                             ERR_SEALED);
            w.data[at_byte] ^= 0x10;
            assert_int_equal(
                key_unwrap(keys[s], s, slice_of(w.data, at_byte), info, back),
                ERR_SEALED);
        }
        buf_fini(&w);
    }
}

static void pubkey_refuses_what_is_no_point_of_its_curve(void **state)
{
    (void)state;
    struct slice good = pubkey_spki(key_pubkey(keys[SUITE_INTL]));
    struct pubkey *key = NULL;
    uint8_t der[92];
    memcpy(der, good.data, good.len);
    der[90] ^= 1;
    assert_int_equal(pubkey_from_spki(&key, slice_of(der, 91)), ERR_INVALID);
    der[90] ^= 1;
    der[91] = 0;
    assert_int_equal(pubkey_from_spki(&key, slice_of(der, 92)), ERR_INVALID);
    assert_int_equal(pubkey_from_spki(&key, slice_of(der, 90)), ERR_INVALID);
    assert_int_equal(pubkey_from_spki(&key, slice_of(NULL, 0)), ERR_INVALID);
    assert_null(key);
}

static void key_load_refuses_and_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *make;
        const char *says;
    } cases[] = {
        {"rm -f bad.key", "cannot open"},
        {"cp p1.key bad.key; chmod 640 bad.key", "chmod 600"},
        {"echo nonsense >bad.key; chmod 600 bad.key", "not a private key"},
        {": >bad.key", "not a private key"},
        {"openssl pkey -in p1.key -aes256 -passout pass:x -out bad.key",
         "without passphrase"},
        {"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 "
         "-out bad.key",
         "neither a P-256 nor an SM2 key"},
        {"openssl pkey -in p1.key -pubout -out bad.key", "not a private key"},
        {"head -c 20000 /dev/zero >bad.key", "larger than"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct key *key = NULL;
        struct errmsg why = {{0}};
        run("umask 077; %s", cases[i].make);
        assert_int_equal(key_load(&key, at("bad.key"), &why), ERR_CONF);
        assert_null(key);
        assert_says(&why, cases[i].says);
        assert_says(&why, "bad.key");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ecdsa_verifies_the_known_signature),
        cmocka_unit_test(sm2_verifies_the_known_signature),
        cmocka_unit_test(a_signature_fits_its_key_and_message_only),
        cmocka_unit_test(each_signature_is_checked_by_its_own_key),
        cmocka_unit_test(an_empty_message_can_be_signed),
        cmocka_unit_test(a_key_of_the_other_suite_is_refused),
        cmocka_unit_test(wrap_opens_for_the_one_key_and_info),
        cmocka_unit_test(unwrap_refuses_any_damaged_byte),
        cmocka_unit_test(pubkey_refuses_what_is_no_point_of_its_curve),
        cmocka_unit_test(key_load_refuses_and_says_why),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
