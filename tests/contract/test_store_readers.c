/* Readers against changes: 1,000 readers check many subjects at a time while
 * 10,000 decisions come in packages. A view shows each package as a whole or
 * not at all, and just the packages that it says it shows, however long it is
 * held and whatever is written or indexed anew meanwhile. */
#include <semaphore.h>
#include <stdatomic.h>

#include "contract/lists_fixture.h"

#include "credit/uscc.h"

/* Sanitizers show races and faults; the numbers are the release build's. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { READERS = 200, PACKAGES = 50 };
#else
enum { READERS = 1000, PACKAGES = 250 };
#endif
enum {
    GROUPS = 8,    /* of subjects; package k is about group k % GROUPS */
    SUBJECTS = 40, /* of a group */
    TURNS = 80,    /* of so many readers one goes on with a change of the log */
    STEP = SUBJECTS + 2, /* entries of a package with its begin and end */
    READER_STACK = 512 << 10,
};
_Static_assert(PACKAGES *SUBJECTS == 10 * READERS, "changes");

static char subjects[GROUPS][SUBJECTS][USCC_LEN + 1];

static void name_subjects(void)
{
    for (unsigned i = 0; i < GROUPS * SUBJECTS; i++) {
        char body[16];
        (void)snprintf(body, sizeof body, "MA%06u", i);
        assert_true(uscc_make('9', '1', "999900", body,
                              subjects[i / SUBJECTS][i % SUBJECTS]));
    }
}

/* ---- what is decided ---- */

/* A group is listed, its listings are corrected, they are removed, and so on:
 * every package changes what is said of every subject of its group. */
static const uint8_t turns[] = {ENTRY_LISTING, ENTRY_CORRECTION, ENTRY_REMOVAL};

/* What readers ask is in memory whatever the backend; a server only makes each
 * package slower. There it is a fifth of them. */
static unsigned packages_to_come(void)
{
    return on_mariadb() ? PACKAGES / 5 : PACKAGES;
}

static uint8_t turn_of(unsigned package)
{
    return turns[package / GROUPS % ARRAY_LEN(turns)];
}

/* Entry 1 opens the log, package 0 begins with entry 2. */
static uint64_t entry_of(unsigned package, unsigned subject)
{
    return 2 + (uint64_t)package * STEP + 1 + subject;
}

static uint64_t end_of(unsigned package)
{
    return 1 + (package + 1ULL) * STEP;
}

/* The entry that listed the subject which package `package` is about. */
static uint64_t listing_of(unsigned package, unsigned subject)
{
    unsigned turn = package / GROUPS % ARRAY_LEN(turns);
    return entry_of(package - turn * GROUPS, subject);
}

static void decide_next(struct node *issuer, unsigned package,
                        struct log_id *log)
{
    struct decision d[SUBJECTS];
    uint8_t turn = turn_of(package);
    for (unsigned i = 0; i < SUBJECTS; i++) {
        d[i] = (struct decision){.type = turn,
                                 .subject = subjects[package % GROUPS][i],
                                 .from = 20260301};
        if (turn != ENTRY_LISTING) {
            d[i].target = (struct listing_place){*log, listing_of(package, i)};
        }
    }
    struct published p = decide(issuer, d, SUBJECTS);
    assert_int_equal(p.last, end_of(package));
    *log = p.log;
}

/* What is to be read of a subject where the first `packages` count. */
struct said {
    size_t n; /* listings in force */
    uint64_t number;
    uint64_t text;
};

static struct said to_be_said(unsigned packages, unsigned group, unsigned i)
{
    struct said none = {.n = 0};
    if (packages <= group) {
        return none;
    }
    unsigned newest = group + (packages - 1 - group) / GROUPS * GROUPS;
    if (turn_of(newest) == ENTRY_REMOVAL) {
        return none;
    }
    return (struct said){1, listing_of(newest, i), entry_of(newest, i)};
}

/* ---- readers ---- */

struct field {
    struct node *node;
    pthread_barrier_t within; /* all readers are in the middle of a check */
    pthread_barrier_t further;
    _Atomic bool over;
};

struct reader_thread {
    struct field *field;
    pthread_t thread;
    sem_t again;
    unsigned nth;
    uint64_t checks;
    uint64_t crossed; /* checks during which a package took effect */
    char fault[160];  /* "": none */
};

static void PRINTF_LIKE(2, 3)
    set_fault(struct reader_thread *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (r->fault[0] == '\0') {
        (void)vsnprintf(r->fault, sizeof r->fault, fmt, ap);
    }
    va_end(ap);
}

static uint64_t visible_in(const struct lists_view *view)
{
    return view->n > 0 ? view->logs[0].visible : 0;
}

/* How many packages the view shows. */
static unsigned packages_in(struct reader_thread *r,
                            const struct lists_view *view)
{
    uint64_t visible = visible_in(view);
    uint64_t packages = visible / STEP;
    if (view->n > 1 || (visible != 0 && visible != packages * STEP + 1)) {
        set_fault(r, "the view of %zu logs ends at %llu, within a package",
                  view->n, (unsigned long long)visible);
    }
    return (unsigned)packages;
}

static bool on_said(void *ctx, const struct store_listing *l)
{
    struct said *s = ctx;
    s->n++;
    s->number = l->number;
    s->text = l->text;
    return true;
}

static void check_one(struct reader_thread *r, const struct lists_view *view,
                      unsigned group, unsigned i)
{
    unsigned packages = packages_in(r, view);
    struct said due = to_be_said(packages, group, i);
    struct said is = {.n = 0};
    struct subject_key key;
    subject_key_org(&key, SUBJECT_USCC, slice_str(subjects[group][i]));
    const struct listing_query q = {
        .view = view, .subject = &key, .today = TODAY};
    enum err err =
        store_listings(r->field->node->store, &q, on_said, &is, NULL);
    if (err != ERR_OK || is.n != due.n || is.number != due.number ||
        is.text != due.text) {
        set_fault(r,
                  "%s: subject %u of group %u with %u packages: %zu listings, "
                  "%llu by %llu, not %zu, %llu by %llu",
                  err_name(err), i, group, packages, is.n,
                  (unsigned long long)is.number, (unsigned long long)is.text,
                  due.n, (unsigned long long)due.number,
                  (unsigned long long)due.text);
    }
}

static void check_group(struct reader_thread *r, const struct lists_view *view,
                        unsigned group)
{
    struct lists_view after;
    for (unsigned i = 0; i < SUBJECTS; i++) {
        check_one(r, view, group, i);
    }
    lists_view_take(r->field->node->store, &after);
    r->checks++;
    r->crossed += visible_in(&after) != visible_in(view);
    lists_view_fini(&after);
}

/* Package 0 takes effect while this check of its subjects is half done. */
static void check_across(struct reader_thread *r, const struct lists_view *view)
{
    for (unsigned i = 0; i < SUBJECTS / 2; i++) {
        check_one(r, view, 0, i);
    }
    (void)pthread_barrier_wait(&r->field->within);
    (void)pthread_barrier_wait(&r->field->further);
    for (unsigned i = SUBJECTS / 2; i < SUBJECTS; i++) {
        check_one(r, view, 0, i);
    }
}

/* One check in the state of now and one in that of the last time, which the
 * view of now replaces. */
static void check_next(struct reader_thread *r, struct lists_view *held)
{
    struct lists_view view;
    unsigned group = (unsigned)((r->nth + r->checks) % GROUPS);
    lists_view_take(r->field->node->store, &view);
    if (visible_in(&view) < visible_in(held)) {
        set_fault(r, "the lists went back from %llu to %llu",
                  (unsigned long long)visible_in(held),
                  (unsigned long long)visible_in(&view));
    }
    check_group(r, &view, group);
    check_group(r, held, group);
    lists_view_fini(held);
    *held = view;
}

static void *read_on(void *arg)
{
    struct reader_thread *r = arg;
    struct store *store = r->field->node->store;
    struct lists_view first;
    struct lists_view held;
    lists_view_take(store, &first);
    lists_view_take(store, &held);
    check_across(r, &first);
    while (!atomic_load(&r->field->over) && r->fault[0] == '\0') {
        check_next(r, &held);
        (void)sem_wait(&r->again);
    }
    check_next(r, &held);
    if (packages_in(r, &held) != packages_to_come()) {
        set_fault(r, "%u packages count at the end", packages_in(r, &held));
    }
    check_group(r, &first, r->nth % GROUPS);
    lists_view_fini(&held);
    lists_view_fini(&first);
    return NULL;
}

static struct reader_thread *readers_start(struct field *f, struct node *node)
{
    pthread_attr_t attr;
    struct reader_thread *readers = mem_zalloc(READERS, sizeof *readers);
    f->node = node;
    atomic_store(&f->over, false);
    (void)pthread_barrier_init(&f->within, NULL, READERS + 1);
    (void)pthread_barrier_init(&f->further, NULL, READERS + 1);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, READER_STACK);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i].field = f;
        readers[i].nth = i;
        (void)sem_init(&readers[i].again, 0, 0);
        assert_int_equal(
            pthread_create(&readers[i].thread, &attr, read_on, &readers[i]), 0);
    }
    (void)pthread_attr_destroy(&attr);
    (void)pthread_barrier_wait(&f->within);
    return readers;
}

/* Few processors cannot let all of them read without end and decide as well:
 * each goes on with every 80th change of the log, while the next ones come. */
static void readers_go_on(struct reader_thread *readers, uint64_t nth)
{
    for (size_t i = nth % TURNS; i < READERS; i += TURNS) {
        (void)sem_post(&readers[i].again);
    }
}

static void readers_end(struct field *f, struct reader_thread **readers)
{
    uint64_t checks = 0;
    uint64_t crossed = 0;
    unsigned faults = 0;
    char fault[160] = "";
    atomic_store(&f->over, true);
    for (unsigned k = 0; k < TURNS; k++) {
        readers_go_on(*readers, k);
    }
    for (unsigned i = 0; i < READERS; i++) {
        struct reader_thread *r = &(*readers)[i];
        (void)pthread_join(r->thread, NULL);
        (void)sem_destroy(&r->again);
        checks += r->checks;
        crossed += r->crossed;
        faults += r->fault[0] != '\0';
        if (r->fault[0] != '\0') {
            memcpy(fault, r->fault, sizeof fault);
        }
    }
    (void)pthread_barrier_destroy(&f->within);
    (void)pthread_barrier_destroy(&f->further);
    mem_free(*readers);
    *readers = NULL;
    print_message("%llu checks, %llu of them while a package came\n",
                  (unsigned long long)checks, (unsigned long long)crossed);
    if (faults > 0) {
        fail_msg("%u of %d readers saw what never was: %s", faults,
                 (int)READERS, fault);
    }
}

/* ---- the two places where packages take effect ---- */

/* The issuer's log comes to a holder in runs that end anywhere. */
static void follow(struct node *from, struct node *to, const struct log_id *log,
                   uint64_t up_to, struct reader_thread *readers)
{
    static const uint64_t runs[] = {1, 7, 30, 65, 130};
    for (size_t i = 0; size_of(to->store, log) < up_to; i++) {
        uint64_t next = size_of(to->store, log) + 1;
        uint64_t last = next + runs[i % ARRAY_LEN(runs)] - 1;
        assert_ok(append(
            to->store,
            segment_of(from->store, log, next, last < up_to ? last : up_to),
            NULL));
        readers_go_on(readers, i);
    }
}

static void readers_see_whole_packages_while_they_come(void **state)
{
    struct node issuer;
    struct node holder;
    struct field f;
    struct log_id log = {.origin = 0};
    unsigned packages = packages_to_come();
    (void)state;
    name_subjects();
    start(&issuer, TOWNSHIP, "issuer");
    start(&holder, VILLAGE, "holder");

    struct reader_thread *readers = readers_start(&f, &issuer);
    decide_next(&issuer, 0, &log);
    (void)pthread_barrier_wait(&f.further);
    for (unsigned k = 1; k < packages; k++) {
        decide_next(&issuer, k, &log);
        readers_go_on(readers, k);
    }
    readers_end(&f, &readers);

    readers = readers_start(&f, &holder);
    follow(&issuer, &holder, &log, end_of(0), readers);
    (void)pthread_barrier_wait(&f.further);
    follow(&issuer, &holder, &log, end_of(packages / 2), readers);
    assert_ok(store_reindex(holder.store, NULL, NULL, NULL));
    follow(&issuer, &holder, &log, end_of(packages - 1), readers);
    readers_end(&f, &readers);

    node_fini(&holder);
    node_fini(&issuer);
}

/* ---- without a pause ---- */

struct asking {
    struct store *store;
    _Atomic bool over;
    _Atomic unsigned faults;
};

static void *ask_on(void *arg)
{
    struct asking *a = arg;
    struct lists_view view;
    lists_view_take(a->store, &view);
    struct subject_key key;
    subject_key_org(&key, SUBJECT_USCC, slice_str(subjects[0][0]));
    const struct listing_query q = {
        .view = &view, .subject = &key, .today = TODAY};
    while (!atomic_load(&a->over)) {
        struct said is = {.n = 0};
        enum err err = store_listings(a->store, &q, on_said, &is, NULL);
        (void)atomic_fetch_add(&a->faults, err != ERR_OK || is.n != 1);
    }
    lists_view_fini(&view);
    return NULL;
}

/* It changes the index under them and lets commits through: a writer that
 * waits for a moment without readers never gets one. Hangs if that is so. */
static void an_index_is_made_anew_while_reads_overlap(void **state)
{
    enum { ASKING = 32, TIMES = 5 };
    struct node issuer;
    struct log_id log = {.origin = 0};
    pthread_t threads[ASKING];
    (void)state;
    name_subjects();
    start(&issuer, TOWNSHIP, "issuer");
    decide_next(&issuer, 0, &log);
    struct asking a = {.store = issuer.store};
    for (size_t i = 0; i < ASKING; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on, &a), 0);
    }
    for (unsigned i = 1; i <= TIMES; i++) {
        assert_ok(store_reindex(issuer.store, NULL, NULL, NULL));
        decide_next(&issuer, i, &log);
    }
    atomic_store(&a.over, true);
    for (size_t i = 0; i < ASKING; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&a.faults), 0);
    node_fini(&issuer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_whole_packages_while_they_come),
        cmocka_unit_test(an_index_is_made_anew_while_reads_overlap),
    };
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
