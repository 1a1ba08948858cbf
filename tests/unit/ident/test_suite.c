#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "ident/suite.h"

static const enum suite both[] = {SUITE_INTL, SUITE_GM};

/* The value behind "`name` = " in the file of published vectors. */
static void known_gm(const char *name, uint8_t *out, size_t len)
{
    struct buf text = BUF_INIT;
    struct errmsg why;
    char hex[65];
    assert_int_equal(file_read(TEST_DATA "/gm_vectors.txt", 65536, &text, &why),
                     ERR_OK);
    const char *line = strstr(buf_cstr(&text), name);
    assert_non_null(line);
    assert_memory_equal(line + strlen(name), " = ", 3);
    memcpy(hex, line + strlen(name) + 3, 2 * len);
    hex[2 * len] = 0;
    assert_true(str_unhex(hex, out, len));
    buf_fini(&text);
}

static void assert_hash(const struct hash *have, const char *want)
{
    char hex[2 * HASH_LEN + 1];
    str_hex(have->b, HASH_LEN, hex);
    assert_string_equal(hex, want);
}

static void sha256_gives_known_answers(void **state)
{
    (void)state;
    struct hash h;
    suite_hash(SUITE_INTL, slice_str("abc"), &h);
    assert_hash(&h, "ba7816bf8f01cfea414140de5dae2223"
                    "b00361a396177a9cb410ff61f20015ad");
    suite_hash(SUITE_INTL, slice_of(NULL, 0), &h);
    assert_hash(&h, "e3b0c44298fc1c149afbf4c8996fb924"
                    "27ae41e4649b934ca495991b7852b855");
}

static void sm3_gives_known_answers(void **state)
{
    (void)state;
    struct hash want;
    struct hash h;
    known_gm("SM3(\"abc\")", want.b, HASH_LEN);
    suite_hash(SUITE_GM, slice_str("abc"), &h);
    assert_true(hash_eq(&h, &want));
    known_gm("SM3(\"abcd\" x 16)", want.b, HASH_LEN);
    suite_hash(SUITE_GM,
               slice_str("abcdabcdabcdabcdabcdabcdabcdabcd"
                         "abcdabcdabcdabcdabcdabcdabcdabcd"),
               &h);
    assert_true(hash_eq(&h, &want));
}

/* RFC 9162 calls these the leaf of the empty entry and MTH({"", ""}). */
static void tree_hashes_carry_their_prefix(void **state)
{
    (void)state;
    struct hash leaf;
    struct hash node;
    suite_hash_leaf(SUITE_INTL, slice_of(NULL, 0), &leaf);
    assert_hash(&leaf, "6e340b9cffb37a989ca544e6bb780a2c"
                       "78901d3fb33738768511a30617afa01d");
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        uint8_t joined[1 + 2 * HASH_LEN] = {1};
        struct hash plain;
        suite_hash_leaf(both[i], slice_str("entry"), &leaf);
        suite_hash(both[i], slice_of("\0entry", 6), &plain);
        assert_true(hash_eq(&leaf, &plain));
        suite_hash_node(both[i], &leaf, &plain, &node);
        memcpy(joined + 1, leaf.b, HASH_LEN);
        memcpy(joined + 1 + HASH_LEN, plain.b, HASH_LEN);
        suite_hash(both[i], slice_of(joined, sizeof joined), &plain);
        assert_true(hash_eq(&node, &plain));
    }
}

static void hmac_gives_known_answers(void **state)
{
    (void)state;
    static const uint8_t key[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct hash want;
    struct hash h;
    known_gm("HMAC-SM3(key=0102030405060708, \"abc\")", want.b, HASH_LEN);
    suite_mac(SUITE_GM, slice_of(key, sizeof key), slice_str("abc"), &h);
    assert_true(hash_eq(&h, &want));
    suite_mac(SUITE_INTL, slice_str("Jefe"), /* RFC 4231 case 2 */
              slice_str("what do ya want for nothing?"), &h);
    assert_hash(&h, "5bdcc146bf60754e6a042426089575c7"
                    "5a003f089d2739839dec58b964ec3843");
    uint8_t long_key[131]; /* RFC 4231 case 6: longer than a block */
    memset(long_key, 0xaa, sizeof long_key);
    suite_mac(
        SUITE_INTL, slice_of(long_key, sizeof long_key),
        slice_str("Test Using Larger Than Block-Size Key - Hash Key First"),
        &h);
    assert_hash(&h, "60e431591ee0b67f0d8a26aacbf5b77f"
                    "8e0bc6213728c5140546040f0ee37f54");
}

/* Keys about as long as a block of the hash, and what is fed in pieces. */
static void hmac_is_that_of_the_library(void **state)
{
    (void)state;
    uint8_t bytes[200];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(7 * i + 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        const EVP_MD *md = both[i] == SUITE_GM ? EVP_sm3() : EVP_sha256();
        for (size_t len = 0; len <= 130; len++) {
            struct hash want;
            struct hash h;
            unsigned n = 0;
            assert_non_null(
                HMAC(md, bytes, (int)len, bytes + 3, 3 * len / 2, want.b, &n));
            suite_mac(both[i], slice_of(bytes, len),
                      slice_of(bytes + 3, 3 * len / 2), &h);
            assert_true(hash_eq(&h, &want));
        }
    }
}

static void hmac_with_an_empty_key_forgets_the_key_before(void **state)
{
    (void)state;
    struct hash h;
    suite_mac(SUITE_INTL, slice_str("Jefe"), slice_str("x"), &h);
    suite_mac(SUITE_INTL, slice_of(NULL, 0), slice_of(NULL, 0), &h);
    assert_hash(&h, "b613679a0814d9ec772f95d778c35fc5"
                    "ff1697c493715653c6c712144292c5ad");
}

/* One block in CTR mode is the cipher of the nonce, so the published block of
 * SM4 shows as the key stream over sixteen zeros. */
static void sealed_by_sm4_opens_to_the_known_block(void **state)
{
    (void)state;
    uint8_t key[SEAL_KEY_LEN] = {0};
    uint8_t zeros[16] = {0};
    struct hash tag;
    struct buf sealed = BUF_INIT;
    struct buf covered = BUF_INIT;
    struct buf plain = BUF_INIT;
    assert_true(str_unhex("0123456789abcdeffedcba9876543210", key, 16));
    buf_put(&sealed, key, 16);
    known_gm("SM4-ECB(key=0123456789abcdeffedcba9876543210, same block)",
             buf_reserve(&sealed, 16), 16);
    sealed.len += 16;
    buf_put_str(&covered, "aad");
    buf_put_slice(&covered, buf_slice(&sealed));
    buf_put_u64(&covered, 3);
    suite_mac(SUITE_GM, slice_of(key, SEAL_KEY_LEN),
              slice_str("creditnode seal mac"), &tag);
    suite_mac(SUITE_GM, slice_of(tag.b, HASH_LEN), buf_slice(&covered), &tag);
    buf_put(&sealed, tag.b, HASH_LEN);
    assert_int_equal(suite_unseal(SUITE_GM, key, slice_str("aad"),
                                  buf_slice(&sealed), &plain),
                     ERR_OK);
    assert_true(slice_eq(buf_slice(&plain), slice_of(zeros, 16)));
    buf_fini(&sealed);
    buf_fini(&covered);
    buf_fini(&plain);
}

/* Test case 14 of the GCM specification. */
static void sealed_by_aes_gcm_opens_to_the_known_block(void **state)
{
    (void)state;
    static const uint8_t key[SEAL_KEY_LEN];
    static const uint8_t zeros[16];
    uint8_t sealed[12 + 16 + 16];
    struct buf plain = BUF_INIT;
    assert_true(str_unhex("000000000000000000000000"
                          "cea7403d4d606b6e074ec5d3baf39d18"
                          "d0d1c8a799996bf0265b98b5d48ab919",
                          sealed, sizeof sealed));
    assert_int_equal(suite_unseal(SUITE_INTL, key, slice_of(NULL, 0),
                                  slice_of(sealed, sizeof sealed), &plain),
                     ERR_OK);
    assert_true(slice_eq(buf_slice(&plain), slice_of(zeros, 16)));
    buf_fini(&plain);
}

static void seal_round_trips_any_length(void **state)
{
    (void)state;
    uint8_t key[SEAL_KEY_LEN];
    uint8_t text[100];
    suite_random(key, sizeof key);
    suite_random(text, sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(both) * sizeof text; i++) {
        enum suite suite = both[i % ARRAY_LEN(both)];
        size_t len = i / ARRAY_LEN(both);
        struct buf sealed = BUF_INIT;
        struct buf plain = BUF_INIT;
        buf_put_str(&sealed, "before");
        suite_seal(suite, key, slice_str("aad"), slice_of(text, len), &sealed);
        assert_true(sealed.len - 6 <= len + SEAL_OVERHEAD_MAX);
        assert_memory_equal(sealed.data, "before", 6);
        assert_int_equal(suite_unseal(suite, key, slice_str("aad"),
                                      slice_of(sealed.data + 6, sealed.len - 6),
                                      &plain),
                         ERR_OK);
        assert_true(slice_eq(buf_slice(&plain), slice_of(text, len)));
        buf_fini(&sealed);
        buf_fini(&plain);
    }
}

static void sealing_twice_looks_different(void **state)
{
    (void)state;
    uint8_t key[SEAL_KEY_LEN] = {7};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct buf a = BUF_INIT;
        struct buf b = BUF_INIT;
        suite_seal(both[i], key, slice_str("a"), slice_str("value"), &a);
        suite_seal(both[i], key, slice_str("a"), slice_str("value"), &b);
        assert_false(slice_eq(buf_slice(&a), buf_slice(&b)));
        buf_fini(&a);
        buf_fini(&b);
    }
}

static void unseal_refuses_any_flipped_bit(void **state)
{
    (void)state;
    uint8_t key[SEAL_KEY_LEN] = {7};
    struct buf plain = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct buf s = BUF_INIT;
        suite_seal(both[i], key, slice_str("aad"), slice_str("value"), &s);
        for (size_t bit = 0; bit < 8 * s.len; bit++) {
            s.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
            assert_int_equal(suite_unseal(both[i], key, slice_str("aad"),
                                          buf_slice(&s), &plain),
                             ERR_SEALED);
            s.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        assert_int_equal(plain.len, 0);
        buf_fini(&s);
    }
    buf_fini(&plain);
}

static void unseal_refuses_other_key_aad_and_length(void **state)
{
    (void)state;
    uint8_t key[SEAL_KEY_LEN] = {7};
    struct buf plain = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct buf s = BUF_INIT;
        suite_seal(both[i], key, slice_str("aad"), slice_str("value"), &s);
        assert_int_equal(
            suite_unseal(both[i], key, slice_str("aaD"), buf_slice(&s), &plain),
            ERR_SEALED);
        for (size_t len = 0; len < s.len; len++) {
            assert_int_equal(suite_unseal(both[i], key, slice_str("aad"),
                                          slice_of(s.data, len), &plain),
                             ERR_SEALED);
        }
        for (size_t byte = 0; byte < SEAL_KEY_LEN; byte += 16) {
            key[byte] ^= 1;
            assert_int_equal(suite_unseal(both[i], key, slice_str("aad"),
                                          buf_slice(&s), &plain),
                             ERR_SEALED);
            key[byte] ^= 1;
        }
        buf_fini(&s);
    }
    buf_fini(&plain);
}

static void *hash_and_seal(void *arg)
{
    struct hash *out = arg;
    uint8_t key[SEAL_KEY_LEN] = {1};
    struct buf sealed = BUF_INIT;
    for (int i = 0; i < 1000; i++) {
        suite_hash_node(SUITE_INTL, out, out, out);
        suite_hash_node(SUITE_GM, out, out, out);
    }
    suite_seal(SUITE_GM, key, slice_str("a"), slice_of(out, sizeof *out),
               &sealed);
    buf_fini(&sealed);
    return NULL;
}

static void threads_share_nothing_and_leave_nothing(void **state)
{
    (void)state;
    struct hash results[4] = {{{0}}};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, hash_and_seal, &results[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(hash_eq(&results[i], &results[0]));
    }
}

static void suites_have_names(void **state)
{
    (void)state;
    enum suite suite;
    assert_true(suite_parse("gm", &suite));
    assert_int_equal(suite, SUITE_GM);
    assert_string_equal(suite_name(SUITE_INTL), "intl");
    assert_false(suite_parse("GM", &suite));
    assert_false(suite_parse("", &suite));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_known_answers),
        cmocka_unit_test(sm3_gives_known_answers),
        cmocka_unit_test(tree_hashes_carry_their_prefix),
        cmocka_unit_test(hmac_gives_known_answers),
        cmocka_unit_test(hmac_is_that_of_the_library),
        cmocka_unit_test(hmac_with_an_empty_key_forgets_the_key_before),
        cmocka_unit_test(sealed_by_sm4_opens_to_the_known_block),
        cmocka_unit_test(sealed_by_aes_gcm_opens_to_the_known_block),
        cmocka_unit_test(seal_round_trips_any_length),
        cmocka_unit_test(sealing_twice_looks_different),
        cmocka_unit_test(unseal_refuses_any_flipped_bit),
        cmocka_unit_test(unseal_refuses_other_key_aad_and_length),
        cmocka_unit_test(threads_share_nothing_and_leave_nothing),
        cmocka_unit_test(suites_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
