#include "run/run.h"

#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "run/fault.h"
#include "run/loss.h"
#include "run/tree.h"
#include "run/work.h"

enum {
    TICK_MS = 50,
    CHECK_MS = 500,
    START_AT_ONCE = 8,
    NODES_A_PATIENCE = 200,
    RENEW_SOON_NODES = 100, /* up to so many, heads are signed anew sooner: */
    RENEW_SOON_MS = 2000,   /* a fault of seconds then makes a list stale */
    RENEW_MS = 10000,
    SHOW_EVERY = 50, /* nodes between two lines of progress */
    FDS_BASE = 64,
    FDS_NODE = 3,
    PORT_FIRST = 10000, /* below those the kernel gives to outgoing ones */
    PORT_LAST = 19999,
    PORT_BLOCK = 100,
    BOUNDS_MS = 1000,
    REPORT_MS = 5000, /* a sanitizer says the rest of it */
};

static const char *const phases[] = {
    [RUN_STARTING] = "starting", [RUN_WORKING] = "working",
    [RUN_SETTLING] = "settling", [RUN_ATTACHED] = "attached",
    [RUN_STOPPING] = "stopping", [RUN_OVER] = "over",
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

void run_progress(struct run *run, const char *what, unsigned done)
{
    if (run->nodes > SHOW_EVERY && done / SHOW_EVERY > run->shown) {
        say(run, "  %u of %u %s\n", done, run->nodes, what);
    }
    run->shown = done / SHOW_EVERY;
}

void run_broken(struct run *run, const struct run_node *node,
                const char *invariant, const char *fmt, ...)
{
    va_list ap;
    if (run->invariant != NULL) {
        return;
    }
    run->invariant = invariant;
    run->broken_ms = uv_now(&run->loop);
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

const char *run_program(const struct run_node *n)
{
    return n->is_old ? n->run->conf->old : n->run->conf->creditnode;
}

bool run_is_below(const struct run *run, unsigned node, unsigned top)
{
    int at = (int)node;
    while (at > (int)top) { /* parents stand before their children */
        at = run->node[at].place.parent;
    }
    return at == (int)top;
}

unsigned run_origin(const struct run *run, const char *log)
{
    return run_place(run, strtoull(log, NULL, 10));
}

unsigned run_place(const struct run *run, uint64_t code)
{
    unsigned at = 0;
    for (unsigned i = 0; i < run->nodes; i++) {
        at = run->node[i].place.code == code ? i : at;
    }
    return at;
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

/* Nodes listen minutes after their ports were chosen, and runs go on side by
 * side: a run claims blocks of ports. The claim is a socket without a file,
 * so it ends with the process, however that ends. */
static bool claim_block(unsigned block)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int len = snprintf(name.sun_path + 1, sizeof name.sun_path - 1,
                       "creditsim-ports-%u", block);
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, size) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    return true; /* stays open */
}

static enum err choose_ports(struct run *run, struct errmsg *why)
{
    enum { BLOCKS = (PORT_LAST - PORT_FIRST + 1) / PORT_BLOCK };
    unsigned block = (unsigned)getpid() % BLOCKS;
    unsigned i = 0;
    for (unsigned tries = 0; tries < BLOCKS && i < run->nodes; tries++) {
        block = (block + 1) % BLOCKS;
        unsigned port = PORT_FIRST + block * PORT_BLOCK;
        unsigned end = claim_block(block) ? port + PORT_BLOCK : port;
        for (; port < end && i < run->nodes; port++) {
            if (is_free(port)) {
                run->node[i++].port = port;
            }
        }
    }
    return i == run->nodes
               ? ERR_OK
               : err_set(why, ERR_IO, "not enough free ports from %d to %d",
                         PORT_FIRST, PORT_LAST);
}

static void show_made(void *ctx, unsigned done)
{
    run_progress(ctx, "made", done);
}

static enum err make_tree(struct run *run, struct errmsg *why)
{
    struct place *place = mem_zalloc(run->nodes, sizeof *place);
    unsigned *port = mem_zalloc(run->nodes, sizeof *port);
    for (unsigned i = 0; i < run->nodes; i++) {
        place[i] = run->node[i].place;
        port[i] = run->node[i].port;
    }
    const struct tree tree = {.folder = run->conf->folder,
                              .source = run->conf->source,
                              .suite = run->conf->suite,
                              .place = place,
                              .port = port,
                              .n = run->nodes,
                              .deciders = run->conf->profile->deciders};
    uint64_t start_ms = uv_hrtime() / 1000000;
    enum err err = tree_make(&tree, show_made, run, why);
    run->made_in_ms = uv_hrtime() / 1000000 - start_ms;
    mem_free(place);
    mem_free(port);
    return err;
}

static enum err place_node(struct run *run, unsigned i,
                           const struct place *place, struct errmsg *why)
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
        run->node[i].log = fopen(path, "ae");
        if (run->node[i].log == NULL) {
            return err_set(why, ERR_IO, "%s cannot be written", path);
        }
        /* Whoever looks around sees the newest line. */
        (void)setvbuf(run->node[i].log, NULL, _IOLBF, BUFSIZ);
    }
    return ERR_OK;
}

/* By the seed, and one at least. */
static void choose_old(struct run *run)
{
    const struct run_conf *conf = run->conf;
    struct rng r = {rng_mix(conf->seed ^ UINT64_C(0x01d))};
    unsigned wanted =
        conf->old != NULL ? conf->old_percent * run->nodes / 100 : 0;
    wanted = conf->old != NULL && wanted == 0 ? 1 : wanted;
    while (run->old < wanted) {
        struct run_node *n = &run->node[rng_below(&r, run->nodes)];
        run->old += !n->is_old;
        n->is_old = true;
    }
}

static enum err lay_out(struct run *run, struct errmsg *why)
{
    struct place *place = NULL;
    unsigned *port = NULL;
    const struct run_conf *conf = run->conf;
    enum err err =
        conf->kept ? tree_read(conf->folder, &place, &port, &run->nodes, why)
        : conf->area.code != NULL
            ? places_of_area(&conf->area, &place, &run->nodes, why)
            : places_of_shape(&conf->shape, &place, &run->nodes, why);
    if (err != ERR_OK) {
        mem_free(place);
        mem_free(port);
        run->nodes = 0;
        return err;
    }
    run->node = mem_zalloc(run->nodes, sizeof *run->node);
    run->renew_ms = run->nodes <= RENEW_SOON_NODES ? RENEW_SOON_MS : RENEW_MS;
    for (unsigned i = 0; err == ERR_OK && i < run->nodes; i++) {
        err = place_node(run, i, &place[i], why);
        run->node[i].port = port != NULL ? port[i] : 0;
    }
    mem_free(port);
    choose_old(run);
    mem_free(place);
    return err;
}

/* Of each node: a log, a pipe for its lines, and what spawning takes. */
static enum err raise_descriptors(const struct run *run, struct errmsg *why)
{
    struct rlimit limit;
    rlim_t wanted = FDS_BASE + (rlim_t)FDS_NODE * run->nodes;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return ERR_OK;
    }
    if (limit.rlim_max < wanted) {
        return err_set(why, ERR_CONF,
                       "%u nodes need %llu descriptors and this session may "
                       "have %llu: raise it (ulimit -n, limits.conf)",
                       run->nodes, (unsigned long long)wanted,
                       (unsigned long long)limit.rlim_max);
    }
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return ERR_OK;
}

/* ---- the course ---- */

static uint64_t now_ms(const struct run *run)
{
    return uv_now(&run->loop);
}

static void enter(struct run *run, enum run_phase phase)
{
    /* Asking every node for every record takes its time. */
    uv_update_time(&run->loop);
    run->phase = phase;
    run->phase_ms = run->phase_at_ms[phase] = now_ms(run);
    run->check_ms = 0;
    say(run, "%s\n", phases[phase]);
}

/* A thousand nodes take longer than thirteen. */
static uint64_t patience_ms(const struct run *run)
{
    return run->conf->patience_s * 1000ull *
           (1 + run->nodes / NODES_A_PATIENCE);
}

static bool late(struct run *run, const char *what)
{
    bool is = now_ms(run) - run->phase_ms > patience_ms(run);
    if (is) {
        say(run, "not within %llu s: %s\n",
            (unsigned long long)patience_ms(run) / 1000, what);
    }
    return is;
}

/* Only so many come up at a time: each takes a processor for a moment, and
 * the deadline of the first would pass while the last gets its turn. */
static void start_more(struct run *run, unsigned ready)
{
    while (run->started < run->nodes && run->started - ready < START_AT_ONCE) {
        node_spawn(&run->node[run->started++]);
    }
}

/* Of each node; what a thousand processes cost. */
static void measure(struct run *run, bool end)
{
    for (unsigned i = 0; i < run->nodes; i++) {
        struct run_node *n = &run->node[i];
        if (n->running) {
            (void)usage_of(n->process.pid, end ? &n->usage_end : &n->usage);
        }
    }
}

static void on_starting(struct run *run)
{
    const struct run_node *waits = NULL;
    unsigned ready = 0;
    for (unsigned i = 0; i < run->nodes; i++) {
        ready += run->node[i].ready;
        waits = run->node[i].ready || waits != NULL ? waits : &run->node[i];
    }
    start_more(run, ready);
    run_progress(run, "ready", ready);
    if (waits == NULL) {
        run->ready_in_ms = now_ms(run) - run->phase_ms;
        run->work_ms = now_ms(run);
        measure(run, false);
        if (run->conf->kept) {
            enter(run, RUN_ATTACHED);
            return;
        }
        work_start(run);
        enter(run, RUN_WORKING);
    } else if (late(run, "all nodes ready")) {
        run_broken(run, waits, "ready", "it did not come up");
    }
}

static void watch_end(struct run *run, struct run_node *n)
{
    if (n->running && n->told && now_ms(run) - n->told_ms > patience_ms(run)) {
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

static void on_working(struct run *run)
{
    (void)restart(run);
    work_go_on(run);
    faults_tick(run);
    /* On a slow machine a process comes up later than planned. */
    uint64_t so_far_ms = now_ms(run) - run->phase_ms;
    uint64_t least_ms = run->conf->seconds * 1000ull;
    if (so_far_ms >= least_ms &&
        (faults_begun(run) ||
         so_far_ms >= least_ms + run->conf->patience_s * 1000ull)) {
        enter(run, RUN_SETTLING);
    }
}

static void on_settling(struct run *run)
{
    if (now_ms(run) < run->check_ms) {
        return;
    }
    run->check_ms = now_ms(run) + CHECK_MS;
    bool ended = faults_end(run);
    bool ready = restart(run) && ended && work_finish(run);
    if (ready && check_equal(run, false) && check_receipts(run, false) &&
        check_forks(run, false)) {
        run->equal_in_ms = now_ms(run) - run->phase_ms;
        check_acked(run);
        check_lists(run);
        check_effects(run);
        measure(run, true);
        enter(run, run->conf->attach ? RUN_ATTACHED : RUN_STOPPING);
    } else if (late(run, "every log equal at every ancestor")) {
        (void)(check_forks(run, true) && check_equal(run, true) &&
               check_receipts(run, true));
        run_broken(run, &run->node[0], "converged",
                   "nodes are not ready, or an import does not end");
    }
}

/* For scripts that wait for it. */
static void write_attached(struct run *run)
{
    char path[RUN_FILE_MAX];
    (void)snprintf(path, sizeof path, "%s/attached", run->conf->folder);
    FILE *file = fopen(path, "we");
    if (file == NULL || fclose(file) != 0) {
        run_broken(run, &run->node[0], "interrupted", "%.200s: not written",
                   path);
    }
}

/* Somebody looks around in the tree; a signal ends that. */
static void on_attached(struct run *run)
{
    if (run->check_ms == 0) {
        write_attached(run);
        const struct run_node *last = &run->node[run->nodes - 1];
        run->check_ms = 1;
        (void)fprintf(
            stderr,
            "\n%s. Try:\n"
            "  %s status -c %s/node.cfg\n"
            "  %s logs -c %s/node.cfg\n"
            "  %s directive lists -c %s/node.cfg\n"
            "  %s verify -c %s/node.cfg\n"
            "Each node has such a folder; Ctrl-C ends the run.\n",
            run->conf->kept ? "The nodes run" : "All is equal; the nodes go on",
            run->conf->creditnode, run->node[0].folder, run->conf->creditnode,
            run->node[0].folder, run->conf->creditnode, last->folder,
            run->conf->creditnode, last->folder);
    }
}

/* Of a tree that was kept nobody knows what happened to it before. */
static void look_into_stores(struct run *run)
{
    if (run->conf->kept || run->invariant != NULL) {
        return;
    }
    check_stores(run, patience_ms(run));
    if (run->unwalked > 0) {
        say(run, "not within %llu s: the stores of %u nodes were not read\n",
            (unsigned long long)patience_ms(run) / 1000, run->unwalked);
    }
}

/* Children first, as an office would. */
static void on_stopping(struct run *run)
{
    bool over = true;
    work_stop(run);
    while (run->stopping > 0) {
        node_signal(&run->node[--run->stopping], SIGTERM);
    }
    for (unsigned i = 0; i < run->nodes; i++) {
        over = over && !run->node[i].running && !run->node[i].reading;
    }
    if (over) {
        check_persons(run);
        look_into_stores(run);
        enter(run, RUN_OVER);
    } else if (late(run, "all nodes ended")) {
        run_broken(run, &run->node[0], "clean-exit", "not all nodes end");
    }
}

static void (*const courses[])(struct run *) = {
    [RUN_STARTING] = on_starting, [RUN_WORKING] = on_working,
    [RUN_SETTLING] = on_settling, [RUN_ATTACHED] = on_attached,
    [RUN_STOPPING] = on_stopping,
};

/* Nothing of ours is left behind, whatever it was. */
static void kill_all(struct run *run)
{
    work_stop(run);
    faults_abort(run);
    for (unsigned i = 0; i < run->nodes; i++) {
        node_signal(&run->node[i], SIGKILL);
        if (run->node[i].importing) {
            (void)uv_process_kill(&run->node[i].import, SIGKILL);
        }
        if (run->node[i].deciding) {
            (void)uv_process_kill(&run->node[i].decide, SIGKILL);
        }
        if (run->node[i].reporting) {
            (void)uv_process_kill(&run->node[i].report, SIGKILL);
        }
    }
}

/* Whoever is told to end says no more. */
static bool is_said(const struct run *run)
{
    return run->invariant != NULL &&
           (strcmp(run->invariant, "sanitizer") != 0 ||
            !run->node[run->culprit].reading ||
            now_ms(run) - run->broken_ms > REPORT_MS);
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
    if (run->phase == RUN_OVER || is_said(run)) {
        kill_all(run);
        uv_close((uv_handle_t *)timer, NULL);
        for (size_t i = 0; i < ARRAY_LEN(run->signals); i++) {
            uv_close((uv_handle_t *)&run->signals[i], NULL);
        }
    }
}

/* The first ends the work, as if its time were over; nodes end cleanly. */
static void on_signal(uv_signal_t *signal, int signum)
{
    struct run *run = signal->data;
    (void)signum;
    if (run->phase == RUN_ATTACHED) {
        enter(run, RUN_STOPPING);
    } else if (run->phase == RUN_WORKING) {
        enter(run, RUN_SETTLING);
    } else {
        run_broken(run, &run->node[0], "interrupted", "by a signal");
    }
}

static void hear_signals(struct run *run)
{
    static const int signums[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < ARRAY_LEN(run->signals); i++) {
        (void)uv_signal_init(&run->loop, &run->signals[i]);
        run->signals[i].data = run;
        (void)uv_signal_start(&run->signals[i], on_signal, signums[i]);
    }
}

static void course(struct run *run)
{
    /* A question to a frozen node keeps its thread. */
    (void)setenv("UV_THREADPOOL_SIZE", "24", 0);
    (void)uv_loop_init(&run->loop);
    (void)uv_timer_init(&run->loop, &run->timer);
    run->timer.data = run;
    hear_signals(run);
    run->phase_ms = run->phase_at_ms[RUN_STARTING] = now_ms(run);
    run->stopping = run->nodes;
    say(run, "starting %u processes\n", run->nodes);
    (void)uv_timer_start(&run->timer, on_tick, TICK_MS, TICK_MS);
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&run->loop);
}

/* Without an old program there is nothing to upgrade from. */
static uint32_t planned_kinds(const struct run_conf *conf)
{
    return conf->old != NULL
               ? conf->fault_kinds
               : conf->fault_kinds & ~(UINT32_C(1) << FAULT_UPGRADE);
}

/* The schedule of the file, or one that follows from the seed. */
static enum err plan_faults(struct run *run, struct errmsg *why)
{
    const struct run_conf *conf = run->conf;
    struct schedule_node *node = mem_zalloc(run->nodes, sizeof *node);
    enum err err = ERR_OK;
    for (unsigned i = 0; i < run->nodes; i++) {
        node[i] = (struct schedule_node){.code = run->node[i].place.code,
                                         .parent = run->node[i].place.parent,
                                         .is_old = run->node[i].is_old};
    }
    if (conf->schedule.fault != NULL) {
        size_t bytes = (conf->schedule.n + 1) * sizeof(struct fault);
        run->schedule.fault = mem_dup(conf->schedule.fault, bytes);
        run->schedule.n = conf->schedule.n;
        err = schedule_check(&run->schedule, conf->schedule_path, node,
                             run->nodes, why);
    } else {
        const struct schedule_plan plan = {.seed = conf->seed,
                                           .kinds = planned_kinds(conf),
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
    /* Of a tree that was kept it is not asked for. */
    bool gm = conf->suite != NULL && strcmp(conf->suite, "gm") == 0;
    run->suite = gm ? SUITE_GM : SUITE_INTL;
    time_t now = time(NULL);
    struct tm local;
    (void)strftime(run->at, sizeof run->at, "%Y-%m-%d %H:%M:%S %z",
                   localtime_r(&now, &local));
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
        err = raise_descriptors(run, why);
    }
    if (err == ERR_OK && !conf->kept) {
        err = choose_ports(run, why);
    }
    if (err == ERR_OK && !conf->kept) {
        say(run, "certificates and configurations for %u nodes\n", run->nodes);
        err = make_tree(run, why);
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
    mem_free((*run)->row);
    mem_free((*run)->acked);
    mem_free((*run)->entered);
    mem_free((*run)->decided);
    mem_free((*run)->effect);
    mem_free((*run)->fault);
    mem_free((*run)->second);
    for (int i = 0; i < ACTS; i++) {
        samples_free(&(*run)->act_us[i]);
    }
    for (int i = 0; i < PROFILE_TIERS; i++) {
        samples_free(&(*run)->hop_ms[i]);
    }
    samples_free(&(*run)->top_ms);
    work_free(*run);
    mem_free(*run);
    *run = NULL;
}
