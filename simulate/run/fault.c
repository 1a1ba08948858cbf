#include "run/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "run/work.h"

extern char **environ;

/* ---- set-up ---- */

static bool spoils_line_of(const struct faults *f, const struct run_node *n)
{
    for (size_t i = 0; i < f->schedule->n; i++) {
        const struct fault *x = &f->schedule->fault[i];
        unsigned spoils = schedule_kinds[x->kind].spoils;
        if (((spoils & SPOILS_LINE) != 0 && x->code == n->place.code) ||
            ((spoils & SPOILS_CHILD_LINES) != 0 &&
             n->place.parent == (int)x->node)) {
            return n->place.parent >= 0;
        }
    }
    return false;
}

static bool spoils_libc_of(const struct faults *f, const struct run_node *n)
{
    bool any = false;
    for (size_t i = 0; i < f->schedule->n; i++) {
        const struct fault *x = &f->schedule->fault[i];
        any = any || (x->code == n->place.code &&
                      (x->kind == FAULT_FULL || x->kind == FAULT_READ_ONLY ||
                       x->kind == FAULT_CLOCK));
    }
    return any;
}

static void between_path(const struct run_node *n, char out[RUN_FILE_MAX])
{
    (void)snprintf(out, RUN_FILE_MAX, "%s/between", n->folder);
}

static enum err map_between(struct faults *f, unsigned i, struct errmsg *why)
{
    char path[RUN_FILE_MAX];
    between_path(&f->run->node[i], path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *at = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof(struct between)) == 0) {
        at = mmap(NULL, sizeof(struct between), PROT_READ | PROT_WRITE,
                  MAP_SHARED, fd, 0);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (at == MAP_FAILED) {
        return err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
    }
    f->between[i] = at;
    return ERR_OK;
}

/* A line, if one is spoiled. */
static enum err lay_lines(struct faults *f, struct errmsg *why)
{
    const struct run *run = f->run;
    enum err err = lines_open(&f->lines, run->nodes, why);
    for (unsigned i = 0; err == ERR_OK && i < run->nodes; i++) {
        const struct run_node *n = &run->node[i];
        if (spoils_line_of(f, n)) {
            err = lines_add(f->lines, i, run->node[n->place.parent].port,
                            &f->port[i], why);
        }
    }
    return err == ERR_OK ? lines_start(f->lines, why) : err;
}

enum err faults_open(struct faults **out, struct run *run,
                     const struct schedule *schedule, struct errmsg *why)
{
    struct faults *f = MEM_NEW(struct faults);
    enum err err = ERR_OK;
    *out = f;
    f->run = run;
    f->schedule = schedule;
    f->mishap = mem_zalloc(schedule->n + 1, sizeof *f->mishap);
    f->port = mem_zalloc(run->nodes, sizeof *f->port);
    f->between = mem_zalloc(run->nodes, sizeof(struct between *));
    for (size_t i = 0; i < schedule->n; i++) {
        const struct fault *x = &schedule->fault[i];
        f->mishap[i] = (struct mishap){
            .faults = f, .fault = x, .node = &run->node[x->node]};
    }
    for (unsigned i = 0; err == ERR_OK && i < run->nodes; i++) {
        if (spoils_libc_of(f, &run->node[i])) {
            err = map_between(f, i, why);
        }
    }
    return err == ERR_OK ? lay_lines(f, why) : err;
}

void faults_free(struct faults **faults)
{
    struct faults *f = *faults;
    *faults = NULL;
    if (f == NULL) {
        return;
    }
    lines_close(&f->lines);
    for (unsigned i = 0; i < f->run->nodes; i++) {
        if (f->between[i] != NULL) {
            (void)munmap(f->between[i], sizeof(struct between));
        }
    }
    for (size_t i = 0; i < f->schedule->n; i++) {
        mem_free(f->mishap[i].twin);
        mem_free(f->mishap[i].fork);
    }
    mem_free((void *)f->between);
    mem_free(f->port);
    mem_free(f->mishap);
    mem_free(f);
}

/* ---- what a process is started with ---- */

unsigned faults_parent_port(const struct run_node *n)
{
    const struct faults *f = n->run->faults;
    return f->port[n->index] != 0 ? f->port[n->index]
                                  : n->run->node[n->place.parent].port;
}

static char *text(const char *before, const char *value, const char *after)
{
    size_t len = strlen(before) + strlen(value) + strlen(after) + 1;
    char *out = mem_alloc(len);
    (void)snprintf(out, len, "%s%s%s", before, value, after);
    return out;
}

/* A sanitizer wants to be the first library; it works as the second as well
 * and is told so. */
char **faults_environment(const struct run_node *n)
{
    if (n->run->faults->between[n->index] == NULL) {
        return NULL;
    }
    char path[RUN_FILE_MAX];
    const char *asan = getenv("ASAN_OPTIONS");
    size_t count = 0;
    size_t kept = 0;
    between_path(n, path);
    while (environ[count] != NULL) {
        count++;
    }
    char **out = mem_zalloc(count + 4, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], "ASAN_OPTIONS=", 13) != 0) {
            out[kept++] = mem_strdup(environ[i]);
        }
    }
    out[kept++] = text("LD_PRELOAD=", n->run->conf->between, "");
    out[kept++] = text("CREDITSIM_BETWEEN=", path, "");
    out[kept++] = text("ASAN_OPTIONS=", asan != NULL ? asan : "",
                       ":verify_asan_link_order=0");
    return out;
}

void faults_environment_free(char **environment)
{
    for (char **at = environment; at != NULL && *at != NULL; at++) {
        mem_free(*at);
    }
    mem_free((void *)environment);
}

/* ---- the course ---- */

static uint64_t work_ms(const struct run *run)
{
    return uv_now(&run->loop) - run->work_ms;
}

/* One that began late may last longer than was planned. */
static bool is_busy(const struct mishap *m)
{
    const struct faults *f = m->faults;
    bool busy = false;
    for (size_t i = 0; i < f->schedule->n; i++) {
        const struct mishap *other = &f->mishap[i];
        bool goes_on = other != m &&
                       (other->stage == FAULT_ON ||
                        (other->stage == FAULT_OVER && !mishap_is_over(other)));
        busy =
            busy || (goes_on &&
                     schedule_collide(m->fault, m->node->place.parent,
                                      other->fault, other->node->place.parent));
    }
    return busy;
}

/* A fault of the process needs one that is up. */
static bool may_begin(const struct mishap *m)
{
    const struct run_node *n = m->node;
    bool process =
        (schedule_kinds[m->fault->kind].spoils & SPOILS_PROCESS) != 0;
    return !is_busy(m) &&
           (!process || (n->ready && n->start_ms == 0 && !n->told));
}

/* Not before it has begun, which may take until the process is down; and what
 * stops the process at its end lets it come up first. */
static bool may_end(const struct mishap *m)
{
    const struct run_node *n = m->node;
    bool begins = n->when_down != NULL && n->when_down_of == m;
    return !begins && (m->fork == NULL || fork_is_shown(m)) &&
           (!mishap_stops_at_end(m) || (n->ready && n->start_ms == 0));
}

/* For the report. */
static size_t note_fault(struct run *run, const struct mishap *m)
{
    if (run->faults_n == run->faults_cap) {
        run->faults_cap = run->faults_cap == 0 ? 64 : 2 * run->faults_cap;
        run->fault =
            mem_realloc(run->fault, run->faults_cap * sizeof *run->fault);
    }
    run->fault[run->faults_n] =
        (struct run_fault){.kind = schedule_kinds[m->fault->kind].name,
                           .node = m->node->index,
                           .begin_ms = uv_now(&run->loop)};
    return run->faults_n++;
}

static void note_end(struct run *run, const struct mishap *m)
{
    struct run_fault *noted = &run->fault[m->noted];
    const struct run_node *n = m->node;
    noted->end_ms = uv_now(&run->loop);
    if (n->ready && !n->told && !n->killed && n->start_ms == 0) {
        noted->ready_ms = noted->end_ms;
        work_follow(run, m->noted);
    }
}

static void begin(struct mishap *m)
{
    const struct fault_info *info = &schedule_kinds[m->fault->kind];
    struct run *run = m->faults->run;
    m->stage = FAULT_ON;
    m->began_ms = work_ms(run);
    m->noted = note_fault(run, m);
    run_event(run, "%s %012llu for %u ms", info->what,
              (unsigned long long)m->fault->code, m->fault->for_ms);
    mishap_begin(m);
}

static void end(struct mishap *m)
{
    struct run *run = m->faults->run;
    m->stage = FAULT_OVER;
    run_event(run, "%s at %012llu ends", schedule_kinds[m->fault->kind].name,
              (unsigned long long)m->fault->code);
    mishap_end(m);
    note_end(run, m);
}

void faults_tick(struct run *run)
{
    struct faults *f = run->faults;
    for (size_t i = 0; i < f->schedule->n; i++) {
        struct mishap *m = &f->mishap[i];
        uint64_t now = work_ms(run);
        if (m->stage == FAULT_WAITS && !f->ended && m->fault->at_ms <= now &&
            may_begin(m)) {
            begin(m);
        } else if (m->stage == FAULT_ON &&
                   (f->ended || m->began_ms + m->fault->for_ms <= now) &&
                   may_end(m)) {
            end(m);
        }
        mishap_go_on(m);
    }
}

bool faults_begun(const struct run *run)
{
    const struct faults *f = run->faults;
    bool all = true;
    for (size_t i = 0; i < f->schedule->n; i++) {
        all = all && f->mishap[i].stage != FAULT_WAITS;
    }
    return all;
}

bool faults_end(struct run *run)
{
    struct faults *f = run->faults;
    bool over = true;
    f->ended = true;
    faults_tick(run);
    for (size_t i = 0; i < f->schedule->n; i++) {
        struct mishap *m = &f->mishap[i];
        if (m->stage == FAULT_WAITS) {
            m->stage = FAULT_LEFT_OUT;
        }
        over = over && mishap_is_over(m);
    }
    return over;
}

void faults_abort(struct run *run)
{
    struct faults *f = run->faults;
    for (size_t i = 0; f != NULL && i < f->schedule->n; i++) {
        struct mishap *m = &f->mishap[i];
        if (m->helping) {
            (void)uv_process_kill(&m->helper, SIGKILL);
        }
        if (m->twin != NULL) {
            node_signal(m->twin, SIGKILL);
        }
    }
}

/* ---- what does not come down ---- */

static bool is_dammed(const struct mishap *m)
{
    enum fault_kind kind = m->fault->kind;
    return m->stage == FAULT_ON &&
           (kind == FAULT_CUT || kind == FAULT_SILENT ||
            kind == FAULT_ONE_WAY_DOWN || kind == FAULT_PARTITION);
}

/* A clock that was wrong may take old heads for new ones. */
static bool is_clock_wrong(const struct mishap *m, const struct run_node *n)
{
    return m->fault->kind == FAULT_CLOCK && m->node == n &&
           m->stage != FAULT_WAITS;
}

uint64_t faults_withheld_since(const struct run_node *n, unsigned issuer)
{
    const struct run *run = n->run;
    const struct faults *f = run->faults;
    uint64_t since = 0;
    for (size_t i = 0; i < f->schedule->n; i++) {
        const struct mishap *m = &f->mishap[i];
        unsigned at = m->node->index;
        if (is_clock_wrong(m, n)) {
            return 0;
        }
        if (is_dammed(m) && at != issuer && run_is_below(run, at, issuer) &&
            run_is_below(run, n->index, at)) {
            since = run->work_ms + m->began_ms;
        }
    }
    return since;
}

/* ---- expected lines ---- */

static bool lists(const char *ids, const char *id)
{
    size_t len = strlen(id);
    for (const char *at = ids; at != NULL && (at = strstr(at, id)) != NULL;
         at++) {
        if ((at == ids || at[-1] == ' ') && at[len] == ' ') {
            return true;
        }
    }
    return false;
}

static bool expected_of(const struct mishap *m, const struct run_node *n,
                        const char *id)
{
    const struct fault_info *info = &schedule_kinds[m->fault->kind];
    const struct run *run = n->run;
    unsigned at = m->node->index;
    bool near = at != n->index && (run_is_below(run, at, n->index) ||
                                   run_is_below(run, n->index, at));
    return (at == n->index && lists(info->says, id)) ||
           (near && lists(info->neighbours_say, id));
}

bool faults_expect(const struct run_node *n, const char *line)
{
    const struct faults *f = n->run->faults;
    char id[64] = "";
    const char *level = strstr(line, " error ");
    if (level == NULL || sscanf(level, " error %63s", id) != 1) {
        return false;
    }
    for (size_t i = 0; i < f->schedule->n; i++) {
        const struct mishap *m = &f->mishap[i];
        if ((m->stage == FAULT_ON || m->stage == FAULT_OVER) &&
            expected_of(m, n, id)) {
            return true;
        }
    }
    return false;
}
