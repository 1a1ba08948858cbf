#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "ident/ident.h"

static const struct {
    enum tier tier;
    const char *name;
    const char *zh;
} tiers[] = {
    {TIER_NATIONAL, "national", "国家"}, {TIER_PROVINCE, "province", "省"},
    {TIER_CITY, "city", "市"},           {TIER_COUNTY, "county", "县"},
    {TIER_TOWNSHIP, "township", "乡镇"}, {TIER_VILLAGE, "village", "村"},
    {TIER_NONE, "none", "无"},
};

/* First path segment of those that are not nodes. */
static const struct {
    enum principal_kind kind;
    const char *segment;
} others[] = {{PRINCIPAL_APP, "app"}, {PRINCIPAL_OPERATOR, "operator"}};

bool code_parse(const char *text, uint64_t *out)
{
    struct slice s = slice_str(text);
    return s.len == CODE_LEN && str_u64(s, out);
}

void code_format(uint64_t code, char out[CODE_LEN + 1])
{
    for (int i = CODE_LEN - 1; i >= 0; i--) {
        out[i] = (char)('0' + code % 10);
        code /= 10;
    }
    out[CODE_LEN] = 0;
}

bool tier_parse(const char *text, enum tier *out)
{
    for (size_t i = 0; i < ARRAY_LEN(tiers); i++) {
        if (tiers[i].tier != TIER_NONE && strcmp(text, tiers[i].name) == 0) {
            *out = tiers[i].tier;
            return true;
        }
    }
    return false;
}

static size_t tier_row(enum tier tier)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(tiers) && tiers[i].tier != tier) {
        i++;
    }
    return i;
}

const char *tier_name(enum tier tier)
{
    return tiers[tier_row(tier)].name;
}

const char *tier_name_zh(enum tier tier)
{
    return tiers[tier_row(tier)].zh;
}

/* Copies the segment before the next '/' or the end and steps over it. */
static bool take_segment(const char **at, const char *allowed, char *out,
                         size_t size)
{
    size_t len = strspn(*at, allowed);
    char end = (*at)[len];
    if (len == 0 || len >= size || (end != '/' && end != 0)) {
        return false;
    }
    memcpy(out, *at, len);
    out[len] = 0;
    *at += len + (end == '/');
    return strcmp(out, ".") != 0 && strcmp(out, "..") != 0;
}

static bool parse_role(const char *role, const char *name,
                       struct principal *out)
{
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (strcmp(role, others[i].segment) == 0) {
            out->kind = others[i].kind;
            memcpy(out->name, name, strlen(name) + 1);
            return true;
        }
    }
    out->kind = PRINCIPAL_NODE;
    return tier_parse(role, &out->tier) && code_parse(name, &out->code);
}

enum err principal_parse(const char *spiffe, struct principal *out)
{
    /* SPIFFE-ID §2: trust domains are lower case, paths are not. */
    static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
    static const char any[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char scheme[] = "spiffe://";
    char role[16];
    char name[sizeof out->name];
    const char *at = spiffe + sizeof scheme - 1;
    memset(out, 0, sizeof *out);
    if (strncmp(spiffe, scheme, sizeof scheme - 1) != 0 ||
        !take_segment(&at, lower, out->federation, sizeof out->federation) ||
        !take_segment(&at, lower, role, sizeof role) ||
        !take_segment(&at, any, name, sizeof name) || *at != 0 ||
        at[-1] == '/' || !parse_role(role, name, out)) {
        memset(out, 0, sizeof *out);
        return ERR_INVALID;
    }
    return ERR_OK;
}

void principal_format(const struct principal *p, char *out, size_t len)
{
    char code[CODE_LEN + 1];
    const char *role = tier_name(p->tier);
    const char *name = p->name;
    if (p->kind == PRINCIPAL_NODE) {
        code_format(p->code, code);
        name = code;
    } else {
        role = others[p->kind == PRINCIPAL_OPERATOR].segment;
    }
    (void)snprintf(out, len, "spiffe://%s/%s/%s", p->federation, role, name);
}

enum err principal_check_federation(const struct principal *p,
                                    const char *federation, struct errmsg *why)
{
    char name[160];
    if (strcmp(p->federation, federation) == 0) {
        return ERR_OK;
    }
    principal_format(p, name, sizeof name);
    return err_set(why, ERR_UNAUTHENTICATED,
                   "certificate of %s belongs to another federation: this node "
                   "is of %s; use certificates of its CA",
                   name, federation);
}
