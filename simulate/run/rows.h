/* rows.h - the synthetic licence records and listings that simulator and
 * benchmarks load.
 *
 * A row depends on its number and the number of subjects only, so the own
 * side and a peer load the same content, and a second run repeats the first.
 * Names are made up; the codes carry a division that was never issued
 * (999900), so none is the code of a real organisation. Pure; any thread. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    BENCH_CODE_LEN = 18,
    BENCH_CSV_MAX = 768,          /* bytes of a row; about 450 in the mean */
    BENCH_NUMBER_MAX = 887503681, /* rows and subjects: 31^6 codes exist */
};

struct bench_date {
    unsigned year;
    unsigned month;
    unsigned day;
};

struct bench_row {
    char code[BENCH_CODE_LEN + 1]; /* the subject, both check digits right */
    uint8_t id[16];                /* random, as a peer's record id */
    uint8_t digest[32];            /* random, as a peer's row hash */
    char item[16];                 /* catalogue item, for the peer's column */
    unsigned category;
    unsigned disclosure;
    struct bench_date decided;
    struct bench_date until;
    char csv[BENCH_CSV_MAX]; /* without quotes, backslashes and line end */
    size_t csv_len;
};

/* The columns of the 2018 licence table by code, without line end. */
extern const char bench_csv_header[];

/* Row `number` when `subjects` subjects exist; both ≥ 1 and at most
 * BENCH_NUMBER_MAX. Rows 1 … 4 × subjects give every subject four. */
void bench_row_make(uint64_t number, uint64_t subjects, struct bench_row *out);
/* Which subject that row is about. */
uint64_t bench_row_subject(uint64_t number, uint64_t subjects);
/* The same row about a natural person, each row about another: made-up names
 * that all hold BENCH_PERSON_MARK, and valid numbers (`code`), all beginning
 * with BENCH_PERSON_DIGITS, of a division that was never issued. */
void bench_person_row_make(uint64_t number, struct bench_row *out);
#define BENCH_PERSON_MARK "拟名"
#define BENCH_PERSON_DIGITS "99990019"
/* The code of subject 0 … subjects - 1. */
void bench_subject_code(uint64_t subject, char out[BENCH_CODE_LEN + 1]);
/* The columns of a table of listings, without line end. */
extern const char bench_listing_header[];
/* A line of it: the subject goes on the list of those who break faith, by a
 * decision in the division, 12 digits. */
void bench_listing_put(FILE *file, uint64_t subject, uint64_t division);
/* The next of a sequence of random numbers (SplitMix64). */
uint64_t bench_random(uint64_t *state);

#endif
