/* Logs of this node's own of which a child has more: this node's store was lost
 * or put back, and until they are here again nobody knows what it decided. */
#include "base/mem.h"
#include "sync/feed_impl.h"
#include "sync/hello.h"

/* Lock held. */
static void drop(struct feed *feed, struct lost_log **at)
{
    struct lost_log *gone = *at;
    *at = gone->next;
    mem_free(gone);
    atomic_store(&feed->any_lost, feed->lost != NULL);
}

void feed_lost_forget(struct feed *feed, uint64_t child)
{
    (void)pthread_mutex_lock(&feed->lock);
    struct lost_log **at = &feed->lost;
    while (*at != NULL) {
        if ((*at)->child.code == child) {
            drop(feed, at);
        } else {
            at = &(*at)->next;
        }
    }
    (void)pthread_mutex_unlock(&feed->lock);
}

void feed_lost_note(struct feed *feed, const struct principal *child,
                    const struct wire_log_have *have)
{
    struct lost_log *lost = MEM_NEW(struct lost_log);
    lost->child = *child;
    lost->log = have->log;
    lost->size = have->size;
    (void)pthread_mutex_lock(&feed->lock);
    lost->next = feed->lost;
    feed->lost = lost;
    atomic_store(&feed->any_lost, true);
    (void)pthread_mutex_unlock(&feed->lock);
}

/* Who is a child is asked without the lock: whoever answers may hold one of his
 * own while he calls feed_recheck(). */
void feed_lost_recheck(struct feed *feed)
{
    struct errmsg why;
    size_t n = 0;
    struct principal *children = NULL;
    (void)pthread_mutex_lock(&feed->lock);
    for (const struct lost_log *l = feed->lost; l != NULL; l = l->next) {
        children = mem_realloc(children, (n + 1) * sizeof *children);
        children[n++] = l->child;
    }
    (void)pthread_mutex_unlock(&feed->lock);
    for (size_t i = 0; i < n; i++) {
        if (admit_child(feed->env, &children[i], &why) != ERR_OK) {
            feed_lost_forget(feed, children[i].code);
        }
    }
    mem_free(children);
}

void feed_lost_fini(struct feed *feed)
{
    while (feed->lost != NULL) {
        drop(feed, &feed->lost);
    }
}

/* A log that came back to its end, by a file, has all that will come. */
static bool is_back(const struct feed *feed, const struct lost_log *lost)
{
    struct store_head head;
    return store_head(feed->env->store, &lost->log, &head) == ERR_OK &&
           (head.frontier.size >= lost->size || head.state == LOG_CLOSED);
}

bool feed_lost(struct feed *feed, uint64_t *child)
{
    if (feed == NULL || !atomic_load(&feed->any_lost)) {
        return false;
    }
    (void)pthread_mutex_lock(&feed->lock);
    while (feed->lost != NULL && is_back(feed, feed->lost)) {
        drop(feed, &feed->lost);
    }
    bool lost = feed->lost != NULL;
    *child = lost ? feed->lost->child.code : 0;
    (void)pthread_mutex_unlock(&feed->lock);
    return lost;
}
