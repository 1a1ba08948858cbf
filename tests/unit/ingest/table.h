/* table.h - tables of licences as text, and a sink that writes down what became
 * of their rows. */
#ifndef TESTS_INGEST_TABLE_H
#define TESTS_INGEST_TABLE_H

#include "contract/store_fixture.h"

#include "ingest/import.h"

static const char table_citizen[] = "999900200002290017";

static inline void table_header(struct buf *out)
{
    buf_put_str(
        out, "XK_XDR_MC,XK_XDR_LB,XK_XDR_SHXYM,XK_FRDB,XK_XDR_ZJLX,XK_XDR_ZJHM,"
             "XK_XKWS,XK_WSH,XK_XKLB,XK_NR,XK_JDRQ,XK_YXQZ,XK_YXQZI,"
             "XK_XKJG,XK_XKJGDM,XK_ZT,XK_LYDW,XK_LYDWDM\n");
}

static inline void table_rest(struct buf *out, unsigned number,
                              const char *content)
{
    buf_putf(out,
             "样例决定书,样许〔2026〕%u号,普通,%s,2026-01-03,2026-01-03,"
             "2031-01-02,宣城市样例市场监督管理局,11999900000001011N,1,"
             "宣城市样例市场监督管理局,11999900000001011N\n",
             number, content);
}

/* A good row about one organisation; `number` makes the record. */
static inline void table_row(struct buf *out, unsigned number,
                             const char *content)
{
    buf_put_str(out, "宣城市样例甲贸易有限公司,法人及非法人组织,"
                     "91999900MA000100X7,赵样一,,,");
    table_rest(out, number, content);
}

/* A row that is refused: no credit code passes the check. */
static inline void table_bad_row(struct buf *out, unsigned number)
{
    buf_put_str(out, "宣城市样例甲贸易有限公司,法人及非法人组织,"
                     "91999900MA000100X8,赵样一,,,");
    table_rest(out, number, "准予");
}

static inline void table_person(struct buf *out, unsigned number,
                                const char *identifier)
{
    buf_putf(out, "王某样,自然人,,,身份证,%s,", identifier);
    table_rest(out, number, "准予");
}

/* Outcomes as "line outcome;", of good rows with version. */
struct outcomes {
    struct buf rows;
    struct buf texts; /* of faults */
    struct log_id log;
    uint64_t last_number;
    uint8_t key[RECORD_KEY_LEN];
    size_t count;
};

static inline void outcomes_row(void *ctx, const struct import_row *row)
{
    struct outcomes *o = ctx;
    o->count++;
    if (o->rows.len < 1 << 16) {
        buf_putf(&o->rows, "%u %s", (unsigned)row->line,
                 row_outcome_name(row->outcome));
        if (row->version > 1) {
            buf_putf(&o->rows, " v%u", (unsigned)row->version);
        }
        buf_put_str(&o->rows, ";");
    }
    for (size_t i = 0; i < row->faults_count; i++) {
        buf_putf(&o->texts, "%s %s %s\n", row->faults[i].column,
                 row->faults[i].rule, row->faults[i].text);
    }
    if (row->outcome != ROW_REFUSED) {
        o->log = row->log;
        o->last_number = row->number;
        memcpy(o->key, row->record_key, RECORD_KEY_LEN);
    }
}

static inline void outcomes_fini(struct outcomes *o)
{
    buf_fini(&o->rows);
    buf_fini(&o->texts);
}

#endif
