#include "run/receipts.h"

#include <stdlib.h>
#include <string.h>

#include "api/admin.h"
#include "run/run.h"

enum { LINE_LEN = 4096, CELLS = 5 };

/* The first cells of a receipt row; quotes are dropped, none holds a comma. */
static size_t split(char *line, char *cells[CELLS])
{
    size_t n = 0;
    char *from = line;
    char *to = line;
    cells[n++] = line;
    for (; *from != 0 && *from != '\n'; from++) {
        if (*from == ',' && n == CELLS) {
            break;
        }
        if (*from == ',') {
            *to++ = 0;
            cells[n++] = to;
        } else if (*from != '"') {
            *to++ = *from;
        }
    }
    *to = 0;
    return n;
}

/* A row that has a number was taken. */
static bool parse(char *line, struct receipt *out)
{
    char *cells[CELLS];
    if (split(line, cells) < CELLS || strlen(cells[2]) != RECEIPT_KEY_HEX ||
        strlen(cells[3]) >= sizeof out->log ||
        (out->number = strtoull(cells[4], NULL, 10)) == 0) {
        return false;
    }
    out->line = strtoul(cells[0], NULL, 10);
    (void)snprintf(out->key, sizeof out->key, "%s", cells[2]);
    (void)snprintf(out->log, sizeof out->log, "%s", cells[3]);
    return true;
}

bool receipt_next(FILE *file, struct receipt *out)
{
    char line[LINE_LEN];
    while (fgets(line, sizeof line, file) != NULL) {
        if (strchr(line, '\n') != NULL && parse(line, out)) {
            return true;
        }
    }
    return false;
}

unsigned receipts_pending(FILE *file)
{
    char line[LINE_LEN];
    unsigned n = 0;
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        char *cells[CELLS];
        n += split(line, cells) == CELLS && strcmp(cells[1], "pending") == 0;
    }
    return n;
}

json_t *admin_ask(const char *socket, json_t *request, struct errmsg *why)
{
    struct admin_client *client = NULL;
    json_t *answer = NULL;
    if (admin_connect(&client, socket, why) != ERR_OK) {
        json_decref(request);
        return NULL;
    }
    if (admin_write_json(client, request) != ERR_OK ||
        admin_read(client, &answer, why) != ERR_OK) {
        answer = NULL;
    }
    admin_disconnect(&client);
    return answer;
}

static json_t *ask_record(const char *socket, const struct receipt *receipt,
                          struct errmsg *why)
{
    *why = (struct errmsg){""};
    return admin_ask(socket,
                     json_pack("{s:s, s:s, s:I}", "cmd", "record", "log",
                               receipt->log, "number",
                               (json_int_t)receipt->number),
                     why);
}

/* Takes `answer`. */
static bool is_answered(json_t *answer, const struct receipt *receipt,
                        struct errmsg *why)
{
    const char *have = json_string_value(
        json_object_get(json_object_get(answer, "record"), "record_key"));
    const char *text = json_string_value(json_object_get(answer, "text"));
    bool good = have != NULL && strcmp(have, receipt->key) == 0;
    if (!good && (have != NULL || text != NULL)) {
        (void)err_set(why, ERR_NOT_FOUND, "%s%.100s",
                      have != NULL ? "another record is there: " : "",
                      have != NULL ? have : text);
    }
    json_decref(answer);
    return good;
}

bool receipt_holds(const char *socket, const struct receipt *receipt,
                   struct errmsg *why)
{
    return is_answered(ask_record(socket, receipt, why), receipt, why);
}

bool receipt_holds_person(const char *socket, const struct receipt *receipt,
                          bool *clear, struct errmsg *why)
{
    json_t *answer = ask_record(socket, receipt, why);
    *clear = persons_answered(answer);
    return is_answered(answer, receipt, why);
}

bool receipt_holds_key(const char *socket, const char *subject,
                       const struct receipt *receipt)
{
    struct errmsg why = {""};
    json_t *answer =
        admin_ask(socket,
                  json_pack("{s:s, s:s, s:s}", "cmd", "record", "subject",
                            subject, "record_key", receipt->key),
                  &why);
    bool held = json_is_object(json_object_get(answer, "record"));
    json_decref(answer);
    return held;
}
