/* Looks into the descriptors of proto/. They are a few kilobytes, so each
 * question walks through them; numbers are those of descriptor.proto. */
#include <string.h>

#include "base/mem.h"
#include "base/pb.h"
#include "descriptors.h"
#include "rpc/reflection.h"

enum {
    SET_FILE = 1,
    NAME = 1, /* of whatever is declared */
    FILE_PACKAGE = 2,
    ENUM_VALUE = 2,
};

enum kind { A_FILE, A_MESSAGE, AN_ENUM, A_SERVICE, A_LEAF };

/* Which field of what declares what. */
static const struct {
    enum kind in;
    uint32_t field;
    enum kind is;
} scopes[] = {
    {A_FILE, 4, A_MESSAGE},    {A_FILE, 5, AN_ENUM},
    {A_FILE, 6, A_SERVICE},    {A_FILE, 7, A_LEAF}, /* extension */
    {A_MESSAGE, 2, A_LEAF},                         /* field */
    {A_MESSAGE, 3, A_MESSAGE}, {A_MESSAGE, 4, AN_ENUM},
    {A_MESSAGE, 6, A_LEAF}, /* extension */
    {A_MESSAGE, 8, A_LEAF}, /* oneof */
    {A_SERVICE, 2, A_LEAF}, /* method */
};

/* The first field of that number; empty if there is none. */
static struct slice part(struct slice descriptor, uint32_t number)
{
    struct reader r = reader_of(descriptor);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == number && f.type == PB_BYTES) {
            return f.bytes;
        }
    }
    return slice_of(NULL, 0);
}

/* The declaration of that kind and name; empty if there is none. */
static struct slice named(struct slice in, uint32_t kind, struct slice name)
{
    struct reader r = reader_of(in);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == kind && f.type == PB_BYTES &&
            slice_eq(part(f.bytes, NAME), name)) {
            return f.bytes;
        }
    }
    return slice_of(NULL, 0);
}

/* A value of an enum is named beside the enum. */
static bool has_value(struct slice in, uint32_t enums, struct slice name)
{
    struct reader r = reader_of(in);
    struct pb_field f;
    bool has = false;
    while (!has && pb_next(&r, &f)) {
        has = f.number == enums && f.type == PB_BYTES &&
              named(f.bytes, ENUM_VALUE, name).len > 0;
    }
    return has;
}

/* A declaration, and what it is. */
struct place {
    struct slice descriptor;
    enum kind kind;
};

/* Goes down into what is declared there under that name; false: nothing. */
static bool enter(struct place *at, struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        if (scopes[i].in != at->kind) {
            continue;
        }
        struct slice in = at->descriptor;
        struct slice found = named(in, scopes[i].field, name);
        if (found.len > 0) {
            *at = (struct place){found, scopes[i].is};
            return true;
        }
        if (scopes[i].is == AN_ENUM && has_value(in, scopes[i].field, name)) {
            *at = (struct place){found, A_LEAF};
            return true;
        }
    }
    return false;
}

/* Cuts off what stands before the first dot; no address: that was all. */
static struct slice first_name(struct slice *path)
{
    struct slice first = *path;
    const uint8_t *dot =
        path->len > 0 ? memchr(path->data, '.', path->len) : NULL;
    if (dot == NULL) {
        *path = slice_of(NULL, 0);
        return first;
    }
    first.len = (size_t)(dot - path->data);
    *path = slice_of(dot + 1, path->len - first.len - 1);
    return first;
}

/* False unless the symbol's name begins with that of the file's package. */
static bool cut_package(struct slice file, struct slice *symbol)
{
    struct slice package = part(file, FILE_PACKAGE);
    if (symbol->len <= package.len || symbol->data[package.len] != '.' ||
        !slice_eq(slice_of(symbol->data, package.len), package)) {
        return false;
    }
    *symbol =
        slice_of(symbol->data + package.len + 1, symbol->len - package.len - 1);
    return true;
}

static bool declares(struct slice file, struct slice symbol, bool *is_message)
{
    struct place at = {file, A_FILE};
    if (!cut_package(file, &symbol)) {
        return false;
    }
    while (symbol.data != NULL) {
        if (!enter(&at, first_name(&symbol))) {
            return false;
        }
    }
    *is_message = at.kind == A_MESSAGE;
    return true;
}

struct slice reflection_file(struct slice name)
{
    return named(slice_of(proto_descriptors, proto_descriptors_len), SET_FILE,
                 name);
}

struct slice reflection_declaring(struct slice symbol, bool *is_message)
{
    struct reader r =
        reader_of(slice_of(proto_descriptors, proto_descriptors_len));
    struct pb_field f;
    struct slice found = slice_of(NULL, 0);
    bool message = false;
    while (found.len == 0 && pb_next(&r, &f)) {
        if (declares(f.bytes, symbol, &message)) {
            found = f.bytes;
        }
    }
    if (is_message != NULL) {
        *is_message = message;
    }
    return found;
}
