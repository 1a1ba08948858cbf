/* The rows are kept until it is known what was done with the package: before
 * that nothing is decided. */
#include "cli/decided.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/outcomes.h"

struct cli_decided {
    const char *path;
    const char *name;
    FILE *to;
    json_t *rows;
    const char *outcome;
    json_t *published; /* NULL: nothing was */
    uint64_t number;   /* of the next decision */
};

int cli_decided_open(struct cli_decided **out, const char *path,
                     const char *name)
{
    FILE *to = cli_outcomes_open(path);
    if (to == NULL) {
        return cli_fail("%s: %s", path, strerror(errno));
    }
    struct cli_decided *d = MEM_NEW(struct cli_decided);
    *d = (struct cli_decided){.path = path,
                              .name = name,
                              .to = to,
                              .rows = json_array(),
                              .outcome = "dropped"};
    *out = d;
    return EXIT_OK;
}

void cli_decided_row(struct cli_decided *d, json_t *row)
{
    if (d != NULL) {
        (void)json_array_append(d->rows, row);
    }
}

void cli_decided_failed(struct cli_decided *d, const char *why)
{
    if (d != NULL) {
        (void)json_array_append_new(
            d->rows,
            json_pack("{s:i, s:s, s:[{s:s, s:s}]}", "line", 0, "outcome",
                      "refused", "faults", "rule", "file", "text", why));
    }
}

void cli_decided_is(struct cli_decided *d, const char *outcome,
                    json_t *published)
{
    if (d != NULL) {
        d->outcome = outcome;
        d->published = json_incref(published);
        /* Behind the entry that begins the package. */
        d->number = (uint64_t)cli_int(published, "first") + 1;
    }
}

/* NULL: it has effect. Borrowed. */
static const char *void_reason(const struct cli_decided *d, uint64_t number)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(d->published, "void"), i, row)
    {
        if ((uint64_t)cli_int(row, "number") == number) {
            return cli_text(row, "reason");
        }
    }
    return NULL;
}

/* A decision that was published: its place, and whether it has effect. */
static void put_decision(struct cli_decided *d, json_t *row)
{
    uint64_t number = d->number++;
    const char *reason = void_reason(d, number);
    json_t *fault =
        reason != NULL ? json_pack("{s:s, s:s}", "rule", "void", "text", reason)
                       : NULL;
    (void)json_object_set_new(
        row, "outcome", json_string(reason != NULL ? "void" : d->outcome));
    (void)json_object_set(row, "log", json_object_get(d->published, "log"));
    (void)json_object_set_new(row, "number", json_integer((json_int_t)number));
    cli_outcomes_put(d->to, row, fault, d->name);
    json_decref(fault);
}

static void put_row(struct cli_decided *d, json_t *row)
{
    size_t i;
    json_t *fault;
    json_t *faults = json_object_get(row, "faults");
    if (faults != NULL) {
        json_array_foreach(faults, i, fault)
        {
            cli_outcomes_put(d->to, row, fault, d->name);
        }
        return;
    }
    if (d->published == NULL) {
        (void)json_object_set_new(row, "outcome", json_string(d->outcome));
        cli_outcomes_put(d->to, row, NULL, d->name);
        return;
    }
    for (long long left = cli_int(row, "decisions"); left > 0; left--) {
        put_decision(d, row);
    }
}

int cli_decided_close(struct cli_decided **decided, int rc)
{
    struct cli_decided *d = *decided;
    size_t i;
    json_t *row;
    *decided = NULL;
    if (d == NULL) {
        return rc;
    }
    json_array_foreach(d->rows, i, row)
    {
        put_row(d, row);
    }
    if (fclose(d->to) != 0) {
        rc = cli_fail("%s: %s", d->path, strerror(errno));
    }
    json_decref(d->rows);
    json_decref(d->published);
    mem_free(d);
    return rc;
}
