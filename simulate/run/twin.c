#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "run/fault.h"

enum { TWIN_ROWS = 20, IMPORT_EVERY_MS = 700 };

/* It takes the place of the other at its parent for a time: same certificate,
 * same configuration, its own store, port and admin socket. */
void twin_start(struct mishap *m)
{
    const struct run_node *n = m->node;
    struct run_node *t = MEM_NEW(struct run_node);
    t->run = n->run;
    t->index = n->index;
    t->place = n->place;
    t->is_twin = true;
    t->is_old = n->is_old;
    t->rows = TWIN_ROWS;
    (void)snprintf(t->folder, sizeof t->folder, "%s", n->folder);
    memcpy(t->socket, n->socket, sizeof t->socket);
    memcpy(t->socket + strlen(t->socket) - 4, "twin", 4); /* for sock */
    t->log = n->log;
    m->twin = t;
    node_spawn(t);
}

/* It enters rows of its own. */
void twin_tick(struct mishap *m)
{
    struct run_node *t = m->twin;
    uint64_t now = uv_now(&t->run->loop);
    if (m->stage == FAULT_ON && t->ready && !t->importing &&
        t->next_ms <= now) {
        t->next_ms = now + IMPORT_EVERY_MS;
        node_import(t);
    }
}

void twin_stop(struct mishap *m)
{
    if (m->twin != NULL) {
        node_signal(m->twin, SIGKILL);
    }
}

bool twin_is_gone(const struct mishap *m)
{
    const struct run_node *t = m->twin;
    return t == NULL || (!t->running && !t->reading && !t->importing);
}
