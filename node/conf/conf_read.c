#include "conf/conf_read.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

/* A value on its way in: what it is, where it stands and where it goes. */
struct target {
    const struct conf_row *row;
    const char *name; /* full, for people: "apps[2].scopes" */
    struct conf_place place;
    void *field;
};

struct conf_place conf_read_place(const struct conf_read *l,
                                  const config_setting_t *setting)
{
    return conf_source_place(&l->source, config_setting_source_line(setting));
}

unsigned conf_read_length(const config_setting_t *setting)
{
    return (unsigned)config_setting_length(setting);
}

void *conf_field(struct conf *conf, const struct conf_row *row)
{
    return (char *)conf + row->offset;
}

void conf_read_unknown(struct conf_read *l, struct conf_place place,
                       const char *name, const struct conf_list *list)
{
    struct buf guess = BUF_INIT;
    if (conf_guess(name, list, &guess)) {
        conf_fail(l->errors, place, "%.60s is not an option; did you mean %s?",
                  name, buf_cstr(&guess));
    } else {
        conf_fail(l->errors, place,
                  "%.60s is not an option; remove it (docs/config.md has all)",
                  name);
    }
    buf_fini(&guess);
}

/* The folder relative paths of this place start from; "." on the command
 * line. */
static void folder_of(struct conf_place place, char out[PATH_MAX])
{
    char dir[PATH_MAX] = ".";
    const char *slash = place.file != NULL ? strrchr(place.file, '/') : NULL;
    if (slash != NULL && slash - place.file < PATH_MAX) {
        (void)snprintf(dir, sizeof dir, "%.*s", (int)(slash - place.file) + 1,
                       place.file);
    }
    if (realpath(dir, out) == NULL) {
        (void)snprintf(out, PATH_MAX, "%s", dir);
    }
}

static void check_file(struct conf_read *l, const struct target *t)
{
    const char *path = *(const char *const *)t->field;
    struct errmsg why;
    if (path[0] == 0 || (t->row->flags & CONF_EXISTS) == 0) {
        return;
    }
    if (access(path, R_OK) != 0) {
        int saved = errno;
        conf_fail(l->errors, t->place, "%s: cannot read %.300s: %s%s", t->name,
                  path, strerror(saved),
                  saved == EACCES ? file_advice(saved)
                                  : "; put the file there or name another");
    } else if ((t->row->flags & CONF_SECRET) != 0 &&
               file_check_private(path, &why) != ERR_OK) {
        conf_fail(l->errors, t->place, "%s: %s", t->name, why.text);
    }
}

static void take_text(struct conf_read *l, const struct target *t,
                      const char *text)
{
    struct errmsg why;
    char dir[PATH_MAX];
    if (strstr(text, "FILL-IN") != NULL) {
        conf_fail(l->errors, t->place,
                  "%s still has the placeholder \"%.60s\"; put in its place: "
                  "%s",
                  t->name, text, t->row->help);
        return;
    }
    folder_of(t->place, dir);
    if (conf_types[t->row->type].parse(t->row, text, dir, t->field, &why) !=
        ERR_OK) {
        conf_fail(l->errors, t->place, "%s: %s", t->name, why.text);
    } else if (t->row->type == CONF_PATH) {
        check_file(l, t);
    }
}

static const char *kind_name(const config_setting_t *setting)
{
    static const char *const names[] = {
        [CONFIG_TYPE_NONE] = "nothing",
        [CONFIG_TYPE_GROUP] = "a group",
        [CONFIG_TYPE_INT] = "a number without quotes",
        [CONFIG_TYPE_INT64] = "a number without quotes",
        [CONFIG_TYPE_FLOAT] = "a number with a point",
        [CONFIG_TYPE_STRING] = "text in quotes",
        [CONFIG_TYPE_BOOL] = "true or false",
        [CONFIG_TYPE_ARRAY] = "an array",
        [CONFIG_TYPE_LIST] = "a list",
    };
    return names[config_setting_type(setting)];
}

static void wrong_kind(struct conf_read *l, const struct target *t,
                       const config_setting_t *setting)
{
    const struct conf_type_info *type = &conf_types[t->row->type];
    conf_fail(l->errors, t->place,
              "%s: expected a %s and found %s; write it like %s", t->name,
              type->name, kind_name(setting), type->example);
}

static void read_scalar(struct conf_read *l, const struct target *t,
                        const config_setting_t *setting)
{
    int kind = config_setting_type(setting);
    bool number = kind == CONFIG_TYPE_INT || kind == CONFIG_TYPE_INT64;
    if (conf_types[t->row->type].number && number) {
        char text[24];
        (void)snprintf(text, sizeof text, "%lld",
                       config_setting_get_int64(setting));
        take_text(l, t, text);
    } else if (!conf_types[t->row->type].number && kind == CONFIG_TYPE_STRING) {
        take_text(l, t, config_setting_get_string(setting));
    } else {
        wrong_kind(l, t, setting);
    }
}

static void read_flags(struct conf_read *l, struct target t,
                       config_setting_t *setting)
{
    if (!config_setting_is_array(setting)) {
        wrong_kind(l, &t, setting);
        return;
    }
    for (unsigned i = 0; i < conf_read_length(setting); i++) {
        config_setting_t *s = config_setting_get_elem(setting, i);
        t.place = conf_read_place(l, s);
        if (config_setting_type(s) != CONFIG_TYPE_STRING) {
            wrong_kind(l, &t, s);
            return;
        }
        take_text(l, &t, config_setting_get_string(s));
    }
}

/* Puts values of earlier options for each ${path}. False if one is missing,
 * which was reported when it was found. */
static bool expand(const struct conf *conf, const char *text, struct buf *out)
{
    for (const char *at; (at = strstr(text, "${")) != NULL;) {
        char path[64];
        size_t len = strcspn(at + 2, "}");
        (void)snprintf(path, sizeof path, "%.*s", (int)len, at + 2);
        const struct conf_row *row = conf_row_find(path);
        buf_put(out, text, (size_t)(at - text));
        size_t before = out->len;
        conf_types[row->type].show(row, (const char *)conf + row->offset, out);
        if (out->len == before) {
            return false;
        }
        text = at + 2 + len + 1;
    }
    buf_put_str(out, text);
    return true;
}

static const char *default_of(const struct conf *conf,
                              const struct conf_row *row)
{
    if (row->by_tier == NULL) {
        return row->def;
    }
    size_t i = 0;
    while (i < CONF_TIERS - 1 && conf_tiers[i].value != conf->node.tier) {
        i++;
    }
    return row->by_tier[i];
}

static void read_default(struct conf_read *l, const struct target *t)
{
    const char *def = default_of(l->conf, t->row);
    struct buf text = BUF_INIT;
    if (def != NULL && expand(l->conf, def, &text)) {
        take_text(l, t, buf_cstr(&text));
    }
    buf_fini(&text);
}

static void missing(struct conf_read *l, const struct target *t)
{
    conf_fail(l->errors, t->place, "%s is missing; add %s = %s;  (%s)", t->name,
              conf_last_part(t->row->path), conf_types[t->row->type].example,
              t->row->help);
}

/* ---- lists ---- */

static const struct conf_row *item_row(const struct conf_list *list,
                                       const char *name)
{
    for (size_t i = 0; i < list->rows_count; i++) {
        if (strcmp(list->rows[i].path, name) == 0) {
            return &list->rows[i];
        }
    }
    return NULL;
}

static void read_item(struct conf_read *l, const struct conf_list *list,
                      config_setting_t *group, const char *name, void *item)
{
    struct buf full = BUF_INIT;
    for (size_t i = 0; i < list->rows_count; i++) {
        const struct conf_row *row = &list->rows[i];
        config_setting_t *s = config_setting_get_member(group, row->path);
        buf_clear(&full);
        buf_putf(&full, "%s.%s", name, row->path);
        struct target t = {row, buf_cstr(&full),
                           conf_read_place(l, s ? s : group),
                           (char *)item + row->offset};
        if (s == NULL && (row->flags & CONF_REQUIRED) != 0) {
            missing(l, &t);
        } else if (s == NULL) {
            read_default(l, &t);
        } else if (row->type == CONF_FLAGS) {
            read_flags(l, t, s);
        } else {
            read_scalar(l, &t, s);
        }
    }
    for (unsigned i = 0; i < conf_read_length(group); i++) {
        config_setting_t *s = config_setting_get_elem(group, i);
        if (item_row(list, config_setting_name(s)) == NULL) {
            buf_clear(&full);
            buf_putf(&full, "%s.%s", name, config_setting_name(s));
            conf_read_unknown(l, conf_read_place(l, s), buf_cstr(&full), list);
        }
    }
    buf_fini(&full);
}

static bool same_text(const struct conf_row *row, const void *a, const void *b)
{
    struct buf text[2] = {BUF_INIT, BUF_INIT};
    conf_types[row->type].show(row, (const char *)a + row->offset, &text[0]);
    conf_types[row->type].show(row, (const char *)b + row->offset, &text[1]);
    bool same = slice_eq(buf_slice(&text[0]), buf_slice(&text[1]));
    buf_fini(&text[0]);
    buf_fini(&text[1]);
    return same;
}

/* The first item before `at` with which it must not be equal, or `at`. */
static size_t find_twin(const struct conf_list *list, struct conf_items items,
                        size_t at)
{
    const struct conf_row *row = &list->rows[list->unique];
    size_t i = 0;
    while (i < at && !same_text(row, items.items + i * list->item_size,
                                items.items + at * list->item_size)) {
        i++;
    }
    return i;
}

static void read_list(struct conf_read *l, const struct target *t,
                      config_setting_t *setting)
{
    const struct conf_list *list = t->row->list;
    size_t count = conf_read_length(setting);
    if (!config_setting_is_list(setting)) {
        wrong_kind(l, t, setting);
        return;
    }
    if (count > t->row->max) {
        conf_fail(l->errors, t->place, "%s: %zu items; at most %llu may be",
                  t->name, count, (unsigned long long)t->row->max);
        return;
    }
    struct conf_items items = {mem_zalloc(count + 1, list->item_size), count};
    conf_items_set(t->field, items);
    for (unsigned i = 0; i < count; i++) {
        config_setting_t *s = config_setting_get_elem(setting, i);
        char name[NAME_MAX];
        (void)snprintf(name, sizeof name, "%s[%u]", t->name, i);
        struct target item = {t->row, name, conf_read_place(l, s), NULL};
        if (!config_setting_is_group(s)) {
            wrong_kind(l, &item, s);
            continue;
        }
        size_t faults = l->errors->count;
        read_item(l, list, s, name, items.items + i * list->item_size);
        size_t twin =
            l->errors->count == faults ? find_twin(list, items, i) : i;
        if (twin < i) {
            conf_fail(l->errors, item.place,
                      "%s has the same %s as %s[%zu]; keep one", name,
                      list->rows[list->unique].path, t->name, twin);
        }
    }
}

static const char *find_override(const struct conf_read *l, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = l->overrides_count; i > 0; i--) {
        const char *text = l->overrides[i - 1];
        if (strncmp(text, path, len) == 0 && text[len] == '=') {
            return text + len + 1;
        }
    }
    return NULL;
}

/* Where a missing option should stand: its group, or the file's start. */
static struct conf_place place_to_add(struct conf_read *l,
                                      const struct conf_row *row)
{
    char group[64];
    (void)snprintf(group, sizeof group, "%.*s", (int)strcspn(row->path, "."),
                   row->path);
    config_setting_t *s = config_lookup(&l->tree, group);
    return s != NULL ? conf_read_place(l, s)
                     : (struct conf_place){l->source.files[0], 1};
}

void conf_read_row(struct conf_read *l, const struct conf_row *row)
{
    struct conf_place *place = &l->conf->origins->at[row - conf_rows];
    struct target t = {row, row->path, {NULL, 0}, conf_field(l->conf, row)};
    const char *text =
        row->type != CONF_LIST ? find_override(l, row->path) : NULL;
    config_setting_t *s = config_lookup(&l->tree, row->path);
    if (text != NULL) {
        t.place.file = conf_command_line;
        take_text(l, &t, text);
    } else if (s != NULL) {
        t.place = conf_read_place(l, s);
        if (row->type == CONF_LIST) {
            read_list(l, &t, s);
        } else {
            read_scalar(l, &t, s);
        }
    } else if ((row->flags & CONF_REQUIRED) != 0) {
        t.place = place_to_add(l, row);
        missing(l, &t);
    } else {
        read_default(l, &t);
    }
    *place = t.place;
}
