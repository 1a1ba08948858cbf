/* Files in the keyring's folder, all 0600:
 *   secret   32 bytes: lookup tokens
 *   own      u32 period, 32 bytes key; again for each period
 *   wraps    u64 holder, 32 bytes key id, 8 bytes of the key's hash: wraps that
 *            were appended
 *   learned  u64 origin, u32 period, 32 bytes key, 8 bytes check; appended
 *            only, a torn tail is ignored */
#include "store/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    KEYRING_PATH_MAX = 4096,
    SECRET_LEN = 32,
    CHECK_LEN = 8,
    LEARNED_LEN = 8 + 4 + SEAL_KEY_LEN + CHECK_LEN,
    LEARNED_FILE_MAX = 256 << 20,
    SMALL_FILE_MAX = 4 << 20,
    PERIOD_LEN = 4,
    LOOK_EVERY_MS = 10000,
    CHINA_OFFSET_S = 8 * 3600,
};

/* A seal key of one origin for one period. An origin that lost its keyring has
 * several for the same period. */
struct seal_key {
    uint64_t origin;
    uint32_t period;
    uint8_t key[SEAL_KEY_LEN];
};

/* One own key wrapped to one holder's certificate. */
struct wrap {
    uint64_t holder;
    uint8_t key_id[32];
    uint8_t print[CHECK_LEN]; /* a period may have several keys */
    bool appended;            /* on file; else handed out only … */
    struct hash entry;        /* … as the entry with this hash */
};

struct keyring {
    char *path;
    enum suite suite;
    uint64_t self;
    _Atomic(const struct identity *) sealing;
    uint8_t secret[SECRET_LEN];
    bool frozen;           /* before it is shared */
    pthread_mutex_t lock;  /* of all below */
    struct seal_key *keys; /* by origin, period */
    size_t n;
    size_t cap;
    struct wrap *wraps;
    size_t wraps_n;
    int64_t look_at_ms; /* frozen: the files are not read again before */
};

/* ---- keys in memory ---- */

static bool key_before(const struct seal_key *k, uint64_t origin,
                       uint32_t period)
{
    return k->origin < origin || (k->origin == origin && k->period < period);
}

static size_t key_place(const struct keyring *kr, uint64_t origin,
                        uint32_t period)
{
    size_t lo = 0;
    size_t hi = kr->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (key_before(&kr->keys[mid], origin, period)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static bool key_at(const struct keyring *kr, size_t i, uint64_t origin,
                   uint32_t period)
{
    return i < kr->n && kr->keys[i].origin == origin &&
           kr->keys[i].period == period;
}

/* Is there room for one more of the origin and the period? */
static bool key_fits(const struct keyring *kr, uint64_t origin, uint32_t period)
{
    size_t first = key_place(kr, origin, 0);
    size_t of_origin = key_place(kr, origin + 1, 0) - first;
    size_t of_period = 0;
    for (size_t i = key_place(kr, origin, period);
         key_at(kr, i, origin, period); i++) {
        of_period++;
    }
    return of_origin < KEYS_OF_ORIGIN_MAX && of_period < KEYS_OF_PERIOD_MAX;
}

static bool key_known(const struct keyring *kr, const struct seal_key *key)
{
    for (size_t i = key_place(kr, key->origin, key->period);
         key_at(kr, i, key->origin, key->period); i++) {
        if (memcmp(kr->keys[i].key, key->key, SEAL_KEY_LEN) == 0) {
            return true;
        }
    }
    return false;
}

static void key_insert(struct keyring *kr, const struct seal_key *key)
{
    if (kr->n == kr->cap) {
        size_t cap = kr->cap == 0 ? 16 : kr->cap * 2;
        struct seal_key *keys = mem_alloc(cap * sizeof(*keys));
        if (kr->n > 0) {
            memcpy(keys, kr->keys, kr->n * sizeof(*keys));
            mem_wipe(kr->keys, kr->n * sizeof(*keys));
        }
        mem_free(kr->keys);
        kr->keys = keys;
        kr->cap = cap;
    }
    size_t at = key_place(kr, key->origin, key->period);
    memmove(kr->keys + at + 1, kr->keys + at, (kr->n - at) * sizeof(*kr->keys));
    kr->keys[at] = *key;
    kr->n++;
}

/* ---- files ---- */

static void file_name(const struct keyring *kr, const char *name,
                      char out[KEYRING_PATH_MAX])
{
    (void)snprintf(out, KEYRING_PATH_MAX, "%s/%s", kr->path, name);
}

/* ERR_NOT_FOUND: certainly not there, so that it may be made. Refuses what
 * others may read. */
static enum err read_private(const struct keyring *kr, const char *name,
                             size_t max, struct buf *out, struct errmsg *why)
{
    char path[KEYRING_PATH_MAX];
    file_name(kr, name, path);
    if (access(path, F_OK) != 0) {
        return err_set(why, err_from_errno(errno), "%s: %s", path,
                       strerror(errno));
    }
    enum err err = file_check_private(path, why);
    return err == ERR_OK ? file_read(path, max, out, why) : err;
}

static enum err write_private(const struct keyring *kr, const char *name,
                              struct slice data, struct errmsg *why)
{
    char path[KEYRING_PATH_MAX];
    file_name(kr, name, path);
    return file_replace(path, data, 0600, why);
}

static void wipe_buf(struct buf *b)
{
    if (b->len > 0) {
        mem_wipe(b->data, b->len);
    }
    buf_fini(b);
}

static enum err damaged(const struct keyring *kr, const char *name,
                        struct errmsg *why)
{
    return err_set(why, ERR_CORRUPT,
                   "%s/%s is damaged: restore it from the backup of this "
                   "node's keys",
                   kr->path, name);
}

static enum err load_secret(struct keyring *kr, struct errmsg *why)
{
    struct buf b = BUF_INIT;
    enum err err = read_private(kr, "secret", SECRET_LEN, &b, why);
    if (err == ERR_NOT_FOUND && kr->frozen) {
        err = err_set(why, ERR_NOT_FOUND,
                      "%s/secret: not there: the process that writes has still "
                      "to make it; data.dir is one folder for all processes",
                      kr->path);
    } else if (err == ERR_NOT_FOUND) {
        suite_random(kr->secret, SECRET_LEN);
        err =
            write_private(kr, "secret", slice_of(kr->secret, SECRET_LEN), why);
    } else if (err == ERR_OK && b.len != SECRET_LEN) {
        err = damaged(kr, "secret", why);
    } else if (err == ERR_OK) {
        memcpy(kr->secret, b.data, SECRET_LEN);
    }
    wipe_buf(&b);
    return err;
}

static enum err load_own(struct keyring *kr, struct errmsg *why)
{
    struct buf b = BUF_INIT;
    enum err err = read_private(kr, "own", SMALL_FILE_MAX, &b, why);
    struct reader r = reader_of(buf_slice(&b));
    while (err == ERR_OK && reader_left(&r) > 0) {
        struct seal_key key = {.origin = kr->self};
        key.period = reader_u32(&r);
        struct slice bytes = reader_bytes(&r, SEAL_KEY_LEN);
        if (bytes.data == NULL) {
            err = damaged(kr, "own", why);
            break;
        }
        memcpy(key.key, bytes.data, SEAL_KEY_LEN);
        if (!key_known(kr, &key)) {
            key_insert(kr, &key);
        }
        mem_wipe(&key, sizeof key);
    }
    wipe_buf(&b);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err store_own(const struct keyring *kr, struct errmsg *why)
{
    struct buf b = BUF_INIT;
    for (size_t i = key_place(kr, kr->self, 0);
         i < kr->n && kr->keys[i].origin == kr->self; i++) {
        buf_put_u32(&b, kr->keys[i].period);
        buf_put(&b, kr->keys[i].key, SEAL_KEY_LEN);
    }
    enum err err = write_private(kr, "own", buf_slice(&b), why);
    wipe_buf(&b);
    return err;
}

static struct wrap *add_wrap(struct keyring *kr, uint64_t holder,
                             const uint8_t key_id[32],
                             const uint8_t print[CHECK_LEN])
{
    kr->wraps = mem_realloc(kr->wraps, (kr->wraps_n + 1) * sizeof(*kr->wraps));
    struct wrap *w = &kr->wraps[kr->wraps_n++];
    *w = (struct wrap){.holder = holder};
    memcpy(w->key_id, key_id, sizeof w->key_id);
    memcpy(w->print, print, CHECK_LEN);
    return w;
}

static enum err load_wrapped(struct keyring *kr, struct errmsg *why)
{
    struct buf b = BUF_INIT;
    enum err err = read_private(kr, "wraps", SMALL_FILE_MAX, &b, why);
    struct reader r = reader_of(buf_slice(&b));
    while (err == ERR_OK && reader_left(&r) > 0) {
        uint64_t holder = reader_u64(&r);
        struct slice id = reader_bytes(&r, 32);
        struct slice print = reader_bytes(&r, CHECK_LEN);
        if (r.bad) {
            err = damaged(kr, "wraps", why);
            break;
        }
        add_wrap(kr, holder, id.data, print.data)->appended = true;
    }
    buf_fini(&b);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err store_wrapped(const struct keyring *kr, struct errmsg *why)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < kr->wraps_n; i++) {
        const struct wrap *w = &kr->wraps[i];
        if (w->appended) {
            buf_put_u64(&b, w->holder);
            buf_put(&b, w->key_id, sizeof w->key_id);
            buf_put(&b, w->print, CHECK_LEN);
        }
    }
    enum err err = write_private(kr, "wraps", buf_slice(&b), why);
    buf_fini(&b);
    return err;
}

static void learned_check(const struct keyring *kr, const uint8_t *record,
                          uint8_t out[CHECK_LEN])
{
    struct hash h;
    suite_hash(kr->suite, slice_of(record, LEARNED_LEN - CHECK_LEN), &h);
    memcpy(out, h.b, CHECK_LEN);
}

/* False: damaged. */
static bool load_learned_record(struct keyring *kr, const uint8_t *record)
{
    uint8_t check[CHECK_LEN];
    learned_check(kr, record, check);
    if (memcmp(check, record + LEARNED_LEN - CHECK_LEN, CHECK_LEN) != 0) {
        return false;
    }
    struct seal_key key = {.origin = be_get64(record),
                           .period = be_get32(record + 8)};
    memcpy(key.key, record + 12, SEAL_KEY_LEN);
    bool known = key_known(kr, &key);
    if (!known && key_fits(kr, key.origin, key.period)) {
        key_insert(kr, &key);
    }
    mem_wipe(&key, sizeof key);
    return true;
}

static enum err put_aside(const struct keyring *kr, const char *name,
                          struct errmsg *why)
{
    char from[KEYRING_PATH_MAX];
    char to[KEYRING_PATH_MAX + 8];
    file_name(kr, name, from);
    (void)snprintf(to, sizeof to, "%s.bad", from);
    return rename(from, to) == 0 ? ERR_OK
                                 : err_set(why, err_from_errno(errno),
                                           "%s: cannot be renamed", from);
}

static void say_learned(const char *text)
{
    log_error(NULL, "KEYRING-LEARNED",
              "cause=\"%s\" effect=\"some sealed persons are not found\" "
              "hint=\"creditnode reindex learns the keys again\"",
              text);
}

/* Others' keys stand in their logs too, so what is wrong within the file does
 * not keep the node from starting; that others may read it does, and that it
 * cannot be read: it may be whole, and the next start reads it. */
static enum err load_learned(struct keyring *kr, struct errmsg *why)
{
    struct buf b = BUF_INIT;
    size_t bad = 0;
    enum err err = read_private(kr, "learned", LEARNED_FILE_MAX, &b, why);
    for (size_t at = 0; err == ERR_OK && at + LEARNED_LEN <= b.len;
         at += LEARNED_LEN) {
        bad += !load_learned_record(kr, b.data + at);
    }
    wipe_buf(&b);
    if (bad > 0) {
        say_learned("records of the file learned are damaged");
    }
    if (!kr->frozen && err == ERR_TOO_LARGE) {
        say_learned(why->text);
        return put_aside(kr, "learned", why);
    }
    if (err == ERR_IO) {
        struct errmsg cause = *why;
        return err_set(why, err,
                       "%.300s: if that stays, move the file away and let "
                       "creditnode reindex learn the keys again",
                       cause.text);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* At a multiple of the record's length, so that a torn tail is overwritten. */
static enum err append_learned(const struct keyring *kr,
                               const struct seal_key *key)
{
    uint8_t record[LEARNED_LEN];
    char path[KEYRING_PATH_MAX];
    be_put64(record, key->origin);
    be_put32(record + 8, key->period);
    memcpy(record + 12, key->key, SEAL_KEY_LEN);
    learned_check(kr, record, record + LEARNED_LEN - CHECK_LEN);
    file_name(kr, "learned", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_from_errno(errno);
    }
    off_t end = lseek(fd, 0, SEEK_END);
    off_t at = end - end % LEARNED_LEN;
    ssize_t done = pwrite(fd, record, LEARNED_LEN, at);
    enum err err = ERR_OK;
    if (done != LEARNED_LEN || fdatasync(fd) != 0) {
        err = done < 0 || done == LEARNED_LEN ? err_from_errno(errno)
                                              : ERR_NO_SPACE;
    }
    (void)close(fd);
    mem_wipe(record, sizeof record);
    return err;
}

/* ---- periods ---- */

static uint32_t period_of(int64_t now_ms)
{
    time_t t = (time_t)(now_ms / 1000 + CHINA_OFFSET_S);
    struct tm tm;
    (void)gmtime_r(&t, &tm);
    return (uint32_t)(tm.tm_year + 1900);
}

/* The newest own key of the period, made if there is none; not by a process
 * whose folder is another's. */
static enum err own_key(struct keyring *kr, uint32_t period, size_t *out,
                        struct errmsg *why)
{
    size_t at = key_place(kr, kr->self, period);
    if (!key_at(kr, at, kr->self, period)) {
        /* Another process of this node may have made it. */
        enum err loaded = load_own(kr, why);
        if (loaded != ERR_OK) {
            return loaded;
        }
        at = key_place(kr, kr->self, period);
    }
    if (!key_at(kr, at, kr->self, period)) {
        if (kr->frozen) {
            return err_set(why, ERR_UNAVAILABLE,
                           "%s/own: no key of this period yet, and another "
                           "process of this node is to make it",
                           kr->path);
        }
        struct seal_key key = {.origin = kr->self, .period = period};
        suite_random(key.key, SEAL_KEY_LEN);
        key_insert(kr, &key);
        mem_wipe(&key, sizeof key);
        enum err err = store_own(kr, why);
        if (err != ERR_OK) {
            /* A key that is not on disk must not seal anything. */
            memmove(kr->keys + at, kr->keys + at + 1,
                    (kr->n - at - 1) * sizeof(*kr->keys));
            kr->n--;
            return err;
        }
    }
    *out = at;
    return ERR_OK;
}

/* ---- open ---- */

static enum err load_all(struct keyring *kr, struct errmsg *why)
{
    size_t at;
    enum err err = file_make_dirs(kr->path, why);
    err = err == ERR_OK ? load_secret(kr, why) : err;
    err = err == ERR_OK ? load_own(kr, why) : err;
    err = err == ERR_OK ? load_wrapped(kr, why) : err;
    err = err == ERR_OK ? load_learned(kr, why) : err;
    return err == ERR_OK ? own_key(kr, period_of(clock_wall_ms()), &at, why)
                         : err;
}

/* Nothing is made or written. */
static enum err load_beside(struct keyring *kr, struct errmsg *why)
{
    enum err err = load_secret(kr, why);
    err = err == ERR_OK ? load_own(kr, why) : err;
    return err == ERR_OK ? load_learned(kr, why) : err;
}

static enum err open_keyring(struct keyring **out, const char *path,
                             enum suite suite, uint64_t self,
                             const struct identity *sealing, bool beside,
                             struct errmsg *why)
{
    *out = NULL;
    if (strlen(path) + 16 > KEYRING_PATH_MAX) {
        return err_set(why, ERR_CONF, "keyring: path too long");
    }
    struct keyring *kr = MEM_NEW(struct keyring);
    kr->path = mem_strdup(path);
    kr->suite = suite;
    kr->self = self;
    atomic_init(&kr->sealing, sealing);
    (void)pthread_mutex_init(&kr->lock, NULL);
    kr->frozen = beside;
    enum err err = beside ? load_beside(kr, why) : load_all(kr, why);
    if (err != ERR_OK) {
        keyring_free(&kr);
        return err;
    }
    *out = kr;
    return ERR_OK;
}

enum err keyring_open(struct keyring **out, const char *path, enum suite suite,
                      uint64_t self, const struct identity *sealing,
                      struct errmsg *why)
{
    return open_keyring(out, path, suite, self, sealing, false, why);
}

enum err keyring_open_beside(struct keyring **out, const char *path,
                             enum suite suite, uint64_t self,
                             const struct identity *sealing, struct errmsg *why)
{
    return open_keyring(out, path, suite, self, sealing, true, why);
}

void keyring_freeze(struct keyring *keyring)
{
    keyring->frozen = true;
}

void keyring_renew(struct keyring *keyring, const struct identity *sealing)
{
    atomic_store(&keyring->sealing, sealing);
}

void keyring_free(struct keyring **keyring)
{
    struct keyring *kr = *keyring;
    *keyring = NULL;
    if (kr == NULL) {
        return;
    }
    if (kr->n > 0) {
        mem_wipe(kr->keys, kr->n * sizeof(*kr->keys));
    }
    mem_wipe(kr->secret, sizeof kr->secret);
    mem_free(kr->keys);
    mem_free(kr->wraps);
    mem_free(kr->path);
    (void)pthread_mutex_destroy(&kr->lock);
    mem_free(kr);
}

/* ---- values ---- */

enum err keyring_seal(struct keyring *keyring, struct slice aad,
                      struct slice plain, struct buf *out)
{
    uint32_t period = period_of(clock_wall_ms());
    struct errmsg why;
    size_t at = 0;
    (void)pthread_mutex_lock(&keyring->lock);
    enum err err = own_key(keyring, period, &at, &why);
    if (err == ERR_OK) {
        buf_put_u32(out, period);
        suite_seal(keyring->suite, keyring->keys[at].key, aad, plain, out);
    }
    (void)pthread_mutex_unlock(&keyring->lock);
    return err;
}

/* Lock held. */
static enum err unseal(struct keyring *kr, uint64_t origin, uint32_t period,
                       struct slice aad, struct slice rest, struct buf *out)
{
    enum err err = ERR_SEALED;
    for (size_t i = key_place(kr, origin, period);
         err != ERR_OK && key_at(kr, i, origin, period); i++) {
        err = suite_unseal(kr->suite, kr->keys[i].key, aad, rest, out);
    }
    return err;
}

/* Lock held. What the process that writes has learned meanwhile; false: not
 * looked now. */
static bool look_again(struct keyring *kr)
{
    struct errmsg why;
    int64_t now_ms = clock_mono_ms();
    if (!kr->frozen || now_ms < kr->look_at_ms) {
        return false;
    }
    kr->look_at_ms = now_ms + LOOK_EVERY_MS;
    return load_own(kr, &why) == ERR_OK && load_learned(kr, &why) == ERR_OK;
}

enum err keyring_unseal(struct keyring *keyring, uint64_t origin,
                        struct slice aad, struct slice sealed, struct buf *out)
{
    if (sealed.len < PERIOD_LEN) {
        return ERR_SEALED;
    }
    uint32_t period = be_get32(sealed.data);
    struct slice rest =
        slice_of(sealed.data + PERIOD_LEN, sealed.len - PERIOD_LEN);
    (void)pthread_mutex_lock(&keyring->lock);
    enum err err = unseal(keyring, origin, period, aad, rest, out);
    if (err != ERR_OK && look_again(keyring)) {
        err = unseal(keyring, origin, period, aad, rest, out);
    }
    (void)pthread_mutex_unlock(&keyring->lock);
    return err;
}

void keyring_token(struct keyring *keyring, const char *domain,
                   struct slice value, struct hash *out)
{
    struct buf b = BUF_INIT;
    buf_put(&b, domain, strlen(domain) + 1);
    buf_put_slice(&b, value);
    suite_mac(keyring->suite, slice_of(keyring->secret, SECRET_LEN),
              buf_slice(&b), out);
    wipe_buf(&b);
}

/* ---- wraps ---- */

static void wrap_info(struct buf *out, uint64_t origin, uint64_t holder,
                      uint32_t period)
{
    buf_put_str(out, "creditnode:wrap");
    buf_put_u64(out, origin);
    buf_put_u64(out, holder);
    buf_put_u32(out, period);
}

static enum err unwrap(const struct keyring *kr, const struct entry_key *key,
                       struct seal_key *out)
{
    const struct identity *id = atomic_load(&kr->sealing);
    if (id == NULL ||
        memcmp(cert_key_id(id->cert), key->holder_key_id, 32) != 0) {
        return ERR_SEALED;
    }
    struct buf info = BUF_INIT;
    wrap_info(&info, out->origin, kr->self, key->period);
    enum err err = key_unwrap(id->key, kr->suite, key->wrapped,
                              buf_slice(&info), out->key);
    buf_fini(&info);
    return err == ERR_OK ? ERR_OK : ERR_SEALED;
}

static enum err keep_learned(struct keyring *kr, const struct seal_key *key)
{
    if (key_known(kr, key)) {
        return ERR_OK;
    }
    if (!key_fits(kr, key->origin, key->period)) {
        return ERR_TOO_LARGE;
    }
    enum err err = kr->frozen ? ERR_OK : append_learned(kr, key);
    if (err == ERR_OK) {
        key_insert(kr, key);
    }
    /* To the caller that would mean a wrap for another holder. */
    return err == ERR_NOT_FOUND ? ERR_IO : err;
}

enum err keyring_learn(struct keyring *keyring, uint64_t origin,
                       const struct entry_key *key)
{
    if (key->holder != keyring->self) {
        return ERR_NOT_FOUND;
    }
    struct seal_key got = {.origin = origin, .period = key->period};
    enum err err = unwrap(keyring, key, &got);
    if (err == ERR_OK) {
        (void)pthread_mutex_lock(&keyring->lock);
        err = keep_learned(keyring, &got);
        (void)pthread_mutex_unlock(&keyring->lock);
    }
    mem_wipe(&got, sizeof got);
    return err;
}

static struct wrap *find_wrap(const struct keyring *kr, uint64_t holder,
                              const uint8_t key_id[32],
                              const uint8_t print[CHECK_LEN])
{
    for (size_t i = 0; i < kr->wraps_n; i++) {
        struct wrap *w = &kr->wraps[i];
        if (w->holder == holder && memcmp(w->print, print, CHECK_LEN) == 0 &&
            memcmp(w->key_id, key_id, 32) == 0) {
            return w;
        }
    }
    return NULL;
}

static bool put_wrap(const struct keyring *kr, const struct seal_key *key,
                     const struct cert *holder, int64_t now_ms,
                     struct buf *entries, struct hash *hash)
{
    struct buf info = BUF_INIT;
    struct buf wrapped = BUF_INIT;
    struct buf entry = BUF_INIT;
    uint64_t code = cert_principal(holder)->code;
    wrap_info(&info, kr->self, code, key->period);
    bool ok = pubkey_wrap(cert_pubkey(holder), kr->suite, key->key,
                          buf_slice(&info), &wrapped) == ERR_OK;
    if (ok) {
        struct entry_key body = {.period = key->period,
                                 .holder = code,
                                 .wrapped = buf_slice(&wrapped)};
        memcpy(body.holder_key_id, cert_key_id(holder), 32);
        entry_key_encode(&body, now_ms, &entry);
        suite_hash(kr->suite, buf_slice(&entry), hash);
        buf_put_u32(entries, (uint32_t)entry.len);
        buf_put_slice(entries, buf_slice(&entry));
    }
    buf_fini(&info);
    buf_fini(&wrapped);
    buf_fini(&entry);
    return ok;
}

/* How many entries were put: 0 or 1. */
static size_t owe_wrap(struct keyring *kr, const struct seal_key *key,
                       const struct cert *holder, int64_t now_ms,
                       struct buf *entries)
{
    uint64_t code = cert_principal(holder)->code;
    const uint8_t *key_id = cert_key_id(holder);
    struct hash print;
    struct hash entry;
    suite_hash(kr->suite, slice_of(key->key, SEAL_KEY_LEN), &print);
    struct wrap *w = find_wrap(kr, code, key_id, print.b);
    if ((w != NULL && w->appended) ||
        !put_wrap(kr, key, holder, now_ms, entries, &entry)) {
        return 0;
    }
    if (w == NULL) {
        w = add_wrap(kr, code, key_id, print.b);
    }
    w->entry = entry;
    return 1;
}

void keyring_wraps_for(struct keyring *keyring, const struct cert *holder,
                       int64_t now_ms, struct buf *entries, size_t *n)
{
    *n = 0;
    (void)pthread_mutex_lock(&keyring->lock);
    for (size_t i = key_place(keyring, keyring->self, 0);
         i < keyring->n && keyring->keys[i].origin == keyring->self; i++) {
        *n += owe_wrap(keyring, &keyring->keys[i], holder, now_ms, entries);
    }
    (void)pthread_mutex_unlock(&keyring->lock);
}

static void mark_appended(struct keyring *kr, struct slice entry)
{
    struct hash hash;
    suite_hash(kr->suite, entry, &hash);
    for (size_t i = 0; i < kr->wraps_n; i++) {
        struct wrap *w = &kr->wraps[i];
        w->appended = w->appended || hash_eq(&w->entry, &hash);
    }
}

enum err keyring_wrapped(struct keyring *keyring, struct slice entries)
{
    struct errmsg why;
    struct reader r = reader_of(entries);
    (void)pthread_mutex_lock(&keyring->lock);
    while (reader_left(&r) > 0 && !r.bad) {
        mark_appended(keyring, reader_bytes(&r, reader_u32(&r)));
    }
    enum err err = store_wrapped(keyring, &why);
    (void)pthread_mutex_unlock(&keyring->lock);
    return err;
}

enum err keyring_owe_again(struct keyring *keyring, struct errmsg *why)
{
    (void)pthread_mutex_lock(&keyring->lock);
    size_t owed = keyring->wraps_n;
    keyring->wraps_n = 0;
    enum err err = owed > 0 ? store_wrapped(keyring, why) : ERR_OK;
    (void)pthread_mutex_unlock(&keyring->lock);
    return err;
}
