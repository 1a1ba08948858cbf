#include "cli_outcomes.h"

#include <stdio.h>

#include "base/mem.h"
#include "credit/rules.h"

FILE *cli_outcomes_open(const char *path)
{
    FILE *to = fopen(path, "we");
    if (to != NULL) {
        (void)fputs("line,outcome,record_key,log,number,column,rule,text,"
                    "text_zh,file\n",
                    to);
    }
    return to;
}

/* Quoted as RFC 4180 says. */
static void put_cell(FILE *to, const char *text, const char *end)
{
    (void)fputc('"', to);
    for (const char *p = text; *p != 0; p++) {
        if (*p == '"') {
            (void)fputc('"', to);
        }
        (void)fputc(*p, to);
    }
    (void)fprintf(to, "\"%s", end);
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
    put_cell(to, cli_text(row, "outcome"), ",");
    put_cell(to, cli_text(row, "record_key"), ",");
    put_cell(to, cli_text(row, "log"), ",");
    (void)fprintf(to, "%lld,", cli_int(row, "number"));
    put_cell(to, cli_text(fault, "column"), ",");
    put_cell(to, cli_text(fault, "rule"), ",");
    put_cell(to, cli_text(fault, "text"), ",");
    put_cell(to, zh, ",");
    put_cell(to, name, "\n");
    mem_free(zh);
}
