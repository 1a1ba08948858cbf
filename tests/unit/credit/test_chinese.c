/* The table of Chinese texts: each English one still stands in the sources, and
 * what it makes of errors. */
#include <ctype.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "credit/chinese.h"

enum { FILE_MAX = 1 << 20, PATH_LEN = 512, ERRNO_MAX = 200 };

/* All string literals of the node, those that stand side by side as one, with
 * a % for each run of conversions; between two a line feed. */
static struct buf said;

static const char *behind_conversion(const char *at)
{
    at += strspn(at, "-+ #0123456789.*$lzhjt");
    return isalpha((unsigned char)*at) ? at + 1 : at;
}

static void put_char(const char **at)
{
    bool escaped = **at == '\\';
    const char *c = escaped ? *at + 1 : *at;
    *at = c + 1;
    if (*c == '%' && !escaped) {
        *at = c[1] == '%' ? c + 2 : behind_conversion(c + 1);
        if (said.len > 0 && said.data[said.len - 1] == '%') {
            return;
        }
    }
    buf_put_u8(&said, escaped && *c == 'n' ? ' ' : (uint8_t)*c);
}

/* Behind the closing quote. */
static const char *put_literal(const char *at)
{
    while (*at != '"' && *at != 0) {
        put_char(&at);
    }
    return *at == 0 ? at : at + 1;
}

/* Blanks, line ends and PRIu64: what may stand within one text. */
static const char *skip_between(const char *at)
{
    for (;;) {
        at += strspn(at, " \t\n");
        if (strncmp(at, "PRI", 3) != 0) {
            return at;
        }
        at += strspn(at, "PRIudx0123456789");
    }
}

static void read_source(const char *path)
{
    struct buf text = BUF_INIT;
    assert_int_equal(file_read(path, FILE_MAX, &text, NULL), ERR_OK);
    const char *at = buf_cstr(&text);
    while ((at = strchr(at, '"')) != NULL) {
        const char *next = put_literal(at + 1);
        for (at = skip_between(next); *at == '"'; at = skip_between(next)) {
            next = put_literal(at + 1);
        }
        buf_put_u8(&said, '\n');
    }
    buf_fini(&text);
}

static bool is_source(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL &&
           (strcmp(dot, ".c") == 0 || strcmp(dot, ".def") == 0) &&
           strcmp(name, "chinese.c") != 0 && strcmp(name, "commands_zh.c") != 0;
}

static void read_sources(const char *folder)
{
    char path[PATH_LEN];
    DIR *dir = opendir(folder);
    struct dirent *e;
    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            read_sources(path);
        } else if (is_source(e->d_name)) {
            read_source(path);
        }
    }
    (void)closedir(dir);
}

static bool is_of_the_system(const char *text)
{
    bool found = false;
    for (int i = 1; i < ERRNO_MAX && !found; i++) {
        found = strcmp(strerror(i), text) == 0;
    }
    return found;
}

/* Where one begins or ends may be put together. */
static bool is_said(const char *en)
{
    char text[512];
    en += en[0] == '%';
    (void)snprintf(text, sizeof text, "%s", en);
    size_t len = strlen(text);
    text[len - (text[len - 1] == '%')] = 0;
    return strstr(buf_cstr(&said), text) != NULL || is_of_the_system(text);
}

static void each_text_stands_in_the_sources(void **state)
{
    (void)state;
    const struct chinese_text *t;
    read_sources(SOURCE_DIR "/node");
    for (size_t i = 0; (t = chinese_text_at(i)) != NULL; i++) {
        if (!is_said(t->en)) {
            fail_msg("no source says: %s", t->en);
        }
    }
    buf_fini(&said);
}

static unsigned parts_of(const char *en)
{
    unsigned n = 0;
    for (; *en != 0; en++) {
        n += *en == '%';
    }
    return n;
}

static void a_text_names_only_parts_that_there_are(void **state)
{
    (void)state;
    const struct chinese_text *t;
    for (size_t i = 0; (t = chinese_text_at(i)) != NULL; i++) {
        unsigned parts = parts_of(t->en);
        assert_true(parts <= 6);
        for (const char *at = t->zh; (at = strpbrk(at, "%$")) != NULL; at++) {
            assert_in_range(at[1], '1', '0' + (int)parts);
        }
    }
}

static void no_text_stands_twice(void **state)
{
    (void)state;
    const struct chinese_text *t;
    const struct chinese_text *other;
    for (size_t i = 0; (t = chinese_text_at(i)) != NULL; i++) {
        for (size_t k = 0; k < i; k++) {
            other = chinese_text_at(k);
            assert_string_not_equal(t->en, other->en);
        }
    }
}

static void texts_are_told_with_what_stands_in_them(void **state)
{
    static const struct {
        const char *en;
        const char *zh;
    } cases[] = {
        {"not found", "未找到"},
        {"/run/a.sock: Connection refused; is the node running (creditnode "
         "serve) with this configuration?",
         "/run/a.sock：连接被拒绝；节点是否正在按此配置运行"
         "（creditnode serve）？"},
        {"a: b.csv: No such file or directory", "a: b.csv：没有这个文件或目录"},
        {"x.csv: line 3: the header (licence, columns of 2018) lacks: XK_NR, "
         "XK_ZT",
         "x.csv：第 3 行：表头（licence，2018 版数据项）缺少：XK_NR, XK_ZT"},
        {"no unified social credit code (uscc-check); an older number is given "
         "as COLUMN/NUMBER, such as ZZJG/742183213",
         "不是统一社会信用代码（统一社会信用代码校验码错误）；"
         "旧号码写作 列名/号码，如 ZZJG/742183213"},
        {"column 3 \"备注 is unknown: not read\" is unknown: not read",
         "第 3 列“备注 is unknown: not read”不是已知的数据项，不读取"},
        {"line 2: quotes do not fit: not a CSV row, before any header was "
         "found; is it CSV? A spreadsheet is to be saved as CSV",
         "第 2 行：CSV格式错误（引号不匹配），且未找到表头；是 CSV 文件吗？"
         "表格软件的文件须另存为 CSV"},
        {"this clock is 90 s behind that of a neighbour (creditnode status): "
         "decisions bear its time, and while it is wrong lists are not known "
         "to be fresh below",
         "本机时钟比相邻节点慢 90 秒（见 creditnode "
         "status）：决定以本机时间为准"
         "，时钟不准时下级无法确认名单是否最新"},
        {"rows from line 7 on are not stored: no space or read-only disk",
         "自第 7 行起未保存：磁盘已满或只读；重新导入不会重复"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = BUF_INIT;
        assert_true(chinese_put(cases[i].en, &out));
        assert_string_equal(buf_cstr(&out), cases[i].zh);
        buf_fini(&out);
    }
}

static void what_is_not_known_stays(void **state)
{
    static const char *const texts[] = {"",
                                        "%",
                                        "not found here",
                                        "a.csv: of a later build: so it is",
                                        "名称 $1 %1",
                                        ": "};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf out = BUF_INIT;
        assert_false(chinese_put(texts[i], &out));
        assert_string_equal(buf_cstr(&out), texts[i]);
        buf_fini(&out);
    }
}

/* Whatever stands in it: it is a file's, or a peer's. */
static void a_long_text_costs_little(void **state)
{
    struct buf text = BUF_INIT;
    struct buf out = BUF_INIT;
    (void)state;
    for (int i = 0; i < 170; i++) {
        buf_put_str(&text, i % 2 == 0 ? "a: b; " : "x (c) ");
    }
    assert_false(chinese_put(buf_cstr(&text), &out));
    assert_string_equal(buf_cstr(&out), buf_cstr(&text));
    buf_fini(&text);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_text_stands_in_the_sources),
        cmocka_unit_test(a_text_names_only_parts_that_there_are),
        cmocka_unit_test(no_text_stands_twice),
        cmocka_unit_test(texts_are_told_with_what_stands_in_them),
        cmocka_unit_test(what_is_not_known_stays),
        cmocka_unit_test(a_long_text_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
