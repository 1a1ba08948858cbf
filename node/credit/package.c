#include "credit/package.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "credit/date.h"
#include "ident/ident.h"
#include "ident/signature.h"
#include "mlog/block.h"
#include "mlog/tree.h"

enum { HEAD_LINES = 9, WORD_MAX = 80, ENTRY_LINE_MAX = 2 * ENTRY_MAX };

/* ---- the text ---- */

void package_head_put(const struct package_head *head, struct buf *out)
{
    char issuer[CODE_LEN + 1];
    char id[2 * PACKAGE_ID_LEN + 1];
    char root[2 * HASH_LEN + 1];
    code_format(head->issuer, issuer);
    str_hex(head->id, PACKAGE_ID_LEN, id);
    str_hex(head->root.b, HASH_LEN, root);
    buf_putf(out,
             "creditnode-package 1\nfederation %s\nsuite %s\nissuer %s\n"
             "id %s\nprepared %" PRId64 "\nexpires %" PRIu32
             "\nentries %" PRIu32 "\nroot %s\n",
             head->federation, suite_name(head->suite), issuer, id,
             head->prepared_ms, head->expires, head->entries, root);
}

typedef bool word_fn(struct package_head *head, const char *word);

static bool on_form(struct package_head *head, const char *word)
{
    (void)head;
    return strcmp(word, "1") == 0;
}

static bool on_federation(struct package_head *head, const char *word)
{
    size_t len = strlen(word);
    if (len == 0 || len >= sizeof head->federation) {
        return false;
    }
    memcpy(head->federation, word, len + 1);
    return true;
}

static bool on_suite(struct package_head *head, const char *word)
{
    return suite_parse(word, &head->suite);
}

static bool on_issuer(struct package_head *head, const char *word)
{
    return code_parse(word, &head->issuer);
}

static bool on_id(struct package_head *head, const char *word)
{
    return str_unhex(word, head->id, PACKAGE_ID_LEN);
}

static bool on_prepared(struct package_head *head, const char *word)
{
    uint64_t ms;
    bool ok = str_u64(slice_str(word), &ms) && ms <= INT64_MAX;
    head->prepared_ms = ok ? (int64_t)ms : 0;
    return ok;
}

static bool on_expires(struct package_head *head, const char *word)
{
    uint64_t day;
    bool ok = str_u64(slice_str(word), &day) && day <= UINT32_MAX &&
              date_is_valid((uint32_t)day);
    head->expires = ok ? (uint32_t)day : 0;
    return ok;
}

static bool on_entries(struct package_head *head, const char *word)
{
    uint64_t n;
    bool ok =
        str_u64(slice_str(word), &n) && n >= 1 && n <= PACKAGE_ENTRIES_MAX;
    head->entries = ok ? (uint32_t)n : 0;
    return ok;
}

static bool on_root(struct package_head *head, const char *word)
{
    return str_unhex(word, head->root.b, HASH_LEN);
}

static const struct {
    const char *key;
    word_fn *take;
    const char *rule;
} head_lines[HEAD_LINES] = {
    {"creditnode-package", on_form, "must be 1, the only known form"},
    {"federation", on_federation, "must be a federation's name"},
    {"suite", on_suite, "must be intl or gm"},
    {"issuer", on_issuer, "must be a node code of 12 digits"},
    {"id", on_id, "must be 32 hex digits"},
    {"prepared", on_prepared, "must be milliseconds since 1970"},
    {"expires", on_expires, "must be a day, yyyymmdd"},
    {"entries", on_entries, "must be 1 to 10000"},
    {"root", on_root, "must be 64 hex digits"},
};

/* Takes the line `index` of the head. */
static bool take_head_line(size_t index, struct slice line,
                           struct package_head *out)
{
    char word[WORD_MAX];
    size_t skip = strlen(head_lines[index].key);
    if (line.len <= skip || line.len - skip > sizeof word ||
        memcmp(line.data, head_lines[index].key, skip) != 0 ||
        line.data[skip] != ' ') {
        return false;
    }
    size_t len = line.len - skip - 1;
    memcpy(word, line.data + skip + 1, len);
    word[len] = 0;
    return strlen(word) == len && head_lines[index].take(out, word);
}

/* Takes the lines of the head off `rest`. */
static enum err take_head(struct slice *rest, struct package_head *out,
                          struct errmsg *why)
{
    const uint8_t *start = rest->data;
    struct slice line;
    *out = (struct package_head){.issuer = 0};
    for (size_t i = 0; i < HEAD_LINES; i++) {
        if (!str_next_line(rest, &line) || !take_head_line(i, line, out)) {
            return err_set(why, ERR_INVALID, "line %zu: %s %s", i + 1,
                           head_lines[i].key, head_lines[i].rule);
        }
    }
    struct buf again = BUF_INIT;
    package_head_put(out, &again);
    struct slice text = slice_of(start, (size_t)(rest->data - start));
    bool same = slice_eq(buf_slice(&again), text);
    buf_fini(&again);
    return same ? ERR_OK
                : err_set(why, ERR_INVALID,
                          "lines 1 to %d: not written as they must be (hex in "
                          "lower case, numbers without leading zeros)",
                          HEAD_LINES);
}

enum err package_head_get(struct slice text, struct package_head *out,
                          struct errmsg *why)
{
    enum err err =
        text.len <= PACKAGE_TEXT_MAX ? take_head(&text, out, why) : ERR_INVALID;
    return err == ERR_OK && text.len > 0
               ? err_set(why, ERR_INVALID, "line %d: there is no such line",
                         HEAD_LINES + 1)
               : err;
}

/* ---- signatures ---- */

static enum err check_line(const struct rootdoc_issuer *issuer,
                           enum suite suite, struct slice text,
                           struct slice line, bool *signed_by,
                           struct errmsg *why)
{
    struct signature s;
    if (signature_parse(line, &s) != ERR_OK) {
        return err_set(why, ERR_BAD_SIGNATURE, "a signature line is malformed");
    }
    char id[2 * HASH_LEN + 1];
    str_hex(s.key_id.b, HASH_LEN, id);
    const struct rootdoc_decider *decider =
        rootdoc_find_decider(issuer, &s.key_id);
    enum err err = ERR_OK;
    if (decider == NULL) {
        err = err_set(why, ERR_BAD_SIGNATURE,
                      "signed by the key %.16s, which does not decide for "
                      "%012" PRIu64 ": leave out its copy, or its line "
                      "signature",
                      id, issuer->code);
    } else if (signed_by[decider - issuer->deciders]) {
        err = err_set(why, ERR_BAD_SIGNATURE, "%s signed twice", decider->name);
    } else if (!signature_fits(&s, suite, text)) {
        err = err_set(why, ERR_BAD_SIGNATURE,
                      "the signature of %s does not fit: something was changed "
                      "after it was signed",
                      decider->name);
    } else {
        signed_by[decider - issuer->deciders] = true;
    }
    signature_fini(&s);
    return err;
}

enum err package_check_signed(const struct rootdoc_issuer *issuer,
                              enum suite suite, struct slice text,
                              struct slice lines, struct errmsg *why)
{
    bool signed_by[ROOTDOC_DECIDERS_MAX] = {false};
    struct slice line;
    unsigned n = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && str_next_line(&lines, &line)) {
        err = check_line(issuer, suite, text, line, signed_by, why);
        n++;
    }
    if (err == ERR_OK && lines.len > 0) {
        err = err_set(why, ERR_BAD_SIGNATURE, "a signature line is cut off");
    }
    if (err == ERR_OK && n < issuer->threshold) {
        err = err_set(why, ERR_BAD_SIGNATURE,
                      "%u of the %u signatures that a package of %012" PRIu64
                      " takes; whose, creditnode root show tells",
                      n, issuer->threshold, issuer->code);
    }
    return err;
}

/* ---- as a file ---- */

void package_free(struct package **package)
{
    struct package *p = *package;
    *package = NULL;
    if (p != NULL) {
        buf_fini(&p->text);
        buf_fini(&p->bytes);
        buf_fini(&p->signatures);
        mem_free(p->entries);
        mem_free(p);
    }
}

static void root_of(const struct slice *entries, size_t n, enum suite suite,
                    struct hash *out)
{
    struct frontier *f = MEM_NEW(struct frontier);
    for (size_t i = 0; i < n; i++) {
        struct hash leaf;
        suite_hash_leaf(suite, entries[i], &leaf);
        frontier_append(f, suite, &leaf, NULL, NULL);
    }
    frontier_root(f, suite, out);
    mem_free(f);
}

enum err package_new(struct package **out, const struct package_head *head,
                     const struct slice *entries, size_t n)
{
    size_t len = 0;
    if (n == 0 || n > PACKAGE_ENTRIES_MAX) {
        return ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < n; i++) {
        len += entries[i].len;
    }
    struct package *p = MEM_NEW(struct package);
    p->head = *head;
    p->entries = mem_zalloc(n, sizeof *p->entries);
    (void)buf_reserve(&p->bytes, len);
    for (size_t i = 0; i < n; i++) {
        p->entries[i] = slice_of(p->bytes.data + p->bytes.len, entries[i].len);
        buf_put_slice(&p->bytes, entries[i]);
    }
    suite_random(p->head.id, PACKAGE_ID_LEN);
    p->head.expires =
        date_add_days(date_from_ms(head->prepared_ms), PACKAGE_DAYS);
    p->head.entries = (uint32_t)n;
    root_of(p->entries, n, head->suite, &p->head.root);
    package_head_put(&p->head, &p->text);
    *out = p;
    return ERR_OK;
}

static bool take_entry(struct package *p, size_t *lens, size_t at,
                       struct slice line)
{
    static const char lead[] = "entry ";
    size_t skip = strlen(lead);
    size_t before = p->bytes.len;
    if (line.len <= skip || line.len > ENTRY_LINE_MAX ||
        memcmp(line.data, lead, skip) != 0 ||
        !str_unbase64(slice_of(line.data + skip, line.len - skip), &p->bytes)) {
        return false;
    }
    lens[at] = p->bytes.len - before;
    return lens[at] <= ENTRY_MAX;
}

static enum err take_entries(struct package *p, struct slice *rest,
                             struct errmsg *why)
{
    size_t *lens = mem_zalloc(p->head.entries, sizeof *lens);
    struct slice line;
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < p->head.entries; i++) {
        if (!str_next_line(rest, &line) || !take_entry(p, lens, i, line)) {
            err = err_set(why, ERR_INVALID,
                          "line %zu: must be `entry` and base64; the head says "
                          "%" PRIu32 " of them",
                          HEAD_LINES + i + 1, p->head.entries);
        }
    }
    size_t at = 0;
    p->entries = mem_zalloc(p->head.entries, sizeof *p->entries);
    for (size_t i = 0; err == ERR_OK && i < p->head.entries; i++) {
        p->entries[i] = slice_of(p->bytes.data + at, lens[i]);
        at += lens[i];
    }
    mem_free(lens);
    return err;
}

static enum err check_root(const struct package *p, struct errmsg *why)
{
    struct hash root;
    root_of(p->entries, p->head.entries, p->head.suite, &root);
    return hash_eq(&root, &p->head.root)
               ? ERR_OK
               : err_set(why, ERR_INVALID,
                         "the entries are not those that the line `root` "
                         "names: the file was changed");
}

bool package_has_signed(const struct package *package,
                        const struct hash *key_id)
{
    bool found = false;
    for (size_t i = 0; !found && i < package->signed_by; i++) {
        found = hash_eq(&package->signers[i], key_id);
    }
    return found;
}

/* Adds a line, once a key. ERR_EXISTS. */
static enum err add_line(struct package *p, struct slice line)
{
    struct signature s;
    enum err err = signature_parse(line, &s);
    if (err != ERR_OK) {
        return err;
    }
    if (p->signed_by == ROOTDOC_DECIDERS_MAX) {
        err = ERR_TOO_LARGE;
    } else if (package_has_signed(p, &s.key_id)) {
        err = ERR_EXISTS;
    } else {
        buf_put_slice(&p->signatures, line);
        buf_put_u8(&p->signatures, '\n');
        p->signers[p->signed_by++] = s.key_id;
    }
    signature_fini(&s);
    return err;
}

static enum err take_signatures(struct package *p, struct slice *rest,
                                struct errmsg *why)
{
    struct slice line;
    enum err err = ERR_OK;
    size_t number = HEAD_LINES + p->head.entries;
    while (err == ERR_OK && str_next_line(rest, &line)) {
        number++;
        if (add_line(p, line) != ERR_OK) {
            err = err_set(why, ERR_INVALID,
                          "line %zu: must be `signature`, key and signature as "
                          "base64, once a key, at most %d",
                          number, ROOTDOC_DECIDERS_MAX);
        }
    }
    return err == ERR_OK && rest->len > 0
               ? err_set(why, ERR_INVALID, "line %zu: is cut off", number + 1)
               : err;
}

enum err package_parse(struct package **out, struct slice file,
                       const char *name, struct errmsg *why)
{
    struct package *p = MEM_NEW(struct package);
    struct errmsg inner = {""};
    struct slice rest = file;
    enum err err = file.len <= PACKAGE_FILE_MAX
                       ? take_head(&rest, &p->head, &inner)
                       : ERR_TOO_LARGE;
    if (err == ERR_OK) {
        package_head_put(&p->head, &p->text);
        err = take_entries(p, &rest, &inner);
    }
    if (err == ERR_OK) {
        err = check_root(p, &inner);
    }
    if (err == ERR_OK) {
        err = take_signatures(p, &rest, &inner);
    }
    if (err != ERR_OK) {
        package_free(&p);
        return err_set(why, err, "%s: %.400s", name,
                       inner.text[0] != 0 ? inner.text : err_text(err));
    }
    *out = p;
    return ERR_OK;
}

void package_put(const struct package *package, struct buf *out)
{
    buf_put_slice(out, buf_slice(&package->text));
    for (size_t i = 0; i < package->head.entries; i++) {
        buf_put_str(out, "entry ");
        str_base64(package->entries[i], out);
        buf_put_u8(out, '\n');
    }
    buf_put_slice(out, buf_slice(&package->signatures));
}

enum err package_sign(struct package *package, const struct key *key)
{
    struct buf line = BUF_INIT;
    enum err err = signature_put(key, package->head.suite,
                                 buf_slice(&package->text), &line);
    if (err == ERR_OK) {
        err = add_line(package, slice_of(line.data, line.len - 1));
    }
    buf_fini(&line);
    return err;
}

enum err package_merge(struct package *package, const struct package *other)
{
    struct slice rest = buf_slice(&other->signatures);
    struct slice line;
    if (!slice_eq(buf_slice(&package->text), buf_slice(&other->text))) {
        return ERR_CONFLICT;
    }
    enum err err = ERR_OK;
    while ((err == ERR_OK || err == ERR_EXISTS) &&
           str_next_line(&rest, &line)) {
        err = add_line(package, line);
    }
    return err == ERR_EXISTS ? ERR_OK : err;
}

/* ---- in the log ---- */

static void put_mark(const struct package *p, uint8_t type, int64_t now_ms,
                     const struct buf *body, struct buf *out)
{
    struct entry e = {.type = type,
                      .subject_kind = SUBJECT_NONE,
                      .entered_at_ms = now_ms,
                      .body = buf_slice(body)};
    memcpy(e.record_key, p->head.id, PACKAGE_ID_LEN);
    entry_encode(&e, out);
}

void package_log_entries(const struct package *package, int64_t now_ms,
                         struct buf *room, struct slice *out)
{
    size_t start = room->len;
    size_t n = package->head.entries;
    put_mark(package, ENTRY_PACKAGE, now_ms, &package->text, room);
    size_t begin_len = room->len - start;
    put_mark(package, ENTRY_PACKAGE_END, now_ms, &package->signatures, room);
    out[0] = slice_of(room->data + start, begin_len);
    for (size_t i = 0; i < n; i++) {
        out[i + 1] = package->entries[i];
    }
    out[n + 1] =
        slice_of(room->data + start + begin_len, room->len - start - begin_len);
}

enum err package_begin_decode(const struct entry *e, struct package_head *out)
{
    struct errmsg why;
    enum err err = e->type == ENTRY_PACKAGE
                       ? package_head_get(e->body, out, &why)
                       : ERR_INVALID;
    return err == ERR_OK && memcmp(out->id, e->record_key, PACKAGE_ID_LEN) == 0
               ? ERR_OK
               : ERR_INVALID;
}
