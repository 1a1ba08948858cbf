/* directive: list-add, list-correct, list-remove, import, show, sign, publish,
 * lists, status */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/admin.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli.h"
#include "cli_receipts.h"
#include "credit/date.h"
#include "credit/listing.h"
#include "credit/package.h"
#include "credit/rules.h"
#include "ident/ident.h"

enum {
    CHUNK = 64 * 1024,
    FILE_MODE = 0644,
    EXIT_ROWS_REFUSED = 3,
    SHOWN = 50, /* entries of a package on a terminal */
};

enum option_id {
    OPT_KEY = 1,
    OPT_DRY_RUN,
    OPT_RECEIPT,
    OPT_CORRECT,
    OPT_PUBLISH,
    OPT_LOG
};

static const struct option longs[] = {
    CLI_LONG,
    {"key", required_argument, NULL, OPT_KEY},
    {"output", required_argument, NULL, 'o'},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"receipt", required_argument, NULL, OPT_RECEIPT},
    {"correct", no_argument, NULL, OPT_CORRECT},
    {"publish", no_argument, NULL, OPT_PUBLISH},
    {"log", required_argument, NULL, OPT_LOG},
    {NULL, 0, NULL, 0},
};

struct directive {
    struct cli_options o;
    const char *key;
    const char *output;
    const char *receipt_path;
    const char *log;
    FILE *receipt;
    bool dry_run;
    bool correct;
    bool publish;
    char **args; /* behind the action */
    int args_n;
    uint64_t refused;
};

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* ---- files ---- */

static int load(const char *path, struct package **out)
{
    struct buf bytes = BUF_INIT;
    struct errmsg why;
    enum err err = file_read(path, PACKAGE_FILE_MAX, &bytes, &why);
    if (err == ERR_OK) {
        err = package_parse(out, buf_slice(&bytes), path, &why);
    }
    buf_fini(&bytes);
    return err == ERR_OK ? EXIT_OK : cli_fail("%s", why.text);
}

static int store_file(const char *path, const struct package *package)
{
    struct buf bytes = BUF_INIT;
    struct errmsg why;
    package_put(package, &bytes);
    enum err err = file_replace(path, buf_slice(&bytes), FILE_MODE, &why);
    buf_fini(&bytes);
    return err == ERR_OK ? EXIT_OK : cli_fail("%s", why.text);
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* ---- showing ---- */

static const char *what(uint8_t type, bool english)
{
    static const char *const names[][2] = {
        {"列入", "goes on"}, {"更正", "corrected"}, {"移出", "comes off"}};
    return listing_is_type(type) ? names[type - ENTRY_LISTING][english] : "?";
}

static void add_entry(struct cli_table *t, struct slice bytes, bool english)
{
    struct entry e;
    struct record r;
    struct listing_facts f;
    char from[11];
    char until[11];
    char document[520];
    if (entry_decode(bytes, &e) != ERR_OK ||
        listing_facts(&e, 0, &f) != ERR_OK ||
        listing_values(&e, &r) != ERR_OK) {
        const char *cells[] = {"?", "", "", "", "", ""};
        cli_table_row(t, cells);
        return;
    }
    const struct catalogue_list *list = catalogue_list(f.list);
    struct slice no = record_get(&r, FIELD_DOCUMENT_NO);
    (void)snprintf(document, sizeof document, "%.*s", (int)no.len,
                   (const char *)no.data);
    date_format(e.type == ENTRY_REMOVAL ? f.decided : f.from, from);
    date_format(f.until, until);
    const char *cells[] = {what(e.type, english),
                           list == NULL ? "?"
                           : english    ? list->label_en
                                        : list->label_zh,
                           r.subject,
                           document,
                           from,
                           until};
    cli_table_row(t, cells);
}

static void print_package(const struct package *p, bool english)
{
    static const char *const en[] = {"",         "list", "subject",
                                     "document", "from", "until"};
    static const char *const zh[] = {"", "名单", "主体", "文书号", "自", "至"};
    char id[2 * PACKAGE_ID_LEN + 1];
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    str_hex(p->head.id, PACKAGE_ID_LEN, id);
    (void)printf(
        english ? "Package %s of %012llu: %u entries, %zu signatures, to "
                  "be published by %u\n"
                : "包 %s，发布节点 %012llu：%u 条，签名 %zu 个，须于 %u "
                  "前发布\n",
        id, (unsigned long long)p->head.issuer, (unsigned)p->head.entries,
        p->signed_by, (unsigned)p->head.expires);
    for (size_t i = 0; i < p->head.entries && i < SHOWN; i++) {
        add_entry(t, p->entries[i], english);
    }
    cli_table_print(t);
    cli_table_free(&t);
    if (p->head.entries > SHOWN) {
        (void)printf(english ? "… and %u more\n" : "…… 另有 %u 条\n",
                     (unsigned)(p->head.entries - SHOWN));
    }
}

static json_t *entry_json(struct slice bytes)
{
    struct entry e;
    struct record r;
    struct listing_facts f;
    if (entry_decode(bytes, &e) != ERR_OK ||
        listing_facts(&e, 0, &f) != ERR_OK ||
        listing_values(&e, &r) != ERR_OK) {
        return json_pack("{s:s}", "what", "unknown");
    }
    json_t *values = json_object();
    for (size_t i = 0; i < r.item->count; i++) {
        if (r.values[i].len > 0) {
            (void)json_object_set_new(
                values, r.item->fields[i].code,
                json_stringn((const char *)r.values[i].data, r.values[i].len));
        }
    }
    const struct catalogue_list *list = catalogue_list(f.list);
    return json_pack("{s:s, s:s, s:s, s:o}", "what", what(e.type, true), "list",
                     list != NULL ? list->name : "", "subject", r.subject,
                     "values", values);
}

static json_t *package_json(const struct package *p)
{
    char id[2 * PACKAGE_ID_LEN + 1];
    char issuer[CODE_LEN + 1];
    json_t *entries = json_array();
    str_hex(p->head.id, PACKAGE_ID_LEN, id);
    code_format(p->head.issuer, issuer);
    for (size_t i = 0; i < p->head.entries; i++) {
        (void)json_array_append_new(entries, entry_json(p->entries[i]));
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "id", id, "issuer", issuer,
                     "expires", (json_int_t)p->head.expires, "signatures",
                     (json_int_t)p->signed_by, "entries", entries);
}

static int show_package(const struct directive *d, const struct package *p)
{
    if (d->o.json) {
        return cli_print_json(package_json(p));
    }
    print_package(p, d->o.english);
    return EXIT_OK;
}

static int show(struct directive *d)
{
    struct package *p = NULL;
    if (d->args_n != 1) {
        return cli_usage("directive", "name the package: directive show FILE");
    }
    int rc = load(d->args[0], &p);
    if (rc == EXIT_OK && p != NULL) {
        rc = show_package(d, p);
    }
    package_free(&p);
    return rc;
}

/* ---- preparing ---- */

static void put_receipt(struct directive *d, json_t *row)
{
    size_t i;
    json_t *fault;
    long long line =
        (long long)json_integer_value(json_object_get(row, "line"));
    json_array_foreach(json_object_get(row, "faults"), i, fault)
    {
        const char *rule = text_of(fault, "rule");
        const char *said =
            d->o.english ? text_of(fault, "text") : rules_text_zh(rule);
        (void)fprintf(stderr,
                      d->o.english ? "  line %lld, %s: %s [%s]\n"
                                   : "  第 %lld 行，%s：%s [%s]\n",
                      line, text_of(fault, "column"), said, rule);
        if (d->receipt != NULL) {
            (void)fprintf(d->receipt, "%lld,refused,%s,%s,\"%s\",\"%s\"\n",
                          line, text_of(fault, "column"), rule,
                          rules_text(rule), rules_text_zh(rule));
        }
    }
    d->refused++;
}

/* What the node says; pieces of the package go to `file`. True: go on. */
static bool take_object(struct directive *d, json_t *object, struct buf *file,
                        int *rc)
{
    const char *type = text_of(object, "type");
    if (strcmp(type, "package") == 0) {
        buf_put_str(file, text_of(object, "text"));
    } else if (strcmp(type, "row") == 0) {
        put_receipt(d, object);
    } else if (strcmp(type, "warning") == 0) {
        (void)fprintf(stderr, "  note: %s\n", text_of(object, "text"));
    } else {
        *rc = strcmp(type, "result") == 0
                  ? EXIT_OK
                  : cli_fail("%s", text_of(object, "text"));
        return false;
    }
    return true;
}

static bool send_all(struct admin_client *client, json_t *request,
                     struct slice bytes)
{
    enum err err = admin_write_json(client, request);
    for (size_t at = 0; err == ERR_OK && at < bytes.len; at += CHUNK) {
        size_t left = bytes.len - at;
        err = admin_write(
            client, slice_of(bytes.data + at, left < CHUNK ? left : CHUNK));
    }
    return err == ERR_OK && admin_write(client, slice_of(NULL, 0)) == ERR_OK;
}

/* Sends rows, gets a package. */
static int ask_package(struct directive *d, struct slice csv,
                       struct package **out)
{
    struct admin_client *client = NULL;
    struct buf file = BUF_INIT;
    struct errmsg why = {""};
    json_t *object = NULL;
    int rc = cli_open(&d->o, &client);
    if (rc != EXIT_OK) {
        return rc;
    }
    json_t *request = json_pack("{s:s, s:b}", "cmd", "directive-prepare",
                                "correct", d->correct ? 1 : 0);
    rc = EXIT_FAILED;
    bool more = send_all(client, request, csv);
    while (more && admin_read(client, &object, &why) == ERR_OK) {
        more = take_object(d, object, &file, &rc);
        json_decref(object);
    }
    if (more) {
        (void)cli_fail("%s",
                       why.text[0] != 0 ? why.text : "the node ended the call");
    }
    admin_disconnect(&client);
    if (rc == EXIT_OK && package_parse(out, buf_slice(&file),
                                       "what the node made", &why) != ERR_OK) {
        rc = cli_fail("%s", why.text);
    }
    buf_fini(&file);
    return rc;
}

static int sign_with(const char *path, struct package *p, bool *added)
{
    struct key *key = NULL;
    struct errmsg why;
    if (key_load(&key, path, &why) != ERR_OK) {
        return cli_fail("%s", why.text);
    }
    enum err err = package_sign(p, key);
    key_free(&key);
    *added = err == ERR_OK;
    return err == ERR_OK || err == ERR_EXISTS
               ? EXIT_OK
               : cli_fail("%s: the key is not one of suite %s", path,
                          suite_name(p->head.suite));
}

static int publish_package(struct directive *d, const struct package *p)
{
    struct admin_client *client = NULL;
    struct buf bytes = BUF_INIT;
    int rc = cli_open(&d->o, &client);
    if (rc != EXIT_OK) {
        return rc;
    }
    package_put(p, &bytes);
    json_t *result = NULL;
    if (send_all(client, json_pack("{s:s}", "cmd", "directive-publish"),
                 buf_slice(&bytes))) {
        result = cli_read_result(client, NULL, NULL);
    }
    buf_fini(&bytes);
    admin_disconnect(&client);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    if (d->o.json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    (void)printf(
        d->o.english ? "Published: %lld entries are in force, numbers %lld to "
                       "%lld of %s.\n"
                     : "已发布：%lld 条生效，编号 %lld 至 %lld，日志 %s。\n",
        (long long)json_integer_value(json_object_get(result, "entries")),
        (long long)json_integer_value(json_object_get(result, "first")),
        (long long)json_integer_value(json_object_get(result, "last")),
        text_of(result, "log"));
    json_decref(result);
    return EXIT_OK;
}

/* What is done with a package that the node has just made. */
static int deliver(struct directive *d, struct package *p)
{
    bool added;
    int rc = d->key != NULL ? sign_with(d->key, p, &added) : EXIT_OK;
    if (rc != EXIT_OK) {
        return rc;
    }
    if (d->dry_run) {
        return show_package(d, p);
    }
    if (d->publish) {
        return publish_package(d, p);
    }
    rc = store_file(d->output, p);
    if (rc == EXIT_OK && !d->o.json) {
        print_package(p, d->o.english);
        (void)printf(d->o.english
                         ? "%s: written. Each decider, on a machine of their "
                           "own: creditnode directive sign %s --key KEY\n"
                         : "%s：已写入。各决定人在自己的机器上签名："
                           "creditnode directive sign %s --key 密钥\n",
                     d->output, d->output);
    }
    return rc == EXIT_OK && d->o.json ? show_package(d, p) : rc;
}

static int check_target(const struct directive *d)
{
    if (!d->dry_run && !d->publish && d->output == NULL) {
        return cli_usage("directive", "say where to: -o FILE, --dry-run, or "
                                      "--key KEY --publish");
    }
    if (d->output != NULL && exists(d->output)) {
        return cli_fail("%s: is there already; name another file", d->output);
    }
    return EXIT_OK;
}

static int prepare(struct directive *d, struct slice csv)
{
    struct package *p = NULL;
    int rc = check_target(d);
    if (rc == EXIT_OK) {
        rc = ask_package(d, csv, &p);
    }
    if (rc == EXIT_OK && p != NULL) {
        rc = deliver(d, p);
    }
    package_free(&p);
    return rc == EXIT_OK && d->refused > 0 ? EXIT_ROWS_REFUSED : rc;
}

static void put_cell(struct buf *out, const char *text, size_t len, char end)
{
    buf_put_u8(out, '"');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"') {
            buf_put_u8(out, '"');
        }
        buf_put_u8(out, (uint8_t)text[i]);
    }
    buf_put_u8(out, '"');
    buf_put_u8(out, (uint8_t)end);
}

/* COLUMN=VALUE arguments as a file of one row. */
static int one_row(struct directive *d, struct buf *csv)
{
    struct buf row = BUF_INIT;
    for (int i = 0; i < d->args_n; i++) {
        const char *equals = strchr(d->args[i], '=');
        char end = i + 1 < d->args_n ? ',' : '\n';
        if (equals == NULL) {
            buf_fini(&row);
            return cli_usage("directive", "'%.60s' must be COLUMN=VALUE",
                             d->args[i]);
        }
        put_cell(csv, d->args[i], (size_t)(equals - d->args[i]), end);
        put_cell(&row, equals + 1, strlen(equals + 1), end);
    }
    buf_put_slice(csv, buf_slice(&row));
    buf_fini(&row);
    return EXIT_OK;
}

static int list_one(struct directive *d)
{
    struct buf csv = BUF_INIT;
    if (d->args_n == 0) {
        return cli_usage("directive", "give the decision as COLUMN=VALUE, with "
                                      "the columns of docs/catalogue.md");
    }
    int rc = one_row(d, &csv);
    rc = rc == EXIT_OK ? prepare(d, buf_slice(&csv)) : rc;
    buf_fini(&csv);
    return rc;
}

static int list_correct(struct directive *d)
{
    d->correct = true;
    return list_one(d);
}

static int import(struct directive *d)
{
    struct buf csv = BUF_INIT;
    struct errmsg why;
    if (d->args_n != 1) {
        return cli_usage("directive", "name one file: directive import FILE");
    }
    if (file_read(d->args[0], PACKAGE_FILE_MAX, &csv, &why) != ERR_OK) {
        return cli_fail("%s", why.text);
    }
    if (d->receipt_path != NULL &&
        (d->receipt = fopen(d->receipt_path, "we")) == NULL) {
        buf_fini(&csv);
        return cli_fail("%s: %s", d->receipt_path, strerror(errno));
    }
    if (d->receipt != NULL) {
        (void)fputs("line,outcome,column,rule,text,text_zh\n", d->receipt);
    }
    int rc = prepare(d, buf_slice(&csv));
    buf_fini(&csv);
    if (d->receipt != NULL && fclose(d->receipt) != 0) {
        rc = cli_fail("%s: %s", d->receipt_path, strerror(errno));
    }
    return rc;
}

/* ---- signing and publishing ---- */

static void print_signed(const struct directive *d, bool added)
{
    static const char *const texts[2][2] = {
        {"：此密钥已签名", ": signed by this key already"},
        {"：已签名", ": signed"}};
    const char *text = texts[added][d->o.english];
    (void)printf("%s", d->args[0]);
    (void)puts(text);
}

static int sign_package(const struct directive *d, struct package *p)
{
    bool added = false;
    if (!d->o.json) {
        print_package(p, d->o.english);
    }
    int rc = sign_with(d->key, p, &added);
    if (rc == EXIT_OK && added) {
        rc = store_file(d->args[0], p);
    }
    if (rc == EXIT_OK && !d->o.json) {
        print_signed(d, added);
    }
    return rc;
}

static int sign(struct directive *d)
{
    struct package *p = NULL;
    if (d->args_n != 1 || d->key == NULL) {
        return cli_usage("directive", "name the package and the key: directive "
                                      "sign FILE --key KEY");
    }
    int rc = load(d->args[0], &p);
    if (rc == EXIT_OK && p != NULL) {
        rc = sign_package(d, p);
    }
    package_free(&p);
    return rc;
}

/* Several copies may each carry a signature. */
static int publish(struct directive *d)
{
    struct package *p = NULL;
    struct package *other = NULL;
    if (d->args_n == 0) {
        return cli_usage("directive", "name the package: directive publish "
                                      "FILE...");
    }
    int rc = load(d->args[0], &p);
    for (int i = 1; rc == EXIT_OK && i < d->args_n; i++) {
        rc = load(d->args[i], &other);
        if (rc == EXIT_OK && package_merge(p, other) != ERR_OK) {
            rc = cli_fail("%s: is not a copy of the package in %s", d->args[i],
                          d->args[0]);
        }
        package_free(&other);
    }
    rc = rc == EXIT_OK ? publish_package(d, p) : rc;
    package_free(&p);
    return rc;
}

/* ---- what the node has ---- */

static const char *freshness(const char *state, bool english)
{
    static const struct {
        const char *state;
        const char *zh;
        const char *en;
    } words[] = {{"fresh", "最新", "fresh"},
                 {"stale", "陈旧", "stale"},
                 {"clock", "时钟不符", "clock: unproven"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i].state, state) == 0) {
            return english ? words[i].en : words[i].zh;
        }
    }
    return state;
}

static void print_lists(json_t *lists, bool english)
{
    static const char *const en[] = {"issuer", "log", "position", "freshness",
                                     "age"};
    static const char *const zh[] = {"发布节点", "日志", "位置", "时效",
                                     "距今"};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    size_t i;
    json_t *row;
    json_array_foreach(lists, i, row)
    {
        char position[24];
        char age[32] = "-";
        (void)snprintf(
            position, sizeof position, "%lld",
            (long long)json_integer_value(json_object_get(row, "position")));
        if (json_integer_value(json_object_get(row, "signed_ms")) != 0) {
            (void)snprintf(
                age, sizeof age, "%.1f s",
                (double)json_integer_value(json_object_get(row, "age_ms")) /
                    1000.0);
        }
        const char *cells[] = {
            text_of(row, "issuer"), text_of(row, "log"), position,
            freshness(text_of(row, "freshness"), english), age};
        cli_table_row(t, cells);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

static int lists(struct directive *d)
{
    json_t *result = cli_call(
        &d->o, json_pack("{s:s}", "cmd", "directive-lists"), NULL, NULL);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    if (d->o.json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    print_lists(json_object_get(result, "lists"), d->o.english);
    json_decref(result);
    return EXIT_OK;
}

static int status(struct directive *d)
{
    if (d->args_n > 1) {
        return cli_usage("directive",
                         "name one directive: directive status NUMBER");
    }
    return cli_receipts(&d->o, d->log, d->args_n == 1 ? d->args[0] : NULL);
}

/* ---- the command ---- */

static bool take_option(struct directive *d, int opt)
{
    switch (opt) {
    case OPT_KEY:
        d->key = optarg;
        return true;
    case OPT_DRY_RUN:
        d->dry_run = true;
        return true;
    case OPT_RECEIPT:
        d->receipt_path = optarg;
        return true;
    case OPT_CORRECT:
        d->correct = true;
        return true;
    case OPT_PUBLISH:
        d->publish = true;
        return true;
    case OPT_LOG:
        d->log = optarg;
        return true;
    case 'o':
        d->output = optarg;
        return true;
    default:
        return cli_common(opt, &d->o);
    }
}

int cmd_directive(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct directive *d);
    } actions[] = {{"list-add", list_one},
                   {"list-correct", list_correct},
                   {"list-remove", list_one},
                   {"import", import},
                   {"show", show},
                   {"sign", sign},
                   {"publish", publish},
                   {"lists", lists},
                   {"status", status}};
    struct directive d = {.o = {.english = cli_english()}};
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT "o:", longs, NULL)) != -1) {
        if (!take_option(&d, opt)) {
            return cli_usage("directive", "wrong option or value");
        }
    }
    const char *name = optind < argc ? argv[optind] : "";
    d.args = argv + optind + 1;
    d.args_n = optind + 1 < argc ? argc - optind - 1 : 0;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(actions[i].name, name) == 0) {
            return actions[i].run(&d);
        }
    }
    return cli_usage("directive", "say what: list-add, list-correct, "
                                  "list-remove, import, show, sign, publish, "
                                  "lists or status");
}

/* ---- check ---- */

static bool print_hit(void *ctx, json_t *row)
{
    const struct directive *d = ctx;
    size_t i;
    json_t *l;
    if (json_object_get(row, "error") != NULL) {
        (void)fprintf(
            stderr,
            d->o.english ? "  line %lld: %s: %s\n" : "  第 %lld 行：%s：%s\n",
            (long long)json_integer_value(json_object_get(row, "line")),
            text_of(row, "subject"), text_of(row, "error"));
        return true;
    }
    json_array_foreach(json_object_get(row, "listings"), i, l)
    {
        (void)printf(
            "%s  %s  %s  %s#%lld\n", text_of(row, "subject"),
            text_of(l, "colour"),
            text_of(l, d->o.english ? "label_en" : "label"), text_of(l, "log"),
            (long long)json_integer_value(json_object_get(l, "number")));
    }
    return true;
}

static bool keep_hit(void *ctx, json_t *row)
{
    (void)json_array_append(ctx, row);
    return true;
}

static int print_check(const struct directive *d, json_t *result, json_t *hits)
{
    json_int_t listed = json_integer_value(json_object_get(result, "listed"));
    json_int_t invalid = json_integer_value(json_object_get(result, "invalid"));
    if (d->o.json) {
        (void)json_object_del(result, "type");
        (void)json_object_set_new(result, "hits", hits);
        (void)cli_print_json(result);
    } else {
        (void)printf(
            d->o.english ? "%lld lines: %lld listed, %lld no credit code\n"
                         : "%lld 行：%lld 个在名单上，%lld 行不是信用代码\n",
            (long long)json_integer_value(json_object_get(result, "lines")),
            (long long)listed, (long long)invalid);
        print_lists(json_object_get(result, "lists"), d->o.english);
        json_decref(result);
        json_decref(hits);
    }
    return listed > 0 ? EXIT_ROWS_REFUSED : EXIT_OK;
}

static int check_file(struct directive *d, struct slice subjects)
{
    struct admin_client *client = NULL;
    json_t *result = NULL;
    int rc = cli_open(&d->o, &client);
    if (rc != EXIT_OK) {
        return rc;
    }
    json_t *hits = json_array();
    if (send_all(client, json_pack("{s:s}", "cmd", "check"), subjects)) {
        result = d->o.json ? cli_read_result(client, keep_hit, hits)
                           : cli_read_result(client, print_hit, d);
    }
    admin_disconnect(&client);
    if (result == NULL) {
        json_decref(hits);
        return EXIT_FAILED;
    }
    return print_check(d, result, hits);
}

int cmd_check(int argc, char **argv)
{
    struct directive d = {.o = {.english = cli_english()}};
    struct buf subjects = BUF_INIT;
    struct errmsg why;
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        if (!cli_common(opt, &d.o)) {
            return cli_usage("check", "wrong option or value");
        }
    }
    if (optind + 1 != argc) {
        return cli_usage("check", "name one file with a credit code a line");
    }
    if (file_read(argv[optind], 4 << 20, &subjects, &why) != ERR_OK) {
        return cli_fail("%s", why.text);
    }
    int rc = check_file(&d, buf_slice(&subjects));
    buf_fini(&subjects);
    return rc;
}
