#include "conf/conf_schema.h"

#include <string.h>

#include "base/mem.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)
#define SECOND ((uint64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

const struct conf_choice conf_tiers[CONF_TIERS + 1] = {
    {"national", 10}, {"province", 20}, {"city", 40}, {"county", 50},
    {"township", 60}, {"village", 70},  {NULL, 0},
};

static const struct conf_choice suites[] = {{"intl", 1}, {"gm", 2}, {NULL, 0}};

static const struct conf_choice switches[] = {
    {"off", 0},
    {"on", 1},
    {NULL, 0},
};
static const struct conf_choice backends[] = {
    {"embedded", CONF_BACKEND_EMBEDDED},
    {"mariadb", CONF_BACKEND_MARIADB},
    {NULL, 0},
};

static const struct conf_choice repairs[] = {
    {"auto", CONF_REPAIR_AUTO},
    {"manual", CONF_REPAIR_MANUAL},
    {NULL, 0},
};

static const struct conf_choice levels[] = {
    {"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO},
    {"debug", LOG_DEBUG}, {NULL, 0},
};

static const struct conf_choice scopes[] = {
    {"public", SCOPE_PUBLIC},         {"shared", SCOPE_SHARED},
    {"authorised", SCOPE_AUTHORISED}, {"ingest", SCOPE_INGEST},
    {"feedback", SCOPE_FEEDBACK},     {NULL, 0},
};

/* Defaults that follow the size of the office: national, province, city,
 * county, township, village. */
static const char *const by_tier_listen[CONF_TIERS] = {
    "0.0.0.0:7460", "0.0.0.0:7460", "0.0.0.0:7460",
    "0.0.0.0:7460", "0.0.0.0:7460", ""};
static const char *const by_tier_cache[CONF_TIERS] = {
    "512 MiB", "512 MiB", "256 MiB", "64 MiB", "24 MiB", "12 MiB"};
static const char *const by_tier_write_buffer[CONF_TIERS] = {
    "128 MiB", "128 MiB", "64 MiB", "16 MiB", "8 MiB", "8 MiB"};
static const char *const by_tier_queue_bytes[CONF_TIERS] = {
    "128 MiB", "128 MiB", "64 MiB", "32 MiB", "16 MiB", "8 MiB"};
static const char *const by_tier_workers[CONF_TIERS] = {"8", "8", "4",
                                                        "4", "2", "2"};
/* A connected child takes 24 KiB of it. */
static const char *const by_tier_quota[CONF_TIERS] = {
    "128 MiB", "128 MiB", "128 MiB", "64 MiB", "32 MiB", "32 MiB"};

/* The offset of a field, and a compile error if its type is another. A type
 * and a member cannot be parenthesised.
 * NOLINTBEGIN(bugprone-macro-parentheses) */
#define FIELD(of, type, member)                                                \
    .offset =                                                                  \
        offsetof(struct of, member) +                                          \
        0 * sizeof(char[_Generic(&((struct of *)0)->member, type * : 1)])

#define AT_INT(member) .type = CONF_INT, FIELD(conf, uint32_t, member)
#define AT_SIZE(member) .type = CONF_SIZE, FIELD(conf, uint64_t, member)
#define AT_DURATION(member) .type = CONF_DURATION, FIELD(conf, uint32_t, member)
#define AT_STRING(member) .type = CONF_STRING, FIELD(conf, const char *, member)
#define AT_NAME(member) .type = CONF_NAME, FIELD(conf, const char *, member)
#define AT_PATH(member) .type = CONF_PATH, FIELD(conf, const char *, member)
#define AT_CODE(member) .type = CONF_CODE, FIELD(conf, uint64_t, member)
#define AT_ADDRESS(member)                                                     \
    .type = CONF_ADDRESS, FIELD(conf, const char *, member)
#define AT_ADDRESSES(member)                                                   \
    .type = CONF_ADDRESSES, FIELD(conf, const char *, member)
#define AT_HASH(member)                                                        \
    .type = CONF_HASH,                                                         \
    .offset = offsetof(struct conf, member) +                                  \
              0 * sizeof(char[_Generic(&((struct conf *)0)->member,            \
                                       uint8_t(*)[32] : 1)])
#define AT_ENUM(member, names)                                                 \
    .type = CONF_ENUM, .choices = (names), FIELD(conf, int, member)
#define AT_LIST(member, of)                                                    \
    .type = CONF_LIST, .list = &(of), FIELD(conf, struct conf_##member, member)

/* NOLINTEND(bugprone-macro-parentheses) */

#define PATH_BYTES_MAX 1024
#define SERVERS_MAX 8
#define PARENTS_MAX 8
/* struct sockaddr_un has 108 bytes with the NUL. */
#define SOCKET_BYTES_MAX 107

static const struct conf_row child_rows[] = {
    {.path = "code",
     .type = CONF_CODE,
     FIELD(conf_child, uint64_t, code),
     .flags = CONF_REQUIRED,
     .min = 1,
     .help = "Division code of the node that is an exception."},
    {.path = "parent",
     .type = CONF_CODE,
     FIELD(conf_child, uint64_t, parent),
     .def = "${node.code}",
     .min = 1,
     .help = "Division code of the node it reports to."},
};
static const struct conf_list child_list = {child_rows, ARRAY_LEN(child_rows),
                                            sizeof(struct conf_child), 0};

static const struct conf_choice needs[] = {
    {"optional", 0},
    {"required", 1},
    {NULL, 0},
};
static const struct conf_row exchange_rows[] = {
    {.path = "table",
     .type = CONF_STRING,
     FIELD(conf_exchange_table, const char *, table),
     .flags = CONF_REQUIRED,
     .min = 1,
     .max = 64,
     .help = "Name of the table or view in exchange.database; a rename makes "
             "it another one."},
    {.path = "item",
     .type = CONF_NAME,
     FIELD(conf_exchange_table, const char *, item),
     .flags = CONF_REQUIRED,
     .min = 1,
     .max = 63,
     .help = "Kind of its rows, as `creditnode catalogue` names it."},
    {.path = "digest",
     .type = CONF_ENUM,
     .choices = needs,
     FIELD(conf_exchange_table, int, digest),
     .def = "optional",
     .help = "required refuses rows without a digest of their own."},
};
static const struct conf_list exchange_list = {
    exchange_rows, ARRAY_LEN(exchange_rows), sizeof(struct conf_exchange_table),
    0};

static const struct conf_row app_rows[] = {
    {.path = "name",
     .type = CONF_NAME,
     FIELD(conf_app, const char *, name),
     .flags = CONF_REQUIRED,
     .min = 1,
     .max = 63,
     .help = "Name of the app or operator, as its certificate has it; one "
             "whose key changes may stand twice, with the old key and the "
             "new."},
    {.path = "key",
     .type = CONF_HASH,
     .offset = offsetof(struct conf_app, key),
     .flags = CONF_REQUIRED,
     .help = "SHA-256 of its public key; certs/make-app.sh writes the whole "
             "entry."},
    {.path = "scopes",
     .type = CONF_FLAGS,
     FIELD(conf_app, unsigned, scopes),
     .flags = CONF_REQUIRED,
     .choices = scopes,
     .help = "What it may do: read what is public, shared or authorised, "
             "enter records (ingest), report what it did about a listing "
             "(feedback)."},
};
enum { APP_KEY = 1 }; /* the row that tells apps apart */
static const struct conf_list app_list = {app_rows, ARRAY_LEN(app_rows),
                                          sizeof(struct conf_app), APP_KEY};

/* How to come to a server: the same options in every section that needs one.
 * Names of sections and members cannot be parenthesised.
 * NOLINTBEGIN(bugprone-macro-parentheses) */
#define SERVER_ROWS(section, member, database_help, user_help)                 \
    {.path = section ".socket",                                                \
     AT_PATH(member.socket),                                                   \
     .def = "",                                                                \
     .max = SOCKET_BYTES_MAX,                                                  \
     .help =                                                                   \
         "Socket of a MariaDB server on this machine; goes before " section    \
         ".address."},                                                         \
        {.path = section ".address",                                           \
         AT_ADDRESSES(member.address),                                         \
         .def = "",                                                            \
         .max = SERVERS_MAX,                                                   \
         .help = "Where the MariaDB server listens; its certificate must "     \
                 "name the host. Of a Galera cluster its servers, with "       \
                 "commas between, the preferred one first."},                  \
        {.path = section ".database",                                          \
         AT_STRING(member.database),                                           \
         .def = "",                                                            \
         .max = 64,                                                            \
         .help = (database_help)},                                             \
        {.path = section ".user",                                              \
         AT_STRING(member.user),                                               \
         .def = "",                                                            \
         .max = 80,                                                            \
         .help = (user_help)},                                                 \
        {.path = section ".password_file",                                     \
         AT_PATH(member.password_file),                                        \
         .def = "",                                                            \
         .flags = CONF_EXISTS | CONF_SECRET,                                   \
         .max = PATH_BYTES_MAX,                                                \
         .help =                                                               \
             "File with the password of " section ".user; \"\" for none."},    \
        {.path = section ".tls_ca",                                            \
         AT_PATH(member.tls_ca),                                               \
         .def = "",                                                            \
         .flags = CONF_EXISTS,                                                 \
         .max = PATH_BYTES_MAX,                                                \
         .help = "CA of the server's certificate (PEM); without one the node " \
                 "connects to this machine only."},                            \
        {.path = section ".tls_cert",                                          \
         AT_PATH(member.tls_cert),                                             \
         .def = "",                                                            \
         .flags = CONF_EXISTS,                                                 \
         .max = PATH_BYTES_MAX,                                                \
         .help = "Certificate with which the node shows itself to the server " \
                 "(PEM); \"\" for none."},                                     \
        {.path = section ".tls_key",                                           \
         AT_PATH(member.tls_key),                                              \
         .def = "",                                                            \
         .flags = CONF_EXISTS | CONF_SECRET,                                   \
         .max = PATH_BYTES_MAX,                                                \
         .help = "Private key of " section ".tls_cert (PEM)."},                \
        {.path = section ".connect_timeout",                                   \
         AT_DURATION(member.connect_ms),                                       \
         .min = SECOND,                                                        \
         .max = 10 * MINUTE,                                                   \
         .def = "5 s",                                                         \
         .help = "Longest wait for a connection to the server."},              \
    {                                                                          \
        .path = section ".timeout", AT_DURATION(member.timeout_ms),            \
        .min = SECOND, .max = HOUR, .def = "30 s",                             \
        .help = "Longest wait for an answer of the server."                    \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

/* Rows of a group stand together: printing opens each group once. */
const struct conf_row conf_rows[] = {
    {.path = "node.code",
     AT_CODE(node.code),
     .flags = CONF_REQUIRED,
     .min = 1,
     .help = "Division code of this node, as in its certificates; the "
             "national platform is 000000000000."},
    {.path = "node.tier",
     AT_ENUM(node.tier, conf_tiers),
     .flags = CONF_REQUIRED,
     .help = "Tier of this node, as in its certificates."},
    {.path = "node.name",
     AT_STRING(node.name),
     .def = "",
     .max = 120,
     .flags = CONF_RELOAD,
     .help = "Name of the office for people, shown on consoles and in "
             "reports."},
    {.path = "node.process",
     AT_NAME(node.process),
     .def = "",
     .max = 32,
     .help = "Name of this process, if several are one node over one MariaDB "
             "database: one writes, the others answer queries and stand by; "
             "\"\" for the only one."},

    {.path = "federation.name",
     AT_NAME(federation.name),
     .flags = CONF_REQUIRED,
     .min = 1,
     .max = 63,
     .help = "Name of the federation, as in all its certificates."},
    {.path = "federation.suite",
     AT_ENUM(federation.suite, suites),
     .def = "intl",
     .help = "Cryptography of the federation: intl (SHA-256, ECDSA P-256) or "
             "gm (SM3, SM2)."},
    {.path = "federation.root_document",
     AT_PATH(federation.root_document),
     .flags = CONF_REQUIRED | CONF_EXISTS,
     .min = 1,
     .max = PATH_BYTES_MAX,
     .help = "Version 1 of the root document, which says who may decide "
             "what."},
    {.path = "federation.root_hash",
     AT_HASH(federation.root_hash),
     .flags = CONF_REQUIRED,
     .help = "SHA-256 of version 1 of the root document; get it by another "
             "way than the document itself."},

    {.path = "data.dir",
     AT_PATH(data.dir),
     .flags = CONF_REQUIRED,
     .min = 1,
     .max = PATH_BYTES_MAX,
     .help = "Folder of everything the node keeps: store, keys, state of the "
             "inbox."},

    {.path = "listen.address",
     AT_ADDRESS(listen.address),
     .by_tier = by_tier_listen,
     .help = "Where child nodes and apps connect; \"\" for nowhere, port 0 "
             "for any free one."},

    {.path = "parent.address",
     AT_ADDRESSES(parent.address),
     .def = "",
     .max = PARENTS_MAX,
     .help = "Where the parent node listens; \"\" at the top of the "
             "federation. If several processes are the parent, their "
             "addresses, with commas between."},
    {.path = "parent.code",
     AT_CODE(parent.code),
     .def = "",
     .help = "Division code that the parent must prove; \"\" takes it from "
             "the prefix of node.code."},

    {.path = "tls.ca",
     AT_PATH(tls.ca),
     .flags = CONF_REQUIRED | CONF_EXISTS,
     .min = 1,
     .max = PATH_BYTES_MAX,
     .help = "CA certificates of the federation (PEM); peers must have theirs "
             "from these."},
    {.path = "tls.cert",
     AT_PATH(tls.cert),
     .flags = CONF_REQUIRED | CONF_EXISTS,
     .min = 1,
     .max = PATH_BYTES_MAX,
     .help = "Certificate of this node for connections (PEM, leaf first)."},
    {.path = "tls.key",
     AT_PATH(tls.key),
     .flags = CONF_REQUIRED | CONF_EXISTS | CONF_SECRET,
     .min = 1,
     .max = PATH_BYTES_MAX,
     .help = "Private key of tls.cert (PEM)."},

    {.path = "sign.cert",
     AT_PATH(sign.cert),
     .flags = CONF_REQUIRED | CONF_EXISTS,
     .min = 1,
     .max = PATH_BYTES_MAX,
     .help = "Certificate with which this node signs its logs (PEM)."},
    {.path = "sign.key",
     AT_PATH(sign.key),
     .flags = CONF_REQUIRED | CONF_EXISTS | CONF_SECRET,
     .min = 1,
     .max = PATH_BYTES_MAX,
     .help = "Private key of sign.cert (PEM)."},

    {.path = "seal.cert",
     AT_PATH(seal.cert),
     .flags = CONF_REQUIRED | CONF_EXISTS,
     .min = 1,
     .max = PATH_BYTES_MAX,
     .help = "Certificate to which nodes below seal identifiers of persons "
             "(PEM)."},
    {.path = "seal.key",
     AT_PATH(seal.key),
     .flags = CONF_REQUIRED | CONF_EXISTS | CONF_SECRET,
     .min = 1,
     .max = PATH_BYTES_MAX,
     .help = "Private key of seal.cert (PEM)."},

    {.path = "trust.ca",
     AT_PATH(trust.ca),
     .def = "${tls.ca}",
     .flags = CONF_EXISTS,
     .min = 1,
     .max = PATH_BYTES_MAX,
     .help = "CA certificates to which signing and sealing certificates are "
             "checked (PEM)."},
    {.path = "trust.revoked",
     AT_PATH(trust.revoked),
     .def = "",
     .flags = CONF_EXISTS | CONF_RELOAD,
     .max = PATH_BYTES_MAX,
     .help = "List of revoked certificates (certs/revoke.sh), read again by "
             "each reload; \"\" for none."},

    {.path = "store.backend",
     AT_ENUM(store.backend, backends),
     .def = "embedded",
     .help = "Database under the store: embedded in the node, in data.dir, or "
             "a MariaDB server's, as mariadb says."},
    {.path = "store.cache",
     AT_SIZE(store.cache_bytes),
     .min = MIB,
     .max = TIB,
     .by_tier = by_tier_cache,
     .help = "Memory for what is kept to be read again: half of it for whole "
             "answers, two fifths for pages of the database and for what is "
             "known of its keys, a tenth for blocks. With backend mariadb, "
             "whose pages are kept by its "
             "server, the other half is for blocks and list rows."},
    {.path = "store.write_buffer",
     AT_SIZE(store.write_buffer_bytes),
     .min = 256 * KIB,
     .max = 4 * GIB,
     .by_tier = by_tier_write_buffer,
     .help = "Memory for what is committed and not yet sorted into files."},
    {.path = "store.reserve",
     AT_SIZE(store.reserve_bytes),
     .max = TIB,
     .def = "64 MiB",
     .help = "Free disk below which the node refuses to write, so that it can "
             "still be repaired."},
    {.path = "store.queue",
     AT_INT(store.queue_max),
     .min = 16,
     .max = 1000000,
     .def = "1024",
     .help = "Submissions and segments that may wait for the writer."},
    {.path = "store.queue_bytes",
     AT_SIZE(store.queue_bytes_max),
     .min = 2 * MIB,
     .max = 16 * GIB,
     .by_tier = by_tier_queue_bytes,
     .help = "Bytes that may wait for the writer."},
    {.path = "store.scrub_interval",
     AT_DURATION(store.scrub_interval_ms),
     .max = 720 * HOUR,
     .def = "1 d",
     .help = "How often everything stored is read and checked in the "
             "background; 0 for never."},
    {.path = "store.repair",
     AT_ENUM(store.repair, repairs),
     .def = "auto",
     .help = "What a node does that finds its store damaged: auto ends it "
             "with status 5, so that its supervisor starts it anew; manual "
             "goes on with an alarm. Every start rebuilds a damaged store."},

    SERVER_ROWS("mariadb", mariadb.server,
                "Database of this node alone; the node makes and upgrades its "
                "tables.",
                "Account with all rights on mariadb.database."),
    {.path = "mariadb.connections",
     AT_INT(mariadb.connections),
     .min = 1,
     .max = 256,
     .def = "16",
     .help = "Connections for reads, opened as needed; one more writes."},
    {.path = "mariadb.views",
     AT_ENUM(mariadb.views, switches),
     .def = "off",
     .help = "on keeps views for people with SQL up to date: v_record, "
             "v_subject, v_list_entry, v_node, v_import."},
    {.path = "mariadb.lease",
     AT_DURATION(mariadb.lease_ms),
     .min = SECOND,
     .max = 10 * MINUTE,
     .def = "2 s",
     .help = "With node.process: how long the process that writes may be "
             "silent before another takes over. The same for all of them."},

    {.path = "replication.segment",
     AT_SIZE(replication.segment_bytes),
     .min = 4 * KIB,
     .max = MIB,
     .def = "256 KiB",
     .help = "Size at which a message of entries is sent."},
    {.path = "replication.window",
     AT_SIZE(replication.window_bytes),
     .min = 64 * KIB,
     .max = GIB,
     .def = "4 MiB",
     .help = "Bytes that may be under way to or from one node without an "
             "acknowledgement."},
    {.path = "replication.backoff_min",
     AT_DURATION(replication.backoff_min_ms),
     .min = 10,
     .max = HOUR,
     .def = "200 ms",
     .help = "Longest wait before the first new attempt to connect."},
    {.path = "replication.backoff_max",
     AT_DURATION(replication.backoff_max_ms),
     .min = 10,
     .max = HOUR,
     .def = "30 s",
     .help = "Longest wait before any new attempt; waits double up to it."},
    {.path = "replication.greeting",
     AT_DURATION(replication.greeting_ms),
     .min = 100,
     .max = 10 * MINUTE,
     .def = "10 s",
     .help = "How long the other node may take to say what it has."},
    {.path = "replication.silence",
     AT_DURATION(replication.silence_ms),
     .min = SECOND,
     .max = HOUR,
     .def = "60 s",
     .help = "Silence after which a connection counts as dead."},
    {.path = "replication.ack_relay",
     AT_DURATION(replication.ack_relay_ms),
     .min = 10,
     .max = MINUTE,
     .def = "1 s",
     .help = "A child hears at most once in this time how far a log got "
             "above."},
    {.path = "replication.full_retry",
     AT_DURATION(replication.full_retry_ms),
     .min = 100,
     .max = 10 * MINUTE,
     .def = "30 s",
     .help = "How long a child waits after this node could not write: its disk "
             "full, or its database away."},
    {.path = "replication.renew",
     AT_DURATION(replication.renew_ms),
     .min = 100,
     .max = HOUR,
     .def = "10 s",
     .help = "An issuer signs the head of its directives log anew this often; "
             "lists are stale when none came for three times as long. The "
             "same in a whole federation."},
    {.path = "replication.first_log",
     AT_DURATION(replication.first_log_ms),
     .min = 100,
     .max = 24 * HOUR,
     .def = "5 min",
     .help = "An issuer that has no directives log yet opens its first one so "
             "long after a start, if no node that connected until then knows "
             "one that it lost."},
    {.path = "replication.logs_max",
     AT_INT(replication.logs_max),
     .min = 1,
     .max = 10000000,
     .def = "100000",
     .help = "Logs that one child may bring."},

    {.path = "children",
     AT_LIST(children, child_list),
     .max = 1024,
     .help = "Nodes whose parent is not the one of their code's prefix."},

    {.path = "inbox.path",
     AT_PATH(inbox.path),
     .def = "",
     .max = PATH_BYTES_MAX,
     .help = "Folder in which files to be taken in are laid; \"\" for none."},
    {.path = "inbox.interval",
     AT_DURATION(inbox.interval_ms),
     .min = 100,
     .max = HOUR,
     .def = "5 s",
     .help = "How often the inbox is looked at."},
    {.path = "inbox.settle",
     AT_DURATION(inbox.settle_ms),
     .max = 10 * MINUTE,
     .def = "2 s",
     .help = "A file is read when it has not changed for this time; an empty "
             "one, or one without a line end at its end, for fifteen times "
             "that, up to a minute."},

    SERVER_ROWS("exchange", exchange.server,
                "Database in which departments write tables; it belongs to "
                "them.",
                "Account with the rights that `creditnode exchange schema` "
                "prints."),
    {.path = "exchange.tables",
     .type = CONF_LIST,
     .list = &exchange_list,
     FIELD(conf, struct conf_exchange_tables, exchange.tables),
     .max = 64,
     .help = "Tables to be taken in; none: no exchange."},
    {.path = "exchange.interval",
     AT_DURATION(exchange.interval_ms),
     .min = 100,
     .max = HOUR,
     .def = "5 s",
     .help = "How often the tables are looked at."},
    {.path = "exchange.batch",
     AT_INT(exchange.batch_max),
     .min = 1,
     .max = 1000,
     .def = "500",
     .help = "Rows of one query, and of one statement that marks them."},

    {.path = "ingest.batch",
     AT_INT(ingest.batch_max),
     .min = 1,
     .max = 1024,
     .def = "1000",
     .help = "Records of a file that are committed together."},
    {.path = "ingest.file_max",
     AT_SIZE(ingest.file_max_bytes),
     .min = KIB,
     .max = TIB,
     .def = "1 GiB",
     .help = "Largest file that is taken in."},

    {.path = "rpc.workers",
     AT_INT(rpc.workers),
     .min = 1,
     .max = 256,
     .by_tier = by_tier_workers,
     .help = "Threads that answer calls."},
    {.path = "rpc.quota",
     AT_SIZE(rpc.quota_bytes),
     .min = 4 * MIB,
     .max = 16 * GIB,
     .by_tier = by_tier_quota,
     .help = "Memory of the transport. Each connected child takes some 24 KiB "
             "of it. When it is full, a peer that sends faster than this node "
             "takes, or another, is cut off (`Buffers full`) and connects "
             "again; if that is seen often, give it more."},
    {.path = "rpc.calls_max",
     AT_INT(rpc.calls_max),
     .min = 1,
     .max = 1000000,
     .def = "1024",
     .help =
         "Calls that may wait for a thread; four times as many may be under "
         "way."},
    {.path = "rpc.keepalive",
     AT_DURATION(rpc.keepalive_ms),
     .min = SECOND,
     .max = HOUR,
     .def = "15 s",
     .help = "A connection is pinged when it was quiet for this time."},
    {.path = "rpc.keepalive_timeout",
     AT_DURATION(rpc.keepalive_timeout_ms),
     .min = 5 * SECOND,
     .max = 10 * MINUTE,
     .def = "45 s",
     .help =
         "How long the answer to a ping may take, and the other machine to "
         "take bytes; then the line is dead. A ping waits behind what is "
         "under way, on a slow line some seconds, and at least 32 KiB, each "
         "way: 10 s suit lines of 64 kbit/s, 45 s those of 16 kbit/s."},
    {.path = "rpc.handshake_timeout",
     AT_DURATION(rpc.handshake_timeout_ms),
     .min = SECOND,
     .max = 2 * MINUTE,
     .def = "10 s",
     .help = "How long a connection may take until both sides have proven who "
             "they are, here and at the parent: 10 s suit lines of 64 kbit/s, "
             "60 s those of 16 kbit/s."},
    {.path = "rpc.idle",
     AT_DURATION(rpc.idle_ms),
     .min = SECOND,
     .max = HOUR,
     .def = "5 min",
     .help = "A connection to this node on which no call is under way for this "
             "time is closed; the next call of a healthy client makes a new "
             "one."},

    {.path = "admin.socket",
     AT_PATH(admin.socket),
     .min = 1,
     .max = SOCKET_BYTES_MAX,
     .def = "${data.dir}/admin.sock",
     .help = "Socket of the administration commands on this machine."},

    {.path = "log.level",
     AT_ENUM(log.level, levels),
     .flags = CONF_RELOAD,
     .def = "info",
     .help = "Lines below this level are dropped."},

    {.path = "apps",
     AT_LIST(apps, app_list),
     .flags = CONF_RELOAD,
     .max = 256,
     .help = "Apps and operators that may ask and enter here; who is not "
             "listed may do nothing."},
};
const size_t conf_rows_count = ARRAY_LEN(conf_rows);

const struct conf_order conf_orders[] = {
    {"replication.backoff_min", "replication.backoff_max"},
    {"replication.segment", "replication.window"},
};
const size_t conf_orders_count = ARRAY_LEN(conf_orders);

const struct conf_row *conf_row_find(const char *path)
{
    for (size_t i = 0; i < conf_rows_count; i++) {
        if (strcmp(conf_rows[i].path, path) == 0) {
            return &conf_rows[i];
        }
    }
    return NULL;
}
