#include <string.h>

#include "api/admin.h"
#include "base/mem.h"
#include "run/loss.h"
#include "run/rows.h"
#include "run/run.h"
#include "run/work.h"

/* Of a long run the newest stand for the others. */
enum { ASKED_MAX = 200 };

struct asked {
    char code[BENCH_CODE_LEN + 1];
    size_t decided;
    bool listed;
};

/* ---- who is listed ---- */

/* The first subject of each package that comes down to this node. */
static size_t choose(const struct run_node *n, struct asked *out)
{
    const struct run *run = n->run;
    size_t count = 0;
    for (size_t i = run->decided_n; i-- > 0 && count < ASKED_MAX;) {
        const struct decided *d = &run->decided[i];
        if (run_is_below(run, n->index, d->issuer) &&
            decided_in_force(run, d, UINT64_MAX) != IN_FORCE_UNKNOWN) {
            out[count].decided = i;
            bench_subject_code(d->first_subject, out[count++].code);
        }
    }
    return count;
}

static void note_listed(struct asked *asked, size_t n, const char *subject)
{
    for (size_t i = 0; subject != NULL && i < n; i++) {
        asked[i].listed =
            asked[i].listed || strcmp(asked[i].code, subject) == 0;
    }
}

static bool ask_all(const struct run_node *node, struct asked *asked, size_t n)
{
    struct admin_client *client = NULL;
    struct buf subjects = BUF_INIT;
    struct errmsg why;
    json_t *answer = NULL;
    const char *type = "row";
    for (size_t i = 0; i < n; i++) {
        buf_put(&subjects, asked[i].code, BENCH_CODE_LEN);
        buf_put_u8(&subjects, '\n');
    }
    bool good = admin_connect(&client, node->socket, &why) == ERR_OK &&
                admin_write_json(client, json_pack("{s:s}", "cmd", "check")) ==
                    ERR_OK &&
                admin_write(client, buf_slice(&subjects)) == ERR_OK &&
                admin_write(client, slice_of("", 0)) == ERR_OK;
    bool over = false;
    while (good && !over) {
        good = admin_read(client, &answer, &why) == ERR_OK;
        type = json_string_value(json_object_get(answer, "type"));
        over = good && (type == NULL || strcmp(type, "row") != 0);
        good = good && type != NULL && (!over || strcmp(type, "result") == 0);
        note_listed(asked, n,
                    json_string_value(json_object_get(answer, "subject")));
        json_decref(answer);
        answer = NULL;
    }
    admin_disconnect(&client);
    buf_fini(&subjects);
    return good;
}

static void check_node(struct run_node *node, struct asked *asked)
{
    struct run *run = node->run;
    memset(asked, 0, ASKED_MAX * sizeof *asked);
    size_t n = choose(node, asked);
    if (n > 0 && !ask_all(node, asked, n)) {
        run_broken(run, node, "answers", "it does not say who is listed");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        decided_judge(node, &run->decided[asked[i].decided], UINT64_MAX,
                      asked[i].code, asked[i].listed);
    }
}

void check_lists(struct run *run)
{
    struct asked *asked = mem_zalloc(ASKED_MAX, sizeof *asked);
    for (unsigned i = 0; i < run->nodes && run->invariant == NULL; i++) {
        check_node(&run->node[i], asked);
    }
    mem_free(asked);
}

/* ---- what came of it ---- */

static bool is_known(const struct run *run, const struct effect *e)
{
    const struct decided *d = &run->decided[e->decided];
    struct errmsg why;
    char listing[LOG_ID_TEXT_MAX + 24];
    char office[CODE_LEN + 1];
    bool found = false;
    size_t i;
    json_t *row;
    code_format(run->node[e->office].place.code, office);
    (void)snprintf(listing, sizeof listing, "%s#%llu", d->log,
                   (unsigned long long)decided_first(d));
    json_t *answer = admin_ask(
        run->node[d->issuer].socket,
        json_pack("{s:s, s:s}", "cmd", "directive-effects", "listing", listing),
        &why);
    json_t *rows = json_object_get(
        json_array_get(json_object_get(answer, "listings"), 0), "executions");
    json_array_foreach(rows, i, row)
    {
        const char *node = json_string_value(json_object_get(row, "node"));
        const char *app = json_string_value(json_object_get(row, "app"));
        const char *out = json_string_value(json_object_get(row, "outcome"));
        found = found || (node != NULL && strcmp(node, office) == 0 &&
                          app != NULL && strstr(app, EFFECT_APP) != NULL &&
                          out != NULL && strcmp(out, "applied") == 0);
    }
    json_decref(answer);
    return found;
}

void check_effects(struct run *run)
{
    size_t from = run->effects_n > ASKED_MAX ? run->effects_n - ASKED_MAX : 0;
    for (size_t i = from; i < run->effects_n && run->invariant == NULL; i++) {
        const struct effect *e = &run->effect[i];
        const struct decided *d = &run->decided[e->decided];
        /* What an office that was put back had said may be lost. */
        bool moved = loss_moves(&run->node[e->office]) ||
                     loss_moves(&run->node[d->issuer]);
        if (!moved && !is_known(run, e)) {
            run_broken(run, &run->node[d->issuer], "effects",
                       "it does not know what %012llu did about listing "
                       "%llu of %s",
                       (unsigned long long)run->node[e->office].place.code,
                       (unsigned long long)decided_first(d), d->log);
        }
    }
}
