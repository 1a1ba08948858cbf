/* cli.h - what the subcommands share: their table, options, tables on the
 * terminal, progress, and talking to the running node. Private to node/. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"
#include "conf/conf.h"

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_DAMAGED = 5,
    EXIT_ELSEWHERE = 6, /* nothing was done: another process writes */
};

struct cli_command {
    const char *name;
    const char *summary; /* one line for the list */
    const char *help;    /* whole text of `creditnode NAME --help` */
    int (*run)(int argc, char **argv); /* argv[0] is the subcommand */
};
extern const struct cli_command cli_commands[];
/* The same in Chinese, without `run`: of each command one. */
extern const struct cli_command cli_commands_zh[];

/* Finds the subcommand, answers --help and --version, runs it. */
int cli_main(int argc, char **argv);

/* Options that every command has. */
struct cli_options {
    const char *conf;   /* -c FILE, or CREDITNODE_CONF, or the default path */
    const char *socket; /* -s SOCKET: instead of a configuration */
    const char *set[32];
    size_t set_count;
    bool json;
    bool english; /* --lang en; default: cli_english() */
};
/* Takes one common option; false if `opt` is none. Short: c: s: j. */
bool cli_common(int opt, struct cli_options *o);
#define CLI_SHORT "c:s:jh"
#define CLI_LONG                                                               \
    {"config", required_argument, NULL, 'c'},                                  \
        {"socket", required_argument, NULL, 's'},                              \
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'},    \
        {"set", required_argument, NULL, 1000},                                \
    {                                                                          \
        "lang", required_argument, NULL, 1001                                  \
    }

/* Texts of others reach a terminal harmless (str_tame()): by tables, by
 * cli_line(), which adds the end of the line, or out of JSON that cli_tame()
 * went through. */
void cli_line(FILE *to, const char *fmt, ...) PRINTF_LIKE(2, 3);
void cli_tame(json_t *value);
/* "creditnode: text" to standard error; returns EXIT_FAILED or EXIT_USAGE. In
 * Chinese, as far as chinese.h knows the text, where labels are. */
int cli_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
int cli_usage(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "creditnode: OPTION 'VALUE': RULE"; always false. */
bool cli_bad_value(const char *option, const char *value, const char *rule);

/* Unless LC_ALL, LC_MESSAGES or LANG, the first that is set, asks for Chinese
 * in UTF-8: a terminal of another locale may have no signs for it. */
bool cli_english(void);
/* What failed from now on is said in English, whatever the locale: the lines of
 * a log are. */
void cli_speak_english(void);
/* A text of the node's in the language of the labels; owned by the caller. */
char *cli_said(const char *text, bool english);
/* "note: text", a line of standard error. */
void cli_note(const char *text, bool english);
/* A terminal, which moves its cursor unless TERM says otherwise. */
bool cli_is_terminal(int fd);
/* -c, else $CREDITNODE_CONF, else the default path. */
const char *cli_conf_path(const struct cli_options *o);
/* Loads the configuration; prints every fault and returns NULL on error. */
struct conf *cli_conf(const struct cli_options *o);

/* Called for each object before the last; false ends the call. */
typedef bool cli_row_fn(void *ctx, json_t *row);
/* One call to the running node; takes `request`. The result is owned by the
 * caller, NULL after an error that was printed. `row` may be NULL. */
json_t *cli_call(const struct cli_options *o, json_t *request, cli_row_fn *row,
                 void *ctx);
/* Whoever gets an error of the node tells of it: if another process of it
 * writes, cli_main() returns EXIT_ELSEWHERE instead of EXIT_FAILED. */
void cli_note_error(const json_t *object);
/* The same in steps, for commands that send data. */
struct admin_client;
int cli_open(const struct cli_options *o, struct admin_client **client);
json_t *cli_read_result(struct admin_client *client, cli_row_fn *row,
                        void *ctx);
/* Takes `request`; sends it and the file behind it, in pieces, as far as the
 * node reads. True: there is an answer to read. */
bool cli_send_file(struct admin_client *client, json_t *request,
                   struct slice file);
/* A member that is text; "" if there is none. */
const char *cli_text(json_t *object, const char *key);
/* A member that is a number; 0 if there is none. */
long long cli_int(json_t *object, const char *key);

/* Words of the node's as office staff know them. */
struct cli_word {
    const char *name;
    const char *zh;
};
extern const struct cli_word cli_levels[];
/* `words` end with a NULL name; `name` itself if it is none of them. */
const char *cli_word(const struct cli_word *words, const char *name,
                     bool english);

/* A table with columns as wide as their content; CJK counts double. */
struct cli_table;
struct cli_table *cli_table_new(const char *const *headings, size_t columns);
/* `columns` texts, copied. */
void cli_table_row(struct cli_table *t, const char *const *cells);
void cli_table_print(struct cli_table *t);
void cli_table_free(struct cli_table **t);
void cli_table_clear(struct cli_table *t);

/* A progress line on a terminal, silent elsewhere and under a second. */
struct cli_progress {
    const char *what;
    int64_t started_ms;
    int64_t shown_ms;
};
void cli_progress_start(struct cli_progress *p, const char *what);
/* `total` 0: unknown. */
void cli_progress(struct cli_progress *p, uint64_t done, uint64_t total);
/* `part` of all work, 0 to 1, is over when `done` of something are; 0: unknown.
 */
void cli_progress_part(struct cli_progress *p, uint64_t done, double part);
void cli_progress_end(struct cli_progress *p);

/* Prints and releases; escapes what a terminal would act on. */
int cli_print_json(json_t *object);

/* Subcommands, one file each group. */
int cmd_serve(int argc, char **argv);
int cmd_check_config(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_query(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_exchange(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_issues(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_reindex(int argc, char **argv);
int cmd_scrub(int argc, char **argv);
int cmd_root(int argc, char **argv);
int cmd_catalogue(int argc, char **argv);
int cmd_directive(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_feedback(int argc, char **argv);
int cmd_store(int argc, char **argv);

#endif
