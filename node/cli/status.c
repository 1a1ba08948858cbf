/* status */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/metrics.h"

enum { EXIT_WARN = 3, EXIT_ALARM = 4 };
enum { MINUTE_MS = 60000, SILENT_SHOWN = 10 };

/* In the language that is wanted; both take the same arguments in the same
 * order. */
static void PRINTF_LIKE(2, 4) PRINTF_LIKE(3, 4)
    say(bool english, const char *en, const char *zh, ...)
{
    va_list ap;
    va_start(ap, zh);
    (void)vprintf(english ? en : zh, ap);
    va_end(ap);
}

/* Ends a line, with what is wrong behind it, if anything is. */
static void say_trouble(bool english, const char *en, const char *zh,
                        const char *trouble)
{
    if (trouble[0] != 0) {
        (void)printf("%s%s", english ? en : zh, trouble);
    }
    (void)putchar('\n');
}

static const char *text_in(json_t *object, bool english)
{
    return cli_text(object, english ? "text" : "text_zh");
}

/* "1.5 GiB", in `out` of BYTES_LEN. */
enum { BYTES_LEN = 32 };
static const char *bytes_text(long long bytes, char *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 1024 && u + 1 < ARRAY_LEN(units)) {
        v /= 1024;
        u++;
    }
    (void)snprintf(out, BYTES_LEN, "%.1f %s", v, units[u]);
    return out;
}

static void print_store(json_t *s, json_t *process, bool english)
{
    char used[BYTES_LEN];
    char left[BYTES_LEN];
    bool writes = json_is_true(json_object_get(s, "writable"));
    bool beside = json_is_object(process) &&
                  !json_is_true(json_object_get(process, "writes"));
    say(english, "store     %lld own and %lld received entries in %lld logs, ",
        "存储      本级 %lld 条，收到 %lld 条，日志 %lld 个，",
        cli_int(s, "own_entries"), cli_int(s, "received_entries"),
        cli_int(s, "logs"));
    if (beside) {
        say(english, "read beside the process that writes\n",
            "由另一进程写入，本进程只读\n");
        return;
    }
    say(english, "on disk %s, free %s%s\n", "占用磁盘 %s，剩余 %s%s\n",
        bytes_text(cli_int(s, "bytes_on_disk"), used),
        bytes_text(cli_int(s, "free_bytes"), left),
        writes    ? ""
        : english ? ", NOT WRITABLE"
                  : "，不可写入");
}

static void print_views(json_t *v, bool english)
{
    if (json_is_object(v)) {
        say(english, "views     behind %lld entries, skipped %lld",
            "SQL 视图  落后 %lld 条，跳过 %lld 条", cli_int(v, "behind"),
            cli_int(v, "skipped"));
        say_trouble(english, ", WAITING: ", "，正在等待：",
                    cli_text(v, "waits_for"));
    }
}

static void print_exchange(json_t *tables, bool english)
{
    size_t i;
    json_t *t;
    json_array_foreach(tables, i, t)
    {
        say(english, "exchange  %s: %lld waiting",
            "前置库    %s：待接收 %lld 行", cli_text(t, "table"),
            cli_int(t, "waiting"));
        say_trouble(english, ", STOPPED: ", "，已停止：", cli_text(t, "why"));
    }
}

static void print_root(json_t *root, bool english)
{
    say(english, "root      version %lld, %.16s\n",
        "根文件    第 %lld 版，%.16s\n", cli_int(root, "version"),
        cli_text(root, "hash"));
}

/* Nothing of the only process of a node. */
static void print_process(json_t *p, bool english)
{
    if (!json_is_object(p)) {
        return;
    }
    if (json_is_true(json_object_get(p, "writes"))) {
        say(english, "process   %s writes, term %lld\n",
            "进程      %s 写入，第 %lld 任期\n", cli_text(p, "name"),
            cli_int(p, "term"));
    } else {
        say(english, "process   %s stands by; %s at %s writes, term %lld\n",
            "进程      %s 待命；%s（%s）写入，第 %lld 任期\n",
            cli_text(p, "name"), cli_text(p, "writer"), cli_text(p, "address"),
            cli_int(p, "term"));
    }
    if (cli_text(p, "error")[0] != 0) {
        say(english, "          lease: %s\n", "          租约：%s\n",
            cli_text(p, "error"));
    }
}

static void print_uplink_faults(json_t *u, bool english)
{
    json_t *stuck = json_object_get(u, "stuck");
    const char *why = cli_text(stuck, "why");
    bool stands = strcmp(cli_text(u, "state"), "streaming") == 0;
    if (cli_text(u, "error")[0] != 0 && !stands) {
        say(english, "          last error: %s\n",
            "          最近一次错误：%s\n", cli_text(u, "error"));
    }
    if (cli_int(stuck, "logs") > 0) {
        say(english,
            "          STOPPED for %lld min: %lld logs, such as %s%s%s\n",
            "          已停止 %lld 分钟：%lld 个日志，例如 %s%s%s\n",
            cli_int(stuck, "for_ms") / MINUTE_MS, cli_int(stuck, "logs"),
            cli_text(stuck, "log"), why[0] != 0 ? ": " : "", why);
    }
}

static void print_uplink(json_t *u, bool english)
{
    static const struct cli_word states[] = {
        {"idle", "未启动"},       {"dialing", "正在连接"},
        {"greeting", "正在握手"}, {"streaming", "已连接"},
        {"waiting", "等待重连"},  {NULL, NULL}};
    if (!json_is_object(u)) {
        say(english, "parent    none (top of the federation)\n",
            "上级      无（本节点为最高级）\n");
        return;
    }
    say(english, "parent    %s %s, %s, behind %lld entries in %lld logs",
        "上级      %s %s，%s，待上报 %lld 条（%lld 个日志）",
        cli_text(u, "parent"), cli_text(u, "peer"),
        cli_word(states, cli_text(u, "state"), english),
        cli_int(u, "behind_entries"), cli_int(u, "behind_logs"));
    say(english,
        ", sent %lld (full %lld, incremental %lld, resumed %lld, restored "
        "%lld, forked %lld)\n",
        "，已发送 %lld 条（全量 %lld，增量 %lld，续传 %lld，恢复 %lld，分叉 "
        "%lld）\n",
        cli_int(u, "sent_entries"), cli_int(u, "full"),
        cli_int(u, "incremental"), cli_int(u, "resumed"),
        cli_int(u, "restored"), cli_int(u, "forked"));
    print_uplink_faults(u, english);
}

/* Those that were not seen since the start are in no other table. */
static void print_silent(json_t *silent, bool english)
{
    size_t i;
    json_t *c;
    json_array_foreach(silent, i, c)
    {
        if (i == SILENT_SHOWN) {
            say(english, "          and %zu more\n", "          另有 %zu 个\n",
                json_array_size(silent) - i);
            break;
        }
        say(english,
            i == 0 ? "silent    %s for %lld min\n"
                   : "          %s for %lld min\n",
            i == 0 ? "失联下级  %s 已 %lld 分钟\n"
                   : "          %s 已 %lld 分钟\n",
            cli_text(c, "code"), cli_int(c, "for_ms") / MINUTE_MS);
    }
}

static void print_child(struct cli_table *t, json_t *c, bool english)
{
    char logs[24];
    char entries[24];
    char refused[24];
    char ago[32];
    long long ago_s = (clock_wall_ms() - cli_int(c, "last_message_ms")) / 1000;
    bool here = json_is_true(json_object_get(c, "connected"));
    (void)snprintf(logs, sizeof logs, "%lld", cli_int(c, "logs"));
    (void)snprintf(entries, sizeof entries, "%lld",
                   cli_int(c, "received_entries"));
    (void)snprintf(refused, sizeof refused, "%lld", cli_int(c, "refused"));
    (void)snprintf(ago, sizeof ago, english ? "%lld s ago" : "%lld 秒前",
                   ago_s);
    const char *cells[] = {cli_text(c, "code"),
                           cli_text(c, english ? "tier" : "tier_zh"),
                           english ? (here ? "connected" : "gone")
                                   : (here ? "已连接" : "已断开"),
                           logs,
                           entries,
                           refused,
                           ago};
    cli_table_row(t, cells);
}

static void print_children(json_t *children, bool english)
{
    static const char *const en[] = {"child",   "tier",    "state",    "logs",
                                     "entries", "refused", "last said"};
    static const char *const zh[] = {"下级", "级别", "状态",    "日志",
                                     "收到", "拒收", "最近消息"};
    size_t i;
    json_t *c;
    if (json_array_size(children) == 0) {
        return;
    }
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    json_array_foreach(children, i, c)
    {
        print_child(t, c, english);
    }
    (void)putchar('\n');
    cli_table_print(t);
    cli_table_free(&t);
}

static int level_exit(const char *state)
{
    return strcmp(state, "ok") == 0     ? EXIT_OK
           : strcmp(state, "warn") == 0 ? EXIT_WARN
                                        : EXIT_ALARM;
}

static void print_health(json_t *health, bool english)
{
    size_t i;
    json_t *reason;
    (void)printf("%s\n",
                 cli_word(cli_levels, cli_text(health, "state"), english));
    json_array_foreach(json_object_get(health, "reasons"), i, reason)
    {
        (void)printf("  %s [%s] %s\n",
                     cli_word(cli_levels, cli_text(reason, "level"), english),
                     cli_text(reason, "id"), text_in(reason, english));
    }
}

static void print_status(json_t *result, bool english)
{
    json_t *node = json_object_get(result, "node");
    json_t *process = json_object_get(result, "process");
    long long up_s =
        (cli_int(node, "now_ms") - cli_int(node, "started_ms")) / 1000;
    say(english, "%s %s %s (%s), version %s, up %lld s: ",
        "%s %s %s（%s），版本 %s，已运行 %lld 秒：", cli_text(node, "code"),
        cli_text(node, "tier_zh"), cli_text(node, "name"),
        cli_text(node, "tier"), cli_text(node, "version"), up_s);
    print_health(json_object_get(result, "health"), english);
    print_root(json_object_get(result, "root"), english);
    print_store(json_object_get(result, "store"), process, english);
    print_views(json_object_get(result, "views"), english);
    print_exchange(json_object_get(result, "exchange"), english);
    print_process(process, english);
    print_uplink(json_object_get(result, "uplink"), english);
    print_silent(json_object_get(result, "silent_children"), english);
    print_children(json_object_get(result, "children"), english);
}

/* A node that does not answer is a number, too. */
static int print_metrics(json_t *result)
{
    struct buf out = BUF_INIT;
    metrics_put(result, &out);
    (void)fwrite(out.data, 1, out.len, stdout);
    buf_fini(&out);
    return result != NULL && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

enum { OPT_METRICS = 2000 };

int cmd_status(int argc, char **argv)
{
    static const struct option longs[] = {
        CLI_LONG,
        {"metrics", no_argument, NULL, OPT_METRICS},
        {NULL, 0, NULL, 0}};
    struct cli_options o = {.english = cli_english()};
    bool metrics = false;
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        metrics = metrics || opt == OPT_METRICS;
        if (opt != OPT_METRICS && !cli_common(opt, &o)) {
            return cli_usage("status", "wrong option or value");
        }
    }
    if (optind < argc) {
        return cli_usage("status", "it takes no argument");
    }
    if (metrics && o.json) {
        return cli_usage("status", "--metrics and --json: one of them");
    }
    json_t *result =
        cli_call(&o, json_pack("{s:s}", "cmd", "status"), NULL, NULL);
    if (metrics) {
        int rc = print_metrics(result);
        json_decref(result);
        return rc;
    }
    if (result == NULL) {
        return EXIT_FAILED;
    }
    int rc = level_exit(cli_text(json_object_get(result, "health"), "state"));
    if (o.json) {
        (void)json_object_del(result, "type");
        (void)cli_print_json(result);
        return rc;
    }
    cli_tame(result);
    print_status(result, o.english);
    json_decref(result);
    return rc;
}
