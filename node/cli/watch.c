/* watch */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/admin.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "credit/division.h"
#include "mlog/log_id.h"

enum { WATCH_MAX = 256, STEPS_MAX = 16 /* from a village up */ };

/* One log as one node holds it. */
struct seen {
    char log[LOG_ID_TEXT_MAX];
    uint64_t origin;
    uint64_t size;
    char root[2 * HASH_LEN + 1];
    bool own;
};

struct watched {
    struct conf *conf;
    json_t *status; /* NULL: it does not answer */
    struct seen *logs;
    size_t logs_count;
    size_t logs_room;
    uint64_t parent;
    bool is_top; /* it has no parent */
    uint64_t own;
    uint64_t received;
    uint64_t lag;
    bool equal; /* holds all that its subtree entered */
};

struct watch {
    struct cli_options o;
    struct watched nodes[WATCH_MAX];
    size_t count;
    bool once;
    int64_t until_equal_ms; /* 0: for ever */
    int64_t interval_ms;
};

static bool keep_log(void *ctx, json_t *row)
{
    struct watched *n = ctx;
    uint64_t origin = 0;
    if (n->logs_count == n->logs_room) {
        n->logs_room = n->logs_room > 0 ? n->logs_room * 2 : 16;
        n->logs = mem_realloc(n->logs, n->logs_room * sizeof *n->logs);
    }
    struct seen *s = &n->logs[n->logs_count++];
    *s = (struct seen){.size = (uint64_t)cli_int(row, "size"),
                       .own = json_is_true(json_object_get(row, "own"))};
    (void)snprintf(s->log, sizeof s->log, "%s", cli_text(row, "log"));
    (void)snprintf(s->root, sizeof s->root, "%s", cli_text(row, "root"));
    if (code_parse(cli_text(row, "origin"), &origin)) {
        s->origin = origin;
    }
    *(s->own ? &n->own : &n->received) += s->size;
    return true;
}

/* One quiet call: a node that is not there yet is no error here. */
static json_t *ask(const struct watched *n, const char *cmd, cli_row_fn *row,
                   void *ctx)
{
    struct admin_client *client = NULL;
    struct errmsg why;
    json_t *result = NULL;
    if (admin_connect(&client, n->conf->admin.socket, &why) != ERR_OK) {
        return NULL;
    }
    if (admin_write_json(client, json_pack("{s:s}", "cmd", cmd)) == ERR_OK) {
        result = cli_read_result(client, row, ctx);
    }
    admin_disconnect(&client);
    return result;
}

/* As the node itself takes it, since it may have moved by directive; of one
 * that does not answer, as its configuration says. */
static void find_parent(struct watched *n)
{
    const struct conf *conf = n->conf;
    json_t *uplink = json_object_get(n->status, "uplink");
    n->is_top = false;
    if (!code_parse(cli_text(uplink, "parent"), &n->parent)) {
        n->is_top = conf->parent.address[0] == 0;
        n->parent = conf->parent.code != 0
                        ? conf->parent.code
                        : division_default_parent(conf->node.code);
    }
}

static void look_at(struct watched *n)
{
    json_decref(n->status);
    n->logs_count = 0;
    n->own = 0;
    n->received = 0;
    n->status = ask(n, "status", NULL, NULL);
    find_parent(n);
    json_t *done = n->status != NULL ? ask(n, "logs", keep_log, n) : NULL;
    json_decref(done);
}

/* Of one that is not watched: an exception that a watched one knows, else by
 * its code. */
static bool parent_of_other(const struct watch *w, uint64_t code,
                            uint64_t *parent)
{
    *parent = division_default_parent(code);
    for (size_t i = 0; i < w->count; i++) {
        const struct conf_children *c = &w->nodes[i].conf->children;
        for (size_t k = 0; k < c->count; k++) {
            *parent = c->items[k].code == code ? c->items[k].parent : *parent;
        }
    }
    return code != 0;
}

/* False: it has none. */
static bool parent_of(const struct watch *w, uint64_t code, uint64_t *parent)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->nodes[i].conf->node.code == code) {
            *parent = w->nodes[i].parent;
            return !w->nodes[i].is_top;
        }
    }
    return parent_of_other(w, code, parent);
}

/* True if what `from` enters must reach `to`: by the chain of parents, which
 * may be a ring while nodes move. */
static bool feeds(const struct watch *w, const struct watched *from,
                  const struct watched *to)
{
    uint64_t code = from->conf->node.code;
    bool met = false;
    for (int i = 0; i < STEPS_MAX && !met && parent_of(w, code, &code); i++) {
        met = code == to->conf->node.code;
    }
    return met;
}

static const struct seen *find_log(const struct watched *n, const char *log)
{
    for (size_t i = 0; i < n->logs_count; i++) {
        if (strcmp(n->logs[i].log, log) == 0) {
            return &n->logs[i];
        }
    }
    return NULL;
}

/* Records rise; directives go down. */
static bool rises(const char *name)
{
    struct log_id log;
    return log_id_parse(name, &log) && log.kind == LOG_RECORDS;
}

/* What `to` lacks of the logs that `from` owns. */
static void compare(const struct watched *from, struct watched *to)
{
    for (size_t i = 0; i < from->logs_count; i++) {
        const struct seen *own = &from->logs[i];
        if (!own->own || !rises(own->log)) {
            continue;
        }
        const struct seen *copy = find_log(to, own->log);
        uint64_t held = copy != NULL ? copy->size : 0;
        to->lag += own->size > held ? own->size - held : 0;
        if (copy == NULL || copy->size != own->size ||
            strcmp(copy->root, own->root) != 0) {
            to->equal = false;
        }
    }
}

/* A node is equal if it and all that feed it answered, and it holds the same.
 */
static void judge_node(const struct watch *w, struct watched *to)
{
    to->lag = 0;
    to->equal = to->status != NULL;
    for (size_t i = 0; i < w->count; i++) {
        const struct watched *from = &w->nodes[i];
        if (from != to && feeds(w, from, to)) {
            compare(from, to);
            to->equal = to->equal && from->status != NULL;
        }
    }
}

static bool judge(struct watch *w)
{
    bool all = true;
    for (size_t i = 0; i < w->count; i++) {
        judge_node(w, &w->nodes[i]);
        all = all && w->nodes[i].equal;
    }
    return all;
}

static const char *state_text(const struct watched *n, bool english)
{
    if (n->status == NULL) {
        return english ? "no answer" : "无应答";
    }
    return cli_word(cli_levels,
                    cli_text(json_object_get(n->status, "health"), "state"),
                    english);
}

static void print_node(struct cli_table *t, const struct watched *n,
                       bool english)
{
    char code[CODE_LEN + 1];
    char own[24];
    char received[24];
    char lag[24];
    enum tier tier = (enum tier)n->conf->node.tier;
    code_format(n->conf->node.code, code);
    (void)snprintf(own, sizeof own, "%llu", (unsigned long long)n->own);
    (void)snprintf(received, sizeof received, "%llu",
                   (unsigned long long)n->received);
    (void)snprintf(lag, sizeof lag, "%llu", (unsigned long long)n->lag);
    const char *cells[] = {code,
                           english ? tier_name(tier) : tier_name_zh(tier),
                           n->conf->node.name,
                           own,
                           received,
                           n->status != NULL ? lag : "?",
                           n->equal ? "=" : "…",
                           state_text(n, english)};
    cli_table_row(t, cells);
}

static void print_table(const struct watch *w)
{
    static const char *const en[] = {"node",     "role", "name",  "own",
                                     "received", "lag",  "proof", "state"};
    static const char *const zh[] = {"节点", "级别", "名称", "本级",
                                     "收到", "滞后", "验证", "状态"};
    struct cli_table *t = cli_table_new(w->o.english ? en : zh, ARRAY_LEN(en));
    for (size_t i = 0; i < w->count; i++) {
        print_node(t, &w->nodes[i], w->o.english);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

static void print_json(const struct watch *w, bool equal)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->count; i++) {
        const struct watched *n = &w->nodes[i];
        char code[CODE_LEN + 1];
        code_format(n->conf->node.code, code);
        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:I, s:I, s:I, s:b, s:s}", "code", code,
                      "tier", tier_name((enum tier)n->conf->node.tier), "own",
                      (json_int_t)n->own, "received", (json_int_t)n->received,
                      "lag", (json_int_t)n->lag, "equal", n->equal ? 1 : 0,
                      "state", state_text(n, true)));
    }
    (void)cli_print_json(
        json_pack("{s:b, s:o}", "equal", equal ? 1 : 0, "nodes", list));
}

static void draw(struct watch *w, size_t *drawn)
{
    if (*drawn > 0) {
        (void)printf("\033[%zuA\033[J", *drawn);
    }
    print_table(w);
    (void)fflush(stdout);
    *drawn = w->count + 1;
}

/* Where nobody watches, only the last look is printed. */
static void show(struct watch *w, bool equal, bool last, size_t *drawn)
{
    bool live = cli_is_terminal(STDOUT_FILENO) && !w->once && !w->o.json;
    if (live) {
        draw(w, drawn);
    } else if (last && w->o.json) {
        print_json(w, equal);
    } else if (last) {
        print_table(w);
    }
}

static bool is_last(const struct watch *w, bool equal, int64_t started_ms)
{
    return w->once ||
           (w->until_equal_ms > 0 &&
            (equal || clock_mono_ms() - started_ms > w->until_equal_ms));
}

static int run_watch(struct watch *w)
{
    int64_t started_ms = clock_mono_ms();
    size_t drawn = 0;
    for (;;) {
        for (size_t i = 0; i < w->count; i++) {
            look_at(&w->nodes[i]);
        }
        bool equal = judge(w);
        bool last = is_last(w, equal, started_ms);
        show(w, equal, last, &drawn);
        if (last) {
            return equal || w->until_equal_ms == 0 ? EXIT_OK : EXIT_FAILED;
        }
        clock_sleep(w->interval_ms);
    }
}

static bool watch_option(struct watch *w, int opt)
{
    uint64_t n = 0;
    switch (opt) {
    case 1:
        w->once = true;
        return true;
    case 2:
    case 3:
        if (!str_u64(slice_str(optarg), &n) || n == 0 || n > 86400000) {
            return false;
        }
        *(opt == 2 ? &w->until_equal_ms : &w->interval_ms) =
            (int64_t)n * (opt == 2 ? 1000 : 1);
        return true;
    default:
        return cli_common(opt, &w->o);
    }
}

static bool load_nodes(struct watch *w, int argc, char **argv)
{
    for (int i = optind; i < argc && w->count < WATCH_MAX; i++) {
        struct cli_options one = w->o;
        one.conf = argv[i];
        struct conf *conf = cli_conf(&one);
        if (conf == NULL) {
            return false;
        }
        w->nodes[w->count++].conf = conf;
    }
    return w->count > 0;
}

static void watch_free(struct watch *w)
{
    for (size_t i = 0; i < w->count; i++) {
        json_decref(w->nodes[i].status);
        conf_free(&w->nodes[i].conf);
        mem_free(w->nodes[i].logs);
    }
    mem_free(w);
}

int cmd_watch(int argc, char **argv)
{
    static const struct option longs[] = {
        CLI_LONG,
        {"once", no_argument, NULL, 1},
        {"until-equal", required_argument, NULL, 2},
        {"interval", required_argument, NULL, 3},
        {NULL, 0, NULL, 0},
    };
    struct watch *w = MEM_NEW(struct watch);
    w->o.english = cli_english();
    w->interval_ms = 500;
    int opt;
    int rc = EXIT_OK;
    while ((opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        if (!watch_option(w, opt)) {
            rc = cli_usage("watch", "wrong option or value");
        }
    }
    if (rc == EXIT_OK && !load_nodes(w, argc, argv)) {
        rc = cli_usage("watch", "name usable configurations");
    }
    rc = rc == EXIT_OK ? run_watch(w) : rc;
    watch_free(w);
    return rc;
}
