#include "run/once.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "credit/record.h"

enum { SEEN_FIRST = 1024, KEY_HEX = 2 * RECORD_KEY_LEN };

/* What the store compares before it appends a version. No padding. */
struct content {
    uint8_t digest[RECORD_DIGEST_LEN];
    uint32_t decided;
    uint32_t until;
    uint32_t publish_until;
    uint16_t item;
    uint8_t status;
    uint8_t disclosure;
};

struct seen {
    uint8_t key[RECORD_KEY_LEN];
    struct content content;
    uint64_t incarnation;
    uint64_t number;
    uint32_t version;
    bool comparable; /* to the version before */
};

struct once {
    struct seen *seen; /* owned */
    size_t n;
    size_t cap;
    unsigned part;
    unsigned parts;
    struct log_id log; /* of the last one: origin and kind are those of all */
};

struct once *once_new(void)
{
    return MEM_NEW(struct once);
}

void once_free(struct once **once)
{
    if (*once != NULL) {
        mem_free((*once)->seen);
        mem_free(*once);
        *once = NULL;
    }
}

void once_begin(struct once *once, unsigned part, unsigned parts)
{
    once->n = 0;
    once->part = part;
    once->parts = parts;
}

/* Keys are hashes, or random: parts are about equal, so half are left free. */
unsigned once_parts(uint64_t entries)
{
    return (unsigned)(entries / (ONCE_MAX / 2)) + 1;
}

static bool is_mine(const struct once *once, const struct entry *e)
{
    unsigned at = ((unsigned)e->record_key[0] << 16) |
                  ((unsigned)e->record_key[1] << 8) | e->record_key[2];
    return at % once->parts == once->part;
}

static void keep(struct once *once, const struct entry *e, uint64_t incarnation,
                 uint64_t number)
{
    if (once->n == once->cap) {
        once->cap = once->cap == 0 ? SEEN_FIRST : 2 * once->cap;
        once->seen = mem_realloc(once->seen, once->cap * sizeof(struct seen));
    }
    struct seen *s = &once->seen[once->n++];
    *s = (struct seen){.incarnation = incarnation,
                       .number = number,
                       .version = e->version,
                       .content = {.item = e->item,
                                   .status = e->status,
                                   .disclosure = e->disclosure,
                                   .decided = e->decided,
                                   .until = e->until,
                                   .publish_until = e->publish_until}};
    memcpy(s->key, e->record_key, sizeof s->key);
    /* Of another subject it is news, whatever it says. */
    s->comparable = e->type == ENTRY_RECORD && e->prev_subject.len == 0 &&
                    record_digest(e->body, s->content.digest);
}

bool once_put(struct once *once, const struct log_id *log, uint64_t number,
              struct slice bytes)
{
    struct entry e;
    once->log = *log;
    if (entry_decode(bytes, &e) != ERR_OK ||
        (e.type != ENTRY_RECORD && e.type != ENTRY_PACKAGE) ||
        !is_mine(once, &e)) {
        return true;
    }
    if (once->n == ONCE_MAX) {
        return false;
    }
    keep(once, &e, log->incarnation, number);
    return true;
}

/* ---- judging ---- */

static int order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int seen_cmp(const void *a, const void *b)
{
    const struct seen *x = a;
    const struct seen *y = b;
    int by = memcmp(x->key, y->key, sizeof x->key);
    by = by != 0 ? by : order(x->version, y->version);
    by = by != 0 ? by : order(x->incarnation, y->incarnation);
    return by != 0 ? by : order(x->number, y->number);
}

static bool same_version(const struct seen *a, const struct seen *b)
{
    return a->version == b->version &&
           memcmp(a->key, b->key, sizeof a->key) == 0;
}

/* `b` is the next version of what `a` is of, and adds nothing. */
static bool says_the_same(const struct seen *a, const struct seen *b)
{
    return a->comparable && b->comparable && a->version + 1 == b->version &&
           memcmp(a->key, b->key, sizeof a->key) == 0 &&
           memcmp(&a->content, &b->content, sizeof a->content) == 0;
}

static void say(const struct once *once, const struct seen *a,
                const struct seen *b, char text[ONCE_TEXT])
{
    char key[KEY_HEX + 1];
    char log[2][LOG_ID_TEXT_MAX];
    struct log_id of = once->log;
    for (size_t i = 0; i < sizeof a->key; i++) {
        (void)snprintf(key + 2 * i, 3, "%02x", a->key[i]);
    }
    of.incarnation = a->incarnation;
    log_id_format(&of, log[0]);
    of.incarnation = b->incarnation;
    log_id_format(&of, log[1]);
    (void)snprintf(text, ONCE_TEXT,
                   "%s, version %u, is number %llu of %s, and%s number %llu "
                   "of %s",
                   key, a->version, (unsigned long long)a->number, log[0],
                   a->version != b->version ? " the next one, with nothing new,"
                                            : "",
                   (unsigned long long)b->number, log[1]);
}

bool once_judge(struct once *once, unsigned processes, char text[ONCE_TEXT])
{
    size_t places = 1;
    if (once->n > 1) {
        qsort(once->seen, once->n, sizeof(struct seen), seen_cmp);
    }
    for (size_t i = 1; i < once->n; i++) {
        const struct seen *a = &once->seen[i - 1];
        const struct seen *b = &once->seen[i];
        places = same_version(a, b) ? places + 1 : 1;
        if (places > processes || (processes == 1 && says_the_same(a, b))) {
            say(once, a, b, text);
            return false;
        }
    }
    return true;
}
