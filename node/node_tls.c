#include "node_tls.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"

enum { LOOK_EVERY_MS = 1000 };

/* Handshakes under way may still read an older one, so none is freed before
 * the end; a node sees a few renewals in its life. */
struct loaded {
    struct loaded *older;
    struct tls_material material;
};

struct node_tls {
    const struct conf_tls *conf;
    node_tls_fits_fn *fits;
    void *ctx;
    const struct log_ctx *log;
    pthread_mutex_t lock;
    struct loaded *newest; /* lock */
    uint64_t generation;   /* lock */
    uint64_t told;         /* lock: generation at the last refresh */
    uint64_t stamp;        /* lock: of the files when they were taken */
    uint64_t refused;      /* lock: of those that could not be, last */
    int64_t looked_ms;     /* lock */
};

/* Changes when any of the files does. */
static uint64_t stamp_files(const struct conf_tls *conf)
{
    const char *paths[] = {conf->ca, conf->cert, conf->key};
    uint64_t stamp = 0;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct stat st;
        if (stat(paths[i], &st) == 0) {
            uint64_t t = (uint64_t)st.st_mtim.tv_sec * 1000000000U +
                         (uint64_t)st.st_mtim.tv_nsec;
            stamp = stamp * 31 + t + st.st_ino;
        }
    }
    return stamp;
}

/* Lock held. */
static enum err load(struct node_tls *tls, struct errmsg *why)
{
    struct loaded *fresh = MEM_NEW(struct loaded);
    enum err err = tls_material_load(&fresh->material, tls->conf->ca,
                                     tls->conf->cert, tls->conf->key, why);
    if (err == ERR_OK) {
        err = tls->fits(tls->ctx, &fresh->material.self, why);
        if (err != ERR_OK) {
            tls_material_fini(&fresh->material);
        }
    }
    if (err != ERR_OK) {
        mem_free(fresh);
        return err;
    }
    fresh->older = tls->newest;
    tls->newest = fresh;
    tls->generation++;
    return ERR_OK;
}

/* Lock held. Files are read again until they can be used, since what failed may
 * be the reading; that is said once, or if somebody `asks`. */
static bool look(struct node_tls *tls, bool asks)
{
    struct errmsg why = {{0}};
    uint64_t stamp = stamp_files(tls->conf);
    tls->looked_ms = clock_mono_ms();
    if (stamp == tls->stamp) {
        return false;
    }
    if (load(tls, &why) != ERR_OK) {
        if (asks || stamp != tls->refused) {
            log_error(tls->log, "CERT-REFUSED",
                      "reason=\"%s\" hint=\"the old certificate stays in use\"",
                      why.text);
        }
        tls->refused = stamp;
        return false;
    }
    tls->stamp = stamp;
    log_info(tls->log, "CERT-RENEWED", "use=tls generation=%llu",
             (unsigned long long)tls->generation);
    return true;
}

static const struct tls_material *get(void *ctx, uint64_t *generation)
{
    struct node_tls *tls = ctx;
    (void)pthread_mutex_lock(&tls->lock);
    if (clock_mono_ms() - tls->looked_ms >= LOOK_EVERY_MS) {
        (void)look(tls, false);
    }
    const struct tls_material *material = &tls->newest->material;
    *generation = tls->generation;
    (void)pthread_mutex_unlock(&tls->lock);
    return material;
}

enum err node_tls_open(struct node_tls **out, const struct conf_tls *conf,
                       node_tls_fits_fn *fits, void *ctx,
                       const struct log_ctx *log, struct errmsg *why)
{
    struct node_tls *tls = MEM_NEW(struct node_tls);
    tls->conf = conf;
    tls->fits = fits;
    tls->ctx = ctx;
    tls->log = log;
    tls->stamp = stamp_files(conf);
    tls->looked_ms = clock_mono_ms();
    (void)pthread_mutex_init(&tls->lock, NULL);
    enum err err = load(tls, why);
    if (err != ERR_OK) {
        node_tls_close(&tls);
        return err;
    }
    tls->told = tls->generation;
    *out = tls;
    return ERR_OK;
}

void node_tls_close(struct node_tls **tls_ptr)
{
    struct node_tls *tls = *tls_ptr;
    *tls_ptr = NULL;
    if (tls == NULL) {
        return;
    }
    struct loaded *older;
    for (struct loaded *l = tls->newest; l != NULL; l = older) {
        older = l->older;
        tls_material_fini(&l->material);
        mem_free(l);
    }
    (void)pthread_mutex_destroy(&tls->lock);
    mem_free(tls);
}

struct rpc_tls node_tls_source(struct node_tls *tls)
{
    return (struct rpc_tls){.get = get, .ctx = tls};
}

struct principal node_tls_self(struct node_tls *tls)
{
    (void)pthread_mutex_lock(&tls->lock);
    struct principal self = tls->newest->material.self;
    (void)pthread_mutex_unlock(&tls->lock);
    return self;
}

bool node_tls_refresh(struct node_tls *tls)
{
    (void)pthread_mutex_lock(&tls->lock);
    (void)look(tls, true);
    bool renewed = tls->generation != tls->told;
    tls->told = tls->generation;
    (void)pthread_mutex_unlock(&tls->lock);
    return renewed;
}
