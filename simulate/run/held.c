#include "run/held.h"

#include <string.h>

#include "api/admin.h"
#include "base/mem.h"

void held_add(struct held_logs *h, const struct held *l)
{
    if (h->n == h->cap) {
        h->cap = h->cap == 0 ? 32 : 2 * h->cap;
        h->log = mem_realloc(h->log, h->cap * sizeof *h->log);
    }
    h->log[h->n++] = *l;
}

static void add_row(struct held_logs *h, const json_t *row)
{
    const char *log = json_string_value(json_object_get(row, "log"));
    const char *root = json_string_value(json_object_get(row, "root"));
    const char *state = json_string_value(json_object_get(row, "state"));
    if (log == NULL || root == NULL ||
        (strstr(log, "/records/") == NULL &&
         strstr(log, "/directives/") == NULL)) {
        return;
    }
    struct held l = {
        .size = (uint64_t)json_integer_value(json_object_get(row, "size")),
        .signed_size = (uint64_t)json_integer_value(
            json_object_get(row, "checkpoint_size")),
        .own = json_is_true(json_object_get(row, "own")),
        .forked = state != NULL && strcmp(state, "forked") == 0};
    (void)snprintf(l.log, sizeof l.log, "%s", log);
    (void)snprintf(l.root, sizeof l.root, "%s", root);
    held_add(h, &l);
}

bool held_ask(const struct run_node *n, struct held_logs *out)
{
    struct admin_client *client = NULL;
    struct errmsg why;
    json_t *row = NULL;
    bool more =
        admin_connect(&client, n->socket, &why) == ERR_OK &&
        admin_write_json(client, json_pack("{s:s}", "cmd", "logs")) == ERR_OK;
    bool ended = false;
    while (more && admin_read(client, &row, &why) == ERR_OK) {
        const char *type = json_string_value(json_object_get(row, "type"));
        more = type != NULL && strcmp(type, "row") == 0;
        ended = type != NULL && strcmp(type, "result") == 0;
        if (more) {
            add_row(out, row);
        }
        json_decref(row);
    }
    admin_disconnect(&client);
    return ended;
}

struct held *held_find(const struct held_logs *h, const char *log)
{
    for (size_t i = 0; i < h->n; i++) {
        if (strcmp(h->log[i].log, log) == 0) {
            return &h->log[i];
        }
    }
    return NULL;
}

void held_free(struct held_logs *h)
{
    mem_free(h->log);
    *h = (struct held_logs){0};
}
