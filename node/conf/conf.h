/* conf.h - the configuration of one node.
 *
 * Options are rows of one table (conf_schema.c); the same rows parse and check
 * a file, print what is in effect, write docs/config.md and tell what a reload
 * changed. Each module is handed its own const part; there is no global.
 *
 * Text is never NULL: an option that is off is "". Relative paths are taken
 * from the folder of the file they stand in, so what is here is absolute.
 * Enumerations have the numbers of the module they belong to.
 *
 * Threads: a struct conf is immutable once loaded. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/buf.h"
#include "base/log.h"

struct conf_node {
    uint64_t code;    /* 12-digit division code as a number */
    int tier;         /* enum tier (GB/T 12404): 10 national … 70 village */
    const char *name; /* for people, UTF-8 */
    const char *process; /* one of several over one database; "": the only */
};

struct conf_federation {
    const char *name;
    int suite; /* enum suite: 1 intl, 2 gm */
    const char *root_document;
    uint8_t root_hash[32]; /* SHA-256 of version 1 of the root document */
};

struct conf_data {
    const char *dir;
};

struct conf_listen {
    const char *address; /* host:port, port 0: any free one; "": none */
};

struct conf_parent {
    const char *address; /* host:port; "": this node is the top */
    uint64_t code;       /* 0: derive it from the division code */
};

struct conf_tls {
    const char *ca;
    const char *cert;
    const char *key;
};

/* A certificate for signing or sealing and its private key. */
struct conf_identity {
    const char *cert;
    const char *key;
};

struct conf_trust {
    const char *ca;
    const char *revoked; /* "": none */
};

enum conf_repair { CONF_REPAIR_AUTO = 1, CONF_REPAIR_MANUAL = 2 };
enum conf_backend { CONF_BACKEND_EMBEDDED = 1, CONF_BACKEND_MARIADB = 2 };

struct conf_store {
    int backend; /* enum conf_backend */
    uint64_t cache_bytes;
    uint64_t write_buffer_bytes;
    uint64_t reserve_bytes;
    uint32_t queue_max;
    uint64_t queue_bytes_max;
    uint32_t scrub_interval_ms; /* 0: never */
    int repair;                 /* enum conf_repair */
};

/* How to come to a database on a MariaDB server; "" is nothing. */
struct conf_server {
    const char *socket;
    const char *address; /* host:port */
    const char *database;
    const char *user;
    const char *password_file;
    const char *tls_ca;
    const char *tls_cert;
    const char *tls_key;
    uint32_t connect_ms;
    uint32_t timeout_ms;
};

/* Of store.backend "mariadb". */
struct conf_mariadb {
    struct conf_server server;
    uint32_t connections;
    int views; /* 0: off */
    uint32_t lease_ms;
};

struct conf_replication {
    uint64_t segment_bytes;
    uint64_t window_bytes;
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    uint32_t greeting_ms;
    uint32_t silence_ms;
    uint32_t ack_relay_ms;
    uint32_t full_retry_ms;
    uint32_t renew_ms;
    uint32_t first_log_ms;
    uint32_t logs_max; /* a child */
};

/* A node whose parent is not the one its code's prefix names. */
struct conf_child {
    uint64_t code;
    uint64_t parent;
};

struct conf_children {
    const struct conf_child *items;
    size_t count;
};

struct conf_inbox {
    const char *path; /* "": off */
    uint32_t interval_ms;
    uint32_t settle_ms;
};

/* A table that a department writes. */
struct conf_exchange_table {
    const char *table;
    const char *item; /* of the catalogue */
    int digest;       /* 1: every row must have one */
};
struct conf_exchange_tables {
    const struct conf_exchange_table *items;
    size_t count; /* 0: there is no exchange */
};
struct conf_exchange {
    struct conf_server server;
    struct conf_exchange_tables tables;
    uint32_t interval_ms;
    uint32_t batch_max;
};

struct conf_ingest {
    uint32_t batch_max;
    uint64_t file_max_bytes;
};

struct conf_rpc {
    uint32_t workers;
    uint64_t quota_bytes;
    uint32_t calls_max;
    uint32_t keepalive_ms;
    uint32_t keepalive_timeout_ms;
    uint32_t handshake_timeout_ms;
    uint32_t idle_ms;
};

struct conf_admin {
    const char *socket;
};

struct conf_log {
    int level; /* enum log_level */
};

/* What an app may do; bits of conf_app.scopes. */
enum conf_scope {
    SCOPE_PUBLIC = 1 << 0,
    SCOPE_SHARED = 1 << 1,
    SCOPE_AUTHORISED = 1 << 2,
    SCOPE_INGEST = 1 << 3,
    SCOPE_FEEDBACK = 1 << 4,
};

struct conf_app {
    const char *name; /* as in its certificate */
    unsigned scopes;
    uint8_t key[32]; /* SHA-256 of its public key (SPKI) */
};

/* An app or operator that is not listed may do nothing. */
struct conf_apps {
    const struct conf_app *items;
    size_t count;
};

struct conf_origins;

struct conf {
    struct conf_node node;
    struct conf_federation federation;
    struct conf_data data;
    struct conf_listen listen;
    struct conf_parent parent;
    struct conf_tls tls;
    struct conf_identity sign;
    struct conf_identity seal;
    struct conf_trust trust;
    struct conf_store store;
    struct conf_mariadb mariadb;
    struct conf_replication replication;
    struct conf_children children;
    struct conf_inbox inbox;
    struct conf_exchange exchange;
    struct conf_ingest ingest;
    struct conf_rpc rpc;
    struct conf_admin admin;
    struct conf_log log;
    struct conf_apps apps;
    struct conf_origins *origins; /* private: where each value came from */
};

enum { CONF_ERRORS_MAX = 20 };

struct conf_errors {
    size_t count; /* all that were found; the first ones stand in `at` */
    struct errmsg at[CONF_ERRORS_MAX]; /* "file:line: what; what to do" */
};

/* Reads the file and what it includes, then puts `n` overrides "path=value"
 * over it (the last of equal paths wins). Checks everything it can without
 * opening certificates, and reports all faults, not only the first. The caller
 * owns *out. ERR_CONF: *out is NULL and errors->count ≥ 1. */
MUST_USE enum err conf_load(struct conf **out, const char *path,
                            const char *const *overrides, size_t n,
                            struct conf_errors *errors);
/* NULL is allowed. */
void conf_free(struct conf **conf);

/* Where the option's value came from: "default", "--set" or "file:line".
 * Writes to and returns `out->text`. `path` must be an option. */
const char *conf_origin(const struct conf *conf, const char *path,
                        struct errmsg *out);

enum conf_form {
    CONF_FORM_FILE, /* as a file that conf_load() reads back to the same */
    CONF_FORM_JSON, /* one object, option path -> value */
};
/* Appends the settings in effect; `with_origin` adds where each came from (a
 * comment; in JSON each value becomes {"value": …, "origin": …}). */
void conf_print(const struct conf *conf, enum conf_form form, bool with_origin,
                struct buf *out);

/* Appends docs/config.md. */
void conf_markdown(struct buf *out);

/* Calls `fn` for each option that differs, with both values as text (borrowed
 * until `fn` returns). `restart`: the running node cannot take it over. */
typedef void conf_changed_fn(void *ctx, const char *path, const char *before,
                             const char *after, bool restart);
void conf_diff(const struct conf *before, const struct conf *after,
               conf_changed_fn *fn, void *ctx);

#endif
