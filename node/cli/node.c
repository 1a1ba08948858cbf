/* serve, check-config */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "node.h"

static const struct option longs[] = {CLI_LONG, {NULL, 0, NULL, 0}};

static bool parse(int argc, char **argv, struct cli_options *o)
{
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        if (!cli_common(opt, o)) {
            return false;
        }
    }
    return optind == argc;
}

int cmd_serve(int argc, char **argv)
{
    struct cli_options o = {.english = true};
    struct errmsg why = {{0}};
    cli_speak_english();
    if (!parse(argc, argv, &o)) {
        return cli_usage("serve", "unknown option or argument");
    }
    struct conf *conf = cli_conf(&o);
    if (conf == NULL) {
        return EXIT_FAILED;
    }
    struct node *node = NULL;
    if (node_start(&node, &conf, cli_conf_path(&o), o.set, o.set_count, &why) !=
        ERR_OK) {
        return cli_fail("%s", why.text);
    }
    enum err err = node_run(node);
    int status = node_damaged(node) ? EXIT_DAMAGED
                 : err != ERR_OK    ? EXIT_FAILED
                                    : EXIT_OK;
    return node_stop(&node) == ERR_OK ? status : EXIT_FAILED;
}

int cmd_check_config(int argc, char **argv)
{
    struct cli_options o = {.english = true};
    struct errmsg why = {{0}};
    if (!parse(argc, argv, &o)) {
        return cli_usage("check-config", "unknown option or argument");
    }
    struct conf *conf = cli_conf(&o);
    if (conf == NULL) {
        return EXIT_FAILED;
    }
    struct buf text = BUF_INIT;
    conf_print(conf, o.json ? CONF_FORM_JSON : CONF_FORM_FILE, true, &text);
    (void)fwrite(text.data, 1, text.len, stdout);
    buf_fini(&text);
    enum err err = node_check(conf, &why);
    conf_free(&conf);
    return err == ERR_OK ? EXIT_OK : cli_fail("%s", why.text);
}
