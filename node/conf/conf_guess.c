#include <string.h>

#include "conf/conf_schema.h"

enum { NAME_BYTES_MAX = 64 };

/* Levenshtein distance; names that are too long are far from everything. */
static size_t distance(const char *a, const char *b, size_t b_len)
{
    size_t row[NAME_BYTES_MAX + 1];
    size_t a_len = strlen(a);
    if (a_len > NAME_BYTES_MAX || b_len > NAME_BYTES_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t swap = corner + (a[i - 1] != b[j - 1]);
            size_t edit = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            corner = row[j];
            row[j] = swap < edit ? swap : edit;
        }
    }
    return row[b_len];
}

const char *conf_last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

struct guess {
    const char *text;
    size_t len;
    size_t distance;
};

static void consider(struct guess *best, const char *name, const char *text,
                     size_t len)
{
    size_t d = distance(name, text, len);
    if (d < best->distance) {
        *best = (struct guess){text, len, d};
    }
}

/* Options and groups of a file. */
static void consider_options(struct guess *best, const char *name)
{
    for (size_t i = 0; i < conf_rows_count; i++) {
        const char *path = conf_rows[i].path;
        consider(best, name, path, strlen(path));
        consider(best, name, path, strcspn(path, "."));
        if (best->distance > 1 &&
            strcmp(conf_last_part(name), conf_last_part(path)) == 0) {
            *best = (struct guess){path, strlen(path), 1};
        }
    }
}

bool conf_guess(const char *name, const struct conf_list *list, struct buf *out)
{
    struct guess best = {"", 0, 3};
    for (size_t i = 0; list != NULL && i < list->rows_count; i++) {
        const char *path = list->rows[i].path;
        consider(&best, conf_last_part(name), path, strlen(path));
    }
    if (list == NULL) {
        consider_options(&best, name);
    }
    buf_put(out, best.text, best.len);
    return best.len > 0;
}
