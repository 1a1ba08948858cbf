/* status */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli.h"
#include "cli_metrics.h"

enum { EXIT_WARN = 3, EXIT_ALARM = 4 };
enum { MINUTE_MS = 60000, SILENT_SHOWN = 10 };

static void print_bytes(const char *label, long long bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 1024 && u + 1 < ARRAY_LEN(units)) {
        v /= 1024;
        u++;
    }
    (void)printf("%s %.1f %s", label, v, units[u]);
}

static void print_store(json_t *s, json_t *process)
{
    bool writes = json_is_true(json_object_get(s, "writable"));
    bool beside = json_is_object(process) &&
                  !json_is_true(json_object_get(process, "writes"));
    (void)printf("store     %lld own and %lld received entries in %lld logs, ",
                 cli_int(s, "own_entries"), cli_int(s, "received_entries"),
                 cli_int(s, "logs"));
    if (beside) {
        (void)printf("read beside the process that writes\n");
        return;
    }
    print_bytes("on disk", cli_int(s, "bytes_on_disk"));
    print_bytes(", free", cli_int(s, "free_bytes"));
    (void)printf("%s\n", writes ? "" : ", NOT WRITABLE");
}

static void print_views(json_t *v)
{
    if (json_is_object(v)) {
        (void)printf("views     behind %lld entries, skipped %lld%s%s\n",
                     cli_int(v, "behind"), cli_int(v, "skipped"),
                     cli_text(v, "waits_for")[0] != 0 ? ", WAITING: " : "",
                     cli_text(v, "waits_for"));
    }
}

static void print_exchange(json_t *tables)
{
    size_t i;
    json_t *t;
    json_array_foreach(tables, i, t)
    {
        (void)printf("exchange  %s: %lld waiting%s%s\n", cli_text(t, "table"),
                     cli_int(t, "waiting"),
                     cli_text(t, "why")[0] != 0 ? ", STOPPED: " : "",
                     cli_text(t, "why"));
    }
}

static void print_root(json_t *root)
{
    (void)printf("root      version %lld, %.16s\n", cli_int(root, "version"),
                 cli_text(root, "hash"));
}

/* Nothing of the only process of a node. */
static void print_process(json_t *p)
{
    if (!json_is_object(p)) {
        return;
    }
    if (json_is_true(json_object_get(p, "writes"))) {
        (void)printf("process   %s writes, term %lld\n", cli_text(p, "name"),
                     cli_int(p, "term"));
    } else {
        (void)printf("process   %s stands by; %s at %s writes, term %lld\n",
                     cli_text(p, "name"), cli_text(p, "writer"),
                     cli_text(p, "address"), cli_int(p, "term"));
    }
    if (cli_text(p, "error")[0] != 0) {
        (void)printf("          lease: %s\n", cli_text(p, "error"));
    }
}

static void print_uplink(json_t *u)
{
    if (!json_is_object(u)) {
        (void)printf("parent    none (top of the federation)\n");
        return;
    }
    (void)printf("parent    %s %s, %s", cli_text(u, "parent"),
                 cli_text(u, "peer"), cli_text(u, "state"));
    (void)printf(
        ", behind %lld entries in %lld logs, sent %lld (full %lld, "
        "incremental %lld, resumed %lld, restored %lld, forked %lld)\n",
        cli_int(u, "behind_entries"), cli_int(u, "behind_logs"),
        cli_int(u, "sent_entries"), cli_int(u, "full"),
        cli_int(u, "incremental"), cli_int(u, "resumed"),
        cli_int(u, "restored"), cli_int(u, "forked"));
    json_t *stuck = json_object_get(u, "stuck");
    bool stands = strcmp(cli_text(u, "state"), "streaming") == 0;
    if (cli_text(u, "error")[0] != 0 && !stands) {
        (void)printf("          last error: %s\n", cli_text(u, "error"));
    }
    if (cli_int(stuck, "logs") > 0) {
        (void)printf(
            "          STOPPED for %lld min: %lld logs, such as %s%s%s\n",
            cli_int(stuck, "for_ms") / MINUTE_MS, cli_int(stuck, "logs"),
            cli_text(stuck, "log"), cli_text(stuck, "why")[0] != 0 ? ": " : "",
            cli_text(stuck, "why"));
    }
}

/* Those that were not seen since the start are in no other table. */
static void print_silent(json_t *silent)
{
    size_t i;
    json_t *c;
    json_array_foreach(silent, i, c)
    {
        if (i == SILENT_SHOWN) {
            (void)printf("          and %zu more\n",
                         json_array_size(silent) - i);
            break;
        }
        (void)printf("%s %s for %lld min\n", i == 0 ? "silent   " : "         ",
                     cli_text(c, "code"), cli_int(c, "for_ms") / MINUTE_MS);
    }
}

static void print_children(json_t *children)
{
    static const char *const headings[] = {
        "child", "tier", "state", "logs", "entries", "refused", "last said"};
    size_t i;
    json_t *c;
    if (json_array_size(children) == 0) {
        return;
    }
    struct cli_table *t = cli_table_new(headings, ARRAY_LEN(headings));
    json_array_foreach(children, i, c)
    {
        char logs[24];
        char entries[24];
        char refused[24];
        char ago[32];
        (void)snprintf(logs, sizeof logs, "%lld", cli_int(c, "logs"));
        (void)snprintf(entries, sizeof entries, "%lld",
                       cli_int(c, "received_entries"));
        (void)snprintf(refused, sizeof refused, "%lld", cli_int(c, "refused"));
        (void)snprintf(
            ago, sizeof ago, "%lld s ago",
            (long long)(clock_wall_ms() - cli_int(c, "last_message_ms")) /
                1000);
        const char *cells[] = {cli_text(c, "code"),
                               cli_text(c, "tier"),
                               json_is_true(json_object_get(c, "connected"))
                                   ? "connected"
                                   : "gone",
                               logs,
                               entries,
                               refused,
                               ago};
        cli_table_row(t, cells);
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

static void print_status(json_t *result)
{
    size_t i;
    json_t *reason;
    json_t *node = json_object_get(result, "node");
    json_t *health = json_object_get(result, "health");
    (void)printf("%s %s %s (%s), version %s, up %lld s: %s\n",
                 cli_text(node, "code"), cli_text(node, "tier_zh"),
                 cli_text(node, "name"), cli_text(node, "tier"),
                 cli_text(node, "version"),
                 (cli_int(node, "now_ms") - cli_int(node, "started_ms")) / 1000,
                 cli_text(health, "state"));
    json_array_foreach(json_object_get(health, "reasons"), i, reason)
    {
        (void)printf("  %s [%s] %s\n", cli_text(reason, "level"),
                     cli_text(reason, "id"), cli_text(reason, "text"));
    }
    print_root(json_object_get(result, "root"));
    json_t *process = json_object_get(result, "process");
    print_store(json_object_get(result, "store"), process);
    print_views(json_object_get(result, "views"));
    print_exchange(json_object_get(result, "exchange"));
    print_process(process);
    print_uplink(json_object_get(result, "uplink"));
    print_silent(json_object_get(result, "silent_children"));
    print_children(json_object_get(result, "children"));
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
    print_status(result);
    json_decref(result);
    return rc;
}
