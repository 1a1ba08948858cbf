#include "conf/conf_source.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

/* An include is a file in a file: the recursion ends at
 * CONF_INCLUDE_DEPTH_MAX. NOLINTBEGIN(misc-no-recursion) */
static void read_file(struct conf_source *source, const char *path,
                      struct conf_place from, unsigned depth,
                      struct conf_errors *errors);

static void add_line(struct conf_source *source, struct slice line,
                     struct conf_place place)
{
    buf_put_slice(&source->text, line);
    buf_put_u8(&source->text, '\n');
    buf_put(&source->places, &place, sizeof place);
}

static size_t span(struct slice line, size_t at, const char *chars)
{
    while (at < line.len && line.data[at] != 0 &&
           strchr(chars, line.data[at]) != NULL) {
        at++;
    }
    return at;
}

/* The name that an @include line gives, owned; NULL if it is not well-formed.
 */
static char *include_name(struct slice line, size_t at)
{
    at = span(line, at, " \t");
    if (at == line.len || line.data[at] != '"') {
        return NULL;
    }
    const uint8_t *start = line.data + at + 1;
    const uint8_t *quote = memchr(start, '"', line.len - at - 1);
    if (quote == NULL || quote == start) {
        return NULL;
    }
    size_t rest = span(line, (size_t)(quote - line.data) + 1, " \t;");
    if (rest < line.len && line.data[rest] != '#' && line.data[rest] != '/') {
        return NULL;
    }
    struct buf name = BUF_INIT;
    buf_put(&name, start, (size_t)(quote - start));
    buf_put_u8(&name, 0);
    size_t len;
    return (char *)buf_steal(&name, &len);
}

static void include(struct conf_source *source, struct slice line, size_t at,
                    struct conf_place place, unsigned depth,
                    struct conf_errors *errors)
{
    char *name = include_name(line, at);
    if (name == NULL) {
        conf_fail(errors, place,
                  "this @include is not understood; write @include "
                  "\"file.cfg\" on a line of its own");
        return;
    }
    struct buf path = BUF_INIT;
    const char *slash = strrchr(place.file, '/');
    if (name[0] != '/' && slash != NULL) {
        buf_put(&path, place.file, (size_t)(slash - place.file) + 1);
    }
    buf_put_str(&path, name);
    read_file(source, buf_cstr(&path), place, depth + 1, errors);
    buf_fini(&path);
    mem_free(name);
}

static void take_line(struct conf_source *source, struct slice line,
                      struct conf_place place, unsigned depth,
                      struct conf_errors *errors)
{
    static const char word[] = "@include";
    size_t at = span(line, 0, " \t");
    if (!str_utf8_valid(line)) {
        conf_fail(errors, place,
                  "this line is not UTF-8; save the file as UTF-8 (not GBK)");
    } else if (line.len - at >= strlen(word) &&
               memcmp(line.data + at, word, strlen(word)) == 0) {
        include(source, line, at + strlen(word), place, depth, errors);
    } else {
        add_line(source, line, place);
    }
}

static void take_file(struct conf_source *source, struct slice bytes,
                      const char *file, unsigned depth,
                      struct conf_errors *errors)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    struct conf_place place = {file, 0};
    size_t at = 0;
    if (bytes.len >= sizeof mark &&
        memcmp(bytes.data, mark, sizeof mark) == 0) {
        at = sizeof mark;
    }
    while (at < bytes.len) {
        const uint8_t *start = bytes.data + at;
        const uint8_t *end = memchr(start, '\n', bytes.len - at);
        size_t len = end != NULL ? (size_t)(end - start) : bytes.len - at;
        at += len + 1;
        if (len > 0 && start[len - 1] == '\r') {
            len--;
        }
        place.line++;
        take_line(source, slice_of(start, len), place, depth, errors);
    }
}

static void read_file(struct conf_source *source, const char *path,
                      struct conf_place from, unsigned depth,
                      struct conf_errors *errors)
{
    if (depth > CONF_INCLUDE_DEPTH_MAX ||
        source->files_count == CONF_FILES_MAX) {
        conf_fail(errors, from,
                  "too many files (%d) or includes in includes (%d); does a "
                  "file include itself?",
                  CONF_FILES_MAX, CONF_INCLUDE_DEPTH_MAX);
        return;
    }
    struct buf bytes = BUF_INIT;
    struct errmsg why;
    if (file_read(path, CONF_FILE_BYTES_MAX, &bytes, &why) != ERR_OK) {
        conf_fail(errors, from, "%s", why.text);
    } else {
        char *file = mem_strdup(path);
        source->files[source->files_count++] = file;
        take_file(source, buf_slice(&bytes), file, depth, errors);
    }
    buf_fini(&bytes);
}

/* NOLINTEND(misc-no-recursion) */

void conf_source_read(struct conf_source *source, const char *path,
                      struct conf_errors *errors)
{
    read_file(source, path, (struct conf_place){NULL, 0}, 0, errors);
}

void conf_source_fini(struct conf_source *source)
{
    buf_fini(&source->text);
    buf_fini(&source->places);
    for (size_t i = 0; i < source->files_count; i++) {
        mem_free(source->files[i]);
    }
    source->files_count = 0;
}

struct conf_place conf_source_place(const struct conf_source *source,
                                    unsigned line)
{
    struct conf_place place = {source->files[0], 1};
    size_t count = source->places.len / sizeof place;
    size_t at = line > count ? count : line; /* the end counts as last line */
    if (at > 0) {
        memcpy(&place, source->places.data + (at - 1) * sizeof place,
               sizeof place);
    }
    return place;
}

struct slice conf_source_line(const struct conf_source *source, unsigned line)
{
    const uint8_t *at = source->text.data;
    const uint8_t *end = at + source->text.len;
    for (; at < end; line--) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        if (line == 1 || stop == NULL) {
            return slice_of(at, stop != NULL ? (size_t)(stop - at) : 0);
        }
        at = stop + 1;
    }
    return slice_of(NULL, 0);
}
