/* An authority that decides two histories of its lists: they begin alike, then
 * one comes to its first child, it is put back to where they part and shows
 * another to its second. Whoever sees both must notice. */
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "run/fault.h"
#include "run/held.h"
#include "run/loss.h"
#include "run/rows.h"
#include "run/tree.h"

enum {
    CHILDREN = 2,
    LISTINGS = 2,
    SUBJECTS_FIRST = 8000000, /* above those of the work */
    SCRIPT_MAX = 12 * RUN_PATH_MAX,
    LOOK_MS = 250,
};

/* What is decided, one after the other. */
enum part { COMMON, FIRST, SECOND, PARTS };

enum step {
    STARTS,  /* the issuer comes up, backed up or put back */
    DECIDES, /* the helper runs */
    COMES,   /* to the child */
    SHOWN,   /* both are */
    LEFT,    /* it could not be done */
};

struct forking {
    enum step step;
    uint64_t since_ms;
    uint64_t look_ms;
    enum part part;
    unsigned child[CHILDREN];  /* nodes: who sees the first, the second */
    char log[LOG_ID_TEXT_MAX]; /* "": nothing was decided yet */
    uint64_t last;             /* of what was decided */
    const struct loss *before; /* the newest loss when both were shown */
};

static const struct line_state whole = {.cut = false};
static const struct line_state cut = {.cut = true};

static uint64_t now_ms(const struct mishap *m)
{
    return uv_now(&m->faults->run->loop);
}

static void go_to(struct mishap *m, enum step step)
{
    m->fork->step = step;
    m->fork->since_ms = now_ms(m);
}

static void leave(struct mishap *m, const char *why)
{
    mishap_cannot(m, why);
    go_to(m, LEFT);
}

static bool find_children(struct mishap *m)
{
    const struct run *run = m->faults->run;
    unsigned n = 0;
    for (unsigned i = 0; i < run->nodes && n < CHILDREN; i++) {
        if (run->node[i].place.parent == (int)m->node->index) {
            m->fork->child[n++] = i;
        }
    }
    return n == CHILDREN;
}

void fork_begin(struct mishap *m)
{
    m->fork = MEM_NEW(struct forking);
    if (!tree_is_issuer(&m->node->place) || !find_children(m)) {
        leave(m, "it decides nothing, or has one child");
        return;
    }
    m->node->held_back = true;
    go_to(m, STARTS);
}

/* ---- deciding ---- */

static void said_path(const struct mishap *m, char out[RUN_FILE_MAX])
{
    (void)snprintf(out, RUN_FILE_MAX, "%s/fork.json", m->node->folder);
}

static bool write_listings(const struct mishap *m, const char *path)
{
    uint64_t first = SUBJECTS_FIRST +
                     ((uint64_t)m->noted * PARTS + m->fork->part) * LISTINGS;
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    (void)fprintf(file, "%s\n", bench_listing_header);
    for (uint64_t i = 0; i < LISTINGS; i++) {
        bench_listing_put(file, first + i, m->node->place.code);
    }
    return fclose(file) == 0;
}

static void on_decided_closed(uv_handle_t *handle)
{
    struct mishap *m = handle->data;
    m->helping = false;
}

static void on_decided(uv_process_t *process, int64_t status, int signum)
{
    struct mishap *m = process->data;
    struct forking *f = m->fork;
    char path[RUN_FILE_MAX];
    said_path(m, path);
    json_t *answer =
        status == 0 && signum == 0 ? json_load_file(path, 0, NULL) : NULL;
    const char *log = json_string_value(json_object_get(answer, "log"));
    json_int_t last = json_integer_value(json_object_get(answer, "last"));
    if (log == NULL || last <= 0) {
        leave(m, "it could not decide");
    } else {
        (void)snprintf(f->log, sizeof f->log, "%s", log);
        f->last = (uint64_t)last;
        go_to(m, COMES);
    }
    json_decref(answer);
    uv_close((uv_handle_t *)process, on_decided_closed);
}

/* By all who must sign, one after the other. */
static void write_script(const struct mishap *m, const char *rows,
                         char out[SCRIPT_MAX])
{
    const struct run_node *n = m->node;
    const struct run *run = n->run;
    char said[RUN_FILE_MAX];
    said_path(m, said);
    int len = snprintf(out, SCRIPT_MAX,
                       "p='%s'; k='%s/fed/deciders/%012llu'; s='%s'; r='%s'; "
                       "rm -f \"$r.package\"; \"$p\" directive import \"$r\" "
                       "-s \"$s\" -o \"$r.package\" >/dev/null && ",
                       run_program(n), run->conf->folder,
                       (unsigned long long)n->place.code, n->socket, rows);
    for (unsigned i = 1; i <= run->conf->profile->deciders; i++) {
        len += snprintf(out + len, (size_t)(SCRIPT_MAX - len),
                        "\"$p\" directive sign \"$r.package\" --key "
                        "\"$k-%u.key\" >/dev/null && ",
                        i);
    }
    (void)snprintf(out + len, (size_t)(SCRIPT_MAX - len),
                   "exec \"$p\" directive publish \"$r.package\" -s \"$s\" "
                   "--json >'%s'",
                   said);
}

static void decide(struct mishap *m)
{
    char rows[RUN_FILE_MAX];
    char script[SCRIPT_MAX];
    char shell[] = "sh";
    char flag[] = "-c";
    char *args[] = {shell, flag, script, NULL};
    uv_process_options_t options = {
        .exit_cb = on_decided, .file = "/bin/sh", .args = args};
    (void)snprintf(rows, sizeof rows, "%s/fork.csv", m->node->folder);
    if (!write_listings(m, rows)) {
        leave(m, "no file could be written");
        return;
    }
    write_script(m, rows, script);
    go_to(m, DECIDES);
    m->helper.data = m;
    m->helping = true;
    if (uv_spawn(&m->node->run->loop, &m->helper, &options) != 0) {
        leave(m, "no process");
        uv_close((uv_handle_t *)&m->helper, on_decided_closed);
    }
}

/* ---- showing ---- */

static bool has_come(const struct mishap *m, unsigned child)
{
    const struct forking *f = m->fork;
    const struct run_node *n = &m->faults->run->node[f->child[child]];
    struct held_logs logs = {0};
    bool asked = n->ready && !n->frozen && held_ask(n, &logs);
    const struct held *l = asked ? held_find(&logs, f->log) : NULL;
    bool come = l != NULL && l->size >= f->last;
    held_free(&logs);
    return come;
}

/* Only one child sees what is decided next. */
static void show_to(struct mishap *m, unsigned child)
{
    mishap_set_line(m, m->fork->child[child], &whole);
    mishap_set_line(m, m->fork->child[1 - child], &cut);
}

static void part_has_come(struct mishap *m)
{
    struct forking *f = m->fork;
    if (f->part == COMMON) {
        show_to(m, 0);
        mishap_stop_and(m, SIGTERM, mishap_back_up);
    } else if (f->part == FIRST) {
        show_to(m, 1);
        mishap_stop_and(m, SIGKILL, mishap_put_back);
    }
    if (f->part == SECOND) {
        f->before = m->faults->run->losses;
        go_to(m, SHOWN);
    } else {
        f->part++;
        go_to(m, STARTS);
    }
}

static void look(struct mishap *m)
{
    struct forking *f = m->fork;
    if (now_ms(m) < f->look_ms) {
        return;
    }
    f->look_ms = now_ms(m) + LOOK_MS;
    if ((f->part == SECOND || has_come(m, 0)) &&
        (f->part == FIRST || has_come(m, 1))) {
        part_has_come(m);
    }
}

static bool is_up(const struct run_node *n)
{
    return n->ready && n->when_down == NULL && n->start_ms == 0 && !n->told &&
           !n->killed;
}

void fork_go_on(struct mishap *m)
{
    const struct run *run = m->faults->run;
    enum step step = m->fork->step;
    uint64_t patience_ms = run->conf->patience_s * 1000ull / 2;
    if (step == STARTS && is_up(m->node)) {
        decide(m);
    } else if (step == COMES) {
        look(m);
    }
    if (!fork_is_shown(m) && step != DECIDES &&
        now_ms(m) > m->fork->since_ms + patience_ms) {
        leave(m, "a child or the node itself was away too long");
    }
}

bool fork_is_shown(const struct mishap *m)
{
    return m->fork->step == SHOWN || m->fork->step == LEFT;
}

void fork_end(struct mishap *m)
{
    m->node->held_back = false;
    for (int i = 0; i < CHILDREN && m->fork->log[0] != '\0'; i++) {
        mishap_set_line(m, m->fork->child[i], &whole);
    }
}

/* ---- is it noticed? ---- */

static bool has_reason(const struct run_node *n, const char *id)
{
    struct errmsg why;
    bool found = false;
    size_t i;
    json_t *reason;
    json_t *answer =
        admin_ask(n->socket, json_pack("{s:s}", "cmd", "status"), &why);
    json_array_foreach(
        json_object_get(json_object_get(answer, "health"), "reasons"), i,
        reason)
    {
        const char *is = json_string_value(json_object_get(reason, "id"));
        found = found || (is != NULL && strcmp(is, id) == 0);
    }
    json_decref(answer);
    return found;
}

static bool is_marked(const struct run_node *n, const char *log)
{
    struct held_logs logs = {0};
    const struct held *l = held_ask(n, &logs) ? held_find(&logs, log) : NULL;
    bool marked = l != NULL && l->forked;
    held_free(&logs);
    return marked;
}

/* One whose store was lost since has no evidence any more. */
static bool check_one(struct run *run, const struct forking *f,
                      const struct run_node *issuer, bool say)
{
    const struct run_node *child = &run->node[f->child[0]];
    bool lost = loss_since(child, f->before) || loss_since(issuer, f->before);
    bool at_child =
        lost || (is_marked(child, f->log) && has_reason(child, "log-forked"));
    bool at_issuer = lost || has_reason(issuer, "lists-forked-below") ||
                     has_reason(issuer, "log-forked");
    if (say && (!at_child || !at_issuer)) {
        run_broken(run, at_child ? issuer : child, "evidence",
                   "two histories of log %s were signed, and it has no alarm "
                   "of that",
                   f->log);
    }
    return at_child && at_issuer;
}

bool check_forks(struct run *run, bool say)
{
    const struct faults *faults = run->faults;
    bool good = true;
    for (size_t i = 0; good && i < faults->schedule->n; i++) {
        const struct mishap *m = &faults->mishap[i];
        good = m->fork == NULL || m->fork->step != SHOWN ||
               check_one(run, m->fork, m->node, say);
    }
    return good;
}
