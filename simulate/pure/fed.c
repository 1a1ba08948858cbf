#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pure/impl.h"

#define FEDERATION "pure.simulation"

enum { PARALLEL = 4, CHILDREN_MAX = 99, PATH_LEN = 512 };

/* ---- shapes ---- */

bool pure_shape_parse(const char *text, struct pure_shape *out,
                      struct errmsg *why)
{
    unsigned total = 0;
    *out = (struct pure_shape){.levels = 0};
    for (const char *at = text; *at != '\0';) {
        char *end;
        unsigned long n = strtoul(at, &end, 10);
        unsigned above = out->levels > 0 ? out->count[out->levels - 1] : 1;
        if (end == at || (*end != '\0' && *end != ',') || n == 0 ||
            out->levels == PURE_LEVELS_MAX || (out->levels == 0 && n != 1) ||
            n < above || n > (unsigned long)above * CHILDREN_MAX) {
            break;
        }
        out->count[out->levels++] = (unsigned)n;
        total += (unsigned)n;
        at = *end == ',' ? end + 1 : end;
        if (*at == '\0' && *end == '\0' && total <= PURE_NODES_MAX) {
            return true;
        }
    }
    (void)err_set(why, ERR_CONF,
                  "shape \"%s\": give the nodes of each level from the one on "
                  "top, as in 1,3,9: at most %d levels and %d nodes, none "
                  "narrower than the one above it, at most %d children a node",
                  text, PURE_LEVELS_MAX, PURE_NODES_MAX, CHILDREN_MAX);
    return false;
}

static const enum tier tiers[PURE_LEVELS_MAX] = {
    TIER_PROVINCE, TIER_CITY, TIER_COUNTY, TIER_TOWNSHIP, TIER_VILLAGE};
/* What one more child adds to the code of its parent, a level. */
static const uint64_t steps[PURE_LEVELS_MAX] = {0, 100000000, 1000000, 1000, 1};

unsigned pure_places(const struct pure_shape *shape, struct pure_place *out)
{
    unsigned n = 1;
    unsigned above = 0; /* first of the level above … */
    unsigned wide = 1;  /* … and how many there are */
    out[0] = (struct pure_place){340000000000, tiers[0], -1};
    for (unsigned level = 1; level < shape->levels; level++) {
        unsigned first = n;
        assert(wide > 0);
        for (unsigned i = 0; i < shape->count[level]; i++) {
            unsigned parent = above + i % wide;
            out[n++] = (struct pure_place){
                .code = out[parent].code + steps[level] * (i / wide + 1),
                .tier = tiers[level],
                .parent = (int)parent};
        }
        above = first;
        wide = n - first;
    }
    return n;
}

static void lay_out(struct pure_fed *fed, const struct pure_shape *shape)
{
    struct pure_place *place = mem_zalloc(PURE_NODES_MAX, sizeof *place);
    fed->nodes = pure_places(shape, place);
    fed->node = mem_zalloc(fed->nodes, sizeof *fed->node);
    for (unsigned i = 0; i < fed->nodes; i++) {
        fed->node[i] = (struct pure_node){.code = place[i].code,
                                          .tier = place[i].tier,
                                          .parent = place[i].parent};
    }
    mem_free(place);
}

bool fed_covers(const struct pure_fed *fed, int above, int below)
{
    while (below > above) { /* parents come first */
        below = fed->node[below].parent;
    }
    return below == above;
}

int fed_find(const struct pure_fed *fed, uint64_t code)
{
    for (unsigned i = 0; i < fed->nodes; i++) {
        if (fed->node[i].code == code) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- certificates ---- */

static enum err wait_for(pid_t pid, const char *what, struct errmsg *why)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? ERR_OK
               : err_set(why, ERR_CONF, "%s failed: run it by hand to see why",
                         what);
}

static pid_t start(char *const argv[])
{
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout) != NULL) {
            (void)execv(argv[0], argv);
        }
        _exit(127);
    }
    return pid;
}

static char *path_in(const char *folder, const char *name)
{
    struct buf path = BUF_INIT;
    size_t len;
    buf_putf(&path, "%s/%s", folder, name);
    (void)buf_cstr(&path);
    return (char *)buf_steal(&path, &len);
}

static bool is_there(const char *folder, const char *name)
{
    struct stat st;
    char *path = path_in(folder, name);
    bool there = stat(path, &st) == 0;
    mem_free(path);
    return there;
}

static enum err make_ca(const char *folder, const char *scripts,
                        struct errmsg *why)
{
    char *script = path_in(scripts, "make-federation.sh");
    char *fed = path_in(folder, "fed");
    char name[] = "--name";
    char federation[] = FEDERATION;
    char *argv[] = {script, fed, name, federation, NULL};
    enum err err = is_there(folder, "fed/ca.pem")
                       ? ERR_OK
                       : wait_for(start(argv), script, why);
    mem_free(script);
    mem_free(fed);
    return err;
}

static pid_t make_node(const char *folder, const char *scripts,
                       const struct pure_node *node)
{
    char code[CODE_LEN + 1];
    char tier[32];
    char tier_flag[] = "--tier";
    char code_flag[] = "--code";
    code_format(node->code, code);
    (void)snprintf(tier, sizeof tier, "%s", tier_name(node->tier));
    char *script = path_in(scripts, "make-node.sh");
    char *fed = path_in(folder, "fed");
    char *out = path_in(folder, code);
    char *argv[] = {script, fed, out, tier_flag, tier, code_flag, code, NULL};
    pid_t pid = is_there(out, "sign.pem") ? 0 : start(argv);
    mem_free(script);
    mem_free(fed);
    mem_free(out);
    return pid;
}

/* The first node makes the intermediate CA; then several at once. */
static enum err make_nodes(const struct pure_fed *fed, const char *folder,
                           const char *scripts, struct errmsg *why)
{
    pid_t pids[PARALLEL] = {0};
    enum err err = ERR_OK;
    for (unsigned i = 0; i < fed->nodes + PARALLEL; i++) {
        pid_t *pid = &pids[i % PARALLEL];
        enum err one = *pid > 0 ? wait_for(*pid, "make-node.sh", why) : ERR_OK;
        err = err == ERR_OK ? one : err;
        *pid = i < fed->nodes && err == ERR_OK
                   ? make_node(folder, scripts, &fed->node[i])
                   : 0;
        if (i == 0 && *pid > 0) {
            err = wait_for(*pid, "make-node.sh", why);
            *pid = 0;
        }
    }
    return err;
}

static enum err load(struct pure_fed *fed, const char *folder,
                     struct errmsg *why)
{
    char *ca = path_in(folder, "fed/ca.pem");
    enum err err =
        trust_open(&fed->trust, SUITE_INTL, FEDERATION, ca, NULL, why);
    mem_free(ca);
    for (unsigned i = 0; err == ERR_OK && i < fed->nodes; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%012llu/sign.pem",
                       (unsigned long long)fed->node[i].code);
        char *cert = path_in(folder, name);
        (void)snprintf(name, sizeof name, "%012llu/sign.key",
                       (unsigned long long)fed->node[i].code);
        char *key = path_in(folder, name);
        err = identity_load(&fed->node[i].sign, fed->trust, CERT_USE_SIGN, cert,
                            key, why);
        mem_free(cert);
        mem_free(key);
    }
    return err;
}

/* A folder of its own, if none was given. */
static enum err make_folder(struct pure_fed *fed, const char **folder,
                            struct errmsg *why)
{
    if (*folder != NULL) {
        return ERR_OK;
    }
    (void)snprintf(fed->made, sizeof fed->made, "/tmp/creditsim-XXXXXX");
    if (mkdtemp(fed->made) == NULL) {
        fed->made[0] = '\0';
        return err_set(why, ERR_IO, "no folder can be made in /tmp");
    }
    *folder = fed->made;
    return ERR_OK;
}

enum err pure_fed_open(struct pure_fed **out, const char *folder,
                       const char *scripts, const struct pure_shape *shape,
                       struct errmsg *why)
{
    struct pure_fed *fed = MEM_NEW(struct pure_fed);
    lay_out(fed, shape);
    enum err err = make_folder(fed, &folder, why);
    if (err == ERR_OK) {
        err = make_ca(folder, scripts, why);
    }
    if (err == ERR_OK) {
        err = make_nodes(fed, folder, scripts, why);
    }
    if (err == ERR_OK) {
        err = load(fed, folder, why);
    }
    fed->now_ms = clock_wall_ms();
    if (err != ERR_OK) {
        pure_fed_close(&fed);
    }
    *out = fed;
    return err;
}

static void remove_folder(char *folder)
{
    char rm[] = "/bin/rm";
    char flags[] = "-rf";
    char *argv[] = {rm, flags, folder, NULL};
    struct errmsg why;
    if (wait_for(start(argv), folder, &why) != ERR_OK) {
        (void)fprintf(stderr, "%s could not be removed\n", folder);
    }
}

void pure_fed_close(struct pure_fed **fed)
{
    if (*fed == NULL) {
        return;
    }
    for (unsigned i = 0; i < (*fed)->nodes; i++) {
        identity_fini(&(*fed)->node[i].sign);
    }
    trust_free(&(*fed)->trust);
    if ((*fed)->made[0] != '\0') {
        remove_folder((*fed)->made);
    }
    mem_free((*fed)->node);
    mem_free(*fed);
    *fed = NULL;
}
