/* Catalogue versions and measures: the rules, and as entries of a log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "support/decisions.h"

static void set(char **text, const char *value)
{
    mem_free(*text);
    *text = mem_dup(value, strlen(value) + 1);
}

static void check(const struct catalogue_change *c, const char *rule)
{
    const char *fault = catalogue_change_fault(catalogue_builtin(), c, NULL);
    if (rule == NULL) {
        assert_null(fault);
    } else {
        assert_non_null(fault);
        assert_string_equal(fault, rule);
        assert_true(catalogue_change_text(rule)[0] != 0);
        assert_true(catalogue_change_text_zh(rule)[0] != 0);
    }
}

static void same_bytes(const struct entry *e, const char *hex)
{
    struct buf bytes = BUF_INIT;
    entry_encode(e, &bytes);
    char *text = mem_zalloc(2 * bytes.len + 1, 1);
    str_hex(bytes.data, bytes.len, text);
    assert_string_equal(text, hex);
    mem_free(text);
    buf_fini(&bytes);
}

/* The bytes of docs/protocol.md. */
static void the_bytes_are_these(void **state)
{
    struct catalogue_change c = new_disclosure(2, 256, DISCLOSURE_SHARED);
    struct measure m = {.id = "C01",
                        .name_zh = "measure",
                        .basis = "law",
                        .revision = 1,
                        .decided = 20260301,
                        .from = 20260301,
                        .at_ms = 1772000000000};
    struct buf room = BUF_INIT;
    struct entry e;
    (void)state;
    catalogue_change_to_entry(&c, &room, &e);
    same_bytes(
        &e,
        "01160000000000000000019c936e380000000000000000000000000000000000000000"
        "0200000000000000000000000000000000013525cd0000000000000000000000000000"
        "0000000000190a056261736973128d8080000880083a858080000880025002");
    buf_clear(&room);
    measure_to_entry(&m, &room, &e);
    same_bytes(
        &e, "01170000000000000000019c936e38000000000000000000000000000000000000"
            "00000100000000000000000000000000000000013525cd013525cd000000000000"
            "000000000000000000130a0343303112076d65617375726522036c6177");
    buf_fini(&room);
    catalogue_change_fini(&c);
}

static void a_version_comes_back_as_it_was(void **state)
{
    struct catalogue_change c = new_kind(1);
    struct catalogue_change again;
    struct buf room = BUF_INIT;
    struct buf second = BUF_INIT;
    struct entry e;
    struct entry f;
    (void)state;
    check(&c, NULL);
    catalogue_change_to_entry(&c, &room, &e);
    assert_int_equal(catalogue_change_take(&e, &again), ERR_OK);
    catalogue_change_to_entry(&again, &second, &f);
    assert_true(slice_eq(e.body, f.body));
    catalogue_change_fini(&again);
    /* Cut anywhere it is refused or still whole in form. */
    for (size_t n = 0; n < room.len; n++) {
        e.body.len = n;
        if (catalogue_change_take(&e, &again) == ERR_OK) {
            catalogue_change_fini(&again);
        }
    }
    buf_fini(&room);
    buf_fini(&second);
    catalogue_change_fini(&c);
}

static void each_rule_is_kept(void **state)
{
    struct catalogue_change c = new_kind(1);
    struct change_kind *k = &c.kinds[0];
    struct change_field *own = &k->fields[5];
    (void)state;
    c.version = 2;
    check(&c, "version-order");
    c.version = 1;
    k->id = 1023;
    check(&c, "kind-id");
    k->id = ITEM_LICENCE;
    check(&c, "fixed");
    k->id = ITEM_LISTING;
    check(&c, "kind-closed");
    k->id = CATALOGUE_ITEM_PUBLISHED;
    set(&k->name, "licence");
    check(&c, "kind-whole");
    set(&k->name, "honour");
    k->fields[1].need = NEED_NONE;
    check(&c, "kind-identity");
    k->fields[1].need = NEED_ALWAYS;
    own->id = FIELD_PERSON_ID;
    check(&c, "kind-persons");
    own->id = FIELD_LIST;
    check(&c, "field-id");
    own->id = FIELD_USCC;
    check(&c, "field-id"); /* stands twice */
    own->id = FIELD_REMARK;
    own->personal = PERSONAL_ALWAYS;
    check(&c, "field-meaning");
    own->id = 256;
    own->personal = PERSONAL_NO;
    set(&own->code, "XK_NR");
    check(&c, "column-taken");
    set(&own->code, "ry");
    check(&c, "field-whole");
    set(&own->code, "RY_NR");
    own->need = NEED_KINDS;
    check(&c, "need-form");
    own->need = NEED_NONE;
    own->type = TYPE_COUNT + 1;
    check(&c, "later-build");
    own->type = TYPE_ENUM + 1;
    check(&c, "field-whole"); /* no words */
    own->type = TYPE_TEXT + 1;
    own->disclosure = DISCLOSURE_AUTHORISED + 2;
    check(&c, "later-build");
    own->disclosure = 0;
    check(&c, NULL);
    catalogue_change_fini(&c);
}

/* What was sealed or masked is not opened, what is there keeps its type. */
static void what_is_there_only_gets_narrower_to_persons_values(void **state)
{
    struct catalogue_change c = new_disclosure(1, FIELD_REP_ID, 0);
    struct change_field *f = &c.kinds[0].fields[0];
    (void)state;
    c.kinds[0].id = ITEM_LICENCE;
    check(&c, "personal-wider");
    f->disclosure = DISCLOSURE_AUTHORISED + 1;
    check(&c, NULL);
    f->id = FIELD_REP_NAME;
    check(&c, NULL);
    f->disclosure = DISCLOSURE_PUBLIC + 1;
    check(&c, "personal-wider");
    f->id = FIELD_CONTENT;
    check(&c, NULL);
    f->personal = PERSONAL_ALWAYS;
    check(&c, "fixed");
    catalogue_change_fini(&c);
}

static void the_next_shares_what_did_not_change(void **state)
{
    struct catalogue_change c = new_kind(1);
    const struct catalogue *from = catalogue_builtin();
    (void)state;
    const struct catalogue *next = catalogue_next(from, &c);
    assert_non_null(next);
    assert_ptr_equal(catalogue_next(from, &c), next);
    assert_int_equal(next->version, 1);
    assert_int_equal(next->items_n, from->items_n + 1);
    assert_ptr_equal(catalogue_item_of(next, ITEM_LICENCE),
                     catalogue_item_of(from, ITEM_LICENCE));
    const struct catalogue_item *item =
        catalogue_item_of(next, CATALOGUE_ITEM_PUBLISHED);
    assert_non_null(item);
    assert_int_equal(item->retention_months, 36);
    for (size_t i = 0; i < item->count; i++) {
        assert_int_equal(catalogue_place(item, item->fields[i].id), i);
    }
    assert_int_equal(catalogue_place(item, FIELD_STATUS), PLACE_NONE);
    catalogue_change_fini(&c);
}

/* A record of a kind that is not known reads when the version is there. */
static void a_record_reads_when_its_version_comes(void **state)
{
    struct catalogue_change c = new_kind(1);
    const struct catalogue *next = catalogue_next(catalogue_builtin(), &c);
    struct buf body = BUF_INIT;
    struct record r;
    (void)state;
    struct entry e = {.type = ENTRY_RECORD,
                      .subject_kind = SUBJECT_USCC,
                      .item = CATALOGUE_ITEM_PUBLISHED,
                      .subject = slice_str(SUBJECT_A)};
    record_init(&r, catalogue_item_of(next, CATALOGUE_ITEM_PUBLISHED));
    record_set(&r, 256, slice_str("value"));
    record_put_values(&r, &body);
    e.body = buf_slice(&body);
    assert_int_equal(record_from_entry(&e, &r), ERR_UNSUPPORTED);
    catalogue_use(next);
    assert_int_equal(record_from_entry(&e, &r), ERR_OK);
    assert_true(slice_eq(record_get(&r, 256), slice_str("value")));
    assert_int_equal(r.unknown, 0);
    catalogue_use(catalogue_builtin());
    buf_fini(&body);
    catalogue_change_fini(&c);
}

static void measures_have_their_rules(void **state)
{
    const struct measure good = {.id = "C01",
                                 .name_zh = "n",
                                 .basis = "b",
                                 .revision = 1,
                                 .decided = 20260301,
                                 .from = 20260301};
    struct measure m = good;
    (void)state;
    assert_null(measure_fault(&m));
    m.revision = 0;
    assert_non_null(measure_fault(&m));
    m = good;
    m.id[0] = 'c';
    assert_non_null(measure_fault(&m));
    m = good;
    m.basis[0] = 0;
    assert_non_null(measure_fault(&m));
    m = good;
    m.until = 20260228;
    assert_non_null(measure_fault(&m));
    m = good;
    (void)snprintf(m.name_zh, sizeof m.name_zh, "a\nb");
    assert_non_null(measure_fault(&m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_these),
        cmocka_unit_test(a_version_comes_back_as_it_was),
        cmocka_unit_test(each_rule_is_kept),
        cmocka_unit_test(what_is_there_only_gets_narrower_to_persons_values),
        cmocka_unit_test(the_next_shares_what_did_not_change),
        cmocka_unit_test(a_record_reads_when_its_version_comes),
        cmocka_unit_test(measures_have_their_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
