/* Looking each row up at each holder by itself takes a connection each time,
 * which is minutes after a long run. So the records of a subject are asked for
 * together, of several nodes at a time; whatever such an answer does not show
 * just where it was acknowledged is looked up by itself, and judged by that. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/admin.h"
#include "base/mem.h"
#include "run/loss.h"
#include "run/rows.h"
#include "run/run.h"

enum {
    THREADS = 3, /* a node answers eight calls at a time */
    PAGE = 1000, /* records */
    SHOW_MS = 100,
};

/* ---- one row, by itself ---- */

/* As it is shown, and nobody in clear. */
static bool holds(const struct run *run, size_t i, unsigned at, bool *clear,
                  struct errmsg *why)
{
    const char *socket = run->node[at].socket;
    return run->row[i].person
               ? receipt_holds_person(socket, &run->acked[i], clear, why)
               : receipt_holds(socket, &run->acked[i], why);
}

/* Nobody may ask for a person's records by the number: these are not judged. */
static bool holds_somehow(const struct run *run, size_t i, unsigned at)
{
    char subject[BENCH_CODE_LEN + 1];
    if (run->row[i].person) {
        return true;
    }
    bench_subject_code(bench_row_subject(run->row[i].number, RUN_SUBJECTS),
                       subject);
    return receipt_holds_key(run->node[at].socket, subject, &run->acked[i]);
}

/* At its office and at every ancestor: under its number or, if the office's
 * store is not what it was, under its key. */
static void check_receipt(struct run *run, size_t i)
{
    const struct receipt *r = &run->acked[i];
    unsigned office = run->row[i].office;
    bool moves = loss_moves(&run->node[office]);
    unsigned held = 0;
    int lacks = -1;
    struct errmsg why = {""};
    for (int at = (int)office; at >= 0; at = run->node[at].place.parent) {
        struct errmsg here;
        bool clear = false;
        if (holds(run, i, (unsigned)at, &clear, &here) ||
            (moves && holds_somehow(run, i, (unsigned)at))) {
            held++;
        } else if (lacks < 0) {
            lacks = at;
            why = here;
        }
    }
    if (lacks >= 0 && held == 0 && loss_excuses(run, i)) {
        run->excused++;
    } else if (lacks >= 0 && !(held > 0 && loss_forks(run, office))) {
        run_broken(run, &run->node[lacks], "acknowledged",
                   "record %s, number %llu of %s: %s", r->key,
                   (unsigned long long)r->number, r->log, why.text);
    }
}

/* ---- all rows, node by node ---- */

/* A record as a node shows it. */
struct shown {
    char key[RECEIPT_KEY_HEX + 1];
    char log[LOG_ID_TEXT_MAX];
    uint64_t number;
    uint64_t version;
};
struct shown_all {
    struct shown *at; /* owned */
    size_t n;
    size_t cap;
};

/* Of a row: it is to be looked up by itself. Several nodes may lack it. */
struct missing {
    atomic_bool is;
};

struct looking {
    struct run *run;
    const uint64_t *entered;  /* run->entered, rising */
    const size_t *by_subject; /* rows that were acknowledged; persons last */
    struct missing *missing;  /* one a row */
    atomic_uint next;         /* node */
    atomic_uint done;         /* nodes */
    atomic_uint working;      /* threads */
    atomic_bool found; /* something does not hold: the rest is not asked */
};

struct looker {
    struct looking *all;
    uv_thread_t thread;
    struct shown_all shown;
    /* What was found: */
    const char *invariant; /* NULL: nothing */
    unsigned node;
    char text[160];
};

static uint64_t subject_of(const struct run *run, size_t i)
{
    return run->row[i].person
               ? RUN_SUBJECTS
               : bench_row_subject(run->row[i].number, RUN_SUBJECTS);
}

static void add_shown(struct shown_all *s, const json_t *record)
{
    const char *key = json_string_value(json_object_get(record, "record_key"));
    const char *log = json_string_value(json_object_get(record, "log"));
    if (key == NULL || log == NULL) {
        return;
    }
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 128 : 2 * s->cap;
        s->at = mem_realloc(s->at, s->cap * sizeof *s->at);
    }
    struct shown *to = &s->at[s->n++];
    (void)snprintf(to->key, sizeof to->key, "%s", key);
    (void)snprintf(to->log, sizeof to->log, "%s", log);
    to->number =
        (uint64_t)json_integer_value(json_object_get(record, "number"));
    to->version =
        (uint64_t)json_integer_value(json_object_get(record, "version"));
}

/* All that the node holds of the subject, entries read; nothing of persons, who
 * are no subjects to ask about. What is not answered is looked up by itself. */
static void ask_subject(const struct run_node *n, uint64_t subject,
                        struct shown_all *out)
{
    char code[BENCH_CODE_LEN + 1];
    char after[128] = "";
    bool more = subject < RUN_SUBJECTS;
    bench_subject_code(subject, code);
    out->n = 0;
    while (more) {
        struct errmsg why;
        size_t i;
        json_t *record;
        json_t *question = json_pack("{s:s, s:s, s:i}", "cmd", "subject",
                                     "subject", code, "limit", PAGE);
        if (after[0] != '\0') {
            (void)json_object_set_new(question, "after", json_string(after));
        }
        json_t *answer = admin_ask(n->socket, question, &why);
        const char *next = json_string_value(json_object_get(answer, "next"));
        json_array_foreach(json_object_get(answer, "records"), i, record)
        {
            add_shown(out, record);
        }
        more = next != NULL && strlen(next) < sizeof after;
        (void)snprintf(after, sizeof after, "%s", more ? next : "");
        json_decref(answer);
    }
}

static void found(struct looker *l, unsigned node, const char *invariant,
                  const char *text)
{
    if (l->invariant == NULL) {
        l->invariant = invariant;
        l->node = node;
        (void)snprintf(l->text, sizeof l->text, "%s", text);
    }
    atomic_store(&l->all->found, true);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* How many contents of that row were entered. */
static uint64_t contents(const struct looking *all, uint64_t number)
{
    const struct run *run = all->run;
    size_t from = 0;
    size_t to = run->entered_n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (all->entered[mid] < number) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    uint64_t n = 0;
    while (from + n < run->entered_n && all->entered[from + n] == number) {
        n++;
    }
    return n;
}

/* A record that was appended a second time is a version that nobody entered.
 * Processes that run twice set the same rows aside, each for itself. */
static void check_once(struct looker *l, unsigned at, size_t i,
                       const struct shown *shown)
{
    const struct run *run = l->all->run;
    uint64_t most = contents(l->all, run->row[i].number);
    if (shown->version > most && !loss_forks(run, run->row[i].office)) {
        char text[160];
        (void)snprintf(text, sizeof text,
                       "record %s has version %llu, and was entered %llu times",
                       shown->key, (unsigned long long)shown->version,
                       (unsigned long long)most);
        found(l, at, "once", text);
    }
}

static const struct shown *find_shown(const struct shown_all *s,
                                      const char *key)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->at[i].key, key) == 0) {
            return &s->at[i];
        }
    }
    return NULL;
}

/* An earlier version is behind the one that is shown. */
static void look_at(struct looker *l, unsigned at, size_t i)
{
    const struct run *run = l->all->run;
    const struct receipt *r = &run->acked[i];
    const struct shown *shown = find_shown(&l->shown, r->key);
    bool held = shown != NULL && shown->number == r->number &&
                strcmp(shown->log, r->log) == 0;
    bool clear = false;
    struct errmsg why;
    if (shown != NULL) {
        check_once(l, at, i, shown);
    }
    if (!held && !holds(run, i, at, &clear, &why)) {
        atomic_store(&l->all->missing[i].is, true);
    }
    if (clear) {
        found(l, at, "person", "it answers a record of a person in clear");
    }
}

/* Those of the node's area, subject after subject. */
static void look_at_node(struct looker *l, unsigned at)
{
    struct looking *all = l->all;
    const struct run *run = all->run;
    uint64_t asked = UINT64_MAX;
    for (size_t k = 0; k < run->acked_n && !atomic_load(&all->found); k++) {
        size_t i = all->by_subject[k];
        uint64_t subject = subject_of(run, i);
        if (!run_is_below(run, run->row[i].office, at)) {
            continue;
        }
        if (subject != asked) {
            asked = subject;
            ask_subject(&run->node[at], subject, &l->shown);
        }
        look_at(l, at, i);
    }
}

static void on_looker(void *of)
{
    struct looker *l = of;
    struct looking *all = l->all;
    unsigned at;
    while ((at = atomic_fetch_add(&all->next, 1)) < all->run->nodes) {
        look_at_node(l, at);
        atomic_fetch_add(&all->done, 1);
    }
    atomic_fetch_sub(&all->working, 1);
}

/* uv_thread_create() may fail: one is always there, this one. */
static void look_everywhere(struct looking *all, struct looker *looker)
{
    bool started[THREADS] = {false};
    for (int t = 0; t < THREADS; t++) {
        looker[t].all = all;
        atomic_fetch_add(&all->working, 1);
        started[t] =
            uv_thread_create(&looker[t].thread, on_looker, &looker[t]) == 0;
        if (!started[t]) {
            on_looker(&looker[t]);
        }
    }
    while (atomic_load(&all->working) > 0) {
        run_progress(all->run, "nodes asked for what was acknowledged",
                     atomic_load(&all->done));
        uv_sleep(SHOW_MS);
    }
    for (int t = 0; t < THREADS; t++) {
        if (started[t]) {
            (void)uv_thread_join(&looker[t].thread);
        }
    }
}

/* ---- in order of subjects ---- */

struct keyed {
    uint64_t subject;
    size_t row;
};

static int by_subject(const void *a, const void *b)
{
    const struct keyed *x = a;
    const struct keyed *y = b;
    return x->subject != y->subject ? (x->subject < y->subject ? -1 : 1)
                                    : (x->row < y->row ? -1 : 1);
}

static size_t *sort_rows(const struct run *run)
{
    struct keyed *keyed = mem_zalloc(run->acked_n + 1, sizeof *keyed);
    size_t *rows = mem_zalloc(run->acked_n + 1, sizeof *rows);
    for (size_t i = 0; i < run->acked_n; i++) {
        keyed[i] = (struct keyed){subject_of(run, i), i};
    }
    qsort(keyed, run->acked_n, sizeof *keyed, by_subject);
    for (size_t i = 0; i < run->acked_n; i++) {
        rows[i] = keyed[i].row;
    }
    mem_free(keyed);
    return rows;
}

/* ---- all ---- */

void check_acked(struct run *run)
{
    size_t *rows = sort_rows(run);
    struct missing *missing = mem_zalloc(run->acked_n + 1, sizeof *missing);
    struct looker looker[THREADS] = {{0}};
    if (run->entered_n > 0) {
        qsort(run->entered, run->entered_n, sizeof *run->entered, by_number);
    }
    struct looking all = {.run = run,
                          .entered = run->entered,
                          .by_subject = rows,
                          .missing = missing};
    look_everywhere(&all, looker);
    for (int t = 0; t < THREADS; t++) {
        if (looker[t].invariant != NULL) {
            run_broken(run, &run->node[looker[t].node], looker[t].invariant,
                       "%s", looker[t].text);
        }
        mem_free(looker[t].shown.at);
    }
    for (size_t i = 0; i < run->acked_n && run->invariant == NULL; i++) {
        if (atomic_load(&missing[i].is)) {
            check_receipt(run, i);
        }
    }
    mem_free(missing);
    mem_free(rows);
}
