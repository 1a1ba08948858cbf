/* federation.h - certificates for the tests, made by the scripts in certs/
 * in a folder of their own. */
#ifndef TESTS_IDENT_FEDERATION_H
#define TESTS_IDENT_FEDERATION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"

static char fed_dir[] = "/tmp/ident-XXXXXX";

/* Runs a line of bash in the test's folder; $C is certs/. */
static void PRINTF_LIKE(1, 2) run(const char *fmt, ...)
{
    struct buf line = BUF_INIT;
    va_list ap;
    buf_putf(&line, "cd %s && C=%s/certs && exec >out 2>&1 && (", fed_dir,
             SOURCE_DIR);
    va_start(ap, fmt);
    buf_vputf(&line, fmt, ap);
    va_end(ap);
    buf_put_str(&line, ")");
    assert_int_equal(setenv("LINE", buf_cstr(&line), 1), 0);
    if (system("exec bash -c \"$LINE\"") != 0) {
        (void)fprintf(stderr, "%s\n", buf_cstr(&line));
        assert_int_not_equal(system("cat /tmp/ident-*/out >&2"), -1);
        fail();
    }
    buf_fini(&line);
}

static inline void fed_open(void)
{
    assert_non_null(mkdtemp(fed_dir));
}

static inline void fed_close(void)
{
    run("rm -rf %s", fed_dir);
}

/* Issues a certificate past the checks of certs/sign.sh, for nodes that lie:
 * <name>.key and <name>.pem by the CA files at `ca`. */
static inline void issue_odd(const char *fed, const char *ca, const char *name,
                             const char *use, const char *san)
{
    run(". $C/lib.sh; make_work; open_federation %s; set_dates 10; "
        "make_request %s.key $work/csr intl odd URI:x:y; "
        "issue %s $work/csr $work/leaf intl \"$(leaf_extensions %s '%s')\"; "
        "cat $work/leaf %s.pem >%s.pem",
        fed, name, ca, use, san, ca, name);
}

/* A path in the test's folder; good until the thread asked for eight more. */
static inline const char *at(const char *name)
{
    static _Thread_local char paths[8][128];
    static _Thread_local unsigned next;
    char *out = paths[next++ % 8];
    (void)snprintf(out, sizeof paths[0], "%s/%s", fed_dir, name);
    return out;
}

/* Appends the chain of a PEM file in wire form. */
static inline void put_chain(const char *name, struct buf *out)
{
    struct buf pem = BUF_INIT;
    struct errmsg why;
    assert_int_equal(file_read(at(name), 65536, &pem, &why), ERR_OK);
    for (const char *line = buf_cstr(&pem); (line = strstr(line, "-----BEGIN "
                                                                 "CERT"));) {
        struct buf text = BUF_INIT;
        struct buf der = BUF_INIT;
        for (line = strchr(line, '\n') + 1; *line != '-'; line++) {
            if (*line != '\n') {
                buf_put_u8(&text, (uint8_t)*line);
            }
        }
        assert_true(str_unbase64(buf_slice(&text), &der));
        buf_put_u32(out, (uint32_t)der.len);
        buf_put_slice(out, buf_slice(&der));
        buf_fini(&text);
        buf_fini(&der);
    }
    buf_fini(&pem);
}

static inline void assert_says(const struct errmsg *why, const char *part)
{
    if (strstr(why->text, part) == NULL) {
        (void)fprintf(stderr, "'%s' lacks '%s'\n", why->text, part);
        fail();
    }
}

#endif
