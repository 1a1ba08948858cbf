#include "ingest/inbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "credit/citizen.h"
#include "credit/rules.h"
#include "ingest/csv.h"
#include "ingest/watch.h"

enum {
    PATH_LEN = 4096,
    CHUNK = 64 * 1024,
    NAME_LEN_MAX = 200, /* leaves room for what receipts add to it */
    TAKEN_MAX = 1024,
    PLACES_MAX = 16,
    UNFINISHED_TIMES = 15, /* the settle time, but … */
    UNFINISHED_MS = 60000, /* … no longer, unless that itself is */
};

/* One that was taken in and could not be moved. It is not taken in again: of
 * two such files with one record each look would make another version of it. */
struct taken {
    char name[NAME_LEN_MAX + 1];
    const char *folder; /* to which it is to move */
    struct stat st;
};

struct inbox {
    const struct import_env *env;
    struct inbox_conf conf;
    const struct log_ctx *log;
    struct watch watch;
    bool later;     /* a file of this look has to wait */
    bool all_later; /* … for what the others would wait for, too */
    struct taken *taken;
    size_t taken_n;
};

/* One file under way. */
struct job {
    struct inbox *inbox;
    const char *name;
    const char *shown; /* the name as log lines may show it */
    FILE *receipt;
    struct stat st; /* when it was opened */
    bool of_store;  /* what went wrong is not of the file */
};

static bool make_path(char *out, const struct inbox *inbox, const char *folder,
                      const char *name, const char *suffix)
{
    int n = snprintf(out, PATH_LEN, "%s/%s%s%s", inbox->conf.path, folder, name,
                     suffix);
    return n > 0 && n < PATH_LEN;
}

/* ---- receipts: RFC 4180 ---- */

/* The last four cells of a line. */
static void put_text(FILE *to, const char *column, const char *rule,
                     const char *text)
{
    struct buf zh = BUF_INIT;
    rules_put_zh(rule, text, &zh);
    csv_put_cell(to, column, ",");
    csv_put_cell(to, rule, ",");
    csv_put_cell(to, text, ",");
    csv_put_cell(to, buf_cstr(&zh), "\r\n");
    buf_fini(&zh);
}

static void put_row(FILE *to, const struct import_row *row,
                    const struct row_fault *fault)
{
    char key[2 * RECORD_KEY_LEN + 1] = "";
    char log[LOG_ID_TEXT_MAX] = "";
    if (row->outcome != ROW_REFUSED) {
        str_hex(row->record_key, RECORD_KEY_LEN, key);
    }
    if (row->number != 0) {
        log_id_format(&row->log, log);
    }
    (void)fprintf(to, "%llu,%s,%s,%s,%llu,", (unsigned long long)row->line,
                  row_outcome_name(row->outcome), key, log,
                  (unsigned long long)row->number);
    put_text(to, fault != NULL ? fault->column : "",
             fault != NULL ? fault->rule : "",
             fault != NULL ? fault->text : "");
}

static void on_row(void *ctx, const struct import_row *row)
{
    struct job *job = ctx;
    for (size_t i = 0; i < row->faults_count; i++) {
        put_row(job->receipt, row, &row->faults[i]);
    }
    if (row->faults_count == 0) {
        put_row(job->receipt, row, NULL);
    }
}

static void on_warning(void *ctx, const char *text)
{
    struct job *job = ctx;
    (void)fputs("0,note,,,0,", job->receipt);
    put_text(job->receipt, "", "", text);
}

/* ---- one file ---- */

/* The file stays where it is and is tried again later. */
static bool is_temporary(enum err err)
{
    return err_class(err) == ERR_CLASS_LATER ||
           err_class(err) == ERR_CLASS_NOW || err == ERR_CANCELLED ||
           err == ERR_CORRUPT;
}

static enum err feed_file(struct job *job, int fd, struct import *import,
                          struct errmsg *why)
{
    struct inbox *inbox = job->inbox;
    uint8_t *chunk = mem_alloc(CHUNK);
    uint64_t total = 0;
    enum err err = ERR_OK;
    bool more = true;
    while (err == ERR_OK && more) {
        ssize_t n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            err = err_set(why, ERR_IO, "reading: %s", strerror(errno));
        } else if ((total += (uint64_t)n) > inbox->conf.file_max_bytes) {
            err = err_set(why, ERR_TOO_LARGE,
                          "larger than ingest.file_max (%llu bytes)",
                          (unsigned long long)inbox->conf.file_max_bytes);
        } else if (n > 0 && watch_is_stopping(&inbox->watch)) {
            err = ERR_CANCELLED;
        } else {
            more = n > 0;
            err = more ? import_feed(import, slice_of(chunk, (size_t)n), why)
                       : import_finish(import, why);
            job->of_store = is_temporary(err);
        }
    }
    mem_free(chunk);
    return err;
}

static enum err open_file(struct job *job, const char *path, int *fd,
                          struct errmsg *why)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &job->st) != 0) {
        return err_set(why, err_from_errno(errno), "cannot open: %s",
                       strerror(errno));
    }
    return S_ISREG(job->st.st_mode)
               ? ERR_OK
               : err_set(why, ERR_INVALID, "not a regular file");
}

static bool same_content(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
           a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Whoever lays files may do so while we read: what moves to done/ must be what
 * was read. */
static enum err check_unchanged(const struct job *job, const char *path,
                                struct errmsg *why)
{
    struct stat now;
    const struct stat *was = &job->st;
    if (lstat(path, &now) == 0 && same_content(was, &now) &&
        now.st_ctim.tv_sec == was->st_ctim.tv_sec &&
        now.st_ctim.tv_nsec == was->st_ctim.tv_nsec) {
        return ERR_OK;
    }
    return err_set(why, ERR_BUSY, "it changed while it was read");
}

static enum err import_file(struct job *job, const char *path,
                            struct import_counts *counts, struct errmsg *why)
{
    int fd = -1;
    enum err err = open_file(job, path, &fd, why);
    if (err == ERR_OK) {
        struct import_sink sink = {
            .row = on_row, .warning = on_warning, .ctx = job};
        struct import *import = NULL;
        import_begin(&import, job->inbox->env, &sink);
        err = feed_file(job, fd, import, why);
        import_counts(import, counts);
        import_free(&import);
        struct errmsg changed;
        if (check_unchanged(job, path, &changed) != ERR_OK) {
            err = err_set(why, ERR_BUSY, "%s", changed.text);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return err;
}

static void put_off(struct job *job, const char *reason)
{
    job->inbox->later = true;
    log_warn(job->inbox->log, "INBOX-LATER", "file=\"%s\" reason=\"%s\"",
             job->shown, reason);
}

/* What moved was laid under the name after the last look: it goes back, to be
 * read on its own. Never over a third one. */
static bool give_back(const struct job *job, const char *moved,
                      const char *path)
{
    char other[PATH_LEN];
    char prefix[32];
    if (renameat2(AT_FDCWD, moved, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
        return true;
    }
    (void)snprintf(prefix, sizeof prefix, "%lld-", (long long)clock_wall_ms());
    return make_path(other, job->inbox, "", prefix, job->name) &&
           rename(moved, other) == 0;
}

enum moved { MOVED, MOVED_NOT, MOVED_LEFT };

/* MOVED_LEFT, errno set: it is where it was, and its receipt in the draft.
 * MOVED_NOT, errno set: something is amiss with what moved. The receipt is in
 * place, on the disk too, before the file moves: who finds the file in done/
 * finds its receipt. After a crash between the two the file is read again and
 * nothing changes. */
static enum moved move(struct job *job, const char *path, const char *draft,
                       const char *to, const char *receipt)
{
    struct stat moved;
    if (rename(draft, receipt) != 0) {
        return MOVED_LEFT;
    }
    if (!file_sync_folder_of(receipt) || rename(path, to) != 0) {
        int saved = errno;
        bool left = rename(receipt, draft) == 0;
        errno = saved;
        return left ? MOVED_LEFT : MOVED_NOT;
    }
    bool seen = lstat(to, &moved) == 0;
    bool taken = !seen && errno == ENOENT; /* by who reads done/ */
    if (taken || (seen && same_content(&job->st, &moved))) {
        return file_sync_folder_of(to) && file_sync_folder_of(path) ? MOVED
                                                                    : MOVED_NOT;
    }
    put_off(job, seen ? "another came under its name while it was read"
                      : "it cannot be seen whether it is what was read");
    /* Nobody read it: it must not stay in done/ with a receipt. */
    bool back = give_back(job, to, path) && file_sync_folder_of(path) &&
                file_sync_folder_of(to);
    int saved = errno;
    (void)unlink(receipt);
    errno = saved;
    return back ? MOVED : MOVED_NOT;
}

/* What cannot be looked at is taken. */
static bool is_free(const char *path)
{
    return access(path, F_OK) != 0 && errno == ENOENT;
}

/* Where a file and its receipt go: never over an older one of either, as who
 * reads done/ may have taken the file and left its receipt. */
static bool find_place(const struct job *job, const char *folder,
                       char to[PATH_LEN], char receipt[PATH_LEN])
{
    char again[32] = "";
    int64_t now_ms = clock_wall_ms();
    for (int i = 0; i < PLACES_MAX; i++) {
        char with_receipt[48];
        (void)snprintf(with_receipt, sizeof with_receipt, "%s.receipt.csv",
                       again);
        if (!make_path(to, job->inbox, folder, job->name, again) ||
            !make_path(receipt, job->inbox, folder, job->name, with_receipt)) {
            errno = ENAMETOOLONG;
            return false;
        }
        if (is_free(to) && is_free(receipt)) {
            return true;
        }
        (void)snprintf(again, sizeof again, ".%lld", (long long)now_ms + i);
    }
    errno = EEXIST;
    return false;
}

/* True: it is to be moved again. */
static bool settle(struct job *job, const char *path, const char *draft,
                   const char *folder)
{
    struct inbox *inbox = job->inbox;
    char to[PATH_LEN];
    char receipt[PATH_LEN];
    enum moved moved = find_place(job, folder, to, receipt)
                           ? move(job, path, draft, to, receipt)
                           : MOVED_LEFT;
    if (moved != MOVED) {
        inbox->later = true;
        log_error(inbox->log, "INBOX-MOVE",
                  "file=\"%s\" folder=%s reason=\"%s\"", job->shown, folder,
                  strerror(errno));
    }
    return moved == MOVED_LEFT;
}

/* Made anew: a link that somebody laid under this name is not followed. */
static FILE *open_receipt(const char *path)
{
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (fd >= 0 && file == NULL) {
        (void)close(fd);
    }
    if (file != NULL) {
        (void)fputs(
            CSV_UTF8_MARK
            "line,outcome,record_key,log,number,column,rule,text,text_zh\r\n",
            file);
    }
    return file;
}

/* False: not all of it is on the disk. */
static bool close_receipt(struct job *job, enum err err,
                          const struct errmsg *why)
{
    if (err != ERR_OK) {
        (void)fputs("0,refused,,,0,", job->receipt);
        put_text(job->receipt, "", "file", why->text);
    }
    bool written = fflush(job->receipt) == 0 && ferror(job->receipt) == 0 &&
                   fsync(fileno(job->receipt)) == 0;
    return fclose(job->receipt) == 0 && written;
}

/* ---- files that were taken in and not moved ---- */

static struct taken *find_taken(const struct inbox *inbox, const char *name)
{
    for (size_t i = 0; i < inbox->taken_n; i++) {
        if (strcmp(inbox->taken[i].name, name) == 0) {
            return &inbox->taken[i];
        }
    }
    return NULL;
}

static void forget(struct inbox *inbox, struct taken *t)
{
    *t = inbox->taken[--inbox->taken_n];
}

/* There is room: see process(). */
static void remember(struct job *job, const char *folder)
{
    struct inbox *inbox = job->inbox;
    if (inbox->taken == NULL) {
        inbox->taken = mem_zalloc(TAKEN_MAX, sizeof *inbox->taken);
    }
    struct taken *t = &inbox->taken[inbox->taken_n++];
    *t = (struct taken){.folder = folder, .st = job->st};
    (void)snprintf(t->name, sizeof t->name, "%s", job->name);
}

/* False: it is another one now, or its receipt is gone. */
static bool is_as_taken(const struct taken *t, const char *path,
                        const char *draft)
{
    struct stat now;
    return lstat(path, &now) == 0 && same_content(&t->st, &now) &&
           access(draft, F_OK) == 0;
}

/* False: it has to be taken in. */
static bool move_again(struct job *job, const char *path, const char *draft)
{
    struct taken *t = find_taken(job->inbox, job->name);
    bool as_taken = t != NULL && is_as_taken(t, path, draft);
    if (as_taken) {
        job->st = t->st;
    }
    bool left = as_taken && settle(job, path, draft, t->folder);
    if (t != NULL && !left) {
        forget(job->inbox, t);
    }
    return as_taken;
}

static bool is_gone(const struct inbox *inbox, const struct taken *t)
{
    char path[PATH_LEN];
    struct stat st;
    return make_path(path, inbox, "", t->name, "") && lstat(path, &st) != 0 &&
           errno == ENOENT;
}

/* Files that somebody else took away, with the drafts of their receipts. */
static void forget_gone(struct inbox *inbox)
{
    char draft[PATH_LEN];
    for (size_t i = inbox->taken_n; i > 0; i--) {
        struct taken *t = &inbox->taken[i - 1];
        if (!is_gone(inbox, t)) {
            continue;
        }
        if (make_path(draft, inbox, ".", t->name, ".receipt")) {
            (void)unlink(draft);
        }
        forget(inbox, t);
    }
}

/* ---- taking in ---- */

static void take(struct job *job, const char *path, const char *draft)
{
    struct import_counts counts = {0};
    struct errmsg why = {{0}};
    enum err err = import_file(job, path, &counts, &why);
    bool written = close_receipt(job, err, &why);
    job->inbox->all_later = job->of_store || !written;
    if (!written || is_temporary(err)) {
        (void)unlink(draft);
        if (err != ERR_CANCELLED) {
            put_off(job, written ? why.text : "the receipt cannot be written");
        }
        return;
    }
    const char *folder = err == ERR_OK ? "done/" : "rejected/";
    if (settle(job, path, draft, folder)) {
        remember(job, folder);
    }
    log_info(job->inbox->log, "INBOX",
             "file=\"%s\" result=%s rows=%llu new=%llu changed=%llu "
             "unchanged=%llu refused=%llu",
             job->shown, err_name(err), (unsigned long long)counts.rows,
             (unsigned long long)counts.outcome[ROW_NEW],
             (unsigned long long)counts.outcome[ROW_CHANGED],
             (unsigned long long)counts.outcome[ROW_UNCHANGED],
             (unsigned long long)counts.outcome[ROW_REFUSED]);
}

static void process(struct inbox *inbox, const char *name)
{
    char shown[NAME_LEN_MAX + 1];
    struct slice number;
    bool personal = citizen_find(slice_str(name), CITIZEN_NEW_OR_OLD, &number);
    str_quotable(slice_str(personal ? "***" : name), shown, sizeof shown);
    struct job job = {.inbox = inbox, .name = name, .shown = shown};
    char path[PATH_LEN];
    char draft[PATH_LEN];
    if (strlen(name) > NAME_LEN_MAX || !make_path(path, inbox, "", name, "") ||
        !make_path(draft, inbox, ".", name, ".receipt")) {
        put_off(&job, "the name is too long; make it shorter");
        return;
    }
    if (move_again(&job, path, draft)) {
        return;
    }
    if (inbox->taken_n == TAKEN_MAX) {
        inbox->later = true; /* nothing can be moved, it seems */
        return;
    }
    job.receipt = open_receipt(draft);
    if (job.receipt == NULL) {
        inbox->all_later = true;
        put_off(&job, strerror(errno));
        return;
    }
    take(&job, path, draft);
}

/* ---- watching ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name);
    size_t m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* Ends it as no table does whose copying came to its end? A stalled line stops
 * nearly always within a row, or before the first byte. */
static bool looks_unfinished(const char *path, const struct stat *st)
{
    char last = '\n';
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return false; /* taking it in says why */
    }
    bool read = st->st_size > 0 && pread(fd, &last, 1, st->st_size - 1) == 1;
    (void)close(fd);
    return st->st_size == 0 || (read && last != '\n' && last != '\r');
}

static int64_t unfinished_for_ms(const struct inbox *inbox)
{
    int64_t settle_ms = inbox->conf.settle_ms;
    int64_t ms = UNFINISHED_TIMES * settle_ms;
    ms = ms < UNFINISHED_MS ? ms : UNFINISHED_MS;
    return ms > settle_ms ? ms : settle_ms;
}

/* By the time of its last change, not that of its content: who copies a file
 * may set that. */
static int64_t age_ms(const struct stat *st, const struct timespec *at)
{
    return (int64_t)(at->tv_sec - st->st_ctim.tv_sec) * 1000 +
           (at->tv_nsec - st->st_ctim.tv_nsec) / 1000000;
}

static bool is_ready(const struct inbox *inbox, const char *name,
                     const struct timespec *begun)
{
    char path[PATH_LEN];
    struct stat st;
    struct timespec now;
    if (name[0] == '.' || ends_with(name, ".part") || ends_with(name, ".tmp") ||
        !make_path(path, inbox, "", name, "") || lstat(path, &st) != 0 ||
        !S_ISREG(st.st_mode)) {
        return false;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = age_ms(&st, begun);
    /* A time from the future says nothing; the clock may have been set. */
    if (age_ms(&st, &now) < -60000 || age >= unfinished_for_ms(inbox)) {
        return true;
    }
    return age >= (int64_t)inbox->conf.settle_ms &&
           !looks_unfinished(path, &st);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool look(void *ctx)
{
    struct inbox *inbox = ctx;
    struct dirent **names = NULL;
    /* For all of them: of two files the older one settles first. */
    struct timespec begun;
    (void)clock_gettime(CLOCK_REALTIME, &begun);
    int n = scandir(inbox->conf.path, &names, NULL, by_name);
    inbox->later = n < 0;
    if (n < 0) {
        log_error(inbox->log, "INBOX-READ", "folder=%s reason=\"%s\"",
                  inbox->conf.path, strerror(errno));
        return true;
    }
    inbox->all_later = false;
    forget_gone(inbox);
    for (int i = 0; i < n; i++) {
        /* Of two files with one record the later one counts: it does not come
         * in before a file that has to wait for the store or the disk. */
        if (!inbox->all_later && !watch_is_stopping(&inbox->watch) &&
            is_ready(inbox, names[i]->d_name, &begun)) {
            process(inbox, names[i]->d_name);
        }
        mem_free(names[i]);
    }
    mem_free(names);
    return inbox->later;
}

static enum err make_folders(struct inbox *inbox, struct errmsg *why)
{
    static const char *const names[] = {"", "done", "rejected"};
    char path[PATH_LEN];
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(names); i++) {
        err = make_path(path, inbox, names[i], "", "")
                  ? file_make_dirs(path, why)
                  : err_set(why, ERR_CONF, "inbox.path: too long");
    }
    return err;
}

enum err inbox_open(struct inbox **out, const struct import_env *env,
                    const struct inbox_conf *conf, const struct log_ctx *log,
                    struct errmsg *why)
{
    struct inbox *inbox = MEM_NEW(struct inbox);
    inbox->env = env;
    inbox->conf = *conf;
    inbox->log = log;
    enum err err = make_folders(inbox, why);
    if (err == ERR_OK) {
        err = watch_start(&inbox->watch, "inbox", conf->interval_ms, look,
                          inbox, why);
    }
    if (err != ERR_OK) {
        mem_free(inbox);
        return err;
    }
    *out = inbox;
    return ERR_OK;
}

void inbox_close(struct inbox **inbox_ptr)
{
    struct inbox *inbox = *inbox_ptr;
    *inbox_ptr = NULL;
    if (inbox == NULL) {
        return;
    }
    watch_stop(&inbox->watch);
    mem_free(inbox->taken);
    mem_free(inbox);
}
