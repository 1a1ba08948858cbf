/* lease_news.h - private to store: what the holder of the lease tells those who
 * watch, and since when that is so at the latest by a clock of theirs. Pure.
 *
 * No clock of the holder is compared with one of theirs. It says how long ago a
 * head had come when it wrote this, and which of its beats was there already by
 * then; who watches knows when that beat was not there yet. So what is heard is
 * never taken for younger than it is. */
#ifndef STORE_LEASE_NEWS_H
#define STORE_LEASE_NEWS_H

#include "store/lease.h"

/* ---- when a beat was not there yet ---- */

enum { LEASE_MARKS = 16 };

/* Beats from..to of a term were not there at after_ms. */
struct lease_mark {
    uint64_t term;
    uint64_t from;
    uint64_t to;
    int64_t after_ms;
};
struct lease_marks {
    bool met;         /* the three below */
    uint64_t term;    /* of the last look */
    uint64_t beat;    /* of it */
    int64_t asked_ms; /* when it was sent */
    struct lease_mark at[LEASE_MARKS];
    size_t next; /* the oldest, which is replaced */
};

/* A look that was sent at `asked_ms` found this. */
void lease_marks_look(struct lease_marks *marks, uint64_t term, uint64_t beat,
                      int64_t asked_ms);
/* A moment at which the beat was not there yet. False: none is known. */
bool lease_marks_before(const struct lease_marks *marks, uint64_t term,
                        uint64_t beat, int64_t *ms);

/* ---- the words ---- */

enum { LEASE_TEXT_MAX = 4096 };

/* A line a head, with its age at `now_ms`. Returns the length. */
size_t lease_news_put(const struct lease_head *heads, size_t n, int64_t now_ms,
                      char out[LEASE_TEXT_MAX]);
/* Of words that were written at `at_ms`; returns how many heads, of which
 * malformed ones are left out. */
size_t lease_news_read(struct slice text, int64_t at_ms,
                       struct lease_head out[LEASE_HEADS_MAX]);

#endif
