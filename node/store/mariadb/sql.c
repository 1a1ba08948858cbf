/* sql.c - what the store asks of a server, and tells it. */
#include <string.h>

#include "store/mariadb/mariadb.h"

#define LIST_COLUMNS                                                           \
    "log,number,type,list,decided,valid_from,valid_until,target_origin,"       \
    "target_incarnation,target_number"
/* MDB_ROWS_KEYS of them. */
#define KEYS_16 "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?"
#define KEYS_64 KEYS_16 "," KEYS_16 "," KEYS_16 "," KEYS_16
#define TYPES_16 "bbbbbbbbbbbbbbbb"

/* The last block that begins at or before a number. */
#define BLOCK_AT                                                               \
    "(SELECT log,first,v FROM cn_block WHERE log=? AND first<=? "              \
    "ORDER BY first DESC LIMIT 1)"
#define BLOCKS_AT_4                                                            \
    BLOCK_AT " UNION ALL " BLOCK_AT " UNION ALL " BLOCK_AT                     \
             " UNION ALL " BLOCK_AT
#define PLACES_4 "nnnnnnnn"

static const struct mdb_statement store_statements[SQL_COUNT] = {
    [SQL_MOVE_SERIAL] = {"UPDATE cn_meta SET v=? WHERE k=? AND v=? AND claim=?",
                         "bnbn", ""},
    [SQL_MOVE_CLAIM] = {"UPDATE cn_meta SET claim=? WHERE k=? AND claim=?",
                        "nnn", ""},
    [SQL_PUT_META] = {"INSERT INTO cn_meta(k,v) VALUES(?,?) "
                      "ON DUPLICATE KEY UPDATE v=VALUES(v)",
                      "nb", ""},
    [SQL_PUT_PART] = {"INSERT INTO cn_part(part,log,v,serial) VALUES(?,?,?,?) "
                      "ON DUPLICATE KEY UPDATE v=VALUES(v),"
                      "serial=VALUES(serial)",
                      "nnbn", ""},
    [SQL_PUT_BLOCK] = {"INSERT INTO cn_block(log,first,v) VALUES(?,?,?) "
                       "ON DUPLICATE KEY UPDATE v=VALUES(v)",
                       "nnb", ""},
    [SQL_PUT_NODE] = {"INSERT INTO cn_node(log,level,idx,hash) "
                      "VALUES(?,?,?,?) "
                      "ON DUPLICATE KEY UPDATE hash=VALUES(hash)",
                      "nnnb", ""},
    [SQL_PUT_ROW] = {"INSERT INTO cn_index(k,v) VALUES(?,?) "
                     "ON DUPLICATE KEY UPDATE v=VALUES(v)",
                     "bb", ""},
    [SQL_PUT_NEW_ROW] = {"INSERT INTO cn_index(k,v) VALUES(?,?)", "bb", ""},
    [SQL_PUT_LIST] =
        {"INSERT INTO cn_list(generation,subject," LIST_COLUMNS
         ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON DUPLICATE KEY UPDATE "
         "type=VALUES(type),list=VALUES(list),decided=VALUES(decided),"
         "valid_from=VALUES(valid_from),valid_until=VALUES(valid_until),"
         "target_origin=VALUES(target_origin),"
         "target_incarnation=VALUES(target_incarnation),"
         "target_number=VALUES(target_number)",
         "nbnnnnnnnnnn", ""},
    [SQL_PUT_ISSUE] = {"INSERT INTO cn_issue(generation,log,number,reason) "
                       "VALUES(?,?,?,?) "
                       "ON DUPLICATE KEY UPDATE reason=VALUES(reason)",
                       "nnnn", ""},
    [SQL_PUT_SALVAGE] = {"INSERT INTO cn_salvage(seq,v) VALUES(?,?) "
                         "ON DUPLICATE KEY UPDATE v=VALUES(v)",
                         "nb", ""},
    [SQL_PUT_SOURCE] = {"INSERT INTO cn_source(name,v) VALUES(?,?) "
                        "ON DUPLICATE KEY UPDATE v=VALUES(v)",
                        "bb", ""},
    [SQL_DEL_ROW] = {"DELETE FROM cn_index WHERE k=?", "b", ""},
    [SQL_DEL_LIST] = {"DELETE FROM cn_list WHERE generation=? AND subject=? "
                      "AND log=? AND number=?",
                      "nbnn", ""},
    [SQL_DEL_ISSUE] = {"DELETE FROM cn_issue WHERE generation=? AND log=? AND "
                       "number=?",
                       "nnn", ""},
    [SQL_DEL_SALVAGE] = {"DELETE FROM cn_salvage WHERE seq=?", "n", ""},
    [SQL_CUT_BLOCKS] = {"DELETE FROM cn_block WHERE log=? AND first>=?", "nn",
                        ""},
    [SQL_CUT_NODES] = {"DELETE FROM cn_node WHERE log=? AND level=? AND "
                       "idx>=?",
                       "nnn", ""},
    [SQL_DROP_ROWS] = {"DELETE FROM cn_index WHERE k>=? AND k<? LIMIT 5000",
                       "bb", ""},
    [SQL_DROP_LISTS] = {"DELETE FROM cn_list WHERE generation=? LIMIT 5000",
                        "n", ""},
    [SQL_DROP_ISSUES] = {"DELETE FROM cn_issue WHERE generation=? LIMIT 5000",
                         "n", ""},
    /* From the last one that begins at or before the number. */
    [SQL_BLOCKS] = {"SELECT first,v FROM cn_block WHERE log=? AND "
                    "first>=COALESCE((SELECT MAX(first) FROM cn_block WHERE "
                    "log=? AND first<=?),0) ORDER BY first LIMIT ?",
                    "nnnn", "nv"},
    [SQL_BLOCKS_ON] = {"SELECT first,v FROM cn_block WHERE log=? AND first>=? "
                       "ORDER BY first LIMIT ?",
                       "nnn", "nv"},
    [SQL_BLOCKS_AT_1] = {BLOCK_AT, "nn", "nnv"},
    [SQL_BLOCKS_AT_4] = {BLOCKS_AT_4, PLACES_4, "nnv"},
    [SQL_BLOCKS_AT_16] = {BLOCKS_AT_4 " UNION ALL " BLOCKS_AT_4
                                      " UNION ALL " BLOCKS_AT_4
                                      " UNION ALL " BLOCKS_AT_4,
                          PLACES_4 PLACES_4 PLACES_4 PLACES_4, "nnv"},
    [SQL_NODE] = {"SELECT hash FROM cn_node WHERE log=? AND level=? AND idx=?",
                  "nnn", "b"},
    [SQL_ROWS] = {"SELECT k,v FROM cn_index WHERE k IN (" KEYS_64 ")",
                  TYPES_16 TYPES_16 TYPES_16 TYPES_16, "bb"},
    [SQL_ROWS_OF] = {"SELECT k,v FROM cn_index WHERE k BETWEEN ? AND ? "
                     "ORDER BY k",
                     "bb", "bb"},
    [SQL_LIST_ROWS] = {"SELECT " LIST_COLUMNS " FROM cn_list WHERE "
                       "generation=? AND subject=? ORDER BY log,number",
                       "nb", "nnnnnnnnnn"},
    [SQL_CHECK_ROWS] = {"SELECT k,v FROM cn_index WHERE k>? AND k<? "
                        "ORDER BY k LIMIT ?",
                        "bbn", "bb"},
    [SQL_CHECK_LISTS] = {"SELECT subject,log,number FROM cn_list WHERE "
                         "generation=? AND subject>=? AND (subject>? OR log>? "
                         "OR (log=? AND number>?)) ORDER BY "
                         "generation,subject,log,number LIMIT ?",
                         "nbbnnnn", "bnn"},
    [SQL_PART] = {"SELECT v FROM cn_part WHERE part=? AND log=?", "nn", "v"},
    [SQL_PARTS] = {"SELECT log,v FROM cn_part WHERE part=? ORDER BY log", "n",
                   "nv"},
    [SQL_CHANGES] = {"SELECT part,log FROM cn_part WHERE serial>?", "n", "nn"},
    [SQL_META] = {"SELECT v FROM cn_meta WHERE k=?", "n", "v"},
    [SQL_ISSUES] = {"SELECT log,number,reason FROM cn_issue WHERE "
                    "generation=? AND (log>? OR (log=? AND number>=?)) "
                    "ORDER BY log,number LIMIT ?",
                    "nnnnn", "nnn"},
    [SQL_SALVAGE] = {"SELECT seq,v FROM cn_salvage WHERE seq>=? ORDER BY seq "
                     "LIMIT ?",
                     "nn", "nv"},
    [SQL_SOURCE] = {"SELECT v FROM cn_source WHERE name=?", "b", "v"},
    [SQL_SOURCES] = {"SELECT name,v FROM cn_source WHERE name>? ORDER BY name "
                     "LIMIT ?",
                     "bn", "bv"},
    [SQL_DISK_BYTES] = {"SELECT CAST(COALESCE(SUM(data_length+index_length),0)"
                        " AS UNSIGNED) FROM information_schema.tables WHERE "
                        "table_schema=DATABASE() AND table_name LIKE 'cn\\_%'",
                        "", "n"},
};

const struct mdb_sql_set mdb_store_sql = {store_statements, SQL_COUNT};

size_t mdb_params(enum mdb_sql sql)
{
    return strlen(store_statements[sql].params);
}
