/* store */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/admin.h"
#include "base/log.h"
#include "cli/cli.h"
#include "node_copy.h"

enum { OPT_FROM = 256, OPT_TO, OPT_ONCE, EXIT_NOT_MOVED = 3 };

static const struct option longs[] = {
    {"from", required_argument, NULL, OPT_FROM},
    {"to", required_argument, NULL, OPT_TO},
    {"once", no_argument, NULL, OPT_ONCE},
    CLI_LONG,
    {NULL, 0, NULL, 0}};

enum { PATH_LEN = 4096 };

struct call {
    char from_name[PATH_LEN]; /* whole paths, which stay in the stores */
    char to_name[PATH_LEN];
    struct cli_options from;
    struct cli_options to;
    const char *socket; /* of the node that may run on `from` */
    bool once;
    bool told; /* that the node may be stopped now */
    enum copy_phase phase;
    struct cli_progress progress;
    bool shown;
};

static bool parse(struct call *c, int argc, char **argv)
{
    int opt;
    bool ok = true;
    while (ok &&
           (opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        switch (opt) {
        case OPT_FROM:
            c->from.conf = optarg;
            break;
        case OPT_TO:
            c->to.conf = optarg;
            break;
        case OPT_ONCE:
            c->once = true;
            break;
        default: /* settings of which of the two? */
            ok = opt != 'c' && cli_common(opt, &c->from) &&
                 c->from.set_count == 0;
            break;
        }
    }
    return ok && optind + 1 == argc && strcmp(argv[optind], "copy") == 0 &&
           c->from.conf != NULL && c->to.conf != NULL;
}

/* ---- while it runs ---- */

static void on_progress(void *ctx, enum copy_phase phase, uint64_t done,
                        uint64_t total)
{
    static const char *const what[] = {
        [COPY_WRITES] = "copying", [COPY_READS_BACK] = "reading back"};
    struct call *c = ctx;
    if (!c->shown || c->phase != phase) {
        if (c->shown) {
            cli_progress_end(&c->progress);
        }
        cli_progress_start(&c->progress, what[phase]);
        c->phase = phase;
        c->shown = true;
    }
    cli_progress(&c->progress, done, total);
}

static void end_progress(struct call *c)
{
    if (c->shown) {
        cli_progress_end(&c->progress);
        c->shown = false;
    }
}

static enum err ask_snapshot(void *ctx, char *path, size_t cap,
                             struct errmsg *why)
{
    const struct call *c = ctx;
    struct admin_client *client = NULL;
    json_t *result = NULL;
    json_t *request = json_pack("{s:s}", "cmd", "store-snapshot");
    enum err err = admin_connect(&client, c->socket, why);
    if (err != ERR_OK) {
        json_decref(request);
        return err;
    }
    err = admin_write_json(client, request);
    if (err == ERR_OK) {
        result = cli_read_result(client, NULL, NULL);
    }
    admin_disconnect(&client);
    if (result == NULL) {
        return err_set(why, ERR_UNAVAILABLE,
                       "the node at %s gave no snapshot of its store",
                       c->socket);
    }
    (void)snprintf(path, cap, "%s", cli_text(result, "path"));
    json_decref(result);
    return path[0] != 0 ? ERR_OK : ERR_UNSUPPORTED;
}

/* People are told once; a terminal shows the passes that follow. */
static void on_passed(void *ctx, const struct copy_counts *counts)
{
    struct call *c = ctx;
    end_progress(c);
    if (c->told || c->once || c->from.json) {
        return;
    }
    c->told = true;
    (void)printf("%llu entries of %llu logs are in the copy, read back and "
                 "equal by root.\n"
                 "The node still runs. Stop it when it suits you: what came "
                 "meanwhile is copied\n"
                 "then, and the move ends. Until then the copy follows; Ctrl-C "
                 "is safe, the same\n"
                 "command goes on.\n",
                 (unsigned long long)counts->entries,
                 (unsigned long long)counts->logs);
    (void)fflush(stdout);
}

static void on_waiting(void *ctx, const char *why)
{
    end_progress(ctx);
    (void)fprintf(stderr, "creditnode: %s; trying again for a minute\n", why);
}

/* ---- the outcome ---- */

static int print_json(const struct call *c, const struct copy_counts *n,
                      bool moved)
{
    return cli_print_json(json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "result",
        moved ? "moved" : "copied", "from", c->from.conf, "to", c->to.conf,
        "logs", (json_int_t)n->logs, "entries", (json_int_t)n->entries,
        "copied", (json_int_t)n->copied, "read_back", (json_int_t)n->read_back,
        "set_aside", (json_int_t)n->set_aside, "issues_from",
        (json_int_t)n->issues_from, "issues_to", (json_int_t)n->issues_to));
}

static void print_moved(const struct call *c, const struct copy_counts *n,
                        const char *old)
{
    (void)printf("Moved: %llu entries of %llu logs, all read back and equal by "
                 "root.\n",
                 (unsigned long long)n->entries, (unsigned long long)n->logs);
    if (n->issues_from != n->issues_to) {
        (void)printf("Entries without effect: %llu before, %llu now "
                     "(creditnode issues).\n",
                     (unsigned long long)n->issues_from,
                     (unsigned long long)n->issues_to);
    }
    (void)printf("Start the node with %s. No node starts on the old store any "
                 "more; it stays in\n%s until you remove it.\n",
                 c->to.conf, old);
}

static void print_copied(const struct copy_counts *n)
{
    (void)printf("%llu entries of %llu logs are in the copy, read back and "
                 "equal by root. Nothing has\n"
                 "moved: stop the node and run the command again.\n",
                 (unsigned long long)n->entries, (unsigned long long)n->logs);
}

static int run(struct call *c, const struct conf *from, const struct conf *to)
{
    struct copy_counts counts = {0};
    struct errmsg why = {{0}};
    struct node_copy copy = {.from = from,
                             .to = to,
                             .from_name = c->from_name,
                             .to_name = c->to_name,
                             .once = c->once,
                             .snapshot = ask_snapshot,
                             .progress = on_progress,
                             .passed = on_passed,
                             .waiting = on_waiting,
                             .ctx = c};
    c->socket = c->from.socket != NULL ? c->from.socket : from->admin.socket;
    enum err err = node_copy_run(&copy, &counts, &why);
    end_progress(c);
    if (err != ERR_OK) {
        return cli_fail("%s", why.text);
    }
    int status = copy.moved ? EXIT_OK : EXIT_NOT_MOVED;
    if (c->from.json) {
        int printed = print_json(c, &counts, copy.moved);
        return printed == EXIT_OK ? status : printed;
    }
    if (copy.moved) {
        print_moved(c, &counts, from->data.dir);
    } else {
        print_copied(&counts);
    }
    return status;
}

int cmd_store(int argc, char **argv)
{
    struct call c = {.from = {.english = true}};
    if (!parse(&c, argc, argv)) {
        return cli_usage("store", "wrong option, value or argument");
    }
    if (realpath(c.from.conf, c.from_name) == NULL ||
        realpath(c.to.conf, c.to_name) == NULL) {
        return cli_fail("%s: %s", c.from_name[0] == 0 ? c.from.conf : c.to.conf,
                        strerror(errno));
    }
    log_set_level(LOG_ERROR);
    struct conf *from = cli_conf(&c.from);
    struct conf *to = from != NULL ? cli_conf(&c.to) : NULL;
    int status = to != NULL ? run(&c, from, to) : EXIT_FAILED;
    conf_free(&from);
    conf_free(&to);
    return status;
}
