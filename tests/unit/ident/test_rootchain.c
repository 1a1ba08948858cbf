#include "unit/ident/federation.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "ident/rootchain.h"
#include "ident/rootdraft.h"

/* Both suites: `fed` is intl, `gm` is gm; each is kept by 2 of 3. */
static const char *const feds[] = {"fed", "gm"};
enum { FEDS = 2 };

static int setup(void **state)
{
    (void)state;
    fed_open();
    run("$C/make-federation.sh fed --name demo.credit --province 340000000000"
        "    --issuer 000000000000:2:3 --issuer 340000000000:1:1; "
        "$C/make-federation.sh gm --name demo.credit --suite gm "
        "    --issuer 000000000000:2:3; "
        "$C/make-federation.sh other --name demo.credit");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fed_close();
    return 0;
}

/* -- making versions ------------------------------------------------------ */

static const char *in(const char *fed, const char *name)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/%s", fed, name);
    return at(path);
}

static struct rootdoc *first(const char *fed)
{
    struct rootdoc *doc = NULL;
    struct errmsg why;
    assert_int_equal(rootdoc_load(&doc, in(fed, "root-document"), &why),
                     ERR_OK);
    return doc;
}

/* `old` once in the text becomes `new`. */
static void replace(struct buf *text, const char *old, const char *new)
{
    struct buf out = BUF_INIT;
    const char *all = buf_cstr(text);
    const char *at = strstr(all, old);
    assert_non_null(at);
    buf_put(&out, all, (size_t)(at - all));
    buf_put_str(&out, new);
    buf_put_str(&out, at + strlen(old));
    buf_fini(text);
    *text = out;
}

static void sign(struct buf *text, const char *key_path)
{
    struct rootdoc *doc = NULL;
    struct key *key = NULL;
    struct errmsg why = {{0}};
    assert_int_equal(rootdoc_parse(&doc, buf_slice(text), "draft", &why),
                     ERR_OK);
    assert_int_equal(key_load(&key, key_path, &why), ERR_OK);
    assert_int_equal(rootdoc_sign(doc, key, text, &why), ERR_OK);
    key_free(&key);
    rootdoc_free(&doc);
}

/* Signed by those of the first issuer's deciders whose digits stand in `who`.
 */
static void sign_by(struct buf *text, const char *fed, const char *who)
{
    for (; *who != 0; who++) {
        char name[64];
        (void)snprintf(name, sizeof name, "deciders/000000000000-%c.key", *who);
        sign(text, in(fed, name));
    }
}

static void next_of(const struct rootdoc *doc, const char *fed, const char *who,
                    struct buf *text)
{
    buf_clear(text);
    rootdraft_put_next(doc, text);
    sign_by(text, fed, who);
}

static enum err follows(const struct buf *text, const struct rootdoc *doc,
                        struct errmsg *why)
{
    struct rootdoc *next = NULL;
    assert_int_equal(rootdoc_parse(&next, buf_slice(text), "next", why),
                     ERR_OK);
    enum err err = rootdoc_follows(next, doc, why);
    rootdoc_free(&next);
    return err;
}

/* -- one version after another -------------------------------------------- */

static void two_of_three_keepers_make_the_next_version(void **state)
{
    (void)state;
    for (size_t i = 0; i < FEDS; i++) {
        struct rootdoc *doc = first(feds[i]);
        struct buf text = BUF_INIT;
        struct errmsg why = {{0}};
        static const struct {
            const char *who;
            enum err err;
            const char *says;
        } cases[] = {
            {"12", ERR_OK, ""},
            {"31", ERR_OK, ""},
            {"123", ERR_OK, ""},
            {"", ERR_BAD_SIGNATURE, "0 of the 2 signatures"},
            {"2", ERR_BAD_SIGNATURE,
             "1 of the 2 signatures that version 1 asks for; to be asked: "
             "000000000000-1, 000000000000-3"},
            {"22", ERR_BAD_SIGNATURE, "1 of the 2 signatures"},
        };
        for (size_t j = 0; j < ARRAY_LEN(cases); j++) {
            next_of(doc, feds[i], cases[j].who, &text);
            why.text[0] = 0;
            assert_int_equal(follows(&text, doc, &why), cases[j].err);
            assert_says(&why, cases[j].says);
        }
        buf_fini(&text);
        rootdoc_free(&doc);
    }
}

static void who_signed_does_not_change_the_hash(void **state)
{
    (void)state;
    struct rootdoc *doc = first("fed");
    struct rootdoc *a = NULL;
    struct rootdoc *b = NULL;
    struct buf text = BUF_INIT;
    next_of(doc, "fed", "12", &text);
    assert_int_equal(rootdoc_parse(&a, buf_slice(&text), "a", NULL), ERR_OK);
    next_of(doc, "fed", "3", &text);
    assert_int_equal(rootdoc_parse(&b, buf_slice(&text), "b", NULL), ERR_OK);
    assert_string_equal(rootdoc_hash(a), rootdoc_hash(b));
    assert_int_equal(rootdoc_signature_count(a), 2);
    assert_int_equal(rootdoc_signature_count(b), 1);
    assert_non_null(rootdoc_keeper(doc, rootdoc_signer(b, 0)));
    assert_string_equal(rootdoc_keeper(doc, rootdoc_signer(b, 0))->name,
                        "000000000000-3");
    buf_fini(&text);
    rootdoc_free(&a);
    rootdoc_free(&b);
    rootdoc_free(&doc);
}

static void decider_line(const char *key_path, const char *name, char out[256])
{
    struct key *key = NULL;
    struct hash id;
    struct errmsg why;
    char hex[2 * HASH_LEN + 1];
    assert_int_equal(key_load(&key, key_path, &why), ERR_OK);
    suite_hash(SUITE_INTL, pubkey_spki(key_pubkey(key)), &id);
    str_hex(id.b, HASH_LEN, hex);
    (void)snprintf(out, 256, "decider %s %s\n", hex, name);
    key_free(&key);
}

/* Decider 3's key is stolen: the other two put another in its place. */
static void put_in_place_of_the_third(struct buf *text, const char *fed)
{
    char old[256];
    char new[256];
    run("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 "
        "-out fresh.key && chmod 600 fresh.key");
    decider_line(in(fed, "deciders/000000000000-3.key"), "000000000000-3", old);
    decider_line(at("fresh.key"), "Zhao", new);
    replace(text, old, new);
}

static void a_stolen_key_is_replaced_by_the_others(void **state)
{
    (void)state;
    struct rootdoc *doc = first("fed");
    struct rootdoc *second = NULL;
    struct buf text = BUF_INIT;
    struct buf draft = BUF_INIT;
    struct errmsg why = {{0}};
    rootdraft_put_next(doc, &draft);
    put_in_place_of_the_third(&draft, "fed");

    /* The thief with one more is enough for version 1, not for version 2. */
    buf_put_slice(&text, buf_slice(&draft));
    sign_by(&text, "fed", "13");
    assert_int_equal(follows(&text, doc, &why), ERR_BAD_SIGNATURE);
    assert_says(&why, "1 of the 2 signatures that version 2 asks for; to be "
                      "asked: 000000000000-2, Zhao");
    /* The new key with one more is enough for version 2, not for version 1. */
    buf_clear(&text);
    buf_put_slice(&text, buf_slice(&draft));
    sign_by(&text, "fed", "1");
    sign(&text, at("fresh.key"));
    assert_int_equal(follows(&text, doc, &why), ERR_BAD_SIGNATURE);
    assert_says(&why, "that version 1 asks for");
    /* Both others. */
    sign_by(&text, "fed", "2");
    assert_int_equal(follows(&text, doc, &why), ERR_OK);
    assert_int_equal(rootdoc_parse(&second, buf_slice(&text), "second", &why),
                     ERR_OK);

    /* From now on the stolen key counts for nothing. */
    next_of(second, "fed", "13", &text);
    assert_int_equal(follows(&text, second, &why), ERR_BAD_SIGNATURE);
    assert_says(&why, "keeps neither version 2 nor 3");
    next_of(second, "fed", "1", &text);
    sign(&text, at("fresh.key"));
    assert_int_equal(follows(&text, second, &why), ERR_OK);
    buf_fini(&draft);
    buf_fini(&text);
    rootdoc_free(&second);
    rootdoc_free(&doc);
}

static void what_does_not_follow_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *old;
        const char *new;
        enum err err;
        const char *says;
    } cases[] = {
        {"version 2", "version 3", ERR_GAP, "version 3, expected 2"},
        {"federation demo", "federation dem0", ERR_CONFLICT, "federation"},
        {"suite intl", "suite gm", ERR_CONFLICT, "neither ever changes"},
        {"previous", NULL, ERR_CONFLICT, "follows another version"},
    };
    struct rootdoc *doc = first("fed");
    struct rootdoc *other = first("other");
    struct buf text = BUF_INIT;
    struct errmsg why = {{0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&text);
        rootdraft_put_next(doc, &text);
        if (strncmp(cases[i].old, "previous", 8) == 0) {
            const char *hash = strstr(buf_cstr(&text), "previous ") + 9;
            text.data[hash - (const char *)text.data] =
                *hash == '0' ? '1' : '0';
        } else {
            replace(&text, cases[i].old, cases[i].new);
        }
        assert_int_equal(follows(&text, doc, &why), cases[i].err);
        assert_says(&why, cases[i].says);
    }
    /* Another federation's keepers of the same name. */
    next_of(doc, "other", "12", &text);
    assert_int_equal(follows(&text, doc, &why), ERR_BAD_SIGNATURE);
    assert_says(&why, "keeps neither");
    /* A byte changed behind the signatures. */
    next_of(doc, "fed", "12", &text);
    replace(&text, "issuer 340000000000 1 1", "issuer 350000000000 1 1");
    assert_int_equal(follows(&text, doc, &why), ERR_BAD_SIGNATURE);
    assert_says(&why, "was changed after it was signed");
    buf_fini(&text);
    rootdoc_free(&other);
    rootdoc_free(&doc);
}

/* What a keeper asks before signing, when too few signatures are there. */
static void a_version_continues_one_text_only(void **state)
{
    (void)state;
    struct rootdoc *doc = first("fed");
    struct rootdoc *altered = NULL;
    struct rootdoc *next = NULL;
    struct buf text = BUF_INIT;
    struct errmsg why = {{0}};
    buf_put_slice(&text, rootdoc_bytes(doc));
    replace(&text, "000000000000 2 3", "000000000000 1 3");
    assert_int_equal(rootdoc_parse(&altered, buf_slice(&text), "a", &why),
                     ERR_OK);
    next_of(doc, "fed", "", &text);
    assert_int_equal(rootdoc_parse(&next, buf_slice(&text), "n", &why), ERR_OK);
    assert_int_equal(rootdoc_continues(next, doc, &why), ERR_OK);
    assert_int_equal(rootdoc_continues(next, altered, &why), ERR_CONFLICT);
    assert_says(&why, "follows another version 1");
    assert_int_equal(rootdoc_continues(next, next, &why), ERR_GAP);
    buf_fini(&text);
    rootdoc_free(&next);
    rootdoc_free(&altered);
    rootdoc_free(&doc);
}

static void signatures_fit_their_text_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < FEDS; i++) {
        struct rootdoc *doc = first(feds[i]);
        struct rootdoc *next = NULL;
        struct buf text = BUF_INIT;
        struct errmsg why = {{0}};
        next_of(doc, feds[i], "1", &text);
        replace(&text, "000000000000-3", "000000000000-4");
        sign_by(&text, feds[i], "2");
        assert_int_equal(rootdoc_parse(&next, buf_slice(&text), "n", &why),
                         ERR_OK);
        assert_false(rootdoc_signature_fits(next, 0));
        assert_true(rootdoc_signature_fits(next, 1));
        assert_int_equal(rootdoc_check_signatures(next, &why),
                         ERR_BAD_SIGNATURE);
        assert_says(&why, "changed after it was signed");
        assert_int_equal(rootdoc_check_signatures(doc, &why), ERR_OK);
        buf_fini(&text);
        rootdoc_free(&next);
        rootdoc_free(&doc);
    }
}

static void version_1_is_not_signed(void **state)
{
    (void)state;
    struct rootdoc *doc = first("fed");
    struct key *key = NULL;
    struct buf line = BUF_INIT;
    struct errmsg why = {{0}};
    assert_int_equal(
        key_load(&key, in("fed", "deciders/000000000000-1.key"), &why), ERR_OK);
    assert_int_equal(rootdoc_sign(doc, key, &line, &why), ERR_INVALID);
    assert_int_equal(line.len, 0);
    buf_fini(&line);
    key_free(&key);
    rootdoc_free(&doc);
}

static void a_key_of_the_other_suite_cannot_sign(void **state)
{
    (void)state;
    struct rootdoc *doc = first("gm");
    struct rootdoc *next = NULL;
    struct key *key = NULL;
    struct buf text = BUF_INIT;
    struct errmsg why = {{0}};
    rootdraft_put_next(doc, &text);
    assert_int_equal(rootdoc_parse(&next, buf_slice(&text), "next", &why),
                     ERR_OK);
    assert_int_equal(
        key_load(&key, in("fed", "deciders/000000000000-1.key"), &why), ERR_OK);
    assert_int_equal(rootdoc_sign(next, key, &text, &why), ERR_INVALID);
    assert_says(&why, "suite gm");
    buf_fini(&text);
    key_free(&key);
    rootdoc_free(&next);
    rootdoc_free(&doc);
}

/* -- the chain ------------------------------------------------------------ */

static struct rootchain *open_chain(const char *folder)
{
    struct rootchain *chain = NULL;
    struct errmsg why = {{0}};
    struct rootdoc *doc = first("fed");
    if (rootchain_open(&chain, in("fed", "root-document"), rootdoc_hash(doc),
                       at(folder), &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    rootdoc_free(&doc);
    return chain;
}

static uint64_t newest(struct rootchain *chain)
{
    return rootdoc_version(rootchain_newest(chain));
}

static enum err add(struct rootchain *chain, const struct buf *text,
                    bool *added, struct errmsg *why)
{
    uint64_t version;
    return rootchain_add(chain, buf_slice(text), "peer", added, &version, why);
}

static void note(void *ctx, const struct rootdoc *doc)
{
    *(uint64_t *)ctx = rootdoc_version(doc);
}

static void versions_last_and_are_told(void **state)
{
    (void)state;
    struct rootchain *chain = open_chain("chain");
    struct buf text = BUF_INIT;
    struct errmsg why = {{0}};
    uint64_t told = 0;
    bool added;
    assert_int_equal(newest(chain), 1);
    rootchain_watch(chain, note, &told);
    for (uint64_t v = 2; v <= 5; v++) {
        next_of(rootchain_newest(chain), "fed", "12", &text);
        assert_int_equal(add(chain, &text, &added, &why), ERR_OK);
        assert_true(added);
        assert_int_equal(told, v);
        assert_int_equal(newest(chain), v);
    }
    /* Again, and by others: the same version. */
    told = 0;
    assert_int_equal(add(chain, &text, &added, &why), ERR_OK);
    assert_false(added);
    next_of(rootchain_at(chain, 3), "fed", "23", &text);
    assert_int_equal(add(chain, &text, &added, &why), ERR_OK);
    assert_false(added);
    assert_int_equal(told, 0);
    assert_null(rootchain_at(chain, 0));
    assert_null(rootchain_at(chain, 6));
    rootchain_free(&chain);

    chain = open_chain("chain");
    assert_int_equal(newest(chain), 5);
    assert_int_equal(rootdoc_version(rootchain_at(chain, 4)), 4);
    rootchain_free(&chain);
    buf_fini(&text);
}

static void another_process_adds(void **state)
{
    (void)state;
    struct rootchain *writer = open_chain("beside");
    struct rootchain *chain = open_chain("beside");
    struct buf text = BUF_INIT;
    struct errmsg why = {{0}};
    uint64_t told = 0;
    bool added;
    rootchain_watch(chain, note, &told);
    assert_int_equal(rootchain_look(chain, &why), ERR_OK);
    assert_int_equal(told, 0);
    for (uint64_t v = 2; v <= 3; v++) {
        next_of(rootchain_newest(writer), "fed", "12", &text);
        assert_int_equal(add(writer, &text, &added, &why), ERR_OK);
    }
    assert_int_equal(newest(chain), 1);
    assert_int_equal(rootchain_look(chain, &why), ERR_OK);
    assert_int_equal(newest(chain), 3);
    assert_int_equal(told, 3);
    /* What does not follow is not taken, and named. */
    FILE *file = fopen(at("beside/00000004"), "we");
    assert_non_null(file);
    assert_true(fputs("creditnode root 1\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rootchain_look(chain, &why), ERR_CONF);
    assert_non_null(strstr(why.text, "00000004"));
    assert_int_equal(newest(chain), 3);
    rootchain_free(&writer);
    rootchain_free(&chain);
    buf_fini(&text);
}

/* ---- whose deciders judge what ---- */

static void add_version(struct rootchain *chain, struct rootdraft **draft)
{
    struct buf text = BUF_INIT;
    struct errmsg why = {{0}};
    bool added = false;
    uint64_t version = 0;
    rootdraft_put(*draft, &text);
    sign_by(&text, "fed", "12");
    assert_int_equal(
        rootchain_add(chain, buf_slice(&text), "test", &added, &version, &why),
        ERR_OK);
    assert_true(added);
    buf_fini(&text);
    rootdraft_free(draft);
}

static unsigned judges(struct rootchain *chain, uint64_t incarnation,
                       uint64_t number)
{
    const struct rootdoc_issuer *issuer = rootchain_issuer_for(
        chain, 340000000000, incarnation, number, NULL, NULL);
    return issuer != NULL ? issuer->threshold : 0;
}

static void former_deciders_judge_as_far_as_lines_say(void **state)
{
    struct rootdoc *doc = first("fed");
    struct rootchain *chain = NULL;
    struct errmsg why = {{0}};
    struct hash key = {{7}};
    struct rootdoc_last last = {.incarnation = 0xaa, .size = 10};
    uint64_t province = 340000000000;
    (void)state;
    run("rm -rf judged");
    assert_int_equal(rootchain_open(&chain, in("fed", "root-document"),
                                    rootdoc_hash(doc), at("judged"), &why),
                     ERR_OK);
    rootdoc_free(&doc);
    assert_int_equal(judges(chain, 0xaa, 5), 1);
    /* Version 2 changes nothing for the province. */
    struct rootdraft *draft = rootdraft_new(rootchain_newest(chain));
    add_version(chain, &draft);
    assert_int_equal(judges(chain, 0xaa, 5), 1);
    /* Version 3: two of two; what was signed counts up to entry 10 of aa. */
    draft = rootdraft_new(rootchain_newest(chain));
    assert_int_equal(
        rootdraft_add_decider(draft, province, &key, "second", &why), ERR_OK);
    assert_int_equal(rootdraft_set_threshold(draft, province, 2, &why), ERR_OK);
    assert_int_equal(rootdraft_set_last(draft, province, &last, &why), ERR_OK);
    add_version(chain, &draft);
    assert_int_equal(judges(chain, 0xaa, 10), 1);
    assert_int_equal(judges(chain, 0xaa, 11), 2);
    assert_int_equal(judges(chain, 0xbb, 1), 2);
    /* Version 4 changes nothing, and says nothing again. */
    draft = rootdraft_new(rootchain_newest(chain));
    add_version(chain, &draft);
    assert_int_equal(judges(chain, 0xaa, 10), 1);
    assert_int_equal(judges(chain, 0xaa, 11), 2);
    /* Version 5 takes the province's right: nothing of it counts any more. */
    draft = rootdraft_new(rootchain_newest(chain));
    assert_int_equal(rootdraft_remove_issuer(draft, province, &why), ERR_OK);
    add_version(chain, &draft);
    assert_int_equal(judges(chain, 0xaa, 5), 0);
    rootchain_free(&chain);
}

static void what_does_not_follow_is_not_added(void **state)
{
    (void)state;
    struct rootchain *chain = open_chain("strict");
    struct buf second = BUF_INIT;
    struct buf third = BUF_INIT;
    struct buf fork = BUF_INIT;
    struct rootdoc *doc = NULL;
    struct errmsg why = {{0}};
    bool added;
    next_of(rootchain_newest(chain), "fed", "12", &second);
    assert_int_equal(rootdoc_parse(&doc, buf_slice(&second), "second", &why),
                     ERR_OK);
    next_of(doc, "fed", "12", &third);
    assert_int_equal(add(chain, &third, &added, &why), ERR_GAP);
    next_of(rootchain_newest(chain), "fed", "1", &fork);
    assert_int_equal(add(chain, &fork, &added, &why), ERR_BAD_SIGNATURE);
    assert_int_equal(newest(chain), 1);
    assert_int_equal(add(chain, &second, &added, &why), ERR_OK);

    /* Anybody can write another text of one version. */
    buf_clear(&fork);
    buf_put_slice(&fork, rootdoc_bytes(rootchain_at(chain, 1)));
    replace(&fork, "issuer 340000000000 1 1", "issuer 350000000000 1 1");
    assert_int_equal(add(chain, &fork, &added, &why), ERR_CONFLICT);
    assert_says(&why, "another text of version 1");
    buf_clear(&fork);
    rootdraft_put_next(rootchain_at(chain, 1), &fork);
    replace(&fork, "issuer 340000000000 1 1", "issuer 350000000000 1 1");
    assert_int_equal(add(chain, &fork, &added, &why), ERR_BAD_SIGNATURE);
    assert_says(&why, "another text of version 2");
    /* Signed by enough it is a fork. */
    sign_by(&fork, "fed", "12");
    assert_int_equal(add(chain, &fork, &added, &why), ERR_FORKED);
    assert_says(&why, rootdoc_hash(rootchain_newest(chain)));
    assert_says(&why, "peer");
    struct errmsg fork_text;
    rootchain_fork(chain, &fork_text);
    assert_string_equal(fork_text.text, "");
    for (uint64_t peer = 0; peer < 2 * ROOTCHAIN_FORKS_MAX; peer++) {
        rootchain_note_fork(chain, peer, "it differs");
    }
    rootchain_fork(chain, &fork_text);
    assert_string_equal(fork_text.text, "it differs");
    for (uint64_t peer = 0; peer < 2 * ROOTCHAIN_FORKS_MAX; peer++) {
        rootchain_agrees(chain, peer);
    }
    rootchain_fork(chain, &fork_text);
    assert_string_equal(fork_text.text, "");
    assert_int_equal(add(chain, &third, &added, &why), ERR_OK);
    assert_int_equal(newest(chain), 3);
    rootdoc_free(&doc);
    rootchain_free(&chain);
    buf_fini(&second);
    buf_fini(&third);
    buf_fini(&fork);
}

static void a_damaged_folder_is_refused_naming_the_file(void **state)
{
    (void)state;
    struct rootchain *chain = open_chain("damaged");
    struct rootdoc *doc = first("fed");
    struct buf text = BUF_INIT;
    struct errmsg why = {{0}};
    bool added;
    next_of(rootchain_newest(chain), "fed", "12", &text);
    assert_int_equal(add(chain, &text, &added, &why), ERR_OK);
    rootchain_free(&chain);
    run("sed -i 's/^issuer 340000000000/issuer 350000000000/' "
        "damaged/00000002");
    assert_int_equal(rootchain_open(&chain, in("fed", "root-document"),
                                    rootdoc_hash(doc), at("damaged"), &why),
                     ERR_CONF);
    assert_null(chain);
    assert_says(&why, "damaged/00000002");
    assert_says(&why, "was changed after it was signed");
    buf_fini(&text);
    rootdoc_free(&doc);
}

static void a_version_that_cannot_be_kept_is_not_in_force(void **state)
{
    (void)state;
    struct rootchain *chain = open_chain("in-the-way");
    struct buf text = BUF_INIT;
    struct errmsg why = {{0}};
    bool added;
    run("touch in-the-way");
    next_of(rootchain_newest(chain), "fed", "12", &text);
    assert_int_not_equal(add(chain, &text, &added, &why), ERR_OK);
    assert_false(added);
    assert_says(&why, "in-the-way");
    assert_int_equal(newest(chain), 1);
    rootchain_free(&chain);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_of_three_keepers_make_the_next_version),
        cmocka_unit_test(who_signed_does_not_change_the_hash),
        cmocka_unit_test(a_stolen_key_is_replaced_by_the_others),
        cmocka_unit_test(what_does_not_follow_is_refused_by_name),
        cmocka_unit_test(a_version_continues_one_text_only),
        cmocka_unit_test(signatures_fit_their_text_only),
        cmocka_unit_test(version_1_is_not_signed),
        cmocka_unit_test(a_key_of_the_other_suite_cannot_sign),
        cmocka_unit_test(versions_last_and_are_told),
        cmocka_unit_test(another_process_adds),
        cmocka_unit_test(former_deciders_judge_as_far_as_lines_say),
        cmocka_unit_test(what_does_not_follow_is_not_added),
        cmocka_unit_test(a_damaged_folder_is_refused_naming_the_file),
        cmocka_unit_test(a_version_that_cannot_be_kept_is_not_in_force),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
