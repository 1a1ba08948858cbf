#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "run/tree.h"

enum { PATH_LEN = 640, LINE_LEN = 64 };

static int find(const struct place *place, unsigned n, uint64_t code)
{
    int at = (int)n - 1;
    while (at >= 0 && place[at].code != code) {
        at--;
    }
    return at;
}

/* The file NODE/parent: a code, or nothing at the top. */
static int read_parent(const char *folder, const struct place *place,
                       unsigned at)
{
    char path[PATH_LEN];
    char line[LINE_LEN] = "";
    uint64_t code;
    (void)snprintf(path, sizeof path, "%s/%012llu/parent", folder,
                   (unsigned long long)place[at].code);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(line, sizeof line, file) == NULL) {
            line[0] = '\0';
        }
        (void)fclose(file);
    }
    line[strcspn(line, "\n")] = '\0';
    return code_parse(line, &code) ? find(place, at, code) : -1;
}

static enum err read_node(const char *folder, struct place *place, unsigned at,
                          unsigned *port, struct errmsg *why)
{
    char path[PATH_LEN];
    struct conf *conf = NULL;
    struct conf_errors errors;
    struct place *p = &place[at];
    (void)snprintf(path, sizeof path, "%s/%012llu/node.cfg", folder,
                   (unsigned long long)p->code);
    if (conf_load(&conf, path, NULL, 0, &errors) != ERR_OK) {
        return err_set(why, ERR_CONF, "%s", errors.at[0].text);
    }
    const char *colon = strrchr(conf->listen.address, ':');
    *port = colon != NULL ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
    p->tier = conf->node.tier;
    (void)snprintf(p->name, sizeof p->name, "%s", conf->node.name);
    p->parent = read_parent(folder, place, at);
    conf_free(&conf);
    return *port != 0 && (p->parent >= 0) == (at > 0)
               ? ERR_OK
               : err_set(why, ERR_CONF, "%s: no port, or no parent before it",
                         path);
}

enum err tree_read(const char *folder, struct place **place, unsigned **port,
                   unsigned *n, struct errmsg *why)
{
    char path[PATH_LEN];
    char line[LINE_LEN];
    (void)snprintf(path, sizeof path, "%s/order", folder);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_set(why, ERR_CONF, "%s: no tree was kept here", path);
    }
    enum err err = ERR_OK;
    *n = 0;
    *place = mem_zalloc(PLACES_MAX, sizeof **place);
    *port = mem_zalloc(PLACES_MAX, sizeof **port);
    while (err == ERR_OK && *n < PLACES_MAX &&
           fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        err = code_parse(line, &(*place)[*n].code)
                  ? read_node(folder, *place, *n, &(*port)[*n], why)
                  : err_set(why, ERR_CONF, "%s: \"%s\" is no code", path, line);
        *n += err == ERR_OK;
    }
    (void)fclose(file);
    return err == ERR_OK && *n == 0
               ? err_set(why, ERR_CONF, "%s: no node", path)
               : err;
}
