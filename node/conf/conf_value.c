#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_schema.h"

struct unit {
    const char *name; /* NULL ends the table */
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", 1 << 10},
    {"MiB", 1 << 20},
    {"GiB", 1ULL << 30},
    {"TiB", 1ULL << 40},
    {NULL, 0},
};
static const struct unit duration_units[] = {
    {"ms", 1},      {"s", 1000},     {"min", 60000},
    {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

static void show_scaled(const struct unit *units, uint64_t value,
                        struct buf *out)
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (value != 0 && value % u->factor == 0) {
            best = u;
        }
    }
    buf_putf(out, "%llu %s", (unsigned long long)(value / best->factor),
             best->name);
}

static bool parse_scaled(const struct unit *units, const char *text,
                         uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits + strspn(text + digits, " ");
    uint64_t value;
    if (!str_u64(slice_of(text, digits), &value)) {
        return false;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(unit, units->name) == 0) {
            return !__builtin_mul_overflow(value, units->factor, out);
        }
    }
    return false;
}

static enum err out_of_range(const struct conf_row *row, const char *text,
                             const struct unit *units, struct errmsg *why)
{
    struct buf range = BUF_INIT;
    if (units == NULL) {
        buf_putf(&range, "%llu to %llu", (unsigned long long)row->min,
                 (unsigned long long)row->max);
    } else {
        show_scaled(units, row->min, &range);
        buf_put_str(&range, " to ");
        show_scaled(units, row->max, &range);
    }
    enum err err = err_set(why, ERR_CONF, "%.60s is out of range; write %s",
                           text, buf_cstr(&range));
    buf_fini(&range);
    return err;
}

static enum err parse_int(const struct conf_row *row, const char *text,
                          const char *dir, void *field, struct errmsg *why)
{
    (void)dir;
    uint64_t value;
    if (!str_u64(slice_str(text), &value) || value < row->min ||
        value > row->max) {
        return out_of_range(row, text, NULL, why);
    }
    *(uint32_t *)field = (uint32_t)value;
    return ERR_OK;
}

static void show_int(const struct conf_row *row, const void *field,
                     struct buf *out)
{
    (void)row;
    buf_putf(out, "%u", *(const uint32_t *)field);
}

static enum err parse_size(const struct conf_row *row, const char *text,
                           const char *dir, void *field, struct errmsg *why)
{
    (void)dir;
    uint64_t value;
    if (!parse_scaled(size_units, text, &value)) {
        return err_set(why, ERR_CONF,
                       "\"%.60s\" is not a size; write a whole number and B, "
                       "KiB, MiB, GiB or TiB, such as \"4 MiB\"",
                       text);
    }
    if (value < row->min || value > row->max) {
        return out_of_range(row, text, size_units, why);
    }
    *(uint64_t *)field = value;
    return ERR_OK;
}

static void show_size(const struct conf_row *row, const void *field,
                      struct buf *out)
{
    (void)row;
    show_scaled(size_units, *(const uint64_t *)field, out);
}

static enum err parse_duration(const struct conf_row *row, const char *text,
                               const char *dir, void *field, struct errmsg *why)
{
    (void)dir;
    uint64_t value;
    if (!parse_scaled(duration_units, text, &value)) {
        return err_set(why, ERR_CONF,
                       "\"%.60s\" is not a duration; write a whole number and "
                       "ms, s, min, h or d, such as \"30 s\"",
                       text);
    }
    if (value < row->min || value > row->max) {
        return out_of_range(row, text, duration_units, why);
    }
    *(uint32_t *)field = (uint32_t)value;
    return ERR_OK;
}

static void show_duration(const struct conf_row *row, const void *field,
                          struct buf *out)
{
    (void)row;
    show_scaled(duration_units, *(const uint32_t *)field, out);
}

/* Control characters could forge log lines and break the printed file. */
static bool has_control(const char *text)
{
    for (; *text != 0; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

static enum err check_text(const struct conf_row *row, const char *text,
                           struct errmsg *why)
{
    size_t len = strlen(text);
    if (len < row->min) {
        return err_set(why, ERR_CONF, "must not be empty; write: %s",
                       row->help);
    }
    if (len > row->max) {
        return err_set(why, ERR_CONF,
                       "\"%.60s…\" has %zu bytes; write at most %llu", text,
                       len, (unsigned long long)row->max);
    }
    if (!str_utf8_valid(slice_str(text)) || has_control(text)) {
        return err_set(why, ERR_CONF,
                       "holds a control character or is not UTF-8; write "
                       "plain text");
    }
    return ERR_OK;
}

static enum err parse_string(const struct conf_row *row, const char *text,
                             const char *dir, void *field, struct errmsg *why)
{
    (void)dir;
    enum err err = check_text(row, text, why);
    if (err == ERR_OK) {
        *(const char **)field = mem_strdup(text);
    }
    return err;
}

static void show_text(const struct conf_row *row, const void *field,
                      struct buf *out)
{
    (void)row;
    const char *text = *(const char *const *)field;
    buf_put_str(out, text != NULL ? text : "");
}

static enum err parse_name(const struct conf_row *row, const char *text,
                           const char *dir, void *field, struct errmsg *why)
{
    size_t good = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-_");
    if (text[good] != 0) {
        return err_set(why, ERR_CONF,
                       "\"%.60s\" is not a name; write lower-case letters a "
                       "to z, digits, \".\", \"-\" and \"_\" only",
                       text);
    }
    return parse_string(row, text, dir, field, why);
}

static enum err parse_path(const struct conf_row *row, const char *text,
                           const char *dir, void *field, struct errmsg *why)
{
    struct buf path = BUF_INIT;
    if (text[0] != '/' && text[0] != 0) {
        buf_putf(&path, "%s/", dir);
    }
    buf_put_str(&path, text);
    enum err err = check_text(row, buf_cstr(&path), why);
    if (err == ERR_OK) {
        *(const char **)field = mem_strdup(buf_cstr(&path));
    }
    buf_fini(&path);
    return err;
}

static enum err parse_code(const struct conf_row *row, const char *text,
                           const char *dir, void *field, struct errmsg *why)
{
    (void)dir;
    uint64_t code = 0;
    size_t len = strlen(text);
    bool empty = len == 0 && row->min == 0;
    if (!empty && (len != 12 || !str_u64(slice_of(text, len), &code))) {
        return err_set(why, ERR_CONF,
                       "\"%.60s\" is not a division code; write its 12 digits "
                       "in quotes, such as \"341821100201\"",
                       text);
    }
    *(uint64_t *)field = code;
    return ERR_OK;
}

static void show_code(const struct conf_row *row, const void *field,
                      struct buf *out)
{
    uint64_t code = *(const uint64_t *)field;
    if (code != 0 || row->min > 0) {
        buf_putf(out, "%012llu", (unsigned long long)code);
    }
}

static enum err parse_hash(const struct conf_row *row, const char *text,
                           const char *dir, void *field, struct errmsg *why)
{
    (void)row;
    (void)dir;
    uint8_t hash[32];
    if (!str_unhex(text, hash, sizeof hash)) {
        return err_set(why, ERR_CONF,
                       "\"%.70s\" is not a SHA-256; write its 64 hexadecimal "
                       "digits",
                       text);
    }
    memcpy(field, hash, sizeof hash);
    return ERR_OK;
}

static void show_hash(const struct conf_row *row, const void *field,
                      struct buf *out)
{
    (void)row;
    char hex[65];
    str_hex(field, 32, hex);
    buf_put_str(out, hex);
}

static bool host_ok(struct slice host)
{
    bool v6 =
        host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    struct slice name = v6 ? slice_of(host.data + 1, host.len - 2) : host;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bool plain = isalnum(c) || c == '.' || c == '-' || c == '_';
        if (!plain && !(v6 && (c == ':' || c == '%'))) {
            return false;
        }
    }
    return name.len > 0 && name.len <= 253;
}

static bool address_ok(struct slice text, uint64_t port_min)
{
    uint64_t port = 0;
    size_t at = text.len;
    while (at > 0 && text.data[at - 1] != ':') {
        at--;
    }
    struct slice digits = slice_of(text.data + at, text.len - at);
    return at > 0 && host_ok(slice_of(text.data, at - 1)) && digits.len <= 5 &&
           str_u64(digits, &port) && port >= port_min && port <= 65535;
}

static enum err no_address(const char *text, struct errmsg *why)
{
    return err_set(why, ERR_CONF,
                   "\"%.60s\" is not an address; write host:port, such as "
                   "\"192.0.2.1:7460\" or \"[2001:db8::1]:7460\"",
                   text);
}

static enum err parse_address(const struct conf_row *row, const char *text,
                              const char *dir, void *field, struct errmsg *why)
{
    (void)dir;
    if (!address_ok(slice_str(text), row->min) && text[0] != 0) {
        return no_address(text, why);
    }
    *(const char **)field = mem_strdup(text);
    return ERR_OK;
}

static enum err parse_addresses(const struct conf_row *row, const char *text,
                                const char *dir, void *field,
                                struct errmsg *why)
{
    (void)dir;
    size_t n = 0;
    bool more = text[0] != 0;
    for (const char *p = text; more;) {
        p += strspn(p, " ");
        size_t len = strcspn(p, ",");
        size_t used = len;
        while (used > 0 && p[used - 1] == ' ') {
            used--;
        }
        if (!address_ok(slice_of(p, used), 1) && strpbrk(text, ", ") == NULL) {
            return no_address(text, why);
        }
        if (!address_ok(slice_of(p, used), 1) || ++n > row->max) {
            return err_set(
                why, ERR_CONF,
                "\"%.200s\" is not a list of at most %llu addresses; "
                "write host:port, host:port",
                text, (unsigned long long)row->max);
        }
        more = p[len] == ',';
        p += len + (more ? 1 : 0);
    }
    *(const char **)field = mem_strdup(text);
    return ERR_OK;
}

static const struct conf_choice *choice_named(const struct conf_choice *c,
                                              const char *text)
{
    while (c->name != NULL && strcmp(c->name, text) != 0) {
        c++;
    }
    return c->name != NULL ? c : NULL;
}

/* One of the choices; FLAGS are parsed one name at a time and added up. */
static enum err find_choice(const struct conf_row *row, const char *text,
                            int *value, struct errmsg *why)
{
    const struct conf_choice *found = choice_named(row->choices, text);
    if (found != NULL) {
        *value = found->value;
        return ERR_OK;
    }
    struct buf names = BUF_INIT;
    for (const struct conf_choice *c = row->choices; c->name != NULL; c++) {
        buf_putf(&names, "%s%s", c == row->choices ? "" : ", ", c->name);
    }
    enum err err =
        err_set(why, ERR_CONF, "\"%.60s\" is not known; write %s%s", text,
                names.len > 0 && row->choices[1].name != NULL ? "one of " : "",
                buf_cstr(&names));
    buf_fini(&names);
    return err;
}

static enum err parse_enum(const struct conf_row *row, const char *text,
                           const char *dir, void *field, struct errmsg *why)
{
    (void)dir;
    return find_choice(row, text, field, why);
}

static void show_enum(const struct conf_row *row, const void *field,
                      struct buf *out)
{
    int value = *(const int *)field;
    for (const struct conf_choice *c = row->choices; c->name != NULL; c++) {
        if (c->value == value) {
            buf_put_str(out, c->name);
        }
    }
}

static enum err parse_flag(const struct conf_row *row, const char *text,
                           const char *dir, void *field, struct errmsg *why)
{
    (void)dir;
    int value = 0;
    enum err err = find_choice(row, text, &value, why);
    *(unsigned *)field |= (unsigned)value;
    return err;
}

static void show_flags(const struct conf_row *row, const void *field,
                       struct buf *out)
{
    unsigned set = *(const unsigned *)field;
    const char *comma = "";
    buf_put_str(out, "[");
    for (const struct conf_choice *c = row->choices; c->name != NULL; c++) {
        if ((set & (unsigned)c->value) != 0) {
            buf_putf(out, "%s\"%s\"", comma, c->name);
            comma = ", ";
        }
    }
    buf_put_str(out, "]");
}

const struct conf_type_info conf_types[CONF_TYPES] = {
    [CONF_INT] = {"whole number", "1000", true, false, parse_int, show_int},
    [CONF_SIZE] = {"size", "\"4 MiB\"", false, false, parse_size, show_size},
    [CONF_DURATION] = {"duration", "\"30 s\"", false, false, parse_duration,
                       show_duration},
    [CONF_STRING] = {"text", "\"…\"", false, true, parse_string, show_text},
    [CONF_NAME] = {"name", "\"hall-1\"", false, true, parse_name, show_text},
    [CONF_PATH] = {"path", "\"/etc/creditnode/…\"", false, true, parse_path,
                   show_text},
    [CONF_CODE] = {"division code", "\"341821100201\"", false, false,
                   parse_code, show_code},
    [CONF_HASH] = {"SHA-256", "\"64 hexadecimal digits\"", false, false,
                   parse_hash, show_hash},
    [CONF_ADDRESS] = {"address", "\"192.0.2.1:7460\"", false, true,
                      parse_address, show_text},
    [CONF_ADDRESSES] = {"addresses", "\"192.0.2.1:3306, 192.0.2.2:3306\"",
                        false, true, parse_addresses, show_text},
    [CONF_ENUM] = {"word", "\"…\"", false, false, parse_enum, show_enum},
    [CONF_FLAGS] = {"set of words", "[\"public\"]", false, false, parse_flag,
                    show_flags},
    [CONF_LIST] = {"list of groups", "( { … } )", false, false, NULL, NULL},
};

struct conf_items conf_items_get(const void *field)
{
    struct conf_items items;
    memcpy(&items, field, sizeof items);
    return items;
}

void conf_items_set(void *field, struct conf_items items)
{
    memcpy(field, &items, sizeof items);
}
_Static_assert(sizeof(struct conf_items) == sizeof(struct conf_children) &&
                   sizeof(struct conf_items) == sizeof(struct conf_apps),
               "lists are a pointer and a count");
