#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "api/admin.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "credit/chinese.h"
#include "node.h"

#define DEFAULT_CONF "/etc/creditnode/node.cfg"

static const char common_help[] =
    "\nOptions of every command:\n"
    "  -c, --config FILE   configuration of the node (default: "
    "$CREDITNODE_CONF,\n"
    "                      then " DEFAULT_CONF ")\n"
    "  -s, --socket PATH   admin socket of the running node, instead of -c\n"
    "      --set KEY=VALUE override one option of the configuration\n"
    "  -j, --json          JSON for programs instead of text\n"
    "      --lang zh|en    language of what people read\n"
    "                      (default: zh in a Chinese locale of UTF-8, else "
    "en)\n"
    "  -h, --help          this text\n";

static const char common_help_zh[] =
    "\n各命令共有的选项：\n"
    "  -c, --config 文件   节点的配置（默认：$CREDITNODE_CONF，否则为\n"
    "                      " DEFAULT_CONF "）\n"
    "  -s, --socket 路径   正在运行的节点的管理套接字，代替 -c\n"
    "      --set 项=值     改用此值，代替配置中的一项\n"
    "  -j, --json          输出 JSON，供程序使用\n"
    "      --lang zh|en    文字的语言（默认：区域设置为 zh 且编码为 UTF-8 时\n"
    "                      用中文，否则用英文）\n"
    "  -h, --help          显示本说明\n";

/* The command's help in Chinese, or as it is. */
static const struct cli_command *in_chinese(const struct cli_command *c)
{
    const struct cli_command *zh = cli_commands_zh;
    while (zh->name != NULL && strcmp(zh->name, c->name) != 0) {
        zh++;
    }
    return zh->name != NULL ? zh : c;
}

static void print_commands(FILE *to, bool english)
{
    (void)fprintf(to,
                  english
                      ? "creditnode %s - node of a public credit information "
                        "platform\n\nusage: creditnode COMMAND [options]\n\n"
                      : "creditnode %s - 公共信用信息平台节点程序\n\n"
                        "用法：creditnode 命令 [选项]\n\n",
                  node_version());
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        (void)fprintf(to, "  %-14s %s\n", c->name,
                      english ? c->summary : in_chinese(c)->summary);
    }
    (void)fputs(english ? "\n`creditnode COMMAND --help` teaches one command.\n"
                        : "\n各命令的用法：creditnode 命令 --help\n",
                to);
}

static const struct cli_command *find_command(const char *name)
{
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

/* Before its options are read, of whatever command. */
static bool wants_english(int argc, char **argv)
{
    const char *lang = cli_english() ? "en" : "zh";
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--lang=", 7) == 0) {
            lang = argv[i] + 7;
        } else if (strcmp(argv[i], "--lang") == 0 && i + 1 < argc) {
            lang = argv[i + 1];
        }
    }
    return strcmp(lang, "zh") != 0;
}

static int print_help(const struct cli_command *c, bool english)
{
    (void)printf("%s%s", english ? c->help : in_chinese(c)->help,
                 english ? common_help : common_help_zh);
    return EXIT_OK;
}

static bool sent_elsewhere;

void cli_note_error(const json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "error"));
    sent_elsewhere =
        sent_elsewhere ||
        (name != NULL && strcmp(name, err_name(ERR_ELSEWHERE)) == 0);
}

/* What was printed is part of what was asked for. */
static int end_output(int rc)
{
    errno = 0;
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return rc;
    }
    (void)cli_fail("standard output: %s; what the command was to do is done",
                   strerror(errno != 0 ? errno : EIO));
    return rc == EXIT_OK ? EXIT_FAILED : rc;
}

static int run(const struct cli_command *c, int argc, char **argv)
{
    int rc = c->run(argc, argv);
    return rc == EXIT_FAILED && sent_elsewhere ? EXIT_ELSEWHERE : rc;
}

static int no_command(const char *name, bool english)
{
    if (name[0] != 0) {
        (void)cli_fail("no command '%s'", name);
        (void)fputc('\n', stderr);
    }
    print_commands(stderr, english);
    return EXIT_USAGE;
}

static int help(int argc, char **argv, bool english)
{
    const struct cli_command *c = argc > 2 ? find_command(argv[2]) : NULL;
    if (c != NULL) {
        return print_help(c, english);
    }
    print_commands(stdout, english);
    return EXIT_OK;
}

static int answer(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const struct cli_command *c = find_command(name);
    bool english = wants_english(argc, argv);
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        (void)printf("creditnode %s\n", node_version());
        return EXIT_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        strcmp(name, "help") == 0) {
        return help(argc, argv, english);
    }
    if (c == NULL) {
        return no_command(name, english);
    }
    return wants_help(argc - 1, argv + 1) ? print_help(c, english)
                                          : run(c, argc - 1, argv + 1);
}

int cli_main(int argc, char **argv)
{
    return end_output(answer(argc, argv));
}

void cli_line(FILE *to, const char *fmt, ...)
{
    struct buf line = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vputf(&line, fmt, ap);
    va_end(ap);
    line.len = line.len > 0 ? str_tame((char *)line.data, line.len) : 0;
    (void)fprintf(to, "%s\n", buf_cstr(&line));
    buf_fini(&line);
}

/* -1: not asked for by an option */
static int spoken = -1;

static bool speaks_english(void)
{
    return spoken >= 0 ? spoken != 0 : cli_english();
}

void cli_speak_english(void)
{
    spoken = 1;
}

char *cli_said(const char *text, bool english)
{
    struct buf said = BUF_INIT;
    if (english) {
        buf_put_str(&said, text);
    } else {
        (void)chinese_put(text, &said);
    }
    char *copy = mem_strdup(buf_cstr(&said));
    buf_fini(&said);
    return copy;
}

void cli_note(const char *text, bool english)
{
    char *said = cli_said(text, english);
    cli_line(stderr, english ? "  note: %s" : "  注意：%s", said);
    mem_free(said);
}

/* The text as it is said. */
static char *PRINTF_LIKE(1, 0) said_of(const char *fmt, va_list ap)
{
    struct buf text = BUF_INIT;
    buf_vputf(&text, fmt, ap);
    char *said = cli_said(buf_cstr(&text), speaks_english());
    buf_fini(&text);
    return said;
}

int cli_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *said = said_of(fmt, ap);
    va_end(ap);
    cli_line(stderr, speaks_english() ? "creditnode: %s" : "creditnode：%s",
             said);
    mem_free(said);
    return EXIT_FAILED;
}

int cli_usage(const char *command, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *said = said_of(fmt, ap);
    va_end(ap);
    cli_line(stderr,
             speaks_english() ? "creditnode %s: %s; see: creditnode %s --help"
                              : "creditnode %s：%s；用法见：creditnode %s "
                                "--help",
             command, said, command);
    mem_free(said);
    return EXIT_USAGE;
}

bool cli_bad_value(const char *option, const char *value, const char *rule)
{
    (void)cli_fail("%s '%.60s': %s", option, value, rule);
    return false;
}

static bool common_language(struct cli_options *o, const char *lang)
{
    o->english = strcmp(lang, "en") == 0;
    if (!o->english && strcmp(lang, "zh") != 0) {
        return cli_bad_value("--lang", lang, "write zh or en");
    }
    spoken = o->english;
    return true;
}

static bool common_set(struct cli_options *o, const char *set)
{
    if (o->set_count == ARRAY_LEN(o->set)) {
        return cli_bad_value("--set", set,
                             "so many are not taken; write a configuration");
    }
    o->set[o->set_count++] = set;
    return true;
}

bool cli_common(int opt, struct cli_options *o)
{
    switch (opt) {
    case 'c':
        o->conf = optarg;
        return true;
    case 's':
        o->socket = optarg;
        return true;
    case 'j':
        o->json = true;
        return true;
    case 1000:
        return common_set(o, optarg);
    case 1001:
        return common_language(o, optarg);
    default:
        return false;
    }
}

/* "zh", "zh_CN", "zh_CN.UTF-8", "zh_CN.utf8@…" */
static bool is_chinese(const char *locale)
{
    const char *dot = strchr(locale, '.');
    return strncmp(locale, "zh", 2) == 0 &&
           (dot == NULL || strncasecmp(dot, ".UTF-8", 6) == 0 ||
            strncasecmp(dot, ".UTF8", 5) == 0);
}

bool cli_english(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *lang = getenv(names[i]);
        if (lang != NULL && lang[0] != 0) {
            return !is_chinese(lang);
        }
    }
    return true;
}

const char *cli_conf_path(const struct cli_options *o)
{
    const char *env = getenv("CREDITNODE_CONF");
    return o->conf != NULL ? o->conf : env != NULL ? env : DEFAULT_CONF;
}

struct conf *cli_conf(const struct cli_options *o)
{
    struct conf *conf = NULL;
    struct conf_errors errors = {0};
    enum err err =
        conf_load(&conf, cli_conf_path(o), o->set, o->set_count, &errors);
    if (err != ERR_OK) {
        for (size_t i = 0; i < errors.count && i < CONF_ERRORS_MAX; i++) {
            (void)cli_fail("%s", errors.at[i].text);
        }
        return NULL;
    }
    return conf;
}

/* ---- talking to the node ---- */

static enum err connect_to_node(const struct cli_options *o,
                                struct admin_client **out, struct errmsg *why)
{
    if (o->socket != NULL) {
        return admin_connect(out, o->socket, why);
    }
    struct conf *conf = cli_conf(o);
    if (conf == NULL) {
        return err_set(why, ERR_CONF,
                       "no usable configuration; name one by -c FILE");
    }
    enum err err = admin_connect(out, conf->admin.socket, why);
    conf_free(&conf);
    return err;
}

json_t *cli_read_result(struct admin_client *client, cli_row_fn *row, void *ctx)
{
    struct errmsg why;
    for (;;) {
        json_t *object = NULL;
        if (admin_read(client, &object, &why) != ERR_OK) {
            (void)cli_fail("%s", why.text);
            return NULL;
        }
        const char *type = json_string_value(json_object_get(object, "type"));
        if (type != NULL && strcmp(type, "error") == 0) {
            (void)cli_fail("%s",
                           json_string_value(json_object_get(object, "text")));
            cli_note_error(object);
            json_decref(object);
            return NULL;
        }
        if (type != NULL && strcmp(type, "result") == 0) {
            return object;
        }
        bool go_on = row == NULL || row(ctx, object);
        json_decref(object);
        if (!go_on) {
            return NULL;
        }
    }
}

void cli_tame(json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    json_object_foreach(value, key, member)
    {
        cli_tame(member);
    }
    json_array_foreach(value, i, member)
    {
        cli_tame(member);
    }
    if (json_is_string(value)) {
        size_t len = json_string_length(value);
        char *text = mem_dup(json_string_value(value), len + 1);
        (void)json_string_setn(value, text, str_tame(text, len));
        mem_free(text);
    }
}

json_t *cli_call(const struct cli_options *o, json_t *request, cli_row_fn *row,
                 void *ctx)
{
    struct admin_client *client = NULL;
    if (cli_open(o, &client) != EXIT_OK) {
        json_decref(request);
        return NULL;
    }
    json_t *result = NULL;
    if (admin_write_json(client, request) == ERR_OK) {
        result = cli_read_result(client, row, ctx);
    } else {
        (void)cli_fail("the node closed the connection before it answered; see "
                       "creditnode status and the node's log, and try again");
    }
    admin_disconnect(&client);
    return result;
}

int cli_open(const struct cli_options *o, struct admin_client **client)
{
    struct errmsg why;
    if (connect_to_node(o, client, &why) != ERR_OK) {
        return cli_fail("%s", why.text);
    }
    return EXIT_OK;
}

/* ---- terminals and tables ---- */

bool cli_is_terminal(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) != 0 && (term == NULL || strcmp(term, "dumb") != 0);
}

struct cli_table {
    size_t columns;
    size_t rows;
    size_t room;
    char **cells; /* row after row, the headings first */
};

struct cli_table *cli_table_new(const char *const *headings, size_t columns)
{
    struct cli_table *t = MEM_NEW(struct cli_table);
    t->columns = columns;
    cli_table_row(t, headings);
    return t;
}

void cli_table_row(struct cli_table *t, const char *const *cells)
{
    if (t->rows == t->room) {
        t->room = t->room > 0 ? t->room * 2 : 16;
        t->cells =
            mem_realloc(t->cells, t->room * t->columns * sizeof *t->cells);
    }
    for (size_t i = 0; i < t->columns; i++) {
        char *cell = mem_strdup(cells[i] != NULL ? cells[i] : "");
        cell[str_tame(cell, strlen(cell))] = 0;
        t->cells[t->rows * t->columns + i] = cell;
    }
    t->rows++;
}

/* Numbers and percentages stand right. */
static bool is_number(const char *cell)
{
    return cell[0] != 0 && strspn(cell, "0123456789.,-+% ") == strlen(cell);
}

static void print_row(const struct cli_table *t, size_t row,
                      const size_t *widths, bool bold)
{
    for (size_t i = 0; i < t->columns; i++) {
        const char *cell = t->cells[row * t->columns + i];
        int pad = (int)(widths[i] - str_width(cell));
        bool right = row > 0 && is_number(cell);
        bool last = i + 1 == t->columns;
        (void)printf("%s%*s%s%*s%s", bold ? "\033[1m" : "", right ? pad : 0, "",
                     cell, right || last ? 0 : pad, "", bold ? "\033[0m" : "");
        (void)fputs(last ? "\n" : "  ", stdout);
    }
}

void cli_table_print(struct cli_table *t)
{
    size_t *widths = mem_zalloc(t->columns, sizeof *widths);
    for (size_t i = 0; i < t->rows * t->columns; i++) {
        size_t w = str_width(t->cells[i]);
        size_t *max = &widths[i % t->columns];
        *max = w > *max ? w : *max;
    }
    const char *plain = getenv("NO_COLOR"); /* no-color.org */
    bool colour =
        cli_is_terminal(STDOUT_FILENO) && (plain == NULL || plain[0] == 0);
    for (size_t row = 0; row < t->rows; row++) {
        print_row(t, row, widths, colour && row == 0);
    }
    mem_free(widths);
}

void cli_table_clear(struct cli_table *t)
{
    for (size_t i = t->columns; i < t->rows * t->columns; i++) {
        mem_free(t->cells[i]);
    }
    t->rows = 1;
}

void cli_table_free(struct cli_table **t)
{
    if (*t != NULL) {
        cli_table_clear(*t);
        for (size_t i = 0; i < (*t)->columns; i++) {
            mem_free((*t)->cells[i]);
        }
        mem_free((*t)->cells);
        mem_free(*t);
        *t = NULL;
    }
}

/* ---- progress ---- */

void cli_progress_start(struct cli_progress *p, const char *what)
{
    *p = (struct cli_progress){.what = what, .started_ms = clock_mono_ms()};
}

void cli_progress_part(struct cli_progress *p, uint64_t done, double part)
{
    int64_t now = clock_mono_ms();
    int64_t passed = now - p->started_ms;
    if (passed < 1000 || now - p->shown_ms < 200 ||
        !cli_is_terminal(STDERR_FILENO)) {
        return;
    }
    p->shown_ms = now;
    double rate = (double)done * 1000.0 / (double)passed;
    bool english = speaks_english();
    (void)fprintf(stderr, english ? "\r\033[K%s: %llu" : "\r\033[K%s：%llu",
                  p->what, (unsigned long long)done);
    if (part > 0 && part <= 1) {
        double left = (double)passed / 1000.0 * (1 - part) / part;
        (void)fprintf(stderr,
                      english ? " (%.0f %%), %.0f/s, %.0f s left"
                              : "（%.0f %%），每秒 %.0f，还需 %.0f 秒",
                      100.0 * part, rate, left);
    } else {
        (void)fprintf(stderr, english ? ", %.0f/s" : "，每秒 %.0f", rate);
    }
}

void cli_progress(struct cli_progress *p, uint64_t done, uint64_t total)
{
    cli_progress_part(p, done, total > 0 ? (double)done / (double)total : 0);
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->shown_ms != 0) {
        (void)fputs("\r\033[K", stderr);
    }
}

bool cli_send_file(struct admin_client *client, json_t *request,
                   struct slice file)
{
    enum { PIECE = 64 << 10 };
    if (admin_write_json(client, request) != ERR_OK) {
        return false;
    }
    /* The last one is empty. A node that reads no further has answered. */
    size_t at = 0;
    size_t n = 1;
    while (n > 0) {
        n = file.len - at < PIECE ? file.len - at : PIECE;
        if (admin_write(client, slice_of(file.data + at, n)) != ERR_OK) {
            break;
        }
        at += n;
    }
    return true;
}

const char *cli_text(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

long long cli_int(json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

const struct cli_word cli_levels[] = {
    {"ok", "正常"}, {"warn", "注意"}, {"alarm", "告警"}, {NULL, NULL}};

const char *cli_word(const struct cli_word *words, const char *name,
                     bool english)
{
    for (const struct cli_word *w = words; !english && w->name != NULL; w++) {
        if (strcmp(w->name, name) == 0) {
            return w->zh;
        }
    }
    return name;
}

static bool lines_are_plain(struct slice text)
{
    struct slice line;
    bool plain = true;
    while (plain && str_next_line(&text, &line)) {
        plain = str_is_plain(line);
    }
    return plain && str_is_plain(text);
}

/* Jansson escapes below U+0020 only: with marks of others beyond, all that is
 * not ASCII is escaped. */
int cli_print_json(json_t *object)
{
    char *text = json_dumps(object, JSON_INDENT(2));
    bool plain = text != NULL && lines_are_plain(slice_str(text));
    if (plain) {
        (void)fputs(text, stdout);
    } else {
        (void)json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    }
    (void)fputc('\n', stdout);
    mem_free(text);
    json_decref(object);
    return EXIT_OK;
}
