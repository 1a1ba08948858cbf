#include "credit/catalogue.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "credit/catalogue_directives.h"

#define LIST(name)                                                             \
    static const struct enum_list name = {name##_words, ARRAY_LEN(name##_words)}

static const struct enum_word categories_words[] = {
    {"法人及非法人组织", "法人及非法人组织", CATEGORY_ORG},
    {"法人和非法人组织", "法人及非法人组织", CATEGORY_ORG},
    {"法人及其他组织", "法人及非法人组织", CATEGORY_ORG},
    {"法人和其他组织", "法人及非法人组织", CATEGORY_ORG},
    {"法人", "法人及非法人组织", CATEGORY_ORG},
    {"企业", "法人及非法人组织", CATEGORY_ORG},
    {"自然人", "自然人", CATEGORY_PERSON},
    {"个人", "自然人", CATEGORY_PERSON},
    {"个体工商户", "个体工商户", CATEGORY_BUSINESS},
    {"个体", "个体工商户", CATEGORY_BUSINESS},
};
LIST(categories);

static const struct enum_word id_types_words[] = {
    {"身份证", "身份证", ID_TYPE_CITIZEN},
    {"居民身份证", "身份证", ID_TYPE_CITIZEN},
    {"护照", "护照号", 414},
    {"护照号", "护照号", 414},
    {"台湾居民来往大陆通行证", "台湾居民来往大陆通行证", 511},
    {"台胞证", "台湾居民来往大陆通行证", 511},
    {"港澳居民来往内地通行证", "港澳居民来往内地通行证", 516},
    {"外国人永久居留证", "外国人永久居留证", 553},
    {"外国人永久居留身份证", "外国人永久居留证", 553},
    {"其他", "其他", ID_TYPE_OTHER},
};
LIST(id_types);

static const struct enum_word licence_kinds_words[] = {
    {"普通", "普通", 0},     {"普通许可", "普通", 0}, {"特许", "特许", 1},
    {"认可", "认可", 2},     {"核准", "核准", 3},     {"登记", "登记", 4},
    {"其他", "其他", 5},     {"其它", "其他", 5},     {"其他-备案", "其他", 5},
    {"其他许可", "其他", 5},
};
LIST(licence_kinds);

/* Kinds of penalties, 行政处罚法 (2021) art. 9. */
enum penalty_kind {
    PENALTY_WARNING,
    PENALTY_CRITICISM,
    PENALTY_FINE,
    PENALTY_INCOME,
    PENALTY_PROPERTY,
    PENALTY_WITHHELD,
    PENALTY_DOWNGRADED,
    PENALTY_REVOKED,
    PENALTY_RESTRICTED,
    PENALTY_STOPPED,
    PENALTY_CLOSED,
    PENALTY_BARRED,
    PENALTY_DETENTION,
    PENALTY_OTHER,
};

static const struct enum_word penalty_kinds_words[] = {
    {"警告", "警告", PENALTY_WARNING},
    {"通报批评", "通报批评", PENALTY_CRITICISM},
    {"罚款", "罚款", PENALTY_FINE},
    {"没收违法所得", "没收违法所得", PENALTY_INCOME},
    {"没收非法财物", "没收非法财物", PENALTY_PROPERTY},
    {"暂扣许可证件", "暂扣许可证件", PENALTY_WITHHELD},
    {"暂扣许可证", "暂扣许可证件", PENALTY_WITHHELD},
    {"降低资质等级", "降低资质等级", PENALTY_DOWNGRADED},
    {"吊销许可证件", "吊销许可证件", PENALTY_REVOKED},
    {"吊销许可证", "吊销许可证件", PENALTY_REVOKED},
    {"吊销执照", "吊销许可证件", PENALTY_REVOKED},
    {"限制开展生产经营活动", "限制开展生产经营活动", PENALTY_RESTRICTED},
    {"责令停产停业", "责令停产停业", PENALTY_STOPPED},
    {"责令关闭", "责令关闭", PENALTY_CLOSED},
    {"限制从业", "限制从业", PENALTY_BARRED},
    {"行政拘留", "行政拘留", PENALTY_DETENTION},
    {"其他", "其他", PENALTY_OTHER},
    {"其它", "其他", PENALTY_OTHER},
};
LIST(penalty_kinds);

static const struct enum_word statuses_words[] = {
    {"1", "有效", STATUS_VALID},       {"有效", "有效", STATUS_VALID},
    {"正常", "有效", STATUS_VALID},    {"2", "无效", STATUS_OTHER},
    {"无效", "无效", STATUS_OTHER},    {"撤销", "撤销", STATUS_REVOKED},
    {"异议", "异议", STATUS_DISPUTED},
};
LIST(statuses);

/* The same digits mean other things in the set of 2016. */
static const struct enum_word statuses_2016_words[] = {
    {"0", "有效", STATUS_VALID},    {"正常", "有效", STATUS_VALID},
    {"1", "撤销", STATUS_REVOKED},  {"撤销", "撤销", STATUS_REVOKED},
    {"2", "异议", STATUS_DISPUTED}, {"异议", "异议", STATUS_DISPUTED},
    {"3", "其他", STATUS_OTHER},    {"其他", "其他", STATUS_OTHER},
};
LIST(statuses_2016);

static const struct enum_word disclosures_words[] = {
    {"0", "公开", DISCLOSURE_PUBLIC},
    {"公开", "公开", DISCLOSURE_PUBLIC},
    {"公示", "公开", DISCLOSURE_PUBLIC},
    {"1", "共享", DISCLOSURE_SHARED},
    {"共享", "共享", DISCLOSURE_SHARED},
    {"政务共享", "共享", DISCLOSURE_SHARED},
    {"2", "授权查询", DISCLOSURE_AUTHORISED},
    {"授权查询", "授权查询", DISCLOSURE_AUTHORISED},
};
LIST(disclosures);

/* Rows read: id, 2018 column, 2016 names, Chinese label, further headers,
 * English label, type, most characters, need, needed by kinds, personal,
 * disclosure, values, values of 2016. What both items share, with the
 * prefix of their columns: */
#define SUBJECT_FIELDS(P, NAMES_2016)                                          \
    {FIELD_NAME,                                                               \
     P "_XDR_MC",                                                              \
     NAMES_2016,                                                               \
     "行政相对人名称",                                                         \
     NULL,                                                                     \
     "subject name",                                                           \
     TYPE_TEXT,                                                                \
     200,                                                                      \
     NEED_ALWAYS,                                                              \
     0,                                                                        \
     PERSONAL_IF_PERSON,                                                       \
     DISCLOSURE_PUBLIC,                                                        \
     NULL,                                                                     \
     NULL},                                                                    \
        {FIELD_CATEGORY, P "_XDR_LB",                                          \
         NULL,           "行政相对人类别",                                     \
         NULL,           "subject category",                                   \
         TYPE_ENUM,      100,                                                  \
         NEED_ALWAYS,    0,                                                    \
         PERSONAL_NO,    DISCLOSURE_PUBLIC,                                    \
         &categories,    NULL},                                                \
        {FIELD_USCC,                                                           \
         P "_XDR_SHXYM",                                                       \
         P "_XDR_SHXYM",                                                       \
         "行政相对人代码_1(统一社会信用代码)",                                 \
         "统一社会信用代码|行政相对人统一社会信用代码|行政相对人代码_1",       \
         "unified social credit code",                                         \
         TYPE_USCC,                                                            \
         18,                                                                   \
         NEED_ORG,                                                             \
         0,                                                                    \
         PERSONAL_NO,                                                          \
         DISCLOSURE_PUBLIC,                                                    \
         NULL,                                                                 \
         NULL},                                                                \
        {FIELD_REGISTRATION_NO,                                                \
         P "_XDR_GSZC",                                                        \
         P "_XDR_GSDJ",                                                        \
         "行政相对人代码_2(工商注册号)",                                       \
         "工商注册号|工商登记码|行政相对人代码_2",                             \
         "registration number",                                                \
         TYPE_CODE,                                                            \
         50,                                                                   \
         NEED_NONE,                                                            \
         0,                                                                    \
         PERSONAL_NO,                                                          \
         DISCLOSURE_PUBLIC,                                                    \
         NULL,                                                                 \
         NULL},                                                                \
        {FIELD_ORG_CODE,                                                       \
         P "_XDR_ZZJG",                                                        \
         P "_XDR_ZDM",                                                         \
         "行政相对人代码_3(组织机构代码)",                                     \
         "组织机构代码|行政相对人代码_3",                                      \
         "organisation code",                                                  \
         TYPE_ORG_CODE,                                                        \
         9,                                                                    \
         NEED_NONE,                                                            \
         0,                                                                    \
         PERSONAL_NO,                                                          \
         DISCLOSURE_PUBLIC,                                                    \
         NULL,                                                                 \
         NULL},                                                                \
        {FIELD_TAX_NO,                                                         \
         P "_XDR_SWDJ",                                                        \
         P "_XDR_SWDJ",                                                        \
         "行政相对人代码_4(税务登记号)",                                       \
         "税务登记号|税务登记证号|行政相对人代码_4",                           \
         "tax registration",                                                   \
         TYPE_CODE,                                                            \
         32,                                                                   \
         NEED_NONE,                                                            \
         0,                                                                    \
         PERSONAL_NO,                                                          \
         DISCLOSURE_PUBLIC,                                                    \
         NULL,                                                                 \
         NULL},                                                                \
        {FIELD_INSTITUTION_NO,                                                 \
         P "_XDR_SYDW",                                                        \
         NULL,                                                                 \
         "行政相对人代码_5(事业单位证书号)",                                   \
         "事业单位证书号|行政相对人代码_5",                                    \
         "institution certificate",                                            \
         TYPE_CODE,                                                            \
         50,                                                                   \
         NEED_NONE,                                                            \
         0,                                                                    \
         PERSONAL_NO,                                                          \
         DISCLOSURE_PUBLIC,                                                    \
         NULL,                                                                 \
         NULL},                                                                \
        {FIELD_SOCIAL_NO,                                                      \
         P "_XDR_SHZZ",                                                        \
         NULL,                                                                 \
         "行政相对人代码_6(社会组织登记证号)",                                 \
         "社会组织登记证号|行政相对人代码_6",                                  \
         "social organisation no.",                                            \
         TYPE_CODE,                                                            \
         50,                                                                   \
         NEED_NONE,                                                            \
         0,                                                                    \
         PERSONAL_NO,                                                          \
         DISCLOSURE_PUBLIC,                                                    \
         NULL,                                                                 \
         NULL},                                                                \
        {FIELD_REP_NAME,                                                       \
         P "_FRDB",                                                            \
         P "_FR",                                                              \
         "法定代表人",                                                         \
         "法定代表人姓名|法定代表人(负责人)",                                  \
         "legal representative",                                               \
         TYPE_TEXT,                                                            \
         50,                                                                   \
         NEED_ORG,                                                             \
         0,                                                                    \
         PERSONAL_MASKED,                                                      \
         DISCLOSURE_SHARED,                                                    \
         NULL,                                                                 \
         NULL},                                                                \
        {FIELD_REP_ID_TYPE,                                                    \
         P "_FR_ZJLX",                                                         \
         NULL,                                                                 \
         "法定代表人证件类型",                                                 \
         NULL,                                                                 \
         "representative's ID type",                                           \
         TYPE_ENUM,                                                            \
         64,                                                                   \
         NEED_NONE,                                                            \
         0,                                                                    \
         PERSONAL_NO,                                                          \
         DISCLOSURE_AUTHORISED,                                                \
         &id_types,                                                            \
         NULL},                                                                \
        {FIELD_REP_ID,                                                         \
         P "_FR_ZJHM",                                                         \
         NULL,                                                                 \
         "法定代表人证件号码",                                                 \
         P "_FR_SFZH|法定代表人身份证号",                                      \
         "representative's ID number",                                         \
         TYPE_PERSON_ID,                                                       \
         64,                                                                   \
         NEED_NONE,                                                            \
         0,                                                                    \
         PERSONAL_ALWAYS,                                                      \
         DISCLOSURE_AUTHORISED,                                                \
         NULL,                                                                 \
         NULL},                                                                \
        {FIELD_PERSON_ID_TYPE,                                                 \
         P "_XDR_ZJLX",                                                        \
         NULL,                                                                 \
         "证件类型",                                                           \
         "自然人证件类型|行政相对人证件类型",                                  \
         "person's ID type",                                                   \
         TYPE_ENUM,                                                            \
         64,                                                                   \
         NEED_PERSON,                                                          \
         0,                                                                    \
         PERSONAL_NO,                                                          \
         DISCLOSURE_AUTHORISED,                                                \
         &id_types,                                                            \
         NULL},                                                                \
    {                                                                          \
        FIELD_PERSON_ID, P "_XDR_ZJHM", P "_XDR_SFZ|居民身份证号", "证件号码", \
            "自然人证件号码|行政相对人证件号码", "person's ID number",         \
            TYPE_PERSON_ID, 64, NEED_PERSON, 0, PERSONAL_ALWAYS,               \
            DISCLOSURE_AUTHORISED, NULL, NULL                                  \
    }

#define SOURCE_FIELDS(CODE, CODE_DM)                                           \
    {FIELD_SOURCE, CODE,                                                       \
     NULL,         "数据来源单位",                                             \
     "数据来源",   "data source",                                              \
     TYPE_TEXT,    200,                                                        \
     NEED_ALWAYS,  0,                                                          \
     PERSONAL_NO,  DISCLOSURE_PUBLIC,                                          \
     NULL,         NULL},                                                      \
    {                                                                          \
        FIELD_SOURCE_CODE, CODE_DM, NULL, "数据来源单位统一社会信用代码",      \
            "数据来源单位代码", "source's credit code", TYPE_USCC, 18,         \
            NEED_ALWAYS, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL         \
    }

#define COMMON_TAIL(P)                                                         \
    {FIELD_REMARK,                                                             \
     "BZ",                                                                     \
     "BZ",                                                                     \
     "备注",                                                                   \
     NULL,                                                                     \
     "remark",                                                                 \
     TYPE_TEXT,                                                                \
     1024,                                                                     \
     NEED_NONE,                                                                \
     0,                                                                        \
     PERSONAL_IF_PERSON,                                                       \
     DISCLOSURE_SHARED,                                                        \
     NULL,                                                                     \
     NULL},                                                                    \
    {                                                                          \
        FIELD_DISCLOSURE, P "_SYFW", NULL, "信息使用范围", NULL, "disclosure", \
            TYPE_ENUM, 16, NEED_NONE, 0, PERSONAL_NO, DISCLOSURE_PUBLIC,       \
            &disclosures, NULL                                                 \
    }

#define DIVISION_FIELD                                                         \
    {                                                                          \
        FIELD_DIVISION, NULL, "DFBM|地方编码", "地方编码", NULL,               \
            "territorial division", TYPE_DIVISION, 12, NEED_NONE, 0,           \
            PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL                         \
    }

static const struct catalogue_field licence_fields[] = {
    SUBJECT_FIELDS("XK", "XK_XDR"),
    {FIELD_DOCUMENT_NAME, "XK_XKWS", NULL, "行政许可决定文书名称", NULL,
     "document name", TYPE_TEXT, 64, NEED_ALWAYS, 0, PERSONAL_IF_PERSON,
     DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_DOCUMENT_NO, "XK_WSH", "XK_WSH|行政许可决定书文号",
     "行政许可决定文书号", "决定文书号", "document number", TYPE_DOCUMENT, 128,
     NEED_ALWAYS, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_KIND, "XK_XKLB", "XK_SPLB|审批类别", "许可类别", NULL,
     "kind of licence", TYPE_ENUM, 256, NEED_ALWAYS, 0, PERSONAL_NO,
     DISCLOSURE_PUBLIC, &licence_kinds, NULL},
    {FIELD_CERTIFICATE_NAME, "XK_XKZS", NULL, "许可证书名称", NULL,
     "certificate name", TYPE_TEXT, 64, NEED_NONE, 0, PERSONAL_NO,
     DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_CERTIFICATE_NO, "XK_XKBH", NULL, "许可编号", NULL,
     "certificate number", TYPE_TEXT, 64, NEED_NONE, 0, PERSONAL_IF_PERSON,
     DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_CONTENT, "XK_NR", "XK_NR", "许可内容", NULL, "what is permitted",
     TYPE_TEXT, 4096, NEED_ALWAYS, 0, PERSONAL_IF_PERSON, DISCLOSURE_PUBLIC,
     NULL, NULL},
    {FIELD_DECIDED, "XK_JDRQ", "XK_JDRQ", "许可决定日期", "决定日期", "decided",
     TYPE_DATE, 32, NEED_ALWAYS, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_FROM, "XK_YXQZ", NULL, "有效期自", NULL, "valid from", TYPE_DATE, 32,
     NEED_ALWAYS, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_UNTIL, "XK_YXQZI", "XK_JZQ|许可截止期", "有效期至", NULL,
     "valid until", TYPE_DATE, 32, NEED_ALWAYS, 0, PERSONAL_NO,
     DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_AUTHORITY, "XK_XKJG", "XK_XZJG", "许可机关", NULL, "authority",
     TYPE_TEXT, 200, NEED_ALWAYS, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, NULL,
     NULL},
    {FIELD_AUTHORITY_CODE, "XK_XKJGDM", NULL, "许可机关统一社会信用代码",
     "许可机关代码", "authority's credit code", TYPE_USCC, 18, NEED_ALWAYS, 0,
     PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_STATUS, "XK_ZT", "XK_ZT", "当前状态", NULL, "status", TYPE_ENUM, 16,
     NEED_ALWAYS, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, &statuses, &statuses_2016},
    SOURCE_FIELDS("XK_LYDW", "XK_LYDWDM"),
    COMMON_TAIL("XK"),
    {FIELD_PROJECT_NAME, NULL, "XK_XMMC|项目名称", "项目名称", NULL,
     "project name", TYPE_TEXT, 512, NEED_NONE, 0, PERSONAL_IF_PERSON,
     DISCLOSURE_PUBLIC, NULL, NULL},
    DIVISION_FIELD,
};

static const struct catalogue_field penalty_fields[] = {
    SUBJECT_FIELDS("CF", "CF_XDR_MC"),
    {FIELD_DOCUMENT_NO, "CF_WSH", "CF_WSH", "行政处罚决定书文号",
     "行政处罚决定文书号|决定文书号", "document number", TYPE_DOCUMENT, 128,
     NEED_ALWAYS, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_KIND, "CF_CFLB", "CF_CFLB1|处罚类别1", "处罚类别", NULL,
     "kinds of penalty", TYPE_ENUM_SET, 256, NEED_ALWAYS, 0, PERSONAL_NO,
     DISCLOSURE_PUBLIC, &penalty_kinds, NULL},
    {FIELD_CONTENT, "CF_NR", "CF_JG|处罚结果", "处罚内容", NULL,
     "what was imposed", TYPE_TEXT, 4096, NEED_ALWAYS, 0, PERSONAL_IF_PERSON,
     DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_VIOLATION, "CF_WFXW", NULL, "违法行为类型", NULL,
     "type of violation", TYPE_TEXT, 2000, NEED_ALWAYS, 0, PERSONAL_IF_PERSON,
     DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_FACTS, "CF_SY", "CF_SY|处罚事由", "违法事实", NULL,
     "facts of the violation", TYPE_TEXT, 4096, NEED_ALWAYS, 0,
     PERSONAL_IF_PERSON, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_BASIS, "CF_YJ", "CF_YJ", "处罚依据", NULL, "legal basis", TYPE_TEXT,
     2048, NEED_ALWAYS, 0, PERSONAL_IF_PERSON, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_FINE, "CF_NR_FK", NULL, "罚款金额(万元)", "罚款金额", "fine",
     TYPE_AMOUNT, 32, NEED_KINDS, 1U << PENALTY_FINE, PERSONAL_NO,
     DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_CONFISCATED, "CF_NR_WFFF", NULL,
     "没收违法所得、没收非法财物的金额(万元)",
     "没收违法所得、没收非法财物的金额|没收金额", "confiscated amount",
     TYPE_AMOUNT, 32, NEED_KINDS, 1U << PENALTY_INCOME | 1U << PENALTY_PROPERTY,
     PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_LICENCE_LOST, "CF_NR_ZKDX", NULL, "暂扣或吊销证照名称及编号", NULL,
     "licence withheld or revoked", TYPE_TEXT, 200, NEED_KINDS,
     1U << PENALTY_WITHHELD | 1U << PENALTY_REVOKED, PERSONAL_IF_PERSON,
     DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_DECIDED, "CF_JDRQ", "CF_JDRQ", "处罚决定日期", "决定日期", "decided",
     TYPE_DATE, 32, NEED_ALWAYS, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_UNTIL, "CF_YXQ", NULL, "处罚有效期", NULL, "in force until",
     TYPE_DATE, 32, NEED_NONE, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_PUBLISH_UNTIL, "CF_GSJZQ", NULL, "公示截止期", "公示期限",
     "published until", TYPE_DATE, 32, NEED_NONE, 0, PERSONAL_NO,
     DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_AUTHORITY, "CF_CFJG", "CF_XZJG", "处罚机关", NULL, "authority",
     TYPE_TEXT, 200, NEED_ALWAYS, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, NULL,
     NULL},
    {FIELD_AUTHORITY_CODE, "CF_CFJGDM", NULL, "处罚机关统一社会信用代码",
     "处罚机关代码", "authority's credit code", TYPE_USCC, 18, NEED_ALWAYS, 0,
     PERSONAL_NO, DISCLOSURE_PUBLIC, NULL, NULL},
    {FIELD_STATUS, "CF_ZT", "CF_ZT", "当前状态", NULL, "status", TYPE_ENUM, 16,
     NEED_NONE, 0, PERSONAL_NO, DISCLOSURE_PUBLIC, &statuses, &statuses_2016},
    SOURCE_FIELDS("CF_SJLY", "CF_SJLYDM"),
    COMMON_TAIL("CF"),
    {FIELD_KIND_2, NULL, "CF_CFLB2|处罚类别2", "处罚类别2", NULL,
     "second kind of penalty", TYPE_ENUM_SET, 256, NEED_NONE, 0, PERSONAL_NO,
     DISCLOSURE_PUBLIC, &penalty_kinds, NULL},
    DIVISION_FIELD,
};

_Static_assert(ARRAY_LEN(licence_fields) <= CATALOGUE_FIELDS_MAX &&
                   ARRAY_LEN(penalty_fields) <= CATALOGUE_FIELDS_MAX,
               "a record has room for every field");

/* Place of each field id, +1, so that 0 means none. Held equal to the tables
 * by tests/unit/credit/test_catalogue.c. */
static const uint8_t licence_places[FIELD_ID_END] = {
    0, 0, 1, 2, 3, 4, 5,  6,  7,  8, 9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
    0, 0, 0, 0, 0, 0, 20, 21, 22, 0, 23, 24, 25, 26, 27, 28, 29, 30, 0,  31};
static const uint8_t penalty_places[FIELD_ID_END] = {
    0,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
    13, 0,  14, 15, 0,  0,  16, 17, 18, 19, 20, 21, 22, 23,
    0,  24, 25, 26, 27, 28, 29, 30, 31, 32, 0,  33, 34};

static const struct catalogue_item licence = {ITEM_LICENCE,
                                              "licence",
                                              "行政许可",
                                              "administrative licence",
                                              FAMILY_RECORDS,
                                              licence_fields,
                                              ARRAY_LEN(licence_fields),
                                              licence_places,
                                              FIELD_ID_END,
                                              DISCLOSURE_PUBLIC,
                                              0,
                                              0};
static const struct catalogue_item penalty = {ITEM_PENALTY,
                                              "penalty",
                                              "行政处罚",
                                              "administrative penalty",
                                              FAMILY_RECORDS,
                                              penalty_fields,
                                              ARRAY_LEN(penalty_fields),
                                              penalty_places,
                                              FIELD_ID_END,
                                              DISCLOSURE_PUBLIC,
                                              0,
                                              0};

static const struct catalogue_item *const items[] = {
    &licence, &penalty, &catalogue_listing, &catalogue_removal,
    &catalogue_execution};

static const struct catalogue builtin = {
    .items = items, .items_n = ARRAY_LEN(items), .version = 0};
static _Atomic(const struct catalogue *) now = &builtin;

const struct catalogue *catalogue_builtin(void)
{
    return &builtin;
}

const struct catalogue *catalogue_now(void)
{
    return atomic_load(&now);
}

void catalogue_use(const struct catalogue *catalogue)
{
    atomic_store(&now, catalogue);
}

const struct catalogue_item *
catalogue_item_of(const struct catalogue *catalogue, uint16_t id)
{
    for (size_t i = 0; i < catalogue->items_n; i++) {
        if (catalogue->items[i]->id == id) {
            return catalogue->items[i];
        }
    }
    return NULL;
}

const struct catalogue_item *catalogue_item(uint16_t id)
{
    return catalogue_item_of(catalogue_now(), id);
}

const struct catalogue_item *const *catalogue_items(size_t *count)
{
    const struct catalogue *catalogue = catalogue_now();
    *count = catalogue->items_n;
    return catalogue->items;
}

enum disclosure catalogue_disclosure(uint16_t item, uint8_t said)
{
    const struct catalogue_item *i = catalogue_item(item);
    return i != NULL && i->disclosure > said ? i->disclosure
                                             : (enum disclosure)said;
}

size_t catalogue_place(const struct catalogue_item *item, uint16_t field_id)
{
    if (field_id >= item->places_n) {
        return PLACE_NONE;
    }
    return item->places[field_id] > 0 ? item->places[field_id] - 1U
                                      : PLACE_NONE;
}

const struct enum_word *catalogue_word(const struct enum_list *list,
                                       struct slice word)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->words[i].word;
        if (word.len > 0 && word.data[0] == (uint8_t)text[0] &&
            strlen(text) == word.len &&
            memcmp(text, word.data, word.len) == 0) {
            return &list->words[i];
        }
    }
    return NULL;
}

const char *catalogue_text(const struct enum_list *list, uint16_t value)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->words[i].value == value) {
            return list->words[i].text;
        }
    }
    return NULL;
}
