/* conf_schema.h - private to conf: one row for each option, and the types. */
#ifndef CONF_CONF_SCHEMA_H
#define CONF_CONF_SCHEMA_H

#include "conf/conf.h"

enum conf_type {
    CONF_INT,       /* uint32_t */
    CONF_SIZE,      /* uint64_t, bytes */
    CONF_DURATION,  /* uint32_t, ms */
    CONF_STRING,    /* const char *, UTF-8 without control characters */
    CONF_NAME,      /* const char *, lower-case ASCII */
    CONF_PATH,      /* const char *, absolute */
    CONF_CODE,      /* uint64_t, written with 12 digits; 0 if "" */
    CONF_HASH,      /* uint8_t[32] */
    CONF_ADDRESS,   /* const char *, host:port */
    CONF_ADDRESSES, /* const char *, `max` of them with commas between */
    CONF_ENUM,      /* int, one of `choices` */
    CONF_FLAGS,     /* unsigned, set of `choices` */
    CONF_LIST,      /* {items, count} of `list` */
    CONF_TYPES
};

enum {
    CONF_REQUIRED = 1 << 0, /* there is no default */
    CONF_RELOAD = 1 << 1,   /* a running node takes a change over (SIGHUP) */
    CONF_EXISTS = 1 << 2,   /* the file must be there and readable */
    CONF_SECRET = 1 << 3,   /* the file must be readable by its owner only */
};

struct conf_choice {
    const char *name; /* NULL ends the table */
    int value;
};

struct conf_row {
    const char *path; /* "group.option", or the option of a list's items */
    enum conf_type type;
    unsigned flags;
    size_t offset;
    uint64_t min,
        max;         /* of the number, the port, the items, the text's bytes */
    const char *def; /* as in a file; may name an earlier row: ${data.dir} */
    const char *const *by_tier; /* defaults in the order of conf_tiers */
    const struct conf_choice *choices;
    const struct conf_list *list;
    const char *help; /* one sentence */
};

struct conf_list {
    const struct conf_row *rows;
    size_t rows_count;
    size_t item_size;
    size_t unique; /* the row in which no two items may be equal */
};

enum { CONF_TIERS = 6 };

extern const struct conf_choice conf_tiers[CONF_TIERS + 1];
extern const struct conf_row conf_rows[];
extern const size_t conf_rows_count;

/* Values of `low` must not be above those of `high`. */
struct conf_order {
    const char *low;
    const char *high;
};
extern const struct conf_order conf_orders[];
extern const size_t conf_orders_count;

/* NULL if there is none. */
const struct conf_row *conf_row_find(const char *path);

/* Appends the option or group whose name is closest to `name`, at most two
 * letters away or equal but for its group; with `list`, the option of its
 * items. False if there is none. */
bool conf_guess(const char *name, const struct conf_list *list,
                struct buf *out);
/* What follows the last dot. */
const char *conf_last_part(const char *path);

/* `dir` is where relative paths start. On an error the field is untouched and
 * `why` says what to write instead. Not for FLAGS and LIST. */
typedef enum err conf_parse_fn(const struct conf_row *row, const char *text,
                               const char *dir, void *field,
                               struct errmsg *why);
/* Appends the value as parse takes it, without quotes. */
typedef void conf_show_fn(const struct conf_row *row, const void *field,
                          struct buf *out);

struct conf_type_info {
    const char *name;    /* for people: "size" */
    const char *example; /* as in a file, with quotes */
    bool number;         /* written without quotes */
    bool text;           /* the field is an owned char * */
    conf_parse_fn *parse;
    conf_show_fn *show;
};
extern const struct conf_type_info conf_types[CONF_TYPES];

/* Items of a list field, whatever their type. */
struct conf_items {
    char *items;
    size_t count;
};
struct conf_items conf_items_get(const void *field);
void conf_items_set(void *field, struct conf_items items);

/* Where a value stands. */
struct conf_place {
    const char *file; /* NULL: nowhere, it is the default */
    unsigned line;    /* 0: unknown */
};
extern const char conf_command_line[]; /* `file` of overrides: "--set" */

struct conf_origins {
    struct conf_place *at; /* one for each row */
    char **files;          /* what `file` of these points to; owned */
    size_t files_count;
};

void conf_place_show(struct conf_place place, struct buf *out);
void conf_fail(struct conf_errors *errors, struct conf_place place,
               const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
