#include "api/json.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "credit/citizen.h"
#include "ident/rootchain.h"

/* Bytes that are none: the first, and what would go on with it. */
static size_t junk_len(struct slice s)
{
    size_t n = 1;
    while (n < s.len && (s.data[n] & 0xc0) == 0x80) {
        n++;
    }
    return n;
}

static void put_clean(struct buf *out, struct slice s)
{
    while (s.len > 0) {
        size_t n = str_utf8_first(s);
        if (n > 0) {
            buf_put(out, s.data, n);
        } else {
            buf_put_str(out, "\xef\xbf\xbd");
            n = junk_len(s);
        }
        s = slice_of(s.data + n, s.len - n);
    }
}

json_t *json_text_of(struct slice text)
{
    struct buf out = BUF_INIT;
    if (!str_utf8_valid(text)) {
        put_clean(&out, text);
        text = buf_slice(&out);
    }
    json_t *value = json_stringn_nocheck((const char *)text.data, text.len);
    buf_fini(&out);
    return value != NULL ? value : json_string("");
}

json_t *json_text(const char *text)
{
    return json_text_of(slice_str(text));
}

json_t *json_shown(struct slice text)
{
    struct buf shown = BUF_INIT;
    citizen_hide(text, CITIZEN_NEW_OR_OLD, &shown);
    json_t *value = json_text_of(buf_slice(&shown));
    buf_fini(&shown);
    return value;
}

json_t *json_code(uint64_t code)
{
    char text[CODE_LEN + 1];
    code_format(code, text);
    return json_string(text);
}

json_t *json_u64(uint64_t v)
{
    return json_integer((json_int_t)v);
}

void json_set_log(json_t *object, const struct log_id *log)
{
    char text[LOG_ID_TEXT_MAX];
    log_id_format(log, text);
    (void)json_object_set_new(object, "log", json_string(text));
    (void)json_object_set_new(object, "origin", json_code(log->origin));
}

json_t *json_node(const struct api_env *env)
{
    return json_pack("{s:o, s:s, s:s, s:o, s:s, s:I, s:I}", "code",
                     json_code(env->self.code), "tier",
                     tier_name(env->self.tier), "tier_zh",
                     tier_name_zh(env->self.tier), "name",
                     json_text(atomic_load(&env->conf)->node.name), "version",
                     env->version, "started_ms", (json_int_t)env->started_ms,
                     "now_ms", (json_int_t)clock_wall_ms());
}

json_t *json_root(const struct rootdoc *doc)
{
    return json_pack("{s:I, s:s}", "version", (json_int_t)rootdoc_version(doc),
                     "hash", rootdoc_hash(doc));
}
