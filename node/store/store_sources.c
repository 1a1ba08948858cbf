/* What became of drafts whose source may be offered again. A value is
 *
 *   16  what the source said
 *   16  record key
 *    1  enum draft_outcome
 *    4  version
 *    8  incarnation of the own records log } 0: the draft waits
 *    8  number                             } for its number
 *
 * The last draft of a source is the one that counts, also within a commit. */
#include <string.h>

#include "base/mem.h"
#include "store/store_impl.h"

enum {
    RECORD_AT = SOURCE_LEN,
    OUTCOME_AT = RECORD_AT + RECORD_KEY_LEN,
    VERSION_AT = OUTCOME_AT + 1,
    INCARNATION_AT = VERSION_AT + 4,
    NUMBER_AT = INCARNATION_AT + 8,
    VALUE_LEN = NUMBER_AT + 8,
    ENTRY_KEY_AT = 16, /* of the record key in an entry (entry.h) */
};

void sources_put(struct group *g, const struct item *item)
{
    for (size_t i = 0; item->sources != NULL && i < item->entries; i++) {
        uint8_t v[VALUE_LEN];
        const struct draft_result *result = &item->results[i];
        memcpy(v, item->sources[i].content, SOURCE_LEN);
        memcpy(v + RECORD_AT, item->drafts[i].data + ENTRY_KEY_AT,
               RECORD_KEY_LEN);
        v[OUTCOME_AT] = (uint8_t)result->outcome;
        be_put32(v + VERSION_AT, result->version);
        be_put64(v + INCARNATION_AT, result->log.incarnation);
        be_put64(v + NUMBER_AT, result->number);
        g->s->backend->put_source(g->batch, item->sources[i].name,
                                  slice_of(v, sizeof v));
    }
}

static enum err decode(const struct store *s, struct slice v,
                       struct source_taken *out, struct errmsg *why)
{
    if (v.len != VALUE_LEN || v.data[OUTCOME_AT] > DRAFT_PENDING) {
        return err_set(why, ERR_CORRUPT,
                       "what became of a source cannot be read");
    }
    memcpy(out->content, v.data, SOURCE_LEN);
    memcpy(out->record_key, v.data + RECORD_AT, RECORD_KEY_LEN);
    struct draft_result *result = &out->result;
    result->outcome = (enum draft_outcome)v.data[OUTCOME_AT];
    result->version = be_get32(v.data + VERSION_AT);
    result->log = (struct log_id){.origin = s->env.self, .kind = LOG_RECORDS};
    result->log.incarnation = be_get64(v.data + INCARNATION_AT);
    result->number = be_get64(v.data + NUMBER_AT);
    return ERR_OK;
}

enum err store_source(struct store *store, const uint8_t name[SOURCE_LEN],
                      struct source_taken *out, struct errmsg *why)
{
    struct errmsg text = {{0}};
    struct buf value = BUF_INIT;
    enum err err = db_enter(store);
    if (err != ERR_OK) {
        return err_set(why, err, "the store's database is away");
    }
    err = store->backend->source(store->db, name, &value, &text);
    db_leave(store);
    if (err == ERR_OK) {
        err = decode(store, buf_slice(&value), out, &text);
    }
    buf_fini(&value);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        (void)read_failed(store, err, &text);
        return err_set(why, err, "%s", text.text);
    }
    return err;
}
