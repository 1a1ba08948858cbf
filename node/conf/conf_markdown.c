#include <string.h>

#include "conf/conf_schema.h"

static const char intro[] =
    "# Configuration\n\n"
    "Written from the table in `node/conf/conf_schema.c`; do not edit (the "
    "unit test of conf rewrites it when `CONF_REWRITE_DOCS` is set).\n\n"
    "A node reads one file in libconfig's syntax: groups in braces, text in "
    "quotes, `#` for comments. The files in `tiers/` are a start for each "
    "tier. `creditnode check-config` reports every fault with its file and "
    "line; a running node takes over what is marked *reload* on SIGHUP, the "
    "rest needs a restart.\n\n"
    "- `@include \"file.cfg\"` on a line of its own puts another file there; "
    "a relative name starts at the including file.\n"
    "- `--set group.option=value` goes over what the file says.\n"
    "- Sizes and durations carry a unit: `\"4 MiB\"` (B, KiB, MiB, GiB, TiB), "
    "`\"200 ms\"` (ms, s, min, h, d).\n"
    "- A relative path starts at the folder of the file it stands in.\n"
    "- Files are UTF-8.\n";

static void put_choices(const struct conf_row *row, struct buf *out)
{
    for (const struct conf_choice *c = row->choices; c->name != NULL; c++) {
        buf_putf(out, "%s`%s`", c == row->choices ? "" : ", ", c->name);
    }
}

/* A bound in the unit of the option. */
static void put_bound(const struct conf_row *row, uint64_t value,
                      struct buf *out)
{
    union {
        uint64_t wide;
        uint32_t narrow;
    } field = {.wide = value};
    if (row->type != CONF_SIZE) {
        field.narrow = (uint32_t)value;
    }
    conf_types[row->type].show(row, &field, out);
}

static void put_range(const struct conf_row *row, struct buf *out)
{
    switch (row->type) {
    case CONF_INT:
    case CONF_SIZE:
    case CONF_DURATION:
        put_bound(row, row->min, out);
        buf_put_str(out, " to ");
        put_bound(row, row->max, out);
        break;
    case CONF_ENUM:
    case CONF_FLAGS:
        put_choices(row, out);
        break;
    case CONF_STRING:
    case CONF_NAME:
    case CONF_PATH:
        buf_putf(out, "at most %llu bytes", (unsigned long long)row->max);
        break;
    case CONF_LIST:
        buf_putf(out, "at most %llu items", (unsigned long long)row->max);
        break;
    case CONF_CODE:
        buf_put_str(out, "12 digits");
        break;
    case CONF_HASH:
        buf_put_str(out, "64 hexadecimal digits");
        break;
    case CONF_ADDRESS:
        buf_put_str(out, "host:port");
        break;
    case CONF_ADDRESSES:
        buf_putf(out, "host:port, at most %llu", (unsigned long long)row->max);
        break;
    case CONF_TYPES:
        break;
    }
}

static void put_default(const struct conf_row *row, struct buf *out)
{
    if ((row->flags & CONF_REQUIRED) != 0) {
        buf_put_str(out, "**required**");
    } else if (row->by_tier != NULL) {
        for (size_t i = 0; i < CONF_TIERS; i++) {
            buf_putf(out, "%s%s `%s`", i > 0 ? ", " : "", conf_tiers[i].name,
                     row->by_tier[i][0] != 0 ? row->by_tier[i] : "\"\"");
        }
    } else if (row->def == NULL) {
        buf_put_str(out, "none");
    } else {
        buf_putf(out, "`%s`", row->def[0] != 0 ? row->def : "\"\"");
    }
}

static void put_row(const struct conf_row *row, const char *of, struct buf *out)
{
    buf_putf(out, "| `%s%s` | %s | ", of, row->path,
             conf_types[row->type].name);
    put_range(row, out);
    buf_put_str(out, " | ");
    put_default(row, out);
    buf_putf(out, " | %s |", row->help);
    buf_put_str(out, (row->flags & CONF_EXISTS) != 0 ? " Must exist." : "");
    buf_put_str(out, (row->flags & CONF_SECRET) != 0 ? " Mode 0600." : "");
    buf_put_str(out, (row->flags & CONF_RELOAD) != 0 ? " *reload*" : "");
    buf_put_str(out, " |\n");
}

static void put_items(const struct conf_row *row, struct buf *out)
{
    struct buf of = BUF_INIT;
    buf_putf(&of, "%s[].", row->path);
    for (size_t i = 0; i < row->list->rows_count; i++) {
        put_row(&row->list->rows[i], buf_cstr(&of), out);
    }
    buf_fini(&of);
}

void conf_markdown(struct buf *out)
{
    const char *group = "";
    buf_put_str(out, intro);
    for (size_t i = 0; i < conf_rows_count; i++) {
        const struct conf_row *row = &conf_rows[i];
        size_t len = strcspn(row->path, ".");
        if (strncmp(group, row->path, len + 1) != 0) {
            buf_putf(out,
                     "\n## %.*s\n\n| option | type | range | default | "
                     "meaning | notes |\n|---|---|---|---|---|---|\n",
                     (int)len, row->path);
            group = row->path;
        }
        put_row(row, "", out);
        if (row->list != NULL) {
            put_items(row, out);
        }
    }
}
