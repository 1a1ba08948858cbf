#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/root.h"
#include "ident/ident.h"
#include "ident/signature.h"

enum { SHORT_HASH = 16, CHANGE_PARTS = 4 };

/* ---- changes asked for ---- */

/* What stands between the colons. */
struct change_args {
    uint64_t code;
    unsigned k;
    char *part[CHANGE_PARTS];
};

typedef enum err change_fn(struct rootdraft *draft, const struct change_args *a,
                           struct errmsg *why);

static enum err add_issuer(struct rootdraft *draft, const struct change_args *a,
                           struct errmsg *why)
{
    return rootdraft_add_issuer(draft, a->code, a->k, why);
}

static enum err remove_issuer(struct rootdraft *draft,
                              const struct change_args *a, struct errmsg *why)
{
    return rootdraft_remove_issuer(draft, a->code, why);
}

static enum err set_threshold(struct rootdraft *draft,
                              const struct change_args *a, struct errmsg *why)
{
    return rootdraft_set_threshold(draft, a->code, a->k, why);
}

static enum err add_decider(struct rootdraft *draft,
                            const struct change_args *a, struct errmsg *why)
{
    struct pubkey *key = NULL;
    struct hash id;
    enum err err = pubkey_load(&key, a->part[1], why);
    if (err == ERR_OK) {
        signature_key_id(key, &id);
        err = rootdraft_add_decider(draft, a->code, &id, a->part[2], why);
    }
    pubkey_free(&key);
    return err;
}

static enum err remove_decider(struct rootdraft *draft,
                               const struct change_args *a, struct errmsg *why)
{
    return rootdraft_remove_decider(draft, a->code, a->part[1], why);
}

static enum err set_last(struct rootdraft *draft, const struct change_args *a,
                         struct errmsg *why)
{
    struct rootdoc_last last = {.size = 0};
    uint8_t id[8];
    if (!str_unhex(a->part[1], id, sizeof id) || be_get64(id) == 0 ||
        !str_u64(slice_str(a->part[2]), &last.size) || last.size == 0 ||
        !str_unhex(a->part[3], last.root.b, HASH_LEN)) {
        return err_set(why, ERR_INVALID,
                       "must be CODE:INCARNATION:SIZE:ROOT, as `creditnode "
                       "logs --json` shows them");
    }
    last.incarnation = be_get64(id);
    return rootdraft_set_last(draft, a->code, &last, why);
}

static enum err add_ca(struct rootdraft *draft, const struct change_args *a,
                       struct errmsg *why)
{
    struct hash id;
    enum err err = rootdoc_load_ca(a->part[0], &id, why);
    return err == ERR_OK ? rootdraft_add_ca(draft, &id, why) : err;
}

static enum err remove_ca(struct rootdraft *draft, const struct change_args *a,
                          struct errmsg *why)
{
    return rootdraft_remove_ca(draft, a->part[0], why);
}

static const struct {
    const char *option;
    const char *form;
    change_fn *fn;
    size_t parts;
    bool code; /* the first part is a node code */
    bool k;    /* the second is a number */
} changes[ROOT_CHANGES] = {
    [CHANGE_ADD_ISSUER] = {"--add-issuer", "CODE:K", add_issuer, 2, true, true},
    [CHANGE_REMOVE_ISSUER] = {"--remove-issuer", "CODE", remove_issuer, 1, true,
                              false},
    [CHANGE_THRESHOLD] = {"--threshold", "CODE:K", set_threshold, 2, true,
                          true},
    [CHANGE_ADD_DECIDER] = {"--add-decider", "CODE:PUBLIC-KEY-FILE:NAME",
                            add_decider, 3, true, false},
    [CHANGE_REMOVE_DECIDER] = {"--remove-decider", "CODE:NAME-OR-KEY-ID",
                               remove_decider, 2, true, false},
    [CHANGE_LAST] = {"--last", "CODE:INCARNATION:SIZE:ROOT", set_last, 4, true,
                     false},
    [CHANGE_ADD_CA] = {"--add-ca", "FILE", add_ca, 1, false, false},
    [CHANGE_REMOVE_CA] = {"--remove-ca", "ID", remove_ca, 1, false, false},
};

/* Cuts `text` at its colons; the last part may hold more of them. */
static bool split(char *text, size_t parts, struct change_args *a)
{
    for (size_t i = 0; i < parts; i++) {
        a->part[i] = text;
        char *colon = i + 1 < parts ? strchr(text, ':') : NULL;
        if (i + 1 < parts && colon == NULL) {
            return false;
        }
        if (colon != NULL) {
            *colon = 0;
            text = colon + 1;
        }
        if (a->part[i][0] == 0) {
            return false;
        }
    }
    return true;
}

enum err root_change(struct rootdraft *draft, const struct root_change *change,
                     struct errmsg *why)
{
    struct change_args a = {.code = 0};
    struct buf copy = BUF_INIT;
    uint64_t k = 0;
    size_t i = change->kind;
    buf_put(&copy, change->text, strlen(change->text) + 1);
    bool ok = split((char *)copy.data, changes[i].parts, &a) &&
              (!changes[i].code || code_parse(a.part[0], &a.code)) &&
              (!changes[i].k || (str_u64(slice_str(a.part[1]), &k) && k >= 1 &&
                                 k <= ROOTDOC_DECIDERS_MAX));
    a.k = (unsigned)k;
    struct errmsg inner = {{0}};
    enum err err = ok ? changes[i].fn(draft, &a, &inner)
                      : err_set(&inner, ERR_INVALID,
                                "must be %s, with a node code of 12 digits",
                                changes[i].form);
    if (err != ERR_OK) {
        err = err_set(why, err, "%s %.120s: %.300s", changes[i].option,
                      change->text, inner.text);
    }
    buf_fini(&copy);
    return err;
}

/* ---- differences ---- */

static bool names_ca(const struct rootdoc *doc, const struct hash *id)
{
    for (size_t i = 0; i < rootdoc_ca_count(doc); i++) {
        if (hash_eq(rootdoc_ca(doc, i), id)) {
            return true;
        }
    }
    return false;
}

static void short_hex(const struct hash *hash, char out[2 * HASH_LEN + 1])
{
    str_hex(hash->b, HASH_LEN, out);
    out[SHORT_HASH] = 0;
}

static unsigned print_cas(const struct rootdoc *doc,
                          const struct rootdoc *other, char sign)
{
    unsigned n = 0;
    for (size_t i = 0; i < rootdoc_ca_count(doc); i++) {
        if (!names_ca(other, rootdoc_ca(doc, i))) {
            char hex[2 * HASH_LEN + 1];
            short_hex(rootdoc_ca(doc, i), hex);
            (void)printf("  %c CA %s\n", sign, hex);
            n++;
        }
    }
    return n;
}

static unsigned print_deciders(const struct rootdoc_issuer *issuer,
                               const struct rootdoc_issuer *other, char sign,
                               bool english)
{
    unsigned n = 0;
    for (unsigned i = 0; i < issuer->count; i++) {
        const struct rootdoc_decider *decider = &issuer->deciders[i];
        if (rootdoc_find_decider(other, &decider->key_id) == NULL) {
            char hex[2 * HASH_LEN + 1];
            short_hex(&decider->key_id, hex);
            cli_line(stdout,
                     english ? "  %c %012llu: decider %s (%s)"
                             : "  %c %012llu：决定人 %s（%s）",
                     sign, (unsigned long long)issuer->code, decider->name,
                     hex);
            n++;
        }
    }
    return n;
}

/* What `doc` has and `other` has not; the lines begin with `sign`. */
static unsigned print_only_in(const struct rootdoc *doc,
                              const struct rootdoc *other, char sign,
                              bool english)
{
    unsigned n = print_cas(doc, other, sign);
    for (size_t i = 0; i < rootdoc_issuer_count(doc); i++) {
        const struct rootdoc_issuer *issuer = rootdoc_issuer(doc, i);
        n += print_deciders(issuer, rootdoc_find_issuer(other, issuer->code),
                            sign, english);
    }
    return n;
}

static unsigned print_names(const struct rootdoc_issuer *before,
                            const struct rootdoc_issuer *now, bool english)
{
    unsigned n = 0;
    for (unsigned i = 0; i < now->count; i++) {
        const struct rootdoc_decider *decider = &now->deciders[i];
        const struct rootdoc_decider *old =
            rootdoc_find_decider(before, &decider->key_id);
        if (old != NULL && strcmp(old->name, decider->name) != 0) {
            cli_line(stdout,
                     english ? "  * %012llu: decider %s is now called %s"
                             : "  * %012llu：决定人 %s 改称 %s",
                     (unsigned long long)now->code, old->name, decider->name);
            n++;
        }
    }
    return n;
}

/* Up to where what the former deciders signed counts. */
static unsigned print_lasts(const struct rootdoc_issuer *before,
                            const struct rootdoc_issuer *now, bool english)
{
    for (unsigned i = 0; i < now->lasts_count; i++) {
        (void)printf(english ? "  * %012llu: what was signed before counts up "
                               "to entry %llu of log %016llx\n"
                             : "  * %012llu：此前的签名有效至第 %llu 条，"
                               "日志 %016llx\n",
                     (unsigned long long)now->code,
                     (unsigned long long)now->lasts[i].size,
                     (unsigned long long)now->lasts[i].incarnation);
    }
    if (now->lasts_count == 0 && !rootdoc_same_deciders(before, now)) {
        (void)printf(
            english ? "  ! %012llu: of what was signed before, lists "
                      "included, only what its deciders\n    of now could "
                      "have signed alone still counts; --last keeps all "
                      "(root --help)\n"
                    : "  ! %012llu：此前签名的内容（含名单），仅凭现任"
                      "决定人签名即足够的仍有效；\n"
                      "    要全部保留，提议时加 --last（见 root --help）\n",
            (unsigned long long)now->code);
        return 1;
    }
    return now->lasts_count;
}

/* Of issuers in both, and of new ones. */
static unsigned print_numbers(const struct rootdoc *from,
                              const struct rootdoc *to, bool english)
{
    unsigned n = 0;
    for (size_t i = 0; i < rootdoc_issuer_count(to); i++) {
        const struct rootdoc_issuer *now = rootdoc_issuer(to, i);
        const struct rootdoc_issuer *before =
            rootdoc_find_issuer(from, now->code);
        if (before == NULL) {
            (void)printf(
                english ? "  + %012llu may issue directives, by %u of %u\n"
                        : "  + %012llu 可以发布指令，须 %u 人签名"
                          "（共 %u 人）\n",
                (unsigned long long)now->code, now->threshold, now->count);
            n++;
            continue;
        }
        if (before->threshold != now->threshold ||
            before->count != now->count) {
            (void)printf(english ? "  * %012llu: %u of %u instead of %u of %u\n"
                                 : "  * %012llu：须 %u 人签名（共 %u 人），"
                                   "原为 %u 人（共 %u 人）\n",
                         (unsigned long long)now->code, now->threshold,
                         now->count, before->threshold, before->count);
            n++;
        }
        n += print_names(before, now, english) +
             print_lasts(before, now, english);
    }
    return n;
}

static unsigned print_gone(const struct rootdoc *from, const struct rootdoc *to,
                           bool english)
{
    unsigned n = 0;
    for (size_t i = 0; i < rootdoc_issuer_count(from); i++) {
        uint64_t code = rootdoc_issuer(from, i)->code;
        if (rootdoc_find_issuer(to, code) == NULL) {
            (void)printf(english ? "  - %012llu may issue no more directives, "
                                   "and none of its former ones counts\n"
                                 : "  - %012llu 不再发布指令，"
                                   "其以前的指令全部失效\n",
                         (unsigned long long)code);
            n++;
        }
    }
    return n;
}

static uint64_t keeper_code(const struct rootdoc *doc)
{
    const struct rootdoc_issuer *keepers = rootdoc_keepers(doc);
    return keepers != NULL ? keepers->code : UINT64_MAX;
}

void root_print_changes(const struct rootdoc *from, const struct rootdoc *to,
                        bool english)
{
    (void)printf(english ? "Version %llu against version %llu:\n"
                         : "第 %llu 版与第 %llu 版相比：\n",
                 (unsigned long long)rootdoc_version(to),
                 (unsigned long long)rootdoc_version(from));
    unsigned n = print_gone(from, to, english);
    n += print_only_in(from, to, '-', english);
    n += print_only_in(to, from, '+', english);
    n += print_numbers(from, to, english);
    if (keeper_code(from) != keeper_code(to)) {
        (void)printf(english
                         ? "  * kept by the deciders of %012llu from now on\n"
                         : "  * 今后由 %012llu 的决定人保管\n",
                     (unsigned long long)keeper_code(to));
        n++;
    }
    if (n == 0) {
        (void)puts(english ? "  nothing changes" : "  没有变更");
    }
}

/* ---- signatures needed ---- */

/* False: none is needed any more. */
static bool print_need(const struct rootdoc *doc, const struct rootdoc *by,
                       bool english)
{
    const struct rootdoc_issuer *keepers = rootdoc_keepers(by);
    unsigned have = 0;
    for (unsigned i = 0; i < keepers->count; i++) {
        have += rootdoc_has_signed(doc, &keepers->deciders[i].key_id);
    }
    if (have >= keepers->threshold) {
        return false;
    }
    struct buf names = BUF_INIT;
    for (unsigned i = 0; i < keepers->count; i++) {
        if (!rootdoc_has_signed(doc, &keepers->deciders[i].key_id)) {
            const char *between = english ? ", " : "、";
            buf_putf(&names, "%s%s", names.len > 0 ? between : "",
                     keepers->deciders[i].name);
        }
    }
    cli_line(stdout,
             english ? "Needs %u more of the keepers of version %llu: %s"
                     : "还须 %u 名第 %llu 版的保管人签名：%s",
             keepers->threshold - have, (unsigned long long)rootdoc_version(by),
             buf_cstr(&names));
    buf_fini(&names);
    return true;
}

void root_print_needs(const struct rootdoc *from, const struct rootdoc *to,
                      const char *file, bool english)
{
    bool more = from != NULL && print_need(to, from, english);
    more = print_need(to, to, english) || more;
    if (more) {
        cli_line(stdout,
                 english
                     ? "Each of them, on a machine of their own: creditnode "
                       "root sign %s --key KEY --previous FILE"
                     : "各人在自己的机器上签名："
                       "creditnode root sign %s --key 密钥 --previous 前一版",
                 file);
    } else if (from == NULL) {
        (void)puts(english ? "Its own keepers signed; whether those of the "
                             "version before did, --previous FILE tells."
                           : "本版的保管人已签足；前一版的保管人是否签足，"
                             "加 --previous 前一版 可知。");
    } else {
        cli_line(stdout,
                 english ? "Signed by enough. Next, at any node: creditnode "
                           "root publish %s"
                         : "签名已足。下一步，在任一节点："
                           "creditnode root publish %s",
                 file);
    }
}
