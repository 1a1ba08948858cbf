#include "contract/store_fixture.h"

static struct node village;
static struct node township;

static int start(void **state)
{
    (void)state;
    node_init(&village, &store_rocksdb, VILLAGE, "village");
    node_init(&township, &store_rocksdb, TOWNSHIP, "township");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    node_fini(&village);
    node_fini(&township);
    return 0;
}

static void reopen(struct node *n)
{
    struct errmsg why;
    node_stop(n);
    keyring_free(&n->keyring);
    assert_ok(keyring_open(&n->keyring, n->keys, test_suite(), n->code,
                           &n->seal, &why));
    node_start(n);
}

static const struct slice aad = {(const uint8_t *)"aad", 3};
static const struct slice value = {(const uint8_t *)"value", 5};

static enum err open_value(struct node *n, uint64_t origin,
                           const struct buf *sealed)
{
    struct buf plain = BUF_INIT;
    enum err err =
        keyring_unseal(n->keyring, origin, aad, buf_slice(sealed), &plain);
    if (err == ERR_OK) {
        assert_true(slice_eq(buf_slice(&plain), value));
    } else {
        assert_int_equal(plain.len, 0);
    }
    buf_fini(&plain);
    return err;
}

/* The wraps owed to the township, learned by it. */
static size_t pass_to(struct buf *out)
{
    struct buf entries = BUF_INIT;
    size_t n;
    keyring_wraps_for(village.keyring, township.seal.cert, clock_wall_ms(),
                      &entries, &n);
    struct reader r = reader_of(buf_slice(&entries));
    for (size_t i = 0; i < n; i++) {
        struct entry e;
        struct entry_key key;
        struct slice bytes = reader_bytes(&r, reader_u32(&r));
        assert_ok(entry_decode(bytes, &e));
        assert_int_equal(e.type, ENTRY_KEY);
        assert_ok(entry_key_decode(&e, &key));
        assert_int_equal(key.holder, TOWNSHIP);
        assert_ok(keyring_learn(township.keyring, VILLAGE, &key));
        /* Another holder's wrap is none of ours. */
        assert_int_equal(keyring_learn(village.keyring, TOWNSHIP, &key),
                         ERR_NOT_FOUND);
        /* Bound to its origin: under another name it does not open. */
        assert_int_equal(keyring_learn(township.keyring, VILLAGE + 1, &key),
                         ERR_SEALED);
    }
    assert_true(reader_done(&r));
    if (out != NULL) {
        buf_put_slice(out, buf_slice(&entries));
    }
    buf_fini(&entries);
    return n;
}

static size_t pass_wraps(void)
{
    return pass_to(NULL);
}

static void a_sealed_value_opens_after_a_restart(void **state)
{
    (void)state;
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    assert_ok(keyring_seal(village.keyring, aad, value, &a));
    assert_ok(keyring_seal(village.keyring, aad, value, &b));
    assert_false(slice_eq(buf_slice(&a), buf_slice(&b)));
    assert_ok(open_value(&village, VILLAGE, &a));
    reopen(&village);
    assert_ok(open_value(&village, VILLAGE, &a));
    assert_ok(open_value(&village, VILLAGE, &b));
    a.data[a.len - 1] ^= 1;
    assert_int_equal(open_value(&village, VILLAGE, &a), ERR_SEALED);
    b.len = 3;
    assert_int_equal(open_value(&village, VILLAGE, &b), ERR_SEALED);
    buf_fini(&a);
    buf_fini(&b);
}

static void only_a_holder_with_the_wrapped_key_opens(void **state)
{
    (void)state;
    struct buf sealed = BUF_INIT;
    assert_ok(keyring_seal(village.keyring, aad, value, &sealed));
    assert_int_equal(open_value(&township, VILLAGE, &sealed), ERR_SEALED);
    assert_int_equal(pass_wraps(), 1);
    assert_ok(open_value(&township, VILLAGE, &sealed));
    reopen(&township);
    assert_ok(open_value(&township, VILLAGE, &sealed));
    assert_int_equal(open_value(&township, VILLAGE + 1, &sealed), ERR_SEALED);
    buf_fini(&sealed);
}

static void wraps_are_owed_until_they_are_appended(void **state)
{
    (void)state;
    struct buf entries = BUF_INIT;
    struct errmsg why;
    assert_int_equal(pass_wraps(), 1);
    assert_int_equal(pass_wraps(), 1);
    reopen(&village);
    assert_int_equal(pass_to(&entries), 1);
    assert_ok(keyring_wrapped(village.keyring, buf_slice(&entries)));
    assert_int_equal(pass_wraps(), 0);
    reopen(&village);
    assert_int_equal(pass_wraps(), 0);
    assert_ok(keyring_owe_again(village.keyring, &why));
    assert_int_equal(pass_wraps(), 1);
    reopen(&village);
    assert_int_equal(pass_wraps(), 1);
    buf_fini(&entries);
}

/* Two keys of one period, after the older keyring was found again. */
static void each_key_of_a_period_is_owed(void **state)
{
    (void)state;
    struct buf entries = BUF_INIT;
    assert_int_equal(pass_to(&entries), 1);
    assert_ok(keyring_wrapped(village.keyring, buf_slice(&entries)));
    shell("head -c 4 %s/own >%s/more && head -c 32 /dev/zero >>%s/more && "
          "cat %s/more >>%s/own",
          village.keys, village.keys, village.keys, village.keys, village.keys);
    reopen(&village);
    buf_clear(&entries);
    assert_int_equal(pass_to(&entries), 1);
    assert_int_equal(pass_wraps(), 1);
    /* Handed out later: what was submitted before is not that one. */
    assert_ok(keyring_wrapped(village.keyring, buf_slice(&entries)));
    assert_int_equal(pass_to(&entries), 1);
    assert_ok(keyring_wrapped(village.keyring, buf_slice(&entries)));
    assert_int_equal(pass_wraps(), 0);
    buf_fini(&entries);
}

static void keys_of_past_years_still_open(void **state)
{
    (void)state;
    static const uint8_t key[SEAL_KEY_LEN] = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
    struct buf old = BUF_INIT;
    struct buf new = BUF_INIT;
    /* The key of 2024, as an older keyring left it. */
    shell("printf '\\000\\000\\007\\350%s\\000' >>%s/own", (const char *)key,
          village.keys);
    reopen(&village);
    buf_put_u32(&old, 2024);
    suite_seal(test_suite(), key, aad, value, &old);
    assert_ok(keyring_seal(village.keyring, aad, value, &new));
    assert_true(be_get32(new.data) > 2024);
    assert_ok(open_value(&village, VILLAGE, &old));
    assert_int_equal(pass_wraps(), 2);
    assert_ok(open_value(&township, VILLAGE, &old));
    assert_ok(open_value(&township, VILLAGE, &new));
    buf_fini(&old);
    buf_fini(&new);
}

/* A village that lost its keyring makes another key for the same year. */
static void two_keys_of_one_period_both_open(void **state)
{
    (void)state;
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    assert_ok(keyring_seal(village.keyring, aad, value, &a));
    assert_int_equal(pass_wraps(), 1);
    shell("rm -rf %s", village.keys);
    reopen(&village);
    assert_int_equal(open_value(&village, VILLAGE, &a), ERR_SEALED);
    assert_ok(keyring_seal(village.keyring, aad, value, &b));
    assert_int_equal(pass_wraps(), 1);
    assert_ok(open_value(&township, VILLAGE, &a));
    assert_ok(open_value(&township, VILLAGE, &b));
    buf_fini(&a);
    buf_fini(&b);
}

static void a_torn_tail_of_learned_keys_is_ignored(void **state)
{
    (void)state;
    struct buf sealed = BUF_INIT;
    assert_ok(keyring_seal(village.keyring, aad, value, &sealed));
    assert_int_equal(pass_wraps(), 1);
    shell("printf 'torn' >>%s/learned", township.keys);
    reopen(&township);
    assert_ok(open_value(&township, VILLAGE, &sealed));
    shell("rm -rf %s", village.keys);
    reopen(&village);
    buf_clear(&sealed);
    assert_ok(keyring_seal(village.keyring, aad, value, &sealed));
    assert_int_equal(pass_wraps(), 1);
    reopen(&township);
    assert_ok(open_value(&township, VILLAGE, &sealed));
    buf_fini(&sealed);
}

static enum err learn_another(void)
{
    struct buf entries = BUF_INIT;
    struct entry e;
    struct entry_key key;
    size_t n;
    shell("rm -rf %s", village.keys);
    reopen(&village);
    keyring_wraps_for(village.keyring, township.seal.cert, clock_wall_ms(),
                      &entries, &n);
    assert_int_equal(n, 1);
    assert_ok(
        entry_decode(slice_of(entries.data + 4, be_get32(entries.data)), &e));
    assert_ok(entry_key_decode(&e, &key));
    enum err err = keyring_learn(township.keyring, VILLAGE, &key);
    buf_fini(&entries);
    return err;
}

static void an_origin_has_so_many_keys_of_a_period(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEYS_OF_PERIOD_MAX; i++) {
        assert_ok(learn_another());
    }
    assert_int_equal(learn_another(), ERR_TOO_LARGE);
    reopen(&township);
    assert_int_equal(learn_another(), ERR_TOO_LARGE);
}

static void damaged_learned_keys_do_not_keep_a_node_from_starting(void **state)
{
    (void)state;
    struct buf sealed = BUF_INIT;
    assert_ok(learn_another());
    assert_ok(keyring_seal(village.keyring, aad, value, &sealed));
    shell("printf 'damaged!' | dd of=%s/learned conv=notrunc status=none",
          township.keys);
    reopen(&township);
    assert_int_equal(open_value(&township, VILLAGE, &sealed), ERR_SEALED);
    shell("truncate -s 300M %s/learned", township.keys);
    reopen(&township);
    assert_int_equal(pass_wraps(), 1);
    reopen(&township);
    assert_ok(open_value(&township, VILLAGE, &sealed));
    buf_fini(&sealed);
}

static void tokens_are_the_holders_own(void **state)
{
    (void)state;
    struct hash a;
    struct hash b;
    keyring_token(village.keyring, "subject", value, &a);
    keyring_token(village.keyring, "other", value, &b);
    assert_false(hash_eq(&a, &b));
    keyring_token(township.keyring, "subject", value, &b);
    assert_false(hash_eq(&a, &b));
    reopen(&village);
    keyring_token(village.keyring, "subject", value, &b);
    assert_true(hash_eq(&a, &b));
}

static void files_that_others_can_read_are_refused(void **state)
{
    (void)state;
    struct keyring *kr = NULL;
    struct errmsg why;
    shell("chmod 0644 %s/own", village.keys);
    assert_int_not_equal(keyring_open(&kr, village.keys, test_suite(), VILLAGE,
                                      &village.seal, &why),
                         ERR_OK);
    assert_null(kr);
    assert_non_null(strstr(why.text, "own"));
    shell("chmod 0600 %s/own && printf x >>%s/own", village.keys, village.keys);
    assert_int_equal(keyring_open(&kr, village.keys, test_suite(), VILLAGE,
                                  &village.seal, &why),
                     ERR_CORRUPT);
}

/* A link to itself: what cannot be looked at, though it is there. */
static void hide(const struct node *n, const char *name)
{
    shell("mv %s/%s %s/%s.away && ln -s %s %s/%s", n->keys, name, n->keys, name,
          name, n->keys, name);
}

static void show(const struct node *n, const char *name)
{
    shell("mv %s/%s.away %s/%s", n->keys, name, n->keys, name);
}

static void a_key_that_cannot_be_looked_at_is_not_made_anew(void **state)
{
    static const char *const names[] = {"secret", "own", "wraps"};
    struct keyring *kr = NULL;
    struct errmsg why;
    struct hash before;
    struct hash after;
    struct buf sealed = BUF_INIT;
    (void)state;
    keyring_token(village.keyring, "subject", value, &before);
    assert_ok(keyring_seal(village.keyring, aad, value, &sealed));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        shell("touch %s/%s && chmod 600 %s/%s", village.keys, names[i],
              village.keys, names[i]);
        hide(&village, names[i]);
        assert_int_equal(keyring_open(&kr, village.keys, test_suite(), VILLAGE,
                                      &village.seal, &why),
                         ERR_IO);
        assert_null(kr);
        assert_non_null(strstr(why.text, names[i]));
        show(&village, names[i]);
    }
    reopen(&village);
    keyring_token(village.keyring, "subject", value, &after);
    assert_true(hash_eq(&before, &after));
    assert_ok(open_value(&village, VILLAGE, &sealed));
    buf_fini(&sealed);
}

/* Nor are the learned keys put aside: the next start reads them. */
static void learned_keys_outlast_a_failed_read(void **state)
{
    struct keyring *kr = NULL;
    struct errmsg why;
    struct buf sealed = BUF_INIT;
    (void)state;
    assert_int_equal(pass_wraps(), 1);
    assert_ok(keyring_seal(village.keyring, aad, value, &sealed));
    shell("mv %s/learned %s/learned.away && mkdir -m 700 %s/learned",
          township.keys, township.keys, township.keys);
    assert_int_equal(keyring_open(&kr, township.keys, test_suite(), TOWNSHIP,
                                  &township.seal, &why),
                     ERR_IO);
    assert_null(kr);
    assert_non_null(strstr(why.text, "reindex"));
    shell("test ! -e %s/learned.bad && rmdir %s/learned && "
          "mv %s/learned.away %s/learned",
          township.keys, township.keys, township.keys, township.keys);
    reopen(&township);
    assert_ok(open_value(&township, VILLAGE, &sealed));
    buf_fini(&sealed);
}

static void a_key_whose_folder_is_gone_is_not_for_another_holder(void **state)
{
    (void)state;
    assert_ok(learn_another());
    shell("mv %s %s.away", township.keys, township.keys);
    assert_int_equal(learn_another(), ERR_IO);
    shell("mv %s.away %s", township.keys, township.keys);
    assert_ok(learn_another());
}

static void beside_the_owner_nothing_is_made(void **state)
{
    struct keyring *kr = NULL;
    struct errmsg why;
    struct buf sealed = BUF_INIT;
    (void)state;
    shell("rm %s/own", village.keys);
    assert_ok(keyring_open_beside(&kr, village.keys, test_suite(), VILLAGE,
                                  &village.seal, &why));
    assert_int_equal(keyring_seal(kr, aad, value, &sealed), ERR_UNAVAILABLE);
    assert_int_equal(sealed.len, 0);
    keyring_free(&kr);
    shell("test ! -e %s/own && rm %s/secret", village.keys, village.keys);
    assert_int_equal(keyring_open_beside(&kr, village.keys, test_suite(),
                                         VILLAGE, &village.seal, &why),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "secret"));
    shell("test ! -e %s/secret", village.keys);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(a_sealed_value_opens_after_a_restart),
        T(only_a_holder_with_the_wrapped_key_opens),
        T(wraps_are_owed_until_they_are_appended),
        T(each_key_of_a_period_is_owed),
        T(keys_of_past_years_still_open),
        T(two_keys_of_one_period_both_open),
        T(a_torn_tail_of_learned_keys_is_ignored),
        T(an_origin_has_so_many_keys_of_a_period),
        T(damaged_learned_keys_do_not_keep_a_node_from_starting),
        T(tokens_are_the_holders_own),
        T(files_that_others_can_read_are_refused),
        T(a_key_that_cannot_be_looked_at_is_not_made_anew),
        T(learned_keys_outlast_a_failed_read),
        T(a_key_whose_folder_is_gone_is_not_for_another_holder),
        T(beside_the_owner_nothing_is_made),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
