#include "ingest/header.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "ingest/csv.h"

enum { NAME_MAX_BYTES = 160, LABEL_MAX = 96 };

struct header {
    const struct catalogue_item *item;
    enum column_set set;
    size_t columns;
    uint8_t places[CSV_COLUMNS_MAX];
    char labels[CATALOGUE_FIELDS_MAX][LABEL_MAX]; /* by place; "" if absent */
};

/* Columns without a meaning here: numbering, time stamps of the exporting
 * system, the name of a penalty, which the set of 2018 dropped. */
static const char *const ignored[] = {
    "序号",     "ID",       "SJC",     "数据更新时间戳", "数据更新时间",
    "ADD_TIME", "采集日期", "CF_CFMC", "处罚名称"};
static const char *const operations[] = {"OPT_TYPE", "更新类型"};
static const char *const deletions[] = {"d", "D", "删除"};
static const char *const templates[] = {"表格说明", "填表说明", "填报说明"};

/* ---- names ---- */

/* Left out of names before they are compared: blanks, marks of mandatory
 * columns, brackets, underlines. */
#define NOISE(text)                                                            \
    {                                                                          \
        sizeof(text) - 1, text                                                 \
    }
static const struct {
    size_t len;
    const char *text;
} noise[] = {
    NOISE(" "),      NOISE("\t"),     NOISE("\r"),     NOISE("\n"),
    NOISE("*"),      NOISE("("),      NOISE(")"),      NOISE("_"),
    NOISE(":"),      NOISE("\""),     NOISE("（"),     NOISE("）"),
    NOISE("："),     NOISE("＊"),     NOISE("必填"),   NOISE("选填"),
    NOISE("\u00a0"), NOISE("\u3000"), NOISE("\ufeff"),
};

/* Most characters are told by their first byte: letters, digits, and the
 * middle of any that has several bytes. */
static size_t noise_len(struct slice s)
{
    uint8_t c = s.data[0];
    bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                 (c >= 'a' && c <= 'z') || c >> 6 == 2;
    for (size_t i = 0; !plain && i < ARRAY_LEN(noise); i++) {
        if ((uint8_t)noise[i].text[0] == c && s.len >= noise[i].len &&
            memcmp(s.data, noise[i].text, noise[i].len) == 0) {
            return noise[i].len;
        }
    }
    return 0;
}

/* The next character that counts, or -1 at the end. */
static int next_char(struct slice *s)
{
    while (s->len > 0) {
        size_t skip = noise_len(*s);
        uint8_t c = s->data[0];
        size_t step = skip > 0 ? skip : 1;
        *s = slice_of(s->data + step, s->len - step);
        if (skip == 0) {
            return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
        }
    }
    return -1;
}

struct name {
    size_t len;
    char text[NAME_MAX_BYTES];
};

/* Longer names are cut: no known one is as long. */
static struct name plain_name(struct slice s)
{
    struct name name = {.len = 0};
    int c;
    while (name.len < sizeof name.text && (c = next_char(&s)) >= 0) {
        name.text[name.len++] = (char)c;
    }
    return name;
}

enum { IN_2018 = 1, IN_2016 = 2 };

/* ---- every known name, found by hash ---- */

/* An app sends a header with every record, so names are looked up, not
 * searched for. Made once, never freed. */
enum { ITEMS_MAX = 5, KNOWN_SLOTS = 2048 };

struct known {
    size_t at; /* in index.texts */
    size_t len;
    struct {
        uint8_t place;
        uint8_t sets; /* in which it names that field; 0: of no field */
    } of[ITEMS_MAX];
    bool operation;
    bool ignored;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct {
    struct known slots[KNOWN_SLOTS]; /* len 0: free */
    struct buf texts;
    size_t used;
} index_of_names;

/* The slot of a name, or the free one where it belongs. */
static struct known *slot_of(const struct name *name)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < name->len; i++) {
        h = (h ^ (uint8_t)name->text[i]) * 0x100000001b3;
    }
    for (size_t at = (h ^ h >> 32) % KNOWN_SLOTS;;
         at = (at + 1) % KNOWN_SLOTS) {
        struct known *k = &index_of_names.slots[at];
        if (k->len == 0 ||
            (k->len == name->len && memcmp(index_of_names.texts.data + k->at,
                                           name->text, k->len) == 0)) {
            return k;
        }
    }
}

/* NULL for an empty name. */
static struct known *add_name(struct slice text)
{
    struct name name = plain_name(text);
    struct known *k = name.len > 0 ? slot_of(&name) : NULL;
    if (k != NULL && k->len == 0) {
        k->at = index_of_names.texts.len;
        k->len = name.len;
        buf_put(&index_of_names.texts, name.text, name.len);
        index_of_names.used++;
        assert(index_of_names.used <= KNOWN_SLOTS / 2);
    }
    return k;
}

/* `list` has '|' between its names; NULL is an empty list. Of two fields with
 * the same name the first has it. */
static void add_list(size_t item, size_t place, const char *list, unsigned sets)
{
    while (list != NULL) {
        const char *bar = strchr(list, '|');
        size_t len = bar != NULL ? (size_t)(bar - list) : strlen(list);
        struct known *k = add_name(slice_of(list, len));
        if (k != NULL &&
            (k->of[item].sets == 0 || k->of[item].place == place)) {
            k->of[item].place = (uint8_t)place;
            k->of[item].sets |= (uint8_t)sets;
        }
        list = bar != NULL ? bar + 1 : NULL;
    }
}

static void add_item(size_t at, const struct catalogue_item *item)
{
    for (size_t i = 0; i < item->count; i++) {
        const struct catalogue_field *f = &item->fields[i];
        unsigned by_label = f->code != NULL ? IN_2018 : IN_2016;
        add_list(at, i, f->code, IN_2018);
        add_list(at, i, f->names_2016, IN_2016);
        add_list(at, i, f->label_zh, by_label);
        add_list(at, i, f->names_more, by_label);
        add_list(at, i, f->label_en, by_label);
    }
}

static void make_index(void)
{
    size_t count;
    const struct catalogue_item *const *items = catalogue_items(&count);
    assert(count <= ITEMS_MAX);
    for (size_t i = 0; i < count; i++) {
        add_item(i, items[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        add_name(slice_str(ignored[i]))->ignored = true;
    }
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        add_name(slice_str(operations[i]))->operation = true;
    }
}

/* NULL if no table has such a column. */
static const struct known *find_name(const struct name *name)
{
    (void)pthread_once(&once, make_index);
    const struct known *k = name->len > 0 ? slot_of(name) : NULL;
    return k != NULL && k->len > 0 ? k : NULL;
}

/* `item` as numbered by catalogue_items(); `known` may be NULL. */
static size_t place_of(size_t item, const struct known *known)
{
    return known != NULL && known->of[item].sets != 0 ? known->of[item].place
                                                      : PLACE_NONE;
}

/* ---- rows that are not data ---- */

static const struct slice *first_text(const struct slice *cells, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (cells[i].len > 0) {
            return &cells[i];
        }
    }
    return NULL;
}

bool header_is_header(const struct slice *cells, size_t count)
{
    enum { LEAST = 3 };
    size_t known = 0;
    size_t other = 0;
    for (size_t i = 0; i < count; i++) {
        if (cells[i].len == 0) {
            continue;
        }
        struct name name = plain_name(cells[i]);
        bool is = find_name(&name) != NULL;
        known += is;
        other += !is;
        /* Rows of data are many: they are told by their first cells. */
        if (other >= LEAST && other > known) {
            return false;
        }
    }
    return known >= LEAST && known > other;
}

bool header_is_template(const struct slice *cells, size_t count)
{
    const struct slice *first = first_text(cells, count);
    for (size_t i = 0; first != NULL && i < ARRAY_LEN(templates); i++) {
        size_t len = strlen(templates[i]);
        if (first->len >= len && memcmp(first->data, templates[i], len) == 0) {
            return true;
        }
    }
    return false;
}

bool header_is_deletion(struct slice operation)
{
    for (size_t i = 0; i < ARRAY_LEN(deletions); i++) {
        if (slice_eq(operation, slice_str(deletions[i]))) {
            return true;
        }
    }
    return false;
}

/* ---- the header ---- */

/* Number of the item that most columns belong to; ITEMS_MAX if two have as
 * many. */
static size_t choose_item(enum item_family family, const struct slice *cells,
                          size_t count)
{
    size_t items_count;
    size_t best = ITEMS_MAX;
    size_t best_hits = 0;
    const struct catalogue_item *const *items = catalogue_items(&items_count);
    for (size_t i = 0; i < items_count; i++) {
        size_t hits = 0;
        if (items[i]->family != family) {
            continue;
        }
        for (size_t k = 0; k < count; k++) {
            struct name name = plain_name(cells[k]);
            hits += place_of(i, find_name(&name)) != PLACE_NONE;
        }
        if (hits == best_hits) {
            best = ITEMS_MAX;
        } else if (hits > best_hits) {
            best = i;
            best_hits = hits;
        }
    }
    return best;
}

static void keep_label(struct header *h, size_t place, struct slice cell)
{
    size_t len = cell.len < LABEL_MAX - 1 ? cell.len : LABEL_MAX - 1;
    while (len < cell.len && len > 0 && cell.data[len] >> 6 == 2) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        h->labels[place][i] = (char)(cell.data[i] < ' ' ? ' ' : cell.data[i]);
    }
}

static void warn(const struct header_sink *sink, size_t column,
                 struct slice cell, const char *what)
{
    struct buf text = BUF_INIT;
    struct name name = plain_name(cell);
    buf_putf(&text, "column %zu \"%.*s\" %s", column + 1, (int)name.len,
             name.text, what);
    sink->warning(sink->ctx, buf_cstr(&text));
    buf_fini(&text);
}

/* Fills places, labels and columns; counts columns that only one of the sets
 * has. */
static void read_columns(struct header *h, size_t item,
                         const struct slice *cells, size_t count,
                         const struct header_sink *sink)
{
    size_t only[(IN_2018 | IN_2016) + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        struct name name = plain_name(cells[i]);
        const struct known *known = find_name(&name);
        size_t place = place_of(item, known);
        h->places[i] = PLACE_NONE;
        h->columns = name.len > 0 ? i + 1 : h->columns;
        if (place != PLACE_NONE && h->labels[place][0] != '\0') {
            warn(sink, i, cells[i], "is there already: not read");
        } else if (place != PLACE_NONE) {
            h->places[i] = (uint8_t)place;
            keep_label(h, place, cells[i]);
            only[known->of[item].sets]++;
        } else if (known != NULL && known->operation) {
            h->places[i] = PLACE_OPERATION;
        } else if (name.len > 0 && (known == NULL || !known->ignored)) {
            warn(sink, i, cells[i], "is unknown: not read");
        }
    }
    h->set = only[IN_2016] > only[IN_2018] ? SET_2016 : SET_2018;
}

static enum err check_mandatory(const struct header *h, uint64_t line,
                                struct errmsg *why)
{
    struct buf names = BUF_INIT;
    for (size_t i = 0; i < h->item->count; i++) {
        const struct catalogue_field *f = &h->item->fields[i];
        bool in_set =
            h->set == SET_2018 ? f->code != NULL : f->names_2016 != NULL;
        if (f->need == NEED_ALWAYS && in_set && h->labels[i][0] == '\0') {
            buf_putf(&names, "%s%s", names.len > 0 ? ", " : "",
                     header_label(h, f));
        }
    }
    enum err err = ERR_OK;
    if (names.len > 0) {
        err = err_set(why, ERR_INVALID,
                      "line %llu: the header (%s, columns of %s) lacks: %s",
                      (unsigned long long)line, h->item->name,
                      h->set == SET_2018 ? "2018" : "2016", buf_cstr(&names));
    }
    buf_fini(&names);
    return err;
}

enum err header_new(struct header **out, enum item_family family, uint64_t line,
                    const struct slice *cells, size_t count,
                    const struct header_sink *sink, struct errmsg *why)
{
    size_t items_count;
    const struct catalogue_item *const *items = catalogue_items(&items_count);
    size_t item = choose_item(family, cells, count);
    if (item == ITEMS_MAX) {
        return err_set(why, ERR_INVALID,
                       "line %llu: the header fits %s alike: use one table's "
                       "columns",
                       (unsigned long long)line,
                       family == FAMILY_RECORDS
                           ? "licences (XK_) and penalties (CF_)"
                           : "listings (MD_) and removals (YC_)");
    }
    struct header *h = MEM_NEW(struct header);
    h->item = items[item];
    read_columns(h, item, cells, count, sink);
    enum err err = check_mandatory(h, line, why);
    if (err != ERR_OK) {
        header_free(&h);
        return err;
    }
    *out = h;
    return ERR_OK;
}

void header_free(struct header **header)
{
    mem_free(*header);
    *header = NULL;
}

bool header_is_repeated(const struct header *h, const struct slice *cells,
                        size_t count)
{
    size_t i = 0;
    while (i < h->columns && h->places[i] >= CATALOGUE_FIELDS_MAX) {
        i++;
    }
    if (i >= count || i == h->columns) {
        return false;
    }
    size_t place = h->places[i];
    const struct catalogue_field *field = &h->item->fields[place];
    bool same =
        slice_eq(cells[i], slice_str(h->labels[place])) ||
        slice_eq(cells[i], slice_str(field->label_zh)) ||
        (field->code != NULL && slice_eq(cells[i], slice_str(field->code)));
    return same && header_is_header(cells, count);
}

const struct catalogue_item *header_item(const struct header *h)
{
    return h->item;
}

enum column_set header_set(const struct header *h)
{
    return h->set;
}

size_t header_columns(const struct header *h)
{
    return h->columns;
}

size_t header_place(const struct header *h, size_t column)
{
    return column < h->columns ? h->places[column] : PLACE_NONE;
}

const char *header_label(const struct header *h,
                         const struct catalogue_field *field)
{
    size_t place = catalogue_place(h->item, field->id);
    if (h->labels[place][0] != '\0') {
        return h->labels[place];
    }
    if (h->set == SET_2018 && field->code != NULL) {
        return field->code;
    }
    return field->names_2016 != NULL ? field->names_2016 : field->label_zh;
}
