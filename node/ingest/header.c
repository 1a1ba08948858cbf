#include "ingest/header.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "ingest/csv.h"

enum {
    NAME_MAX_BYTES = 160,
    LABEL_MAX = 96,
    NO_ITEM = CATALOGUE_ITEMS_MAX,
};

/* Does not change once it was read. */
struct header {
    unsigned refs;                     /* current.lock */
    const struct catalogue *catalogue; /* that it was read by */
    struct buf cells; /* of one that is kept: as they were given, each behind
                         its length */
    enum item_family family;
    bool warned; /* of some column */
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
 * searched for. Made for the catalogue in force when first asked, and again
 * when that has changed; who reads an older one keeps it till he is done. */
struct meaning {
    uint8_t item; /* place in the catalogue's items */
    uint8_t place;
    uint8_t sets;  /* in which it names that field */
    uint32_t next; /* of the same name, place in meanings + 1; 0: the last */
};
struct known {
    size_t at;      /* in texts */
    size_t len;     /* 0: free */
    uint32_t first; /* as meaning.next */
    bool operation;
    bool ignored;
};
struct names {
    unsigned refs; /* current.lock */
    const struct catalogue *catalogue;
    struct known *slots;
    size_t slots_n; /* power of two, at least twice those used */
    struct buf texts;
    struct meaning *meanings;
    size_t meanings_n;
    size_t meanings_cap;
};

/* The slot of a name, or the free one where it belongs. */
static struct known *slot_of(const struct names *names, const struct name *name)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < name->len; i++) {
        h = (h ^ (uint8_t)name->text[i]) * 0x100000001b3;
    }
    for (size_t at = (h ^ h >> 32) & (names->slots_n - 1);;
         at = (at + 1) & (names->slots_n - 1)) {
        struct known *k = &names->slots[at];
        if (k->len == 0 ||
            (k->len == name->len &&
             memcmp(names->texts.data + k->at, name->text, k->len) == 0)) {
            return k;
        }
    }
}

/* NULL for an empty name. */
static struct known *add_name(struct names *names, struct slice text)
{
    struct name name = plain_name(text);
    struct known *k = name.len > 0 ? slot_of(names, &name) : NULL;
    if (k != NULL && k->len == 0) {
        k->at = names->texts.len;
        k->len = name.len;
        buf_put(&names->texts, name.text, name.len);
    }
    return k;
}

static struct meaning *meaning_of(const struct names *names,
                                  const struct known *k, size_t item)
{
    uint32_t at = k != NULL ? k->first : 0;
    while (at != 0 && names->meanings[at - 1].item != item) {
        at = names->meanings[at - 1].next;
    }
    return at != 0 ? &names->meanings[at - 1] : NULL;
}

/* Of two fields with the same name the first has it. */
static void add_meaning(struct names *names, struct known *k, size_t item,
                        size_t place, unsigned sets)
{
    struct meaning *m = meaning_of(names, k, item);
    if (m != NULL) {
        m->sets |= m->place == place ? (uint8_t)sets : 0;
        return;
    }
    if (names->meanings_n == names->meanings_cap) {
        names->meanings_cap = 2 * names->meanings_cap + 256;
        names->meanings = mem_realloc(
            names->meanings, names->meanings_cap * sizeof *names->meanings);
    }
    names->meanings[names->meanings_n++] = (struct meaning){
        (uint8_t)item, (uint8_t)place, (uint8_t)sets, k->first};
    k->first = (uint32_t)names->meanings_n;
}

/* `list` has '|' between its names; NULL is an empty list. */
static void add_list(struct names *names, size_t item, size_t place,
                     const char *list, unsigned sets)
{
    while (list != NULL) {
        const char *bar = strchr(list, '|');
        size_t len = bar != NULL ? (size_t)(bar - list) : strlen(list);
        struct known *k = add_name(names, slice_of(list, len));
        if (k != NULL) {
            add_meaning(names, k, item, place, sets);
        }
        list = bar != NULL ? bar + 1 : NULL;
    }
}

static void add_item(struct names *names, size_t at,
                     const struct catalogue_item *item)
{
    for (size_t i = 0; i < item->count; i++) {
        const struct catalogue_field *f = &item->fields[i];
        unsigned by_label = f->code != NULL ? IN_2018 : IN_2016;
        add_list(names, at, i, f->code, IN_2018);
        add_list(names, at, i, f->names_2016, IN_2016);
        add_list(names, at, i, f->label_zh, by_label);
        add_list(names, at, i, f->names_more, by_label);
        add_list(names, at, i, f->label_en, by_label);
    }
}

static size_t count_bars(const char *list)
{
    size_t n = list != NULL;
    while (list != NULL && (list = strchr(list, '|')) != NULL) {
        n++;
        list++;
    }
    return n;
}

/* As many names as there may be. */
static size_t count_names(const struct catalogue *c)
{
    enum { CODE_AND_LABELS = 3 };
    size_t n = ARRAY_LEN(ignored) + ARRAY_LEN(operations);
    for (size_t i = 0; i < c->items_n; i++) {
        for (size_t k = 0; k < c->items[i]->count; k++) {
            const struct catalogue_field *f = &c->items[i]->fields[k];
            n += CODE_AND_LABELS + count_bars(f->names_2016) +
                 count_bars(f->names_more);
        }
    }
    return n;
}

static struct names *names_new(const struct catalogue *c)
{
    struct names *names = MEM_NEW(struct names);
    names->catalogue = c;
    names->refs = 1;
    names->slots_n = 1024;
    while (names->slots_n < 2 * count_names(c)) {
        names->slots_n *= 2;
    }
    names->slots = mem_zalloc(names->slots_n, sizeof *names->slots);
    for (size_t i = 0; i < c->items_n; i++) {
        add_item(names, i, c->items[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        add_name(names, slice_str(ignored[i]))->ignored = true;
    }
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        add_name(names, slice_str(operations[i]))->operation = true;
    }
    return names;
}

/* Apps send the same header with every record, so the last ones are kept. */
enum { KEPT_HEADERS = 4, KEPT_BYTES = 4096 };

static struct {
    pthread_mutex_t lock;
    struct names *names; /* lock; of the catalogue last asked for */
    struct header *kept[KEPT_HEADERS]; /* lock; each with a reference */
    unsigned next;                     /* lock; gives way to the next one */
} current = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* lock held */
static void unref(struct names *names)
{
    if (names != NULL && --names->refs == 0) {
        buf_fini(&names->texts);
        mem_free(names->meanings);
        mem_free(names->slots);
        mem_free(names);
    }
}

static struct names *names_take(void)
{
    const struct catalogue *c = catalogue_now();
    (void)pthread_mutex_lock(&current.lock);
    if (current.names == NULL || current.names->catalogue != c) {
        unref(current.names);
        current.names = names_new(c);
    }
    struct names *names = current.names;
    names->refs++;
    (void)pthread_mutex_unlock(&current.lock);
    return names;
}

static void names_give(struct names *names)
{
    (void)pthread_mutex_lock(&current.lock);
    unref(names);
    (void)pthread_mutex_unlock(&current.lock);
}

/* NULL if no table has such a column. */
static const struct known *find_name(const struct names *names,
                                     const struct name *name)
{
    const struct known *k = name->len > 0 ? slot_of(names, name) : NULL;
    return k != NULL && k->len > 0 ? k : NULL;
}

/* `item` as numbered in the catalogue; `known` may be NULL. */
static size_t place_of(const struct names *names, size_t item,
                       const struct known *known)
{
    const struct meaning *m = meaning_of(names, known, item);
    return m != NULL ? m->place : PLACE_NONE;
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

static bool is_header(const struct names *names, const struct slice *cells,
                      size_t count)
{
    enum { LEAST = 3 };
    size_t known = 0;
    size_t other = 0;
    for (size_t i = 0; i < count; i++) {
        if (cells[i].len == 0) {
            continue;
        }
        struct name name = plain_name(cells[i]);
        bool is = find_name(names, &name) != NULL;
        known += is;
        other += !is;
        /* Rows of data are many: they are told by their first cells. */
        if (other >= LEAST && other > known) {
            return false;
        }
    }
    return known >= LEAST && known > other;
}

bool header_is_header(const struct slice *cells, size_t count)
{
    struct names *names = names_take();
    bool is = is_header(names, cells, count);
    names_give(names);
    return is;
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

/* What a cell of a header says. */
struct column {
    bool named;
    const struct known *known; /* NULL: no table has it */
};

static void look_up(const struct names *names, const struct slice *cells,
                    size_t count, struct column *out)
{
    for (size_t i = 0; i < count; i++) {
        struct name name = plain_name(cells[i]);
        out[i] = (struct column){name.len > 0, find_name(names, &name)};
    }
}

/* Number of the item that most columns belong to; NO_ITEM if two have as
 * many. */
static size_t choose_item(const struct names *names, enum item_family family,
                          const struct column *columns, size_t count)
{
    size_t best = NO_ITEM;
    size_t best_hits = 0;
    const struct catalogue_item *const *items = names->catalogue->items;
    for (size_t i = 0; i < names->catalogue->items_n; i++) {
        size_t hits = 0;
        if (items[i]->family != family) {
            continue;
        }
        for (size_t k = 0; k < count; k++) {
            hits += place_of(names, i, columns[k].known) != PLACE_NONE;
        }
        if (hits == best_hits) {
            best = NO_ITEM;
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
static void read_columns(struct header *h, const struct names *names,
                         size_t item, const struct slice *cells,
                         const struct column *columns, size_t count,
                         const struct header_sink *sink)
{
    size_t only[(IN_2018 | IN_2016) + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        const struct known *known = columns[i].known;
        const struct meaning *m = meaning_of(names, known, item);
        size_t place = m != NULL ? m->place : PLACE_NONE;
        h->places[i] = PLACE_NONE;
        h->columns = columns[i].named ? i + 1 : h->columns;
        if (place != PLACE_NONE && h->labels[place][0] != '\0') {
            h->warned = true;
            warn(sink, i, cells[i], "is there already: not read");
        } else if (m != NULL) {
            h->places[i] = (uint8_t)place;
            keep_label(h, place, cells[i]);
            only[m->sets]++;
        } else if (known != NULL && known->operation) {
            h->places[i] = PLACE_OPERATION;
        } else if (columns[i].named && (known == NULL || !known->ignored)) {
            h->warned = true;
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

static enum err read_header(struct header **out, const struct names *names,
                            enum item_family family, uint64_t line,
                            const struct slice *cells, size_t count,
                            const struct header_sink *sink, struct errmsg *why)
{
    struct column columns[CSV_COLUMNS_MAX];
    look_up(names, cells, count, columns);
    size_t item = choose_item(names, family, columns, count);
    if (item == NO_ITEM) {
        return err_set(why, ERR_INVALID,
                       "line %llu: the header fits %s alike: use one table's "
                       "columns",
                       (unsigned long long)line,
                       family == FAMILY_RECORDS
                           ? "two kinds, such as licences (XK_) and "
                             "penalties (CF_),"
                           : "listings (MD_) and removals (YC_)");
    }
    struct header *h = MEM_NEW(struct header);
    h->refs = 1;
    h->catalogue = names->catalogue;
    h->family = family;
    h->item = names->catalogue->items[item];
    read_columns(h, names, item, cells, columns, count, sink);
    enum err err = check_mandatory(h, line, why);
    if (err != ERR_OK) {
        header_free(&h);
        return err;
    }
    *out = h;
    return ERR_OK;
}

/* ---- headers that come again ---- */

/* Lock held. */
static void drop(struct header *h)
{
    if (h != NULL && --h->refs == 0) {
        buf_fini(&h->cells);
        mem_free(h);
    }
}

static bool same_cells(const struct header *h, const struct slice *cells,
                       size_t count)
{
    struct reader r = reader_of(buf_slice(&h->cells));
    for (size_t i = 0; i < count; i++) {
        if (!slice_eq(reader_bytes(&r, reader_u32(&r)), cells[i])) {
            return false;
        }
    }
    return reader_done(&r);
}

struct header *header_again(enum item_family family, const struct slice *cells,
                            size_t count)
{
    const struct catalogue *c = catalogue_now();
    struct header *found = NULL;
    (void)pthread_mutex_lock(&current.lock);
    for (unsigned i = 0; found == NULL && i < KEPT_HEADERS; i++) {
        struct header *h = current.kept[i];
        if (h != NULL && h->catalogue == c && h->family == family &&
            same_cells(h, cells, count)) {
            h->refs++;
            found = h;
        }
    }
    (void)pthread_mutex_unlock(&current.lock);
    return found;
}

/* Nobody else has it yet. */
static void keep(struct header *h, const struct slice *cells, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += sizeof(uint32_t) + cells[i].len;
    }
    if (h->warned || len > KEPT_BYTES) {
        return; /* to be warned of again; or as rare as it is long */
    }
    (void)buf_reserve(&h->cells, len);
    for (size_t i = 0; i < count; i++) {
        buf_put_u32(&h->cells, (uint32_t)cells[i].len);
        buf_put_slice(&h->cells, cells[i]);
    }
    (void)pthread_mutex_lock(&current.lock);
    struct header **place = &current.kept[current.next];
    current.next = (current.next + 1) % KEPT_HEADERS;
    drop(*place);
    h->refs++;
    *place = h;
    (void)pthread_mutex_unlock(&current.lock);
}

enum err header_new(struct header **out, enum item_family family, uint64_t line,
                    const struct slice *cells, size_t count,
                    const struct header_sink *sink, struct errmsg *why)
{
    struct names *names = names_take();
    enum err err =
        read_header(out, names, family, line, cells, count, sink, why);
    names_give(names);
    if (err == ERR_OK) {
        keep(*out, cells, count);
    }
    return err;
}

void header_free(struct header **header)
{
    (void)pthread_mutex_lock(&current.lock);
    drop(*header);
    (void)pthread_mutex_unlock(&current.lock);
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
