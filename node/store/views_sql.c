#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/views_impl.h"

/* ---- tables ---- */

#define TABLE_END ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
#define TIME0 "TIMESTAMP'1970-01-01 08:00:00'"
#define TIME "(" TIME0 "+INTERVAL ? MICROSECOND)"
#define DAY "NULLIF(?,0)"
#define TEXT "NULLIF(?,'')"
#define FEN "NULLIF(?,18446744073709551615)"

enum { VERSION = 3 }; /* of tables and views */

static const char *const tables[] = {
    "CREATE TABLE cn_v_log(id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY "
    "KEY, name VARCHAR(48) NOT NULL UNIQUE, origin BIGINT UNSIGNED NOT NULL, "
    "kind TINYINT UNSIGNED NOT NULL, incarnation BIGINT UNSIGNED NOT NULL, "
    "position BIGINT UNSIGNED NOT NULL, frontier VARBINARY(2100) NOT NULL, "
    "voids VARBINARY(32) NOT NULL, skipped BIGINT UNSIGNED NOT NULL, phase "
    "TINYINT UNSIGNED NOT NULL, size BIGINT UNSIGNED NOT NULL, state "
    "VARCHAR(16) NOT NULL, signed_at DATETIME(3), KEY(origin)" TABLE_END,
    "CREATE TABLE cn_v_record(origin BIGINT UNSIGNED NOT NULL, record_key "
    "BINARY(16) NOT NULL, subject VARCHAR(64) COLLATE utf8mb4_bin NOT NULL, "
    "log INT UNSIGNED NOT NULL, number BIGINT UNSIGNED NOT NULL, moved TINYINT "
    "UNSIGNED NOT NULL, subject_kind TINYINT UNSIGNED NOT NULL, item SMALLINT "
    "UNSIGNED NOT NULL, status TINYINT UNSIGNED NOT NULL, disclosure TINYINT "
    "UNSIGNED NOT NULL, decided DATE, valid_from DATE, valid_until DATE, "
    "publish_until DATE, entered_at DATETIME(3) NOT NULL, name VARCHAR(600), "
    "document_no VARCHAR(600), document_name VARCHAR(600), kind VARCHAR(600), "
    "content TEXT, violation TEXT, facts TEXT, basis TEXT, fine_fen BIGINT "
    "UNSIGNED, confiscated_fen BIGINT UNSIGNED, authority VARCHAR(600), "
    "authority_code VARCHAR(64), source VARCHAR(200), source_code "
    "VARCHAR(64), division VARCHAR(64), understood TINYINT UNSIGNED NOT NULL, "
    "version INT UNSIGNED NOT NULL, place BINARY(20) NOT NULL, "
    "PRIMARY KEY(origin, record_key, subject), "
    "KEY(subject), KEY(item, decided), KEY(log)" TABLE_END,
    "CREATE TABLE cn_v_import(log INT UNSIGNED NOT NULL, day DATE NOT NULL, "
    "item SMALLINT UNSIGNED NOT NULL, source VARCHAR(200) COLLATE utf8mb4_bin "
    "NOT NULL, source_code VARCHAR(64) NOT NULL, entries BIGINT UNSIGNED NOT "
    "NULL, changes BIGINT UNSIGNED NOT NULL, first_number BIGINT UNSIGNED NOT "
    "NULL, last_number BIGINT UNSIGNED NOT NULL, first_at DATETIME(3) NOT "
    "NULL, last_at DATETIME(3) NOT NULL, PRIMARY KEY(log, day, item, source, "
    "source_code)" TABLE_END,
    /* Listings, and the corrections that speak for some of them: text_* names
     * the row with the values that count. */
    "CREATE TABLE cn_v_list(log INT UNSIGNED NOT NULL, number BIGINT UNSIGNED "
    "NOT NULL, subject VARCHAR(64) COLLATE utf8mb4_bin NOT NULL, entered_at "
    "DATETIME(3) NOT NULL, state TINYINT UNSIGNED NOT NULL, list SMALLINT "
    "UNSIGNED NOT NULL, list_name VARCHAR(64), list_zh VARCHAR(200), colour "
    "VARCHAR(16), domain VARCHAR(32), decided DATE, valid_from DATE, "
    "valid_until DATE, name VARCHAR(600), document_no VARCHAR(600), authority "
    "VARCHAR(600), authority_code VARCHAR(64), basis TEXT, facts TEXT, "
    "measures TEXT, removal_terms TEXT, notice_no VARCHAR(600), notice_date "
    "DATE, text_log INT UNSIGNED NOT NULL, text_number BIGINT UNSIGNED NOT "
    "NULL, removed_on DATE, PRIMARY KEY(log, number), "
    "KEY(subject)" TABLE_END,
    "CREATE TABLE cn_v_node(code BIGINT UNSIGNED NOT NULL PRIMARY KEY, tier "
    "VARCHAR(16) NOT NULL, tier_zh VARCHAR(16) NOT NULL, parent VARCHAR(12), "
    "province VARCHAR(12), city VARCHAR(12), county VARCHAR(12), state "
    "VARCHAR(16) NOT NULL, decided DATE" TABLE_END,
};
static const char *const table_names =
    "cn_v_log,cn_v_record,cn_v_import,cn_v_list,cn_v_removal,cn_v_node";

/* ---- views ---- */

#define TODAY "DATE(UTC_TIMESTAMP()+INTERVAL 8 HOUR)"
#define CODE(X) "LPAD(" X ",12,'0')"
#define KIND(X)                                                                \
    "CASE " X " WHEN 1 THEN 'uscc' WHEN 2 THEN 'org' WHEN 3 THEN 'person' "    \
    "WHEN 4 THEN 'listing' ELSE 'other' END"
#define PLACE "n.tier,n.province,n.city,n.county"

static const char *const views[] = {
    "CREATE OR REPLACE VIEW v_record AS SELECT CASE r.item WHEN 1 THEN "
    "'licence' WHEN 2 THEN 'penalty' WHEN 18 THEN 'execution' ELSE 'other' END "
    "AS item,r.item AS item_id," KIND(
        "r.subject_kind") " AS subject_kind,NULLIF(r.subject,'') AS "
                          "subject,r.name,r.document_no,r.document_name,r.kind,"
                          "r.content,r."
                          "violation,r.facts,r.basis,r.fine_fen,r.confiscated_"
                          "fen,r.authority,r."
                          "authority_code,r.source,r.source_code,r.decided,r."
                          "valid_from,r.valid_"
                          "until,r.publish_until,CASE r.status WHEN 0 THEN "
                          "'valid' WHEN 1 THEN "
                          "'revoked' WHEN 2 THEN 'disputed' ELSE 'other' END "
                          "AS status,CASE WHEN "
                          "r.status=1 THEN 'revoked' WHEN r.valid_until<" TODAY
                          " THEN 'ended' ELSE "
                          "'in-force' END AS state,CASE r.disclosure WHEN 0 "
                          "THEN 'public' WHEN 1 "
                          "THEN 'shared' ELSE 'authorised' END AS "
                          "disclosure,r.entered_at," CODE(
                              "r.origin") " AS node," PLACE
                                          ",r.division,l.name AS "
                                          "log,r.number,r."
                                          "version,LOWER(HEX(r.record_key)) AS "
                                          "record_key,r.understood FROM "
                                          "cn_v_record r JOIN cn_v_log l ON "
                                          "l.id=r.log LEFT JOIN cn_v_node n ON "
                                          "n.code=r.origin WHERE r.moved=0",
    "CREATE OR REPLACE VIEW v_list_entry AS SELECT e.subject,t.name,CASE WHEN "
    "e.state=3 THEN 'void' WHEN e.state=2 THEN 'removed' WHEN "
    "t.valid_until<" TODAY " THEN 'ended' WHEN t.valid_from>" TODAY
    " THEN 'future' ELSE "
    "'live' END AS state,t.list_name AS list,t.list_zh,t.colour,t.domain,t."
    "document_no,t.authority,t.authority_code,t.basis,t.facts,t.measures,t."
    "removal_terms,t.notice_no,t.notice_date,t.decided,t.valid_from,t.valid_"
    "until,e.removed_on,e.entered_at," CODE(
        "l.origin") " AS node,l.name AS log,e.number,m.name AS "
                    "text_log,e.text_number FROM cn_v_list e JOIN cn_v_log l "
                    "ON l.id=e.log JOIN cn_v_list t ON t.log=e.text_log AND "
                    "t.number=e.text_number JOIN cn_v_log m ON m.id=t.log "
                    "WHERE e.state>0",
    "CREATE OR REPLACE VIEW v_node AS SELECT " CODE(
        "n.code") " AS code,n.tier,n.tier_zh,n.parent,n.province,n.city,n."
                  "county,n.state,n.decided AS state_since,COUNT(l.id) AS "
                  "logs,COALESCE(SUM(l.size),0) AS "
                  "entries,COALESCE(SUM(l.position),0) AS "
                  "shown,COALESCE(SUM(IF(l.size>l.position,l.size-l.position,0)"
                  "),0) AS "
                  "behind,COALESCE(SUM(l.skipped),0) AS "
                  "skipped,COALESCE(SUM(l.state="
                  "'forked'),0) AS forked_logs,MAX(l.signed_at) AS "
                  "last_signed_at FROM "
                  "cn_v_node n LEFT JOIN cn_v_log l ON l.origin=n.code GROUP "
                  "BY n.code",
    "CREATE OR REPLACE VIEW v_import AS SELECT " CODE(
        "l.origin") " AS node," PLACE ",i.day,CASE i.item WHEN 1 THEN "
                    "'licence' WHEN 2 THEN 'penalty' WHEN 18 THEN 'execution' "
                    "ELSE 'other' END "
                    "AS item,NULLIF(i.source,'') AS "
                    "source,NULLIF(i.source_code,'') AS "
                    "source_code,i.entries,i.entries-i.changes AS "
                    "new_records,i.changes,i."
                    "first_at,i.last_at,l.name AS "
                    "log,i.first_number,i.last_number FROM "
                    "cn_v_import i JOIN cn_v_log l ON l.id=i.log LEFT JOIN "
                    "cn_v_node n ON "
                    "n.code=l.origin",
    "CREATE OR REPLACE VIEW v_subject AS SELECT r.subject," KIND(
        "r.subject_kind") " AS subject_kind,(SELECT q.name FROM cn_v_record q "
                          "WHERE q.subject=r.subject AND q.moved=0 AND q.name "
                          "IS NOT NULL ORDER BY "
                          "q.decided DESC,q.origin,q.record_key LIMIT 1) AS "
                          "name,COUNT(*) AS "
                          "records,SUM(r.item=1) AS licences,SUM(r.item=2) AS "
                          "penalties,SUM(r.item=2 "
                          "AND r.status=0 AND (r.publish_until IS NULL OR "
                          "r.publish_until>=" TODAY
                          ")) AS open_penalties,COALESCE(SUM(r.fine_fen),0) AS "
                          "fines_fen,MAX(r.decided) AS last_decided,(SELECT "
                          "COUNT(*) FROM cn_v_list "
                          "e JOIN cn_v_list t ON t.log=e.text_log AND "
                          "t.number=e.text_number WHERE e.subject=r.subject "
                          "AND e.state=1 AND "
                          "(t.valid_from IS NULL OR "
                          "t.valid_from<=" TODAY ") AND (t.valid_until IS NULL "
                          "OR t.valid_until>=" TODAY
                          ")) AS live_listings FROM cn_v_record r WHERE "
                          "r.moved=0 AND "
                          "r.subject_kind IN (1,2) GROUP BY "
                          "r.subject_kind,r.subject",
};
static const char *const view_names =
    "v_record,v_list_entry,v_node,v_import,v_subject";

/* ---- statements ---- */

/* Of a record that entry stays which the index keeps; `place` is compared until
 * the end. */
#define NEWER(C) C "=IF(VALUES(place)>place,VALUES(" C ")," C "),"

#define STILL "UPDATE cn_v_log SET phase=3-phase WHERE phase>0 AND "

#define ANEW                                                                   \
    "UPDATE cn_v_log SET phase=0,position=0,frontier='',voids='',skipped=0 "   \
    "WHERE "

static const struct mdb_statement statements[VSQL_COUNT] = {
    [VSQL_LOGS] = {"SELECT id,origin,kind,incarnation,position,voids,phase,"
                   "size,skipped,state,frontier FROM cn_v_log",
                   "", "nnnnnbnnnbv"},
    [VSQL_ADD_LOG] = {"INSERT INTO cn_v_log(name,origin,kind,incarnation,"
                      "position,frontier,voids,skipped,phase,size,state) "
                      "VALUES(?,?,?,?,0,'','',0,0,0,'')",
                      "bnnn", ""},
    [VSQL_MOVE] = {"UPDATE cn_v_log SET position=?,frontier=?,voids=?,"
                   "skipped=skipped+? WHERE id=? AND position=? AND phase=0",
                   "nbbnnn", ""},
    [VSQL_FACTS] = {"UPDATE cn_v_log SET size=?,state=?,signed_at=" TIME
                    " WHERE id=?",
                    "nbnn", ""},
    [VSQL_SPOIL_RECORDS] = {"UPDATE cn_v_log SET phase=1 WHERE kind<>2 AND "
                            "origin=?",
                            "n", ""},
    [VSQL_STILL_RECORDS] = {STILL "kind<>2 AND origin=?", "n", ""},
    [VSQL_DEL_RECORDS] = {"DELETE FROM cn_v_record WHERE origin=? LIMIT 5000",
                          "n", ""},
    [VSQL_DEL_IMPORTS] = {"DELETE FROM cn_v_import WHERE log IN (SELECT id "
                          "FROM cn_v_log WHERE origin=?) LIMIT 5000",
                          "n", ""},
    [VSQL_ANEW_RECORDS] = {ANEW "kind<>2 AND origin=?", "n", ""},
    [VSQL_SPOIL_LISTS] = {"UPDATE cn_v_log SET phase=1 WHERE kind=?", "n", ""},
    [VSQL_STILL_LISTS] = {STILL "kind=?", "n", ""},
    [VSQL_DEL_LISTS] = {"DELETE FROM cn_v_list WHERE log IN (SELECT id FROM "
                        "cn_v_log WHERE kind=?) LIMIT 5000",
                        "n", ""},
    [VSQL_ANEW_LISTS] = {ANEW "kind=?", "n", ""},
    [VSQL_PUT_RECORD] =
        {"INSERT INTO cn_v_record(origin,record_key,subject,log,number,moved,"
         "subject_kind,item,status,disclosure,decided,valid_from,valid_until,"
         "publish_until,entered_at,name,document_no,document_name,kind,"
         "content,violation,facts,basis,fine_fen,confiscated_fen,authority,"
         "authority_code,source,source_code,division,understood,version,"
         "place) "
         "VALUES(?,?,?,?,?,?,?,?,?,?," DAY "," DAY "," DAY "," DAY "," TIME
         "," TEXT "," TEXT "," TEXT "," TEXT "," TEXT "," TEXT "," TEXT "," TEXT
         "," FEN "," FEN "," TEXT "," TEXT "," TEXT "," TEXT "," TEXT
         ",?,?,?) ON DUPLICATE KEY UPDATE " NEWER("log") NEWER("number")
             NEWER("moved") NEWER("subject_kind") NEWER("item") NEWER("status")
                 NEWER("disclosure") NEWER("decided") NEWER("valid_from") NEWER(
                     "valid_until") NEWER("publish_until") NEWER("entered_at")
                     NEWER("name") NEWER("document_no") NEWER("document_name")
                         NEWER("kind") NEWER("content") NEWER("violation")
                             NEWER("facts") NEWER("basis") NEWER("fine_fen")
                                 NEWER("confiscated_fen") NEWER("authority")
                                     NEWER("authority_code") NEWER("source")
                                         NEWER("source_code") NEWER("division")
                                             NEWER("understood") NEWER(
                                                 "version") "place=GREATEST("
                                                            "place,"
                                                            "VALUES("
                                                            "place))",
         "nbbnnnnnnnnnnnnbbbbbbbbnnbbbbbnnb", ""},
    [VSQL_PUT_IMPORT] =
        {"INSERT INTO cn_v_import(log,day,item,source,source_code,entries,"
         "changes,first_number,last_number,first_at,last_at) VALUES(?,?,?,?,?,"
         "?,?,?,?," TIME "," TIME ") ON DUPLICATE KEY UPDATE entries=entries+"
         "VALUES(entries),changes=changes+VALUES(changes),first_number=LEAST("
         "first_number,VALUES(first_number)),last_number=GREATEST(last_number,"
         "VALUES(last_number)),first_at=LEAST(first_at,VALUES(first_at)),"
         "last_at=GREATEST(last_at,VALUES(last_at))",
         "nnnbbnnnnnn", ""},
    [VSQL_PUT_LIST] =
        {"INSERT INTO cn_v_list(log,number,subject,entered_at,state,list,list_"
         "name,list_zh,colour,domain,decided,valid_from,valid_until,name,"
         "document_no,authority,authority_code,basis,facts,measures,removal_"
         "terms,notice_no,notice_date,text_log,text_number) VALUES(?,?,?," TIME
         ",?,?," TEXT "," TEXT "," TEXT "," TEXT "," DAY "," DAY "," DAY
         "," TEXT "," TEXT "," TEXT "," TEXT "," TEXT "," TEXT "," TEXT "," TEXT
         "," TEXT "," DAY ",?,?) ON DUPLICATE KEY UPDATE state="
         "VALUES(state)",
         "nnbnnnbbbbnnnbbbbbbbbbnnn", ""},
    /* Values that are not shown yet come with the entry that has them. */
    [VSQL_JUDGE_LIST] = {"UPDATE cn_v_list e LEFT JOIN cn_v_list t ON t.log=? "
                         "AND t.number=? SET e.text_log=COALESCE(t.log,e.text_"
                         "log),e.text_number=COALESCE(t.number,e.text_number),"
                         "e.state=?,e.removed_on=" DAY
                         " WHERE e.log=? AND e.number=?",
                         "nnnnnn", ""},
    [VSQL_PUT_NODE] = {"INSERT INTO cn_v_node(code,tier,tier_zh,parent,"
                       "province,city,county,state,decided) VALUES(?,?,?," TEXT
                       "," TEXT "," TEXT "," TEXT ",?," DAY ")",
                       "nbbbbbbbn", ""},
};

const struct mdb_sql_set *views_statements(void)
{
    static const struct mdb_sql_set set = {statements, VSQL_COUNT};
    return &set;
}

/* ---- versions ---- */

/* Beside the store's own version: another one makes the projection anew and
 * concerns nothing else. 0: to be made. */
static enum err read_version(struct mdb_conn *c, unsigned long *out,
                             struct errmsg *why)
{
    char text[32];
    enum err err = mdb_ask(c, "SELECT version FROM cn_schema WHERE id=2", text,
                           sizeof text, why);
    *out = strtoul(text, NULL, 10);
    return err;
}

static enum err write_version(struct mdb_conn *c, unsigned version,
                              struct errmsg *why)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql,
                   "REPLACE INTO cn_schema(id,version) VALUES(2,%u)", version);
    return mdb_run(c, sql, why);
}

static enum err run_with(struct mdb_conn *c, const char *verb,
                         const char *names, struct errmsg *why)
{
    char sql[256];
    (void)snprintf(sql, sizeof sql, "%s %s", verb, names);
    return mdb_run(c, sql, why);
}

static enum err run_all(struct mdb_conn *c, const char *const *sql, size_t n,
                        struct errmsg *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < n; i++) {
        err = mdb_run(c, sql[i], why);
    }
    return err;
}

/* Views that are there are left alone: to define them again waits for every
 * report that is reading them. */
static enum err define_views(struct mdb_conn *c, bool anew, struct errmsg *why)
{
    char sql[256];
    char there[24] = "";
    enum err err = ERR_OK;
    if (!anew) {
        (void)snprintf(sql, sizeof sql,
                       "SELECT COUNT(*) FROM information_schema.views WHERE "
                       "table_schema=DATABASE() AND "
                       "FIND_IN_SET(table_name,'%s')",
                       view_names);
        err = mdb_ask(c, sql, there, sizeof there, why);
    }
    return err == ERR_OK && strtoul(there, NULL, 10) != ARRAY_LEN(views)
               ? run_all(c, views, ARRAY_LEN(views), why)
               : err;
}

enum err views_make(struct mdb_conn *c, struct errmsg *why)
{
    unsigned long version;
    enum err err = read_version(c, &version, why);
    if (err == ERR_OK && version > VERSION) {
        return err_set(why, ERR_CONF,
                       "the views in the database are of version %lu, this "
                       "build knows %d: install the build that made them, or "
                       "set mariadb.views = \"off\"",
                       version, (int)VERSION);
    }
    if (err == ERR_OK && version != VERSION) {
        err = run_with(c, "DROP TABLE IF EXISTS", table_names, why);
        if (err == ERR_OK) {
            err = run_all(c, tables, ARRAY_LEN(tables), why);
        }
        if (err == ERR_OK) {
            err = write_version(c, VERSION, why);
        }
    }
    return err == ERR_OK ? define_views(c, version != VERSION, why) : err;
}

enum err views_spoil(struct mdb_conn *c, struct errmsg *why)
{
    return write_version(c, 0, why);
}

enum err views_hide(struct mdb_conn *c, struct errmsg *why)
{
    return run_with(c, "DROP VIEW IF EXISTS", view_names, why);
}
