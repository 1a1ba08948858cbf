#include "run/places.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    TABLE_BYTES_MAX = 64 << 20, /* the whole country has 30 MB */
    CELLS = 4,
    PATH_LEN = 512,
    CHILDREN_SAY_MAX = 9999,
};

static const char header[] = "code,tier,parent,name";

/* A line of the table, its parent by code. */
struct row {
    struct place place;
    uint64_t parent;
    bool top;
};

struct selection {
    const struct area *area;
    uint64_t root;
    struct place *place; /* owned */
    unsigned *children;  /* owned: taken of each place */
    int *depth;          /* owned: below the root, which has 0 */
    unsigned n;
    bool too_many;
};

bool area_below_parse(const char *text, struct area *out, struct errmsg *why)
{
    unsigned levels = 0;
    for (const char *at = text; *at != '\0' && levels < PLACES_DEPTH_MAX;) {
        char *end;
        unsigned long n = strtoul(at, &end, 10);
        if (end == at || *at == '-' || n > CHILDREN_SAY_MAX ||
            (*end != ',' && *end != '\0')) {
            break;
        }
        out->below[levels++] = (unsigned)n;
        if (*end == '\0') {
            return true;
        }
        at = end + 1;
    }
    (void)err_set(why, ERR_CONF,
                  "--below \"%s\": give the children of each node, a level "
                  "below the area, as in 2,2,3: at most %d levels, 0 for all",
                  text, PLACES_DEPTH_MAX);
    return false;
}

/* ---- one line ---- */

static bool split(struct slice line, char cells[CELLS][PLACE_NAME_MAX + 1])
{
    const char *at = (const char *)line.data;
    size_t left = line.len;
    for (int i = 0; i < CELLS; i++) {
        const char *comma = i < CELLS - 1 ? memchr(at, ',', left) : at + left;
        size_t len = comma != NULL ? (size_t)(comma - at) : 0;
        if (comma == NULL || len > PLACE_NAME_MAX) {
            return false;
        }
        memcpy(cells[i], at, len);
        cells[i][len] = '\0';
        left -= len + (i < CELLS - 1);
        at = comma + 1;
    }
    return true;
}

static bool is_name(const char *text)
{
    return *text != '\0' && strpbrk(text, "\"\\,\n\r") == NULL &&
           str_utf8_valid(slice_str(text));
}

/* NULL: it is well. */
static const char *parse(struct slice line, struct row *out)
{
    char cells[CELLS][PLACE_NAME_MAX + 1];
    if (!split(line, cells)) {
        return "four fields \"code,tier,parent,name\", none longer than 96 "
               "bytes";
    }
    out->top = cells[2][0] == '\0';
    out->parent = 0;
    if (!code_parse(cells[0], &out->place.code)) {
        return "field code: 12 digits";
    }
    if (!tier_parse(cells[1], &out->place.tier)) {
        return "field tier: national, province, city, county, township or "
               "village";
    }
    if (!out->top && !code_parse(cells[2], &out->parent)) {
        return "field parent: 12 digits, or empty for the root";
    }
    if (!is_name(cells[3])) {
        return "field name: UTF-8 without quotes and backslashes";
    }
    (void)snprintf(out->place.name, sizeof out->place.name, "%s", cells[3]);
    return NULL;
}

/* ---- a table ---- */

typedef bool row_fn(void *ctx, const struct row *row); /* false: enough */

static enum err read_table(const char *path, row_fn *fn, void *ctx,
                           struct errmsg *why)
{
    struct buf file = BUF_INIT;
    struct slice line;
    unsigned number = 0;
    enum err err = file_read(path, TABLE_BYTES_MAX, &file, why);
    struct slice rest = buf_slice(&file);
    bool more = true;
    while (err == ERR_OK && more && str_next_line(&rest, &line)) {
        struct row row;
        bool first = number++ == 0;
        const char *rule = !first ? parse(line, &row)
                           : slice_eq(line, slice_str(header))
                               ? NULL
                               : "the first line is \"code,tier,parent,name\"";
        if (rule != NULL) {
            err = err_set(why, ERR_CONF,
                          "%s:%u: %s; make-area.sh writes such tables", path,
                          number, rule);
        } else if (!first) {
            more = fn(ctx, &row);
        }
    }
    buf_fini(&file);
    return err;
}

/* ---- the selection ---- */

static int index_of(const struct selection *s, uint64_t code)
{
    for (unsigned i = s->n; i-- > 0;) {
        if (s->place[i].code == code) {
            return (int)i;
        }
    }
    return -1;
}

static bool is_above(const struct row *row, const struct selection *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (s->place[i].code == row->place.code) {
            return true;
        }
    }
    return false;
}

static void take(struct selection *s, const struct row *row, int parent,
                 int depth)
{
    s->place[s->n] = row->place;
    s->place[s->n].parent = parent;
    s->depth[s->n] = depth;
    s->n++;
    if (parent >= 0) {
        s->children[parent]++;
    }
}

static bool has_room(const struct selection *s, int parent)
{
    int depth = s->depth[parent];
    unsigned most = depth < PLACES_DEPTH_MAX ? s->area->below[depth] : 0;
    return most == 0 || s->children[parent] < most;
}

/* Ancestors are in s->place already, from the top. */
static bool take_below(void *ctx, const struct row *row)
{
    struct selection *s = ctx;
    int parent = row->top ? -1 : index_of(s, row->parent);
    if (parent < 0 || s->depth[parent] < 0 || is_above(row, s) ||
        !has_room(s, parent)) {
        return true;
    }
    s->too_many = s->n == PLACES_MAX;
    if (!s->too_many) {
        take(s, row, parent, s->depth[parent] + 1);
    }
    return !s->too_many;
}

struct search {
    uint64_t code;
    struct row row;
    bool found;
};

static bool is_it(void *ctx, const struct row *row)
{
    struct search *s = ctx;
    if (row->place.code == s->code) {
        s->row = *row;
        s->found = true;
    }
    return !s->found;
}

/* The root and what is above it, from the top down. */
static enum err take_ancestors(struct selection *s, const char *path,
                               bool *found, struct errmsg *why)
{
    struct row chain[PLACES_DEPTH_MAX + 2];
    int n = 0;
    struct search at = {.code = s->root};
    enum err err = read_table(path, is_it, &at, why);
    *found = at.found;
    while (err == ERR_OK && at.found && n < PLACES_DEPTH_MAX + 2) {
        chain[n++] = at.row;
        if (at.row.top) {
            break;
        }
        at = (struct search){.code = at.row.parent};
        err = read_table(path, is_it, &at, why);
    }
    if (err == ERR_OK && *found && (n == 0 || !chain[n - 1].top)) {
        return err_set(
            why, ERR_CONF, "%s: field parent of %012llu: leads to no root",
            path,
            (unsigned long long)(n > 0 ? chain[n - 1].place.code : s->root));
    }
    for (int i = n; i-- > 0;) {
        /* What is beside the area is not wanted: no depth. */
        take(s, &chain[i], (int)s->n - 1, i == 0 ? 0 : -1);
    }
    return err;
}

static enum err select_in(struct selection *s, const char *path, bool *found,
                          struct errmsg *why)
{
    enum err err = take_ancestors(s, path, found, why);
    if (err == ERR_OK && *found) {
        err = read_table(path, take_below, s, why);
    }
    if (err == ERR_OK && s->too_many) {
        err = err_set(why, ERR_CONF,
                      "area %s has more than %d nodes: take a smaller one or "
                      "limit it with --below",
                      s->area->code, PLACES_MAX);
    }
    return err;
}

static enum err select_of(struct selection *s, struct errmsg *why)
{
    char pattern[PATH_LEN];
    struct stat st;
    glob_t tables = {0};
    bool found = false;
    enum err err = ERR_OK;
    bool folder = stat(s->area->table, &st) == 0 && S_ISDIR(st.st_mode);
    (void)snprintf(pattern, sizeof pattern, folder ? "%s/*.csv" : "%s",
                   s->area->table);
    (void)glob(pattern, folder ? 0 : GLOB_NOCHECK, NULL, &tables);
    for (size_t i = 0; i < tables.gl_pathc && err == ERR_OK && !found; i++) {
        err = select_in(s, tables.gl_pathv[i], &found, why);
    }
    globfree(&tables);
    if (err == ERR_OK && !found) {
        err = err_set(why, ERR_CONF,
                      "area %s: no table in %s has it; cut one with "
                      "simulate/area/make-area.sh and name it with --table",
                      s->area->code, s->area->table);
    }
    return err;
}

enum err places_of_area(const struct area *area, struct place **out,
                        unsigned *n, struct errmsg *why)
{
    struct selection s = {.area = area};
    char code[CODE_LEN + 1] = "000000000000";
    size_t len = strlen(area->code);
    *out = NULL;
    if (len > CODE_LEN || len < 2) {
        return err_set(why, ERR_CONF, "area \"%s\": 2 to 12 digits",
                       area->code);
    }
    memcpy(code, area->code, len);
    if (!code_parse(code, &s.root)) {
        return err_set(why, ERR_CONF, "area \"%s\": 2 to 12 digits",
                       area->code);
    }
    s.place = mem_zalloc(PLACES_MAX, sizeof *s.place);
    s.children = mem_zalloc(PLACES_MAX, sizeof *s.children);
    s.depth = mem_zalloc(PLACES_MAX, sizeof *s.depth);
    enum err err = select_of(&s, why);
    mem_free(s.children);
    mem_free(s.depth);
    if (err != ERR_OK) {
        mem_free(s.place);
        return err;
    }
    *out = s.place;
    *n = s.n;
    return ERR_OK;
}

enum err places_of_shape(const struct pure_shape *shape, struct place **out,
                         unsigned *n, struct errmsg *why)
{
    struct pure_place *pure = mem_zalloc(PURE_NODES_MAX, sizeof *pure);
    enum err err = ERR_OK;
    *n = pure_places(shape, pure);
    *out = mem_zalloc(*n, sizeof **out);
    if (*n > PLACES_MAX) {
        err = err_set(why, ERR_CONF, "%u nodes: at most %d", *n, PLACES_MAX);
    }
    for (unsigned i = 0; i < *n; i++) {
        struct place *p = &(*out)[i];
        *p = (struct place){pure[i].code, pure[i].tier, pure[i].parent, ""};
        (void)snprintf(p->name, sizeof p->name, "node %u", i);
    }
    mem_free(pure);
    if (err != ERR_OK) {
        mem_free(*out);
        *out = NULL;
    }
    return err;
}
