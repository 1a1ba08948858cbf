/* mariadb_server.h - a MariaDB server of a test's own, in a folder of the
 * test, reached by a socket there; it dies with the test. Who is asked for it:
 * the database's root, without a password. */
#ifndef TESTS_MARIADB_SERVER_H
#define TESTS_MARIADB_SERVER_H

#include <mysql.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

enum { MARIADB_READY_MS = 60000 };

struct mariadb_server {
    char dir[96];
    char socket[112];
    pid_t pid; /* 0: stopped */
};

static inline void PRINTF_LIKE(1, 2) mariadb_shell(const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    assert_int_equal(system(line), 0);
}

/* First in main, where every test needs a server: without one on this machine
 * the program ends with 77, which ctest calls skipped. */
static inline void mariadb_or_skip(void)
{
    if (system("PATH=$PATH:/usr/sbin command -v mariadbd >/dev/null") != 0) {
        (void)printf("skipped: no mariadbd here\n");
        exit(77);
    }
}

/* NULL if it cannot be had now. */
static inline MYSQL *mariadb_admin(const struct mariadb_server *s)
{
    MYSQL *m = mysql_init(NULL);
    assert_non_null(m);
    if (mysql_real_connect(m, NULL, "root", "", NULL, 0, s->socket, 0) ==
        NULL) {
        mysql_close(m);
        return NULL;
    }
    return m;
}

static inline void PRINTF_LIKE(2, 3)
    mariadb_sql(const struct mariadb_server *s, const char *fmt, ...)
{
    char sql[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    MYSQL *m = mariadb_admin(s);
    assert_non_null(m);
    if (mysql_query(m, sql) != 0) {
        fail_msg("%s: %s", sql, mysql_error(m));
    }
    mysql_close(m);
}

/* First column of the first row, cut to `cap` - 1 bytes; "" if there is none.
 */
static inline void mariadb_text(const struct mariadb_server *s, const char *sql,
                                char *out, size_t cap)
{
    MYSQL *m = mariadb_admin(s);
    assert_non_null(m);
    assert_int_equal(mysql_query(m, sql), 0);
    MYSQL_RES *result = mysql_store_result(m);
    assert_non_null(result);
    MYSQL_ROW row = mysql_fetch_row(result);
    (void)snprintf(out, cap, "%s", row != NULL && row[0] != NULL ? row[0] : "");
    mysql_free_result(result);
    mysql_close(m);
}

static inline uint64_t mariadb_number(const struct mariadb_server *s,
                                      const char *sql)
{
    char text[32];
    mariadb_text(s, sql, text, sizeof text);
    return strtoull(text, NULL, 10);
}

static inline void mariadb_exec(const struct mariadb_server *s,
                                const char *options)
{
    char line[1024];
    const char *user = getuid() == 0 ? "--user=root" : "";
    (void)snprintf(line, sizeof line,
                   "exec $(PATH=$PATH:/usr/sbin command -v mariadbd) "
                   "--no-defaults --datadir=%s/data --socket=%s "
                   "--pid-file=%s/pid --log-error=%s/log %s "
                   "--innodb-buffer-pool-size=32M --innodb-log-file-size=16M "
                   "%s >/dev/null 2>&1",
                   s->dir, s->socket, s->dir, s->dir, user, options);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)unsetenv("LSAN_OPTIONS");
    (void)execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

/* Starts it and waits until it answers. */
static inline void mariadb_start_with(struct mariadb_server *s,
                                      const char *options)
{
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        mariadb_exec(s, options);
    }
    MYSQL *m = NULL;
    int64_t until_ms = clock_mono_ms() + MARIADB_READY_MS;
    while ((m = mariadb_admin(s)) == NULL && clock_mono_ms() < until_ms &&
           waitpid(s->pid, NULL, WNOHANG) == 0) {
        (void)usleep(20000);
    }
    if (m == NULL) {
        (void)fprintf(stderr, "mariadbd did not start: %s/log\n", s->dir);
        (void)kill(s->pid, SIGKILL);
        s->pid = 0;
        fail();
    }
    mysql_close(m);
}

static inline void mariadb_start(struct mariadb_server *s)
{
    mariadb_start_with(s, "--skip-networking");
}

/* Makes an empty one in `dir`, which is there, and starts it. */
static inline void mariadb_init(struct mariadb_server *s, const char *dir)
{
    (void)snprintf(s->dir, sizeof s->dir, "%.80s/mariadb", dir);
    (void)snprintf(s->socket, sizeof s->socket, "%s/socket", s->dir);
    mariadb_shell("mkdir %s && " SOURCE_DIR
                  "/tests/support/mariadb-dir.sh %s/data",
                  s->dir, s->dir);
    mariadb_start(s);
}

static inline void mariadb_end(struct mariadb_server *s, int signal)
{
    if (s->pid > 0) {
        (void)kill(s->pid, signal);
        (void)waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
}

#endif
