/* What a catalogue version may change, and the catalogue that follows. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "credit/catalogue_change.h"
#include "credit/rules.h"

enum { NAME_MAX_CHARS = 32, VALUE_MAX_CHARS = 4096, MADE_MAX = 1024 };

/* ---- the rules ---- */

static const struct rule_text rules[] = {
    {"too-many", "more versions, kinds or fields than a node keeps",
     "版本、信息类别或信息项过多"},
    {"version-order",
     "a version counts only behind the one before: prepare "
     "it anew",
     "目录版本不连续，请重新编制"},
    {"kind-id", "the id of a new kind is 1024 to 65535 and stands once",
     "新信息类别编号应为1024至65535且不得重复"},
    {"kind-closed", "kinds of list decisions and executions do not change",
     "名单类信息类别不得变更"},
    {"kind-whole",
     "a new kind needs a name (a-z, 0-9, -) of its own, labels "
     "and fields",
     "新信息类别须有唯一名称、中英文标签和信息项"},
    {"kind-persons", "kinds that are published are about organisations",
     "发布的信息类别仅限法人和非法人组织"},
    {"kind-identity",
     "a new kind needs credit code, document number, day of "
     "the decision and authority (fields 4, 16, 27 and 31 or "
     "32), always",
     "新信息类别须必填统一社会信用代码、文书号、决定日期和机关"},
    {"field-id",
     "the id of a new field is 256 to 1023, or one of the built-in "
     "ones for records, and stands once",
     "新信息项编号应为256至1023或内置编号，且不得重复"},
    {"field-meaning",
     "the id has another type or personal class in another "
     "kind",
     "该编号在其他信息类别中含义不同"},
    {"fixed", "of what is there only disclosure and retention may change",
     "已有信息类别和信息项只能变更公开属性和保存期限"},
    {"field-whole",
     "a new field needs a column (A-Z, 0-9, _), labels, a type "
     "and the most characters, and words if it is enumerated",
     "新信息项须有列名、中英文标签、类型和最大长度，枚举项须有取值"},
    {"need-form", "a new field is needed always or never",
     "新信息项只能为必填或选填"},
    {"column-taken", "another field has this column", "列名已被其他信息项使用"},
    {"personal-wider",
     "a masked or sealed field does not get a wider "
     "disclosure",
     "脱敏或加密信息项不得扩大公开范围"},
    {"measure-taken", "an authority above has a measure with this id",
     "上级机关已使用该措施编号"},
    {"not-highest", "not by the highest authority of the root document",
     "不是根文件中的最高机关发布"},
    {"malformed", "malformed", "格式错误"},
    {"later-build", "this build does not know the type or class",
     "本程序版本不支持该类型"},
};

const char *catalogue_change_text(const char *rule)
{
    return rule_text_in(rules, ARRAY_LEN(rules), rule)->text;
}

const char *catalogue_change_text_zh(const char *rule)
{
    return rule_text_in(rules, ARRAY_LEN(rules), rule)->text_zh;
}

/* ---- judging ---- */

static const struct catalogue_field *field_in(const struct catalogue_item *item,
                                              uint16_t id)
{
    size_t place = catalogue_place(item, id);
    return place != PLACE_NONE ? &item->fields[place] : NULL;
}

const struct catalogue_field *
catalogue_known_field(const struct catalogue *from, uint16_t id)
{
    const struct catalogue_field *f = NULL;
    for (size_t i = 0; f == NULL && i < from->items_n; i++) {
        f = field_in(from->items[i], id);
    }
    return f;
}

static bool is_of_chars(const char *text, const char *chars, size_t max)
{
    size_t len = strspn(text, chars);
    return len > 0 && len <= max && text[len] == 0;
}

static bool is_persons(uint16_t id)
{
    return id == FIELD_CATEGORY || id == FIELD_REP_ID_TYPE ||
           id == FIELD_REP_ID || id == FIELD_PERSON_ID_TYPE ||
           id == FIELD_PERSON_ID;
}

/* Kinds of licences and penalties have words of their own; what comes behind
 * the division is the lists'. */
static bool is_shared_id(uint16_t id)
{
    return id > FIELD_DIGEST && id <= FIELD_DIVISION && id != FIELD_KIND &&
           id != FIELD_KIND_2;
}

static bool item_has_column(const struct catalogue_item *item,
                            const struct change_field *f)
{
    for (size_t k = 0; k < item->count; k++) {
        const char *code = item->fields[k].code;
        if (code != NULL && strcmp(code, f->code) == 0 &&
            item->fields[k].id != f->id) {
            return true;
        }
    }
    return false;
}

static bool is_column_taken(const struct catalogue *from,
                            const struct change_field *f)
{
    for (size_t i = 0; i < from->items_n; i++) {
        if (item_has_column(from->items[i], f)) {
            return true;
        }
    }
    return false;
}

static bool is_wider(const struct catalogue_field *old,
                     const struct change_field *f)
{
    bool personal =
        old->personal == PERSONAL_MASKED || old->personal == PERSONAL_ALWAYS;
    return personal && f->disclosure != 0 &&
           f->disclosure - 1 < (unsigned)old->disclosure;
}

static const char *old_field_fault(const struct catalogue_field *old,
                                   const struct change_field *f)
{
    bool more = f->code[0] != 0 || f->label_zh[0] != 0 || f->label_en[0] != 0 ||
                f->names_more[0] != 0 || f->type != 0 || f->max_chars != 0 ||
                f->need != 0 || f->personal != 0 || f->words_n != 0;
    if (more) {
        return "fixed";
    }
    return is_wider(old, f) ? "personal-wider" : NULL;
}

/* What is shared by all kinds keeps type, class and words. */
static const char *shared_fault(const struct catalogue_field *old,
                                const struct change_field *f)
{
    if (f->type - 1 != (unsigned)old->type ||
        f->personal != (unsigned)old->personal || f->words_n != 0) {
        return "field-meaning";
    }
    return is_wider(old, f) ? "personal-wider" : NULL;
}

static const char *form_fault(const struct change_field *f)
{
    if (f->type > TYPE_COUNT || f->personal > PERSONAL_ALWAYS) {
        return "later-build";
    }
    if (f->type - 1 == TYPE_PERSON_ID || f->personal == PERSONAL_IF_PERSON) {
        return "kind-persons";
    }
    if (f->type - 1 == TYPE_ENUM_SET) {
        return "later-build";
    }
    return (f->type - 1 == TYPE_ENUM) == (f->words_n > 0) ? NULL
                                                          : "field-whole";
}

static const char *new_field_fault(const struct catalogue *from,
                                   const struct change_field *f)
{
    static const char column[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    const struct catalogue_field *known = catalogue_known_field(from, f->id);
    bool own =
        f->id >= CATALOGUE_FIELD_PUBLISHED && f->id < CATALOGUE_FIELD_END;
    if (!own && (known == NULL || !is_shared_id(f->id))) {
        return "field-id";
    }
    if (is_persons(f->id)) {
        return "kind-persons";
    }
    if (!is_of_chars(f->code, column, NAME_MAX_CHARS) || f->label_zh[0] == 0 ||
        f->label_en[0] == 0 || f->type == 0 || f->max_chars == 0 ||
        f->max_chars > VALUE_MAX_CHARS) {
        return "field-whole";
    }
    if (f->need > NEED_ALWAYS) {
        return "need-form";
    }
    if (is_column_taken(from, f)) {
        return "column-taken";
    }
    return own && known == NULL ? form_fault(f) : shared_fault(known, f);
}

static const char *field_fault(const struct catalogue *from,
                               const struct catalogue_item *item,
                               const struct change_kind *k, size_t at)
{
    const struct change_field *f = &k->fields[at];
    const struct catalogue_field *old =
        item != NULL ? field_in(item, f->id) : NULL;
    for (size_t i = 0; i < at; i++) {
        if (k->fields[i].id == f->id) {
            return "field-id";
        }
        if (f->code[0] != 0 && strcmp(k->fields[i].code, f->code) == 0) {
            return "column-taken";
        }
    }
    if (f->disclosure > DISCLOSURE_AUTHORISED + 1) {
        return "later-build";
    }
    return old != NULL ? old_field_fault(old, f) : new_field_fault(from, f);
}

static bool is_given(const struct change_kind *k, uint16_t id)
{
    for (size_t i = 0; i < k->fields_n; i++) {
        if (k->fields[i].id == id && k->fields[i].need == NEED_ALWAYS) {
            return true;
        }
    }
    return false;
}

static const char *new_kind_fault(const struct catalogue *from,
                                  const struct change_kind *k)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    if (k->id < CATALOGUE_ITEM_PUBLISHED) {
        return "kind-id";
    }
    bool whole = is_of_chars(k->name, name, NAME_MAX_CHARS) &&
                 k->label_zh[0] != 0 && k->label_en[0] != 0;
    for (size_t i = 0; whole && i < from->items_n; i++) {
        whole = strcmp(from->items[i]->name, k->name) != 0;
    }
    if (!whole) {
        return "kind-whole";
    }
    return is_given(k, FIELD_USCC) && is_given(k, FIELD_DOCUMENT_NO) &&
                   is_given(k, FIELD_DECIDED) &&
                   (is_given(k, FIELD_AUTHORITY) ||
                    is_given(k, FIELD_AUTHORITY_CODE))
               ? NULL
               : "kind-identity";
}

static const char *kind_fault(const struct catalogue *from,
                              const struct catalogue_change *change, size_t at)
{
    const struct change_kind *k = &change->kinds[at];
    const struct catalogue_item *item = catalogue_item_of(from, k->id);
    for (size_t i = 0; i < at; i++) {
        if (change->kinds[i].id == k->id ||
            (k->name[0] != 0 && strcmp(change->kinds[i].name, k->name) == 0)) {
            return "kind-id";
        }
    }
    if (k->disclosure > DISCLOSURE_AUTHORISED + 1) {
        return "later-build";
    }
    if (item == NULL) {
        return new_kind_fault(from, k);
    }
    if (item->family != FAMILY_RECORDS) {
        return "kind-closed";
    }
    return k->name[0] != 0 || k->label_zh[0] != 0 || k->label_en[0] != 0
               ? "fixed"
               : NULL;
}

/* Kinds and fields there would be. */
static bool is_too_many(const struct catalogue *from,
                        const struct catalogue_change *change)
{
    size_t kinds = from->items_n;
    for (size_t i = 0; i < change->kinds_n; i++) {
        const struct change_kind *k = &change->kinds[i];
        const struct catalogue_item *item = catalogue_item_of(from, k->id);
        size_t fields = item != NULL ? item->count : 0;
        kinds += item == NULL;
        for (size_t f = 0; f < k->fields_n; f++) {
            fields += item == NULL || field_in(item, k->fields[f].id) == NULL;
        }
        if (fields > CATALOGUE_FIELDS_MAX) {
            return true;
        }
    }
    return kinds > CATALOGUE_ITEMS_MAX ||
           from->version >= CATALOGUE_VERSIONS_MAX;
}

const char *catalogue_change_fault(const struct catalogue *from,
                                   const struct catalogue_change *change,
                                   char where[CHANGE_WHERE_MAX])
{
    char unused[CHANGE_WHERE_MAX];
    char *place = where != NULL ? where : unused;
    (void)snprintf(place, CHANGE_WHERE_MAX, "version");
    if (change->version != from->version + 1) {
        return "version-order";
    }
    if (is_too_many(from, change)) {
        return "too-many";
    }
    for (size_t i = 0; i < change->kinds_n; i++) {
        const struct change_kind *k = &change->kinds[i];
        const char *rule = kind_fault(from, change, i);
        (void)snprintf(place, CHANGE_WHERE_MAX, "kinds[%u]", (unsigned)i);
        for (size_t f = 0; rule == NULL && f < k->fields_n; f++) {
            (void)snprintf(place, CHANGE_WHERE_MAX, "kinds[%u].fields[%u]",
                           (unsigned)i, (unsigned)f);
            rule = field_fault(from, catalogue_item_of(from, k->id), k, f);
        }
        if (rule != NULL) {
            return rule;
        }
    }
    return NULL;
}

/* ---- making the next ---- */

static char *text_of(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

static const struct enum_list *list_of(const struct change_field *f)
{
    struct enum_word *words = mem_zalloc(f->words_n, sizeof *words);
    struct enum_list *list = MEM_NEW(struct enum_list);
    for (size_t i = 0; i < f->words_n; i++) {
        char *word = text_of(f->words[i]);
        words[i] = (struct enum_word){word, word, (uint16_t)(i + 1)};
    }
    *list = (struct enum_list){words, f->words_n};
    return list;
}

static struct catalogue_field new_field(const struct catalogue *from,
                                        const struct change_field *f)
{
    const struct catalogue_field *known = catalogue_known_field(from, f->id);
    const struct enum_list *values = f->words_n > 0  ? list_of(f)
                                     : known != NULL ? known->values
                                                     : NULL;
    return (struct catalogue_field){
        .id = f->id,
        .code = text_of(f->code),
        .label_zh = text_of(f->label_zh),
        .names_more = f->names_more[0] != 0 ? text_of(f->names_more) : NULL,
        .label_en = text_of(f->label_en),
        .type = (enum field_type)(f->type - 1),
        .max_chars = (uint16_t)f->max_chars,
        .need = (enum field_need)f->need,
        .personal = (enum field_personal)f->personal,
        .disclosure = f->disclosure != 0 ? (enum disclosure)(f->disclosure - 1)
                      : known != NULL    ? known->disclosure
                                         : DISCLOSURE_PUBLIC,
        .values = values};
}

static void put_in_order(struct catalogue_field *fields, size_t *n,
                         const struct catalogue_field *f)
{
    size_t at = (*n)++;
    while (at > 0 && fields[at - 1].id > f->id) {
        fields[at] = fields[at - 1];
        at--;
    }
    fields[at] = *f;
}

static void narrow_or_widen(struct catalogue_field *fields, size_t n,
                            const struct change_field *f)
{
    for (size_t at = 0; f->disclosure != 0 && at < n; at++) {
        if (fields[at].id == f->id) {
            fields[at].disclosure = (enum disclosure)(f->disclosure - 1);
        }
    }
}

/* Fields of `old` (NULL: none) and those of `k`. */
static void next_fields(const struct catalogue *from,
                        const struct catalogue_item *old,
                        const struct change_kind *k, struct catalogue_item *out)
{
    struct catalogue_field *fields =
        mem_zalloc(CATALOGUE_FIELDS_MAX, sizeof *fields);
    uint8_t *places = mem_zalloc(CATALOGUE_FIELD_END, sizeof *places);
    size_t n = old != NULL ? old->count : 0;
    if (n > 0) {
        memcpy(fields, old->fields, n * sizeof *fields);
    }
    for (size_t i = 0; i < k->fields_n; i++) {
        const struct change_field *f = &k->fields[i];
        if (old != NULL && field_in(old, f->id) != NULL) {
            narrow_or_widen(fields, n, f);
            continue;
        }
        const struct catalogue_field added = new_field(from, f);
        put_in_order(fields, &n, &added);
    }
    for (size_t i = 0; i < n; i++) {
        places[fields[i].id] = (uint8_t)(i + 1);
    }
    out->fields = fields;
    out->count = n;
    out->places = places;
    out->places_n = CATALOGUE_FIELD_END;
}

static const struct catalogue_item *next_item(const struct catalogue *from,
                                              const struct change_kind *k,
                                              uint32_t version)
{
    const struct catalogue_item *old = catalogue_item_of(from, k->id);
    struct catalogue_item *item = MEM_NEW(struct catalogue_item);
    if (old != NULL) {
        *item = *old;
    } else {
        item->id = k->id;
        item->name = text_of(k->name);
        item->label_zh = text_of(k->label_zh);
        item->label_en = text_of(k->label_en);
        item->family = FAMILY_RECORDS;
    }
    next_fields(from, old, k, item);
    if (k->disclosure != 0) {
        item->disclosure = (enum disclosure)(k->disclosure - 1);
    }
    if (k->retention != 0) {
        item->retention_months = (uint16_t)(k->retention - 1);
    }
    item->since = version;
    return item;
}

static const struct catalogue *make(const struct catalogue *from,
                                    const struct catalogue_change *change)
{
    struct catalogue *next = MEM_NEW(struct catalogue);
    const struct catalogue_item **items =
        mem_zalloc(CATALOGUE_ITEMS_MAX, sizeof *items);
    size_t n = from->items_n;
    memcpy(items, from->items, n * sizeof *items);
    for (size_t i = 0; i < change->kinds_n; i++) {
        const struct catalogue_item *item =
            next_item(from, &change->kinds[i], change->version);
        size_t at = 0;
        while (at < n && items[at]->id < item->id) {
            at++;
        }
        if (at == n || items[at]->id != item->id) {
            memmove(items + at + 1, items + at, (n - at) * sizeof *items);
            n++;
        }
        items[at] = item;
    }
    *next = (struct catalogue){items, n, change->version};
    return next;
}

/* ---- those made ---- */

static struct {
    pthread_mutex_t lock;
    struct {
        const struct catalogue *from;
        const struct catalogue *next;
        struct buf change; /* its body */
    } at[MADE_MAX];        /* lock */
    size_t n;              /* lock */
} made = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const struct catalogue *find_or_make(const struct catalogue *from,
                                            const struct catalogue_change *c,
                                            struct slice body)
{
    for (size_t i = 0; i < made.n; i++) {
        if (made.at[i].from == from &&
            slice_eq(buf_slice(&made.at[i].change), body)) {
            return made.at[i].next;
        }
    }
    if (made.n == MADE_MAX) {
        return NULL;
    }
    const struct catalogue *next = make(from, c);
    made.at[made.n].from = from;
    made.at[made.n].next = next;
    buf_put_slice(&made.at[made.n++].change, body);
    return next;
}

const struct catalogue *catalogue_next(const struct catalogue *from,
                                       const struct catalogue_change *change)
{
    struct buf room = BUF_INIT;
    struct entry e;
    catalogue_change_to_entry(change, &room, &e);
    (void)pthread_mutex_lock(&made.lock);
    const struct catalogue *next = find_or_make(from, change, e.body);
    (void)pthread_mutex_unlock(&made.lock);
    buf_fini(&room);
    return next;
}
