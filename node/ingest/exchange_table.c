#include "ingest/exchange_table.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "ingest/csv.h"

/* VARCHAR up to here: the columns of a table have 64 KiB together. */
enum { VARCHAR_MAX = 64, TEXT_CHARS = 255, RULE_CHARS = 64, FIELD_CHARS = 64 };

enum writer { BY_SERVER, BY_DEPARTMENT, BY_BOTH, BY_NODE };

/* The control columns (docs/exchange.md). */
static const struct {
    const char *name;
    const char *type;
    const char *comment;
    enum writer writer;
} controls[] = {
    {"x_id", "BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY", "行号",
     BY_SERVER},
    {"x_change", "CHAR(1) NOT NULL DEFAULT 'I'", "增删改标志：I 新增，U 修改",
     BY_DEPARTMENT},
    {"x_switch", "TINYINT UNSIGNED NOT NULL DEFAULT 0",
     "交换开关：0 编辑中，1 可交换", BY_DEPARTMENT},
    {"x_changed_at", "DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)",
     "更新时间", BY_DEPARTMENT},
    {"x_digest", "VARCHAR(64)", "摘要（十六进制）", BY_DEPARTMENT},
    {"x_status", "TINYINT UNSIGNED NOT NULL DEFAULT 0",
     "处理状态：0 待处理，1 已入库，2 已退回", BY_BOTH},
    {"x_outcome", "VARCHAR(16)", "结果：new changed unchanged pending refused",
     BY_NODE},
    {"x_record_key", "CHAR(32)", "记录标识", BY_NODE},
    {"x_log", "VARCHAR(64)", "日志", BY_NODE},
    {"x_number", "BIGINT UNSIGNED", "日志序号", BY_NODE},
    {"x_version", "INT UNSIGNED", "记录版本", BY_NODE},
    {"x_rule", "VARCHAR(64)", "退回规则", BY_NODE},
    {"x_field", "VARCHAR(64)", "退回数据项", BY_NODE},
    {"x_text", "VARCHAR(255)", "退回原因（英文）", BY_NODE},
    {"x_text_zh", "VARCHAR(255)", "退回原因", BY_NODE},
    {"x_marked_at", "DATETIME(3)", "处理时间", BY_NODE},
};

/* ---- columns ---- */

struct seen {
    struct exchange_columns *out;
    size_t starts[EXCHANGE_COLUMNS_MAX];
    bool has[ARRAY_LEN(controls)];
    bool any;
};

static bool is_control(struct slice name)
{
    return name.len > 2 && (name.data[0] == 'x' || name.data[0] == 'X') &&
           name.data[1] == '_';
}

static bool on_column(void *ctx, const struct slice *cells, size_t n)
{
    struct seen *s = ctx;
    struct slice name = cells[0];
    (void)n;
    s->any = true;
    if (is_control(name)) {
        for (size_t i = 0; i < ARRAY_LEN(controls); i++) {
            s->has[i] = s->has[i] ||
                        (strlen(controls[i].name) == name.len &&
                         strncasecmp(controls[i].name, (const char *)name.data,
                                     name.len) == 0);
        }
    } else if (s->out->n < EXCHANGE_COLUMNS_MAX) {
        s->starts[s->out->n] = s->out->text.len;
        s->out->names[s->out->n++].len = name.len;
        buf_put_slice(&s->out->text, name);
    }
    return true;
}

static void put_text(struct slice text, struct buf *sql)
{
    char hex[2];
    static const char digits[] = "0123456789abcdef";
    buf_put_str(sql, "_utf8mb4 X'");
    for (size_t i = 0; i < text.len; i++) {
        hex[0] = digits[text.data[i] >> 4];
        hex[1] = digits[text.data[i] & 15];
        buf_put(sql, hex, sizeof hex);
    }
    buf_put_str(sql, "'");
}

static enum err check_controls(const struct seen *seen, const char *table,
                               struct errmsg *why)
{
    if (!seen->any) {
        return err_set(why, ERR_CONF,
                       "no table %s there, or no right to read it: run what "
                       "`creditnode exchange schema %s` prints",
                       table, table);
    }
    for (size_t i = 0; i < ARRAY_LEN(controls); i++) {
        if (!seen->has[i]) {
            return err_set(why, ERR_CONF,
                           "table %s has no column %s: add it, as `creditnode "
                           "exchange schema %s` has it",
                           table, controls[i].name, table);
        }
    }
    return ERR_OK;
}

enum err exchange_columns_read(struct mdb_conn *c, const char *table,
                               struct exchange_columns *out, struct errmsg *why)
{
    struct seen *seen = MEM_NEW(struct seen);
    struct buf sql = BUF_INIT;
    seen->out = out;
    buf_put_str(&sql, "SELECT column_name FROM information_schema.columns "
                      "WHERE table_schema=DATABASE() AND table_name=");
    put_text(slice_str(table), &sql);
    buf_put_str(&sql, " ORDER BY ordinal_position");
    enum err err = mdb_query(c, buf_slice(&sql), on_column, seen, why);
    for (size_t i = 0; i < out->n; i++) {
        out->names[i].data = out->text.data + seen->starts[i];
    }
    if (err == ERR_OK) {
        err = check_controls(seen, table, why);
    }
    buf_fini(&sql);
    mem_free(seen);
    return err;
}

void exchange_columns_fini(struct exchange_columns *columns)
{
    buf_fini(&columns->text);
    columns->n = 0;
}

void exchange_columns_keep(struct exchange_columns *columns,
                           const bool *is_read)
{
    size_t n = 0;
    for (size_t i = 0; i < columns->n; i++) {
        if (is_read[i]) {
            columns->names[n++] = columns->names[i];
        }
    }
    columns->n = n;
}

/* ---- statements ---- */

static const char waits[] = "x_status=0 AND x_switch=1";

static void put_content_of(struct slice name, struct buf *sql)
{
    buf_put_str(sql, "IFNULL(HEX(CAST(");
    mdb_put_name(name, sql);
    buf_put_str(sql, " AS CHAR)),'-'),");
}

/* A hash of all that is read of a row. What has no text form that the server
 * can hash has the empty one; it is too long for a record, too. */
static void put_content(const struct exchange_columns *c, struct buf *sql)
{
    static const char *const also[] = {"x_change", "x_changed_at", "x_digest"};
    buf_put_str(sql, "IFNULL(LEFT(UNHEX(SHA2(CONCAT_WS(',',");
    for (size_t i = 0; i < ARRAY_LEN(also); i++) {
        put_content_of(slice_str(also[i]), sql);
    }
    for (size_t i = 0; i < c->n; i++) {
        put_content_of(c->names[i], sql);
    }
    buf_putf(sql, "''),256)),%d),'')", SOURCE_LEN);
}

void exchange_put_select(const char *table, const struct exchange_columns *c,
                         uint64_t from, uint32_t limit, struct buf *sql)
{
    buf_put_str(sql, "SELECT x_id,");
    put_content(c, sql);
    buf_put_str(sql, ",x_change,x_digest");
    for (size_t i = 0; i < c->n; i++) {
        buf_put_str(sql, ",LEFT(CAST(");
        mdb_put_name(c->names[i], sql);
        buf_putf(sql, " AS CHAR),%d)", CSV_CELL_MAX + 1);
    }
    buf_put_str(sql, " FROM ");
    mdb_put_name(slice_str(table), sql);
    buf_putf(sql, " WHERE %s AND x_id>=%llu ORDER BY x_id LIMIT %u", waits,
             (unsigned long long)from, limit);
}

void exchange_put_count(const char *table, struct buf *sql)
{
    buf_put_str(sql, "SELECT COUNT(*) FROM (SELECT 1 FROM ");
    mdb_put_name(slice_str(table), sql);
    buf_putf(sql, " WHERE %s LIMIT %d) w", waits, EXCHANGE_WAITING_MAX);
}

/* At most `chars` characters. */
static void put_cut(const char *text, size_t chars, struct buf *out)
{
    struct slice s = slice_str(text);
    size_t len = 0;
    for (size_t n = 0; len < s.len; len++) {
        n += s.data[len] >> 6 != 2;
        if (n > chars) {
            break;
        }
    }
    put_text(slice_of(s.data, len), out);
}

static void put_cut_or_null(const char *text, size_t chars, const char *as,
                            struct buf *out)
{
    buf_put_str(out, ",");
    if (text[0] == 0) {
        buf_put_str(out, "NULL");
    } else {
        put_cut(text, chars, out);
    }
    buf_putf(out, " AS %s", as);
}

void exchange_put_mark(const struct exchange_mark *mark, struct buf *out)
{
    char hex[2 * RECORD_KEY_LEN + 1];
    char key[2 * RECORD_KEY_LEN + 1] = "";
    str_hex(mark->content.data, mark->content.len, hex);
    if (mark->record_key.len == RECORD_KEY_LEN) {
        str_hex(mark->record_key.data, RECORD_KEY_LEN, key);
    }
    buf_putf(out, "SELECT %llu AS m_id,X'%s' AS m_content,%d AS m_status",
             (unsigned long long)mark->id, hex,
             mark->outcome == ROW_REFUSED ? 2 : 1);
    put_cut_or_null(row_outcome_name(mark->outcome), TEXT_CHARS, "m_outcome",
                    out);
    put_cut_or_null(key, TEXT_CHARS, "m_record_key", out);
    put_cut_or_null(mark->log, TEXT_CHARS, "m_log", out);
    buf_putf(out, ",NULLIF(%llu,0) AS m_number,NULLIF(%u,0) AS m_version",
             (unsigned long long)mark->number, mark->version);
    put_cut_or_null(mark->rule, RULE_CHARS, "m_rule", out);
    put_cut_or_null(mark->field, FIELD_CHARS, "m_field", out);
    put_cut_or_null(mark->text, TEXT_CHARS, "m_text", out);
    put_cut_or_null(mark->text_zh, TEXT_CHARS, "m_text_zh", out);
}

void exchange_put_update(const char *table, const struct exchange_columns *c,
                         struct slice marks, struct buf *sql)
{
    buf_put_str(sql, "UPDATE ");
    mdb_put_name(slice_str(table), sql);
    buf_put_str(sql, " t JOIN (");
    buf_put_slice(sql, marks);
    buf_putf(sql,
             ") m ON t.x_id=m.m_id SET t.x_status=m.m_status,"
             "t.x_outcome=m.m_outcome,t.x_record_key=m.m_record_key,"
             "t.x_log=m.m_log,t.x_number=m.m_number,t.x_version=m.m_version,"
             "t.x_rule=m.m_rule,t.x_field=m.m_field,t.x_text=m.m_text,"
             "t.x_text_zh=m.m_text_zh,t.x_marked_at=NOW(3) WHERE %s AND "
             "m.m_content=",
             waits);
    put_content(c, sql);
}

/* ---- the schema ---- */

static const struct catalogue_item *item_named(const char *name)
{
    size_t n;
    const struct catalogue_item *const *items = catalogue_items(&n);
    for (size_t i = 0; i < n; i++) {
        if (items[i]->family == FAMILY_RECORDS &&
            strcmp(items[i]->name, name) == 0) {
            return items[i];
        }
    }
    return NULL;
}

static void put_column(const char *name, const char *type, const char *comment,
                       struct buf *out)
{
    buf_put_str(out, "  ");
    mdb_put_name(slice_str(name), out);
    buf_putf(out, " %s COMMENT '%s',\n", type, comment);
}

static void put_data_columns(const struct catalogue_item *item, struct buf *out)
{
    for (size_t i = 0; i < item->count; i++) {
        const struct catalogue_field *f = &item->fields[i];
        char type[32] = "TEXT";
        if (f->code == NULL) {
            continue;
        }
        if (f->max_chars > 0 && f->max_chars <= VARCHAR_MAX) {
            (void)snprintf(type, sizeof type, "VARCHAR(%u)",
                           (unsigned)f->max_chars);
        }
        put_column(f->code, type, f->label_zh, out);
    }
}

/* Names of the columns that `who` may write, in brackets. */
static void put_rights(enum writer who, const struct catalogue_item *item,
                       struct buf *out)
{
    const char *between = " (";
    for (size_t i = 0; i < ARRAY_LEN(controls); i++) {
        if (controls[i].writer == who || controls[i].writer == BY_BOTH) {
            buf_putf(out, "%s%s", between, controls[i].name);
            between = ", ";
        }
    }
    for (size_t i = 0; item != NULL && i < item->count; i++) {
        if (item->fields[i].code != NULL) {
            buf_putf(out, "%s%s", between, item->fields[i].code);
        }
    }
    buf_put_str(out, ")");
}

static void put_account(const char *name, struct buf *out)
{
    buf_put_str(out, "'");
    for (const char *p = name; *p != 0; p++) {
        if (*p == '\'' || *p == '\\') {
            buf_put_u8(out, '\\');
        }
        buf_put_u8(out, (uint8_t)*p);
    }
    buf_put_str(out, "'@'%'");
}

static void put_on(const char *database, const char *table, const char *user,
                   struct buf *out)
{
    buf_put_str(out, "\n  ON ");
    mdb_put_name(slice_str(database), out);
    buf_put_str(out, ".");
    mdb_put_name(slice_str(table), out);
    buf_put_str(out, " TO ");
    put_account(user, out);
    buf_put_str(out, ";\n");
}

/* The digest of a row in SQL, for federations whose hash MariaDB has. */
static void put_digest(const struct catalogue_item *item, struct buf *out)
{
    buf_put_str(out, "-- x_digest in SQL (suite intl):\n"
                     "--   SHA2(CONCAT('x_change=',x_change,'\\n'");
    for (size_t i = 0; i < item->count; i++) {
        const char *code = item->fields[i].code;
        if (code != NULL) {
            buf_putf(out,
                     ",\n--     IF(IFNULL(%s,'')='','',CONCAT('%s=',%s,'\\n'))",
                     code, code, code);
        }
    }
    buf_put_str(out, "),256)\n");
}

enum err exchange_schema(const struct exchange_table_conf *table,
                         const char *database, const char *user,
                         struct buf *out, struct errmsg *why)
{
    const struct catalogue_item *item = item_named(table->item);
    if (item == NULL) {
        return err_set(why, ERR_NOT_FOUND,
                       "no kind of record is named %s: see `creditnode "
                       "catalogue`",
                       table->item);
    }
    buf_put_str(out, "CREATE TABLE ");
    mdb_put_name(slice_str(database), out);
    buf_put_str(out, ".");
    mdb_put_name(slice_str(table->table), out);
    buf_put_str(out, " (\n");
    for (size_t i = 0; i < ARRAY_LEN(controls); i++) {
        put_column(controls[i].name, controls[i].type, controls[i].comment,
                   out);
    }
    put_data_columns(item, out);
    buf_put_str(out, "  KEY x_waiting (x_status, x_switch, x_id)\n"
                     ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n"
                     "-- the node\nGRANT SELECT, UPDATE");
    put_rights(BY_NODE, NULL, out);
    put_on(database, table->table, user[0] != 0 ? user : "creditnode", out);
    buf_put_str(out, "-- the department: write its account for DEPARTMENT\n"
                     "GRANT SELECT, DELETE, INSERT");
    put_rights(BY_DEPARTMENT, item, out);
    buf_put_str(out, ",\n  UPDATE");
    put_rights(BY_DEPARTMENT, item, out);
    put_on(database, table->table, "DEPARTMENT", out);
    put_digest(item, out);
    return ERR_OK;
}
