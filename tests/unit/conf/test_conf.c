/* Configuration: what is refused and how it is said, what is in effect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "conf/conf.h"

#define HASH64                                                                 \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

#define OTHER64                                                                \
    "00eeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define KEY " key = \"" HASH64 "\"; "

/* Everything that is required, so that a test's file holds its case only. */
static const char *const required[] = {
    "node.code=341821100201",
    "node.tier=village",
    "federation.name=example",
    "federation.root_document=root.txt",
    ("federation.root_hash=" HASH64),
    "data.dir=data",
    "tls.ca=cert.pem",
    "tls.cert=cert.pem",
    "tls.key=key.pem",
    "sign.cert=cert.pem",
    "sign.key=key.pem",
    "seal.cert=cert.pem",
    "seal.key=key.pem",
};
enum { REQUIRED = ARRAY_LEN(required), OVERRIDES_MAX = REQUIRED + 4 };

static char folder[] = "conf-test-XXXXXX";
static struct conf_errors errors;

static void put_file(const char *name, const char *text, unsigned mode)
{
    struct errmsg why;
    assert_int_equal(file_replace(name, slice_str(text), mode, &why), ERR_OK);
}

static int in_a_new_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    if (chdir(tmp != NULL ? tmp : "/tmp") != 0 || mkdtemp(folder) == NULL ||
        chdir(folder) != 0) {
        return -1;
    }
    put_file("root.txt", "root", 0644);
    put_file("cert.pem", "cert", 0644);
    put_file("key.pem", "key", 0600);
    return mkdir("sub", 0700);
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"root.txt", "cert.pem", "key.pem",
                                        "node.cfg", "open.pem", "sub/a.cfg",
                                        "sub/b.cfg"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)unlink(names[i]);
    }
    (void)rmdir("sub");
    return chdir("..") != 0 || rmdir(folder) != 0 ? -1 : 0;
}

/* Loads `text` as node.cfg with what is required and up to four overrides. */
static struct conf *load(const char *text, const char *const *more, size_t n)
{
    const char *all[OVERRIDES_MAX];
    struct conf *conf = NULL;
    memcpy(all, required, sizeof required);
    for (size_t i = 0; i < n; i++) {
        all[REQUIRED + i] = more[i];
    }
    put_file("node.cfg", text, 0644);
    enum err err = conf_load(&conf, "node.cfg", all, REQUIRED + n, &errors);
    assert_int_equal(err, errors.count == 0 ? ERR_OK : ERR_CONF);
    assert_int_equal(conf == NULL, err != ERR_OK);
    return conf;
}

static struct conf *load_good(const char *text, const char *const *more,
                              size_t n)
{
    struct conf *conf = load(text, more, n);
    if (conf == NULL) {
        fail_msg("%s", errors.at[0].text);
    }
    return conf;
}

static void expect_start(const char *text, const char *start)
{
    if (strncmp(text, start, strlen(start)) != 0) {
        fail_msg("expected  %s\n         got  %s", start, text);
    }
}

static const struct {
    const char *text;
    const char *start; /* of the only error */
} bad[] = {
    /* names */
    {"\nstore: { cahce = \"4 MiB\"; };",
     "node.cfg:2: store.cahce is not an option; did you mean store.cache?"},
    {"stroe: { cache = \"4 MiB\"; };",
     "node.cfg:1: stroe is not an option; did you mean store?"},
    {"cache = \"4 MiB\";",
     "node.cfg:1: cache is not an option; did you mean store.cache?"},
    {"log: {\n  level = \"info\";\n  colour_of_paper = 3;\n};",
     "node.cfg:3: log.colour_of_paper is not an option; remove it"},
    {"log = \"info\";", "node.cfg:1: log is a group of options; write log: {"},
    {"apps = ( { name = \"a\";" KEY "scopes = [\"public\"];\n scope = 1; } );",
     "node.cfg:2: apps[0].scope is not an option; did you mean scopes?"},
    /* kinds */
    {"rpc: { workers = \"four\"; };",
     "node.cfg:1: rpc.workers: expected a whole number and found text in "
     "quotes; write it like 1000"},
    {"rpc: { workers = 1.5; };",
     "node.cfg:1: rpc.workers: expected a whole number and found a number "
     "with a point"},
    {"rpc: {\n\n quota = 33554432; };",
     "node.cfg:3: rpc.quota: expected a size and found a number without "
     "quotes; write it like \"4 MiB\""},
    {"parent: { code = 341821100000L; };",
     "node.cfg:1: parent.code: expected a division code and found a number "
     "without quotes; write it like \"341821100201\""},
    {"log: { level = true; };",
     "node.cfg:1: log.level: expected a word and found true or false"},
    {"apps = [\"a\"];",
     "node.cfg:1: apps: expected a list of groups and found an array"},
    {"apps = (\n\"a\" );",
     "node.cfg:2: apps[0]: expected a list of groups and found text"},
    {"apps = ( { name = \"a\";" KEY "scopes = \"public\"; } );",
     "node.cfg:1: apps[0].scopes: expected a set of words and found text in "
     "quotes"},
    {"apps = ( { name = \"a\";" KEY "scopes = [1]; } );",
     "node.cfg:1: apps[0].scopes: expected a set of words and found a number"},
    /* values */
    {"rpc: { workers = 0; };",
     "node.cfg:1: rpc.workers: 0 is out of range; write 1 to 256"},
    {"rpc: { workers = -1; };",
     "node.cfg:1: rpc.workers: -1 is out of range; write 1 to 256"},
    {"rpc: { workers = 257; };",
     "node.cfg:1: rpc.workers: 257 is out of range; write 1 to 256"},
    {"rpc: { workers = 4294967297L; };",
     "node.cfg:1: rpc.workers: 4294967297 is out of range"},
    {"rpc: { quota = \"32 MB\"; };",
     "node.cfg:1: rpc.quota: \"32 MB\" is not a size; write a whole number "
     "and B, KiB, MiB"},
    {"rpc: { quota = \"32\"; };",
     "node.cfg:1: rpc.quota: \"32\" is not a size"},
    {"rpc: { quota = \"99999999999999 TiB\"; };",
     "node.cfg:1: rpc.quota: \"99999999999999 TiB\" is not a size"},
    {"replication: { segment = \"2 MiB\"; };",
     "node.cfg:1: replication.segment: 2 MiB is out of range; write 4 KiB to "
     "1 MiB"},
    {"rpc: { keepalive = \"30\"; };",
     "node.cfg:1: rpc.keepalive: \"30\" is not a duration; write a whole "
     "number and ms, s, min, h or d"},
    {"rpc: { keepalive = \"2 h\"; };",
     "node.cfg:1: rpc.keepalive: 2 h is out of range; write 1 s to 1 h"},
    {"log: { level = \"loud\"; };",
     "node.cfg:1: log.level: \"loud\" is not known; write one of error, warn, "
     "info, debug"},
    {"store: { backend = \"oracle\"; };",
     "node.cfg:1: store.backend: \"oracle\" is not known; write one of "
     "embedded, mariadb"},
    {"parent: { code = \"3418\"; };",
     "node.cfg:1: parent.code: \"3418\" is not a division code; write its 12 "
     "digits"},
    {"parent: { code = \"34182110000x\"; };",
     "node.cfg:1: parent.code: \"34182110000x\" is not a division code"},
    {"parent: { address = \"192.0.2.1\"; };",
     "node.cfg:1: parent.address: \"192.0.2.1\" is not an address; write "
     "host:port"},
    {"parent: { address = \"192.0.2.1:0\"; };",
     "node.cfg:1: parent.address: \"192.0.2.1:0\" is not an address"},
    {"parent: { address = \"2001:db8::1:7460\"; };",
     "node.cfg:1: parent.address: \"2001:db8::1:7460\" is not an address"},
    {"listen: { address = \"host:65536\"; };",
     "node.cfg:1: listen.address: \"host:65536\" is not an address"},
    {"listen: { address = \":7460\"; };",
     "node.cfg:1: listen.address: \":7460\" is not an address"},
    {"mariadb: { address = \"db1:3306,\"; };",
     "node.cfg:1: mariadb.address: \"db1:3306,\" is not a list of at most 8 "
     "addresses; write host:port, host:port"},
    {"mariadb: { address = \"db1:3306 db2:3306\"; };",
     "node.cfg:1: mariadb.address: \"db1:3306 db2:3306\" is not a list"},
    {"mariadb: { address = \"a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1\"; };",
     "node.cfg:1: mariadb.address: \"a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1\" is "
     "not a list of at most 8"},
    {"node: { name = \"a\\x07\"; };",
     "node.cfg:1: node.name: holds a control character"},
    {"admin: { socket = \"\"; };",
     "node.cfg:1: admin.socket: must not be empty; write: Socket of"},
    {"trust: { revoked = \"none.pem\"; };",
     "node.cfg:1: trust.revoked: cannot read /"},
    {"trust: {\n  ca = \"FILL-IN\"; };",
     "node.cfg:2: trust.ca still has the placeholder \"FILL-IN\"; put in its "
     "place: CA certificates"},
    /* lists */
    {"apps = ( { name = \"Hall\";" KEY "scopes = [\"public\"]; } );",
     "node.cfg:1: apps[0].name: \"Hall\" is not a name; write lower-case"},
    /* What no part of the node looks at would be a promise. */
    {"apps = ( { name = \"a\";" KEY "scopes = [\"public\", \"audit\"]; } );",
     "node.cfg:1: apps[0].scopes: \"audit\" is not known; write one of public, "
     "shared, authorised, ingest, feedback"},
    {"apps = (\n { name = \"a\";" KEY "} );",
     "node.cfg:2: apps[0].scopes is missing; add scopes = [\"public\"];"},
    {"apps = (\n { name = \"a\"; scopes = [\"public\"]; } );",
     "node.cfg:2: apps[0].key is missing; add key = \"64 hexadecimal "
     "digits\";"},
    {"apps = (\n { name = \"a\"; key = \"12\"; scopes = [\"public\"]; } );",
     "node.cfg:2: apps[0].key: \"12\" is not a SHA-256"},
    {"apps = (\n { name = \"a\";" KEY "scopes = [\"public\"]; },\n"
     " { name = \"b\";" KEY "scopes = [\"ingest\"]; } );",
     "node.cfg:3: apps[1] has the same key as apps[0]; keep one"},
    {"children = (\n{ code = \"1\"; } );",
     "node.cfg:2: children[0].code: \"1\" is not a division code"},
    /* pairs */
    {"replication: { backoff_min = \"40 s\"; };",
     "node.cfg:1: replication.backoff_min is above replication.backoff_max"},
    {"\nreplication: { window = \"64 KiB\"; };",
     "node.cfg:2: replication.segment is above replication.window"},
    /* syntax and text */
    {"log: { level = \"info\" };\n\nrpc: { workers = ; };",
     "node.cfg:3: not understood; look here and on the line above"},
    {"log: { level = \"info; };", "node.cfg:1: not understood; look here"},
    {"log: { level = “info”; };",
     "node.cfg:1: not understood; type quotes, \":\", \"=\", \";\" and "
     "braces half-width"},
    {"log: { level = \"info\"; };\nlog: { level = \"warn\"; };",
     "node.cfg:2: this option or group stands twice"},
    {"# ok\n# \xd0\xfb\xb3\xc7\n",
     "node.cfg:2: this line is not UTF-8; save the file as UTF-8"},
    {"@include \"none.cfg\"", "node.cfg:1: none.cfg: cannot open: No such"},
    {"\n@include none.cfg", "node.cfg:2: this @include is not understood"},
    {"@include \"node.cfg\"",
     "node.cfg:1: too many files (32) or includes in includes (8); does a"},
};

static void expect_refused(const char *text, const char *start)
{
    if (load(text, NULL, 0) != NULL) {
        fail_msg("accepted: %s", text);
    }
    expect_start(errors.at[0].text, start);
    if (errors.count != 1) {
        fail_msg("%zu errors: %s\n%s", errors.count, errors.at[0].text,
                 errors.at[1].text);
    }
}

static void a_bad_file_is_refused_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        expect_refused(bad[i].text, bad[i].start);
    }
}

static void all_errors_are_collected(void **state)
{
    (void)state;
    assert_null(load("rpc: { workers = 0;\n quota = 1;\n color = 1; };\n"
                     "log: { level = \"loud\"; };",
                     NULL, 0));
    assert_int_equal(errors.count, 4);
    expect_start(errors.at[0].text, "node.cfg:3: rpc.color");
    expect_start(errors.at[1].text, "node.cfg:1: rpc.workers");
    expect_start(errors.at[2].text, "node.cfg:2: rpc.quota");
    expect_start(errors.at[3].text, "node.cfg:4: log.level");
}

static void errors_past_the_limit_are_counted(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    for (int i = 0; i < 50; i++) {
        buf_putf(&text, "option_number_%d = 1;\n", i);
    }
    assert_null(load(buf_cstr(&text), NULL, 0));
    assert_int_equal(errors.count, 50);
    expect_start(errors.at[CONF_ERRORS_MAX - 1].text, "node.cfg:20: ");
    buf_fini(&text);
}

static void a_missing_required_option_names_its_group(void **state)
{
    (void)state;
    struct conf *conf;
    put_file("node.cfg", "log: { };\nnode: { name = \"x\"; };\n", 0644);
    assert_int_equal(conf_load(&conf, "node.cfg", NULL, 0, &errors), ERR_CONF);
    assert_null(conf);
    assert_int_equal(errors.count, REQUIRED);
    expect_start(errors.at[0].text,
                 "node.cfg:2: node.code is missing; add code = "
                 "\"341821100201\";  (Division code of this node");
    expect_start(errors.at[2].text, "node.cfg:1: federation.name is missing");
}

static void a_missing_file_is_one_error(void **state)
{
    (void)state;
    struct conf *conf;
    assert_int_equal(conf_load(&conf, "none.cfg", NULL, 0, &errors), ERR_CONF);
    assert_int_equal(errors.count, 1);
    expect_start(errors.at[0].text, "none.cfg: cannot open: No such file");
}

static void a_key_others_can_read_is_refused(void **state)
{
    (void)state;
    static const char *const more[] = {"sign.key=open.pem"};
    put_file("open.pem", "key", 0644);
    assert_null(load("", more, 1));
    expect_start(errors.at[0].text, "--set: sign.key: /");
    assert_non_null(strstr(errors.at[0].text, "chmod 600"));
}

static void defaults_follow_the_tier(void **state)
{
    (void)state;
    static const char *const province[] = {"node.tier=province"};
    struct conf *village = load_good("", NULL, 0);
    struct conf *big = load_good("", province, 1);
    assert_int_equal(village->node.tier, 70);
    assert_int_equal(village->node.code, 341821100201);
    assert_string_equal(village->listen.address, "");
    assert_string_equal(village->parent.address, "");
    assert_int_equal(village->parent.code, 0);
    assert_int_equal(village->federation.suite, 1);
    assert_int_equal(village->federation.root_hash[1], 0x11);
    assert_int_equal(village->store.backend, CONF_BACKEND_EMBEDDED);
    assert_int_equal(village->store.cache_bytes, 12 << 20);
    assert_int_equal(village->store.write_buffer_bytes, 8 << 20);
    assert_int_equal(village->replication.segment_bytes, 256 << 10);
    assert_int_equal(village->replication.backoff_min_ms, 200);
    assert_int_equal(village->replication.silence_ms, 60000);
    assert_int_equal(village->replication.logs_max, 100000);
    assert_int_equal(village->ingest.batch_max, 1000);
    assert_int_equal(village->ingest.file_max_bytes, 1 << 30);
    assert_int_equal(village->log.level, LOG_INFO);
    assert_string_equal(village->trust.revoked, "");
    assert_int_equal(village->apps.count, 0);
    assert_int_equal(big->node.tier, 20);
    assert_string_equal(big->listen.address, "0.0.0.0:7460");
    assert_int_equal(big->store.cache_bytes, 512 << 20);
    conf_free(&village);
    conf_free(&big);
}

static void derived_defaults_follow_what_they_name(void **state)
{
    (void)state;
    struct conf *conf =
        load_good("children = ( { code = \"341871000000\"; } );", NULL, 0);
    assert_string_equal(conf->trust.ca, conf->tls.ca);
    assert_int_equal(conf->data.dir[0], '/');
    assert_int_equal(
        strncmp(conf->admin.socket, conf->data.dir, strlen(conf->data.dir)), 0);
    assert_string_equal(conf->admin.socket + strlen(conf->data.dir),
                        "/admin.sock");
    assert_int_equal(conf->children.count, 1);
    assert_int_equal(conf->children.items[0].code, 341871000000);
    assert_int_equal(conf->children.items[0].parent, 341821100201);
    conf_free(&conf);
}

static void lists_are_read(void **state)
{
    (void)state;
    struct conf *conf =
        load_good("apps = ( { name = \"hall\";" KEY
                  "           scopes = [\"public\", \"shared\"]; },\n"
                  /* one whose key changes */
                  "         { name = \"hall\"; key = \"" OTHER64 "\";\n"
                  "           scopes = [\"feedback\"]; } );",
                  NULL, 0);
    assert_int_equal(conf->apps.count, 2);
    assert_string_equal(conf->apps.items[0].name, "hall");
    assert_int_equal(conf->apps.items[0].scopes, SCOPE_PUBLIC | SCOPE_SHARED);
    assert_int_equal(conf->apps.items[0].key[1], 0x11);
    assert_int_equal(conf->apps.items[1].scopes, SCOPE_FEEDBACK);
    assert_int_equal(conf->apps.items[1].key[1], 0xee);
    conf_free(&conf);
}

static void the_last_override_wins_over_the_file(void **state)
{
    (void)state;
    static const char *const more[] = {"rpc.workers=3", "rpc.workers=5"};
    struct errmsg origin;
    /* What is overridden in the file is not even looked at. */
    struct conf *conf = load_good("rpc: { workers = \"FILL-IN\"; \n"
                                  "quota = \"8 MiB\"; };",
                                  more, 2);
    assert_int_equal(conf->rpc.workers, 5);
    assert_string_equal(conf_origin(conf, "rpc.workers", &origin), "--set");
    assert_string_equal(conf_origin(conf, "rpc.quota", &origin), "node.cfg:2");
    assert_string_equal(conf_origin(conf, "rpc.calls_max", &origin), "default");
    conf_free(&conf);
}

static void bad_overrides_are_refused(void **state)
{
    (void)state;
    static const char *const more[] = {"rpc.worker=3", "log.level", "apps=x",
                                       "rpc.quota=much"};
    assert_null(load("", more, 4));
    assert_int_equal(errors.count, 4);
    expect_start(errors.at[0].text, "--set: rpc.worker is not an option; did "
                                    "you mean rpc.workers?");
    expect_start(errors.at[1].text,
                 "--set: \"log.level\" has no value; write option=value");
    expect_start(errors.at[2].text, "--set: apps is a list");
    expect_start(errors.at[3].text, "--set: rpc.quota: \"much\" is not a size");
}

static void includes_are_relative_to_the_including_file(void **state)
{
    (void)state;
    struct errmsg origin;
    char inbox[4096];
    put_file("sub/a.cfg",
             "# a\n@include \"b.cfg\"  # below sub/\n"
             "inbox: { path = \"in\"; };\n",
             0644);
    put_file("sub/b.cfg", "\n\nrpc: { workers = 7; };", 0644);
    struct conf *conf = load_good("\xef\xbb\xbf# Windows\r\n"
                                  "  @include \"sub/a.cfg\"\r\n"
                                  "log: { level = \"warn\"; };\r\n",
                                  NULL, 0);
    assert_int_equal(conf->rpc.workers, 7);
    assert_string_equal(conf_origin(conf, "rpc.workers", &origin),
                        "sub/b.cfg:3");
    assert_string_equal(conf_origin(conf, "log.level", &origin), "node.cfg:3");
    assert_non_null(realpath("sub", inbox));
    assert_int_equal(strncmp(conf->inbox.path, inbox, strlen(inbox)), 0);
    assert_string_equal(conf->inbox.path + strlen(inbox), "/in");
    conf_free(&conf);
}

static void errors_name_the_included_file(void **state)
{
    (void)state;
    put_file("sub/a.cfg", "rpc: {\n workers = 0; };\n", 0644);
    assert_null(
        load("@include \"sub/a.cfg\"\nlog: { level = \"x\"; };\n", NULL, 0));
    assert_int_equal(errors.count, 2);
    expect_start(errors.at[0].text, "sub/a.cfg:2: rpc.workers");
    expect_start(errors.at[1].text, "node.cfg:2: log.level");
    put_file("sub/a.cfg", "rpc: {\n workers = = 0; };\n", 0644);
    assert_null(load("@include \"sub/a.cfg\"\n", NULL, 0));
    expect_start(errors.at[0].text, "sub/a.cfg:2: not understood");
    put_file("sub/a.cfg", "\n@include \"none.cfg\"\n", 0644);
    assert_null(load("@include \"sub/a.cfg\"\n", NULL, 0));
    expect_start(errors.at[0].text, "sub/a.cfg:2: sub/none.cfg: cannot open");
}

static const char rich[] =
    "node: { name = \"敬亭村 \\\"一\\\" \\\\ 部\"; };\n"
    "parent: { address = \"[2001:db8::1]:7460\"; code = \"341821100000\"; };\n"
    "store: { cache = \"1536 KiB\"; reserve = \"0 B\"; };\n"
    "inbox: { settle = \"1500 ms\"; };\n"
    "children = ( { code = \"341871000000\"; parent = \"341800000000\"; } );\n"
    "apps = ( { name = \"hall\";" KEY
    "           scopes = [\"public\", \"ingest\"]; },\n"
    "         { name = \"b\"; key = \"" OTHER64 "\";\n"
    "           scopes = [\"feedback\"]; } );\n";

static void fail_on_change(void *ctx, const char *path, const char *before,
                           const char *after, bool restart)
{
    (void)ctx;
    (void)restart;
    fail_msg("%s: %s became %s", path, before, after);
}

static void what_is_printed_reads_back_to_the_same(void **state)
{
    (void)state;
    struct conf *again = NULL;
    struct buf first = BUF_INIT;
    struct buf second = BUF_INIT;
    struct conf *conf = load_good(rich, NULL, 0);
    conf_print(conf, CONF_FORM_FILE, true, &first);
    assert_non_null(strstr(buf_cstr(&first), "    cache = \"1536 KiB\";  # "
                                             "node.cfg:3\n"));
    assert_non_null(strstr(buf_cstr(&first), "    queue = 1024;  # default\n"));
    put_file("node.cfg", buf_cstr(&first), 0644);
    assert_int_equal(conf_load(&again, "node.cfg", NULL, 0, &errors), ERR_OK);
    conf_diff(conf, again, fail_on_change, NULL);
    buf_clear(&first);
    conf_print(conf, CONF_FORM_FILE, false, &first);
    conf_print(again, CONF_FORM_FILE, false, &second);
    assert_string_equal(buf_cstr(&first), buf_cstr(&second));
    buf_fini(&first);
    buf_fini(&second);
    conf_free(&conf);
    conf_free(&again);
}

static void json_has_values_and_origins(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    struct conf *conf = load_good(rich, NULL, 0);
    conf_print(conf, CONF_FORM_JSON, true, &out);
    const char *json = buf_cstr(&out);
    expect_start(json, "{\n  \"node.code\": {\"value\": \"341821100201\", "
                       "\"origin\": \"--set\"},\n");
    assert_non_null(strstr(json, "\"rpc.calls_max\": {\"value\": 1024, "
                                 "\"origin\": \"default\"}"));
    assert_non_null(strstr(json, "\"敬亭村 \\\"一\\\" \\\\ 部\""));
    buf_clear(&out);
    conf_print(conf, CONF_FORM_JSON, false, &out);
    assert_non_null(strstr(
        buf_cstr(&out), "\"apps\": [\n  { \"name\": \"hall\", \"key\": "
                        "\"" HASH64 "\", \"scopes\": [\"public\", "
                        "\"ingest\"]},\n  { \"name\": \"b\", \"key\": "
                        "\"" OTHER64 "\", \"scopes\": [\"feedback\"]}]\n}\n"));
    buf_fini(&out);
    conf_free(&conf);
}

static void collect_change(void *ctx, const char *path, const char *before,
                           const char *after, bool restart)
{
    buf_putf(ctx, "%s %s %s %s\n", path, before, after,
             restart ? "restart" : "reload");
}

static void diff_tells_what_needs_a_restart(void **state)
{
    (void)state;
    static const char *const more[] = {"log.level=debug", "rpc.workers=9"};
    struct buf changes = BUF_INIT;
    struct conf *before = load_good("", NULL, 0);
    struct conf *after = load_good("", more, 2);
    conf_diff(before, after, collect_change, &changes);
    assert_string_equal(buf_cstr(&changes),
                        "rpc.workers 2 9 restart\n"
                        "log.level \"info\" \"debug\" reload\n");
    buf_fini(&changes);
    conf_free(&before);
    conf_free(&after);
}

/* An office that began without one need not stop its node to have one. */
static void a_list_of_revoked_certificates_needs_no_restart(void **state)
{
    (void)state;
    static const char *const more[] = {"trust.revoked=cert.pem"};
    struct buf changes = BUF_INIT;
    struct conf *before = load_good("", NULL, 0);
    struct conf *after = load_good("", more, 1);
    conf_diff(before, after, collect_change, &changes);
    expect_start(buf_cstr(&changes), "trust.revoked \"\" \"/");
    assert_non_null(strstr(buf_cstr(&changes), "/cert.pem\" reload\n"));
    buf_fini(&changes);
    conf_free(&before);
    conf_free(&after);
}

static void changes_of_lists_are_one_line(void **state)
{
    (void)state;
    struct buf changes = BUF_INIT;
    struct conf *before = load_good("", NULL, 0);
    struct conf *after =
        load_good("apps = ( { name = \"hall\";\n" KEY
                  "  scopes = [\"public\", \"ingest\"]; } );\n",
                  NULL, 0);
    conf_diff(before, after, collect_change, &changes);
    assert_string_equal(buf_cstr(&changes),
                        "apps () ( { name = \"hall\"; key = \"" HASH64
                        "\"; scopes = [\"public\", \"ingest\"]; }) reload\n");
    buf_fini(&changes);
    conf_free(&before);
    conf_free(&after);
}

static const char *const role_files[] = {"village", "township", "county",
                                         "city",    "province", "national"};

static void role_path(const char *role, char out[512])
{
    (void)snprintf(out, 512, "%s/tiers/%s.cfg", SOURCE_DIR, role);
}

/* What is required but for the tier, which the role file has. */
static size_t fill_in(const char *set[OVERRIDES_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < REQUIRED; i++) {
        if (strncmp(required[i], "node.tier", 9) != 0) {
            set[n++] = required[i];
        }
    }
    set[n++] = "parent.address=192.0.2.1:7460";
    set[n++] = "trust.ca=cert.pem";
    set[n++] = "trust.revoked=cert.pem";
    return n;
}

static void expect_role(const char *role, const char *const *set, size_t n)
{
    struct conf *conf = NULL;
    struct buf printed = BUF_INIT;
    char text[512];
    role_path(role, text);
    if (conf_load(&conf, text, set, n, &errors) != ERR_OK) {
        fail_msg("%s", errors.at[0].text);
    }
    conf_print(conf, CONF_FORM_FILE, false, &printed);
    (void)snprintf(text, sizeof text, "tier = \"%s\";", role);
    assert_non_null(strstr(buf_cstr(&printed), text));
    /* What a line of 16 kbit/s needs, docs/operations.md. */
    assert_true(conf->rpc.keepalive_timeout_ms >= 45000);
    buf_fini(&printed);
    conf_free(&conf);
}

static void each_role_file_loads_when_filled_in(void **state)
{
    (void)state;
    const char *set[OVERRIDES_MAX];
    size_t n = fill_in(set);
    for (size_t i = 0; i < ARRAY_LEN(role_files); i++) {
        expect_role(role_files[i], set, n);
    }
}

static void each_role_file_refuses_its_placeholders(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(role_files); i++) {
        struct conf *conf = NULL;
        char path[512];
        role_path(role_files[i], path);
        assert_int_equal(conf_load(&conf, path, NULL, 0, &errors), ERR_CONF);
        bool top = strcmp(role_files[i], "national") == 0;
        assert_int_equal(errors.count, top ? 12 : 14);
        for (size_t k = 0; k < errors.count; k++) {
            assert_non_null(strstr(errors.at[k].text, "placeholder"));
        }
    }
}

/* CONF_REWRITE_DOCS=1 in the environment writes the page instead. */
static void the_page_of_options_is_up_to_date(void **state)
{
    (void)state;
    static const char path[] = SOURCE_DIR "/docs/config.md";
    struct buf now = BUF_INIT;
    struct buf page = BUF_INIT;
    struct errmsg why = {""};
    conf_markdown(&now);
    if (getenv("CONF_REWRITE_DOCS") != NULL) {
        assert_int_equal(file_replace(path, buf_slice(&now), 0644, &why),
                         ERR_OK);
    }
    if (file_read(path, 1 << 20, &page, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    assert_string_equal(buf_cstr(&page), buf_cstr(&now));
    buf_fini(&now);
    buf_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_file_is_refused_with_its_line),
        cmocka_unit_test(all_errors_are_collected),
        cmocka_unit_test(errors_past_the_limit_are_counted),
        cmocka_unit_test(a_missing_required_option_names_its_group),
        cmocka_unit_test(a_missing_file_is_one_error),
        cmocka_unit_test(a_key_others_can_read_is_refused),
        cmocka_unit_test(defaults_follow_the_tier),
        cmocka_unit_test(derived_defaults_follow_what_they_name),
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(the_last_override_wins_over_the_file),
        cmocka_unit_test(bad_overrides_are_refused),
        cmocka_unit_test(includes_are_relative_to_the_including_file),
        cmocka_unit_test(errors_name_the_included_file),
        cmocka_unit_test(what_is_printed_reads_back_to_the_same),
        cmocka_unit_test(json_has_values_and_origins),
        cmocka_unit_test(diff_tells_what_needs_a_restart),
        cmocka_unit_test(a_list_of_revoked_certificates_needs_no_restart),
        cmocka_unit_test(changes_of_lists_are_one_line),
        cmocka_unit_test(each_role_file_loads_when_filled_in),
        cmocka_unit_test(each_role_file_refuses_its_placeholders),
        cmocka_unit_test(the_page_of_options_is_up_to_date),
    };
    return cmocka_run_group_tests(tests, in_a_new_folder, remove_folder);
}
