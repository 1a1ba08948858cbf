/* What nodes answer, and the roots that they tell, is one thing; this looks at
 * what they have written. */
#include <string.h>

#include "run/loss.h"
#include "run/once.h"
#include "run/run.h"
#include "run/stored.h"

enum { LOOK_EVERY = 16384 }; /* entries between two looks at the clock */

struct walk {
    struct run *run;
    struct run_node *node; /* whose store it is */
    struct stored *stored;
    struct once *once;
    uint64_t until_ns; /* uv_hrtime() at which it ends */
    uint64_t entries;  /* read, each time that it was */
    bool late;
    bool crowded; /* more than struct once takes */
};

static bool ended(const struct walk *w)
{
    return w->late || w->run->invariant != NULL;
}

static bool on_entry(void *ctx, const struct log_id *log, uint64_t number,
                     struct slice entry)
{
    struct walk *w = ctx;
    w->late = w->entries++ % LOOK_EVERY == 0 && uv_hrtime() > w->until_ns;
    w->crowded = entry.data != NULL && !once_put(w->once, log, number, entry);
    return !w->late && !w->crowded;
}

/* Hashed the first time. */
static void walk_log(struct walk *w, const struct stored_log *log, bool first)
{
    char name[LOG_ID_TEXT_MAX];
    struct errmsg why = {""};
    enum err err =
        stored_read(w->stored, log, w->run->suite, first, on_entry, w, &why);
    log_id_format(&log->log, name);
    if (w->crowded) {
        run_broken(w->run, w->node, "once",
                   "too many keys of records of %s begin with the same bits",
                   name);
    } else if (err != ERR_OK && err != ERR_CANCELLED) {
        run_broken(w->run, w->node, "converged",
                   "log %s of %llu entries, as it is stored: %.120s", name,
                   (unsigned long long)log->size, why.text);
    } else if (err == ERR_OK && first) {
        w->run->walked_logs++;
        w->run->walked_entries += log->size;
    }
}

/* Records are compared over all incarnations: what was set aside goes on in the
 * next one under its key. A package that did not come back is published again
 * there under the same id. */
static bool belong(const struct log_id *a, const struct log_id *b)
{
    return a->origin == b->origin && a->kind == b->kind &&
           (a->kind == LOG_RECORDS || a->incarnation == b->incarnation);
}

static void walk_together(struct walk *w, const struct stored_log *log,
                          size_t n)
{
    const struct run_node *origin =
        &w->run->node[run_place(w->run, log->log.origin)];
    uint64_t entries = 0;
    for (size_t i = 0; i < n; i++) {
        entries += log[i].size;
    }
    unsigned parts = once_parts(entries);
    for (unsigned part = 0; part < parts && !ended(w); part++) {
        char text[ONCE_TEXT];
        once_begin(w->once, part, parts);
        for (size_t i = 0; i < n && !ended(w); i++) {
            walk_log(w, &log[i], part == 0);
        }
        if (!ended(w) && !once_judge(w->once, 1 + loss_clones(origin), text)) {
            run_broken(w->run, w->node, "once", "%s", text);
        }
    }
}

static void walk_store(struct walk *w)
{
    size_t n;
    size_t to;
    const struct stored_log *log = stored_logs(w->stored, &n);
    for (size_t from = 0; from < n && !ended(w); from = to) {
        to = from + 1;
        while (to < n && belong(&log[from].log, &log[to].log)) {
            to++;
        }
        walk_together(w, &log[from], to - from);
    }
}

/* From the top, which holds the most. */
void check_stores(struct run *run, uint64_t patience_ms)
{
    struct walk w = {.run = run,
                     .once = once_new(),
                     .until_ns = uv_hrtime() + patience_ms * 1000000};
    run->unwalked = run->nodes;
    for (unsigned i = 0; i < run->nodes && !ended(&w); i++) {
        char path[RUN_FILE_MAX];
        struct errmsg why = {""};
        w.node = &run->node[i];
        (void)snprintf(path, sizeof path, "%s/data/store", w.node->folder);
        if (stored_open(&w.stored, path, &why) == ERR_OK) {
            walk_store(&w);
        } else {
            run_broken(run, w.node, "converged",
                       "its store cannot be read: %.160s", why.text);
        }
        stored_close(&w.stored);
        run->unwalked -= !w.late;
        run_progress(run, "stores read", i);
    }
    once_free(&w.once);
}
