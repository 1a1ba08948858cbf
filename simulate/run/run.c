#include "run/run.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/mem.h"
#include "run/fault.h"
#include "run/loss.h"

enum {
    TICK_MS = 50,
    CHECK_MS = 500,
    BOUNDS_MS = 1000,
    PORT_FIRST = 20000, /* below those the kernel gives to outgoing ones */
    PORT_LAST = 32000,
    SPREAD = 7919, /* a prime */
};

static const char *const phases[] = {
    [RUN_STARTING] = "starting", [RUN_WORKING] = "working",
    [RUN_SETTLING] = "settling", [RUN_STOPPING] = "stopping",
    [RUN_OVER] = "over",
};

static void say(const struct run *run, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void say(const struct run *run, const char *fmt, ...)
{
    va_list ap;
    if (run->conf->quiet) {
        return;
    }
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
}

void run_broken(struct run *run, const struct run_node *node,
                const char *invariant, const char *fmt, ...)
{
    va_list ap;
    if (run->invariant != NULL) {
        return;
    }
    run->invariant = invariant;
    run->culprit = node->index;
    va_start(ap, fmt);
    (void)vsnprintf(run->text, sizeof run->text, fmt, ap);
    va_end(ap);
}

void run_event(struct run *run, const char *fmt, ...)
{
    char *to = run->event[run->events++ % RUN_EVENTS];
    uint64_t at_ms = uv_now(&run->loop) - run->work_ms;
    int len = snprintf(to, RUN_EVENT_MAX, "%8.2f s  ", (double)at_ms / 1000);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(to + len, RUN_EVENT_MAX - (size_t)len, fmt, ap);
    va_end(ap);
    say(run, "%s\n", to);
}

/* ---- the tree ---- */

static bool is_free(unsigned port)
{
    uv_loop_t loop;
    uv_tcp_t tcp;
    struct sockaddr_in address;
    bool good = uv_loop_init(&loop) == 0;
    (void)uv_tcp_init(&loop, &tcp);
    (void)uv_ip4_addr("127.0.0.1", (int)port, &address);
    good = good &&
           uv_tcp_bind(&tcp, (const struct sockaddr *)&address, 0) == 0 &&
           uv_listen((uv_stream_t *)&tcp, 1, NULL) == 0;
    uv_close((uv_handle_t *)&tcp, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return good;
}

static enum err choose_ports(struct run *run, struct errmsg *why)
{
    /* Runs side by side begin at other places, far apart. */
    unsigned port =
        PORT_FIRST + (unsigned)getpid() * SPREAD % (PORT_LAST - PORT_FIRST);
    unsigned tries = 0;
    for (unsigned i = 0; i < run->nodes; tries++) {
        port = port < PORT_LAST ? port + 1 : PORT_FIRST;
        if (tries > PORT_LAST - PORT_FIRST) {
            return err_set(why, ERR_IO, "no free ports from %d to %d",
                           PORT_FIRST, PORT_LAST);
        }
        if (is_free(port)) {
            run->node[i++].port = port;
        }
    }
    return ERR_OK;
}

static enum err write_list(const struct run *run, const char *path,
                           struct errmsg *why)
{
    FILE *list = fopen(path, "w");
    for (unsigned i = 0; list != NULL && i < run->nodes; i++) {
        const struct pure_place *p = &run->node[i].place;
        char code[CODE_LEN + 1];
        char parent[CODE_LEN + 1] = "-";
        code_format(p->code, code);
        if (p->parent >= 0) {
            code_format(run->node[p->parent].place.code, parent);
        }
        (void)fprintf(list, "%s %s %s node %u\n", code, tier_name(p->tier),
                      parent, i);
    }
    return list != NULL && fclose(list) == 0
               ? ERR_OK
               : err_set(why, ERR_IO, "%s cannot be written", path);
}

/* The script reads the list from its standard input. */
static pid_t start_script(const struct run *run, const char *list)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen(list, "r", stdin) != NULL) {
            (void)execl(run->conf->make_tree, run->conf->make_tree,
                        run->conf->folder, (char *)NULL);
        }
        _exit(127);
    }
    return pid;
}

static enum err make_tree(struct run *run, struct errmsg *why)
{
    char list[RUN_FILE_MAX];
    int status = 0;
    (void)snprintf(list, sizeof list, "%s/nodes", run->conf->folder);
    enum err err = write_list(run, list, why);
    if (err != ERR_OK) {
        return err;
    }
    pid_t pid = start_script(run, list);
    bool made = pid > 0 && waitpid(pid, &status, 0) == pid &&
                WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return made ? ERR_OK
                : err_set(why, ERR_CONF, "no tree: run %s %s < %s to see why",
                          run->conf->make_tree, run->conf->folder, list);
}

static enum err place_node(struct run *run, unsigned i,
                           const struct pure_place *place, struct errmsg *why)
{
    struct run_node *n = &run->node[i];
    n->run = run;
    n->index = i;
    n->place = *place;
    (void)snprintf(n->folder, sizeof n->folder, "%s/%012llu", run->conf->folder,
                   (unsigned long long)place->code);
    int len = snprintf(n->socket, sizeof n->socket, "%s/sock", n->folder);
    return len < (int)sizeof n->socket
               ? ERR_OK
               : err_set(why, ERR_CONF,
                         "%s: a socket's path may have %d bytes: give a "
                         "shorter --dir",
                         n->folder, RUN_SOCKET_MAX);
}

static enum err open_logs(struct run *run, struct errmsg *why)
{
    for (unsigned i = 0; i < run->nodes; i++) {
        char path[RUN_FILE_MAX];
        (void)snprintf(path, sizeof path, "%s/log", run->node[i].folder);
        run->node[i].log = fopen(path, "a");
        if (run->node[i].log == NULL) {
            return err_set(why, ERR_IO, "%s cannot be written", path);
        }
        /* To be read while it runs. */
        (void)setvbuf(run->node[i].log, NULL, _IOLBF, 0);
    }
    return ERR_OK;
}

static enum err lay_out(struct run *run, struct errmsg *why)
{
    struct pure_place *place = mem_zalloc(PURE_NODES_MAX, sizeof *place);
    enum err err = ERR_OK;
    run->nodes = pure_places(&run->conf->shape, place);
    if (run->nodes > RUN_NODES_MAX) {
        err = err_set(why, ERR_CONF, "%u nodes: at most %d", run->nodes,
                      RUN_NODES_MAX);
    }
    run->node = mem_zalloc(run->nodes, sizeof *run->node);
    for (unsigned i = 0; err == ERR_OK && i < run->nodes; i++) {
        err = place_node(run, i, &place[i], why);
    }
    mem_free(place);
    return err;
}

/* ---- the course ---- */

static uint64_t now_ms(const struct run *run)
{
    return uv_now(&run->loop);
}

static void enter(struct run *run, enum run_phase phase)
{
    run->phase = phase;
    run->phase_ms = now_ms(run);
    run->check_ms = 0;
    say(run, "%s\n", phases[phase]);
}

static bool late(struct run *run, const char *what)
{
    bool is = now_ms(run) - run->phase_ms > run->conf->patience_s * 1000ull;
    if (is) {
        say(run, "not within %u s: %s\n", run->conf->patience_s, what);
    }
    return is;
}

static void on_starting(struct run *run)
{
    const struct run_node *waits = NULL;
    for (unsigned i = 0; i < run->nodes; i++) {
        waits = run->node[i].ready || waits != NULL ? waits : &run->node[i];
    }
    if (waits == NULL) {
        run->ready_in_ms = now_ms(run) - run->phase_ms;
        run->work_ms = now_ms(run);
        enter(run, RUN_WORKING);
    } else if (late(run, "all nodes ready")) {
        run_broken(run, waits, "ready", "it did not come up");
    }
}

static void watch_end(struct run *run, struct run_node *n)
{
    if (n->running && n->told &&
        now_ms(run) - n->told_ms > run->conf->patience_s * 1000ull) {
        run_broken(run, n, "clean-exit", "it does not end when told to");
    }
}

/* Nodes that went down come back. */
static bool restart(struct run *run)
{
    bool all = true;
    for (unsigned i = 0; i < run->nodes; i++) {
        struct run_node *n = &run->node[i];
        bool down = !n->running && !n->reading;
        if (down && n->when_down != NULL) {
            node_down_fn *then = n->when_down;
            n->when_down = NULL;
            then(n, n->when_down_of);
        }
        if (down && n->start_ms != 0 &&
            (n->start_ms <= now_ms(run) || run->phase == RUN_SETTLING)) {
            node_spawn(n);
        }
        watch_end(run, n);
        all = all && n->ready;
    }
    return all;
}

static void let_enter(struct run *run)
{
    for (unsigned i = 0; i < run->nodes; i++) {
        struct run_node *n = &run->node[i];
        if (n->ready && !n->importing && n->next_ms <= now_ms(run)) {
            n->next_ms = now_ms(run) + rng_between(&run->rng, 300, 1500);
            node_import(n);
        }
    }
}

static void on_working(struct run *run)
{
    (void)restart(run);
    let_enter(run);
    faults_tick(run);
    if (now_ms(run) - run->phase_ms >= run->conf->seconds * 1000ull) {
        enter(run, RUN_SETTLING);
    }
}

static bool importing(const struct run *run)
{
    bool any = false;
    for (unsigned i = 0; i < run->nodes; i++) {
        any = any || run->node[i].importing;
    }
    return any;
}

static void on_settling(struct run *run)
{
    if (now_ms(run) < run->check_ms) {
        return;
    }
    run->check_ms = now_ms(run) + CHECK_MS;
    bool ended = faults_end(run);
    bool ready = restart(run) && ended && !importing(run);
    if (ready && check_equal(run, false)) {
        run->equal_in_ms = now_ms(run) - run->phase_ms;
        check_acked(run);
        run->stopping = run->nodes;
        enter(run, RUN_STOPPING);
    } else if (late(run, "every log equal at every ancestor")) {
        (void)check_equal(run, true);
        run_broken(run, &run->node[0], "converged", "the nodes are not ready");
    }
}

/* Children first, as an office would. */
static void on_stopping(struct run *run)
{
    bool over = true;
    while (run->stopping > 0) {
        node_signal(&run->node[--run->stopping], SIGTERM);
    }
    for (unsigned i = 0; i < run->nodes; i++) {
        over = over && !run->node[i].running && !run->node[i].reading;
    }
    if (over) {
        enter(run, RUN_OVER);
    } else if (late(run, "all nodes ended")) {
        run_broken(run, &run->node[0], "clean-exit", "not all nodes end");
    }
}

static void (*const courses[])(struct run *) = {
    [RUN_STARTING] = on_starting,
    [RUN_WORKING] = on_working,
    [RUN_SETTLING] = on_settling,
    [RUN_STOPPING] = on_stopping,
};

/* Nothing of ours is left behind, whatever it was. */
static void kill_all(struct run *run)
{
    faults_abort(run);
    for (unsigned i = 0; i < run->nodes; i++) {
        node_signal(&run->node[i], SIGKILL);
        if (run->node[i].importing) {
            (void)uv_process_kill(&run->node[i].import, SIGKILL);
        }
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct run *run = timer->data;
    if (run->phase != RUN_OVER && run->invariant == NULL) {
        courses[run->phase](run);
    }
    if (run->bounds_ms <= now_ms(run)) {
        run->bounds_ms = now_ms(run) + BOUNDS_MS;
        bounds_look(run);
    }
    if (run->phase == RUN_OVER || run->invariant != NULL) {
        kill_all(run);
        uv_close((uv_handle_t *)timer, NULL);
    }
}

static void course(struct run *run)
{
    (void)uv_loop_init(&run->loop);
    (void)uv_timer_init(&run->loop, &run->timer);
    run->timer.data = run;
    run->phase_ms = now_ms(run);
    say(run, "starting %u processes\n", run->nodes);
    for (unsigned i = 0; i < run->nodes; i++) {
        node_spawn(&run->node[i]);
    }
    (void)uv_timer_start(&run->timer, on_tick, TICK_MS, TICK_MS);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&run->loop);
}

/* The schedule of the file, or one that follows from the seed. */
static enum err plan_faults(struct run *run, struct errmsg *why)
{
    const struct run_conf *conf = run->conf;
    struct schedule_node *node = mem_zalloc(run->nodes, sizeof *node);
    enum err err = ERR_OK;
    for (unsigned i = 0; i < run->nodes; i++) {
        node[i] = (struct schedule_node){.code = run->node[i].place.code,
                                         .parent = run->node[i].place.parent};
    }
    if (conf->schedule.fault != NULL) {
        size_t bytes = (conf->schedule.n + 1) * sizeof(struct fault);
        run->schedule.fault = mem_dup(conf->schedule.fault, bytes);
        run->schedule.n = conf->schedule.n;
        err = schedule_check(&run->schedule, conf->schedule_path, node,
                             run->nodes, why);
    } else {
        const struct schedule_plan plan = {.seed = conf->seed,
                                           .kinds = conf->fault_kinds,
                                           .every_ms = conf->fault_ms,
                                           .for_ms = conf->seconds * 1000};
        schedule_make(&run->schedule, &plan, node, run->nodes);
    }
    mem_free(node);
    return err;
}

/* It is put between quotes for a shell. */
static enum err check_folder(const struct run_conf *conf, struct errmsg *why)
{
    return strchr(conf->folder, '\'') == NULL
               ? ERR_OK
               : err_set(why, ERR_CONF, "%s: no ' in the name of a folder",
                         conf->folder);
}

enum err run_plan(struct run **out, const struct run_conf *conf,
                  struct errmsg *why)
{
    struct run *run = MEM_NEW(struct run);
    *out = run;
    run->conf = conf;
    run->rng.state = rng_mix(conf->seed + 1);
    enum err err = lay_out(run, why);
    return err == ERR_OK ? plan_faults(run, why) : err;
}

enum err run_all(struct run **out, const struct run_conf *conf,
                 struct errmsg *why)
{
    enum err err = run_plan(out, conf, why);
    struct run *run = *out;
    if (err == ERR_OK) {
        err = check_folder(conf, why);
    }
    if (err == ERR_OK) {
        say(run, "certificates and configurations for %u nodes\n", run->nodes);
        err = make_tree(run, why);
    }
    if (err == ERR_OK) {
        err = choose_ports(run, why);
    }
    if (err == ERR_OK) {
        err = open_logs(run, why);
    }
    if (err == ERR_OK) {
        err = faults_open(&run->faults, run, &run->schedule, why);
    }
    if (err == ERR_OK) {
        course(run);
    }
    return err;
}

void run_free(struct run **run)
{
    for (unsigned i = 0; (*run)->node != NULL && i < (*run)->nodes; i++) {
        if ((*run)->node[i].log != NULL) {
            (void)fclose((*run)->node[i].log);
        }
    }
    faults_free(&(*run)->faults);
    loss_free(*run);
    schedule_free(&(*run)->schedule);
    mem_free((*run)->node);
    mem_free((*run)->acked_row);
    mem_free((*run)->acked);
    mem_free((*run)->acked_at);
    mem_free(*run);
    *run = NULL;
}

/* The oldest first. */
static json_t *events_json(const struct run *run)
{
    json_t *list = json_array();
    unsigned from = run->events > RUN_EVENTS ? run->events - RUN_EVENTS : 0;
    for (unsigned i = from; i < run->events; i++) {
        (void)json_array_append_new(list,
                                    json_string(run->event[i % RUN_EVENTS]));
    }
    return list;
}

json_t *run_json(const struct run *run)
{
    unsigned long imports = 0;
    unsigned long broken_off = 0;
    char node[CODE_LEN + 1] = "";
    for (unsigned i = 0; i < run->nodes; i++) {
        imports += run->node[i].imports;
        broken_off += run->node[i].broken_off;
    }
    if (run->invariant != NULL) {
        code_format(run->node[run->culprit].place.code, node);
    }
    json_t *report = json_pack(
        "{s:b, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:I}",
        "holds", run->invariant == NULL, "broken",
        run->invariant != NULL ? run->invariant : "", "node", node, "text",
        run->text, "seed", (json_int_t)run->conf->seed, "nodes",
        (json_int_t)run->nodes, "kills", (json_int_t)run->kills, "imports",
        (json_int_t)imports, "imports_broken_off", (json_int_t)broken_off,
        "acknowledged", (json_int_t)run->acked_n, "logs", (json_int_t)run->logs,
        "entries", (json_int_t)run->entries, "ready_in_ms",
        (json_int_t)run->ready_in_ms, "equal_in_ms",
        (json_int_t)run->equal_in_ms);
    json_t *more = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "faults_done",
        (json_int_t)run->faulted, "faults_left_out", (json_int_t)run->left_out,
        "excused", (json_int_t)run->excused, "rss_max_kib",
        (json_int_t)run->most.rss_kib, "fds_max", (json_int_t)run->most.fds,
        "threads_max", (json_int_t)run->most.threads, "faults",
        faults_json(run), "last_events", events_json(run));
    (void)json_object_update(report, more);
    json_decref(more);
    return report;
}
