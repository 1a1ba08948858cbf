/* catalogue.h - which items the node takes and what fields they have.
 *
 * Nothing outside the catalogue may enter a credit record. One is built in;
 * versions that the highest authority publishes (catalogue_change.h) add to it.
 * Each state is an immutable snapshot that lives as long as the process, so
 * items and fields are borrowed for ever; catalogue_now() is the one in force.
 * Ids of items and fields are stored for ever and never reused; a
 * field that means the same has the same id in every item. Two column sets
 * name the fields in files: that of 2018 (the codes) and that of 2016 (the
 * aliases). Any thread. The table for people:
 * docs/catalogue.md. */
#ifndef CREDIT_CATALOGUE_H
#define CREDIT_CATALOGUE_H

#include "base/buf.h"
#include "mlog/entry.h"

enum {
    CATALOGUE_VERSION = 3, /* of what is built in */
    CATALOGUE_ITEMS_MAX = 64,
    CATALOGUE_FIELDS_MAX = 64, /* of an item */
    /* Below are the built-in ones, of this and later builds. */
    CATALOGUE_ITEM_PUBLISHED = 1024,
    CATALOGUE_FIELD_PUBLISHED = 256,
    CATALOGUE_FIELD_END = 1024,
};

enum item_id {
    ITEM_LICENCE = 1,
    ITEM_PENALTY = 2,
    ITEM_LISTING = 16,   /* a subject goes on a list */
    ITEM_REMOVAL = 17,   /* and off it */
    ITEM_EXECUTION = 18, /* execution.h */
};

/* Items of one family come in one kind of file. */
enum item_family {
    FAMILY_RECORDS,
    FAMILY_DIRECTIVES,
    FAMILY_EXECUTIONS, /* in no file */
};

enum field_id {
    FIELD_DIGEST = 1, /* reserved: record.h */
    FIELD_NAME = 2,
    FIELD_CATEGORY = 3,
    FIELD_USCC = 4,
    FIELD_REGISTRATION_NO = 5,
    FIELD_ORG_CODE = 6,
    FIELD_TAX_NO = 7,
    FIELD_INSTITUTION_NO = 8,
    FIELD_SOCIAL_NO = 9,
    FIELD_REP_NAME = 10,
    FIELD_REP_ID_TYPE = 11,
    FIELD_REP_ID = 12,
    FIELD_PERSON_ID_TYPE = 13,
    FIELD_PERSON_ID = 14,
    FIELD_DOCUMENT_NAME = 15,
    FIELD_DOCUMENT_NO = 16,
    FIELD_KIND = 17,
    FIELD_CERTIFICATE_NAME = 18,
    FIELD_CERTIFICATE_NO = 19,
    FIELD_CONTENT = 20,
    FIELD_VIOLATION = 21,
    FIELD_FACTS = 22,
    FIELD_BASIS = 23,
    FIELD_FINE = 24,
    FIELD_CONFISCATED = 25,
    FIELD_LICENCE_LOST = 26,
    FIELD_DECIDED = 27,
    FIELD_FROM = 28,
    FIELD_UNTIL = 29,
    FIELD_PUBLISH_UNTIL = 30,
    FIELD_AUTHORITY = 31,
    FIELD_AUTHORITY_CODE = 32,
    FIELD_STATUS = 33,
    FIELD_SOURCE = 34,
    FIELD_SOURCE_CODE = 35,
    FIELD_REMARK = 36,
    FIELD_DISCLOSURE = 37,
    FIELD_PROJECT_NAME = 38,
    FIELD_KIND_2 = 39,
    FIELD_DIVISION = 40,
    FIELD_LIST = 41,
    FIELD_COLOUR = 42,
    FIELD_DOMAIN = 43,
    FIELD_NOTICE_NO = 44,
    FIELD_NOTICE_DATE = 45,
    FIELD_MEASURES = 46,
    FIELD_REMOVAL_TERMS = 47,
    FIELD_LISTED_NO = 48, /* document number of the listing that ends */
    FIELD_LISTING = 49,   /* LOG#NUMBER */
    FIELD_APP = 50,
    FIELD_OUTCOME = 51,
    FIELD_ID_END,
};

/* Form of a value in a record, always UTF-8 text. */
enum field_type {
    TYPE_TEXT,
    TYPE_CODE,      /* printable ASCII, upper case */
    TYPE_DOCUMENT,  /* document number, brackets as 〔〕 */
    TYPE_DATE,      /* yyyymmdd; DATE_OPEN_END for no end */
    TYPE_AMOUNT,    /* fen in decimal */
    TYPE_ENUM,      /* one text of `values` */
    TYPE_ENUM_SET,  /* several, joined by 、 in order of value */
    TYPE_USCC,      /* 18 characters */
    TYPE_ORG_CODE,  /* 9 characters, no hyphen */
    TYPE_PERSON_ID, /* identifier of a natural person, upper case */
    TYPE_DIVISION,  /* 12 digits */
    TYPE_COUNT,
};

enum field_need {
    NEED_NONE,
    NEED_ALWAYS,
    NEED_ORG,    /* if the subject is an organisation */
    NEED_PERSON, /* if it is a natural person */
    NEED_KINDS,  /* if FIELD_KIND holds one of `needed_by` */
};

enum field_personal {
    PERSONAL_NO,
    PERSONAL_MASKED,    /* a natural person's name in an organisation's record:
                           stored clear, masked in messages */
    PERSONAL_IF_PERSON, /* sealed if the subject is a natural person */
    PERSONAL_ALWAYS,    /* sealed always */
};

/* One spelling of an enumerated value in files. */
struct enum_word {
    const char *word;
    const char *text; /* how a record holds it */
    uint16_t value;   /* meaning depends on the list */
};
struct enum_list {
    const struct enum_word *words;
    size_t count;
};

struct catalogue_field {
    uint16_t id;
    const char *code;       /* column of 2018; NULL: only in the set of 2016 */
    const char *names_2016; /* names in that set, '|' between; NULL: none */
    const char *label_zh;
    const char *names_more; /* further headers met, '|' between; or NULL */
    const char *label_en;
    enum field_type type;
    uint16_t max_chars; /* code points */
    enum field_need need;
    uint16_t needed_by; /* NEED_KINDS: bits 1 << value of FIELD_KIND */
    enum field_personal personal;
    enum disclosure disclosure; /* who may see it at the widest */
    const struct enum_list *values;
    const struct enum_list *values_2016; /* NULL: the same */
};

/* Places of a field in item->fields, 0-based; PLACE_NONE if it has none. */
enum { PLACE_NONE = 0xff };

struct catalogue_item {
    uint16_t id;
    const char *name; /* "licence" */
    const char *label_zh;
    const char *label_en;
    enum item_family family;
    const struct catalogue_field *fields; /* in order of id */
    size_t count;
    const uint8_t *places; /* by field id: place + 1, 0: none */
    size_t places_n;
    enum disclosure disclosure; /* the widest a record of it may have */
    uint16_t retention_months;  /* 0: not said */
    uint32_t since; /* published version that last changed it; 0: none */
};

struct catalogue {
    const struct catalogue_item *const *items; /* in order of id */
    size_t items_n;
    uint32_t version; /* published; 0: only what is built in */
};

/* FIELD_CATEGORY */
enum category { CATEGORY_ORG = 1, CATEGORY_PERSON = 2, CATEGORY_BUSINESS = 3 };
/* FIELD_COLOUR */
enum colour { COLOUR_RED = 1, COLOUR_BLACK = 2, COLOUR_WATCH = 3 };
/* FIELD_DOMAIN: 国办发〔2020〕49号 §6; good faith is the red lists'. */
enum domain {
    DOMAIN_GOOD_FAITH = 1,
    DOMAIN_LIFE = 2,
    DOMAIN_MARKET = 3,
    DOMAIN_LEGAL_DUTY = 4,
    DOMAIN_DEFENCE = 5,
};
/* FIELD_OUTCOME */
enum outcome {
    OUTCOME_HIT = 1, /* met on a list; what was done is not known yet */
    OUTCOME_APPLIED = 2,
    OUTCOME_NOT_APPLICABLE = 3,
    OUTCOME_REFUSED = 4,
};
/* What a list is, by the value of FIELD_LIST. */
struct catalogue_list {
    uint16_t id;
    enum colour colour;
    enum domain domain; /* 0: the decision says */
    const char *name;   /* "dishonest-debtors" */
    const char *label_zh;
    const char *label_en;
};
/* FIELD_REP_ID_TYPE, FIELD_PERSON_ID_TYPE: codes of GA/T 517 */
enum { ID_TYPE_CITIZEN = 111, ID_TYPE_OTHER = 990 };

const struct catalogue *catalogue_builtin(void);
const struct catalogue *catalogue_now(void);
/* From now on it is in force; `catalogue` stays for ever. */
void catalogue_use(const struct catalogue *catalogue);
/* NULL: not in this catalogue. */
const struct catalogue_item *
catalogue_item_of(const struct catalogue *catalogue, uint16_t id);
/* Of the one in force. */
const struct catalogue_item *catalogue_item(uint16_t id);
/* All items, in order of id. */
const struct catalogue_item *const *catalogue_items(size_t *count);
/* How far a record may be seen that says `said` itself: never wider than its
 * item in force. */
enum disclosure catalogue_disclosure(uint16_t item, uint8_t said);
/* NULL: no list of this catalogue. */
const struct catalogue_list *catalogue_list(uint16_t id);
const char *colour_name(unsigned colour);
const char *domain_name(unsigned domain);
/* Place of a field, or PLACE_NONE. Constant time. */
size_t catalogue_place(const struct catalogue_item *item, uint16_t field_id);
/* The word of a list; NULL: not enumerated. */
const struct enum_word *catalogue_word(const struct enum_list *list,
                                       struct slice word);
/* The text a record holds for `value`; NULL: none. */
const char *catalogue_text(const struct enum_list *list, uint16_t value);

#endif
