/* directive export, and directive import of what it wrote. */
#include "cli/listfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/admin.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "sync/listfile.h"

enum { CHUNK = 64 << 10, PATH_LEN = 4096 };

/* ---- export ---- */

struct writing {
    FILE *to;
    const char *path;
    uint64_t bytes;
    struct cli_progress progress;
    bool failed;
};

static bool on_piece(void *ctx, json_t *object)
{
    struct writing *w = ctx;
    struct buf bytes = BUF_INIT;
    w->failed = !str_unbase64(slice_str(cli_text(object, "data")), &bytes) ||
                fwrite(bytes.data, 1, bytes.len, w->to) != bytes.len;
    w->bytes += bytes.len;
    buf_fini(&bytes);
    cli_progress(&w->progress, w->bytes, 0);
    return !w->failed;
}

/* Made new: where others may write, too, a link of that name could lead
 * elsewhere, and two exports would write into one file. */
static FILE *make_new(const char *path)
{
    int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (fd >= 0 && file == NULL) {
        (void)close(fd);
    }
    return file;
}

/* Over nothing that came meanwhile. Not all file systems can tell that in one
 * step. */
static bool rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return true;
    }
    return errno == EINVAL && access(to, F_OK) != 0 && rename(from, to) == 0;
}

/* Until it is whole it has another name. */
static int finish(const struct writing *w, const char *temporary)
{
    bool ok = fflush(w->to) == 0 && fsync(fileno(w->to)) == 0 &&
              rename_new(temporary, w->path) && file_sync_folder_of(w->path);
    return ok ? EXIT_OK : cli_fail("%s: %s", w->path, strerror(errno));
}

static int write_out(const struct cli_options *o, struct writing *w,
                     const char *temporary, json_t *request)
{
    cli_progress_start(&w->progress, w->path);
    json_t *result = cli_call(o, request, on_piece, w);
    cli_progress_end(&w->progress);
    if (w->failed) {
        json_decref(result);
        return cli_fail("%s: %s", w->path, strerror(errno));
    }
    int rc = result != NULL ? finish(w, temporary) : EXIT_FAILED;
    if (rc == EXIT_OK && o->json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    if (rc == EXIT_OK) {
        (void)printf(o->english ? "%s: entries %lld to %lld of %s\n"
                                : "%1$s：日志 %4$s 的第 %2$lld 至 %3$lld 条\n",
                     w->path, cli_int(result, "from"), cli_int(result, "size"),
                     cli_text(result, "log"));
    }
    json_decref(result);
    return rc;
}

int cli_listfile_export(const struct cli_options *o, const char *path,
                        const char *log, const char *from)
{
    char temporary[PATH_LEN];
    uint64_t first = 1;
    struct writing w = {.path = path};
    if (from != NULL && (!str_u64(slice_str(from), &first) || first == 0 ||
                         first > INT64_MAX)) {
        return cli_usage("directive", "'%.30s' is no number of an entry", from);
    }
    if (access(path, F_OK) == 0) {
        return cli_fail("%s: is there already; name another file", path);
    }
    int n = snprintf(temporary, sizeof temporary, "%s.part", path);
    if (n >= PATH_LEN) {
        return cli_fail("%s: %s", path, strerror(ENAMETOOLONG));
    }
    if ((w.to = make_new(temporary)) == NULL) {
        return errno == EEXIST
                   ? cli_fail("%s: is there already: another export writes it, "
                              "or one was broken off; delete it then",
                              temporary)
                   : cli_fail("%s: %s", temporary, strerror(errno));
    }
    json_t *request = json_pack("{s:s, s:I}", "cmd", "directive-export", "from",
                                (json_int_t)first);
    if (log != NULL) {
        (void)json_object_set_new(request, "log", json_string(log));
    }
    int rc = write_out(o, &w, temporary, request);
    (void)fclose(w.to);
    if (rc != EXIT_OK) {
        (void)unlink(temporary);
    }
    return rc;
}

/* ---- import ---- */

bool cli_listfile_is(const char *path)
{
    char begin[sizeof LISTFILE_MAGIC - 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && read(fd, begin, sizeof begin) == sizeof begin &&
              memcmp(begin, LISTFILE_MAGIC, sizeof begin) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is;
}

/* A node that refuses stops reading; its answer says why. */
static enum err send_bytes(struct admin_client *client, int fd,
                           struct cli_progress *progress)
{
    uint8_t chunk[CHUNK];
    struct stat st;
    uint64_t sent = 0;
    uint64_t all = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            admin_cut(client);
            return ERR_IO;
        }
        if (admin_write(client, slice_of(chunk, (size_t)n)) != ERR_OK ||
            n == 0) {
            return ERR_OK;
        }
        sent += (uint64_t)n;
        cli_progress(progress, sent, all);
    }
}

static json_t *take(const struct cli_options *o, const char *path, int fd)
{
    struct admin_client *client = NULL;
    struct cli_progress progress;
    json_t *result = NULL;
    if (cli_open(o, &client) != EXIT_OK) {
        return NULL;
    }
    cli_progress_start(&progress, path);
    enum err err =
        admin_write_json(client, json_pack("{s:s}", "cmd", "directive-take"));
    if (err == ERR_OK) {
        err = send_bytes(client, fd, &progress);
    }
    cli_progress_end(&progress);
    if (err == ERR_OK) {
        result = cli_read_result(client, NULL, NULL);
    } else {
        (void)cli_fail("%s: %s", path, strerror(errno));
    }
    admin_disconnect(&client);
    return result;
}

/* Of a log of the node itself. */
static void print_own(json_t *result, bool english)
{
    if (json_is_true(json_object_get(result, "succeeded"))) {
        (void)puts(english ? "This node's own log is back; what is published "
                             "from now on goes into its successor"
                           : "本节点自己的名单日志已找回，此后发布的决定写入"
                             "后继日志");
    }
    if (cli_int(result, "set_aside") > 0) {
        (void)printf(english
                         ? "%lld packages published since the restore "
                           "stand in none of the copies below and were "
                           "written to the folder set-aside of data.dir: "
                           "read them and publish them again\n"
                         : "恢复备份后发布的 %lld 个决定包未见于下级副本，已"
                           "存入数据目录下的 set-aside 文件夹：请核对后重新"
                           "发布\n",
                     cli_int(result, "set_aside"));
    }
}

static void print_taken(const char *path, json_t *result, bool english)
{
    long long roots = cli_int(result, "roots");
    char when[32] = "-";
    time_t seconds = (time_t)(cli_int(result, "signed_ms") / 1000);
    struct tm tm;
    if (localtime_r(&seconds, &tm) != NULL) {
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    }
    (void)printf(english ? "%s: %lld new entries, %lld are held of %s, whose "
                           "issuer signed this on %s\n"
                         : "%1$s：新增 %2$lld 条，日志 %4$s 共持有 %3$lld "
                           "条，发布节点签名时间 %5$s\n",
                 path, cli_int(result, "added"), cli_int(result, "held"),
                 cli_text(result, "log"), when);
    if (roots > 0) {
        (void)printf(english ? "%lld new versions of the root document\n"
                             : "根文件新版本 %lld 个\n",
                     roots);
    }
    print_own(result, english);
    if (json_is_true(json_object_get(result, "older"))) {
        (void)puts(english ? "The file is older than what is held here: "
                             "nothing was changed by it"
                           : "该文件早于本节点已有内容，未作更改");
    }
}

int cli_listfile_take(const struct cli_options *o, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cli_fail("%s: %s", path, strerror(errno));
    }
    json_t *result = take(o, path, fd);
    (void)close(fd);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    if (o->json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    print_taken(path, result, o->english);
    json_decref(result);
    return EXIT_OK;
}
