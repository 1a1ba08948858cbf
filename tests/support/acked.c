/* acked - is everything that was acknowledged still there?
 *
 *   acked SOCKET < RECEIPTS
 *
 * Reads receipts of `creditnode import --receipt` and asks the node behind the
 * admin socket for every row that was taken: (log, number) must hold a record
 * with this key. Prints what is missing; status 1 if anything is. */
#include <stdio.h>
#include <string.h>

#include "api/admin.h"
#include "base/mem.h"

enum { LINE_MAX_LEN = 4096, CELLS = 5, SHOWN = 10, RECORD_KEY_HEX = 32 };

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

static json_t *ask(const char *socket, json_t *request, struct errmsg *why)
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

static bool holds(const char *socket, const char *log, long long number,
                  const char *key)
{
    struct errmsg why = {{0}};
    json_t *answer = ask(socket,
                         json_pack("{s:s, s:s, s:I}", "cmd", "record", "log",
                                   log, "number", (json_int_t)number),
                         &why);
    const char *have = json_string_value(
        json_object_get(json_object_get(answer, "record"), "record_key"));
    bool good = have != NULL && strcmp(have, key) == 0;
    if (!good) {
        const char *text = json_string_value(json_object_get(answer, "text"));
        (void)fprintf(stderr, "missing: %s #%lld key %s: %s%s\n", log, number,
                      key, have != NULL ? "another record is there: " : "",
                      have != NULL   ? have
                      : text != NULL ? text
                                     : why.text);
    }
    json_decref(answer);
    return good;
}

int main(int argc, char **argv)
{
    char line[LINE_MAX_LEN];
    unsigned long asked = 0;
    unsigned long missing = 0;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: acked SOCKET < RECEIPTS\n");
        return 2;
    }
    while (fgets(line, sizeof line, stdin) != NULL && missing < SHOWN) {
        char *cells[CELLS];
        long long number = 0;
        /* A row that has a number was taken; a receipt cut off by a kill may
         * end in the middle of a line. */
        bool whole = strchr(line, '\n') != NULL;
        if (!whole || split(line, cells) < CELLS ||
            strlen(cells[2]) != RECORD_KEY_HEX ||
            sscanf(cells[4], "%lld", &number) != 1 || number == 0) {
            continue;
        }
        asked++;
        missing += !holds(argv[1], cells[3], number, cells[2]);
    }
    (void)printf("%lu acknowledged rows, %lu missing\n", asked, missing);
    return missing > 0;
}
