/* silent.c - servers that take connections and say nothing.
 *
 * A machine or process that is frozen answers no packet, and who waits for it
 * would wait for as long as a statement may take. One who asks whether somebody
 * waits, and tries the server, cuts every connection of this process to it;
 * they then end as with a server that died. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/mariadb/mariadb.h"

enum { AVOID_MS = 10000, SILENT_MAX = 8 };

/* The library closes its socket when it likes; this one names the same
 * connection for as long as it is listed. */
struct mdb_line {
    struct mdb_line *next;
    int fd;
    _Atomic int64_t since_ms; /* it waits; 0: it does not */
    char address[MDB_ADDRESS_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mdb_line *lines; /* lock */
static struct silent {
    char address[MDB_ADDRESS_MAX];
    int64_t until_ms;
} silent[SILENT_MAX]; /* lock */

struct mdb_line *mdb_line_new(int fd, const char *address)
{
    int twin = dup(fd);
    if (twin < 0) {
        return NULL; /* it cannot be cut, and ends by its own times */
    }
    struct mdb_line *line = MEM_NEW(struct mdb_line);
    line->fd = twin;
    (void)snprintf(line->address, sizeof line->address, "%s", address);
    (void)pthread_mutex_lock(&lock);
    line->next = lines;
    lines = line;
    (void)pthread_mutex_unlock(&lock);
    return line;
}

void mdb_line_free(struct mdb_line *line)
{
    if (line == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&lock);
    struct mdb_line **at = &lines;
    while (*at != line) {
        at = &(*at)->next;
    }
    *at = line->next;
    (void)pthread_mutex_unlock(&lock);
    (void)close(line->fd);
    mem_free(line);
}

/* Lock held: the oldest gives way. */
static void avoid(const char *address)
{
    struct silent *place = &silent[0];
    for (size_t i = 0; i < SILENT_MAX; i++) {
        if (strcmp(silent[i].address, address) == 0) {
            place = &silent[i];
            break;
        }
        place = silent[i].until_ms < place->until_ms ? &silent[i] : place;
    }
    (void)snprintf(place->address, sizeof place->address, "%s", address);
    place->until_ms = clock_mono_ms() + AVOID_MS;
}

void mdb_line_waits(struct mdb_line *line, bool waits)
{
    if (line != NULL) {
        atomic_store(&line->since_ms, waits ? clock_mono_ms() : 0);
    }
}

/* The one that is waited for longest. */
static bool find_waited(uint32_t for_ms, char address[MDB_ADDRESS_MAX])
{
    int64_t oldest_ms = clock_mono_ms() - for_ms;
    bool found = false;
    (void)pthread_mutex_lock(&lock);
    for (struct mdb_line *l = lines; l != NULL; l = l->next) {
        int64_t since_ms = atomic_load(&l->since_ms);
        if (since_ms != 0 && since_ms <= oldest_ms) {
            oldest_ms = since_ms;
            found = true;
            (void)snprintf(address, MDB_ADDRESS_MAX, "%s", l->address);
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return found;
}

static unsigned cut(const char *address)
{
    unsigned n = 0;
    (void)pthread_mutex_lock(&lock);
    for (const struct mdb_line *l = lines; l != NULL; l = l->next) {
        if (strcmp(l->address, address) == 0) {
            n += shutdown(l->fd, SHUT_RDWR) == 0;
        }
    }
    avoid(address);
    (void)pthread_mutex_unlock(&lock);
    return n;
}

unsigned mdb_cut_silent(const struct store_mariadb_conf *conf, uint32_t for_ms,
                        char address[MDB_ADDRESS_MAX])
{
    char at[MDB_ADDRESS_MAX];
    unsigned n = mdb_servers(conf);
    if (n < 2 || !find_waited(for_ms, address)) {
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        mdb_address(conf, i, at);
        if (strcmp(at, address) == 0) {
            return mdb_is_alive(conf, i) ? 0 : cut(address);
        }
    }
    return 0; /* of other parts of the configuration */
}

bool mdb_is_silent(const char *address)
{
    bool found = false;
    int64_t now_ms = clock_mono_ms();
    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < SILENT_MAX; i++) {
        found = found || (silent[i].until_ms > now_ms &&
                          strcmp(silent[i].address, address) == 0);
    }
    (void)pthread_mutex_unlock(&lock);
    return found;
}
