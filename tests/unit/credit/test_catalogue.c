#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "credit/catalogue.h"
#include "credit/record.h"

typedef void field_fn(const struct catalogue_item *item, size_t place);

static void each_field(field_fn *fn)
{
    size_t count;
    const struct catalogue_item *const *items = catalogue_items(&count);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < items[i]->count; k++) {
            fn(items[i], k);
        }
    }
}

static void check_place(const struct catalogue_item *item, size_t place)
{
    const struct catalogue_field *field = &item->fields[place];
    assert_int_equal(catalogue_place(item, field->id), place);
    assert_true(place == 0 || item->fields[place - 1].id < field->id);
    assert_true(field->id > FIELD_DIGEST && field->id < RECORD_SEALED_BASE);
    assert_true(field->code != NULL || field->names_2016 != NULL);
    assert_true(field->type < TYPE_COUNT && field->max_chars > 0);
    bool listed = field->type == TYPE_ENUM || field->type == TYPE_ENUM_SET;
    assert_int_equal(listed, field->values != NULL);
}

static void places_fit_the_tables(void **state)
{
    (void)state;
    each_field(check_place);
    for (uint16_t id = 0; id < FIELD_ID_END + 5; id++) {
        size_t count;
        const struct catalogue_item *const *items = catalogue_items(&count);
        for (size_t i = 0; i < count; i++) {
            size_t place = catalogue_place(items[i], id);
            assert_true(place == PLACE_NONE ||
                        items[i]->fields[place].id == id);
        }
    }
}

static void check_personal(const struct catalogue_item *item, size_t place)
{
    const struct catalogue_field *field = &item->fields[place];
    if (field->type == TYPE_PERSON_ID) {
        assert_int_equal(field->personal, PERSONAL_ALWAYS);
        assert_int_equal(field->disclosure, DISCLOSURE_AUTHORISED);
    }
    if (field->type == TYPE_TEXT && field->max_chars >= 1024) {
        assert_int_equal(field->personal, PERSONAL_IF_PERSON);
    }
}

static void identifiers_of_persons_are_always_sealed(void **state)
{
    (void)state;
    each_field(check_personal);
}

static void unknown_items_are_not_in_it(void **state)
{
    (void)state;
    assert_null(catalogue_item(0));
    assert_null(catalogue_item(3));
    assert_non_null(catalogue_item(ITEM_PENALTY));
}

static void status_digits_differ_between_the_sets(void **state)
{
    const struct catalogue_item *item = catalogue_item(ITEM_LICENCE);
    const struct catalogue_field *f =
        &item->fields[catalogue_place(item, FIELD_STATUS)];
    (void)state;
    assert_string_equal(catalogue_word(f->values, slice_str("1"))->text,
                        "有效");
    assert_string_equal(catalogue_word(f->values_2016, slice_str("1"))->text,
                        "撤销");
    assert_null(catalogue_word(f->values, slice_str("0")));
    assert_null(catalogue_word(f->values, slice_str("")));
}

static void check_documented(const struct catalogue_item *item, size_t place)
{
    static struct buf page = BUF_INIT;
    const struct catalogue_field *field = &item->fields[place];
    char row[256];
    if (page.data == NULL) {
        assert_int_equal(
            file_read(SOURCE_DIR "/docs/catalogue.md", 1 << 20, &page, NULL),
            ERR_OK);
    }
    (void)snprintf(row, sizeof row, "| %u | %s | %s | %s |", field->id,
                   field->code != NULL ? field->code : "–", field->label_zh,
                   field->label_en);
    if (strstr(buf_cstr(&page), row) == NULL) {
        fail_msg("docs/catalogue.md lacks: %s", row);
    }
    if (item->id == ITEM_EXECUTION && place + 1 == item->count) {
        buf_fini(&page);
    }
}

static void the_page_names_the_version(void **state)
{
    struct buf page = BUF_INIT;
    char title[64];
    (void)state;
    assert_int_equal(
        file_read(SOURCE_DIR "/docs/catalogue.md", 1 << 20, &page, NULL),
        ERR_OK);
    int len = snprintf(title, sizeof title, "# Catalogue, version %d\n",
                       CATALOGUE_VERSION);
    assert_int_equal(strncmp(buf_cstr(&page), title, (size_t)len), 0);
    buf_fini(&page);
}

static void every_list_is_on_the_page(void **state)
{
    struct buf page = BUF_INIT;
    size_t place = catalogue_place(catalogue_item(ITEM_LISTING), FIELD_LIST);
    const struct enum_list *words =
        catalogue_item(ITEM_LISTING)->fields[place].values;
    (void)state;
    assert_int_equal(
        file_read(SOURCE_DIR "/docs/catalogue.md", 1 << 20, &page, NULL),
        ERR_OK);
    for (size_t i = 0; i < words->count; i++) {
        char row[256];
        const struct catalogue_list *list =
            catalogue_list(words->words[i].value);
        assert_non_null(list);
        assert_string_equal(words->words[i].text, list->label_zh);
        (void)snprintf(row, sizeof row, "| %u | %s | `%s` | %s | %s | %s |",
                       list->id, list->label_zh, list->name, list->label_en,
                       colour_name(list->colour),
                       list->domain != 0 ? domain_name(list->domain)
                                         : "the decision says");
        if (strstr(buf_cstr(&page), row) == NULL) {
            fail_msg("docs/catalogue.md lacks: %s", row);
        }
    }
    assert_null(catalogue_list(0));
    buf_fini(&page);
}

static void the_page_for_people_has_every_field(void **state)
{
    (void)state;
    each_field(check_documented);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_fit_the_tables),
        cmocka_unit_test(identifiers_of_persons_are_always_sealed),
        cmocka_unit_test(unknown_items_are_not_in_it),
        cmocka_unit_test(status_digits_differ_between_the_sets),
        cmocka_unit_test(the_page_names_the_version),
        cmocka_unit_test(every_list_is_on_the_page),
        cmocka_unit_test(the_page_for_people_has_every_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
