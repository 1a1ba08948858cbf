#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "run/fault.h"
#include "run/held.h"
#include "run/loss.h"

enum {
    SLOW_MS = 200,
    NARROW_BYTES_S = 250000, /* 2 Mbit/s */
    LOSSY_ONE_IN = 10,
    PATHS_MAX = 4 * RUN_PATH_MAX,
    FLIP_MIN_BYTES = 512,
    ENDED_MS = 3500, /* then the certificate of FAULT_EXPIRED has ended */
};

static uint64_t now_ms(const struct mishap *m)
{
    return uv_now(&m->faults->run->loop);
}

/* ---- small helpers: files and scripts ---- */

static bool command(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Paths are those of the run and hold no quotes (run_all). */
static bool command(const char *fmt, ...)
{
    char text[PATHS_MAX];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pid_t pid = len < (int)sizeof text ? fork() : -1;
    int status = 0;
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        (void)execl("/bin/sh", "sh", "-c", text, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

void mishap_cannot(struct mishap *m, const char *what)
{
    run_event(m->faults->run, "%s: left out: %s",
              schedule_kinds[m->fault->kind].name, what);
    m->faults->run->left_out++;
}

/* ---- lines ---- */

void mishap_set_line(struct mishap *m, unsigned node,
                     const struct line_state *state)
{
    if (m->faults->port[node] != 0) {
        lines_set(m->faults->lines, node, state);
    }
}

static void set_own(struct mishap *m, const struct line_state *state)
{
    mishap_set_line(m, m->node->index, state);
}

static void reset_own(struct mishap *m)
{
    lines_reset(m->faults->lines, m->node->index);
}

static void end_line(struct mishap *m)
{
    set_own(m, &(struct line_state){0});
}

static void begin_cut(struct mishap *m)
{
    set_own(m, &(struct line_state){.cut = true});
}

static void begin_silent(struct mishap *m)
{
    set_own(m, &(struct line_state){.frozen = {true, true}});
}

static void begin_one_way_up(struct mishap *m)
{
    set_own(m, &(struct line_state){.frozen = {[LINE_UP] = true}});
}

static void begin_one_way_down(struct mishap *m)
{
    set_own(m, &(struct line_state){.frozen = {[LINE_DOWN] = true}});
}

static void begin_slow(struct mishap *m)
{
    set_own(m, &(struct line_state){.latency_ms = SLOW_MS});
}

static void begin_narrow(struct mishap *m)
{
    set_own(
        m, &(struct line_state){.latency_ms = SLOW_MS, .rate = NARROW_BYTES_S});
}

static void begin_lossy(struct mishap *m)
{
    set_own(m, &(struct line_state){.lossy = LOSSY_ONE_IN});
}

static void set_children(struct mishap *m, const struct line_state *state)
{
    const struct run *run = m->faults->run;
    for (unsigned i = 0; i < run->nodes; i++) {
        if (run->node[i].place.parent == (int)m->node->index) {
            mishap_set_line(m, i, state);
        }
    }
}

static void begin_reconnect(struct mishap *m)
{
    set_children(m, &(struct line_state){.cut = true});
}

static void end_reconnect(struct mishap *m)
{
    set_children(m, &(struct line_state){0});
}

/* ---- processes ---- */

static void begin_kill(struct mishap *m)
{
    m->node->start_ms = now_ms(m) + m->fault->for_ms;
    m->faults->run->kills++;
    node_signal(m->node, SIGKILL);
}

static void begin_restart(struct mishap *m)
{
    m->node->start_ms = now_ms(m) + m->fault->for_ms;
    node_signal(m->node, SIGTERM);
}

static void begin_freeze(struct mishap *m)
{
    m->node->frozen = true;
    node_signal(m->node, SIGSTOP);
}

static void end_freeze(struct mishap *m)
{
    m->node->frozen = false;
    node_signal(m->node, SIGCONT);
}

void mishap_stop_and(struct mishap *m, int signum, node_down_fn *then)
{
    m->node->when_down = then;
    m->node->when_down_of = m;
    m->node->start_ms = now_ms(m);
    node_signal(m->node, signum);
}

static void take_present(struct run_node *n, void *of)
{
    const struct mishap *m = of;
    n->is_old = false;
    n->start_ms = now_ms(m) + m->fault->for_ms;
    n->run->upgrades++;
}

static void begin_upgrade(struct mishap *m)
{
    if (m->node->is_old) {
        mishap_stop_and(m, SIGTERM, take_present);
    } else {
        mishap_cannot(m, "it runs the present program");
    }
}

/* ---- what stands between a node and libc ---- */

static struct between *between_of(struct mishap *m)
{
    return m->faults->between[m->node->index];
}

static void begin_full(struct mishap *m)
{
    between_of(m)->disk = BETWEEN_DISK_FULL;
}

static void begin_read_only(struct mishap *m)
{
    between_of(m)->disk = BETWEEN_DISK_READ_ONLY;
}

static void end_disk(struct mishap *m)
{
    between_of(m)->disk = BETWEEN_DISK_GOOD;
}

static void begin_clock(struct mishap *m)
{
    between_of(m)->clock_ms = m->fault->amount * 1000;
}

static void end_clock(struct mishap *m)
{
    between_of(m)->clock_ms = 0;
}

/* ---- stores ---- */

/* Turns a bit in the middle of the file. */
static bool flip_in(const char *path)
{
    struct stat st;
    FILE *file = fopen(path, "r+e");
    bool done = false;
    if (file != NULL && fstat(fileno(file), &st) == 0 &&
        st.st_size >= FLIP_MIN_BYTES &&
        fseek(file, st.st_size / 2, SEEK_SET) == 0) {
        int byte = fgetc(file);
        done = byte != EOF && fseek(file, st.st_size / 2, SEEK_SET) == 0 &&
               fputc(byte ^ 16, file) != EOF;
    }
    if (file != NULL) {
        done = fclose(file) == 0 && done;
    }
    return done;
}

static off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : 0;
}

/* The largest table. */
static bool find_table(const struct run_node *n, char out[RUN_PATH_MAX])
{
    char pattern[RUN_PATH_MAX + 32];
    glob_t found = {0};
    off_t most = 0;
    (void)snprintf(pattern, sizeof pattern, "%s/data/store/*.sst", n->folder);
    (void)glob(pattern, 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        off_t size = size_of(found.gl_pathv[i]);
        if (size > most && strlen(found.gl_pathv[i]) < RUN_PATH_MAX) {
            most = size;
            (void)snprintf(out, RUN_PATH_MAX, "%s", found.gl_pathv[i]);
        }
    }
    globfree(&found);
    return most > 0;
}

static void on_scrub_closed(uv_handle_t *handle)
{
    struct mishap *m = handle->data;
    m->helping = false;
    m->to_scrub = m->scrub_again;
}

/* Of `creditnode scrub`: something is damaged. */
enum { SCRUB_DAMAGE = 3 };

static void on_scrubbed(uv_process_t *process, int64_t status, int signum)
{
    struct mishap *m = process->data;
    bool found = status == SCRUB_DAMAGE && signum == 0;
    /* Refused, or the node ended meanwhile: that says nothing of the store. */
    m->scrub_again = !found && (status != 0 || signum != 0);
    /* It may have ended before its answer was heard of. */
    m->node->to_end =
        found && m->node->damaged && m->node->ends == m->ends_then;
    run_event(m->faults->run, "scrub of %012llu: %s",
              (unsigned long long)m->node->place.code,
              found            ? "damage"
              : m->scrub_again ? "not finished"
                               : "nothing");
    uv_close((uv_handle_t *)process, on_scrub_closed);
}

/* As a person would, or its patrol in time: all of the store is read. */
static void scrub(struct mishap *m)
{
    char program[RUN_PATH_MAX];
    char socket[RUN_SOCKET_MAX + 1];
    char words[][16] = {"scrub", "--socket"};
    char *args[] = {program, words[0], words[1], socket, NULL};
    uv_process_options_t options = {
        .exit_cb = on_scrubbed, .file = program, .args = args};
    (void)snprintf(program, sizeof program, "%s", run_program(m->node));
    (void)snprintf(socket, sizeof socket, "%s", m->node->socket);
    m->to_scrub = false;
    m->ends_then = m->node->ends;
    m->helper.data = m;
    m->helping = true;
    if (uv_spawn(&m->faults->run->loop, &m->helper, &options) != 0) {
        mishap_cannot(m, "no process");
        m->scrub_again = false;
        uv_close((uv_handle_t *)&m->helper, on_scrub_closed);
    }
}

static void flip_now(struct run_node *n, void *of)
{
    struct mishap *m = of;
    char path[RUN_PATH_MAX] = "";
    if (!find_table(n, path) || !flip_in(path)) {
        mishap_cannot(m, "its store has no table yet");
        return;
    }
    n->damaged = true;
    m->to_scrub = true;
    loss_note(n, LOSS_DAMAGED);
}

/* Opening a store writes what was in memory to tables. */
static void begin_flip(struct mishap *m)
{
    mishap_stop_and(m, SIGTERM, NULL);
}

static void end_flip(struct mishap *m)
{
    mishap_stop_and(m, SIGTERM, flip_now);
}

void mishap_back_up(struct run_node *n, void *of)
{
    if (!command("cp -a '%s/data' '%s/data.backup'", n->folder, n->folder)) {
        mishap_cannot(of, "no copy could be made");
    }
}

void mishap_put_back(struct run_node *n, void *of)
{
    if (!command("test -d '%s/data.backup' && rm -rf '%s/data' && "
                 "mv '%s/data.backup' '%s/data'",
                 n->folder, n->folder, n->folder, n->folder)) {
        mishap_cannot(of, "the copy could not be put back");
        return;
    }
    loss_note(n, LOSS_PUT_BACK);
}

static void begin_restore(struct mishap *m)
{
    mishap_stop_and(m, SIGTERM, mishap_back_up);
}

static void end_restore(struct mishap *m)
{
    mishap_stop_and(m, SIGKILL, mishap_put_back);
}

static void copy_for_twin(struct run_node *n, void *of)
{
    if (command("cp -a '%s/data' '%s/data.twin'", n->folder, n->folder)) {
        loss_note(n, LOSS_CLONED);
        twin_start(of);
    } else {
        mishap_cannot(of, "no copy could be made");
    }
}

static void begin_clone(struct mishap *m)
{
    mishap_stop_and(m, SIGTERM, copy_for_twin);
}

/* ---- certificates, by the office's scripts ---- */

static const char *source(const struct mishap *m)
{
    return m->faults->run->conf->source;
}

/* They are read again: one that starts may have read what was there before. */
static void reload(struct run_node *n)
{
    n->to_reload = !n->ready;
    if (n->ready) {
        node_signal(n, SIGHUP);
    }
}

/* Of TLS only: the others sign what is kept. */
static bool take_certificate(const struct run_node *n, const char *from)
{
    return command("cd '%s/certs' && { test -d kept || { mkdir kept && "
                   "cp -p tls.pem tls.key kept/; }; } && "
                   "cp -p '%s/tls.pem' '%s/tls.key' .",
                   n->folder, from, from);
}

static void end_certificate(struct mishap *m)
{
    const struct run_node *n = m->node;
    char from[RUN_FILE_MAX];
    (void)snprintf(from, sizeof from, "%s/certs/kept", n->folder);
    if (!take_certificate(n, from)) {
        run_broken(m->faults->run, n, "ready",
                   "its certificate could not be put back");
    }
    reload(m->node);
}

static void begin_expired(struct mishap *m)
{
    struct run_node *n = m->node;
    char from[RUN_FILE_MAX];
    (void)snprintf(from, sizeof from, "%s/ending", n->folder);
    if (!command(
            "rm -rf '%s' && '%s/certs/make-node.sh' '%s/fed' '%s' --tier %s "
            "--code %012llu --not-after 'now + 3 seconds' >/dev/null",
            from, source(m), m->faults->run->conf->folder, from,
            tier_name(n->place.tier), (unsigned long long)n->place.code) ||
        !take_certificate(n, from)) {
        mishap_cannot(m, "no certificate could be made");
        return;
    }
    reload(n);
    m->reset_ms = now_ms(m) + ENDED_MS;
}

static void end_expired(struct mishap *m)
{
    end_certificate(m);
    reset_own(m);
}

static void begin_wrong(struct mishap *m)
{
    char from[RUN_FILE_MAX];
    (void)snprintf(from, sizeof from, "%s/certs",
                   m->faults->run->node[0].folder);
    if (!take_certificate(m->node, from)) {
        mishap_cannot(m, "no other certificate");
    }
    reload(m->node);
}

static struct run_node *parent_of(const struct mishap *m)
{
    return &m->faults->run->node[m->node->place.parent];
}

static void begin_revoked(struct mishap *m)
{
    if (!command(
            "'%s/certs/revoke.sh' '%s/revoked' '%s/certs/tls.pem' >/dev/null",
            source(m), parent_of(m)->folder, m->node->folder)) {
        mishap_cannot(m, "it cannot be revoked");
    }
    reload(parent_of(m));
    reset_own(m);
}

/* Two children of one parent may be revoked at a time. */
static void end_revoked(struct mishap *m)
{
    if (!command("cd '%s' && : >revoked.new && '%s/certs/revoke.sh' "
                 "\"$PWD/revoked.new\" '%s/certs/tls.pem' >/dev/null && "
                 "{ grep -vFf revoked.new revoked >revoked.rest || true; } && "
                 "mv revoked.rest revoked && rm revoked.new",
                 parent_of(m)->folder, source(m), m->node->folder)) {
        run_broken(m->faults->run, m->node, "ready",
                   "it cannot be taken off the list of the revoked");
    }
    reload(parent_of(m));
}

/* ---- lies ---- */

static const char *const lie_names[] = {"altered",  "dropped", "reordered",
                                        "invented", "head",    "signer",
                                        "withheld"};

static const char *lie_of(const struct mishap *m)
{
    return lie_names[(size_t)m->fault->amount % ARRAY_LEN(lie_names)];
}

static void lie_path(const struct mishap *m, char out[RUN_FILE_MAX])
{
    (void)snprintf(out, RUN_FILE_MAX, "%s/lie", m->node->folder);
}

/* Nothing of it is false, so it is taken. But the head that came with it is
 * signed, and says how much there is. */
static void judge_withheld(struct mishap *m, const char *said)
{
    char log[LOG_ID_TEXT_MAX];
    unsigned long long sent = 0;
    unsigned long long there = 0;
    struct held_logs logs = {0};
    const struct run_node *parent = parent_of(m);
    if (sscanf(said, "withheld %47s %llu %llu", log, &sent, &there) != 3 ||
        !parent->ready || parent->frozen || !held_ask(parent, &logs)) {
        mishap_cannot(m, "its parent was away");
        return;
    }
    const struct held *l = held_find(&logs, log);
    if (l != NULL && l->size == sent && l->signed_size != there) {
        run_broken(m->faults->run, parent, "withheld",
                   "it was given %llu of %llu entries of log %s, and knows of "
                   "%llu",
                   sent, there, log, (unsigned long long)l->signed_size);
    }
    held_free(&logs);
}

/* Refused by the parent: it stops the log or ends the call. */
static void judge(struct mishap *m, int64_t status)
{
    char path[RUN_FILE_MAX];
    char line[256] = "";
    char last[256] = "";
    lie_path(m, path);
    FILE *answers = fopen(path, "re");
    while (answers != NULL && fgets(line, sizeof line, answers) != NULL) {
        memcpy(last, line, sizeof last);
    }
    if (answers != NULL) {
        (void)fclose(answers);
    }
    if (status != 0) {
        mishap_cannot(m, "it had nothing to tell, or no line");
    } else if (strcmp(lie_of(m), "withheld") == 0) {
        judge_withheld(m, last);
    } else if (strncmp(last, "ack", 3) == 0) {
        run_broken(m->faults->run, parent_of(m), "refused",
                   "it took what was %s: %.100s", lie_of(m), last);
    }
}

static void on_helper_closed(uv_handle_t *handle)
{
    struct mishap *m = handle->data;
    m->helping = false;
    m->node->start_ms = now_ms(m);
}

static void on_lie_told(uv_process_t *process, int64_t status, int signum)
{
    struct mishap *m = process->data;
    judge(m, signum != 0 ? 1 : status);
    uv_close((uv_handle_t *)process, on_helper_closed);
}

/* In its name, from its store. */
static void tell(struct run_node *n, void *of)
{
    struct mishap *m = of;
    char script[PATHS_MAX];
    char path[RUN_FILE_MAX];
    lie_path(m, path);
    n->start_ms = 0;
    (void)snprintf(script, sizeof script,
                   "exec '%s' '%s/node.cfg' 127.0.0.1:%u %012llu %s >'%s' "
                   "2>&1",
                   n->run->conf->liar, n->folder, parent_of(m)->port,
                   (unsigned long long)n->place.code, lie_of(m), path);
    char shell[] = "sh";
    char flag[] = "-c";
    char *args[] = {shell, flag, script, NULL};
    uv_process_options_t options = {
        .exit_cb = on_lie_told, .file = "/bin/sh", .args = args};
    m->helper.data = m;
    m->helping = true;
    if (uv_spawn(&m->faults->run->loop, &m->helper, &options) != 0) {
        mishap_cannot(m, "no process");
        uv_close((uv_handle_t *)&m->helper, on_helper_closed);
    }
}

/* With the line cut there comes to be something that the parent lacks. */
static void begin_lie(struct mishap *m)
{
    set_own(m, &(struct line_state){.cut = true});
}

static void end_lie(struct mishap *m)
{
    mishap_stop_and(m, SIGTERM, tell);
    end_line(m);
}

/* ---- the table ---- */

typedef void mishap_fn(struct mishap *m);

static void end_nothing(struct mishap *m)
{
    (void)m;
}

static const struct {
    mishap_fn *begin;
    mishap_fn *end;
} kinds[FAULT_KINDS] = {
    [FAULT_KILL] = {begin_kill, end_nothing},
    [FAULT_RESTART] = {begin_restart, end_nothing},
    [FAULT_FREEZE] = {begin_freeze, end_freeze},
    [FAULT_CUT] = {begin_cut, end_line},
    [FAULT_SILENT] = {begin_silent, end_line},
    [FAULT_ONE_WAY_UP] = {begin_one_way_up, end_line},
    [FAULT_ONE_WAY_DOWN] = {begin_one_way_down, end_line},
    [FAULT_SLOW] = {begin_slow, end_line},
    [FAULT_NARROW] = {begin_narrow, end_line},
    [FAULT_LOSSY] = {begin_lossy, end_line},
    [FAULT_PARTITION] = {begin_silent, end_line},
    [FAULT_RECONNECT] = {begin_reconnect, end_reconnect},
    [FAULT_FULL] = {begin_full, end_disk},
    [FAULT_READ_ONLY] = {begin_read_only, end_disk},
    [FAULT_FLIP] = {begin_flip, end_flip},
    [FAULT_RESTORE] = {begin_restore, end_restore},
    [FAULT_CLONE] = {begin_clone, twin_stop},
    [FAULT_EXPIRED] = {begin_expired, end_expired},
    [FAULT_REVOKED] = {begin_revoked, end_revoked},
    [FAULT_WRONG] = {begin_wrong, end_certificate},
    [FAULT_CLOCK] = {begin_clock, end_clock},
    [FAULT_LIE] = {begin_lie, end_lie},
    [FAULT_FORK] = {fork_begin, fork_end},
    [FAULT_UPGRADE] = {begin_upgrade, end_nothing},
};

void mishap_begin(struct mishap *m)
{
    kinds[m->fault->kind].begin(m);
}

void mishap_end(struct mishap *m)
{
    kinds[m->fault->kind].end(m);
}

void mishap_go_on(struct mishap *m)
{
    if (m->reset_ms != 0 && m->reset_ms <= now_ms(m)) {
        m->reset_ms = 0;
        reset_own(m);
    }
    if (m->to_scrub && m->node->ready) {
        scrub(m);
    }
    if (m->twin != NULL) {
        twin_tick(m);
    }
    if (m->fork != NULL && m->stage == FAULT_ON) {
        fork_go_on(m);
    }
}

bool mishap_stops_at_end(const struct mishap *m)
{
    mishap_fn *end = kinds[m->fault->kind].end;
    return end == end_flip || end == end_restore || end == end_lie;
}

bool mishap_is_over(const struct mishap *m)
{
    return m->stage != FAULT_ON && !m->helping && !m->to_scrub &&
           !m->node->to_end && twin_is_gone(m);
}
