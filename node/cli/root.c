/* root: show, propose, sign, publish */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/root.h"
#include "ident/ident.h"
#include "ident/signature.h"

enum { SHORT_HASH = 16, FILE_MODE = 0644 };

enum option_id {
    OPT_PREVIOUS = 1,
    OPT_VERSION,
    OPT_TEXT,
    OPT_FROM,
    OPT_KEY,
    OPT_CHANGE, /* and the kinds of change behind it */
};

static const struct option longs[] = {
    CLI_LONG,
    {"previous", required_argument, NULL, OPT_PREVIOUS},
    {"version", required_argument, NULL, OPT_VERSION},
    {"text", no_argument, NULL, OPT_TEXT},
    {"from", required_argument, NULL, OPT_FROM},
    {"key", required_argument, NULL, OPT_KEY},
    {"output", required_argument, NULL, 'o'},
    {"add-issuer", required_argument, NULL, OPT_CHANGE + CHANGE_ADD_ISSUER},
    {"remove-issuer", required_argument, NULL,
     OPT_CHANGE + CHANGE_REMOVE_ISSUER},
    {"threshold", required_argument, NULL, OPT_CHANGE + CHANGE_THRESHOLD},
    {"add-decider", required_argument, NULL, OPT_CHANGE + CHANGE_ADD_DECIDER},
    {"remove-decider", required_argument, NULL,
     OPT_CHANGE + CHANGE_REMOVE_DECIDER},
    {"last", required_argument, NULL, OPT_CHANGE + CHANGE_LAST},
    {"add-ca", required_argument, NULL, OPT_CHANGE + CHANGE_ADD_CA},
    {"remove-ca", required_argument, NULL, OPT_CHANGE + CHANGE_REMOVE_CA},
    {NULL, 0, NULL, 0},
};

struct root_options {
    struct cli_options o;
    const char *file;
    const char *previous;
    const char *from;
    const char *key;
    const char *output;
    uint64_t version; /* 0: the newest */
    bool text;
    struct root_change changes[ROOT_CHANGES_MAX];
    size_t changes_count;
};

/* ---- getting documents ---- */

static int load(const char *path, struct rootdoc **out)
{
    struct errmsg why;
    return rootdoc_load(out, path, &why) == ERR_OK ? EXIT_OK
                                                   : cli_fail("%s", why.text);
}

static bool keep_row(void *ctx, json_t *row)
{
    (void)json_array_append(ctx, row);
    return true;
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* The running node's document and, if asked for, all versions it knows. */
static int fetch(const struct cli_options *o, uint64_t version, json_t *known,
                 struct rootdoc **out)
{
    struct errmsg why;
    json_t *request = json_pack("{s:s, s:I}", "cmd", "root-show", "version",
                                (json_int_t)version);
    json_t *result =
        cli_call(o, request, known != NULL ? keep_row : NULL, known);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    enum err err = rootdoc_parse(out, slice_str(text_of(result, "text")),
                                 "the node's root document", &why);
    json_decref(result);
    return err == ERR_OK ? EXIT_OK : cli_fail("%s", why.text);
}

/* ---- showing ---- */

enum mark { NOT_SIGNED, SIGNED, MISFIT };

static enum mark mark_of(const struct rootdoc *doc, const struct hash *key_id)
{
    enum mark mark = NOT_SIGNED;
    for (size_t i = 0; i < rootdoc_signature_count(doc); i++) {
        if (hash_eq(rootdoc_signer(doc, i), key_id)) {
            mark = rootdoc_signature_fits(doc, i) ? SIGNED : MISFIT;
        }
        if (mark == MISFIT) {
            break;
        }
    }
    return mark;
}

static void add_decider(struct cli_table *t, const struct rootdoc *doc,
                        const struct rootdoc_issuer *issuer, unsigned i,
                        bool english)
{
    static const char *const marks[][2] = {
        [NOT_SIGNED] = {"", ""},
        [SIGNED] = {"已签", "signed"},
        [MISFIT] = {"签名不符", "does not fit"}};
    char code[CODE_LEN + 1];
    char needs[24];
    char key[2 * HASH_LEN + 1];
    const struct rootdoc_decider *decider = &issuer->deciders[i];
    code_format(issuer->code, code);
    (void)snprintf(needs, sizeof needs, "%u/%u", issuer->threshold,
                   issuer->count);
    str_hex(decider->key_id.b, HASH_LEN, key);
    key[SHORT_HASH] = 0;
    const char *cells[] = {i == 0 ? code : "", i == 0 ? needs : "",
                           decider->name, key,
                           marks[mark_of(doc, &decider->key_id)][english]};
    cli_table_row(t, cells);
}

/* Those of the version before, whose names only that one knows. */
static void print_other_signers(const struct rootdoc *doc, bool english)
{
    for (size_t i = 0; i < rootdoc_signature_count(doc); i++) {
        char key[2 * HASH_LEN + 1];
        if (rootdoc_keeper(doc, rootdoc_signer(doc, i)) == NULL) {
            str_hex(rootdoc_signer(doc, i)->b, HASH_LEN, key);
            key[SHORT_HASH] = 0;
            (void)printf(english ? "Signed also by %s, no keeper of this "
                                   "version.\n"
                                 : "另有 %s 的签名，不是本版的保管人。\n",
                         key);
        }
    }
}

static void print_document(const struct rootdoc *doc, bool english)
{
    static const char *const en[] = {"issuer", "needs", "decider", "key",
                                     "signed"};
    static const char *const zh[] = {"发布节点", "需要", "决定人", "密钥",
                                     "签名"};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    (void)printf(english ? "Root document version %llu of %s (suite %s)\n"
                         : "根文件 第 %llu 版 %s（密码套件 %s）\n",
                 (unsigned long long)rootdoc_version(doc),
                 rootdoc_federation(doc), suite_name(rootdoc_suite(doc)));
    (void)printf("SHA-256  %s\n", rootdoc_hash(doc));
    for (size_t i = 0; i < rootdoc_ca_count(doc); i++) {
        char hex[2 * HASH_LEN + 1];
        str_hex(rootdoc_ca(doc, i)->b, HASH_LEN, hex);
        (void)printf("CA       %s\n", hex);
    }
    for (size_t i = 0; i < rootdoc_issuer_count(doc); i++) {
        const struct rootdoc_issuer *issuer = rootdoc_issuer(doc, i);
        for (unsigned j = 0; j < issuer->count; j++) {
            add_decider(t, doc, issuer, j, english);
        }
    }
    (void)putchar('\n');
    cli_table_print(t);
    cli_table_free(&t);
    (void)puts(english ? "The deciders of the first issuer keep this document: "
                         "it changes by their signatures."
                       : "第一个发布节点的决定人保管本文件："
                         "须由他们签名才能变更。");
    print_other_signers(doc, english);
}

static json_t *issuer_json(const struct rootdoc *doc,
                           const struct rootdoc_issuer *issuer)
{
    char code[CODE_LEN + 1];
    json_t *deciders = json_array();
    code_format(issuer->code, code);
    for (unsigned i = 0; i < issuer->count; i++) {
        char hex[2 * HASH_LEN + 1];
        str_hex(issuer->deciders[i].key_id.b, HASH_LEN, hex);
        (void)json_array_append_new(
            deciders,
            json_pack(
                "{s:s, s:s, s:b}", "key_id", hex, "name",
                issuer->deciders[i].name, "signed",
                rootdoc_has_signed(doc, &issuer->deciders[i].key_id) ? 1 : 0));
    }
    return json_pack("{s:s, s:i, s:b, s:o}", "code", code, "threshold",
                     (int)issuer->threshold, "keepers",
                     issuer == rootdoc_keepers(doc) ? 1 : 0, "deciders",
                     deciders);
}

static json_t *signatures_json(const struct rootdoc *doc)
{
    json_t *signatures = json_array();
    for (size_t i = 0; i < rootdoc_signature_count(doc); i++) {
        char hex[2 * HASH_LEN + 1];
        str_hex(rootdoc_signer(doc, i)->b, HASH_LEN, hex);
        (void)json_array_append_new(
            signatures, json_pack("{s:s, s:b}", "key_id", hex, "fits",
                                  rootdoc_signature_fits(doc, i) ? 1 : 0));
    }
    return signatures;
}

/* Takes `known`. */
static json_t *document_json(const struct rootdoc *doc, json_t *known)
{
    json_t *cas = json_array();
    json_t *issuers = json_array();
    for (size_t i = 0; i < rootdoc_ca_count(doc); i++) {
        char hex[2 * HASH_LEN + 1];
        str_hex(rootdoc_ca(doc, i)->b, HASH_LEN, hex);
        (void)json_array_append_new(cas, json_string(hex));
    }
    for (size_t i = 0; i < rootdoc_issuer_count(doc); i++) {
        (void)json_array_append_new(issuers,
                                    issuer_json(doc, rootdoc_issuer(doc, i)));
    }
    return json_pack("{s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "version",
                     (json_int_t)rootdoc_version(doc), "hash",
                     rootdoc_hash(doc), "federation", rootdoc_federation(doc),
                     "suite", suite_name(rootdoc_suite(doc)), "cas", cas,
                     "issuers", issuers, "signatures", signatures_json(doc),
                     "known", known);
}

static void print_known(json_t *known, bool english)
{
    size_t i;
    json_t *row;
    (void)puts(english ? "\nVersions known here:" : "\n本节点已有的版本：");
    json_array_foreach(known, i, row)
    {
        (void)printf(
            "  %lld  %s\n",
            (long long)json_integer_value(json_object_get(row, "version")),
            text_of(row, "hash"));
    }
}

static void print_follows(const struct rootdoc *previous, bool english)
{
    (void)printf(english ? "It follows version %llu and is signed by enough: "
                           "it can be published.\n"
                         : "承接第 %llu 版，签名足够，可以发布。\n",
                 (unsigned long long)rootdoc_version(previous));
}

/* Takes `known`. `follows`: of `previous`, which may be NULL. */
static int print(const struct root_options *r, const struct rootdoc *doc,
                 const struct rootdoc *previous, bool follows, json_t *known)
{
    struct slice bytes = rootdoc_bytes(doc);
    if (r->o.json && !r->text) {
        json_t *object = document_json(doc, known);
        (void)json_object_set_new(object, "follows",
                                  previous == NULL ? json_null()
                                                   : json_boolean(follows));
        return cli_print_json(object);
    }
    if (r->text) {
        (void)fwrite(bytes.data, 1, bytes.len, stdout);
    } else {
        print_document(doc, r->o.english);
        if (r->file == NULL) {
            print_known(known, r->o.english);
        }
        if (previous != NULL && follows) {
            print_follows(previous, r->o.english);
        }
    }
    json_decref(known);
    return EXIT_OK;
}

/* Whatever is printed, and however: the exit status says whether it holds. */
static int print_judged(const struct root_options *r, const struct rootdoc *doc,
                        const struct rootdoc *previous, json_t *known)
{
    struct errmsg why;
    enum err err = previous != NULL ? rootdoc_follows(doc, previous, &why)
                                    : rootdoc_check_signatures(doc, &why);
    int rc = print(r, doc, previous, err == ERR_OK, known);
    return err == ERR_OK ? rc : cli_fail("%s", why.text);
}

static int show(struct root_options *r)
{
    json_t *known = json_array();
    struct rootdoc *doc = NULL;
    struct rootdoc *previous = NULL;
    if (r->file != NULL && r->version > 0) {
        json_decref(known);
        return cli_usage("root", "--version is of the running node; a file "
                                 "holds one");
    }
    int rc = r->previous != NULL ? load(r->previous, &previous) : EXIT_OK;
    if (rc == EXIT_OK) {
        rc = r->file != NULL ? load(r->file, &doc)
                             : fetch(&r->o, r->version, known, &doc);
    }
    if (rc == EXIT_OK) {
        rc = print_judged(r, doc, previous, known);
    } else {
        json_decref(known);
    }
    rootdoc_free(&previous);
    rootdoc_free(&doc);
    return rc;
}

/* ---- proposing ---- */

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* What was written is read as every node will read it. */
static int write_draft(const struct root_options *r, const struct rootdoc *from,
                       struct slice text)
{
    struct rootdoc *doc = NULL;
    struct errmsg why;
    enum err err = rootdoc_parse(&doc, text, r->output, &why);
    if (err == ERR_OK) {
        err = file_replace(r->output, text, FILE_MODE, &why);
    }
    if (err == ERR_OK) {
        (void)printf(r->o.english ? "%s: version %llu, not signed yet\n"
                                  : "%s：第 %llu 版，尚未签名\n",
                     r->output, (unsigned long long)rootdoc_version(doc));
        root_print_changes(from, doc, r->o.english);
        root_print_needs(from, doc, r->output, r->o.english);
    }
    rootdoc_free(&doc);
    return err == ERR_OK ? EXIT_OK : cli_fail("%s", why.text);
}

static int propose(struct root_options *r)
{
    struct rootdoc *from = NULL;
    struct errmsg why;
    if (r->output == NULL) {
        return cli_usage("root", "name the file to write: -o FILE");
    }
    if (exists(r->output)) {
        return cli_fail("%s: is there already; name another file", r->output);
    }
    int rc =
        r->from != NULL ? load(r->from, &from) : fetch(&r->o, 0, NULL, &from);
    if (rc != EXIT_OK) {
        return rc;
    }
    struct rootdraft *draft = rootdraft_new(from);
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < r->changes_count; i++) {
        err = root_change(draft, &r->changes[i], &why);
    }
    if (err == ERR_OK) {
        struct buf text = BUF_INIT;
        rootdraft_put(draft, &text);
        rc = write_draft(r, from, buf_slice(&text));
        buf_fini(&text);
    } else {
        rc = cli_fail("%s", why.text);
    }
    rootdraft_free(&draft);
    rootdoc_free(&from);
    return rc;
}

/* ---- signing ---- */

/* A keeper of the document or of the one before it? */
static int check_keeper(const struct root_options *r, const struct rootdoc *doc,
                        const struct rootdoc *previous, const struct hash *id)
{
    if (rootdoc_keeper(doc, id) != NULL ||
        (previous != NULL && rootdoc_keeper(previous, id) != NULL)) {
        return EXIT_OK;
    }
    return cli_fail(
        previous != NULL
            ? "%s: not a keeper's key, neither of this version nor of the one "
              "before"
            : "%s: not the key of a keeper of this version; if it is one of "
              "the version before, name that by --previous FILE",
        r->key);
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_mode & 07777U : FILE_MODE;
}

static int add_signature(const struct root_options *r,
                         const struct rootdoc *doc, const struct key *key)
{
    struct buf bytes = BUF_INIT;
    struct errmsg why;
    buf_put_slice(&bytes, rootdoc_bytes(doc));
    enum err err = rootdoc_sign(doc, key, &bytes, &why);
    if (err == ERR_OK) {
        err = file_replace(r->file, buf_slice(&bytes), mode_of(r->file), &why);
    }
    buf_fini(&bytes);
    return err == ERR_OK ? EXIT_OK : cli_fail("%s", why.text);
}

/* Changes against a text that it does not follow would show a keeper something
 * else than what is signed, and a signature beside one that does not fit would
 * only be refused later. */
static int check_signable(const struct rootdoc *doc,
                          const struct rootdoc *previous)
{
    struct errmsg why;
    enum err err =
        previous != NULL ? rootdoc_continues(doc, previous, &why) : ERR_OK;
    if (err == ERR_OK) {
        err = rootdoc_check_signatures(doc, &why);
    }
    return err == ERR_OK ? EXIT_OK : cli_fail("%s", why.text);
}

static void print_signing(const struct rootdoc *doc,
                          const struct rootdoc *previous, bool english)
{
    (void)printf(english
                     ? "Version %llu of the root document of %s\nSHA-256  %s\n"
                     : "根文件 第 %llu 版 %s\nSHA-256  %s\n",
                 (unsigned long long)rootdoc_version(doc),
                 rootdoc_federation(doc), rootdoc_hash(doc));
    if (previous != NULL) {
        root_print_changes(previous, doc, english);
    } else {
        (void)puts(english ? "What changes is shown with --previous FILE."
                           : "加 --previous 前一版 可显示变更内容。");
    }
}

static int sign_with(const struct root_options *r, const struct rootdoc *doc,
                     const struct rootdoc *previous, const struct key *key)
{
    struct hash id;
    bool english = r->o.english;
    signature_key_id(key_pubkey(key), &id);
    int rc = check_signable(doc, previous);
    if (rc == EXIT_OK) {
        rc = check_keeper(r, doc, previous, &id);
    }
    if (rc != EXIT_OK) {
        return rc;
    }
    if (rootdoc_has_signed(doc, &id)) {
        (void)printf(english ? "%s: signed by this key already\n"
                             : "%s：此密钥已签名\n",
                     r->file);
        root_print_needs(previous, doc, r->file, english);
        return EXIT_OK;
    }
    print_signing(doc, previous, english);
    rc = add_signature(r, doc, key);
    struct rootdoc *now = NULL;
    if (rc == EXIT_OK && (rc = load(r->file, &now)) == EXIT_OK) {
        (void)printf(english ? "%s: version %llu signed, %zu signatures\n"
                             : "%s：第 %llu 版已签名，共 %zu 个签名\n",
                     r->file, (unsigned long long)rootdoc_version(now),
                     rootdoc_signature_count(now));
        root_print_needs(previous, now, r->file, english);
    }
    rootdoc_free(&now);
    return rc;
}

static int sign(struct root_options *r)
{
    struct rootdoc *doc = NULL;
    struct rootdoc *previous = NULL;
    struct key *key = NULL;
    struct errmsg why;
    if (r->file == NULL || r->key == NULL) {
        return cli_usage("root", "name the document and the key: root sign "
                                 "FILE --key KEY");
    }
    int rc = load(r->file, &doc);
    if (rc == EXIT_OK && r->previous != NULL) {
        rc = load(r->previous, &previous);
    }
    if (rc == EXIT_OK && key_load(&key, r->key, &why) != ERR_OK) {
        rc = cli_fail("%s", why.text);
    }
    if (rc == EXIT_OK) {
        rc = sign_with(r, doc, previous, key);
    }
    key_free(&key);
    rootdoc_free(&previous);
    rootdoc_free(&doc);
    return rc;
}

/* ---- publishing ---- */

static void print_published(json_t *result, bool english)
{
    long long version = cli_int(result, "version");
    if (json_is_true(json_object_get(result, "added"))) {
        (void)printf(english ? "Version %lld is in force here and goes to the "
                               "neighbours.\n"
                             : "第 %lld 版已在本节点生效，并传给相邻节点。\n",
                     version);
    } else {
        (void)printf(english ? "Version %lld was known here already; version "
                               "%lld is in force.\n"
                             : "第 %lld 版本节点已有；现行第 %lld 版。\n",
                     version, cli_int(result, "in_force"));
    }
}

static int publish(struct root_options *r)
{
    struct rootdoc *doc = NULL;
    if (r->file == NULL) {
        return cli_usage("root", "name the document: root publish FILE");
    }
    int rc = load(r->file, &doc);
    if (rc != EXIT_OK) {
        return rc;
    }
    struct slice bytes = rootdoc_bytes(doc);
    json_t *result =
        cli_call(&r->o,
                 json_pack("{s:s, s:s%}", "cmd", "root-publish", "text",
                           (const char *)bytes.data, bytes.len),
                 NULL, NULL);
    rootdoc_free(&doc);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    if (r->o.json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    print_published(result, r->o.english);
    json_decref(result);
    return EXIT_OK;
}

/* ---- the command ---- */

static bool take_option(struct root_options *r, int opt)
{
    switch (opt) {
    case OPT_PREVIOUS:
        r->previous = optarg;
        return true;
    case OPT_VERSION:
        return str_u64(slice_str(optarg), &r->version) && r->version > 0;
    case OPT_TEXT:
        r->text = true;
        return true;
    case OPT_FROM:
        r->from = optarg;
        return true;
    case OPT_KEY:
        r->key = optarg;
        return true;
    case 'o':
        r->output = optarg;
        return true;
    default:
        break;
    }
    if (opt >= OPT_CHANGE && opt < OPT_CHANGE + ROOT_CHANGES) {
        if (r->changes_count == ROOT_CHANGES_MAX) {
            return false;
        }
        r->changes[r->changes_count++] = (struct root_change){
            .kind = (enum root_change_kind)(opt - OPT_CHANGE), .text = optarg};
        return true;
    }
    return cli_common(opt, &r->o);
}

int cmd_root(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct root_options *r);
    } actions[] = {{"show", show},
                   {"propose", propose},
                   {"sign", sign},
                   {"publish", publish}};
    struct root_options r = {.o = {.english = cli_english()}};
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT "o:", longs, NULL)) != -1) {
        if (!take_option(&r, opt)) {
            return cli_usage("root", "wrong option or value");
        }
    }
    const char *name = optind < argc ? argv[optind] : "";
    r.file = optind + 1 < argc ? argv[optind + 1] : NULL;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(actions[i].name, name) == 0 && optind + 2 >= argc) {
            return actions[i].run(&r);
        }
    }
    return cli_usage("root", "say what: show, propose, sign or publish");
}
