#include "base/mem.h"

#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_MAX = 16 << 20 };

static void *must(void *ptr, size_t len)
{
    if (ptr == NULL) {
        (void)fprintf(stderr, "creditnode: out of memory (%zu bytes)\n", len);
        abort();
    }
    return ptr;
}

void *mem_alloc(size_t len)
{
    return must(malloc(len > 0 ? len : 1), len);
}

void *mem_zalloc(size_t count, size_t size)
{
    return must(calloc(count > 0 ? count : 1, size > 0 ? size : 1),
                count * size);
}

void *mem_realloc(void *old, size_t len)
{
    return must(realloc(old, len > 0 ? len : 1), len);
}

void *mem_dup(const void *data, size_t len)
{
    void *copy = mem_alloc(len);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_keep(size_t bytes)
{
    /* The library takes no larger threshold for single pieces. */
    size_t piece = bytes < PIECE_MAX ? bytes : PIECE_MAX;
    (void)mallopt(M_MMAP_THRESHOLD, (int)piece);
    (void)mallopt(M_TRIM_THRESHOLD, bytes < INT_MAX ? (int)bytes : INT_MAX);
}

void mem_trim(void)
{
    (void)malloc_trim(0);
}

void mem_wipe(void *ptr, size_t len)
{
    explicit_bzero(ptr, len);
}
