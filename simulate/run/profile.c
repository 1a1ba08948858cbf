#include "run/profile.h"

#include <libconfig.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum {
    AT_ONCE_MAX = 64,
    PER_MINUTE_MAX = 60000,
    PERCENT_MAX = 100,
    DECIDERS_MAX = 2,
};

static const char *const names[ACTS] = {
    [ACT_IMPORT] = "import",   [ACT_DIRECTIVE] = "directive",
    [ACT_REMOVAL] = "removal", [ACT_FEEDBACK] = "feedback",
    [ACT_QUERY] = "query",     [ACT_CHECK] = "check",
};
static const enum tier tiers[PROFILE_TIERS] = {TIER_NATIONAL, TIER_PROVINCE,
                                               TIER_CITY,     TIER_COUNTY,
                                               TIER_TOWNSHIP, TIER_VILLAGE};

const char *act_name(enum act_kind kind)
{
    return names[kind];
}

unsigned profile_tier_index(enum tier tier)
{
    unsigned i = 0;
    while (i < PROFILE_TIERS - 1 && tiers[i] != tier) {
        i++;
    }
    return i;
}

unsigned profile_tier_bit(enum tier tier)
{
    return 1u << profile_tier_index(tier);
}

/* A fault is said once; `why` then stays. */
struct reading {
    const char *path;
    struct errmsg *why;
    enum err err;
};

static void refuse(struct reading *r, const config_setting_t *at,
                   const char *field, const char *rule)
{
    if (r->err == ERR_OK) {
        r->err = err_set(r->why, ERR_CONF, "%s:%u: field %s: %s", r->path,
                         at != NULL ? config_setting_source_line(at) : 1, field,
                         rule);
    }
}

static void refuse_number(struct reading *r, const config_setting_t *at,
                          const char *field, double from, double to)
{
    char rule[96];
    (void)snprintf(rule, sizeof rule, "a number from %g to %g", from, to);
    refuse(r, at, field, rule);
}

static double number(struct reading *r, const config_setting_t *in,
                     const char *field, double from, double to, double def)
{
    const config_setting_t *s = config_setting_get_member(in, field);
    double value = def;
    if (s == NULL) {
        if (def < from) {
            refuse_number(r, in, field, from, to);
        }
        return def;
    }
    int type = config_setting_type(s);
    if (type == CONFIG_TYPE_INT) {
        value = config_setting_get_int(s);
    } else if (type == CONFIG_TYPE_FLOAT) {
        value = config_setting_get_float(s);
    } else {
        value = from - 1;
    }
    if (!(value >= from && value <= to)) {
        refuse_number(r, s, field, from, to);
    }
    return value;
}

static void text(struct reading *r, const config_setting_t *in,
                 const char *field, char out[PROFILE_TITLE_MAX + 1])
{
    const config_setting_t *s = config_setting_get_member(in, field);
    const char *value = s != NULL ? config_setting_get_string(s) : NULL;
    if (value == NULL || *value == '\0' || strlen(value) > PROFILE_TITLE_MAX ||
        !str_utf8_valid(slice_str(value))) {
        refuse(r, s != NULL ? s : in, field, "UTF-8 text of 1 to 95 bytes");
    } else {
        (void)snprintf(out, PROFILE_TITLE_MAX + 1, "%s", value);
    }
}

/* A misspelt field would be an act that does nothing. */
static void refuse_unknown(struct reading *r, const config_setting_t *in,
                           const char *const *known)
{
    for (int i = 0; i < config_setting_length(in); i++) {
        const config_setting_t *s = config_setting_get_elem(in, (unsigned)i);
        const char *name = config_setting_name(s);
        const char *const *at = known;
        while (*at != NULL && strcmp(*at, name) != 0) {
            at++;
        }
        if (*at == NULL) {
            refuse(r, s, name, "is not known here; see run/profile.h");
        }
    }
}

static void read_kind(struct reading *r, const config_setting_t *in,
                      struct act *out)
{
    const config_setting_t *s = config_setting_get_member(in, "act");
    const char *name = s != NULL ? config_setting_get_string(s) : NULL;
    for (int i = 0; name != NULL && i < ACTS; i++) {
        if (strcmp(name, names[i]) == 0) {
            out->kind = (enum act_kind)i;
            return;
        }
    }
    refuse(r, s != NULL ? s : in, "act",
           "import, directive, removal, feedback, "
           "query or check");
}

static void read_tiers(struct reading *r, const config_setting_t *in,
                       struct act *out)
{
    const config_setting_t *list = config_setting_get_member(in, "tiers");
    int n = list != NULL && config_setting_is_array(list) == CONFIG_TRUE
                ? config_setting_length(list)
                : 0;
    bool good = n > 0;
    for (int i = 0; i < n; i++) {
        enum tier tier;
        const char *name = config_setting_get_string_elem(list, i);
        if (name == NULL || !tier_parse(name, &tier)) {
            good = false;
        } else {
            out->tiers |= profile_tier_bit(tier);
        }
    }
    if (!good) {
        refuse(r, list != NULL ? list : in, "tiers",
               "[\"national\", \"province\", \"city\", \"county\", "
               "\"township\", \"village\"], one at least");
    }
}

static void read_act(struct reading *r, const config_setting_t *in,
                     struct act *out)
{
    static const char *const known[] = {"act",   "tiers", "per_minute", "rows",
                                        "dirty", "again", NULL};
    if (config_setting_is_group(in) != CONFIG_TRUE) {
        refuse(r, in, "acts", "each is a group { act = ...; }");
        return;
    }
    refuse_unknown(r, in, known);
    read_kind(r, in, out);
    read_tiers(r, in, out);
    out->per_minute = number(r, in, "per_minute", 0.01, PER_MINUTE_MAX, 0);
    out->rows = (uint32_t)number(r, in, "rows", 1, PROFILE_ROWS_MAX, 1);
    out->dirty = (uint32_t)number(r, in, "dirty", 0, PERCENT_MAX, 0);
    out->again = (uint32_t)number(r, in, "again", 0, PERCENT_MAX, 0);
}

static void read_acts(struct reading *r, const config_setting_t *root,
                      struct profile *out)
{
    const config_setting_t *list = config_setting_get_member(root, "acts");
    int n = list != NULL && config_setting_is_list(list) == CONFIG_TRUE
                ? config_setting_length(list)
                : 0;
    if (n < 1 || n > PROFILE_ACTS_MAX) {
        refuse(r, list != NULL ? list : root, "acts",
               "a list ( ... ) of 1 to 16 acts");
        return;
    }
    for (int i = 0; i < n && r->err == ERR_OK; i++) {
        read_act(r, config_setting_get_elem(list, (unsigned)i),
                 &out->act[out->acts++]);
    }
}

enum err profile_read(const char *path, struct profile *out, struct errmsg *why)
{
    static const char *const known[] = {"title",   "at_once", "deciders",
                                        "persons", "acts",    NULL};
    struct reading r = {.path = path, .why = why, .err = ERR_OK};
    config_t file;
    *out = (struct profile){.acts = 0};
    config_init(&file);
    if (config_read_file(&file, path) != CONFIG_TRUE) {
        bool io = config_error_type(&file) == CONFIG_ERR_FILE_IO;
        r.err =
            io ? err_set(why, ERR_IO, "%s: cannot be read", path)
               : err_set(why, ERR_CONF, "%s:%d: %s", path,
                         config_error_line(&file), config_error_text(&file));
    } else {
        config_setting_t *root = config_root_setting(&file);
        const config_setting_t *title =
            config_setting_get_member(root, "title");
        refuse_unknown(&r, root, known);
        out->at_once = (uint32_t)number(&r, root, "at_once", 1, AT_ONCE_MAX, 8);
        out->deciders =
            (uint32_t)number(&r, root, "deciders", 1, DECIDERS_MAX, 1);
        out->persons = (uint32_t)number(&r, root, "persons", 0, PERCENT_MAX, 0);
        if (title == NULL || config_setting_is_group(title) != CONFIG_TRUE) {
            refuse(&r, title, "title", "{ zh = \"...\"; en = \"...\"; }");
        } else {
            text(&r, title, "zh", out->title_zh);
            text(&r, title, "en", out->title_en);
        }
        read_acts(&r, root, out);
    }
    config_destroy(&file);
    return r.err;
}
