#include "cli/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "health/health.h"
#include "sync/sync.h"

/* ---- the format ---- */

enum kind { GAUGE, COUNTER };

static void put_head(struct buf *out, const char *name, enum kind kind,
                     const char *help)
{
    buf_putf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
             kind == COUNTER ? "counter" : "gauge");
}

/* Label values are words of this program, codes of offices and version
 * numbers; whatever else an answer holds is left out, so none needs quoting. */
static const char *plain(const char *text)
{
    size_t n = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz"
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ.+-_");
    return text[n] == 0 && n > 0 && n <= 64 ? text : "other";
}

static void put_sample(struct buf *out, const char *name, const char *label,
                       const char *value)
{
    buf_put_str(out, name);
    if (label != NULL) {
        buf_putf(out, "{%s=\"%s\"}", label, plain(value));
    }
    buf_put_str(out, " ");
}

static void put_int(struct buf *out, long long v)
{
    buf_putf(out, "%lld\n", v);
}

static void put_ms(struct buf *out, long long ms)
{
    buf_putf(out, "%s%lld.%03lld\n", ms < 0 ? "-" : "", llabs(ms) / 1000,
             llabs(ms) % 1000);
}

/* ---- one number of the answer each ---- */

enum unit { NUMBER, MILLISECONDS };

/* Rows of one name follow each other; the help text is the first's, which the
 * answer has if it has one of them. A number that it lacks is no sample. */
static const struct metric {
    const char *name;
    const char *help;
    const char *object; /* of the answer; "a.b": b of a */
    const char *key;
    enum kind kind;
    enum unit unit;
    const char *label;
    const char *value;
} metrics[] = {
    {"creditnode_start_time_seconds", "When the node started, Unix time.",
     "node", "started_ms", GAUGE, MILLISECONDS, NULL, NULL},
    {"creditnode_process_writes",
     "1 if this process of the node writes, 0 if it stands by.", "process",
     "writes", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_root_version", "Version of the root document in force.",
     "root", "version", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_certificate_end_time_seconds",
     "When the certificate in use ends, Unix time; 0: there is none.",
     "certificates", "tls_ms", GAUGE, MILLISECONDS, "use", "tls"},
    {"creditnode_certificate_end_time_seconds", NULL, "certificates", "sign_ms",
     GAUGE, MILLISECONDS, "use", "sign"},
    {"creditnode_certificate_end_time_seconds", NULL, "certificates", "seal_ms",
     GAUGE, MILLISECONDS, "use", "seal"},
    {"creditnode_store_writable", "1 if the store takes entries.", "store",
     "writable", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_store_damaged", "1 if stored data is damaged.", "store",
     "damaged", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_store_entries", "Entries held, by where they are from.",
     "store", "own_entries", GAUGE, NUMBER, "from", "own"},
    {"creditnode_store_entries", NULL, "store", "received_entries", GAUGE,
     NUMBER, "from", "received"},
    {"creditnode_store_logs", "Logs held, by state.", "store.states", "active",
     GAUGE, NUMBER, "state", "active"},
    {"creditnode_store_logs", NULL, "store.states", "closed", GAUGE, NUMBER,
     "state", "closed"},
    {"creditnode_store_logs", NULL, "store.states", "pulling", GAUGE, NUMBER,
     "state", "pulling"},
    {"creditnode_store_logs", NULL, "store.states", "forked", GAUGE, NUMBER,
     "state", "forked"},
    {"creditnode_store_size_bytes", "Room that the store takes.", "store",
     "bytes_on_disk", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_store_free_bytes", "Room that is left for it.", "store",
     "free_bytes", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_store_queue_length", "What waits for the next commit.",
     "store", "queued", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_store_issues", "Entries without effect here.", "store",
     "issues", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_store_commits_total", "Commits since the start.", "store",
     "commits", COUNTER, NUMBER, NULL, NULL},
    {"creditnode_lists_stale", "Authorities of whose lists there is no news.",
     "lists", "stale", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_lists_unproven",
     "Authorities whose lists come, but by this clock are of another time.",
     "lists", "unproven", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_uplink_behind_entries",
     "Entries held here that the parent has not acknowledged.", "uplink",
     "behind_entries", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_uplink_behind_logs", "Logs with such entries.", "uplink",
     "behind_logs", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_uplink_stopped_logs", "Logs that do not rise any further.",
     "uplink.stuck", "logs", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_uplink_stopped_seconds", "For how long the longest does not.",
     "uplink.stuck", "for_ms", GAUGE, MILLISECONDS, NULL, NULL},
    {"creditnode_uplink_in_flight_bytes", "Sent and not acknowledged.",
     "uplink", "in_flight_bytes", GAUGE, NUMBER, NULL, NULL},
    {"creditnode_uplink_sent_entries_total", "Entries sent since the start.",
     "uplink", "sent_entries", COUNTER, NUMBER, NULL, NULL},
    {"creditnode_uplink_sent_bytes_total", "Bytes sent since the start.",
     "uplink", "sent_bytes", COUNTER, NUMBER, NULL, NULL},
    {"creditnode_uplink_transfers_total",
     "Logs by how their transfer to the parent began or ended, since the "
     "start.",
     "uplink", "full", COUNTER, NUMBER, "kind", "full"},
    {"creditnode_uplink_transfers_total", NULL, "uplink", "incremental",
     COUNTER, NUMBER, "kind", "incremental"},
    {"creditnode_uplink_transfers_total", NULL, "uplink", "resumed", COUNTER,
     NUMBER, "kind", "resumed"},
    {"creditnode_uplink_transfers_total", NULL, "uplink", "restored", COUNTER,
     NUMBER, "kind", "restored"},
    {"creditnode_uplink_transfers_total", NULL, "uplink", "forked", COUNTER,
     NUMBER, "kind", "forked"},
    {"creditnode_parent_clock_skew_seconds",
     "The parent's clock minus this one.", "uplink", "clock_skew_ms", GAUGE,
     MILLISECONDS, NULL, NULL},
    {"creditnode_views_behind_entries",
     "Entries that are not in the views for SQL yet.", "views", "behind", GAUGE,
     NUMBER, NULL, NULL},
    {"creditnode_views_late_seconds", "Age of the oldest of them.", "views",
     "late_ms", GAUGE, MILLISECONDS, NULL, NULL},
};

/* NULL: the answer has no such object. */
static json_t *object_at(json_t *status, const char *path)
{
    const char *dot = strchr(path, '.');
    char first[32];
    if (dot == NULL) {
        return json_object_get(status, path);
    }
    (void)snprintf(first, sizeof first, "%.*s", (int)(dot - path), path);
    return json_object_get(json_object_get(status, first), dot + 1);
}

/* False: it is no number. */
static bool number_of(json_t *v, long long *out)
{
    *out = json_is_true(v) ? 1 : (long long)json_integer_value(v);
    return json_is_integer(v) || json_is_boolean(v);
}

static void put_number(struct buf *out, enum unit unit, long long n)
{
    if (unit == MILLISECONDS) {
        put_ms(out, n);
    } else {
        put_int(out, n);
    }
}

static void put_metrics(json_t *status, struct buf *out)
{
    const char *begun = "";
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
        const struct metric *m = &metrics[i];
        long long n;
        if (!number_of(json_object_get(object_at(status, m->object), m->key),
                       &n)) {
            continue;
        }
        if (strcmp(begun, m->name) != 0) {
            begun = m->name;
            put_head(out, m->name, m->kind, m->help);
        }
        put_sample(out, m->name, m->label, m->value);
        put_number(out, m->unit, n);
    }
}

/* ---- words ---- */

static int level_of(const char *name)
{
    int level = HEALTH_OK;
    while (level < HEALTH_ALARM &&
           strcmp(health_level_name((enum health_level)level), name) != 0) {
        level++;
    }
    return level;
}

/* The worst of the reasons with this id. */
static int reason_level(json_t *reasons, const char *id)
{
    size_t i;
    json_t *r;
    int worst = HEALTH_OK;
    json_array_foreach(reasons, i, r)
    {
        int level = level_of(cli_text(r, "level"));
        if (strcmp(cli_text(r, "id"), id) == 0 && level > worst) {
            worst = level;
        }
    }
    return worst;
}

static void put_health(json_t *health, struct buf *out)
{
    static const char name[] = "creditnode_health_reason";
    put_head(out, "creditnode_health", GAUGE, "State: 0 ok, 1 warn, 2 alarm.");
    put_sample(out, "creditnode_health", NULL, NULL);
    put_int(out, level_of(cli_text(health, "state")));
    put_head(out, name, GAUGE, "Each reason: 0 none, 1 warn, 2 alarm.");
    for (size_t i = 0; health_reason_ids[i] != NULL; i++) {
        put_sample(out, name, "reason", health_reason_ids[i]);
        put_int(out, reason_level(json_object_get(health, "reasons"),
                                  health_reason_ids[i]));
    }
}

static void put_info(json_t *node, struct buf *out)
{
    put_head(out, "creditnode_info", GAUGE, "The node, and its program.");
    buf_putf(out, "creditnode_info{code=\"%s\",tier=\"%s\",version=\"%s\"} 1\n",
             plain(cli_text(node, "code")), plain(cli_text(node, "tier")),
             plain(cli_text(node, "version")));
}

static void put_uplink_state(json_t *uplink, struct buf *out)
{
    static const char name[] = "creditnode_uplink_state";
    if (!json_is_object(uplink)) {
        return;
    }
    put_head(out, name, GAUGE, "1 for the state of the line to the parent.");
    for (int i = 0; i < UPLINK_STATES; i++) {
        const char *state = uplink_state_name((enum uplink_state)i);
        put_sample(out, name, "state", state);
        put_int(out, strcmp(cli_text(uplink, "state"), state) == 0);
    }
}

/* ---- lists of the answer ---- */

/* One sample a child. */
static const struct {
    const char *name;
    const char *help;
    const char *key;
    enum kind kind;
    enum unit unit;
} of_children[] = {
    {"creditnode_child_connected", "1 if the child is connected.", "connected",
     GAUGE, NUMBER},
    {"creditnode_child_silent_seconds", "How long nothing was heard of it.",
     "silent_ms", GAUGE, MILLISECONDS},
    {"creditnode_child_clock_skew_seconds", "Its clock minus this one.",
     "clock_skew_ms", GAUGE, MILLISECONDS},
    {"creditnode_child_received_entries_total",
     "Entries taken from it since the start.", "received_entries", COUNTER,
     NUMBER},
    {"creditnode_child_refused_total",
     "What was refused of it since the start.", "refused", COUNTER, NUMBER},
};

static void put_children(json_t *status, struct buf *out)
{
    json_t *children = json_object_get(status, "children");
    size_t k;
    json_t *c;
    for (size_t i = 0; i < ARRAY_LEN(of_children); i++) {
        if (json_array_size(children) > 0) {
            put_head(out, of_children[i].name, of_children[i].kind,
                     of_children[i].help);
        }
        json_array_foreach(children, k, c)
        {
            long long n;
            (void)number_of(json_object_get(c, of_children[i].key), &n);
            put_sample(out, of_children[i].name, "child", cli_text(c, "code"));
            put_number(out, of_children[i].unit, n);
        }
    }
    put_head(out, "creditnode_children_silent", GAUGE,
             "Children that are silent for too long, also since before the "
             "start.");
    put_sample(out, "creditnode_children_silent", NULL, NULL);
    put_int(out, (long long)json_array_size(
                     json_object_get(status, "silent_children")));
}

static void put_exchange(json_t *tables, struct buf *out)
{
    static const struct {
        const char *name;
        const char *help;
    } sums[] = {
        {"creditnode_exchange_waiting_rows",
         "Rows of exchange tables that are not taken in yet."},
        {"creditnode_exchange_stuck_rows", "Rows that cannot be marked."},
        {"creditnode_exchange_stopped_tables", "Tables that are not taken in."},
    };
    long long sum[ARRAY_LEN(sums)] = {0};
    size_t i;
    json_t *t;
    if (json_array_size(tables) == 0) {
        return;
    }
    json_array_foreach(tables, i, t)
    {
        sum[0] += cli_int(t, "waiting");
        sum[1] += cli_int(t, "stuck");
        sum[2] += cli_text(t, "why")[0] != 0;
    }
    for (i = 0; i < ARRAY_LEN(sums); i++) {
        put_head(out, sums[i].name, GAUGE, sums[i].help);
        put_sample(out, sums[i].name, NULL, NULL);
        put_int(out, sum[i]);
    }
}

void metrics_put(json_t *status, struct buf *out)
{
    put_head(out, "creditnode_up", GAUGE, "1 if the node answered.");
    put_sample(out, "creditnode_up", NULL, NULL);
    put_int(out, status != NULL);
    if (status == NULL) {
        return;
    }
    put_info(json_object_get(status, "node"), out);
    put_health(json_object_get(status, "health"), out);
    put_uplink_state(json_object_get(status, "uplink"), out);
    put_metrics(status, out);
    put_children(status, out);
    put_exchange(json_object_get(status, "exchange"), out);
}
