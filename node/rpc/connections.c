/* connections.c - which connections of a server have calls under way, so that
 * one certificate does not use more than its share. Private.
 *
 * A connection is told by its authentication context, of which gRPC makes one
 * at the handshake; the calls of the connection keep it. */
#include <string.h>

#include "base/mem.h"
#include "rpc/rpc_private.h"

enum { BUCKETS = 256 }; /* by the first byte of the fingerprint */

struct rpc_connection {
    struct rpc_connection *next;
    struct rpc_connections *table;
    const grpc_auth_context *context;
    uint8_t fingerprint[32];
    size_t calls;
};

struct rpc_connections {
    pthread_mutex_t lock;
    unsigned of_one_max;
    struct rpc_connection *buckets[BUCKETS];
};

struct rpc_connections *rpc_connections_new(unsigned of_one_max)
{
    struct rpc_connections *table = MEM_NEW(struct rpc_connections);
    (void)pthread_mutex_init(&table->lock, NULL);
    table->of_one_max = of_one_max;
    return table;
}

void rpc_connections_free(struct rpc_connections *table)
{
    (void)pthread_mutex_destroy(&table->lock);
    mem_free(table);
}

static struct rpc_connection *add(struct rpc_connections *table,
                                  const grpc_auth_context *context,
                                  const uint8_t fingerprint[32])
{
    struct rpc_connection *c = MEM_NEW(struct rpc_connection);
    struct rpc_connection **bucket = &table->buckets[fingerprint[0]];
    c->table = table;
    c->context = context;
    memcpy(c->fingerprint, fingerprint, sizeof c->fingerprint);
    c->next = *bucket;
    *bucket = c;
    return c;
}

struct rpc_connection *rpc_connection_enter(struct rpc_connections *table,
                                            grpc_call *call,
                                            const struct principal *peer)
{
    grpc_auth_context *context = grpc_call_auth_context(call);
    unsigned of_one = 0;
    (void)pthread_mutex_lock(&table->lock);
    struct rpc_connection *c = table->buckets[peer->fingerprint[0]];
    for (; c != NULL && c->context != context; c = c->next) {
        of_one += memcmp(c->fingerprint, peer->fingerprint,
                         sizeof c->fingerprint) == 0;
    }
    if (c == NULL && of_one < table->of_one_max) {
        c = add(table, context, peer->fingerprint);
    }
    if (c != NULL) {
        c->calls++;
    }
    (void)pthread_mutex_unlock(&table->lock);
    grpc_auth_context_release(context);
    return c;
}

void rpc_connection_leave(struct rpc_connection *c)
{
    struct rpc_connections *table = c->table;
    (void)pthread_mutex_lock(&table->lock);
    if (--c->calls == 0) {
        struct rpc_connection **at = &table->buckets[c->fingerprint[0]];
        while (*at != c) {
            at = &(*at)->next;
        }
        *at = c->next;
        mem_free(c);
    }
    (void)pthread_mutex_unlock(&table->lock);
}
