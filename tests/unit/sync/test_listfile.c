/* A county's directives come to a township as files: whole, in pieces, again,
 * older, altered, of two histories, and two at once. */
#define FED_ISSUERS "--issuer 341821000000:1:1 --issuer 341821100000:1:1"
#include "issuer.h"

#include "sync/fresh.h"
#include "sync/hello.h"
#include "sync/intake.h"
#include "sync/listfile.h"

enum { MANY = 700 }; /* decisions that are two segments, not one */

/* ---- the issuer ---- */

static enum err put_piece(void *ctx, struct slice piece)
{
    buf_put_slice(ctx, piece);
    return ERR_OK;
}

static void export(struct node *n, const struct log_id *log, uint64_t from,
                   struct buf *file)
{
    uint64_t size;
    struct errmsg why = {""};
    assert_int_equal(
        listfile_export(&n->env, log, from, put_piece, file, &size, &why),
        ERR_OK);
    assert_int_equal(size, size_of(n, log));
}

/* ---- the taker ---- */

static struct node *listener(uint64_t code, const char *name)
{
    struct node *n = node_new(code, name);
    n->env.fresh = fresh_new(code, 10000);
    return n;
}

static void restart(struct node *n)
{
    fresh_free(&n->env.fresh);
    node_start(n);
    n->env.fresh = fresh_new(n->code, 10000);
}

static void end(struct node *n)
{
    fresh_free(&n->env.fresh);
    node_free(n);
}

/* In pieces of `step` bytes. */
static enum err take(struct node *n, struct slice file, size_t step,
                     struct listfile_sum *sum, struct errmsg *why)
{
    struct listfile *f = listfile_new(&n->env, NULL);
    enum err err = ERR_OK;
    why->text[0] = 0;
    for (size_t at = 0; err == ERR_OK && at < file.len; at += step) {
        size_t some = step < file.len - at ? step : file.len - at;
        err = listfile_feed(f, slice_of(file.data + at, some), why);
    }
    if (err == ERR_OK) {
        err = listfile_finish(f, why);
    }
    listfile_sum(f, sum);
    listfile_free(&f);
    return err;
}

static void taken(struct node *n, const struct buf *file, uint64_t added,
                  uint64_t held, bool older)
{
    struct listfile_sum sum;
    struct errmsg why;
    enum err err = take(n, buf_slice(file), 65536, &sum, &why);
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), why.text);
    }
    assert_int_equal(sum.added, added);
    assert_int_equal(sum.held, held);
    assert_int_equal(sum.is_older, older);
    assert_true(sum.signed_ms > 0);
}

static void refused(struct node *n, const struct buf *file, enum err expected,
                    const char *text)
{
    struct listfile_sum sum;
    struct errmsg why;
    assert_int_equal(take(n, buf_slice(file), 65536, &sum, &why), expected);
    if (strstr(why.text, text) == NULL) {
        fail_msg("'%s' lacks '%s'", why.text, text);
    }
}

static struct checkpoint newest_of(struct node *n, const struct log_id *log)
{
    struct store_head head;
    assert_ok(store_head(n->store, log, &head));
    return head.newest;
}

static void assert_same(struct node *a, struct node *b,
                        const struct log_id *log)
{
    struct pair p = {a, b, *log};
    assert_true(pair_equal(&p));
    assert_int_equal(state_of(b, log), LOG_ACTIVE);
}

/* ---- frames ---- */

/* Where frame `n` of the file begins; 0 is the Hello. */
static size_t frame_at(const struct buf *file, unsigned n)
{
    size_t at = sizeof LISTFILE_MAGIC - 1;
    for (; n > 0; n--) {
        at += 4 + be_get32(file->data + at);
        assert_true(at < file->len);
    }
    return at;
}

/* What the file holds comes over a line. Returns whether its newest head is
 * older than what the line has shown. */
static bool line_shows(struct intake *line, const struct log_id *log,
                       const struct buf *file)
{
    struct intake_log *l;
    struct refusal refusal;
    uint64_t held;
    uint64_t size = 0;
    assert_ok(intake_log(line, log, &l, &refusal));
    for (size_t at = frame_at(file, 0); be_get32(file->data + at) > 0;
         at += 4 + be_get32(file->data + at)) {
        struct wire_message m;
        struct errmsg why;
        struct segment *seg = NULL;
        struct checkpoint head;
        assert_ok(wire_get_feed(
            slice_of(file->data + at + 4, be_get32(file->data + at)), &m,
            &why));
        if (m.kind == WIRE_SEGMENT) {
            assert_ok(
                intake_segment(line, l, &m.segment, &seg, &held, &refusal));
            assert_null(seg); /* all of it is held */
        } else if (m.kind == WIRE_EVIDENCE) {
            assert_ok(
                intake_head(line, l, &m.evidence, &head, &held, &refusal));
            size = head.size;
        }
    }
    assert_true(size > 0);
    return size < l->shown;
}

/* Frames `from` to before `to`. */
static void copy_frames(struct buf *out, const struct buf *file, unsigned from,
                        unsigned to)
{
    size_t begin = frame_at(file, from);
    buf_put(out, file->data + begin, frame_at(file, to) - begin);
}

static void begin_file(struct buf *out)
{
    buf_clear(out);
    buf_put_str(out, LISTFILE_MAGIC);
}

/* ---- tests ---- */

/* A parent that gets a list later than its child was not put back. */
static void who_is_slower_than_a_file_was_not_put_back(void **state)
{
    struct buf first = BUF_INIT;
    struct buf rest = BUF_INIT;
    struct buf last = BUF_INIT;
    (void)state;
    struct node *county = listener(COUNTY, "c9");
    struct node *town = listener(TOWNSHIP, "t9");
    struct log_id log = decide(county, 1, 1);
    export(county, &log, 1, &first);
    (void)decide(county, 1, 2);
    export(county, &log, 5, &rest);
    (void)decide(county, 1, 3);
    export(county, &log, 8, &last);
    taken(town, &first, 4, 4, false);
    struct intake *line = intake_new(&town->env);
    assert_false(line_shows(line, &log, &first));
    taken(town, &rest, 3, 7, false);
    taken(town, &last, 3, 10, false);
    assert_false(line_shows(line, &log, &first));
    assert_false(line_shows(line, &log, &rest));
    assert_true(line_shows(line, &log, &first));
    intake_free(&line);
    line = intake_new(&town->env); /* of before it nothing is known */
    assert_true(line_shows(line, &log, &rest));
    intake_free(&line);
    buf_fini(&first);
    buf_fini(&rest);
    buf_fini(&last);
    end(town);
    end(county);
}

static enum err admit(struct intake *line, uint64_t issuer,
                      uint64_t incarnation)
{
    const struct log_id log = {issuer, incarnation, LOG_DIRECTIVES};
    struct intake_log *l;
    struct refusal refusal;
    enum err err = intake_log(line, &log, &l, &refusal);
    assert_true(err == ERR_OK ||
                strstr(refusal.text, "more directives logs of one issuer") !=
                    NULL);
    return err;
}

/* Whoever has an authority's signing key can name logs without end. */
static void of_one_issuer_only_so_many_logs_are_taken(void **state)
{
    struct buf file = BUF_INIT;
    (void)state;
    struct node *county = listener(COUNTY, "c7");
    struct node *village = listener(VILLAGE, "v7");
    struct log_id held = decide(county, 1, 1);
    export(county, &held, 1, &file);
    taken(village, &file, 4, 4, false);
    for (int again = 0; again < 2; again++) {
        struct intake *line = intake_new(&village->env);
        for (uint64_t i = 1; i < LISTS_ISSUER_LOGS_MAX; i++) {
            assert_ok(admit(line, COUNTY, i));
        }
        for (uint64_t i = 0; i < 2 * LISTS_LOGS_MAX; i++) {
            assert_int_equal(admit(line, COUNTY, 1000 + i), ERR_DENIED);
        }
        assert_ok(admit(line, COUNTY, held.incarnation));
        assert_ok(admit(line, TOWNSHIP, 1));
        intake_free(&line);
    }
    buf_fini(&file);
    end(village);
    end(county);
}

static void a_log_comes_in_any_pieces(void **state)
{
    struct buf file = BUF_INIT;
    struct listfile_sum sum;
    struct errmsg why;
    (void)state;
    struct node *county = listener(COUNTY, "c0");
    struct log_id log = decide(county, 2, 1);
    (void)decide(county, 1, 2);
    export(county, &log, 1, &file);
    static const size_t steps[] = {1, 5, 1000, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "t0%zu", i);
        struct node *town = listener(TOWNSHIP, name);
        assert_ok(take(town, buf_slice(&file), steps[i], &sum, &why));
        assert_true(log_id_eq(&sum.log, &log));
        assert_int_equal(sum.added, 8);
        assert_int_equal(sum.held, 8);
        assert_false(sum.is_older);
        assert_same(county, town, &log);
        taken(town, &file, 0, 8, false);
        end(town);
    }
    buf_fini(&file);
    end(county);
}

static void what_is_held_already_and_what_is_older(void **state)
{
    struct buf first = BUF_INIT;
    struct buf rest = BUF_INIT;
    struct buf last = BUF_INIT;
    struct buf head = BUF_INIT;
    (void)state;
    struct node *county = listener(COUNTY, "c1");
    struct node *town = listener(TOWNSHIP, "t1");
    struct log_id log = decide(county, 1, 1);
    export(county, &log, 1, &first);
    export(county, &log, 5, &head);
    refused(town, &head, ERR_GAP, "export it with --from 1");
    (void)decide(county, 1, 2);
    export(county, &log, 5, &rest);
    (void)decide(county, 1, 3);
    export(county, &log, 8, &last);
    refused(town, &last, ERR_GAP, "begins at entry 8, this node holds 0");
    taken(town, &first, 4, 4, false);
    refused(town, &last, ERR_GAP, "holds 4: export it with --from 5");
    taken(town, &rest, 3, 7, false);
    taken(town, &first, 0, 7, true);
    taken(town, &last, 3, 10, false);
    taken(town, &rest, 0, 10, true);
    taken(town, &head, 0, 10, true);
    assert_same(county, town, &log);
    taken(county, &first, 0, 10, true);
    refused(county, &last, ERR_GAP, "begins at entry 1");
    buf_fini(&first);
    buf_fini(&rest);
    buf_fini(&last);
    buf_fini(&head);
    end(town);
    end(county);
}

static void an_altered_byte_adds_nothing_that_was_not_signed(void **state)
{
    struct buf file = BUF_INIT;
    struct listfile_sum sum;
    struct errmsg why;
    (void)state;
    struct node *county = listener(COUNTY, "c2");
    struct node *town = listener(TOWNSHIP, "t2");
    struct log_id log = decide(county, 1, 1);
    export(county, &log, 1, &file);
    (void)decide(county, 3, 2);
    struct buf rest = BUF_INIT;
    export(county, &log, 5, &rest);
    taken(town, &file, 4, 4, false);
    unsigned wrong = 0;
    for (size_t at = 0; at < rest.len; at += 13) {
        rest.data[at] ^= 0x41;
        wrong += take(town, buf_slice(&rest), 65536, &sum, &why) != ERR_OK;
        rest.data[at] ^= 0x41;
        assert_int_equal(state_of(town, &log), LOG_ACTIVE);
        assert_true(sum.held == 0 || sum.held == 4 || sum.held == 9);
    }
    assert_true(wrong > rest.len / 13 / 2);
    assert_ok(take(town, buf_slice(&rest), 65536, &sum, &why));
    assert_same(county, town, &log);
    buf_fini(&file);
    buf_fini(&rest);
    end(town);
    end(county);
}

static void cut_off_anywhere_the_rest_comes_later(void **state)
{
    struct buf file = BUF_INIT;
    struct listfile_sum sum;
    struct errmsg why;
    (void)state;
    struct node *county = listener(COUNTY, "c3");
    struct node *town = listener(TOWNSHIP, "t3");
    struct log_id log = decide(county, MANY, 1);
    export(county, &log, 1, &file);
    uint64_t before = 0;
    for (unsigned i = 0; i < 20; i++) {
        size_t len = file.len * i / 20;
        assert_int_equal(
            take(town, slice_of(file.data, len), 65536, &sum, &why),
            ERR_INVALID);
        assert_non_null(strstr(why.text, "ends in the middle"));
        assert_true(size_of(town, &log) >= before);
        before = size_of(town, &log);
    }
    assert_true(before > 0 && before < MANY); /* it was more than one segment */
    taken(town, &file, MANY + 3 - before, MANY + 3, false);
    assert_same(county, town, &log);
    buf_fini(&file);
    end(town);
    end(county);
}

/* The first and the last head of the file are those of the held tree; the one
 * between them is of another history. */
static void a_fork_inside_an_older_file_is_noticed(void **state)
{
    struct buf first = BUF_INIT;
    struct buf held = BUF_INIT;
    struct buf other = BUF_INIT;
    struct buf spliced = BUF_INIT;
    (void)state;
    struct node *county = listener(COUNTY, "c4");
    struct node *town = listener(TOWNSHIP, "t4");
    struct log_id log = decide(county, 1, 1);
    export(county, &log, 1, &first);
    node_stop(county);
    shell("cp -r c4 c4.old");
    restart(county);
    (void)decide(county, 1, 2);
    (void)decide(county, 1, 3);
    export(county, &log, 1, &held);
    taken(town, &held, 10, 10, false);
    node_stop(county);
    shell("rm -rf c4 && mv c4.old c4");
    restart(county);
    (void)decide(county, 1, 4);
    export(county, &log, 5, &other);

    begin_file(&spliced);
    copy_frames(&spliced, &first, 0, 2); /* Hello and entries 1 to 4 */
    size_t middle = spliced.len;
    copy_frames(&spliced, &other, 1, 2); /* entries 5 to 7 of the other */
    size_t tail = spliced.len;
    copy_frames(&spliced, &first, 2, 3); /* the head of 4 */
    buf_put_u32(&spliced, 0);
    /* Without the one between it is an older file like others. */
    struct buf without = BUF_INIT;
    buf_put(&without, spliced.data, middle);
    buf_put(&without, spliced.data + tail, spliced.len - tail);
    taken(town, &without, 0, 10, true);
    refused(town, &spliced, ERR_CONFLICT,
            "signed two different heads of size 7");
    assert_int_equal(state_of(town, &log), LOG_FORKED);
    refused(town, &held, ERR_DENIED, "forked: it goes no further");
    assert_int_equal(size_of(town, &log), 10);
    buf_fini(&without);
    buf_fini(&spliced);
    buf_fini(&first);
    buf_fini(&held);
    buf_fini(&other);
    end(town);
    end(county);
}

static void the_newest_head_stays_when_an_older_file_comes_between(void **state)
{
    struct buf old = BUF_INIT;
    struct buf new = BUF_INIT;
    struct listfile_sum sum;
    struct errmsg why;
    (void)state;
    struct node *county = listener(COUNTY, "c5");
    struct node *town = listener(TOWNSHIP, "t5");
    struct log_id log = decide(county, MANY, 1);
    export(county, &log, 1, &old);
    (void)decide(county, 1, 2);
    export(county, &log, 1, &new);
    uint64_t size = size_of(county, &log);
    /* One segment of the new one, then the old one, which has more of it. */
    assert_int_equal(
        take(town, slice_of(new.data, frame_at(&new, 2)), 65536, &sum, &why),
        ERR_INVALID);
    assert_true(sum.added > 0 && sum.added < MANY);
    assert_int_equal(newest_of(town, &log).size, size);
    refused(town, &old, ERR_BUSY, "import the newer file");
    assert_int_equal(newest_of(town, &log).size, size);
    assert_int_equal(size_of(town, &log), sum.added);
    taken(town, &new, size - sum.added, size, false);
    taken(town, &old, 0, size, true);
    assert_same(county, town, &log);
    buf_fini(&old);
    buf_fini(&new);
    end(town);
    end(county);
}

struct taking {
    struct node *town;
    const struct buf *file;
    struct listfile_sum sum;
    enum err err;
};

static void *take_one(void *arg)
{
    struct taking *t = arg;
    struct errmsg why;
    t->err = take(t->town, buf_slice(t->file), 1000, &t->sum, &why);
    return NULL;
}

static void two_at_once_count_what_each_brought(void **state)
{
    struct buf old = BUF_INIT;
    struct buf new = BUF_INIT;
    (void)state;
    struct node *county = listener(COUNTY, "c6");
    struct log_id log = decide(county, 3 * MANY, 1);
    export(county, &log, 1, &old);
    (void)decide(county, MANY, 5);
    export(county, &log, 1, &new);
    uint64_t size = size_of(county, &log);
    for (unsigned round = 0; round < 4; round++) {
        char name[8];
        (void)snprintf(name, sizeof name, "t6%u", round);
        struct node *town = listener(TOWNSHIP, name);
        struct taking t[2] = {
            {.town = town, .file = round % 2 == 0 ? &new : &old},
            {.town = town, .file = &new}};
        pthread_t other;
        assert_int_equal(pthread_create(&other, NULL, take_one, &t[0]), 0);
        (void)take_one(&t[1]);
        (void)pthread_join(other, NULL);
        assert_ok(t[1].err);
        assert_true(t[0].err == ERR_OK || t[0].err == ERR_BUSY);
        assert_int_equal(t[0].sum.added + t[1].sum.added, size);
        assert_int_equal(newest_of(town, &log).size, size);
        assert_same(county, town, &log);
        end(town);
    }
    buf_fini(&old);
    buf_fini(&new);
    end(county);
}

/* The file, greeted as `hello` says. */
static void greet(struct buf *out, const struct buf *file,
                  const struct wire_hello *hello)
{
    struct buf message = BUF_INIT;
    begin_file(out);
    wire_put_hello(&message, hello, NULL, 0);
    buf_put_u32(out, (uint32_t)message.len);
    buf_put_slice(out, buf_slice(&message));
    size_t rest = frame_at(file, 1);
    buf_put(out, file->data + rest, file->len - rest);
    buf_fini(&message);
}

static void of_elsewhere_it_is_refused_by_name(void **state)
{
    struct buf file = BUF_INIT;
    struct buf out = BUF_INIT;
    (void)state;
    struct node *county = listener(COUNTY, "c7");
    struct node *town = listener(TOWNSHIP, "t7");
    struct node *village = listener(VILLAGE, "v7");
    struct log_id log = decide(county, 1, 1);
    export(county, &log, 1, &file);
    enum suite here = test_suite();
    enum suite other = here == SUITE_GM ? SUITE_INTL : SUITE_GM;
    char suites[64];
    (void)snprintf(suites, sizeof suites, "suite %s, this node's is %s",
                   suite_name(other), suite_name(here));
    struct wire_hello hello = {.protocol = WIRE_PROTOCOL,
                               .suite = slice_str(suite_name(here)),
                               .federation = slice_str("hubei.test"),
                               .code = COUNTY};
    greet(&out, &file, &hello);
    refused(town, &out, ERR_DENIED,
            "federation hubei.test, this node's is " FEDERATION);
    hello.federation = slice_str(FEDERATION);
    hello.suite = slice_str(suite_name(other));
    greet(&out, &file, &hello);
    refused(town, &out, ERR_CONF, suites);
    hello.suite = slice_str(suite_name(here));
    hello.protocol = WIRE_PROTOCOL + 1;
    greet(&out, &file, &hello);
    refused(town, &out, ERR_UNSUPPORTED, "this node speaks");
    assert_int_equal(size_of(town, &log), 0);

    /* Its log is of no authority above. */
    struct log_id own = decide(town, 1, 1);
    buf_clear(&file);
    export(town, &own, 1, &file);
    refused(county, &file, ERR_DENIED, "no authority above this node");
    taken(village, &file, 4, 4, false);
    buf_fini(&file);
    buf_fini(&out);
    end(village);
    end(town);
    end(county);
}

static void messages_out_of_turn_are_refused(void **state)
{
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    struct buf out = BUF_INIT;
    (void)state;
    struct node *county = listener(COUNTY, "c8");
    struct node *town = listener(TOWNSHIP, "t8");
    struct node *village = listener(VILLAGE, "v8");
    struct log_id of_county = decide(county, 1, 1);
    struct log_id of_town = decide(town, 1, 1);
    export(county, &of_county, 1, &a);
    export(town, &of_town, 1, &b);
    begin_file(&out);
    copy_frames(&out, &a, 1, 3);
    refused(village, &out, ERR_INVALID, "Hello must come first");
    begin_file(&out);
    copy_frames(&out, &a, 0, 1);
    copy_frames(&out, &a, 0, 1);
    refused(village, &out, ERR_INVALID, "and once");
    begin_file(&out);
    copy_frames(&out, &a, 0, 2);
    copy_frames(&out, &b, 1, 2);
    refused(village, &out, ERR_INVALID, "of several logs");
    assert_int_equal(size_of(village, &of_town), 0);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&out);
    end(village);
    end(town);
    end(county);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_comes_in_any_pieces),
        cmocka_unit_test(what_is_held_already_and_what_is_older),
        cmocka_unit_test(who_is_slower_than_a_file_was_not_put_back),
        cmocka_unit_test(an_altered_byte_adds_nothing_that_was_not_signed),
        cmocka_unit_test(cut_off_anywhere_the_rest_comes_later),
        cmocka_unit_test(a_fork_inside_an_older_file_is_noticed),
        cmocka_unit_test(
            the_newest_head_stays_when_an_older_file_comes_between),
        cmocka_unit_test(two_at_once_count_what_each_brought),
        cmocka_unit_test(of_one_issuer_only_so_many_logs_are_taken),
        cmocka_unit_test(of_elsewhere_it_is_refused_by_name),
        cmocka_unit_test(messages_out_of_turn_are_refused),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
