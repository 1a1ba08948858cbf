/* exchange: what the administrator of an exchange database runs, and how its
 * tables are taken in. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "ingest/exchange.h"

static const struct option longs[] = {CLI_LONG, {NULL, 0, NULL, 0}};

/* ---- schema ---- */

static int print_schema(const struct conf *conf, const char *table)
{
    const struct conf_exchange *e = &conf->exchange;
    for (size_t i = 0; i < e->tables.count; i++) {
        const struct exchange_table_conf t = {.table = e->tables.items[i].table,
                                              .item = e->tables.items[i].item};
        struct buf out = BUF_INIT;
        struct errmsg why;
        if (strcmp(t.table, table) != 0) {
            continue;
        }
        enum err err =
            exchange_schema(&t, e->server.database, e->server.user, &out, &why);
        if (err == ERR_OK) {
            (void)fputs(buf_cstr(&out), stdout);
        }
        buf_fini(&out);
        return err == ERR_OK ? EXIT_OK : cli_fail("%s", why.text);
    }
    return cli_fail("exchange.tables has no table %s: add it first", table);
}

static int schema(const struct cli_options *o, const char *table)
{
    struct conf *conf = cli_conf(o);
    int rc = conf != NULL ? print_schema(conf, table) : EXIT_FAILED;
    conf_free(&conf);
    return rc;
}

/* ---- status ---- */

static const char *number(json_t *row, const char *key, char out[24])
{
    (void)snprintf(out, 24, "%lld", cli_int(row, key));
    return out;
}

static void print_tables(json_t *tables, bool english)
{
    static const char *const headings[][2] = {
        {"table", "表"},       {"waiting", "待处理"}, {"new", "新增"},
        {"changed", "变更"},   {"unchanged", "相同"}, {"refused", "退回"},
        {"again", "补标"},     {"moved", "途中变更"}, {"stuck", "未能标记"},
        {"stopped by", "停止"}};
    static const char *const keys[] = {"waiting",   "new",     "changed",
                                       "unchanged", "refused", "marked_again",
                                       "moved",     "stuck"};
    const char *row[ARRAY_LEN(headings)];
    for (size_t i = 0; i < ARRAY_LEN(headings); i++) {
        row[i] = headings[i][english ? 0 : 1];
    }
    struct cli_table *t = cli_table_new(row, ARRAY_LEN(headings));
    size_t i;
    json_t *table;
    json_array_foreach(tables, i, table)
    {
        char numbers[ARRAY_LEN(keys)][24];
        row[0] = cli_text(table, "table");
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            row[k + 1] = number(table, keys[k], numbers[k]);
        }
        row[ARRAY_LEN(keys) + 1] = cli_text(table, "why");
        cli_table_row(t, row);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

static int status(const struct cli_options *o)
{
    json_t *result =
        cli_call(o, json_pack("{s:s}", "cmd", "status"), NULL, NULL);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    json_t *tables = json_object_get(result, "exchange");
    if (!json_is_array(tables)) {
        json_decref(result);
        return cli_fail("this node has no exchange: see exchange.tables");
    }
    if (o->json) {
        json_t *out = json_pack("{s:O}", "rows", tables);
        json_decref(result);
        return cli_print_json(out);
    }
    print_tables(tables, o->english);
    json_decref(result);
    return EXIT_OK;
}

int cmd_exchange(int argc, char **argv)
{
    struct cli_options o = {.english = cli_english()};
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        if (!cli_common(opt, &o)) {
            return cli_usage("exchange", "wrong option or value");
        }
    }
    const char *what = optind < argc ? argv[optind] : "";
    if (strcmp(what, "status") == 0 && argc == optind + 1) {
        return status(&o);
    }
    if (strcmp(what, "schema") == 0 && argc == optind + 2) {
        return schema(&o, argv[optind + 1]);
    }
    return cli_usage("exchange", "say `status` or `schema TABLE`");
}
