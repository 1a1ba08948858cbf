#include "credit/catalogue_directives.h"

#include "base/mem.h"

#define LIST(name)                                                             \
    static const struct enum_list name = {name##_words, ARRAY_LEN(name##_words)}

/* Ids are in signed logs for ever. */
static const struct catalogue_list lists[] = {
    {1, COLOUR_RED, DOMAIN_GOOD_FAITH, "good-faith", "守信激励名单",
     "good faith"},
    {2, COLOUR_RED, DOMAIN_GOOD_FAITH, "tax-a", "纳税信用A级", "tax grade A"},
    {16, COLOUR_WATCH, 0, "abnormal-operation", "经营异常名录",
     "abnormal operation"},
    {17, COLOUR_WATCH, 0, "watch", "重点关注名单", "under watch"},
    {32, COLOUR_BLACK, 0, "serious", "严重失信主体名单", "seriously dishonest"},
    {33, COLOUR_BLACK, DOMAIN_MARKET, "serious-unlawful",
     "严重违法失信企业名单", "serious unlawful conduct"},
    {34, COLOUR_BLACK, DOMAIN_LEGAL_DUTY, "judgment-defaulter", "失信被执行人",
     "judgment defaulters"},
    {35, COLOUR_BLACK, DOMAIN_LEGAL_DUTY, "tax-evasion", "重大税收违法",
     "major tax offences"},
    {36, COLOUR_BLACK, DOMAIN_LIFE, "work-safety", "安全生产严重失信",
     "work safety"},
    {37, COLOUR_BLACK, DOMAIN_MARKET, "procurement", "政府采购严重违法失信",
     "public procurement"},
};

static const struct enum_word list_values_words[] = {
    {"守信激励名单", "守信激励名单", 1},
    {"守信红名单", "守信激励名单", 1},
    {"红名单", "守信激励名单", 1},
    {"纳税信用A级", "纳税信用A级", 2},
    {"A级纳税人", "纳税信用A级", 2},
    {"经营异常名录", "经营异常名录", 16},
    {"重点关注名单", "重点关注名单", 17},
    {"严重失信主体名单", "严重失信主体名单", 32},
    {"黑名单", "严重失信主体名单", 32},
    {"严重违法失信企业名单", "严重违法失信企业名单", 33},
    {"严重违法失信名单", "严重违法失信企业名单", 33},
    {"失信被执行人", "失信被执行人", 34},
    {"重大税收违法", "重大税收违法", 35},
    {"安全生产严重失信", "安全生产严重失信", 36},
    {"政府采购严重违法失信", "政府采购严重违法失信", 37},
};
LIST(list_values);

static const struct enum_word colour_values_words[] = {
    {"红", "红", COLOUR_RED},       {"red", "红", COLOUR_RED},
    {"黑", "黑", COLOUR_BLACK},     {"black", "黑", COLOUR_BLACK},
    {"关注", "关注", COLOUR_WATCH}, {"watch", "关注", COLOUR_WATCH},
};
LIST(colour_values);

static const struct enum_word domain_values_words[] = {
    {"守信激励", "守信激励", DOMAIN_GOOD_FAITH},
    {"严重危害人民群众身体健康和生命安全", "严重危害人民群众身体健康和生命安全",
     DOMAIN_LIFE},
    {"严重破坏市场公平竞争秩序和社会正常秩序",
     "严重破坏市场公平竞争秩序和社会正常秩序", DOMAIN_MARKET},
    {"拒不履行法定义务", "拒不履行法定义务", DOMAIN_LEGAL_DUTY},
    {"拒不履行国防义务", "拒不履行国防义务", DOMAIN_DEFENCE},
};
LIST(domain_values);

static const struct enum_word outcome_values_words[] = {
    {"命中", "命中", OUTCOME_HIT},
    {"hit", "命中", OUTCOME_HIT},
    {"已实施", "已实施", OUTCOME_APPLIED},
    {"applied", "已实施", OUTCOME_APPLIED},
    {"不适用", "不适用", OUTCOME_NOT_APPLICABLE},
    {"not-applicable", "不适用", OUTCOME_NOT_APPLICABLE},
    {"未实施", "未实施", OUTCOME_REFUSED},
    {"refused", "未实施", OUTCOME_REFUSED},
};
LIST(outcome_values);

/* Rows: id, column, names of 2016 (none), Chinese label, further headers,
 * English label, type, most characters, need, 0, personal, disclosure, values,
 * NULL. Lists that go to every node name organisations only. */
#define ROW(ID, CODE, ZH, MORE, EN, TYPE, MAX, NEED, PERSONAL, VALUES)         \
    {                                                                          \
        ID, CODE, NULL, ZH, MORE, EN, TYPE, MAX, NEED, 0, PERSONAL,            \
            DISCLOSURE_PUBLIC, VALUES, NULL                                    \
    }

static const struct catalogue_field listing_fields[] = {
    ROW(FIELD_NAME, "MD_ZT_MC", "主体名称", "企业名称|单位名称", "subject name",
        TYPE_TEXT, 200, NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_USCC, "MD_ZT_SHXYM", "主体统一社会信用代码", "统一社会信用代码",
        "unified social credit code", TYPE_USCC, 18, NEED_ALWAYS, PERSONAL_NO,
        NULL),
    ROW(FIELD_DOCUMENT_NO, "MD_WSH", "认定文书号", "决定文书号|认定文号",
        "document number", TYPE_DOCUMENT, 128, NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_FACTS, "MD_SY", "列入事由", "列入原因", "reason", TYPE_TEXT, 4096,
        NEED_ALWAYS, PERSONAL_IF_PERSON, NULL),
    ROW(FIELD_BASIS, "MD_YJ", "列入依据", "法律依据", "legal basis", TYPE_TEXT,
        2048, NEED_ALWAYS, PERSONAL_IF_PERSON, NULL),
    ROW(FIELD_DECIDED, "MD_JDRQ", "认定日期", "决定日期|列入日期", "decided",
        TYPE_DATE, 32, NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_FROM, "MD_QSRQ", "起始日期", "有效期自", "from", TYPE_DATE, 32,
        NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_UNTIL, "MD_JZRQ", "截止日期", "有效期至|有效期限", "until",
        TYPE_DATE, 32, NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_AUTHORITY, "MD_JG", "认定机关", "列入机关|认定单位", "authority",
        TYPE_TEXT, 200, NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_AUTHORITY_CODE, "MD_JGDM", "认定机关统一社会信用代码",
        "认定机关代码", "authority's credit code", TYPE_USCC, 18, NEED_ALWAYS,
        PERSONAL_NO, NULL),
    ROW(FIELD_REMARK, "BZ", "备注", NULL, "remark", TYPE_TEXT, 1024, NEED_NONE,
        PERSONAL_IF_PERSON, NULL),
    ROW(FIELD_DIVISION, "MD_XZQH", "认定机关行政区划", "行政区划",
        "authority's division", TYPE_DIVISION, 12, NEED_ALWAYS, PERSONAL_NO,
        NULL),
    ROW(FIELD_LIST, "MD_MDLX", "名单类型", "名单|名单名称", "list", TYPE_ENUM,
        64, NEED_ALWAYS, PERSONAL_NO, &list_values),
    ROW(FIELD_COLOUR, "MD_HHBZ", "红黑标识", NULL, "colour", TYPE_ENUM, 8,
        NEED_NONE, PERSONAL_NO, &colour_values),
    ROW(FIELD_DOMAIN, "MD_LY", "失信领域", "领域", "domain", TYPE_ENUM, 64,
        NEED_NONE, PERSONAL_NO, &domain_values),
    ROW(FIELD_NOTICE_NO, "MD_GZWSH", "事先告知（公示）文书号", "告知文书号",
        "prior notice", TYPE_DOCUMENT, 128, NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_NOTICE_DATE, "MD_GZRQ", "告知（公示）日期", "告知日期",
        "date of the notice", TYPE_DATE, 32, NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_MEASURES, "MD_CS", "措施编号", "惩戒措施|激励措施", "measures",
        TYPE_TEXT, 512, NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_REMOVAL_TERMS, "MD_YCTJ", "移出条件", NULL, "removal condition",
        TYPE_TEXT, 512, NEED_ALWAYS, PERSONAL_NO, NULL),
};

static const struct catalogue_field removal_fields[] = {
    ROW(FIELD_USCC, "YC_ZT_SHXYM", "移出主体统一社会信用代码",
        "统一社会信用代码", "unified social credit code", TYPE_USCC, 18,
        NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_DOCUMENT_NO, "YC_WSH", "移出决定文书号", "移出文号",
        "document number", TYPE_DOCUMENT, 128, NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_FACTS, "YC_SY", "移出事由", "移出原因", "reason", TYPE_TEXT, 4096,
        NEED_ALWAYS, PERSONAL_IF_PERSON, NULL),
    ROW(FIELD_BASIS, "YC_YJ", "移出依据", NULL, "legal basis", TYPE_TEXT, 2048,
        NEED_NONE, PERSONAL_IF_PERSON, NULL),
    ROW(FIELD_DECIDED, "YC_RQ", "移出日期", NULL, "decided", TYPE_DATE, 32,
        NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_AUTHORITY, "YC_JG", "移出机关", NULL, "authority", TYPE_TEXT, 200,
        NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_AUTHORITY_CODE, "YC_JGDM", "移出机关统一社会信用代码",
        "移出机关代码", "authority's credit code", TYPE_USCC, 18, NEED_ALWAYS,
        PERSONAL_NO, NULL),
    ROW(FIELD_REMARK, "BZ", "备注", NULL, "remark", TYPE_TEXT, 1024, NEED_NONE,
        PERSONAL_IF_PERSON, NULL),
    ROW(FIELD_LIST, "YC_MDLX", "移出名单类型", "名单类型", "list", TYPE_ENUM,
        64, NEED_ALWAYS, PERSONAL_NO, &list_values),
    ROW(FIELD_LISTED_NO, "YC_YWSH", "原认定文书号", "原文书号",
        "document number of the listing", TYPE_DOCUMENT, 128, NEED_ALWAYS,
        PERSONAL_NO, NULL),
};

static const struct catalogue_field execution_fields[] = {
    ROW(FIELD_USCC, "ZX_ZT_SHXYM", "主体统一社会信用代码", NULL,
        "unified social credit code", TYPE_USCC, 18, NEED_ALWAYS, PERSONAL_NO,
        NULL),
    ROW(FIELD_FACTS, "ZX_SY", "理由", NULL, "reason", TYPE_TEXT, 500, NEED_NONE,
        PERSONAL_NO, NULL),
    ROW(FIELD_DECIDED, "ZX_RQ", "日期", NULL, "day", TYPE_DATE, 32, NEED_ALWAYS,
        PERSONAL_NO, NULL),
    ROW(FIELD_LIST, "ZX_MDLX", "名单类型", NULL, "list", TYPE_ENUM, 64,
        NEED_NONE, PERSONAL_NO, &list_values),
    ROW(FIELD_MEASURES, "ZX_CS", "措施编号", NULL, "measures", TYPE_TEXT, 512,
        NEED_NONE, PERSONAL_NO, NULL),
    ROW(FIELD_LISTING, "ZX_MD", "名单条目", NULL, "listing", TYPE_TEXT, 64,
        NEED_ALWAYS, PERSONAL_NO, NULL),
    ROW(FIELD_APP, "ZX_YY", "应用", NULL, "app", TYPE_TEXT, 64, NEED_ALWAYS,
        PERSONAL_NO, NULL),
    ROW(FIELD_OUTCOME, "ZX_JG", "执行结果", NULL, "outcome", TYPE_ENUM, 16,
        NEED_ALWAYS, PERSONAL_NO, &outcome_values),
};

_Static_assert(ARRAY_LEN(listing_fields) <= CATALOGUE_FIELDS_MAX &&
                   ARRAY_LEN(removal_fields) <= CATALOGUE_FIELDS_MAX,
               "a record has room for every field");

static const uint8_t listing_places[FIELD_ID_END] = {
    [FIELD_NAME] = 1,          [FIELD_USCC] = 2,
    [FIELD_DOCUMENT_NO] = 3,   [FIELD_FACTS] = 4,
    [FIELD_BASIS] = 5,         [FIELD_DECIDED] = 6,
    [FIELD_FROM] = 7,          [FIELD_UNTIL] = 8,
    [FIELD_AUTHORITY] = 9,     [FIELD_AUTHORITY_CODE] = 10,
    [FIELD_REMARK] = 11,       [FIELD_DIVISION] = 12,
    [FIELD_LIST] = 13,         [FIELD_COLOUR] = 14,
    [FIELD_DOMAIN] = 15,       [FIELD_NOTICE_NO] = 16,
    [FIELD_NOTICE_DATE] = 17,  [FIELD_MEASURES] = 18,
    [FIELD_REMOVAL_TERMS] = 19};
static const uint8_t removal_places[FIELD_ID_END] = {
    [FIELD_USCC] = 1,           [FIELD_DOCUMENT_NO] = 2, [FIELD_FACTS] = 3,
    [FIELD_BASIS] = 4,          [FIELD_DECIDED] = 5,     [FIELD_AUTHORITY] = 6,
    [FIELD_AUTHORITY_CODE] = 7, [FIELD_REMARK] = 8,      [FIELD_LIST] = 9,
    [FIELD_LISTED_NO] = 10};
static const uint8_t execution_places[FIELD_ID_END] = {
    [FIELD_USCC] = 1, [FIELD_FACTS] = 2,    [FIELD_DECIDED] = 3,
    [FIELD_LIST] = 4, [FIELD_MEASURES] = 5, [FIELD_LISTING] = 6,
    [FIELD_APP] = 7,  [FIELD_OUTCOME] = 8};

const struct catalogue_item catalogue_listing = {ITEM_LISTING,
                                                 "listing",
                                                 "名单列入",
                                                 "listing",
                                                 FAMILY_DIRECTIVES,
                                                 listing_fields,
                                                 ARRAY_LEN(listing_fields),
                                                 listing_places,
                                                 FIELD_ID_END,
                                                 DISCLOSURE_PUBLIC,
                                                 0,
                                                 0};
const struct catalogue_item catalogue_removal = {ITEM_REMOVAL,
                                                 "removal",
                                                 "名单移出",
                                                 "removal from a list",
                                                 FAMILY_DIRECTIVES,
                                                 removal_fields,
                                                 ARRAY_LEN(removal_fields),
                                                 removal_places,
                                                 FIELD_ID_END,
                                                 DISCLOSURE_PUBLIC,
                                                 0,
                                                 0};

const struct catalogue_item catalogue_execution = {ITEM_EXECUTION,
                                                   "execution",
                                                   "名单执行",
                                                   "execution",
                                                   FAMILY_EXECUTIONS,
                                                   execution_fields,
                                                   ARRAY_LEN(execution_fields),
                                                   execution_places,
                                                   FIELD_ID_END,
                                                   DISCLOSURE_PUBLIC,
                                                   0,
                                                   0};

const struct catalogue_list *catalogue_list(uint16_t id)
{
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        if (lists[i].id == id) {
            return &lists[i];
        }
    }
    return NULL;
}

const char *colour_name(unsigned colour)
{
    static const char *const names[] = {"", "red", "black", "watch"};
    return colour < ARRAY_LEN(names) ? names[colour] : "";
}

const char *domain_name(unsigned domain)
{
    static const char *const names[] = {"",       "good-faith", "life",
                                        "market", "legal-duty", "defence"};
    return domain < ARRAY_LEN(names) ? names[domain] : "";
}
