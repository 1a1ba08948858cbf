#include "crowd/parent.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "credit/division.h"
#include "run/receipts.h"
#include "run/rows.h"
#include "run/tree.h"
#include <jansson.h>

enum {
    PATH_LEN = 640,
    LINE_LEN = 512,
    ARGS_MAX = 2 * PARENT_SET_MAX + 16,
    LOOK_MS = 20,
    SECOND_MS = 1000,
};

static const uint64_t city = 341800000000;

/* ---- the tree ---- */

/* Villages, townships and counties that stand right below the city. */
static uint64_t code_of(unsigned child)
{
    static const struct {
        unsigned n;
        uint64_t unit;
    } levels[] = {{999, 1}, {999, 1000}, {99, 1000000}};
    size_t level = 0;
    while (child >= levels[level].n) {
        child -= levels[level++].n;
    }
    return city + (child + 1) * levels[level].unit;
}

void parent_places(struct parent *p, unsigned children)
{
    p->n = children + 1;
    p->place = mem_zalloc(p->n, sizeof *p->place);
    for (unsigned i = 0; i < p->n; i++) {
        struct place *place = &p->place[i];
        place->code = i == 0 ? city : code_of(i - 1);
        place->tier = division_tier(place->code);
        place->parent = i == 0 ? -1 : 0;
        (void)snprintf(place->name, sizeof place->name, "node %u", i);
    }
}

void parent_free(struct parent *p)
{
    mem_free(p->place);
    p->place = NULL;
}

static void no_progress(void *ctx, unsigned done)
{
    (void)ctx;
    (void)done;
}

enum err parent_make(struct parent *p, struct errmsg *why)
{
    unsigned *ports = mem_zalloc(p->n, sizeof *ports);
    const struct tree tree = {.folder = p->folder,
                              .source = p->source,
                              .suite = "intl",
                              .place = p->place,
                              .port = ports,
                              .n = p->n,
                              .deciders = 1};
    enum err err = tree_make(&tree, no_progress, NULL, why);
    mem_free(ports);
    return err;
}

/* ---- its process ---- */

static void path_of(const struct parent *p, const char *name,
                    char out[PATH_LEN])
{
    (void)snprintf(out, PATH_LEN, "%s/%012llu/%s", p->folder,
                   (unsigned long long)city, name);
}

/* What it says goes to `file`, by this descriptor. */
static pid_t spawn(const char *program, const char *const *args, int fd,
                   const char *file)
{
    char *argv[ARGS_MAX + 1] = {NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    assert(program != NULL);
    for (size_t i = 0; i < ARGS_MAX && args[i] != NULL; i++) {
        argv[i] = mem_strdup(args[i]);
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, fd, file,
                                           O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int failed = posix_spawn(&pid, program, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    for (size_t i = 0; i < ARGS_MAX; i++) {
        mem_free(argv[i]);
    }
    return failed == 0 ? pid : -1;
}

static bool is_ready(const char *log, unsigned *port)
{
    char line[LINE_LEN];
    FILE *in = fopen(log, "re");
    bool ready = false;
    while (!ready && in != NULL && fgets(line, sizeof line, in) != NULL) {
        const char *at = strstr(line, " READY ");
        at = at != NULL ? strstr(at, " port=") : NULL;
        ready = at != NULL;
        *port = ready ? (unsigned)strtoul(at + strlen(" port="), NULL, 10) : 0;
    }
    if (in != NULL) {
        (void)fclose(in);
    }
    return ready;
}

enum err parent_start(struct parent *p, int64_t ms, struct errmsg *why)
{
    char conf[PATH_LEN];
    char log[PATH_LEN];
    const char *args[ARGS_MAX] = {p->creditnode, "serve",
                                  "-c",          conf,
                                  "--set",       "listen.address=127.0.0.1:0"};
    unsigned n = 6;
    int64_t until = clock_mono_ms() + ms;
    for (unsigned i = 0; i < p->set_n; i++) {
        args[n++] = "--set";
        args[n++] = p->set[i];
    }
    path_of(p, "node.cfg", conf);
    path_of(p, "log", log);
    p->pid = spawn(p->creditnode, args, STDERR_FILENO, log);
    if (p->pid < 0) {
        p->pid = 0;
        return err_set(why, ERR_IO, "%s cannot be started", p->creditnode);
    }
    while (!is_ready(log, &p->port)) {
        if (waitpid(p->pid, NULL, WNOHANG) != 0) {
            p->pid = 0;
            return err_set(why, ERR_IO, "it ended at once: see %s", log);
        }
        if (clock_mono_ms() > until) {
            return err_set(why, ERR_TIMEOUT, "it is not ready: see %s", log);
        }
        clock_sleep(LOOK_MS);
    }
    return ERR_OK;
}

enum err parent_stop(struct parent *p, int64_t ms, struct errmsg *why)
{
    int status = 0;
    int64_t until = clock_mono_ms() + ms;
    pid_t gone = 0;
    if (p->pid == 0) {
        return ERR_OK;
    }
    (void)kill(p->pid, SIGTERM);
    while ((gone = waitpid(p->pid, &status, WNOHANG)) == 0 &&
           clock_mono_ms() < until) {
        clock_sleep(LOOK_MS);
    }
    if (gone == 0) {
        (void)kill(p->pid, SIGKILL);
        (void)waitpid(p->pid, &status, 0);
    }
    p->pid = 0;
    return gone != 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? ERR_OK
               : err_set(why, ERR_CONFLICT, "it did not end cleanly");
}

struct usage parent_usage(const struct parent *p)
{
    struct usage u;
    (void)usage_of(p->pid, &u);
    return u;
}

void parent_rest(const struct parent *p, uint64_t busy, unsigned seconds)
{
    uint64_t before = parent_usage(p).cpu_ms;
    for (unsigned i = 0; i < seconds; i++) {
        clock_sleep(SECOND_MS);
        uint64_t now = parent_usage(p).cpu_ms;
        if (now - before < busy) {
            return;
        }
        before = now;
    }
}

/* ---- its directives ---- */

static bool write_listings(struct parent *p, unsigned n, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    (void)fprintf(file, "%s\n", bench_listing_header);
    for (unsigned i = 0; i < n; i++) {
        bench_listing_put(file, p->listed++, city);
    }
    return fclose(file) == 0;
}

static void read_decided(struct parent *p, const char *path)
{
    json_t *answer = json_load_file(path, 0, NULL);
    const char *log = json_string_value(json_object_get(answer, "log"));
    (void)snprintf(p->log, sizeof p->log, "%s", log != NULL ? log : "");
    p->last = (uint64_t)json_integer_value(json_object_get(answer, "last"));
    json_decref(answer);
}

enum err parent_decide(struct parent *p, unsigned n, struct errmsg *why)
{
    char socket[PATH_LEN];
    char listings[PATH_LEN];
    char answer[PATH_LEN];
    char key[PATH_LEN];
    int status = -1;
    path_of(p, "sock", socket);
    path_of(p, "listings.csv", listings);
    path_of(p, "decided.json", answer);
    (void)snprintf(key, sizeof key, "%s/fed/deciders/%012llu-1.key", p->folder,
                   (unsigned long long)city);
    const char *const args[] = {
        p->creditnode, "directive", "import", "--json", "-s",    socket,
        listings,      "--publish", "--key",  key,      "--yes", NULL};
    pid_t pid = write_listings(p, n, listings)
                    ? spawn(p->creditnode, args, STDOUT_FILENO, answer)
                    : -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        return err_set(why, ERR_IO, "no directive could be decided");
    }
    read_decided(p, answer);
    return p->last > 0 ? ERR_OK
                       : err_set(why, ERR_IO, "%s names no entry", answer);
}

enum err parent_reached(const struct parent *p, uint64_t *out,
                        struct errmsg *why)
{
    char socket[PATH_LEN];
    path_of(p, "sock", socket);
    *why = (struct errmsg){""};
    json_t *answer =
        admin_ask(socket,
                  json_pack("{s:s, s:s, s:I}", "cmd", "directive-status", "log",
                            p->log, "number", (json_int_t)p->last),
                  why);
    const json_t *reached = json_object_get(answer, "reached");
    *out = (uint64_t)json_integer_value(reached);
    enum err err = reached != NULL
                       ? ERR_OK
                       : err_set(why, ERR_IO, "it does not say who holds what");
    json_decref(answer);
    return err;
}
