#include "run/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ident/ident.h"
#include "pure/rng.h"

enum { LINE_LEN = 512, FIRST_MS = 500, REST_MS = 1500, TRIES = 50 };

static const char magic[] = "creditsim-faults 1";

static const int64_t jumps[] = {-86400, -3600, -90, 90, 3600, 86400};
static const int64_t lies[] = {0, 1, 2, 3, 4, 5, 6};

#define ERRORS_DAMAGE                                                          \
    "STORE-CORRUPT STORE-DAMAGED STORE-FAULT STORE-REBUILD SYNC-UNREADABLE "   \
    "STORE-BACKGROUND "
/* Nothing can be written: neither the store nor a file beside it. */
#define ERRORS_DISK                                                            \
    "STORE-FULL STORE-BACKGROUND INDEX-KEY SYNC-WRAP SYNC-RECOVERY "           \
    "RELOAD-SIGN ROOT-JUDGE "
#define ERRORS_FORK                                                            \
    "SYNC-FORK SYNC-FORKED STORE-FORKED INTAKE-FORK INDEX-CONFLICT "           \
    "FEED-FORKED RECEIPT-FORK "

#define PROCESS .spoils = SPOILS_PROCESS
#define LINE .spoils = SPOILS_LINE, .has_parent = true
#define LASTS(least, most) .least_ms = (least), .most_ms = (most)

const struct fault_info schedule_kinds[FAULT_KINDS] = {
    [FAULT_KILL] = {"kill", "kill -9", PROCESS, .weight = 8, LASTS(10, 4000)},
    [FAULT_RESTART] = {"restart", "stop and start", PROCESS, .weight = 3,
                       LASTS(10, 1000)},
    [FAULT_FREEZE] = {"freeze", "SIGSTOP", PROCESS, .weight = 3,
                      LASTS(500, 8000)},
    [FAULT_CUT] = {"cut", "reset the line of", LINE, .weight = 5,
                   LASTS(100, 8000)},
    [FAULT_SILENT] = {"silent", "nothing moves on the line of", LINE,
                      .weight = 3, LASTS(500, 12000)},
    [FAULT_ONE_WAY_UP] = {"one-way-up", "nothing goes up from", LINE,
                          .weight = 2, LASTS(500, 12000)},
    [FAULT_ONE_WAY_DOWN] = {"one-way-down", "nothing comes down to", LINE,
                            .weight = 2, LASTS(500, 12000)},
    [FAULT_SLOW] = {"slow", "200 ms on the line of", LINE, .weight = 2,
                    LASTS(1000, 15000)},
    [FAULT_NARROW] = {"narrow", "2 Mbit/s and 200 ms on the line of", LINE,
                      .weight = 2, LASTS(1000, 15000)},
    [FAULT_LOSSY] = {"lossy", "one chunk in ten is lost on the line of", LINE,
                     .weight = 2, LASTS(1000, 10000)},
    [FAULT_PARTITION] = {"partition", "cut off with all below it", LINE,
                         .weight = 2, .children = 1, LASTS(2000, 15000)},
    [FAULT_RECONNECT] = {"reconnect", "all children reconnect to",
                         .spoils = SPOILS_CHILD_LINES, .children = 1,
                         .weight = 2, LASTS(100, 5000)},
    [FAULT_FULL] = {"full", "full disk", PROCESS, .weight = 2, LASTS(500, 5000),
                    .says = ERRORS_DISK},
    [FAULT_READ_ONLY] = {"read-only", "read-only disk", PROCESS, .weight = 2,
                         LASTS(500, 5000), .says = ERRORS_DISK},
    [FAULT_FLIP] = {"flip", "a flipped bit in the store of", PROCESS,
                    .weight = 2, LASTS(500, 3000), .has_parent = true,
                    .says = ERRORS_DAMAGE},
    [FAULT_RESTORE] = {"restore", "back up, later put back", PROCESS,
                       .weight = 2, LASTS(1000, 8000), .has_parent = true,
                       .says = ERRORS_FORK "RECLAIM-SET-ASIDE ",
                       .neighbours_say = ERRORS_FORK},
    /* Of what its twin signed and had not sent, the rest is gone with it. */
    [FAULT_CLONE] = {"clone", "runs twice", PROCESS, .weight = 1,
                     LASTS(2000, 8000), .has_parent = true,
                     .says = ERRORS_FORK "SYNC-SUCCEED-OFTEN STORE-GAP ",
                     .neighbours_say = ERRORS_FORK},
    [FAULT_EXPIRED] = {"expired", "the certificate ends of",
                       .spoils = SPOILS_PROCESS | SPOILS_LINE, .weight = 1,
                       .has_parent = true, LASTS(4000, 8000),
                       .says = "CERT-REFUSED "},
    [FAULT_REVOKED] = {"revoked", "its parent holds as revoked",
                       .spoils = SPOILS_PROCESS | SPOILS_LINE, .weight = 1,
                       .has_parent = true, LASTS(1000, 6000)},
    [FAULT_WRONG] = {"wrong", "another's certificate at", PROCESS, .weight = 1,
                     LASTS(500, 3000), .has_parent = true,
                     .says = "CERT-REFUSED "},
    /* A reload, for a child is revoked, refuses what is not valid yet then. */
    [FAULT_CLOCK] = {"clock", "the clock jumps at", PROCESS, .weight = 3,
                     LASTS(1000, 10000), .amounts = jumps,
                     .amounts_n = ARRAY_LEN(jumps), .unit = "s",
                     .says = "CERT-REFUSED "},
    [FAULT_LIE] = {"lie", "a lie to the parent of",
                   .spoils = SPOILS_PROCESS | SPOILS_LINE, .weight = 1,
                   .has_parent = true, LASTS(1000, 3000), .amounts = lies,
                   .amounts_n = ARRAY_LEN(lies), .unit = "",
                   .neighbours_say = "SYNC-DIFFERS "},
    [FAULT_FORK] = {"fork", "two histories of its lists by",
                    .spoils = SPOILS_PROCESS | SPOILS_CHILD_LINES, .weight = 1,
                    .has_parent = true, .children = 2, LASTS(1000, 3000),
                    .says = ERRORS_FORK "RECLAIM-SET-ASIDE ",
                    .neighbours_say = ERRORS_FORK},
    [FAULT_UPGRADE] = {"upgrade", "from the old program (--old) to the present",
                       PROCESS, .weight = 3, LASTS(10, 1000)},
};

/* ---- kinds ---- */

static bool find_kind(const char *name, enum fault_kind *out)
{
    for (unsigned i = 0; i < FAULT_KINDS; i++) {
        if (strcmp(name, schedule_kinds[i].name) == 0) {
            *out = (enum fault_kind)i;
            return true;
        }
    }
    return false;
}

bool schedule_kinds_parse(const char *text, uint32_t *out, struct errmsg *why)
{
    char *words = mem_strdup(text);
    char *rest = words;
    char *word;
    bool good = true;
    *out = 0;
    while (good && (word = strsep(&rest, ",")) != NULL) {
        enum fault_kind kind = FAULT_KILL;
        if (strcmp(word, "all") == 0) {
            *out = (UINT32_C(1) << FAULT_KINDS) - 1;
        } else if (find_kind(word, &kind)) {
            *out |= UINT32_C(1) << kind;
        } else if (strcmp(word, "none") != 0) {
            (void)err_set(why, ERR_CONF,
                          "no fault \"%.40s\": --faults list tells which are",
                          word);
            good = false;
        }
    }
    mem_free(words);
    return good;
}

void schedule_print_kinds(FILE *out)
{
    (void)fprintf(out, "%-13s %s\n", "kind", "what");
    for (unsigned i = 0; i < FAULT_KINDS; i++) {
        (void)fprintf(out, "%-13s %s ...\n", schedule_kinds[i].name,
                      schedule_kinds[i].what);
    }
}

/* ---- who may be hit ---- */

static unsigned count_children(const struct schedule_node *node, unsigned nodes,
                               unsigned at)
{
    unsigned n = 0;
    for (unsigned i = 0; i < nodes; i++) {
        n += node[i].parent == (int)at;
    }
    return n;
}

static bool may_hit(enum fault_kind kind, const struct schedule_node *node,
                    unsigned nodes, unsigned at)
{
    const struct fault_info *info = &schedule_kinds[kind];
    return (!info->has_parent || node[at].parent >= 0) &&
           count_children(node, nodes, at) >= info->children;
}

/* The line of the first, or the lines below it. */
static bool same_line(const struct fault *a, int parent_of_a,
                      const struct fault *b)
{
    unsigned x = schedule_kinds[a->kind].spoils;
    unsigned y = schedule_kinds[b->kind].spoils;
    bool own = (x & y & SPOILS_LINE) != 0 && a->node == b->node;
    bool below = (x & y & SPOILS_CHILD_LINES) != 0 && a->node == b->node;
    bool mixed = (x & SPOILS_LINE) != 0 && (y & SPOILS_CHILD_LINES) != 0 &&
                 parent_of_a == (int)b->node;
    return own || below || mixed;
}

bool schedule_collide(const struct fault *a, int parent_of_a,
                      const struct fault *b, int parent_of_b)
{
    bool process = (schedule_kinds[a->kind].spoils &
                    schedule_kinds[b->kind].spoils & SPOILS_PROCESS) != 0 &&
                   a->node == b->node;
    return process || same_line(a, parent_of_a, b) ||
           same_line(b, parent_of_b, a);
}

static bool overlap(const struct fault *a, const struct fault *b,
                    const struct schedule_node *node, uint32_t rest_ms)
{
    bool same_time = a->at_ms < b->at_ms + b->for_ms + rest_ms &&
                     b->at_ms < a->at_ms + a->for_ms + rest_ms;
    return same_time &&
           schedule_collide(a, node[a->node].parent, b, node[b->node].parent);
}

static const struct fault *overlapped(const struct schedule *s, size_t n,
                                      const struct fault *f,
                                      const struct schedule_node *node,
                                      uint32_t rest_ms)
{
    for (size_t i = 0; i < n; i++) {
        if (overlap(&s->fault[i], f, node, rest_ms)) {
            return &s->fault[i];
        }
    }
    return NULL;
}

/* ---- planning ---- */

static enum fault_kind pick(struct rng *r, uint32_t kinds)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < FAULT_KINDS; i++) {
        sum += (kinds >> i & 1) != 0 ? schedule_kinds[i].weight : 0;
    }
    uint32_t at = rng_below(r, sum);
    unsigned kind = 0;
    while ((kinds >> kind & 1) == 0 || at >= schedule_kinds[kind].weight) {
        at -= (kinds >> kind & 1) != 0 ? schedule_kinds[kind].weight : 0;
        kind++;
    }
    return (enum fault_kind)kind;
}

/* Short ones are most: they meet what is under way. */
static uint32_t pick_for(struct rng *r, const struct fault_info *info)
{
    uint32_t most = rng_one_in(r, 3)
                        ? info->most_ms
                        : info->least_ms + (info->most_ms - info->least_ms) / 5;
    return rng_between(r, info->least_ms, most);
}

static bool goes_on_old(const struct schedule *s,
                        const struct schedule_node *node, unsigned at)
{
    bool old = node[at].is_old;
    for (size_t i = 0; i < s->n; i++) {
        old = old &&
              (s->fault[i].kind != FAULT_UPGRADE || s->fault[i].node != at);
    }
    return old;
}

/* A node that begins with an earlier program and goes on with it so far; any,
 * if there is none. */
static unsigned pick_old(const struct schedule *s, struct rng *r,
                         const struct schedule_node *node, unsigned nodes)
{
    unsigned from = rng_below(r, nodes);
    unsigned i = 0;
    while (i < nodes && !goes_on_old(s, node, (from + i) % nodes)) {
        i++;
    }
    return (from + i) % nodes;
}

/* False: it may not hit the node, or another is there. */
static bool try_one(struct schedule *s, const struct schedule_plan *plan,
                    struct rng *r, uint32_t at_ms,
                    const struct schedule_node *node, unsigned nodes)
{
    enum fault_kind kind = pick(r, plan->kinds);
    const struct fault_info *info = &schedule_kinds[kind];
    bool upgrade = kind == FAULT_UPGRADE;
    unsigned at = upgrade ? pick_old(s, r, node, nodes) : rng_below(r, nodes);
    struct fault f = {.kind = kind,
                      .code = node[at].code,
                      .node = at,
                      .at_ms = at_ms,
                      .for_ms = pick_for(r, info)};
    if (info->amounts_n > 0) {
        f.amount = info->amounts[rng_below(r, info->amounts_n)];
    }
    if (!may_hit(kind, node, nodes, at) ||
        (upgrade && !goes_on_old(s, node, at)) ||
        overlapped(s, s->n, &f, node, REST_MS) != NULL) {
        return false;
    }
    s->fault[s->n++] = f;
    return true;
}

void schedule_make(struct schedule *out, const struct schedule_plan *plan,
                   const struct schedule_node *node, unsigned nodes)
{
    struct rng r = {rng_mix(plan->seed ^ UINT64_C(0xfa17ab1e))};
    *out = (struct schedule){
        .fault = mem_zalloc(SCHEDULE_MAX, sizeof(struct fault))};
    uint32_t at = FIRST_MS;
    while (plan->kinds != 0 && plan->every_ms != 0 && at < plan->for_ms &&
           out->n < SCHEDULE_MAX) {
        for (unsigned i = 0;
             i < TRIES && !try_one(out, plan, &r, at, node, nodes); i++) {
        }
        at += plan->every_ms / 2 + rng_below(&r, plan->every_ms) + 1;
    }
}

/* ---- files ---- */

/* Where a reader is. */
struct reading {
    const char *path;
    unsigned line;
    struct errmsg *why;
};

static enum err wrong(const struct reading *at, const char *field,
                      const char *rule)
{
    return err_set(at->why, ERR_CONF, "%s:%u: %s: %s", at->path, at->line,
                   field, rule);
}

static bool number(const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end;
    *out = text != NULL ? strtoll(text, &end, 10) : 0;
    return text != NULL && end != text && *end == '\0' && *out >= least &&
           *out <= most;
}

static char *next_word(char **rest)
{
    char *word;
    do {
        word = strsep(rest, " \t\r\n");
    } while (word != NULL && *word == '\0');
    return word;
}

static enum err read_fault(const struct reading *at, char *first, char *rest,
                           struct fault *out)
{
    int64_t at_ms;
    int64_t for_ms;
    *out = (struct fault){.line = at->line};
    if (!number(first, 0, SCHEDULE_MS_MAX, &at_ms)) {
        return wrong(at, "AT", "milliseconds, 0 to 86400000");
    }
    if (!number(next_word(&rest), 0, SCHEDULE_MS_MAX, &for_ms)) {
        return wrong(at, "FOR", "milliseconds, 0 to 86400000");
    }
    char *kind = next_word(&rest);
    if (kind == NULL || !find_kind(kind, &out->kind)) {
        return wrong(at, "KIND", "one of creditsim run --faults list");
    }
    char *code = next_word(&rest);
    if (code == NULL || !code_parse(code, &out->code)) {
        return wrong(at, "CODE", "a node's 12 digits");
    }
    char *amount = next_word(&rest);
    bool wanted = schedule_kinds[out->kind].amounts_n > 0;
    if (wanted
            ? !number(amount, -SCHEDULE_MS_MAX, SCHEDULE_MS_MAX, &out->amount)
            : amount != NULL) {
        return wrong(at, "AMOUNT",
                     wanted ? "this kind needs a number here"
                            : "this kind has none");
    }
    out->at_ms = (uint32_t)at_ms;
    out->for_ms = (uint32_t)for_ms;
    return next_word(&rest) == NULL
               ? ERR_OK
               : wrong(at, "end of line", "nothing follows");
}

static enum err read_option(const struct reading *at, char *rest,
                            schedule_option_fn *option, void *ctx)
{
    struct errmsg wrong_with = {""};
    char *name = next_word(&rest);
    char *value = next_word(&rest);
    if (name == NULL || value == NULL || next_word(&rest) != NULL) {
        return wrong(at, "option", "a name and a value");
    }
    return option(ctx, name, value, &wrong_with)
               ? ERR_OK
               : err_set(at->why, ERR_CONF, "%s:%u: option %s: %s", at->path,
                         at->line, name, wrong_with.text);
}

static enum err read_line(const struct reading *at, char *line,
                          struct schedule *out, schedule_option_fn *option,
                          void *ctx)
{
    char *comment = strchr(line, '#');
    if (comment != NULL) {
        *comment = '\0';
    }
    char *rest = line;
    char *word = next_word(&rest);
    if (word == NULL) {
        return ERR_OK;
    }
    if (strcmp(word, "option") == 0) {
        return read_option(at, rest, option, ctx);
    }
    if (out->n == SCHEDULE_MAX) {
        return wrong(at, "fault", "at most 2000 in a file");
    }
    return read_fault(at, word, rest, &out->fault[out->n++]);
}

static int by_time(const void *a, const void *b)
{
    const struct fault *x = a;
    const struct fault *y = b;
    return x->at_ms != y->at_ms ? (x->at_ms < y->at_ms ? -1 : 1)
                                : (int)x->line - (int)y->line;
}

static enum err read_lines(FILE *file, struct reading *at, struct schedule *out,
                           schedule_option_fn *option, void *ctx)
{
    char line[LINE_LEN];
    enum err err = ERR_OK;
    while (err == ERR_OK && fgets(line, sizeof line, file) != NULL) {
        at->line++;
        if (strlen(line) == sizeof line - 1) {
            err = wrong(at, "line", "at most 510 bytes");
        } else if (at->line > 1) {
            err = read_line(at, line, out, option, ctx);
        } else if (strncmp(line, magic, sizeof magic - 1) != 0 ||
                   strchr("\r\n", line[sizeof magic - 1]) == NULL) {
            err = wrong(at, "first line", "\"creditsim-faults 1\"");
        }
    }
    if (err == ERR_OK && at->line == 0) {
        err = wrong(at, "first line", "\"creditsim-faults 1\"");
    }
    return err;
}

enum err schedule_read(struct schedule *out, const char *path,
                       schedule_option_fn *option, void *ctx,
                       struct errmsg *why)
{
    struct reading at = {.path = path, .why = why};
    FILE *file = fopen(path, "re");
    *out = (struct schedule){0};
    if (file == NULL) {
        return err_set(why, ERR_CONF, "%s: cannot be read", path);
    }
    out->fault = mem_zalloc(SCHEDULE_MAX, sizeof *out->fault);
    enum err err = read_lines(file, &at, out, option, ctx);
    (void)fclose(file);
    qsort(out->fault, out->n, sizeof *out->fault, by_time);
    return err;
}

static bool find_node(struct fault *f, const struct schedule_node *node,
                      unsigned nodes)
{
    f->node = 0;
    while (f->node < nodes && node[f->node].code != f->code) {
        f->node++;
    }
    return f->node < nodes;
}

enum err schedule_check(struct schedule *s, const char *path,
                        const struct schedule_node *node, unsigned nodes,
                        struct errmsg *why)
{
    for (size_t i = 0; i < s->n; i++) {
        struct fault *f = &s->fault[i];
        struct reading at = {.path = path, .line = f->line, .why = why};
        if (!find_node(f, node, nodes)) {
            return wrong(&at, "CODE", "no node of the tree has it");
        }
        if (!may_hit(f->kind, node, nodes, f->node)) {
            return wrong(&at, "CODE",
                         schedule_kinds[f->kind].children > 0
                             ? "this kind needs a node with parent and children"
                             : "this kind needs a node with a parent");
        }
        const struct fault *other = overlapped(s, i, f, node, 0);
        if (other != NULL) {
            return err_set(why, ERR_CONF,
                           "%s:%u: AT: the fault of line %u has not ended at "
                           "this process or line",
                           path, f->line, other->line);
        }
    }
    return ERR_OK;
}

void schedule_print_head(FILE *out)
{
    (void)fprintf(out, "%s\n", magic);
}

void schedule_print(const struct schedule *s, FILE *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct fault *f = &s->fault[i];
        (void)fprintf(out, "%u %u %s %012llu", f->at_ms, f->for_ms,
                      schedule_kinds[f->kind].name,
                      (unsigned long long)f->code);
        if (schedule_kinds[f->kind].amounts_n > 0) {
            (void)fprintf(out, " %lld", (long long)f->amount);
        }
        (void)fprintf(out, "\n");
    }
}

void schedule_free(struct schedule *s)
{
    mem_free(s->fault);
    *s = (struct schedule){0};
}
