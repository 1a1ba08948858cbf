/* rules.h - what a value and a record must satisfy at entry.
 *
 * Values are judged one by one and brought into the form in which records hold
 * them; then the record is judged as a whole. Each breach has a stable rule id
 * (docs/catalogue.md lists them): receipts and tests match these. Files and
 * the API use the same rules. Pure; any thread. */
#ifndef CREDIT_RULES_H
#define CREDIT_RULES_H

#include "credit/record.h"

enum column_set { SET_2018, SET_2016 };

/* Room for the values of one record that had to be rewritten. */
struct rules_room {
    size_t used;
    uint8_t bytes[8192];
};

/* Brings one value of a file into a record's form. Blank, and the sentinels
 * for "nothing" such as 暂无, \N, N/A, give an empty value. `raw` must be
 * valid UTF-8. *out borrows from `raw`, `room` or constants. Returns NULL, or
 * the id of the rule that was broken. */
const char *rules_value(const struct catalogue_field *field,
                        enum column_set set, struct slice raw,
                        struct rules_room *room, struct slice *out);

/* Takes the next word of a set off `rest`; separators are ASCII or Chinese
 * punctuation and blanks. False at the end. */
bool rules_next_word(struct slice *rest, struct slice *word);

/* A rule's id, and what it asks for. */
struct rule_text {
    const char *rule;
    const char *text;
    const char *text_zh;
};
/* That of `rule` in a list, or one of empty texts. */
const struct rule_text *rule_text_in(const struct rule_text *list, size_t n,
                                     const char *rule);
/* What a rule asks for, in English and in Chinese; "" for an unknown id. Also
 * for the rules of rows.h and csv.h, so that receipts have one list. */
const char *rules_text(const char *rule);
const char *rules_text_zh(const char *rule);
/* The Chinese of a rule by its id, or by what it asks for in English; "". */
const char *rules_zh_of(const char *text);
/* Appends the Chinese of a fault's text: rules_text(rule), perhaps followed by
 * ": line N" or ": \"VALUE\"", which stay. Another text as chinese.h has it.
 */
void rules_put_zh(const char *rule, const char *text, struct buf *out);

typedef void rules_breach_fn(void *ctx, const struct catalogue_field *field,
                             const char *rule);
/* Fills in what the column set of 2016 leaves out (category, ID type), then
 * checks needs, exclusivity of organisation and person, ID numbers, order of
 * dates. `broken` has a bit for each place whose value was refused already and
 * is not reported again as missing. `today` is yyyymmdd, 0: decisions may lie
 * in the future. Returns the number of breaches reported. */
size_t rules_record(struct record *r, enum column_set set, uint64_t broken,
                    uint32_t today, rules_breach_fn *breach, void *ctx);

#endif
