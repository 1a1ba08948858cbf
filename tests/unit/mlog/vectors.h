/* vectors.h - the known answers in tests/data: one "name value" a line, '#'
 * begins a comment line. */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static inline void vectors_load(const char *path, struct buf *out)
{
    struct errmsg why = {""};
    assert_int_equal(file_read(path, 65536, out, &why), ERR_OK);
}

/* The value of `name`, lent from `file`; the test fails if there is none. */
static inline struct slice vectors_text(const struct buf *file,
                                        const char *name)
{
    size_t len = strlen(name);
    const uint8_t *at = file->data;
    const uint8_t *end = file->data + file->len;
    while (at < end) {
        const uint8_t *eol = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(eol);
        if ((size_t)(eol - at) > len && memcmp(at, name, len) == 0 &&
            at[len] == ' ') {
            return slice_of(at + len + 1, (size_t)(eol - at) - len - 1);
        }
        at = eol + 1;
    }
    fail_msg("no vector %s", name);
    return slice_of(NULL, 0);
}

/* Appends the bytes that the value of `name` gives in hex. */
static inline void vectors_hex(const struct buf *file, const char *name,
                               struct buf *out)
{
    struct slice text = vectors_text(file, name);
    char *hex = mem_zalloc(text.len + 1, 1);
    memcpy(hex, text.data, text.len);
    assert_true(str_unhex(hex, buf_reserve(out, text.len / 2), text.len / 2));
    out->len += text.len / 2;
    mem_free(hex);
}

#endif
