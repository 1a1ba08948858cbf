/* pages.c - tables that may be very long, and of which a reader
 * often wants the beginning only: issues, what was set aside, sources.
 *
 * A result that is not read to its end is sent to its end all the same, and all
 * of it has to come within the time of one statement. So each statement asks
 * for a page, the first a small one. */
#include <string.h>

#include "store/mariadb/mariadb.h"

enum { PAGE_FIRST = 16, PAGE_GROW = 16, PAGE_MAX = 1024 };

struct page {
    uint64_t limit;
    uint64_t n; /* rows of this one */
    bool stopped;
};

static const struct page first_page = {.limit = PAGE_FIRST};

/* Is there another one? */
static bool page_turn(struct page *p)
{
    bool more = !p->stopped && p->n == p->limit;
    p->limit =
        p->limit < PAGE_MAX / PAGE_GROW ? p->limit * PAGE_GROW : PAGE_MAX;
    p->n = 0;
    return more;
}

static struct mdb_cell num(uint64_t n)
{
    return (struct mdb_cell){.n = n};
}

/* ---- issues ---- */

struct issue_read {
    struct page page;
    backend_issue_fn *fn;
    void *ctx;
    uint32_t log; /* where the next page begins */
    uint64_t number;
};

static bool on_issue(void *ctx, const struct mdb_cell *c)
{
    struct issue_read *r = ctx;
    r->page.n++;
    r->log = (uint32_t)c[0].n;
    r->number = c[1].n + 1;
    r->page.stopped = !r->fn(r->ctx, r->log, c[1].n, (uint8_t)c[2].n);
    r->log += r->number == 0 ? 1 : 0; /* behind the highest number */
    return !r->page.stopped;
}

enum err mdb_issues_from(struct mdb_pool *pool, uint8_t generation,
                         uint32_t log, uint64_t number, backend_issue_fn *fn,
                         void *ctx, struct errmsg *why)
{
    struct issue_read r = {first_page, fn, ctx, log, number};
    enum err err = ERR_OK;
    do {
        const struct mdb_cell cells[] = {num(generation), num(r.log),
                                         num(r.log), num(r.number),
                                         num(r.page.limit)};
        err = mdb_read(pool, SQL_ISSUES, cells, on_issue, &r, why);
    } while (err == ERR_OK && page_turn(&r.page));
    return err;
}

/* ---- what was set aside ---- */

struct salvage_read {
    struct page page;
    backend_salvage_fn *fn;
    void *ctx;
    uint64_t next;
};

static bool on_salvaged(void *ctx, const struct mdb_cell *c)
{
    struct salvage_read *r = ctx;
    r->page.n++;
    r->next = c[0].n + 1;
    r->page.stopped = !r->fn(r->ctx, c[0].n, c[1].b) || r->next == 0;
    return !r->page.stopped;
}

enum err mdb_salvage_from(struct mdb_pool *pool, uint64_t from,
                          backend_salvage_fn *fn, void *ctx, struct errmsg *why)
{
    struct salvage_read r = {first_page, fn, ctx, from};
    enum err err = ERR_OK;
    do {
        const struct mdb_cell cells[] = {num(r.next), num(r.page.limit)};
        err = mdb_read(pool, SQL_SALVAGE, cells, on_salvaged, &r, why);
    } while (err == ERR_OK && page_turn(&r.page));
    return err;
}

/* ---- sources ---- */

struct sources_read {
    struct page page;
    backend_source_fn *fn;
    void *ctx;
    uint8_t name[SOURCE_LEN]; /* the last one */
    size_t name_len;          /* 0: none yet */
    bool bad;
};

static bool on_source(void *ctx, const struct mdb_cell *c)
{
    struct sources_read *r = ctx;
    r->page.n++;
    r->bad = c[0].b.len != SOURCE_LEN;
    if (!r->bad) {
        memcpy(r->name, c[0].b.data, SOURCE_LEN);
        r->name_len = SOURCE_LEN;
    }
    r->page.stopped = r->bad || !r->fn(r->ctx, r->name, c[1].b);
    return !r->page.stopped;
}

enum err mdb_sources_all(struct mdb_pool *pool, backend_source_fn *fn,
                         void *ctx, struct errmsg *why)
{
    struct sources_read r = {.page = first_page, .fn = fn, .ctx = ctx};
    enum err err = ERR_OK;
    do {
        const struct mdb_cell cells[] = {{.b = slice_of(r.name, r.name_len)},
                                         num(r.page.limit)};
        err = mdb_read(pool, SQL_SOURCES, cells, on_source, &r, why);
    } while (err == ERR_OK && page_turn(&r.page));
    return err == ERR_OK && r.bad
               ? err_set(why, ERR_CORRUPT, "table cn_source: malformed row")
               : err;
}
