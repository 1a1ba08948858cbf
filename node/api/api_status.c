/* The state of the node: gathers what health_judge() weighs, and shows both. */
#include "api/status.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/directives.h"
#include "api/json.h"
#include "base/clock.h"
#include "ident/rootchain.h"

/* ---- gathering ---- */

enum { LOG_STATES = LOG_FORKED + 1 };

struct log_facts {
    uint64_t own_entries;
    uint64_t received_entries;
    uint64_t count;
    uint64_t in_state[LOG_STATES];
};

static bool count_log(void *ctx, const struct store_head *head)
{
    struct log_facts *f = ctx;
    f->count++;
    *(head->own ? &f->own_entries : &f->received_entries) +=
        head->frontier.size;
    f->in_state[head->state]++;
    return true;
}

static bool widest_skew(void *ctx, const struct child_status *child)
{
    int64_t *widest = ctx;
    int64_t skew_ms = child->connected ? child->clock_skew_ms : 0;
    if (llabs(skew_ms) > llabs(*widest)) {
        *widest = skew_ms;
    }
    return true;
}

int64_t status_skew_ms(const struct api_env *env)
{
    struct uplink_status uplink = {.state = UPLINK_IDLE};
    if (env->uplink != NULL) {
        uplink_status(env->uplink, &uplink);
    }
    int64_t widest = uplink.clock_skew_ms;
    if (env->downlink != NULL) {
        downlink_children(env->downlink, widest_skew, &widest);
    }
    return widest;
}

/* Of the certificate in use now: it may have been renewed since the start. */
static int64_t tls_not_after_ms(const struct api_env *env)
{
    uint64_t generation;
    return env->tls->get(env->tls->ctx, &generation)->self.not_after_ms;
}

struct root_facts {
    struct errmsg ca;
    struct errmsg fork;
};

/* The files are read anew: they may have been changed since the start. */
static void look_at_root(const struct api_env *env, struct root_facts *out)
{
    const struct conf *conf = atomic_load(&env->conf);
    const struct rootdoc *doc = rootchain_newest(env->roots);
    *out = (struct root_facts){.ca = {""}};
    if (rootdoc_check_ca(doc, conf->tls.ca, &out->ca) == ERR_OK &&
        rootdoc_check_ca(doc, conf->trust.ca, &out->ca) == ERR_OK) {
        out->ca.text[0] = 0;
    }
    rootchain_fork(env->roots, &out->fork);
}

static void count_lists(const struct api_env *env, struct health_facts *out)
{
    struct lists_view view;
    lists_view_take(env->store, &view);
    for (size_t i = 0; i < view.n; i++) {
        struct freshness f;
        lists_fresh(env, &view.logs[i], &f);
        out->stale_lists += f.state == FRESH_STALE;
        out->unproven_lists += f.state == FRESH_CLOCK;
    }
    lists_view_fini(&view);
    if (env->follow != NULL) {
        struct follow_status st;
        follow_status(env->follow, &st);
        out->parent_offers_older = st.behind;
    }
    out->other_histories = receipts_disagree(env->sync->receipts);
    out->lost_lists = feed_lost(env->feed, &out->lost_lists_child);
}

/* Returns why one of them is stopped, "" if none is. */
static void count_exchange(const struct api_env *env, char *why, size_t cap,
                           struct health_facts *out)
{
    why[0] = 0;
    for (size_t i = 0; i < exchange_count(env->exchange); i++) {
        struct exchange_stats st;
        exchange_stats(env->exchange, i, &st);
        out->exchange_stuck += st.stuck;
        out->exchange_stopped += st.why[0] != 0;
        if (st.why[0] != 0) {
            (void)snprintf(why, cap, "%s", st.why);
        }
    }
    out->exchange_why = why;
}

/* Children of which nothing is heard; the longest silent one is named. */
struct silent {
    json_t *list;
    struct health_facts *facts;
};

static void on_silent(void *ctx, uint64_t code, int64_t for_ms)
{
    struct silent *s = ctx;
    s->facts->silent_children++;
    if (for_ms > s->facts->silent_for_ms) {
        s->facts->silent_for_ms = for_ms;
        s->facts->silent_child = code;
    }
    (void)json_array_append_new(s->list,
                                json_pack("{s:o, s:I}", "code", json_code(code),
                                          "for_ms", (json_int_t)for_ms));
}

/* Beside the process that writes no child is to be heard. */
static json_t *find_silent(const struct api_env *env, struct health_facts *out)
{
    struct silent s = {json_array(), out};
    int64_t silence_ms = atomic_load(&env->conf)->replication.silence_ms;
    if (env->writes) {
        downlink_silent(env->downlink, HEALTH_SILENCES * silence_ms, on_silent,
                        &s);
    }
    return s.list;
}

/* What health_judge() weighs; borrows from the other arguments. */
static void gather_facts(const struct api_env *env,
                         const struct log_facts *logs,
                         const struct uplink_status *uplink,
                         const struct root_facts *root, const char *stuck_log,
                         struct health_facts *out)
{
    *out = (struct health_facts){.now_ms = clock_wall_ms(),
                                 .has_parent = env->uplink != NULL,
                                 .connected = uplink->state == UPLINK_STREAMING,
                                 .connected_since_ms = uplink->since_ms,
                                 .connect_error = uplink->error,
                                 .forked_logs = logs->in_state[LOG_FORKED],
                                 .pulling_logs = logs->in_state[LOG_PULLING],
                                 .tls_not_after_ms = tls_not_after_ms(env),
                                 .sign_not_after_ms = env->sign_not_after_ms,
                                 .seal_not_after_ms = env->seal_not_after_ms,
                                 .root_ca = root->ca.text,
                                 .root_fork = root->fork.text,
                                 .parent_skew_ms = uplink->clock_skew_ms,
                                 .stuck_logs = uplink->stuck_logs,
                                 .stuck_for_ms = uplink->stuck_for_ms,
                                 .stuck_log = stuck_log,
                                 .stuck_why = uplink->stuck_why};
    count_lists(env, out);
    store_stats(env->store, &out->store);
    views_stats(env->views, &out->views);
    downlink_children(env->downlink, widest_skew, &out->child_skew_ms);
}

/* ---- showing ---- */

/* Null: this node has no exchange. */
static json_t *exchange_json(const struct api_env *env)
{
    size_t n = exchange_count(env->exchange);
    json_t *tables = n > 0 ? json_array() : json_null();
    for (size_t i = 0; i < n; i++) {
        struct exchange_stats st;
        exchange_stats(env->exchange, i, &st);
        json_t *table = json_pack(
            "{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "table",
            json_text(st.table), "item", json_text(st.item), "why",
            json_text(st.why), "looked_at_ms", (json_int_t)st.looked_at_ms,
            "waiting", (json_int_t)st.waiting, "marked_again",
            (json_int_t)st.marked_again, "moved", (json_int_t)st.moved, "stuck",
            (json_int_t)st.stuck);
        for (int o = 0; o < ROW_OUTCOMES; o++) {
            (void)json_object_set_new(table,
                                      row_outcome_name((enum row_outcome)o),
                                      json_integer((json_int_t)st.rows[o]));
        }
        (void)json_array_append_new(tables, table);
    }
    return tables;
}

static json_t *process_json(const struct api_env *env)
{
    struct lease_status st;
    if (env->lease == NULL) {
        return json_null();
    }
    lease_status(env->lease, &st);
    return json_pack("{s:o, s:b, s:I, s:o, s:o, s:o}", "name",
                     json_text(atomic_load(&env->conf)->node.process), "writes",
                     st.held, "term", (json_int_t)st.term, "writer",
                     json_text(st.name), "address", json_text(st.address),
                     "error", json_text(st.error));
}

static json_t *health_json(const struct health_report *report)
{
    json_t *reasons = json_array();
    for (size_t i = 0; i < report->count; i++) {
        (void)json_array_append_new(
            reasons, json_pack("{s:s, s:s, s:o, s:o}", "level",
                               health_level_name(report->reason[i].level), "id",
                               report->reason[i].id, "text",
                               json_text(report->reason[i].text), "text_zh",
                               json_text(report->reason[i].text_zh)));
    }
    return json_pack("{s:s, s:o}", "state", health_level_name(report->level),
                     "reasons", reasons);
}

static json_t *stuck_json(const struct uplink_status *u, const char *log)
{
    return json_pack("{s:I, s:I, s:s, s:o}", "logs", (json_int_t)u->stuck_logs,
                     "for_ms", (json_int_t)u->stuck_for_ms, "log", log, "why",
                     json_text(u->stuck_why));
}

static json_t *uplink_json(const struct uplink_status *u, const char *stuck_log)
{
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:I, s:I, s:I, s:I, s:I, s:o}",
        "state", uplink_state_name(u->state), "parent",
        json_code(u->parent_code), "peer", json_text(u->peer), "error",
        json_text(u->error), "since_ms", (json_int_t)u->since_ms, "retry_at_ms",
        (json_int_t)u->retry_at_ms, "behind_entries",
        (json_int_t)u->behind_entries, "behind_logs",
        (json_int_t)u->behind_logs, "stopped_logs", (json_int_t)u->stopped_logs,
        "in_flight_bytes", (json_int_t)u->in_flight_bytes, "sent_entries",
        (json_int_t)u->sent_entries, "sent_bytes", (json_int_t)u->sent_bytes,
        "full", (json_int_t)u->full, "incremental", (json_int_t)u->incremental,
        "resumed", (json_int_t)u->resumed, "restored", (json_int_t)u->restored,
        "forked", (json_int_t)u->forked, "clock_skew_ms",
        (json_int_t)u->clock_skew_ms, "stuck", stuck_json(u, stuck_log));
}

/* null: this node keeps no views. */
static json_t *views_json(const struct api_env *env)
{
    struct views_stats st;
    views_stats(env->views, &st);
    return st.on ? json_pack(
                       "{s:I, s:I, s:I, s:o}", "behind", (json_int_t)st.behind,
                       "late_ms", (json_int_t)st.late_ms, "skipped",
                       (json_int_t)st.skipped, "waits_for", json_text(st.why))
                 : json_null();
}

static json_t *states_json(const struct log_facts *logs)
{
    json_t *states = json_object();
    for (int i = LOG_ACTIVE; i < LOG_STATES; i++) {
        (void)json_object_set_new(states, log_state_name((enum log_state)i),
                                  json_u64(logs->in_state[i]));
    }
    return states;
}

static json_t *store_json(const struct store_stats *s,
                          const struct log_facts *logs)
{
    return json_pack(
        "{s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:b, s:o}",
        "logs", (json_int_t)logs->count, "states", states_json(logs),
        "own_entries", (json_int_t)logs->own_entries, "received_entries",
        (json_int_t)logs->received_entries, "bytes_on_disk",
        (json_int_t)s->bytes_on_disk, "free_bytes", (json_int_t)s->free_bytes,
        "queued", (json_int_t)s->queued, "commits", (json_int_t)s->commits,
        "issues", (json_int_t)s->issues, "writable", s->writable ? 1 : 0, "why",
        json_text(s->why), "damaged", s->damaged ? 1 : 0, "damage",
        json_text(s->damage));
}

static json_t *list_counts_json(const struct health_facts *f)
{
    return json_pack("{s:I, s:I, s:I, s:b}", "stale",
                     (json_int_t)f->stale_lists, "unproven",
                     (json_int_t)f->unproven_lists, "other_histories",
                     (json_int_t)f->other_histories, "parent_offers_older",
                     f->parent_offers_older ? 1 : 0);
}

/* When they end; 0: there is none. */
static json_t *certificates_json(const struct health_facts *f)
{
    return json_pack("{s:I, s:I, s:I}", "tls_ms",
                     (json_int_t)f->tls_not_after_ms, "sign_ms",
                     (json_int_t)f->sign_not_after_ms, "seal_ms",
                     (json_int_t)f->seal_not_after_ms);
}

static bool add_child(void *ctx, const struct child_status *c)
{
    json_t *object = json_pack(
        "{s:o, s:s, s:s, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, "
        "s:o}",
        "code", json_code(c->peer.code), "tier", tier_name(c->peer.tier),
        "tier_zh", tier_name_zh(c->peer.tier), "address", json_text(c->address),
        "connected", c->connected ? 1 : 0, "since_ms", (json_int_t)c->since_ms,
        "last_message_ms", (json_int_t)c->last_message_ms, "silent_ms",
        (json_int_t)c->silent_ms, "clock_skew_ms", (json_int_t)c->clock_skew_ms,
        "logs", (json_int_t)c->logs, "received_entries",
        (json_int_t)c->received_entries, "refused", (json_int_t)c->refused,
        "last_refusal", json_text(c->last_refusal), "version",
        json_text(c->version));
    (void)json_array_append_new(ctx, object);
    return true;
}

enum err status_cmd(void *ctx, struct admin_call *call, json_t *args,
                    json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct health_facts facts;
    struct health_report report;
    struct log_facts logs = {0};
    struct root_facts root;
    (void)call;
    (void)args;
    (void)why;
    struct uplink_status uplink = {.state = UPLINK_IDLE};
    if (env->uplink != NULL) {
        uplink_status(env->uplink, &uplink);
    }
    char stuck_log[LOG_ID_TEXT_MAX] = "";
    if (uplink.stuck_logs > 0) {
        log_id_format(&uplink.stuck_log, stuck_log);
    }
    store_logs(env->store, count_log, &logs);
    look_at_root(env, &root);
    gather_facts(env, &logs, &uplink, &root, stuck_log, &facts);
    json_t *silent = find_silent(env, &facts);
    char exchange_why[EXCHANGE_WHY_MAX];
    count_exchange(env, exchange_why, sizeof exchange_why, &facts);
    health_judge(&facts, &report);
    json_t *children = json_array();
    downlink_children(env->downlink, add_child, children);
    *result = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "node",
        json_node(env), "process", process_json(env), "health",
        health_json(&report), "root", json_root(rootchain_newest(env->roots)),
        "store", store_json(&facts.store, &logs), "views", views_json(env),
        "exchange", exchange_json(env), "lists", list_counts_json(&facts),
        "certificates", certificates_json(&facts), "uplink",
        facts.has_parent ? uplink_json(&uplink, stuck_log) : json_null(),
        "children", children, "silent_children", silent);
    return ERR_OK;
}
