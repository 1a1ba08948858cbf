#include "crowd/crowd.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "crowd/child.h"

enum {
    SECOND = 1000,
    AGAIN_MS = 200, /* before a lost child dials anew */
    BUSY_MS = 50,   /* in a second: the parent has come to rest */
    RESTS_S = 10,
    DESCRIPTORS_MORE = 256,
};

struct crowd {
    const struct crowd_conf *conf;
    struct crowd_report *report;
    struct parent parent;
    struct children *children;
    int64_t until_ms; /* patience ends; of one phase */
};

static int64_t left(const struct crowd *c)
{
    int64_t ms = c->until_ms - clock_mono_ms();
    return ms > 0 ? ms : 0;
}

static void begin(struct crowd *c)
{
    c->until_ms = clock_mono_ms() + (int64_t)c->conf->patience_s * SECOND;
}

/* Why a wait failed. */
static enum err failed(const struct crowd *c, const char *what,
                       struct errmsg *why)
{
    struct children *all = c->children;
    (void)pthread_mutex_lock(&all->lock);
    enum err err =
        all->fault[0] != '\0'
            ? err_set(why, ERR_CONFLICT, "%s", all->fault)
            : err_set(why, ERR_TIMEOUT,
                      "%s: not within %u s (joined %llu, acknowledged %llu, "
                      "entries of lists %llu)",
                      what, c->conf->patience_s,
                      (unsigned long long)all->joined,
                      (unsigned long long)all->acked,
                      (unsigned long long)all->followed);
    (void)pthread_mutex_unlock(&all->lock);
    return err;
}

static double seconds_since(int64_t from_ms)
{
    return (double)(clock_mono_ms() - from_ms) / SECOND;
}

static uint64_t cpu_since(const struct crowd *c, uint64_t before)
{
    return parent_usage(&c->parent).cpu_ms - before;
}

/* ---- phases ---- */

/* Those that were lost come again, without haste. */
static bool dial_lost(struct crowd *c)
{
    unsigned i;
    while (child_lost(c->children, &i)) {
        clock_sleep(AGAIN_MS);
        if (!children_room(c->children, c->conf->at_once, left(c))) {
            return false;
        }
        child_dial(c->children, i);
        c->report->again++;
    }
    return true;
}

static bool all_joined(struct crowd *c)
{
    while (left(c) > 0 && dial_lost(c)) {
        if (children_wait(c->children, &c->children->joined, c->conf->children,
                          left(c) < SECOND ? left(c) : SECOND)) {
            return true;
        }
    }
    return false;
}

static enum err join(struct crowd *c, struct errmsg *why)
{
    struct crowd_report *r = c->report;
    int64_t from = clock_mono_ms();
    begin(c);
    for (unsigned i = 0; i < c->conf->children; i++) {
        if (!children_room(c->children, c->conf->at_once, left(c))) {
            return failed(c, "joining", why);
        }
        child_dial(c->children, i);
    }
    if (!all_joined(c)) {
        return failed(c, "joining", why);
    }
    r->join_s = seconds_since(from);
    parent_rest(&c->parent, BUSY_MS, RESTS_S);
    r->joined = parent_usage(&c->parent);
    r->join_ms = r->joined.cpu_ms - r->alone.cpu_ms;
    children_bytes(c->children, &r->up, &r->down);
    return ERR_OK;
}

/* A round: one record of each. */
static enum err say_records(struct crowd *c, struct errmsg *why)
{
    uint64_t before = parent_usage(&c->parent).cpu_ms;
    int64_t from = clock_mono_ms();
    begin(c);
    for (unsigned round = 1; round <= c->conf->records; round++) {
        for (unsigned i = 0; i < c->conf->children; i++) {
            child_say_record(c->children, i);
        }
        if (!children_wait(c->children, &c->children->acked,
                           (uint64_t)c->conf->children * (round + 1),
                           left(c))) {
            return failed(c, "records", why);
        }
    }
    c->report->records_s = seconds_since(from);
    parent_rest(&c->parent, BUSY_MS, RESTS_S);
    c->report->records_ms = cpu_since(c, before);
    return ERR_OK;
}

/* One directive, in a package of its own, until the last child has it. */
static enum err decide_one(struct crowd *c, struct errmsg *why)
{
    int64_t from = clock_mono_ms();
    enum err err = parent_decide(&c->parent, 1, why);
    if (err != ERR_OK) {
        return err;
    }
    if (!children_wait(c->children, &c->children->followed,
                       c->conf->children * c->parent.last, left(c))) {
        return failed(c, "directives", why);
    }
    double s = seconds_since(from);
    c->report->directive_s =
        s > c->report->directive_s ? s : c->report->directive_s;
    return ERR_OK;
}

/* `*cpu_ms`: what it took the parent. */
static enum err know_receipts(struct crowd *c, uint64_t *cpu_ms,
                              struct errmsg *why)
{
    uint64_t reached = 0;
    uint64_t before = parent_usage(&c->parent).cpu_ms;
    for (unsigned i = 0; i < c->conf->children; i++) {
        child_say_receipt(c->children, i);
    }
    enum err err;
    while ((err = parent_reached(&c->parent, &reached, why)) == ERR_OK &&
           reached < c->conf->children + 1) {
        if (left(c) == 0) {
            return err_set(why, ERR_TIMEOUT,
                           "of %u nodes the parent knows that %llu hold its "
                           "lists",
                           c->conf->children + 1, (unsigned long long)reached);
        }
        clock_sleep(SECOND / 4);
    }
    *cpu_ms = cpu_since(c, before);
    return err;
}

/* The first one opens the log, and each child's first receipt has its
 * certificates checked: apart from what follows. */
static enum err decide_first(struct crowd *c, struct errmsg *why)
{
    enum err err = decide_one(c, why);
    c->report->directive_s = 0;
    parent_rest(&c->parent, BUSY_MS, RESTS_S);
    return err == ERR_OK ? know_receipts(c, &c->report->first_receipts_ms, why)
                         : err;
}

static enum err decide(struct crowd *c, struct errmsg *why)
{
    if (c->conf->directives == 0) {
        return ERR_OK;
    }
    begin(c);
    enum err err = decide_first(c, why);
    parent_rest(&c->parent, BUSY_MS, RESTS_S);
    uint64_t before = parent_usage(&c->parent).cpu_ms;
    for (unsigned i = 0; i < c->conf->directives && err == ERR_OK; i++) {
        err = decide_one(c, why);
    }
    parent_rest(&c->parent, BUSY_MS, RESTS_S);
    c->report->directives_ms = cpu_since(c, before);
    return err == ERR_OK ? know_receipts(c, &c->report->receipts_ms, why) : err;
}

static enum err rest(struct crowd *c, struct errmsg *why)
{
    uint64_t never = 0;
    uint64_t before = parent_usage(&c->parent).cpu_ms;
    if (c->conf->quiet_s > 0) {
        (void)children_wait(c->children, &never, 1,
                            (int64_t)c->conf->quiet_s * SECOND);
    }
    c->report->quiet_ms = cpu_since(c, before);
    c->report->end = parent_usage(&c->parent);
    c->report->heads = c->children->heads;
    return c->children->fault[0] == '\0' ? ERR_OK : failed(c, "quiet", why);
}

/* ---- the course ---- */

/* A connection takes a descriptor here and one there. */
static enum err descriptors(const struct crowd_conf *conf, struct errmsg *why)
{
    struct rlimit limit = {0};
    rlim_t wanted = (rlim_t)conf->children + DESCRIPTORS_MORE;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < wanted) {
        return err_set(why, ERR_CONF,
                       "%llu descriptors are allowed, %llu are needed: "
                       "ulimit -Hn",
                       (unsigned long long)limit.rlim_max,
                       (unsigned long long)wanted);
    }
    return ERR_OK;
}

static enum err run_phases(struct crowd *c, struct errmsg *why)
{
    static const struct {
        const char *name;
        enum err (*fn)(struct crowd *c, struct errmsg *why);
    } phases[] = {{"join", join},
                  {"records", say_records},
                  {"directives", decide},
                  {"quiet", rest}};
    enum err err = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(phases) && err == ERR_OK; i++) {
        (void)fprintf(stderr, "crowd of %u: %s\n", c->conf->children,
                      phases[i].name);
        err = phases[i].fn(c, why);
    }
    return err;
}

static enum err run_with_parent(struct crowd *c, struct errmsg *why)
{
    const struct children_conf children = {.folder = c->conf->folder,
                                           .place = c->parent.place,
                                           .n = c->conf->children,
                                           .records = c->conf->records};
    enum err err = children_open(&c->children, &children, why);
    if (err != ERR_OK) {
        return err;
    }
    begin(c);
    err = parent_start(&c->parent, left(c), why);
    if (err == ERR_OK) {
        c->children->port = c->parent.port;
        (void)snprintf(c->children->address, sizeof c->children->address,
                       "127.0.0.1:%u", c->parent.port);
        parent_rest(&c->parent, BUSY_MS, RESTS_S);
        c->report->alone = parent_usage(&c->parent);
        err = run_phases(c, why);
    }
    struct errmsg ended;
    begin(c);
    children_close(&c->children);
    enum err end = parent_stop(&c->parent, left(c), &ended);
    if (err == ERR_OK && end != ERR_OK) {
        *why = ended;
    }
    return err != ERR_OK ? err : end;
}

enum err crowd_run(const struct crowd_conf *conf, struct crowd_report *out,
                   struct errmsg *why)
{
    struct crowd c = {.conf = conf,
                      .report = out,
                      .parent = {.creditnode = conf->creditnode,
                                 .source = conf->source,
                                 .folder = conf->folder,
                                 .set_n = conf->set_n}};
    for (unsigned i = 0; i < conf->set_n; i++) {
        c.parent.set[i] = conf->set[i];
    }
    *out = (struct crowd_report){0};
    enum err err = descriptors(conf, why);
    if (err == ERR_OK) {
        parent_places(&c.parent, conf->children);
        (void)fprintf(stderr, "crowd of %u: certificates\n", conf->children);
        err = parent_make(&c.parent, why);
    }
    if (err == ERR_OK) {
        err = run_with_parent(&c, why);
    }
    parent_free(&c.parent);
    return err;
}
