/* vectors.h - first two columns of the CSV files in tests/data. */
#ifndef TESTS_CREDIT_VECTORS_H
#define TESTS_CREDIT_VECTORS_H

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

typedef void vector_fn(const char *first, const char *second);

/* Calls `fn` for every row but the header; returns their number. Cells beyond
 * the second may hold anything; the first two are free of quotes. */
static inline size_t vectors_each(const char *name, vector_fn *fn)
{
    char path[512];
    char line[1024];
    size_t rows = 0;
    (void)snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(line, sizeof line, file) == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        char *comma = strchr(line, ',');
        if (comma != NULL) {
            *comma = '\0';
            comma[1 + strcspn(comma + 1, ",\r\n")] = '\0';
            fn(line, comma + 1);
            rows++;
        }
    }
    (void)fclose(file);
    return rows;
}

#endif
