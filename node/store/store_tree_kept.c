/* store_tree_kept.c - tree nodes that are kept beside a distant database: who
 * sends a run of a log asks for some fifty of them, one by one. */
#include "base/mem.h"
#include "store/store_impl.h"

enum { KEPT = 8192 }; /* a power of two: 400 KB, the trees of 120,000 entries */

struct kept_node {
    uint64_t index;
    uint32_t log;
    uint8_t level; /* 0: none is kept here */
    struct hash hash;
};

void tree_kept_init(struct tree_kept *kept)
{
    *kept = (struct tree_kept){.nodes = NULL};
    (void)pthread_mutex_init(&kept->lock, NULL);
}

void tree_kept_fini(struct tree_kept *kept)
{
    mem_free(kept->nodes);
    (void)pthread_mutex_destroy(&kept->lock);
}

/* Neighbours do not meet. */
static struct kept_node *place_of(const struct tree_kept *kept, uint32_t log,
                                  unsigned level, uint64_t index)
{
    uint64_t at = index + 2654435761u * ((uint64_t)log * TREE_LEVELS + level);
    return &kept->nodes[at % KEPT];
}

/* Lock held. */
static void put(struct tree_kept *kept, uint32_t log, unsigned level,
                uint64_t index, const struct hash *hash)
{
    if (kept->nodes == NULL) {
        kept->nodes = mem_zalloc(KEPT, sizeof *kept->nodes);
    }
    *place_of(kept, log, level, index) = (struct kept_node){
        .index = index, .log = log, .level = (uint8_t)level, .hash = *hash};
}

bool tree_kept_find(struct tree_kept *kept, uint32_t log, unsigned level,
                    uint64_t index, struct hash *out, uint64_t *cuts)
{
    bool found = false;
    (void)pthread_mutex_lock(&kept->lock);
    *cuts = kept->cuts;
    if (kept->nodes != NULL) {
        const struct kept_node *n = place_of(kept, log, level, index);
        found = n->log == log && n->level == level && n->index == index;
        if (found) {
            *out = n->hash;
        }
    }
    (void)pthread_mutex_unlock(&kept->lock);
    return found;
}

void tree_kept_read(struct tree_kept *kept, uint32_t log, unsigned level,
                    uint64_t index, const struct hash *hash, uint64_t cuts)
{
    (void)pthread_mutex_lock(&kept->lock);
    if (kept->cuts == cuts) {
        put(kept, log, level, index, hash);
    }
    (void)pthread_mutex_unlock(&kept->lock);
}

void tree_kept_committed(struct tree_kept *kept, const struct tree_new *nodes,
                         size_t n, bool cut)
{
    if (n == 0 && !cut) {
        return;
    }
    (void)pthread_mutex_lock(&kept->lock);
    if (cut) {
        kept->cuts++;
        mem_free(kept->nodes);
        kept->nodes = NULL;
    }
    for (size_t i = 0; i < n; i++) {
        put(kept, nodes[i].log, nodes[i].level, nodes[i].index, &nodes[i].hash);
    }
    (void)pthread_mutex_unlock(&kept->lock);
}
