#include "sync/receipt.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "ident/signature.h"

/* Longest value of a line, its NUL counted: size, root and number. */
enum { VALUE_MAX = 128, WORDS_MAX = 4 };

/* ---- adding up ---- */

void receipt_init(struct receipt *r, uint64_t node, const struct log_id *log,
                  uint64_t held, const struct hash *root)
{
    *r = (struct receipt){.node = node, .log = *log, .held = held};
    receipt_add(r, &(struct receipt_at){held, *root, 1});
}

/* The place of `at`, or where it belongs: largest first, and of one size in
 * order of the roots. */
static size_t place_of(const struct receipt *r, const struct receipt_at *at)
{
    size_t i = 0;
    while (i < r->at_n && (r->at[i].size > at->size ||
                           (r->at[i].size == at->size &&
                            memcmp(&r->at[i].root, &at->root, HASH_LEN) < 0))) {
        i++;
    }
    return i;
}

void receipt_add(struct receipt *r, const struct receipt_at *at)
{
    size_t i = place_of(r, at);
    r->nodes += at->nodes;
    if (i < r->at_n && r->at[i].size == at->size &&
        hash_eq(&r->at[i].root, &at->root)) {
        r->at[i].nodes += at->nodes;
        return;
    }
    memmove(&r->at[i + 1], &r->at[i], (r->at_n - i) * sizeof r->at[0]);
    r->at[i] = *at;
    if (++r->at_n > RECEIPT_SIZES_MAX) {
        struct receipt_at *last = &r->at[--r->at_n];
        last->nodes += last[-1].nodes;
        last[-1] = *last;
    }
}

static bool is_before(const struct receipt_missing *a,
                      const struct receipt_missing *b)
{
    return a->size != b->size ? a->size < b->size : a->code < b->code;
}

void receipt_add_missing(struct receipt *r, const struct receipt_missing *m)
{
    size_t i = r->missing_n;
    while (i > 0 && is_before(m, &r->missing[i - 1])) {
        i--;
    }
    if (i == RECEIPT_NAMES_MAX) {
        return;
    }
    r->missing_n -= r->missing_n == RECEIPT_NAMES_MAX;
    memmove(&r->missing[i + 1], &r->missing[i],
            (r->missing_n - i) * sizeof r->missing[0]);
    r->missing[i] = *m;
    r->missing_n++;
}

uint64_t receipt_below(const struct receipt *r, uint64_t size)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->at_n; i++) {
        n += r->at[i].size < size ? r->at[i].nodes : 0;
    }
    return n;
}

/* ---- writing ---- */

static void put_text(const struct receipt *r, const char *federation,
                     struct buf *out)
{
    char code[CODE_LEN + 1];
    char log[LOG_ID_TEXT_MAX];
    char root[2 * HASH_LEN + 1];
    code_format(r->node, code);
    log_id_format(&r->log, log);
    buf_putf(out,
             "creditnode-receipt 1\nfederation %s\nnode %s\nlog %s\n"
             "time %" PRId64 "\nheld %" PRIu64 "\nnodes %" PRIu64 "\n",
             federation, code, log, r->at_ms, r->held, r->nodes);
    for (size_t i = 0; i < r->at_n; i++) {
        str_hex(r->at[i].root.b, HASH_LEN, root);
        buf_putf(out, "at %" PRIu64 " %s %" PRIu64 "\n", r->at[i].size, root,
                 r->at[i].nodes);
    }
    for (size_t i = 0; i < r->missing_n; i++) {
        const struct receipt_missing *m = &r->missing[i];
        code_format(m->code, code);
        buf_putf(out, "missing %s %" PRIu64 " %" PRId64 " %" PRIu64 "\n", code,
                 m->size, m->heard_ms, m->nodes);
    }
}

enum err receipt_sign(const struct receipt *r, const char *federation,
                      enum suite suite, const struct key *key, struct buf *out)
{
    struct buf text = BUF_INIT;
    put_text(r, federation, &text);
    size_t mark = out->len;
    buf_put_slice(out, buf_slice(&text));
    enum err err = signature_put(key, suite, buf_slice(&text), out);
    if (err != ERR_OK) {
        out->len = mark;
    }
    buf_fini(&text);
    return err;
}

/* ---- reading ---- */

struct reading {
    struct receipt *r;
    const char *federation;
    char value[VALUE_MAX]; /* behind the key, cut into words */
    char *word[WORDS_MAX];
    size_t words;
    unsigned line; /* how many were taken */
};

/* Takes one line; false: it breaks the rule. */
typedef bool line_fn(struct reading *in);

static bool number(const char *word, uint64_t max, uint64_t *out)
{
    return str_u64(slice_str(word), out) && *out <= max;
}

static bool time_of(const char *word, int64_t *out)
{
    uint64_t ms = 0;
    bool ok = number(word, INT64_MAX, &ms);
    *out = (int64_t)ms;
    return ok;
}

static bool on_form(struct reading *in)
{
    return strcmp(in->word[0], "1") == 0;
}

static bool on_federation(struct reading *in)
{
    return strcmp(in->word[0], in->federation) == 0;
}

static bool on_node(struct reading *in)
{
    return code_parse(in->word[0], &in->r->node);
}

static bool on_log(struct reading *in)
{
    return log_id_parse(in->word[0], &in->r->log) &&
           in->r->log.kind == LOG_DIRECTIVES;
}

static bool on_time(struct reading *in)
{
    return time_of(in->word[0], &in->r->at_ms);
}

static bool on_held(struct reading *in)
{
    return number(in->word[0], TREE_SIZE_MAX, &in->r->held);
}

static bool on_nodes(struct reading *in)
{
    return number(in->word[0], RECEIPT_NODES_MAX, &in->r->nodes) &&
           in->r->nodes > 0;
}

static bool on_at(struct reading *in)
{
    struct receipt *r = in->r;
    struct receipt_at *at = &r->at[r->at_n];
    if (!number(in->word[0], TREE_SIZE_MAX, &at->size) ||
        !str_unhex(in->word[1], at->root.b, HASH_LEN) ||
        !number(in->word[2], RECEIPT_NODES_MAX, &at->nodes) || at->nodes == 0 ||
        place_of(r, at) != r->at_n) {
        return false;
    }
    r->at_n++;
    return true;
}

static bool on_missing(struct reading *in)
{
    struct receipt *r = in->r;
    struct receipt_missing *m = &r->missing[r->missing_n];
    if (!code_parse(in->word[0], &m->code) ||
        !number(in->word[1], TREE_SIZE_MAX, &m->size) || m->size >= r->held ||
        !time_of(in->word[2], &m->heard_ms) ||
        !number(in->word[3], RECEIPT_NODES_MAX, &m->nodes) || m->nodes == 0 ||
        (r->missing_n > 0 && !is_before(&r->missing[r->missing_n - 1], m))) {
        return false;
    }
    r->missing_n++;
    return true;
}

/* The lines in their order, each so often. */
static const struct {
    const char *key;
    line_fn *take;
    size_t words;
    size_t min;
    size_t max;
    const char *rule;
} lines[] = {
    {"creditnode-receipt", on_form, 1, 1, 1, "must be 1, the only known form"},
    {"federation", on_federation, 1, 1, 1, "is another one"},
    {"node", on_node, 1, 1, 1, "must be a node code of 12 digits"},
    {"log", on_log, 1, 1, 1, "must name a directives log"},
    {"time", on_time, 1, 1, 1, "must be milliseconds since 1970"},
    {"held", on_held, 1, 1, 1, "must be a size"},
    {"nodes", on_nodes, 1, 1, 1, "must be 1 to 10000000"},
    {"at", on_at, 3, 1, RECEIPT_SIZES_MAX,
     "must be a size, a root and a number of nodes, largest size first"},
    {"missing", on_missing, 4, 0, RECEIPT_NAMES_MAX,
     "must be a code, a size below `held`, milliseconds since 1970 and a "
     "number of nodes, least size first"},
};

/* At blanks. */
static bool split(struct reading *in)
{
    in->words = 0;
    for (char *at = in->value; at != NULL;) {
        if (in->words == WORDS_MAX) {
            return false;
        }
        in->word[in->words++] = at;
        at = strchr(at, ' ');
        if (at != NULL) {
            *at++ = 0;
        }
    }
    return true;
}

static bool has_key(struct slice line, const char *key)
{
    size_t len = strlen(key);
    return line.len > len && memcmp(line.data, key, len) == 0 &&
           line.data[len] == ' ';
}

static bool take(struct reading *in, size_t kind, struct slice line)
{
    size_t skip = strlen(lines[kind].key) + 1;
    size_t len = line.len - skip;
    if (len >= sizeof in->value || memchr(line.data, 0, line.len) != NULL) {
        return false;
    }
    memcpy(in->value, line.data + skip, len);
    in->value[len] = 0;
    return split(in) && in->words == lines[kind].words && lines[kind].take(in);
}

/* The lines of one kind, from the front of `rest`. */
static enum err take_kind(struct reading *in, size_t kind, struct slice *rest,
                          struct errmsg *why)
{
    size_t met = 0;
    struct slice line;
    struct slice after = *rest;
    while (met < lines[kind].max && str_next_line(&after, &line) &&
           has_key(line, lines[kind].key)) {
        if (!take(in, kind, line)) {
            return err_set(why, ERR_INVALID, "line %u: %s %s", in->line + 1,
                           lines[kind].key, lines[kind].rule);
        }
        *rest = after;
        in->line++;
        met++;
    }
    return met >= lines[kind].min
               ? ERR_OK
               : err_set(why, ERR_INVALID, "line %u: must be `%s`",
                         in->line + 1, lines[kind].key);
}

/* Do the numbers add up, and is this the one way to write them? */
static enum err check_sums(const struct reading *in, struct slice text,
                           struct errmsg *why)
{
    const struct receipt *r = in->r;
    struct buf again = BUF_INIT;
    uint64_t named = 0;
    uint64_t nodes = 0;
    for (size_t i = 0; i < r->missing_n; i++) {
        named += r->missing[i].nodes;
    }
    for (size_t i = 0; i < r->at_n; i++) {
        nodes += r->at[i].nodes;
    }
    if (nodes != r->nodes) {
        return err_set(why, ERR_INVALID, "`nodes` is not the sum of `at`");
    }
    if (named > receipt_below(r, r->held)) {
        return err_set(why, ERR_INVALID,
                       "`missing` names more nodes than hold less than `held`");
    }
    put_text(r, in->federation, &again);
    bool same = slice_eq(buf_slice(&again), text);
    buf_fini(&again);
    return same ? ERR_OK
                : err_set(why, ERR_INVALID, "is not written the one way");
}

static enum err check_signature(const struct receipt *r, struct slice text,
                                struct slice line, enum suite suite,
                                const struct cert *cert, struct errmsg *why)
{
    static const struct {
        enum err err;
        const char *text;
    } faults[] = {{ERR_INVALID, "the last line must be a signature"},
                  {ERR_DENIED, "signed by another key"},
                  {ERR_BAD_SIGNATURE, "the signature does not fit"}};
    const struct principal *who = cert_principal(cert);
    if (who->kind != PRINCIPAL_NODE || who->code != r->node) {
        return err_set(why, ERR_DENIED,
                       "the certificate is not that of node %012" PRIu64,
                       r->node);
    }
    enum err err = signature_check(line, cert_pubkey(cert), suite, text);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        if (faults[i].err == err) {
            return err_set(why, err, "%s", faults[i].text);
        }
    }
    return err;
}

enum err receipt_parse(struct slice text, const char *federation,
                       struct receipt *out, size_t *text_len,
                       struct slice *line, struct errmsg *why)
{
    struct reading in = {.r = out, .federation = federation};
    struct slice rest = text;
    *out = (struct receipt){.node = 0};
    *text_len = 0;
    *line = slice_of(NULL, 0);
    if (text.len > RECEIPT_MAX) {
        return err_set(why, ERR_INVALID, "is larger than %d bytes",
                       RECEIPT_MAX);
    }
    enum err err = ERR_OK;
    for (size_t kind = 0; err == ERR_OK && kind < ARRAY_LEN(lines); kind++) {
        err = take_kind(&in, kind, &rest, why);
    }
    *text_len = text.len - rest.len;
    if (err == ERR_OK) {
        err = check_sums(&in, slice_of(text.data, *text_len), why);
    }
    if (err == ERR_OK && (!str_next_line(&rest, line) || rest.len > 0)) {
        err = err_set(why, ERR_INVALID, "must end with one signature line");
    }
    return err;
}

enum err receipt_verify(struct slice text, const char *federation,
                        enum suite suite, const struct cert *cert,
                        struct receipt *out, struct errmsg *why)
{
    struct slice line;
    size_t len;
    enum err err = receipt_parse(text, federation, out, &len, &line, why);
    return err == ERR_OK ? check_signature(out, slice_of(text.data, len), line,
                                           suite, cert, why)
                         : err;
}
