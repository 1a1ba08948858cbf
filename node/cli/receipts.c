/* directive status: who holds a directive, who does not, and since when */
#include "cli/receipts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"

enum { WHEN_MAX = 32, NUMBER_MAX = 24 };

static void when(long long ms, char out[WHEN_MAX])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    (void)snprintf(out, WHEN_MAX, "-");
    if (ms > 0 && localtime_r(&seconds, &tm) != NULL) {
        (void)strftime(out, WHEN_MAX, "%Y-%m-%d %H:%M:%S", &tm);
    }
}

static const char *remark(json_t *row, bool english)
{
    if (json_is_true(json_object_get(row, "disagrees"))) {
        return english ? "another history" : "历史不符";
    }
    if (json_is_true(json_object_get(row, "revoked"))) {
        return english ? "revoked; those below it" : "已撤销；指其下级节点";
    }
    if (!json_is_true(json_object_get(row, "child"))) {
        return "";
    }
    if (json_is_true(json_object_get(row, "connected"))) {
        return english ? "connected" : "在线";
    }
    return english ? "away" : "离线";
}

static void print_missing(json_t *missing, bool english)
{
    static const char *const en[] = {"node", "holds", "nodes", "last heard",
                                     ""};
    static const char *const zh[] = {"节点", "持有至", "节点数", "最近联系",
                                     ""};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    size_t i;
    json_t *row;
    json_array_foreach(missing, i, row)
    {
        char holds[NUMBER_MAX];
        char nodes[NUMBER_MAX];
        char heard[WHEN_MAX];
        (void)snprintf(holds, sizeof holds, "%lld", cli_int(row, "size"));
        (void)snprintf(nodes, sizeof nodes, "%lld", cli_int(row, "nodes"));
        when(cli_int(row, "heard_ms"), heard);
        const char *cells[] = {cli_text(row, "code"), holds, nodes, heard,
                               remark(row, english)};
        cli_table_row(t, cells);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

/* They are not expected to hold it. */
static void print_revoked(json_t *revoked, bool english)
{
    size_t i;
    json_t *code;
    if (json_array_size(revoked) > 0) {
        (void)printf(english ? "Revoked, %zu:" : "已撤销 %zu 个：",
                     json_array_size(revoked));
        json_array_foreach(revoked, i, code)
        {
            (void)printf(" %s", json_string_value(code));
        }
        (void)putchar('\n');
    }
}

static void print_status(json_t *result, bool english)
{
    char since[WHEN_MAX];
    long long nodes = cli_int(result, "nodes");
    json_t *revoked = json_object_get(result, "revoked");
    long long missing = nodes - cli_int(result, "reached") -
                        (long long)json_array_size(revoked);
    long long unnamed = missing - cli_int(result, "named");
    when(cli_int(result, "published_ms"), since);
    (void)printf(english ? "Directive %lld of %s: held by %lld of %lld nodes "
                           "that are known here.\n"
                         : "指令 %1$lld（日志 %2$s）：本节点所知 %4$lld "
                           "个节点中，%3$lld 个已持有。\n",
                 cli_int(result, "number"), cli_text(result, "log"),
                 cli_int(result, "reached"), nodes);
    print_revoked(revoked, english);
    if (missing == 0) {
        return;
    }
    (void)printf(english ? "Missing at %lld since it was published, %s:\n"
                         : "自发布（%2$s）起，尚有 %1$lld 个节点未持有：\n",
                 missing, since);
    print_missing(json_object_get(result, "missing"), english);
    if (unnamed > 0) {
        (void)printf(english ? "and %lld more; ask at the nodes above them\n"
                             : "另有 %lld 个节点，请在其上级节点查询\n",
                     unnamed);
    }
}

int cli_receipts(const struct cli_options *o, const char *log,
                 const char *number)
{
    uint64_t n = 0;
    if (number != NULL &&
        (!str_u64(slice_str(number), &n) || n == 0 || n > INT64_MAX)) {
        return cli_usage("directive", "'%.30s' is no number of a directive",
                         number);
    }
    json_t *request = json_pack("{s:s, s:I}", "cmd", "directive-status",
                                "number", (json_int_t)n);
    if (log != NULL) {
        (void)json_object_set_new(request, "log", json_string(log));
    }
    json_t *result = cli_call(o, request, NULL, NULL);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    if (o->json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    cli_tame(result);
    print_status(result, o->english);
    json_decref(result);
    return EXIT_OK;
}
