/* directive: list-add, list-correct, list-remove, import, show, sign, publish,
 * lists, status, effects, export, node-revoke, node-restore, node-move, nodes,
 * log-seal, log-unseal, catalogue, measure */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/admin.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/decided.h"
#include "cli/effects.h"
#include "cli/listfile.h"
#include "cli/lists.h"
#include "cli/outcomes.h"
#include "cli/package.h"
#include "cli/receipts.h"
#include "ident/ident.h"

enum { EXIT_ROWS_REFUSED = 3 };

enum option_id {
    OPT_KEY = 1,
    OPT_DRY_RUN,
    OPT_RECEIPT,
    OPT_CORRECT,
    OPT_PUBLISH,
    OPT_LOG,
    OPT_REASON,
    OPT_TO,
    OPT_FROM,
    OPT_LAST,
    OPT_SIZE,
    OPT_ROOT,
    OPT_YES,
    OPT_OUTPUT,
    OPT_LISTING,
    OPTIONS
};

/* Which options an action has; others are refused: who says `publish
 * --dry-run` must not publish. */
#define HAS(option) (1U << (option))
enum {
    FOR_PACKAGE = HAS(OPT_KEY) | HAS(OPT_DRY_RUN) | HAS(OPT_PUBLISH) |
                  HAS(OPT_YES) | HAS(OPT_OUTPUT),
    /* refused by sentences of their own */
    FOR_ROWS = FOR_PACKAGE | HAS(OPT_CORRECT),
    FOR_NODE = FOR_PACKAGE | HAS(OPT_REASON),
    FOR_LOG = FOR_NODE | HAS(OPT_SIZE) | HAS(OPT_ROOT),
};

static const struct option longs[] = {
    CLI_LONG,
    {"key", required_argument, NULL, OPT_KEY},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"yes", no_argument, NULL, OPT_YES},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"receipt", required_argument, NULL, OPT_RECEIPT},
    {"correct", no_argument, NULL, OPT_CORRECT},
    {"publish", no_argument, NULL, OPT_PUBLISH},
    {"log", required_argument, NULL, OPT_LOG},
    {"reason", required_argument, NULL, OPT_REASON},
    {"to", required_argument, NULL, OPT_TO},
    {"from", required_argument, NULL, OPT_FROM},
    {"last", required_argument, NULL, OPT_LAST},
    {"size", required_argument, NULL, OPT_SIZE},
    {"root", required_argument, NULL, OPT_ROOT},
    {"listing", required_argument, NULL, OPT_LISTING},
    {NULL, 0, NULL, 0},
};

struct directive {
    struct cli_options o;
    const char *key;
    const char *output;
    const char *receipt_path;
    const char *log;
    const char *reason;
    const char *to;
    const char *from;
    const char *last;
    const char *size;
    const char *root;
    const char *listing;
    struct cli_decided *receipt; /* NULL: none is asked for */
    bool dry_run;
    bool correct;
    bool publish;
    bool yes;
    bool one_row;   /* given as COLUMN=VALUE */
    unsigned given; /* HAS() of the options that were */
    char **args;    /* behind the action */
    int args_n;
    uint64_t refused;
};

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* ---- preparing ---- */

/* What was given as COLUMN=VALUE is no line of a file. */
static void print_fault(const struct directive *d, json_t *row, json_t *fault)
{
    char *zh = cli_fault_zh(fault);
    const char *column = cli_text(fault, "column");
    const char *said = d->o.english ? cli_text(fault, "text") : zh;
    const char *rule = cli_text(fault, "rule");
    if (d->one_row) {
        cli_line(stderr, d->o.english ? "  %s: %s [%s]" : "  %s：%s [%s]",
                 column, said, rule);
    } else {
        const char *between = column[0] == 0 ? "" : d->o.english ? ", " : "，";
        cli_line(stderr,
                 d->o.english ? "  line %lld%s%s: %s [%s]"
                              : "  第 %lld 行%s%s：%s [%s]",
                 cli_int(row, "line"), between, column, said, rule);
    }
    mem_free(zh);
}

static void print_faults(struct directive *d, json_t *row)
{
    size_t i;
    json_t *fault;
    json_array_foreach(json_object_get(row, "faults"), i, fault)
    {
        print_fault(d, row, fault);
    }
    d->refused += i > 0;
}

static bool print_note(void *ctx, json_t *object)
{
    const struct directive *d = ctx;
    cli_note(cli_text(object, "text"), d->o.english);
    return true;
}

/* What the node says; pieces of the package go to `file`. True: go on. */
static bool take_object(struct directive *d, json_t *object, struct buf *file,
                        int *rc)
{
    const char *type = cli_text(object, "type");
    if (strcmp(type, "package") == 0) {
        buf_put_str(file, cli_text(object, "text"));
    } else if (strcmp(type, "row") == 0) {
        print_faults(d, object);
        cli_decided_row(d->receipt, object);
    } else if (strcmp(type, "warning") == 0) {
        (void)print_note(d, object);
    } else if (strcmp(type, "result") == 0) {
        *rc = EXIT_OK;
        return false;
    } else {
        const char *text = cli_text(object, "text");
        bool nameless = d->one_row && strncmp(text, "no header", 9) == 0;
        *rc = cli_fail("%s", nameless ? "a decision has more columns, or none "
                                        "of these is known"
                                      : text);
        cli_note_error(object);
        cli_decided_failed(d->receipt, text);
        return false;
    }
    return true;
}

/* Sends what the package is to be made of. */
static int ask_package(struct directive *d, json_t *request, struct slice rows,
                       struct package **out)
{
    struct admin_client *client = NULL;
    struct buf file = BUF_INIT;
    struct errmsg why = {""};
    json_t *object = NULL;
    int rc = cli_open(&d->o, &client);
    if (rc != EXIT_OK) {
        json_decref(request);
        return rc;
    }
    rc = EXIT_FAILED;
    bool more = rows.data != NULL ? cli_send_file(client, request, rows)
                                  : admin_write_json(client, request) == ERR_OK;
    while (more && admin_read(client, &object, &why) == ERR_OK) {
        more = take_object(d, object, &file, &rc);
        json_decref(object);
    }
    if (more) {
        (void)cli_fail("%s", why.text[0] != 0
                                 ? why.text
                                 : "the node ended the call; try again");
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

static void print_published(json_t *result, bool english)
{
    json_t *voids = json_object_get(result, "void");
    long long entries = cli_int(result, "entries");
    size_t i;
    json_t *row;
    (void)printf(english ? "Published: %lld entries are in force, numbers %lld "
                           "to %lld of %s.\n"
                         : "已发布：%lld 条生效，编号 %lld 至 %lld，日志 "
                           "%s。\n",
                 entries - (long long)json_array_size(voids),
                 cli_int(result, "first"), cli_int(result, "last"),
                 cli_text(result, "log"));
    json_array_foreach(voids, i, row)
    {
        char *reason = cli_said(cli_text(row, "reason"), english);
        (void)printf(english ? "  number %lld has no effect: %s\n"
                             : "  编号 %lld 无效：%s\n",
                     cli_int(row, "number"), reason);
        mem_free(reason);
    }
    (void)printf(english ? "Who holds them below: creditnode directive status "
                           "%lld\n"
                         : "下级节点是否已持有：creditnode directive status "
                           "%lld\n",
                 cli_int(result, "last"));
    if (json_is_true(json_object_get(result, "void_unknown"))) {
        (void)printf(english ? "  Which entries have no effect could not be "
                               "read now; it may be more.\n"
                             : "  目前无法读取哪些条目无效，可能还有更多。\n");
    }
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
    if (cli_send_file(client, json_pack("{s:s}", "cmd", "directive-publish"),
                      buf_slice(&bytes))) {
        result = cli_read_result(client, print_note, d);
    }
    buf_fini(&bytes);
    admin_disconnect(&client);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    cli_decided_is(d->receipt, "published", result);
    /* Whoever looks at the status alone must not take all for in force. */
    rc = json_array_size(json_object_get(result, "void")) > 0 ||
                 json_is_true(json_object_get(result, "void_unknown"))
             ? EXIT_ROWS_REFUSED
             : EXIT_OK;
    if (d->o.json) {
        (void)json_object_del(result, "type");
        (void)cli_print_json(result);
        return rc;
    }
    cli_tame(result);
    print_published(result, d->o.english);
    json_decref(result);
    return rc;
}

/* A signature is for what was read. */
static bool is_shown(const struct directive *d, const struct package *p)
{
    return cli_package_show(&d->o, p) == EXIT_OK && fflush(stdout) == 0 &&
           ferror(stdout) == 0;
}

static bool says_yes(void)
{
    char line[16] = "";
    bool got = fgets(line, sizeof line, stdin) != NULL;
    line[strcspn(line, "\r\n")] = 0;
    return got && (strcmp(line, "yes") == 0 || strcmp(line, "是") == 0);
}

/* What the node has made is not yet what was asked for: whoever signs it sees
 * all of it first, and says so. --yes is for programs, and says it was seen. */
static int ask_signature(const struct directive *d, const struct package *p)
{
    if (d->yes) {
        return EXIT_OK;
    }
    if (!is_shown(d, p)) {
        return cli_fail("the package cannot be shown; nothing was signed");
    }
    (void)fprintf(stderr,
                  d->o.english ? "Sign this with %s%s? Write yes: "
                               : "用 %s 签名%s？请输入 yes 或“是”：",
                  d->key,
                  !d->publish    ? ""
                  : d->o.english ? " and publish it"
                                 : "并发布");
    (void)fflush(stderr);
    return says_yes() ? EXIT_OK
                      : cli_fail("nothing was signed, and nothing published: "
                                 "write yes when asked, or, in a program that "
                                 "knows what it decides, say --yes");
}

/* What is done with a package that the node has just made. */
static int deliver(struct directive *d, struct package *p)
{
    bool added;
    if (d->dry_run) {
        cli_decided_is(d->receipt, "checked", NULL);
        return cli_package_show(&d->o, p);
    }
    int rc = d->key != NULL ? ask_signature(d, p) : EXIT_OK;
    if (rc == EXIT_OK && d->key != NULL) {
        rc = sign_with(d->key, p, &added);
    }
    if (rc != EXIT_OK) {
        return rc;
    }
    if (d->publish) {
        return publish_package(d, p);
    }
    rc = cli_package_store(d->output, p);
    if (rc == EXIT_OK) {
        cli_decided_is(d->receipt, "prepared", NULL);
    }
    if (rc == EXIT_OK && !d->o.json) {
        cli_package_print(p, false, d->o.english);
        (void)printf(d->o.english
                         ? "%s: written. Each decider, on a machine of their "
                           "own: creditnode directive sign %s --key KEY\n"
                         : "%s：已写入。各决定人在自己的机器上签名："
                           "creditnode directive sign %s --key 密钥\n",
                     d->output, d->output);
    }
    return rc == EXIT_OK && d->o.json ? cli_package_show(&d->o, p) : rc;
}

static int check_target(const struct directive *d)
{
    if (!d->dry_run && !d->publish && d->output == NULL) {
        return cli_usage("directive", "say where to: -o FILE, --dry-run, or "
                                      "--key KEY --publish");
    }
    if (d->key != NULL && d->o.json && !d->yes && !d->dry_run) {
        return cli_usage("directive",
                         "--key with --json is for programs, which nobody can "
                         "ask: say --yes, or sign with directive sign");
    }
    if (d->output != NULL && exists(d->output)) {
        return cli_fail("%s: is there already; name another file", d->output);
    }
    return EXIT_OK;
}

/* Takes `request`. */
static int prepare_from(struct directive *d, json_t *request, struct slice rows)
{
    struct package *p = NULL;
    int rc = check_target(d);
    if (rc == EXIT_OK) {
        rc = ask_package(d, request, rows, &p);
    } else {
        json_decref(request);
    }
    if (rc == EXIT_OK && p != NULL) {
        rc = deliver(d, p);
    }
    package_free(&p);
    return rc == EXIT_OK && d->refused > 0 ? EXIT_ROWS_REFUSED : rc;
}

/* `expect`: listing or removal; "": what the columns say. */
static int prepare(struct directive *d, struct slice csv, const char *expect)
{
    json_t *request =
        json_pack("{s:s, s:b, s:s, s:b}", "cmd", "directive-prepare", "correct",
                  d->correct ? 1 : 0, "expect", expect, "rows",
                  d->receipt != NULL ? 1 : 0);
    if (d->listing != NULL) {
        (void)json_object_set_new(request, "listing", json_string(d->listing));
    }
    return prepare_from(d, request, csv);
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

static int list_one(struct directive *d, const char *expect)
{
    struct buf csv = BUF_INIT;
    if (d->args_n == 0) {
        return cli_usage("directive", "give the decision as COLUMN=VALUE, with "
                                      "the columns of docs/catalogue.md");
    }
    d->one_row = true;
    int rc = one_row(d, &csv);
    rc = rc == EXIT_OK ? prepare(d, buf_slice(&csv), expect) : rc;
    buf_fini(&csv);
    if (rc == EXIT_FAILED) {
        cli_line(stderr,
                 d->o.english ? "  columns: creditnode catalogue %s%s"
                              : "  各列见：creditnode catalogue %s%s",
                 expect,
                 strcmp(expect, "removal") != 0 || d->listing != NULL ? ""
                 : d->o.english
                     ? "; of a listing decided below, --listing names it"
                     : "；如系下级节点列入的名单，用 --listing 指明");
    }
    return rc;
}

static int refuse_correct(void)
{
    return cli_usage("directive", "--correct is for import; list-correct "
                                  "corrects one listing");
}

static int list_add(struct directive *d)
{
    return d->correct ? refuse_correct() : list_one(d, "listing");
}

static int list_remove(struct directive *d)
{
    return d->correct ? refuse_correct() : list_one(d, "removal");
}

static int list_correct(struct directive *d)
{
    d->correct = true;
    return list_one(d, "listing");
}

static int import(struct directive *d)
{
    struct buf csv = BUF_INIT;
    struct errmsg why;
    if (d->args_n != 1) {
        return cli_usage("directive", "name one file: directive import FILE");
    }
    if (d->given != 0 && cli_listfile_is(d->args[0])) {
        return cli_usage("directive",
                         "%s was written by directive export: it is taken as "
                         "it is signed, without these options",
                         d->args[0]);
    }
    if (cli_listfile_is(d->args[0])) {
        return cli_listfile_take(&d->o, d->args[0]);
    }
    int rc = file_read(d->args[0], PACKAGE_FILE_MAX, &csv, &why) == ERR_OK
                 ? check_target(d) /* before a receipt is written over */
                 : cli_fail("%s", why.text);
    if (rc == EXIT_OK && d->receipt_path != NULL) {
        rc = cli_decided_open(&d->receipt, d->receipt_path, d->args[0]);
    }
    if (rc == EXIT_OK) {
        rc = cli_decided_close(&d->receipt, prepare(d, buf_slice(&csv), ""));
    }
    buf_fini(&csv);
    return rc;
}

/* ---- signing and publishing ---- */

static int show(struct directive *d)
{
    struct package *p = NULL;
    if (d->args_n != 1) {
        return cli_usage("directive", "name the package: directive show FILE");
    }
    int rc = cli_package_load(d->args[0], &p);
    if (rc == EXIT_OK && p != NULL) {
        rc = cli_package_show(&d->o, p);
    }
    package_free(&p);
    return rc;
}

/* How many are needed, the machine of a decider does not know. */
static void print_signed(const struct directive *d, const struct package *p,
                         bool added)
{
    if (added) {
        (void)printf(d->o.english ? "%s: signed, %zu signatures\n"
                                  : "%s：已签名，共 %zu 个签名\n",
                     d->args[0], p->signed_by);
    } else {
        (void)printf(d->o.english ? "%s: signed by this key already\n"
                                  : "%s：此密钥已签名\n",
                     d->args[0]);
    }
    (void)printf(d->o.english
                     ? "Next: the other deciders sign it, too; then, at the "
                       "node of %012llu:\ncreditnode directive publish %s\n"
                     : "下一步：其他决定人签名；签足后在节点 %012llu 发布：\n"
                       "creditnode directive publish %s\n",
                 (unsigned long long)p->head.issuer, d->args[0]);
}

static int sign_package(const struct directive *d, struct package *p)
{
    bool added = false;
    if (!is_shown(d, p)) {
        return cli_fail("%s: cannot be shown, and nobody signs what was not "
                        "shown; nothing was signed",
                        d->args[0]);
    }
    int rc = sign_with(d->key, p, &added);
    if (rc == EXIT_OK && added) {
        rc = cli_package_store(d->args[0], p);
    }
    if (rc == EXIT_OK && !d->o.json) {
        print_signed(d, p, added);
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
    int rc = cli_package_load(d->args[0], &p);
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
    int rc = cli_package_load(d->args[0], &p);
    for (int i = 1; rc == EXIT_OK && i < d->args_n; i++) {
        rc = cli_package_load(d->args[i], &other);
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

/* ---- catalogue and measures ---- */

static int rules_from(struct directive *d, const char *cmd)
{
    enum { RULES_FILE_MAX = 1 << 20 };
    struct buf text = BUF_INIT;
    struct errmsg why;
    if (d->args_n != 1) {
        return cli_usage("directive", "name one JSON file, see "
                                      "docs/catalogue.md");
    }
    int rc =
        file_read(d->args[0], RULES_FILE_MAX, &text, &why) == ERR_OK
            ? prepare_from(d, json_pack("{s:s}", "cmd", cmd), buf_slice(&text))
            : cli_fail("%s", why.text);
    buf_fini(&text);
    return rc;
}

static int catalogue(struct directive *d)
{
    return rules_from(d, "directive-catalogue");
}

static int measure(struct directive *d)
{
    return rules_from(d, "directive-measure");
}

/* ---- about nodes ---- */

static int node_decision(struct directive *d, const char *what)
{
    if (d->args_n != 1 || d->reason == NULL ||
        (d->to != NULL) != (strcmp(what, "parent") == 0)) {
        return cli_usage("directive", "name the node and why: directive "
                                      "node-revoke CODE --reason TEXT; "
                                      "node-move needs --to PARENT as well");
    }
    return prepare_from(d,
                        json_pack("{s:s, s:s, s:s, s:s, s:s}", "cmd",
                                  "directive-node", "what", what, "code",
                                  d->args[0], "reason", d->reason, "parent",
                                  d->to != NULL ? d->to : ""),
                        slice_of(NULL, 0));
}

static int node_revoke(struct directive *d)
{
    return node_decision(d, "revoked");
}

static int node_restore(struct directive *d)
{
    return node_decision(d, "restored");
}

static int node_move(struct directive *d)
{
    return node_decision(d, "parent");
}

static int log_decision(struct directive *d, const char *what)
{
    if (d->args_n != 1 || d->reason == NULL) {
        return cli_usage("directive", "name the log and why: directive "
                                      "log-seal LOG --reason TEXT");
    }
    return prepare_from(d,
                        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "cmd",
                                  "directive-node", "what", what, "log",
                                  d->args[0], "reason", d->reason, "size",
                                  d->size != NULL ? d->size : "", "root",
                                  d->root != NULL ? d->root : ""),
                        slice_of(NULL, 0));
}

static int log_seal(struct directive *d)
{
    return log_decision(d, "sealed");
}

static int log_unseal(struct directive *d)
{
    if (d->size != NULL || d->root != NULL) {
        return cli_usage("directive", "--size and --root are of a seal");
    }
    return log_decision(d, "unsealed");
}

static int nodes(struct directive *d)
{
    return cli_nodes(&d->o);
}

/* ---- what the node has ---- */

static int lists(struct directive *d)
{
    return cli_lists(&d->o);
}

static int effects(struct directive *d)
{
    if (d->args_n > 1 || (d->args_n == 1 && d->last != NULL)) {
        return cli_usage("directive", "name one listing, or --last N");
    }
    return cli_effects(&d->o, d->args_n == 1 ? d->args[0] : NULL, d->log,
                       d->last);
}

static int export(struct directive *d)
{
    if (d->args_n != 1) {
        return cli_usage("directive", "name the file to write: directive "
                                      "export FILE");
    }
    return cli_listfile_export(&d->o, d->args[0], d->log, d->from);
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
    case OPT_REASON:
        d->reason = optarg;
        return true;
    case OPT_TO:
        d->to = optarg;
        return true;
    case OPT_FROM:
        d->from = optarg;
        return true;
    case OPT_LAST:
        d->last = optarg;
        return true;
    case OPT_SIZE:
        d->size = optarg;
        return true;
    case OPT_ROOT:
        d->root = optarg;
        return true;
    case OPT_LISTING:
        d->listing = optarg;
        return true;
    case OPT_YES:
        d->yes = true;
        return true;
    case OPT_OUTPUT:
        d->output = optarg;
        return true;
    default:
        return cli_common(opt, &d->o);
    }
}

static const char *name_of(unsigned options)
{
    for (size_t i = 0; longs[i].name != NULL; i++) {
        if (longs[i].val < OPTIONS && (HAS(longs[i].val) & options) != 0) {
            return longs[i].name;
        }
    }
    return "";
}

int cmd_directive(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct directive *d);
        unsigned has;
    } actions[] = {
        {"list-add", list_add, FOR_ROWS},
        {"list-correct", list_correct, FOR_ROWS},
        {"list-remove", list_remove, FOR_ROWS | HAS(OPT_LISTING)},
        {"import", import, FOR_ROWS | HAS(OPT_RECEIPT)},
        {"show", show, 0},
        {"sign", sign, HAS(OPT_KEY)},
        {"publish", publish, 0},
        {"lists", lists, 0},
        {"status", status, HAS(OPT_LOG)},
        {"export", export, HAS(OPT_LOG) | HAS(OPT_FROM)},
        {"effects", effects, HAS(OPT_LOG) | HAS(OPT_LAST)},
        {"node-revoke", node_revoke, FOR_NODE},
        {"node-restore", node_restore, FOR_NODE},
        {"node-move", node_move, FOR_NODE | HAS(OPT_TO)},
        {"log-seal", log_seal, FOR_LOG},
        {"log-unseal", log_unseal, FOR_LOG},
        {"nodes", nodes, 0},
        {"catalogue", catalogue, FOR_PACKAGE},
        {"measure", measure, FOR_PACKAGE},
    };
    struct directive d = {.o = {.english = cli_english()}};
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT "o:", longs, NULL)) != -1) {
        opt = opt == 'o' ? OPT_OUTPUT : opt;
        if (!take_option(&d, opt)) {
            return cli_usage("directive", "wrong option or value");
        }
        d.given |= opt < OPTIONS ? HAS(opt) : 0;
    }
    const char *name = optind < argc ? argv[optind] : "";
    d.args = argv + optind + 1;
    d.args_n = optind + 1 < argc ? argc - optind - 1 : 0;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(actions[i].name, name) != 0) {
            continue;
        }
        unsigned more = d.given & ~actions[i].has;
        return more == 0 ? actions[i].run(&d)
                         : cli_usage("directive", "%s has no --%s", name,
                                     name_of(more));
    }
    return cli_usage("directive", "say what: list-add, list-correct, "
                                  "list-remove, import, export, node-revoke, "
                                  "node-restore, node-move, log-seal, "
                                  "log-unseal, catalogue, "
                                  "measure, show, sign, "
                                  "publish, lists, nodes, effects or status");
}
