/* catalogue_change.h - catalogue versions as entries of a directives log.
 *
 * ENTRY_CATALOGUE: version counts published versions (1, 2, …), decided is the
 * day, subject and item are empty. Body: what changes, protobuf:
 *
 *   1 basis    text: by what the catalogue changes; always
 *   2 kind     1 id  2 name  3 label  4 label in English  5 disclosure + 1
 *              6 months of retention + 1  7 field, again and again:
 *                1 id  2 column  3 label  4 label in English
 *                5 further headers, '|' between  6 type + 1  7 most characters
 *                8 need  9 personal  10 disclosure + 1  11 word, again and
 * again
 *
 * (types, needs, … as enums of catalogue.h). An id that the catalogue has means
 * its kind or field: of it only disclosure and retention may be given. Any
 * other id is a new one and is given whole. What is not named stays.
 *
 * Pure, but for catalogue_next(), which keeps what it makes; any thread. */
#ifndef CREDIT_CATALOGUE_CHANGE_H
#define CREDIT_CATALOGUE_CHANGE_H

#include "credit/catalogue.h"

enum {
    CHANGE_KINDS_MAX = 8, /* of one version */
    CHANGE_WORDS_MAX = 64,
    CHANGE_TEXT_MAX = 160,  /* bytes of a column, a label or a word */
    CHANGE_BASIS_MAX = 500, /* bytes */
    CATALOGUE_VERSIONS_MAX = 128,
};

/* Values + 1, 0: not given. */
struct change_field {
    uint16_t id;
    char *code;
    char *label_zh;
    char *label_en;
    char *names_more;
    unsigned type;
    unsigned max_chars;
    unsigned need;     /* as it is */
    unsigned personal; /* as it is */
    unsigned disclosure;
    char **words;
    size_t words_n;
};
struct change_kind {
    uint16_t id;
    char *name;
    char *label_zh;
    char *label_en;
    unsigned disclosure;
    unsigned retention;
    struct change_field *fields;
    size_t fields_n;
};
/* Owns all it points to; texts are never NULL but in an empty struct. */
struct catalogue_change {
    uint32_t version;
    uint32_t decided;
    int64_t at_ms;
    char *basis;
    struct change_kind *kinds;
    size_t kinds_n;
};
void catalogue_change_fini(struct catalogue_change *change);

/* The words of files for the numbers of type, need, personal and disclosure. */
extern const char *const change_types[TYPE_COUNT];
extern const char *const change_needs[2];
extern const char *const change_personals[4];
extern const char *const change_disclosures[3];

/* Appends an empty one, borrowed until the next is added; NULL: too many. */
struct change_kind *change_add_kind(struct catalogue_change *change);
struct change_field *change_add_field(struct change_kind *kind);
bool change_add_word(struct change_field *field, struct slice word);

/* Fills `out`, borrowing from `room`, to which the body is appended. */
void catalogue_change_to_entry(const struct catalogue_change *change,
                               struct buf *room, struct entry *out);
/* ERR_INVALID: not what this page says; `out` is empty then. */
MUST_USE enum err catalogue_change_take(const struct entry *e,
                                        struct catalogue_change *out);

/* The field with this id in any kind, or NULL. */
const struct catalogue_field *
catalogue_known_field(const struct catalogue *from, uint16_t id);
/* NULL if `change` may follow `from`; else the rule's id, of "too-many",
 * "version-order", "fixed", "kind-id", "kind-closed", "kind-whole",
 * "kind-persons", "kind-identity", "field-id", "field-meaning", "field-whole",
 * "need-form", "column-taken", "personal-wider", "later-build". *where (may be
 * NULL) gets "kinds[1].fields[2]". */
enum { CHANGE_WHERE_MAX = 40 };
const char *catalogue_change_fault(const struct catalogue *from,
                                   const struct catalogue_change *change,
                                   char where[CHANGE_WHERE_MAX]);
/* In a sentence, English and Chinese; "" for an unknown rule. Also for those of
 * store_rules(): "measure-taken", "not-highest", "malformed". */
const char *catalogue_change_text(const char *rule);
const char *catalogue_change_text_zh(const char *rule);

/* The catalogue behind `from`, which `change` may follow. The same change of
 * the same catalogue gives the same one; it stays for ever. NULL: there are too
 * many already. */
const struct catalogue *catalogue_next(const struct catalogue *from,
                                       const struct catalogue_change *change);

#endif
