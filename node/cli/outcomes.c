#include "cli/outcomes.h"

#include <stdio.h>

#include "base/mem.h"
#include "credit/rules.h"
#include "ingest/csv.h"

FILE *cli_outcomes_open(const char *path)
{
    FILE *to = fopen(path, "we");
    if (to != NULL) {
        (void)fputs(CSV_UTF8_MARK "line,outcome,record_key,log,number,column,"
                                  "rule,text,text_zh,file\n",
                    to);
    }
    return to;
}

char *cli_fault_zh(json_t *fault)
{
    struct buf zh = BUF_INIT;
    rules_put_zh(cli_text(fault, "rule"), cli_text(fault, "text"), &zh);
    char *copy = mem_strdup(buf_cstr(&zh));
    buf_fini(&zh);
    return copy;
}

void cli_outcomes_put(FILE *to, json_t *row, json_t *fault, const char *name)
{
    char *zh = cli_fault_zh(fault);
    (void)fprintf(to, "%lld,", cli_int(row, "line"));
    csv_put_cell(to, cli_text(row, "outcome"), ",");
    csv_put_cell(to, cli_text(row, "record_key"), ",");
    csv_put_cell(to, cli_text(row, "log"), ",");
    (void)fprintf(to, "%lld,", cli_int(row, "number"));
    csv_put_cell(to, cli_text(fault, "column"), ",");
    csv_put_cell(to, cli_text(fault, "rule"), ",");
    csv_put_cell(to, cli_text(fault, "text"), ",");
    csv_put_cell(to, zh, ",");
    csv_put_cell(to, name, "\n");
    mem_free(zh);
}
