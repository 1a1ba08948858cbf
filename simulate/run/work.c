#include "run/work.h"

#include <stdatomic.h>
#include <string.h>

#include "api/admin.h"
#include "base/mem.h"
#include "run/fault.h"
#include "run/loss.h"
#include "run/rows.h"
#include "run/tree.h"

enum {
    SUBJECTS_OF_LISTS = 1000000, /* first: those of records are below */
    FRESH_PERIODS = 3,
    SLACK_MS = 2000,
    POLL_MS = 10,
    PROBE_MS = 60000, /* how long a record may take to be followed */
    CHAIN_MAX = PLACES_DEPTH_MAX + 2,
    SERIES_MS = 1000,
    TRIES = 64,
    FOLLOWING_MAX = 8,
    DECIDERS = 3, /* any of them may sign first */
    PACKAGE_ASKED_MAX = 16,
};

struct position {
    char log[LOG_ID_TEXT_MAX];
    uint64_t at;
    bool fresh;
};

/* A question; the thread writes what follows `asked_ms`. */
struct ask {
    uv_work_t work;
    struct run *run;
    unsigned node;
    enum act_kind kind;
    char socket[RUN_SOCKET_MAX + 1];
    struct buf subjects; /* a line each */
    /* The first of those that one package lists, maybe under way; of a check.
     */
    char package[PACKAGE_ASKED_MAX][BENCH_CODE_LEN + 1];
    bool met[PACKAGE_ASKED_MAX]; /* it is listed */
    unsigned package_n;
    size_t decided; /* that package; SIZE_MAX: not known to be published */
    uint64_t asked_ms;
    struct position *position; /* owned */
    size_t positions;
    bool answered;
    bool person; /* the question names one */
    bool clear;  /* it holds a person's number or name in clear */
    uint64_t took_us;
};

/* Follows one record from its office to the top. */
struct probe {
    uv_work_t work;
    struct run *run;
    unsigned chain[CHAIN_MAX]; /* nodes, from the parent up */
    char socket[CHAIN_MAX][RUN_SOCKET_MAX + 1];
    unsigned n;
    struct receipt receipt;
    size_t fault; /* or SIZE_MAX: a hop is measured */
    uint64_t since_ms;
    uint64_t after_ms[CHAIN_MAX]; /* when it was there */
    unsigned reached;
    atomic_bool *stop;
};

struct work {
    struct rng rng;
    double due_ms[PROFILE_ACTS_MAX];
    unsigned under_way;
    bool probing;
    unsigned following;
    atomic_bool stop;
    uint64_t series_ms;
    uint64_t subjects; /* listed so far */
};

/* ---- questions, in a thread ---- */

static void take_positions(struct ask *a, const json_t *lists)
{
    size_t n = json_array_size(lists);
    a->position = mem_zalloc(n + 1, sizeof *a->position);
    for (size_t i = 0; i < n; i++) {
        const json_t *l = json_array_get(lists, i);
        const char *log = json_string_value(json_object_get(l, "log"));
        const char *fresh = json_string_value(json_object_get(l, "freshness"));
        if (log == NULL || fresh == NULL) {
            continue;
        }
        struct position *p = &a->position[a->positions++];
        (void)snprintf(p->log, sizeof p->log, "%s", log);
        p->at = (uint64_t)json_integer_value(json_object_get(l, "position"));
        p->fresh = strcmp(fresh, "fresh") == 0;
    }
}

static void note_met(struct ask *a, const char *who)
{
    for (unsigned i = 0; who != NULL && i < a->package_n; i++) {
        a->met[i] = a->met[i] || strcmp(who, a->package[i]) == 0;
    }
}

static void take_answer(struct ask *a, const json_t *answer)
{
    const char *type = json_string_value(json_object_get(answer, "type"));
    const char *who = json_string_value(json_object_get(answer, "subject"));
    a->clear = a->clear || persons_answered(answer);
    if (type != NULL && strcmp(type, "row") == 0) {
        note_met(a, who);
    } else if (type != NULL && a->person && strcmp(type, "error") == 0) {
        a->answered = true; /* a number is no subject to ask about */
    } else if (type != NULL && strcmp(type, "result") == 0) {
        a->answered = true;
        take_positions(a, json_object_get(answer, "lists"));
    }
}

static bool send_question(struct admin_client *client, const struct ask *a)
{
    if (a->kind == ACT_QUERY) {
        json_t *q = json_pack("{s:s, s:s#, s:i, s:b}", "cmd", "subject",
                              "subject", (const char *)a->subjects.data,
                              (size_t)BENCH_CODE_LEN, "limit", 20, "brief", 1);
        return admin_write_json(client, q) == ERR_OK;
    }
    return admin_write_json(client, json_pack("{s:s}", "cmd", "check")) ==
               ERR_OK &&
           admin_write(client, buf_slice(&a->subjects)) == ERR_OK &&
           admin_write(client, slice_of("", 0)) == ERR_OK;
}

static void on_ask(uv_work_t *work)
{
    struct ask *a = work->data;
    struct admin_client *client = NULL;
    struct errmsg why;
    json_t *answer = NULL;
    uint64_t start = uv_hrtime();
    bool more = admin_connect(&client, a->socket, &why) == ERR_OK &&
                send_question(client, a);
    while (more && admin_read(client, &answer, &why) == ERR_OK) {
        const char *type = json_string_value(json_object_get(answer, "type"));
        more = type != NULL && strcmp(type, "row") == 0;
        take_answer(a, answer);
        json_decref(answer);
    }
    admin_disconnect(&client);
    a->took_us = (uv_hrtime() - start) / 1000;
}

/* ---- what an answer must not say ---- */

static const struct position *position_of(const struct ask *a, const char *log)
{
    for (size_t i = 0; i < a->positions; i++) {
        if (strcmp(a->position[i].log, log) == 0) {
            return &a->position[i];
        }
    }
    return NULL;
}

/* An issuer that was put back may give its numbers away again, until a child
 * shows it what they were: then its log has ended. */
static bool is_settled(const struct run *run, const struct decided *d)
{
    return !loss_moves(&run->node[d->issuer]);
}

uint64_t decided_first(const struct decided *d)
{
    return d->last - d->listings;
}

enum in_force decided_in_force(const struct run *run, const struct decided *d,
                               uint64_t position)
{
    bool removing = d->ending && d->ended == 0;
    if (d->listings == 0 || position < d->last || removing ||
        !is_settled(run, d)) {
        return IN_FORCE_UNKNOWN;
    }
    return d->ended != 0 && position >= d->ended ? IN_FORCE_NO : IN_FORCE_YES;
}

void decided_judge(struct run_node *n, const struct decided *d,
                   uint64_t position, const char *subject, bool listed)
{
    enum in_force is = decided_in_force(n->run, d, position);
    if ((is == IN_FORCE_YES && !listed) || (is == IN_FORCE_NO && listed)) {
        run_broken(n->run, n, "listed",
                   "it has log %s up to %llu, and %s, listed up to %llu%s, is "
                   "on %s list",
                   d->log, (unsigned long long)position, subject,
                   (unsigned long long)d->last,
                   is == IN_FORCE_NO ? " and removed since" : "",
                   listed ? "a" : "no");
    }
}

/* Fresh means: nothing that was decided more than three periods before the
 * question is missing. */
static void check_fresh(struct ask *a)
{
    struct run *run = a->run;
    uint64_t fresh_ms = (uint64_t)run->renew_ms * FRESH_PERIODS + SLACK_MS;
    for (size_t i = 0; i < run->decided_n; i++) {
        const struct decided *d = &run->decided[i];
        const struct position *p = position_of(a, d->log);
        if (p != NULL && p->fresh && p->at < d->last && is_settled(run, d) &&
            d->acked_ms + fresh_ms < a->asked_ms) {
            run_broken(run, &run->node[a->node], "stale-as-fresh",
                       "it calls log %s fresh at %llu; %llu was decided %llu "
                       "ms before",
                       d->log, (unsigned long long)p->at,
                       (unsigned long long)d->last,
                       (unsigned long long)(a->asked_ms - d->acked_ms));
        }
    }
}

/* All that a package lists is listed, or nothing of it: also while it comes,
 * and while it is removed, which is done by one package too. */
static void check_whole(struct ask *a)
{
    unsigned met = 0;
    for (unsigned i = 0; i < a->package_n; i++) {
        met += a->met[i];
    }
    if (met != 0 && met != a->package_n) {
        run_broken(a->run, &a->run->node[a->node], "whole",
                   "of %u subjects that one package lists, %s first, it lists "
                   "%u",
                   a->package_n, a->package[0], met);
    }
}

/* A parent that says nothing new of a list is no proof that there is nothing.
 */
static void check_withheld(struct ask *a)
{
    struct run *run = a->run;
    struct run_node *n = &run->node[a->node];
    uint64_t fresh_ms = (uint64_t)run->renew_ms * FRESH_PERIODS + SLACK_MS;
    for (size_t i = 0; i < a->positions; i++) {
        const struct position *p = &a->position[i];
        uint64_t since = faults_withheld_since(n, run_origin(run, p->log));
        if (p->fresh && since != 0 && since + fresh_ms < a->asked_ms) {
            run_broken(run, n, "withheld",
                       "it calls log %s fresh, and nothing new of it came for "
                       "%llu ms",
                       p->log, (unsigned long long)(a->asked_ms - since));
        }
    }
}

static void check_listed(struct ask *a)
{
    struct run *run = a->run;
    if (a->package_n == 0 || a->decided == SIZE_MAX) {
        return;
    }
    const struct decided *d = &run->decided[a->decided];
    const struct position *p = position_of(a, d->log);
    if (p != NULL) {
        decided_judge(&run->node[a->node], d, p->at, a->package[0], a->met[0]);
    }
}

static void check_clear(struct ask *a)
{
    if (a->clear) {
        run_broken(a->run, &a->run->node[a->node], "person",
                   "it answers a person's number or name in clear");
    }
}

static void on_answer(uv_work_t *work, int status)
{
    struct ask *a = work->data;
    struct run *run = a->run;
    run->work->under_way--;
    check_clear(a);
    if (status == 0 && a->answered) {
        samples_add(&run->act_us[a->kind], a->took_us);
        check_fresh(a);
        check_withheld(a);
        check_whole(a);
        check_listed(a);
    } else {
        run->unanswered++;
    }
    buf_fini(&a->subjects);
    mem_free(a->position);
    mem_free(a);
}

/* ---- beginning an act ---- */

static void put_subject(struct buf *out, uint64_t subject)
{
    char code[BENCH_CODE_LEN + 1];
    bench_subject_code(subject, code);
    buf_put(out, code, BENCH_CODE_LEN);
    buf_put_u8(out, '\n');
}

/* A package of listings, by the seed; run->decided_n: there is none. */
static size_t pick_decided(struct run *run)
{
    size_t n = run->decided_n;
    size_t start = n > 0 ? rng_below(&run->work->rng, (uint32_t)n) : 0;
    for (size_t k = 0; k < n; k++) {
        if (run->decided[(start + k) % n].listings > 0) {
            return (start + k) % n;
        }
    }
    return n;
}

/* NULL: none is being decided just now. */
static const struct run_node *pick_deciding(struct run *run)
{
    unsigned start = rng_below(&run->work->rng, run->nodes);
    for (unsigned k = 0; k < run->nodes; k++) {
        const struct run_node *n = &run->node[(start + k) % run->nodes];
        if (n->deciding && n->ends_of == 0 && n->listings > 0) {
            return n;
        }
    }
    return NULL;
}

static void expect_package(struct ask *a, uint64_t first, uint32_t listings)
{
    for (uint32_t i = 0; i < listings && a->package_n < PACKAGE_ASKED_MAX;
         i++) {
        bench_subject_code(first + i, a->package[a->package_n++]);
        put_subject(&a->subjects, first + i);
    }
}

/* Those of a package that was published or, one time in two, of one that is
 * under way, if there is any: the answer can be judged. */
static void expect_some(struct ask *a)
{
    struct run *run = a->run;
    const struct run_node *n = pick_deciding(run);
    bool under_way = rng_one_in(&run->work->rng, 2);
    size_t i = pick_decided(run);
    a->decided = SIZE_MAX;
    if (n != NULL && under_way) {
        expect_package(a, n->first_subject, n->listings);
    } else if (i < run->decided_n) {
        a->decided = i;
        expect_package(a, run->decided[i].first_subject,
                       run->decided[i].listings);
    }
}

/* An own row about a person: the number is no subject to ask about, and must
 * not come back in clear. */
static bool ask_for_person(struct ask *a, struct run_node *n)
{
    struct bench_row row;
    const struct run *run = n->run;
    if (n->newest == 0 || !run->row[n->newest - 1].person) {
        return false;
    }
    bench_person_row_make(run->row[n->newest - 1].number, &row);
    buf_put(&a->subjects, row.code, BENCH_CODE_LEN);
    buf_put_u8(&a->subjects, '\n');
    return true;
}

static bool ask(struct run_node *n, const struct act *act)
{
    struct run *run = n->run;
    struct ask *a = MEM_NEW(struct ask);
    a->work.data = a;
    a->run = run;
    a->node = n->index;
    a->kind = act->kind;
    a->asked_ms = uv_now(&run->loop);
    (void)snprintf(a->socket, sizeof a->socket, "%s", n->socket);
    if (act->kind == ACT_CHECK) {
        expect_some(a);
    }
    a->person = act->kind == ACT_QUERY && ask_for_person(a, n);
    for (uint32_t i = 0; !a->person && i < act->rows; i++) {
        put_subject(&a->subjects, rng_below(&run->work->rng, RUN_SUBJECTS));
    }
    if (uv_queue_work(&run->loop, &a->work, on_ask, on_answer) != 0) {
        buf_fini(&a->subjects);
        mem_free(a);
        return false;
    }
    run->work->under_way++;
    return true;
}

static bool begin_import(struct run_node *n, const struct act *act)
{
    if (n->importing) {
        return false;
    }
    if (n->rows == 0) { /* else the one that was broken off is repeated */
        n->rows = n->run->conf->rows != 0 ? n->run->conf->rows : act->rows;
        n->dirty = act->dirty;
        n->again = act->again;
    }
    n->run->work->under_way++;
    node_import(n);
    return true;
}

/* A listing is decided within the country, not by it. */
static uint64_t division_of(const struct run_node *n)
{
    const struct run *run = n->run;
    return n->place.code != 0 ? n->place.code
                              : run->node[run->nodes - 1].place.code /
                                    10000000000 * 10000000000;
}

static bool write_listings(struct run_node *n, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    (void)fprintf(file, "%s\n", bench_listing_header);
    for (uint32_t i = 0; i < n->listings; i++) {
        bench_listing_put(file, n->first_subject + i, division_of(n));
    }
    return fclose(file) == 0;
}

static void decide(struct run_node *n)
{
    n->run->work->under_way++;
    n->decider = rng_below(&n->run->work->rng, DECIDERS);
    node_decide(n);
}

static bool begin_directive(struct run_node *n, const struct act *act)
{
    struct run *run = n->run;
    char path[RUN_FILE_MAX];
    if (n->deciding || n->held_back || !tree_is_issuer(&n->place)) {
        return false;
    }
    n->ends_of = 0;
    n->listings = act->rows;
    n->first_subject = SUBJECTS_OF_LISTS + run->work->subjects;
    run->work->subjects += act->rows;
    (void)snprintf(path, sizeof path, "%s/listings.csv", n->folder);
    if (!write_listings(n, path)) {
        return false;
    }
    decide(n);
    return true;
}

static bool write_removals(const struct decided *d, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    (void)fprintf(file, "移出主体统一社会信用代码,移出决定文书号,移出事由,"
                        "移出日期,移出机关,移出机关统一社会信用代码,"
                        "移出名单类型,原认定文书号\n");
    for (uint64_t s = d->first_subject; s < d->first_subject + d->listings;
         s++) {
        char code[BENCH_CODE_LEN + 1];
        bench_subject_code(s, code);
        (void)fprintf(file,
                      "%s,示例移〔2026〕%llu号,履行完毕,2026-04-01,示例法院,"
                      "11340000200000013H,失信被执行人,示例认〔2026〕%llu号\n",
                      code, (unsigned long long)s, (unsigned long long)s);
    }
    return fclose(file) == 0;
}

/* Of a directive of its own that has not been ended. */
static bool begin_removal(struct run_node *n, const struct act *act)
{
    struct run *run = n->run;
    char path[RUN_FILE_MAX];
    size_t i = pick_decided(run);
    (void)act;
    if (n->deciding || n->held_back || i == run->decided_n ||
        run->decided[i].ending || run->decided[i].issuer != n->index) {
        return false;
    }
    (void)snprintf(path, sizeof path, "%s/listings.csv", n->folder);
    if (!write_removals(&run->decided[i], path)) {
        return false;
    }
    run->decided[i].ending = true;
    n->ends_of = i + 1;
    n->listings = 0;
    decide(n);
    return true;
}

static bool begin_feedback(struct run_node *n, const struct act *act)
{
    struct run *run = n->run;
    size_t i = pick_decided(run);
    (void)act;
    if (n->reporting || i == run->decided_n || run->decided[i].ending ||
        !run_is_below(run, n->index, run->decided[i].issuer)) {
        return false;
    }
    n->report_of = i;
    run->work->under_way++;
    node_report(n);
    return true;
}

static bool (*const begins[ACTS])(struct run_node *n, const struct act *act) = {
    [ACT_IMPORT] = begin_import,
    [ACT_DIRECTIVE] = begin_directive,
    [ACT_REMOVAL] = begin_removal,
    [ACT_FEEDBACK] = begin_feedback,
    [ACT_QUERY] = ask,
    [ACT_CHECK] = ask,
};

/* Some office that can do it now; the draws follow from the seed. */
static void begin(struct run *run, const struct act *act)
{
    for (int i = 0; i < TRIES; i++) {
        struct run_node *n = &run->node[rng_below(&run->work->rng, run->nodes)];
        bool may = n->ready && n->start_ms == 0 && !n->frozen && !n->told &&
                   (act->tiers & profile_tier_bit(n->place.tier)) != 0;
        if (may && begins[act->kind](n, act)) {
            return;
        }
    }
    run->skipped++;
}

/* ---- what ends ---- */

void work_imported(struct run_node *n, int64_t status, unsigned receipts)
{
    struct run *run = n->run;
    run->work->under_way--;
    if (status != 0 && status != 3) {
        n->broken_off++;
        return;
    }
    if ((status == 3) != (n->spoiled > 0) || receipts != n->rows - n->spoiled) {
        run_broken(run, n, "bad-input",
                   "import ended with status %lld; of %u rows, %u of them "
                   "bad, %u were acknowledged",
                   (long long)status, n->rows, n->spoiled, receipts);
    }
    run->refused += n->spoiled;
    n->imports++;
    n->first_row += n->rows;
    n->rows = 0;
    samples_add(&run->act_us[ACT_IMPORT], (uv_hrtime() - n->import_ns) / 1000);
}

void work_decided(struct run_node *n, int64_t status, const char *path)
{
    struct run *run = n->run;
    json_t *answer = status == 0 ? json_load_file(path, 0, NULL) : NULL;
    const char *log = json_string_value(json_object_get(answer, "log"));
    json_int_t last = json_integer_value(json_object_get(answer, "last"));
    run->work->under_way--;
    if (log == NULL || last <= 0) {
        run->undecided++; /* whether it is in is not known */
    } else {
        if (run->decided_n == run->decided_cap) {
            run->decided_cap =
                run->decided_cap == 0 ? 64 : 2 * run->decided_cap;
            run->decided = mem_realloc(run->decided,
                                       run->decided_cap * sizeof *run->decided);
        }
        struct decided *d = &run->decided[run->decided_n++];
        *d = (struct decided){.issuer = n->index,
                              .last = (uint64_t)last,
                              .acked_ms = uv_now(&run->loop),
                              .first_subject = n->first_subject,
                              .listings = n->listings};
        (void)snprintf(d->log, sizeof d->log, "%s", log);
        if (n->ends_of != 0) {
            run->decided[n->ends_of - 1].ended = d->last;
            run->removals++;
        }
        samples_add(&run->act_us[n->ends_of != 0 ? ACT_REMOVAL : ACT_DIRECTIVE],
                    (uv_hrtime() - n->decide_ns) / 1000);
    }
    json_decref(answer);
}

void work_reported(struct run_node *n, int64_t status)
{
    struct run *run = n->run;
    run->work->under_way--;
    if (status != 0) {
        run->unreported++; /* the list may not have come yet */
        return;
    }
    if (run->effects_n == run->effects_cap) {
        run->effects_cap = run->effects_cap == 0 ? 64 : 2 * run->effects_cap;
        run->effect =
            mem_realloc(run->effect, run->effects_cap * sizeof *run->effect);
    }
    run->effect[run->effects_n++] =
        (struct effect){.office = n->index, .decided = n->report_of};
    samples_add(&run->act_us[ACT_FEEDBACK],
                (uv_hrtime() - n->report_ns) / 1000);
}

/* ---- following a record ---- */

static bool is_there(struct probe *p, unsigned at)
{
    struct errmsg why;
    uint64_t start_ms = uv_hrtime() / 1000000;
    while (!atomic_load(p->stop) &&
           uv_hrtime() / 1000000 - start_ms < PROBE_MS) {
        if (receipt_holds(p->socket[at], &p->receipt, &why)) {
            return true;
        }
        uv_sleep(POLL_MS);
    }
    return false;
}

static void on_probe(uv_work_t *work)
{
    struct probe *p = work->data;
    uint64_t start = uv_hrtime();
    while (p->reached < p->n && is_there(p, p->reached)) {
        p->after_ms[p->reached++] = (uv_hrtime() - start) / 1000000;
    }
}

static void on_probed(uv_work_t *work, int status)
{
    struct probe *p = work->data;
    struct run *run = p->run;
    uint64_t before = 0;
    (void)status;
    for (unsigned i = 0; i < p->reached && p->fault == SIZE_MAX; i++) {
        const struct place *from = &run->node[p->chain[i]].place;
        samples_add(&run->hop_ms[profile_tier_index(from->tier)],
                    p->after_ms[i] - before);
        before = p->after_ms[i];
    }
    if (p->fault == SIZE_MAX) {
        run->work->probing = false;
        if (p->reached == p->n && p->n > 0) {
            samples_add(&run->top_ms, before);
        }
    } else {
        run->work->following--;
        if (p->reached == p->n) {
            run->fault[p->fault].equal_ms = uv_now(&run->loop);
        }
    }
    mem_free(p);
}

/* False: nothing to follow. */
static bool start_probe(struct run *run, unsigned node, size_t fault)
{
    const struct run_node *n = &run->node[node];
    if (n->newest == 0 || n->place.parent < 0) {
        return false;
    }
    struct probe *p = MEM_NEW(struct probe);
    p->work.data = p;
    p->run = run;
    p->receipt = run->acked[n->newest - 1];
    p->fault = fault;
    p->stop = &run->work->stop;
    for (int at = n->place.parent; at >= 0 && p->n < CHAIN_MAX;
         at = run->node[at].place.parent) {
        p->chain[p->n] = (unsigned)at;
        (void)snprintf(p->socket[p->n++], sizeof p->socket[0], "%s",
                       run->node[at].socket);
    }
    bool good = uv_queue_work(&run->loop, &p->work, on_probe, on_probed) == 0;
    if (!good) {
        mem_free(p);
    }
    return good;
}

void work_follow(struct run *run, size_t fault)
{
    struct run_fault *e = &run->fault[fault];
    if (run->work->following == FOLLOWING_MAX) {
        return; /* not measured */
    }
    if (start_probe(run, e->node, fault)) {
        run->work->following++;
    } else {
        e->equal_ms = uv_now(&run->loop);
    }
}

void work_acked(struct run_node *n)
{
    struct work *work = n->run->work;
    if (!work->probing && n->run->phase == RUN_WORKING) {
        work->probing = start_probe(n->run, n->index, SIZE_MAX);
    }
}

/* ---- the course ---- */

static double gap_ms(struct run *run, const struct act *act)
{
    double mean = 60000.0 / act->per_minute;
    return mean * (0.5 + rng_below(&run->work->rng, 1000) / 1000.0);
}

void work_start(struct run *run)
{
    const struct profile *profile = run->conf->profile;
    run->work = MEM_NEW(struct work);
    atomic_init(&run->work->stop, false);
    run->work->rng.state = rng_mix(run->conf->seed + 2);
    for (unsigned i = 0; i < profile->acts; i++) {
        run->work->due_ms[i] =
            (double)uv_now(&run->loop) + gap_ms(run, &profile->act[i]) / 4;
    }
}

static void keep_series(struct run *run)
{
    uint64_t now = uv_now(&run->loop);
    if (now < run->work->series_ms) {
        return;
    }
    run->work->series_ms = now + SERIES_MS;
    unsigned ready = 0;
    for (unsigned i = 0; i < run->nodes; i++) {
        ready += run->node[i].ready;
    }
    if (run->seconds_n == run->seconds_cap) {
        run->seconds_cap = run->seconds_cap == 0 ? 128 : 2 * run->seconds_cap;
        run->second =
            mem_realloc(run->second, run->seconds_cap * sizeof *run->second);
    }
    run->second[run->seconds_n++] =
        (struct run_second){now, run->acked_n, run->decided_n, ready};
}

void work_go_on(struct run *run)
{
    const struct profile *profile = run->conf->profile;
    double now = (double)uv_now(&run->loop);
    keep_series(run);
    if (run->conf->seconds == 0) {
        return; /* whoever looks on does the work */
    }
    for (unsigned i = 0; i < profile->acts; i++) {
        double *due = &run->work->due_ms[i];
        /* Behind the bound nothing is caught up: a rush would follow. */
        if (*due <= now && run->work->under_way < profile->at_once) {
            begin(run, &profile->act[i]);
            *due += gap_ms(run, &profile->act[i]);
            *due = *due < now - 1000 ? now : *due;
        }
    }
}

bool work_finish(struct run *run)
{
    for (unsigned i = 0; i < run->nodes; i++) {
        struct run_node *n = &run->node[i];
        bool left = n->rows != 0 && !n->importing && n->ready;
        if (left && run->work->under_way < run->conf->profile->at_once) {
            run->work->under_way++;
            node_import(n);
        }
    }
    return run->work->under_way == 0;
}

void work_stop(struct run *run)
{
    if (run->work != NULL) {
        atomic_store(&run->work->stop, true);
    }
}

void work_free(struct run *run)
{
    mem_free(run->work);
    run->work = NULL;
}
