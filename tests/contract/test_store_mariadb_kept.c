/* List rows that are kept beside a MariaDB server: what was asked once is
 * answered from memory, until it changes. */
#include "contract/lists_fixture.h"
#include "credit/uscc.h"

enum {
    MANY = 300,
    CROWDED_OUT = 30, /* by others whose place is the same */
};

static struct node township;

static int up(void **state)
{
    (void)state;
    start(&township, TOWNSHIP, "township");
    return 0;
}

static int down(void **state)
{
    (void)state;
    node_fini(&township);
    return 0;
}

static uint64_t statements(void)
{
    return mariadb_number(&fed_server,
                          "SELECT VARIABLE_VALUE FROM information_schema."
                          "GLOBAL_STATUS WHERE VARIABLE_NAME="
                          "'COM_STMT_EXECUTE'");
}

static bool on_listing(void *ctx, const struct store_listing *l)
{
    size_t *n = ctx;
    (void)l;
    ++*n;
    return true;
}

static enum err look(const char *subject, bool now, size_t *n)
{
    struct lists_view view;
    struct subject_key key;
    *n = 0;
    lists_view_take(township.store, &view);
    subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
    const struct listing_query q = {
        .view = &view, .subject = &key, .today = TODAY, .now = now};
    enum err err = store_listings(township.store, &q, on_listing, n, NULL);
    lists_view_fini(&view);
    return err;
}

/* It is read once, and known from then on. */
static void assert_listed(const char *subject, size_t want)
{
    size_t n;
    assert_int_equal(look(subject, true, &n), ERR_BUSY);
    assert_ok(look(subject, false, &n));
    assert_int_equal(n, want);
    uint64_t before = statements();
    assert_ok(look(subject, true, &n));
    assert_int_equal(n, want);
    assert_ok(look(subject, false, &n));
    assert_int_equal(n, want);
    assert_true(statements() == before);
}

static void what_was_read_is_known_until_it_changes(void **state)
{
    (void)state;
    size_t n;
    const struct decision listing = {
        .subject = SUBJECT_A, .list = 32, .from = 20260301};
    struct published p = decide(&township, &listing, 1);
    assert_listed(SUBJECT_A, 1);
    assert_listed(SUBJECT_B, 0);
    /* Records of the subject do not change what it is listed for. */
    struct draft d = {.record = 1, .subject = SUBJECT_A, .text = "a"};
    assert_ok(submit(township.store, &d, 1, NULL));
    assert_ok(look(SUBJECT_A, true, &n));
    assert_int_equal(n, 1);
    const struct decision removal = {.type = ENTRY_REMOVAL,
                                     .subject = SUBJECT_A,
                                     .from = 20260301,
                                     .target = {p.log, p.first + 1}};
    (void)decide(&township, &removal, 1);
    assert_listed(SUBJECT_A, 0);
    assert_ok(store_reindex(township.store, NULL, NULL, NULL));
    assert_listed(SUBJECT_A, 0);
}

static bool on_listing_of(void *ctx, size_t place,
                          const struct store_listing *l)
{
    uint8_t *seen = ctx;
    (void)l;
    seen[place]++;
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    const struct subject_key *x = a;
    const struct subject_key *y = b;
    return memcmp(x->b, y->b, x->len);
}

static void look_at_many(const struct subject_key *keys, uint8_t seen[MANY])
{
    struct lists_view view;
    memset(seen, 0, MANY);
    lists_view_take(township.store, &view);
    const struct listing_query q = {.view = &view, .today = TODAY};
    assert_ok(
        store_listings_of(township.store, &q, keys, MANY, on_listing_of, seen));
    lists_view_fini(&view);
}

/* Every third is listed, in one package; asked together, some of them known. */
static void many_are_asked_for_once(void **state)
{
    (void)state;
    static struct subject_key keys[MANY];
    static char codes[MANY][USCC_LEN + 1];
    struct decision listings[MANY / 3];
    uint8_t seen[MANY];
    uint8_t again[MANY];
    size_t n;
    for (unsigned i = 0; i < MANY; i++) {
        char body[16];
        (void)snprintf(body, sizeof body, "MA%06u", i);
        assert_true(uscc_make('9', '1', "999900", body, codes[i]));
        subject_key_org(&keys[i], SUBJECT_USCC, slice_str(codes[i]));
        if (i % 3 == 0) {
            listings[i / 3] = (struct decision){
                .subject = codes[i], .list = 32, .from = 20260301};
        }
    }
    (void)decide(&township, listings, MANY / 3);
    qsort(keys, MANY, sizeof keys[0], by_bytes);
    for (unsigned i = 0; i < 20; i++) {
        assert_ok(look(codes[i], false, &n));
        assert_int_equal(n, i % 3 == 0);
    }
    look_at_many(keys, seen);
    size_t listed = 0;
    for (size_t i = 0; i < MANY; i++) {
        listed += seen[i];
    }
    assert_int_equal(listed, MANY / 3);
    uint64_t before = statements();
    look_at_many(keys, again);
    assert_in_range(statements() - before, 0, CROWDED_OUT);
    assert_memory_equal(seen, again, MANY);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(what_was_read_is_known_until_it_changes),
        T(many_are_asked_for_once),
    };
    (void)setenv("STORE_BACKEND", store_mariadb.name, 1);
    mariadb_or_skip();
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
