#include <string.h>

#include "conf/conf_schema.h"

/* In quotes, as both libconfig and JSON take it; control characters were
 * refused when the value came in. */
static void put_quoted(struct buf *out, struct slice text)
{
    buf_put_str(out, "\"");
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\') {
            buf_put_u8(out, '\\');
        }
        buf_put_u8(out, text.data[i]);
    }
    buf_put_str(out, "\"");
}

static void put_scalar(const struct conf_row *row, const void *base,
                       struct buf *out)
{
    const struct conf_type_info *type = &conf_types[row->type];
    const void *field = (const char *)base + row->offset;
    if (type->number || row->type == CONF_FLAGS) {
        type->show(row, field, out);
    } else {
        struct buf text = BUF_INIT;
        type->show(row, field, &text);
        put_quoted(out, buf_slice(&text));
        buf_fini(&text);
    }
}

static void put_item(const struct conf_list *list, const void *item,
                     enum conf_form form, struct buf *out)
{
    buf_put_str(out, "{ ");
    for (size_t i = 0; i < list->rows_count; i++) {
        if (form == CONF_FORM_JSON) {
            buf_putf(out, "%s\"%s\": ", i > 0 ? ", " : "", list->rows[i].path);
        } else {
            buf_putf(out, "%s = ", list->rows[i].path);
        }
        put_scalar(&list->rows[i], item, out);
        buf_put_str(out, form == CONF_FORM_JSON ? "" : "; ");
    }
    buf_put_str(out, "}");
}

static void put_items(const struct conf_row *row, const void *base,
                      enum conf_form form, struct buf *out)
{
    struct conf_items items = conf_items_get((const char *)base + row->offset);
    buf_put_str(out, form == CONF_FORM_JSON ? "[" : "(");
    for (size_t i = 0; i < items.count; i++) {
        buf_put_str(out, i > 0 ? ",\n  " : "\n  ");
        put_item(row->list, items.items + i * row->list->item_size, form, out);
    }
    buf_put_str(out, form == CONF_FORM_JSON ? "]" : ")");
}

static void put_value(const struct conf_row *row, const struct conf *conf,
                      enum conf_form form, struct buf *out)
{
    if (row->type == CONF_LIST) {
        put_items(row, conf, form, out);
    } else {
        put_scalar(row, conf, out);
    }
}

/* Bytes of the group's name; 0 for an option in no group. */
static size_t group_len(const struct conf_row *row)
{
    const char *dot = strchr(row->path, '.');
    return dot != NULL ? (size_t)(dot - row->path) : 0;
}

static bool same_group(const struct conf_row *a, const struct conf_row *b)
{
    size_t len = group_len(a);
    return len > 0 && len == group_len(b) && memcmp(a->path, b->path, len) == 0;
}

static bool opens_group(const struct conf_row *row)
{
    return row == conf_rows || !same_group(row, row - 1);
}

static bool ends_group(const struct conf_row *row)
{
    return row == conf_rows + conf_rows_count - 1 || !same_group(row, row + 1);
}

static void print_file_row(const struct conf *conf, const struct conf_row *row,
                           bool with_origin, struct buf *out)
{
    size_t group = group_len(row);
    if (group > 0 && opens_group(row)) {
        buf_putf(out, "%.*s: {\n", (int)group, row->path);
    }
    buf_putf(out, "%s%s = ", group > 0 ? "    " : "",
             conf_last_part(row->path));
    put_value(row, conf, CONF_FORM_FILE, out);
    buf_put_str(out, ";");
    if (with_origin) {
        buf_put_str(out, "  # ");
        conf_place_show(conf->origins->at[row - conf_rows], out);
    }
    buf_put_str(out, "\n");
    if (group > 0 && ends_group(row)) {
        buf_put_str(out, "};\n");
    }
}

static void print_json_row(const struct conf *conf, const struct conf_row *row,
                           bool with_origin, struct buf *out)
{
    buf_putf(out, "%s\n  \"%s\": ", row == conf_rows ? "{" : ",", row->path);
    buf_put_str(out, with_origin ? "{\"value\": " : "");
    put_value(row, conf, CONF_FORM_JSON, out);
    if (with_origin) {
        struct buf origin = BUF_INIT;
        conf_place_show(conf->origins->at[row - conf_rows], &origin);
        buf_put_str(out, ", \"origin\": ");
        put_quoted(out, buf_slice(&origin));
        buf_put_str(out, "}");
        buf_fini(&origin);
    }
}

void conf_print(const struct conf *conf, enum conf_form form, bool with_origin,
                struct buf *out)
{
    for (size_t i = 0; i < conf_rows_count; i++) {
        if (form == CONF_FORM_JSON) {
            print_json_row(conf, &conf_rows[i], with_origin, out);
        } else {
            print_file_row(conf, &conf_rows[i], with_origin, out);
        }
    }
    buf_put_str(out, form == CONF_FORM_JSON ? "\n}\n" : "");
}

/* Lists stand on several lines in a file; a log line is one. */
static void join_lines(struct buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->len; i++) {
        uint8_t c = b->data[i] == '\n' ? ' ' : b->data[i];
        if (c != ' ' || n == 0 || b->data[n - 1] != ' ') {
            b->data[n++] = c;
        }
    }
    b->len = n;
}

void conf_diff(const struct conf *before, const struct conf *after,
               conf_changed_fn *fn, void *ctx)
{
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < conf_rows_count; i++) {
        buf_clear(&a);
        buf_clear(&b);
        put_value(&conf_rows[i], before, CONF_FORM_FILE, &a);
        put_value(&conf_rows[i], after, CONF_FORM_FILE, &b);
        if (!slice_eq(buf_slice(&a), buf_slice(&b))) {
            join_lines(&a);
            join_lines(&b);
            fn(ctx, conf_rows[i].path, buf_cstr(&a), buf_cstr(&b),
               (conf_rows[i].flags & CONF_RELOAD) == 0);
        }
    }
    buf_fini(&a);
    buf_fini(&b);
}
