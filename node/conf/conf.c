#include "conf/conf.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "conf/conf_read.h"

const char conf_command_line[] = "--set";

void conf_place_show(struct conf_place place, struct buf *out)
{
    buf_put_str(out, place.file != NULL ? place.file : "default");
    if (place.line > 0) {
        buf_putf(out, ":%u", place.line);
    }
}

void conf_fail(struct conf_errors *errors, struct conf_place place,
               const char *fmt, ...)
{
    if (errors->count < CONF_ERRORS_MAX) {
        struct buf text = BUF_INIT;
        va_list ap;
        va_start(ap, fmt);
        if (place.file != NULL) {
            conf_place_show(place, &text);
            buf_put_str(&text, ": ");
        }
        buf_vputf(&text, fmt, ap);
        va_end(ap);
        (void)err_set(&errors->at[errors->count], ERR_CONF, "%s",
                      buf_cstr(&text));
        buf_fini(&text);
    }
    errors->count++;
}

static bool is_group(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < conf_rows_count; i++) {
        const char *path = conf_rows[i].path;
        if (strncmp(path, name, len) == 0 && path[len] == '.') {
            return true;
        }
    }
    return false;
}

static void check_group(struct conf_read *l, config_setting_t *group)
{
    struct buf path = BUF_INIT;
    for (unsigned i = 0; i < conf_read_length(group); i++) {
        config_setting_t *s = config_setting_get_elem(group, i);
        buf_clear(&path);
        buf_putf(&path, "%s.%s", config_setting_name(group),
                 config_setting_name(s));
        if (conf_row_find(buf_cstr(&path)) == NULL) {
            conf_read_unknown(l, conf_read_place(l, s), buf_cstr(&path), NULL);
        }
    }
    buf_fini(&path);
}

static void check_names(struct conf_read *l)
{
    config_setting_t *root = config_root_setting(&l->tree);
    for (unsigned i = 0; i < conf_read_length(root); i++) {
        config_setting_t *s = config_setting_get_elem(root, i);
        const char *name = config_setting_name(s);
        if (is_group(name) && config_setting_is_group(s)) {
            check_group(l, s);
        } else if (is_group(name)) {
            conf_fail(l->errors, conf_read_place(l, s),
                      "%s is a group of options; write %s: { … };", name, name);
        } else if (conf_row_find(name) == NULL) {
            conf_read_unknown(l, conf_read_place(l, s), name, NULL);
        }
    }
}

static void check_overrides(struct conf_read *l)
{
    struct conf_place place = {conf_command_line, 0};
    for (size_t i = 0; i < l->overrides_count; i++) {
        const char *text = l->overrides[i];
        const char *equal = strchr(text, '=');
        char *name = mem_strdup(text);
        name[equal != NULL ? (size_t)(equal - text) : strlen(text)] = 0;
        const struct conf_row *row = conf_row_find(name);
        if (equal == NULL) {
            conf_fail(l->errors, place,
                      "\"%.60s\" has no value; write option=value", text);
        } else if (row == NULL) {
            conf_read_unknown(l, place, name, NULL);
        } else if (row->type == CONF_LIST) {
            conf_fail(l->errors, place,
                      "%s is a list; it can stand in a file only", name);
        }
        mem_free(name);
    }
}

static uint64_t number_of(struct conf *conf, const struct conf_row *row)
{
    const void *field = conf_field(conf, row);
    return row->type == CONF_SIZE ? *(const uint64_t *)field
                                  : *(const uint32_t *)field;
}

static void check_order(struct conf_read *l, const struct conf_order *order)
{
    const struct conf_row *low = conf_row_find(order->low);
    const struct conf_row *high = conf_row_find(order->high);
    struct conf_place place = l->conf->origins->at[low - conf_rows];
    if (place.file == NULL) {
        place = l->conf->origins->at[high - conf_rows];
    }
    if (number_of(l->conf, low) > number_of(l->conf, high)) {
        conf_fail(l->errors, place,
                  "%s is above %s; lower the first or raise the second",
                  order->low, order->high);
    }
}

/* Chinese input methods make full-width quotes and semicolons, which look
 * almost like the ones the syntax needs. */
static bool has_full_width(struct slice line)
{
    static const char *const marks[] = {"“", "”", "；", "＝", "：", "｛", "｝"};
    for (size_t i = 0; i < ARRAY_LEN(marks) && line.len > 0; i++) {
        if (memmem(line.data, line.len, marks[i], strlen(marks[i])) != NULL) {
            return true;
        }
    }
    return false;
}

static void syntax_error(struct conf_read *l)
{
    unsigned line = (unsigned)config_error_line(&l->tree);
    struct conf_place place = conf_source_place(&l->source, line);
    if (strcmp(config_error_text(&l->tree), "duplicate setting name") == 0) {
        conf_fail(l->errors, place,
                  "this option or group stands twice (included files count); "
                  "keep one");
    } else if (has_full_width(conf_source_line(&l->source, line))) {
        conf_fail(l->errors, place,
                  "not understood; type quotes, \":\", \"=\", \";\" and "
                  "braces half-width, not “ ” ： ＝ ； ｛ ｝");
    } else {
        conf_fail(l->errors, place,
                  "not understood; look here and on the line above for a "
                  "missing \";\", quote or brace");
    }
}

static void read_all(struct conf_read *l)
{
    check_names(l);
    check_overrides(l);
    for (size_t i = 0; i < conf_rows_count; i++) {
        conf_read_row(l, &conf_rows[i]);
    }
    for (size_t i = 0; i < conf_orders_count && l->errors->count == 0; i++) {
        check_order(l, &conf_orders[i]);
    }
}

static struct conf *conf_new(void)
{
    struct conf *conf = MEM_NEW(struct conf);
    conf->origins = MEM_NEW(struct conf_origins);
    conf->origins->at = mem_zalloc(conf_rows_count, sizeof *conf->origins->at);
    return conf;
}

/* What `file` of the places points to goes over to the conf. */
static void keep_files(struct conf_origins *origins, struct conf_source *source)
{
    origins->files_count = source->files_count;
    origins->files =
        mem_dup(source->files, source->files_count * sizeof source->files[0]);
    source->files_count = 0;
}

enum err conf_load(struct conf **out, const char *path,
                   const char *const *overrides, size_t n,
                   struct conf_errors *errors)
{
    struct conf_read l = {.conf = conf_new(),
                          .overrides = overrides,
                          .overrides_count = n,
                          .errors = errors};
    errors->count = 0;
    config_init(&l.tree);
    conf_source_read(&l.source, path, errors);
    if (errors->count > 0) {
        goto out;
    }
    if (config_read_string(&l.tree, buf_cstr(&l.source.text)) == CONFIG_FALSE) {
        syntax_error(&l);
        goto out;
    }
    read_all(&l);
    keep_files(l.conf->origins, &l.source);
out:
    config_destroy(&l.tree);
    conf_source_fini(&l.source);
    if (errors->count > 0) {
        conf_free(&l.conf);
    }
    *out = l.conf;
    return errors->count > 0 ? ERR_CONF : ERR_OK;
}

static void free_text(const struct conf_row *row, void *base)
{
    char *text = NULL;
    if (conf_types[row->type].text) {
        memcpy(&text, (char *)base + row->offset, sizeof text);
    }
    mem_free(text);
}

static void free_items(const struct conf_row *row, void *base)
{
    const struct conf_list *list = row->list;
    struct conf_items items = conf_items_get((char *)base + row->offset);
    for (size_t i = 0; i < items.count * list->rows_count; i++) {
        free_text(&list->rows[i % list->rows_count],
                  items.items + i / list->rows_count * list->item_size);
    }
    mem_free(items.items);
}

static void free_fields(struct conf *conf)
{
    for (size_t i = 0; i < conf_rows_count; i++) {
        if (conf_rows[i].type == CONF_LIST) {
            free_items(&conf_rows[i], conf);
        } else {
            free_text(&conf_rows[i], conf);
        }
    }
}

void conf_free(struct conf **conf)
{
    if (*conf == NULL) {
        return;
    }
    struct conf_origins *origins = (*conf)->origins;
    free_fields(*conf);
    for (size_t i = 0; i < origins->files_count; i++) {
        mem_free(origins->files[i]);
    }
    mem_free(origins->files);
    mem_free(origins->at);
    mem_free(origins);
    mem_free(*conf);
    *conf = NULL;
}

const char *conf_origin(const struct conf *conf, const char *path,
                        struct errmsg *out)
{
    const struct conf_row *row = conf_row_find(path);
    struct buf text = BUF_INIT;
    conf_place_show(conf->origins->at[row - conf_rows], &text);
    (void)err_set(out, ERR_OK, "%s", buf_cstr(&text));
    buf_fini(&text);
    return out->text;
}
