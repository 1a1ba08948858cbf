#include "run/rows.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "credit/uscc.h"

/* A prime above every count, so that multiplying by it permutes them. */
#define SPREAD UINT64_C(2654435761)
#define DOCUMENT_NUMBERS UINT64_C(1000000000)
#define PERSONS UINT64_C(13440000) /* 40 years, 12 months, 28 days, 1000 */

const char bench_csv_header[] =
    "XK_XDR_MC,XK_XDR_LB,XK_XDR_SHXYM,XK_XDR_GSZC,XK_XDR_ZZJG,XK_XDR_SWDJ,"
    "XK_XDR_SYDW,XK_XDR_SHZZ,XK_FRDB,XK_FR_ZJLX,XK_FR_ZJHM,XK_XDR_ZJLX,"
    "XK_XDR_ZJHM,XK_XKWS,XK_WSH,XK_XKLB,XK_XKZS,XK_XKBH,XK_NR,XK_JDRQ,"
    "XK_YXQZ,XK_YXQZI,XK_XKJG,XK_XKJGDM,XK_ZT,XK_LYDW,XK_LYDWDM,BZ";

static const char *const name_signs[] = {
    "安", "柏", "辰", "达", "恩", "丰", "光", "恒", "嘉", "康", "朗",
    "茂", "宁", "平", "庆", "瑞", "盛", "泰", "旺", "祥", "耀", "泽",
    "卓", "云", "川", "林", "禾", "青", "松", "原", "山", "溪",
};
static const char *const surnames[] = {
    "赵", "钱", "孙", "李", "周", "吴", "郑", "王",
    "冯", "陈", "褚", "卫", "蒋", "沈", "韩", "杨",
};
static const char *const trades[] = {
    "粮油", "茶叶", "餐饮", "建材", "物流", "机械", "农产品", "电子",
};
static const char *const kinds[] = {"普通", "特许", "认可", "核准", "登记"};

static const struct {
    const char *document;
    const char *word; /* in the document number */
    const char *paper;
    const char *content;
} licences[] = {
    {"食品经营许可决定书", "食许", "食品经营许可证", "预包装食品销售"},
    {"取水许可决定书", "水许", "取水许可证", "地下水取水"},
    {"排污许可决定书", "环许", "排污许可证", "废水排放"},
    {"道路运输许可决定书", "运许", "道路运输经营许可证", "普通货运"},
    {"林木采伐许可决定书", "林许", "林木采伐许可证", "间伐作业"},
    {"卫生许可决定书", "卫许", "公共场所卫生许可证", "住宿服务"},
};

static const struct {
    const char *name;
    const char *code; /* department 1, division 999900 */
} offices[] = {
    {"甲市市场监管局", "11999900MB0000019D"},
    {"乙县审批局", "11999900MB00000278"},
    {"丙县环境局", "11999900MB00000353"},
};

uint64_t bench_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static unsigned below(uint64_t *state, unsigned limit)
{
    return (unsigned)(bench_random(state) % limit);
}

static void fill(uint64_t *state, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = bench_random(state);
        memcpy(out + i, &word, len - i < 8 ? len - i : 8);
    }
}

void bench_subject_code(uint64_t subject, char out[BENCH_CODE_LEN + 1])
{
    static const char alphabet[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    char body[] = "MA000000";
    uint64_t left = subject * SPREAD % BENCH_NUMBER_MAX;
    for (size_t i = 2; i < 8; i++) {
        body[i] = alphabet[left % 31];
        left /= 31;
    }
    bool made = uscc_make('9', '1', "999900", body, out);
    assert(made);
    (void)made;
}

/* Four bits a letter. Digits would look like a citizen number now and then,
 * which a node refuses. */
static void put_letters(const uint8_t *data, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = (char)('a' + (data[i] >> 4));
        out[2 * i + 1] = (char)('a' + (data[i] & 15));
    }
    out[2 * len] = '\0';
}

/* What stays the same in all rows of a subject. */
static void put_subject(struct bench_row *row, uint64_t subject)
{
    uint64_t state = ~subject;
    bench_subject_code(subject, row->code);
    const char *sign[4];
    for (size_t i = 0; i < ARRAY_LEN(sign); i++) {
        sign[i] = name_signs[below(&state, ARRAY_LEN(name_signs))];
    }
    const char *trade = trades[below(&state, ARRAY_LEN(trades))];
    const char *surname = surnames[below(&state, ARRAY_LEN(surnames))];
    row->csv_len = (size_t)snprintf(
        row->csv, sizeof row->csv,
        "%s%s%s有限公司,法人及非法人组织,%s,,%.9s,,,,%s%s%s,,,,,", sign[0],
        sign[1], trade, row->code, row->code + 8, surname, sign[2], sign[3]);
}

static void put_decision(struct bench_row *row, uint64_t number,
                         uint64_t *state)
{
    uint8_t noise[72];
    char letters[2 * sizeof noise + 1];
    fill(state, noise, sizeof noise);
    put_letters(noise, sizeof noise, letters);
    size_t licence = below(state, ARRAY_LEN(licences));
    size_t office = below(state, ARRAY_LEN(offices));
    row->csv_len += (size_t)snprintf(
        row->csv + row->csv_len, sizeof row->csv - row->csv_len,
        "%s,%s〔%u〕%09llu号,%s,%s,%.32s,%s;%.64s,"
        "%u-%02u-%02u,%u-%02u-%02u,%u-%02u-%02u,%s,%s,1,%s,%s,%.48s",
        licences[licence].document, licences[licence].word, row->decided.year,
        (unsigned long long)(number * SPREAD % DOCUMENT_NUMBERS),
        kinds[below(state, ARRAY_LEN(kinds))], licences[licence].paper, letters,
        licences[licence].content, letters + 32, row->decided.year,
        row->decided.month, row->decided.day, row->decided.year,
        row->decided.month, row->decided.day, row->until.year, row->until.month,
        row->until.day, offices[office].name, offices[office].code,
        offices[office].name, offices[office].code, letters + 96);
}

/* Days and sequence from the row's number, so that no two are alike; all were
 * born from 1950 to 1989. */
static void put_person(struct bench_row *row, uint64_t number)
{
    static const unsigned weights[] = {7, 9, 10, 5,  8, 4, 2, 1, 6,
                                       3, 7, 9,  10, 5, 8, 4, 2};
    uint64_t at = number * SPREAD % PERSONS;
    unsigned sequence = (unsigned)(at % 1000);
    unsigned day = (unsigned)(at / 1000 % 28);
    unsigned month = (unsigned)(at / 28000 % 12);
    unsigned year = (unsigned)(at / 336000);
    unsigned sum = 0;
    (void)snprintf(row->code, sizeof row->code,
                   BENCH_PERSON_DIGITS "%02u%02u%02u%03u", 50 + year, 1 + month,
                   1 + day, sequence);
    for (size_t i = 0; i < ARRAY_LEN(weights); i++) {
        sum += weights[i] * (unsigned)(row->code[i] - '0');
    }
    row->code[BENCH_CODE_LEN - 1] = "10X98765432"[sum % 11];
    row->code[BENCH_CODE_LEN] = '\0';
    row->csv_len = (size_t)snprintf(
        row->csv, sizeof row->csv,
        "%s" BENCH_PERSON_MARK "%s,自然人,,,,,,,,,,身份证,%s,",
        surnames[number % ARRAY_LEN(surnames)],
        name_signs[number / ARRAY_LEN(surnames) % ARRAY_LEN(name_signs)],
        row->code);
}

uint64_t bench_row_subject(uint64_t number, uint64_t subjects)
{
    return number * SPREAD % subjects;
}

typedef void put_who_fn(struct bench_row *row, uint64_t who);

static void make_row(uint64_t number, put_who_fn *put_who, uint64_t who,
                     struct bench_row *out)
{
    assert(number >= 1 && number <= BENCH_NUMBER_MAX);
    uint64_t state = number;
    fill(&state, out->id, sizeof out->id);
    fill(&state, out->digest, sizeof out->digest);
    out->category = below(&state, 9);
    out->disclosure = below(&state, 4);
    snprintf(out->item, sizeof out->item, "XK-%03u-%04u", below(&state, 400),
             below(&state, 4000));
    out->decided = (struct bench_date){
        2020 + below(&state, 6), 1 + below(&state, 12), 1 + below(&state, 28)};
    out->until = out->decided;
    out->until.year += 3;
    put_who(out, who);
    put_decision(out, number, &state);
    assert(out->csv_len < sizeof out->csv);
}

void bench_row_make(uint64_t number, uint64_t subjects, struct bench_row *out)
{
    assert(subjects >= 1 && subjects <= BENCH_NUMBER_MAX);
    make_row(number, put_subject, bench_row_subject(number, subjects), out);
}

void bench_person_row_make(uint64_t number, struct bench_row *out)
{
    make_row(number, put_person, number, out);
}

/* ---- listings ---- */

const char bench_listing_header[] =
    "主体名称,主体统一社会信用代码,认定文书号,列入事由,列入依据,认定日期,"
    "起始日期,截止日期,认定机关,认定机关统一社会信用代码,认定机关行政区划,"
    "名单类型,事先告知（公示）文书号,告知（公示）日期,措施编号,移出条件";

void bench_listing_put(FILE *file, uint64_t subject, uint64_t division)
{
    char code[BENCH_CODE_LEN + 1];
    bench_subject_code(subject, code);
    (void)fprintf(
        file,
        "示例%06llu商贸有限公司,%s,示例认〔2026〕%llu号,示例事由,"
        "示例条例第十条,2026-03-01,2026-03-05,长期,示例法院,"
        "11340000200000013H,%06llu,失信被执行人,"
        "示例告〔2026〕%llu号,2026-02-01,C01,履行完毕\n",
        (unsigned long long)subject, code, (unsigned long long)subject,
        (unsigned long long)(division / 1000000), (unsigned long long)subject);
}
