/* alarm.h - a call at a time, on the poller; part of what rpc offers.
 *
 * For what follows a little later on something that was met on the poller, as
 * an Ack that waits for more to acknowledge. A timer of the loop would wake the
 * loop twice, to be told of it and when it is due, and then the poller, which
 * hears that the message is gone. Setting an alarm wakes nobody.
 *
 * Threads: any. Set on the poller it comes as exactly as a timer. Set elsewhere
 * it is noticed when the poller wakes next, which may take a second more than
 * was asked for. */
#ifndef RPC_ALARM_H
#define RPC_ALARM_H

#include "rpc/rpc.h"

struct rpc_alarm;
/* `fn` runs on the poller: it must not block. */
struct rpc_alarm *rpc_alarm_new(struct rpc *rpc, void (*fn)(void *ctx),
                                void *ctx);
/* One call at `at_ms` (monotonic) or soon after it, unless an earlier one is
 * due already. May be called by `fn`. */
void rpc_alarm_at(struct rpc_alarm *alarm, int64_t at_ms);
/* Waits for a call under way, so not from `fn` nor under a lock that it takes;
 * none comes afterwards. Before rpc_close(). */
void rpc_alarm_free(struct rpc_alarm **alarm);

#endif
