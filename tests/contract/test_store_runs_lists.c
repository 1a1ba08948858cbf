/* Rows about lists share a family with files of other rows, and two indexes
 * share it, one of which is dropped now and then: each reads as if it were
 * alone. */
#include "contract/runs_fixture.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { TURNS = 250 };
#else
enum { TURNS = 1500 };
#endif

enum { INDEXES = 2, LISTINGS = 30 };

struct both_models {
    struct model rows[INDEXES];
    bool listed[INDEXES][SUBJECTS][LISTINGS];
};

static struct both_models m;
static uint32_t state;

static uint32_t dice(uint32_t n)
{
    return spread(++state) % n;
}

static struct list_row listing(uint32_t subject, uint32_t i)
{
    struct list_row row = {.log = 1 + i % 2, .number = 100 + i, .list = 1};
    row.subject = row_of(subject, 0, 1).key.subject;
    row.decided = 20260000 + i;
    return row;
}

static void put_rows(void *batch, uint32_t g, uint32_t version)
{
    for (uint32_t n = dice(office.rows); n > 0; n--) {
        uint32_t s = dice(SUBJECTS);
        uint32_t r = dice(RECORDS);
        uint32_t v = dice(16) == 0 ? 0 : version;
        struct row row = row_of(s, r, v);
        if (v > 0) {
            b->put_row(batch, (uint8_t)(g + 1), &row);
        } else {
            b->del_row(batch, (uint8_t)(g + 1), &row.key);
        }
        m.rows[g].version[s][r] = v;
    }
}

static void put_listings(void *batch, uint32_t g)
{
    for (uint32_t n = dice(60); n > 0; n--) {
        uint32_t s = dice(SUBJECTS);
        uint32_t i = dice(LISTINGS);
        struct list_row row = listing(s, i);
        m.listed[g][s][i] = dice(3) != 0;
        if (m.listed[g][s][i]) {
            b->put_list_row(batch, (uint8_t)(g + 1), &row);
        } else {
            b->del_list_row(batch, (uint8_t)(g + 1), &row);
        }
    }
}

static void drop(void *batch, uint32_t g)
{
    b->drop_index(batch, (uint8_t)(g + 1));
    memset(&m.rows[g], 0, sizeof m.rows[g]);
    memset(&m.listed[g], 0, sizeof m.listed[g]);
}

static void one_turn(void *db, uint32_t turn)
{
    struct errmsg why = {""};
    void *batch = b->batch_new(db);
    if (dice(40) == 0) {
        drop(batch, dice(INDEXES));
    }
    for (uint32_t g = 0; g < INDEXES; g++) {
        if (dice(3) != 0) {
            put_rows(batch, g, turn);
        }
        if (dice(2) == 0) {
            put_listings(batch, g);
        }
    }
    enum err err = b->commit(db, batch, &why);
    if (err != ERR_OK) {
        fail_msg("turn %u: %s: %s", turn, err_name(err), why.text);
    }
    b->batch_free(batch);
}

struct heard {
    bool at[LISTINGS];
};

static bool on_listing(void *ctx, const struct list_row *row)
{
    struct heard *h = ctx;
    uint32_t i = (uint32_t)row->number - 100;
    assert_in_range(i, 0, LISTINGS - 1);
    assert_int_equal(row->decided, 20260000 + i);
    h->at[i] = true;
    return true;
}

static void check_one(void *db, uint32_t g, uint32_t s)
{
    struct errmsg why;
    struct heard heard = {.at = {false}};
    struct list_row asked = listing(s, 0);
    check_subject_in(db, (uint8_t)(g + 1), &m.rows[g], s);
    assert_ok(b->list_rows(db, (uint8_t)(g + 1), &asked.subject, 1, false,
                           on_listing, &heard, &why));
    assert_memory_equal(heard.at, m.listed[g][s], sizeof heard.at);
}

static void check_all(void *db)
{
    for (uint32_t g = 0; g < INDEXES; g++) {
        for (uint32_t s = 0; s < SUBJECTS; s++) {
            check_one(db, g, s);
        }
    }
}

static void each_index_reads_as_if_it_were_alone(void **unused)
{
    (void)unused;
    char path[128];
    path_of("lists", path);
    memset(&m, 0, sizeof m);
    state = office.rows;
    void *db = open_at(path, false);
    for (uint32_t turn = 1; turn <= TURNS; turn++) {
        one_turn(db, turn);
        check_one(db, dice(INDEXES), dice(SUBJECTS));
        if (dice(100) == 0) {
            b->close(db);
            db = open_at(path, dice(2) == 0);
            check_all(db);
            b->close(db);
            db = open_at(path, false);
        }
    }
    check_all(db);
    b->close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOTH(each_index_reads_as_if_it_were_alone),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
