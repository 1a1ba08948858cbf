/* bench_gen - writes the benchmarks' synthetic licence records as CSV. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "run/rows.h"

static const char usage[] =
    "usage: bench_gen --rows N [--first N] [--subjects N] [--codes]\n"
    "Writes N licence records as CSV with the columns of the 2018 table.\n"
    "  --rows N      how many\n"
    "  --first N     number of the first one; 1 if not given. Rows with other\n"
    "                numbers are other records\n"
    "  --subjects N  organisations they are spread over; a quarter of the\n"
    "                rows if not given\n"
    "  --codes       write the codes of the subjects instead, one a line\n";

struct options {
    uint64_t rows;
    uint64_t first;
    uint64_t subjects;
    bool codes;
};

static void parse(int argc, char **argv, struct options *opt)
{
    static const struct option names[] = {
        {"rows", required_argument, NULL, 'r'},
        {"first", required_argument, NULL, 'f'},
        {"subjects", required_argument, NULL, 's'},
        {"codes", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        uint64_t *number = c == 'r'   ? &opt->rows
                           : c == 'f' ? &opt->first
                           : c == 's' ? &opt->subjects
                                      : NULL;
        if (c == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        opt->codes |= c == 'c';
        if (c == '?' ||
            (number != NULL && !str_u64(slice_str(optarg), number))) {
            fputs(usage, stderr);
            exit(2);
        }
    }
}

static bool in_range(uint64_t number)
{
    return number >= 1 && number <= BENCH_NUMBER_MAX;
}

static void write_codes(const struct options *opt)
{
    for (uint64_t i = 0; i < opt->subjects; i++) {
        char code[BENCH_CODE_LEN + 1];
        bench_subject_code(i, code);
        puts(code);
    }
}

static void write_rows(const struct options *opt)
{
    puts(bench_csv_header);
    for (uint64_t i = 0; i < opt->rows; i++) {
        struct bench_row row;
        bench_row_make(opt->first + i, opt->subjects, &row);
        puts(row.csv);
    }
}

int main(int argc, char **argv)
{
    struct options opt = {.first = 1};
    parse(argc, argv, &opt);
    if (opt.subjects == 0) {
        opt.subjects = (opt.rows + 3) / 4;
    }
    if (!in_range(opt.rows) || !in_range(opt.first) ||
        !in_range(opt.subjects) || !in_range(opt.first + opt.rows - 1)) {
        fprintf(stderr, "bench_gen: rows, first and subjects must be 1 to %d\n",
                BENCH_NUMBER_MAX);
        return 2;
    }
    (opt.codes ? write_codes : write_rows)(&opt);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("bench_gen: write");
        return 1;
    }
    return 0;
}
