#include "run/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    WIDE = 920, /* of a chart, in its own units */
    LEFT = 190,
    RIGHT = 70,
    PLOT = WIDE - LEFT - RIGHT,
    FAULTS_SHOWN_MAX = 60,
    MS_DIGITS = 1000,
};

struct page {
    FILE *out;
    const json_t *report;
    bool english;
};

/* ---- words ---- */

static const struct label {
    const char *key;
    const char *zh;
    const char *en;
} labels[] = {
    {"title", "信用信息节点仿真报告", "Simulation of credit nodes: report"},
    {"holds", "全部不变量成立", "every invariant held"},
    {"broken", "不成立：", "does not hold: "},
    {"at", "开始时间", "started"},
    {"area", "顶级节点", "top of the tree"},
    {"profile", "业务场景", "profile"},
    {"seed", "随机种子", "seed"},
    {"nodes", "节点", "nodes"},
    {"acknowledged", "已确认记录", "records acknowledged"},
    {"refused", "拒收错误行", "bad rows refused"},
    {"directives", "已发布名单", "packages of listings"},
    {"queries", "查询", "queries"},
    {"checks", "名单核查", "list checks"},
    {"unanswered", "未获应答", "questions unanswered"},
    {"walked_entries", "逐条核对的存储条目", "stored entries read"},
    {"old_nodes", "起初运行旧版程序", "began with an earlier program"},
    {"faults", "故障", "faults"},
    {"ready_in", "全部就绪用时", "all ready after"},
    {"equal_in", "全部一致用时", "all equal after"},
    {"imports_broken_off", "中断后重导", "imports repeated"},
    {"h_hops", "逐级上报时延", "Latency of each hop up"},
    {"n_hops",
     "记录在录入节点确认后，到达各上级节点所用时间（对数刻度）。横条为中位数，"
     "细线至第 99 百分位。",
     "From the acknowledgement at one tier until the next has the record, on a "
     "logarithmic scale: bar to the median, line to the 99th percentile."},
    {"h_rate", "吞吐量与在线节点", "Throughput and nodes that are up"},
    {"n_rate", "蓝：每秒确认的记录数；灰：就绪节点数；红线：故障开始。",
     "Blue: records acknowledged a second. Grey: nodes ready. Red: a fault "
     "begins."},
    {"h_faults", "故障与恢复时间线", "Faults and recovery"},
    {"n_faults",
     "红：故障期间；橙：重新启动；蓝：补传直至上级全部收齐。数字为故障结束后"
     "恢复一致所用时间。",
     "Red: the fault. Orange: starting again. Blue: until all that the node "
     "had "
     "acknowledged was above. The number is the time from the end of the fault "
     "until then."},
    {"no_faults", "本次运行未注入故障。", "No faults in this run."},
    {"more_faults", "其余故障见 JSON 报告。",
     "The others are in the JSON report."},
    {"h_memory", "每个节点的内存", "Memory of a node"},
    {"n_memory", "各级节点独占内存平均值：浅色为就绪时，深色为运行结束时。",
     "Private memory in the mean: light when all were ready, dark at the end."},
    {"h_acts", "业务操作时延", "Time of each act"},
    {"act", "操作", "act"},
    {"count", "次数", "count"},
    {"tier", "层级", "tier"},
    {"rss", "常驻内存 KiB", "resident KiB"},
    {"private", "独占内存 KiB", "private KiB"},
    {"cpu", "处理器毫秒", "processor ms"},
    {"threads", "线程", "threads"},
    {"descriptors", "描述符最多", "descriptors, most"},
    {"import", "导入", "import"},
    {"directive", "发布名单", "directive"},
    {"removal", "移出名单", "removal"},
    {"feedback", "执行反馈", "feedback"},
    {"query", "查询主体", "query"},
    {"check", "名单核查", "check"},
    {"national", "国家", "national"},
    {"province", "省", "province"},
    {"city", "市", "city"},
    {"county", "县（区）", "county"},
    {"township", "乡镇（街道）", "township"},
    {"village", "村（居）", "village"},
    {"top", "录入处至顶级", "office to the top"},
    {"all", "全部", "all"},
    {"from_below", "下级至", "up to "},
    /* Kinds of faults (schedule.c). */
    {"kill", "强制终止", "kill -9"},
    {"restart", "重启", "restart"},
    {"freeze", "进程冻结", "frozen"},
    {"cut", "线路中断", "line cut"},
    {"silent", "线路无响应", "line silent"},
    {"one-way-up", "上行单向中断", "nothing goes up"},
    {"one-way-down", "下行单向中断", "nothing comes down"},
    {"slow", "线路高时延", "slow line"},
    {"narrow", "线路低带宽", "narrow line"},
    {"lossy", "线路丢包", "lossy line"},
    {"partition", "子树隔离", "cut off with all below"},
    {"reconnect", "下级集中重连", "all children reconnect"},
    {"full", "磁盘满", "disk full"},
    {"read-only", "磁盘只读", "disk read-only"},
    {"flip", "数据位翻转", "flipped bit"},
    {"restore", "恢复旧备份", "put back to a backup"},
    {"clone", "节点重复运行", "runs twice"},
    {"expired", "证书过期", "certificate ends"},
    {"revoked", "证书吊销", "certificate revoked"},
    {"wrong", "证书错误", "another's certificate"},
    {"clock", "时钟跳变", "clock jumps"},
    {"lie", "虚假上报", "a lie to the parent"},
    {"fork", "两套名单", "two histories"},
    {"upgrade", "程序升级", "upgraded"},
};

/* Faults that have no label keep their name. */
static const char *say(const struct page *p, const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        if (strcmp(labels[i].key, key) == 0) {
            return p->english ? labels[i].en : labels[i].zh;
        }
    }
    return key;
}

static void put(const struct page *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void put(const struct page *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vfprintf(p->out, fmt, ap);
    va_end(ap);
}

/* Names come from files. */
static void put_text(const struct page *p, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            put(p, "&lt;");
            break;
        case '&':
            put(p, "&amp;");
            break;
        case '"':
            put(p, "&quot;");
            break;
        default:
            (void)fputc(*text, p->out);
        }
    }
}

/* ---- values of the report ---- */

static double num(const json_t *in, const char *key)
{
    return (double)json_integer_value(json_object_get(in, key));
}

static const char *str(const json_t *in, const char *key)
{
    const char *text = json_string_value(json_object_get(in, key));
    return text != NULL ? text : "";
}

/* "85 ms", "3.4 s". */
static const char *ms_text(double ms, char out[32])
{
    (void)snprintf(out, 32, ms < MS_DIGITS ? "%.0f ms" : "%.1f s",
                   ms < MS_DIGITS ? ms : ms / MS_DIGITS);
    return out;
}

/* ---- head ---- */

static const char style[] =
    ":root{--ink:#1c2733;--soft:#5d6b7a;--line:#dde3ea;--blue:#2563a8;"
    "--pale:#a9c7e8;--red:#c8442f;--amber:#e0a132;--green:#2c7a4b}"
    "*{box-sizing:border-box}body{margin:0;background:#f4f6f8;color:var(--ink);"
    "font:15px/1.6 'Noto Sans CJK SC','Source Han Sans SC','Microsoft YaHei',"
    "'PingFang SC',system-ui,sans-serif}"
    "main{max-width:1000px;margin:0 auto;padding:32px 20px}"
    "h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:0 0 2px}"
    "section{background:#fff;border:1px solid var(--line);border-radius:8px;"
    "padding:20px 24px;margin:18px 0;break-inside:avoid}"
    ".facts{color:var(--soft);margin:0 0 14px}.facts b{color:var(--ink);"
    "font-weight:600}.note{color:var(--soft);font-size:13px;margin:0 0 12px}"
    ".verdict{display:inline-block;padding:6px 14px;border-radius:6px;"
    "color:#fff;font-weight:600;background:var(--green)}"
    ".verdict.bad{background:var(--red)}"
    ".why{margin:10px 0 0;font-family:monospace;font-size:13px;"
    "overflow-wrap:anywhere}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fill,"
    "minmax(136px,1fr));gap:10px;margin:16px 0 0}"
    ".tiles div{border:1px solid var(--line);border-radius:6px;"
    "padding:8px 12px}.tiles b{display:block;font-size:20px;line-height:1.3;"
    "font-variant-numeric:tabular-nums}.tiles span{color:var(--soft);"
    "font-size:13px}"
    "svg{display:block;width:100%;height:auto}svg text{font-size:12px;"
    "fill:var(--ink)}svg .s{fill:var(--soft)}svg .g{stroke:var(--line)}"
    "table{border-collapse:collapse;width:100%;font-size:14px;"
    "font-variant-numeric:tabular-nums}th,td{text-align:right;"
    "padding:5px 8px;border-bottom:1px solid var(--line)}"
    "th{color:var(--soft);font-weight:500}th:first-child,td:first-child"
    "{text-align:left}"
    "@media print{body{background:#fff}main{padding:0;max-width:none}}";

static void put_fact(const struct page *p, const char *key, const char *value)
{
    put(p, "%s <b>", say(p, key));
    put_text(p, value);
    put(p, "</b> &nbsp; ");
}

static void put_tile(const struct page *p, const char *key, double value)
{
    put(p, "<div><b>%.0f</b><span>%s</span></div>", value, say(p, key));
}

static void put_time_tile(const struct page *p, const char *key, double ms)
{
    char text[32];
    put(p, "<div><b>%s</b><span>%s</span></div>", ms_text(ms, text),
        say(p, key));
}

static void put_head(const struct page *p)
{
    const json_t *r = p->report;
    char seed[32];
    bool holds = json_is_true(json_object_get(r, "holds"));
    put(p,
        "<!doctype html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width\">"
        "<title>%s</title><style>%s</style></head><body><main>",
        p->english ? "en" : "zh-CN", say(p, "title"), style);
    put(p, "<section><h1>%s</h1><p class=\"facts\">", say(p, "title"));
    (void)snprintf(seed, sizeof seed, "%.0f", num(r, "seed"));
    put_fact(p, "at", str(r, "at"));
    put_fact(p, "area", str(r, "area"));
    put_fact(p, "profile",
             str(json_object_get(r, "profile"), p->english ? "en" : "zh"));
    put_fact(p, "seed", seed);
    put(p, "</p><span class=\"verdict%s\">%s%s</span>", holds ? "" : " bad",
        say(p, holds ? "holds" : "broken"), holds ? "" : str(r, "broken"));
    if (!holds) {
        put(p, "<p class=\"why\">%s ", str(r, "node"));
        put_text(p, str(r, "text"));
        put(p, "</p>");
    }
    static const char *const tiles[] = {
        "nodes",          "acknowledged", "refused", "imports_broken_off",
        "directives",     "queries",      "checks",  "unanswered",
        "walked_entries", "old_nodes"};
    put(p, "<div class=\"tiles\">");
    for (size_t i = 0; i < ARRAY_LEN(tiles); i++) {
        put_tile(p, tiles[i], num(r, tiles[i]));
    }
    put_tile(p, "faults",
             (double)json_array_size(json_object_get(r, "faults")));
    put_time_tile(p, "ready_in", num(r, "ready_in_ms"));
    put_time_tile(p, "equal_in", num(r, "equal_in_ms"));
    put(p, "</div></section>");
}

static void begin_section(const struct page *p, const char *head,
                          const char *note)
{
    put(p, "<section><h2>%s</h2><p class=\"note\">%s</p>", say(p, head),
        note != NULL ? say(p, note) : "");
}

static void begin_svg(const struct page *p, int high)
{
    put(p, "<svg viewBox=\"0 0 %d %d\" role=\"img\">", WIDE, high);
}

/* ---- hops ---- */

enum { ROW = 30, DECADES = 5 };

/* 1 ms at the left, 100 s at the right. */
static double log_x(double ms)
{
    double decade = log10(ms < 1 ? 1 : ms) / DECADES;
    return LEFT + PLOT * (decade > 1 ? 1 : decade);
}

static void put_decades(const struct page *p, int high)
{
    static const char *const names[] = {"1 ms", "10 ms", "100 ms",
                                        "1 s",  "10 s",  "100 s"};
    for (int i = 0; i <= DECADES; i++) {
        int x = LEFT + PLOT * i / DECADES;
        put(p,
            "<line class=\"g\" x1=\"%d\" x2=\"%d\" y1=\"4\" y2=\"%d\"/>"
            "<text class=\"s\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s"
            "</text>",
            x, x, high - 20, x, high - 4, names[i]);
    }
}

static void put_hop(const struct page *p, const char *tier, const json_t *s,
                    int y)
{
    char text[32];
    bool top = strcmp(tier, "top") == 0;
    double mid = log_x(num(s, "p50"));
    double far = log_x(num(s, "p99"));
    put(p,
        "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s%s</text>"
        "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"14\" rx=\"2\" "
        "fill=\"var(--%s)\"/>",
        LEFT - 10, y + 12, top ? "" : say(p, "from_below"), say(p, tier), LEFT,
        y, mid - LEFT < 2 ? 2 : mid - LEFT, top ? "ink" : "blue");
    put(p,
        "<path d=\"M%.1f %dH%.1fM%.1f %dv8\" stroke=\"var(--ink)\" "
        "fill=\"none\"/><text class=\"s\" x=\"%.1f\" y=\"%d\">%s</text>",
        mid, y + 7, far, far, y + 3, far + 6, y + 12,
        ms_text(num(s, "p50"), text));
    put(p, "<title>%.0f: p50 %.0f ms, p90 %.0f ms, p99 %.0f ms</title>",
        num(s, "n"), num(s, "p50"), num(s, "p90"), num(s, "p99"));
}

static void put_hops(const struct page *p)
{
    static const char *const tiers[] = {"township", "county",   "city",
                                        "province", "national", "top"};
    const json_t *hops = json_object_get(p->report, "hops_ms");
    int rows = (int)json_object_size(hops);
    int high = rows * ROW + 30;
    int y = 8;
    begin_section(p, "h_hops", "n_hops");
    begin_svg(p, high);
    put_decades(p, high);
    for (size_t i = 0; i < ARRAY_LEN(tiers); i++) {
        const json_t *s = json_object_get(hops, tiers[i]);
        if (s != NULL) {
            put(p, "<g>");
            put_hop(p, tiers[i], s, y);
            put(p, "</g>");
            y += ROW;
        }
    }
    put(p, "</svg></section>");
}

/* ---- time ---- */

/* The right end of all that has a time axis. */
static double last_ms(const struct page *p)
{
    double over = num(json_object_get(p->report, "phases_ms"), "over");
    double last = num(json_object_get(p->report, "phases_ms"), "stopping");
    last = last > 0 ? last : over;
    return last > MS_DIGITS ? last : MS_DIGITS;
}

static double time_x(const struct page *p, double ms)
{
    double at = ms / last_ms(p);
    return LEFT + PLOT * (at < 0 ? 0 : at > 1 ? 1 : at);
}

/* A round one, so that there are four to ten of them. */
static double time_step(double last)
{
    static const double rounds[] = {1, 2, 5};
    double step = MS_DIGITS;
    for (size_t i = 0; last / step > 10; i++) {
        step = rounds[i % ARRAY_LEN(rounds)] * MS_DIGITS *
               pow(10, (double)(i / ARRAY_LEN(rounds)));
    }
    return step;
}

static void put_time_axis(const struct page *p, int top, int bottom)
{
    double step = time_step(last_ms(p));
    for (double ms = 0; ms <= last_ms(p); ms += step) {
        double x = time_x(p, ms);
        put(p,
            "<line class=\"g\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
            "<text class=\"s\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">"
            "%.0f s</text>",
            x, x, top, bottom, x, bottom + 16, ms / MS_DIGITS);
    }
}

/* Column `at` of a second: 0 time, 1 records, 2 directives, 3 ready. */
static double cell(const json_t *second, size_t at)
{
    return (double)json_integer_value(json_array_get(second, at));
}

static double rate_at(const json_t *seconds, size_t i)
{
    const json_t *now = json_array_get(seconds, i);
    const json_t *before = json_array_get(seconds, i - 1);
    double ms = cell(now, 0) - cell(before, 0);
    return ms > 0 ? (cell(now, 1) - cell(before, 1)) * MS_DIGITS / ms : 0;
}

enum { RATE_TOP = 14, RATE_BOTTOM = 190, RATE_HIGH = RATE_BOTTOM + 24 };

static double rate_y(double value, double most)
{
    return RATE_BOTTOM - (RATE_BOTTOM - RATE_TOP) * value / most;
}

static void put_rate_lines(const struct page *p, const json_t *seconds,
                           double most)
{
    size_t n = json_array_size(seconds);
    double nodes = num(p->report, "nodes");
    put(p, "<polyline fill=\"none\" stroke=\"#8b98a6\" stroke-width=\"1.5\" "
           "points=\"");
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_array_get(seconds, i);
        put(p, "%.1f,%.1f ", time_x(p, cell(s, 0)), rate_y(cell(s, 3), nodes));
    }
    put(p,
        "\"/><path fill=\"var(--pale)\" fill-opacity=\".5\" "
        "stroke=\"var(--blue)\" stroke-width=\"1.5\" d=\"M%.1f %d",
        time_x(p, n > 0 ? cell(json_array_get(seconds, 0), 0) : 0),
        RATE_BOTTOM);
    for (size_t i = 1; i < n; i++) {
        put(p, "L%.1f %.1f", time_x(p, cell(json_array_get(seconds, i), 0)),
            rate_y(rate_at(seconds, i), most));
    }
    put(p, "L%.1f %d\"/>",
        time_x(p, n > 0 ? cell(json_array_get(seconds, n - 1), 0) : 0),
        RATE_BOTTOM);
}

static void put_rate(const struct page *p)
{
    const json_t *seconds = json_object_get(p->report, "seconds");
    double most = 1;
    size_t i;
    json_t *fault;
    for (i = 1; i < json_array_size(seconds); i++) {
        double rate = rate_at(seconds, i);
        most = rate > most ? rate : most;
    }
    begin_section(p, "h_rate", "n_rate");
    begin_svg(p, RATE_HIGH);
    put_time_axis(p, RATE_TOP, RATE_BOTTOM);
    json_array_foreach(json_object_get(p->report, "faults"), i, fault)
    {
        double x = time_x(p, num(fault, "begin_ms"));
        put(p,
            "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" "
            "stroke=\"var(--red)\" stroke-opacity=\".45\"/>",
            x, x, RATE_TOP, RATE_BOTTOM);
    }
    put_rate_lines(p, seconds, most);
    put(p,
        "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#2563a8\">%.0f/s"
        "</text><text class=\"s\" x=\"%d\" y=\"%d\">%.0f</text>"
        "<text class=\"s\" x=\"%d\" y=\"%d\" text-anchor=\"end\">0</text>"
        "</svg></section>",
        LEFT - 10, RATE_TOP + 5, most, WIDE - RIGHT + 8, RATE_TOP + 5,
        num(p->report, "nodes"), LEFT - 10, RATE_BOTTOM);
}

/* ---- faults ---- */

static void put_span(const struct page *p, double from, double to, int y,
                     const char *colour)
{
    double x = time_x(p, from);
    double wide = time_x(p, to) - x;
    if (from >= 0 && to >= from) {
        put(p,
            "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"12\" "
            "fill=\"var(--%s)\"/>",
            x, y, wide < 1.5 ? 1.5 : wide, colour);
    }
}

static void put_fault(const struct page *p, const json_t *f, int y)
{
    char text[32];
    double begin = num(f, "begin_ms");
    double end = num(f, "end_ms");
    double ready = num(f, "ready_ms");
    double equal = num(f, "equal_ms");
    double last = equal >= 0 ? equal : ready >= 0 ? ready : end;
    put(p, "<g><text x=\"%d\" y=\"%d\" text-anchor=\"end\">", LEFT - 10,
        y + 10);
    put_text(p, str(f, "name"));
    put(p, " · %s</text>", say(p, str(f, "kind")));
    put_span(p, begin, end, y, "red");
    put_span(p, end, ready, y, "amber");
    put_span(p, ready, equal, y, "blue");
    if (equal >= 0 && end >= 0) {
        put(p, "<text class=\"s\" x=\"%.1f\" y=\"%d\">%s</text>",
            time_x(p, last) + 6, y + 10, ms_text(equal - end, text));
    }
    put(p, "<title>%s</title></g>", str(f, "node"));
}

static void put_faults(const struct page *p)
{
    enum { STEP = 20 };
    const json_t *faults = json_object_get(p->report, "faults");
    int n = (int)json_array_size(faults);
    int shown = n > FAULTS_SHOWN_MAX ? FAULTS_SHOWN_MAX : n;
    begin_section(p, "h_faults", n > 0 ? "n_faults" : "no_faults");
    if (n > 0) {
        begin_svg(p, shown * STEP + 34);
        put_time_axis(p, 4, shown * STEP + 10);
        for (int i = 0; i < shown; i++) {
            put_fault(p, json_array_get(faults, (size_t)i), 8 + STEP * i);
        }
        put(p, "</svg>");
    }
    put(p, "%s</section>", n > shown ? say(p, "more_faults") : "");
}

/* ---- memory ---- */

static void put_memory_bar(const struct page *p, double kb, double most, int y,
                           const char *colour)
{
    put(p,
        "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"9\" rx=\"2\" "
        "fill=\"var(--%s)\"/><text class=\"s\" x=\"%.1f\" y=\"%d\">%.1f MiB"
        "</text>",
        LEFT, y, PLOT * kb / most, colour, LEFT + PLOT * kb / most + 6, y + 9,
        kb / 1024);
}

static void put_usage_table(const struct page *p, const json_t *usage)
{
    static const char *const heads[] = {
        "tier", "nodes", "rss", "private", "cpu", "threads", "descriptors"};
    static const char *const keys[] = {"nodes",           "rss_kb_mean",
                                       "private_kb_mean", "cpu_ms_mean",
                                       "threads_mean",    "descriptors_most"};
    const char *tier;
    json_t *u;
    put(p, "<table><tr>");
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        put(p, "<th>%s</th>", say(p, heads[i]));
    }
    put(p, "</tr>");
    json_object_foreach((json_t *)(uintptr_t)usage, tier, u)
    {
        put(p, "<tr><td>%s</td>", say(p, tier));
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            put(p, "<td>%.0f</td>", num(u, keys[i]));
        }
        put(p, "</tr>");
    }
    put(p, "</table>");
}

static void put_memory(const struct page *p)
{
    enum { STEP = 36 };
    const json_t *ready = json_object_get(p->report, "usage_ready");
    const json_t *end = json_object_get(p->report, "usage_end");
    const char *tier;
    json_t *u;
    double most = 1;
    int y = 6;
    json_object_foreach((json_t *)(uintptr_t)end, tier, u)
    {
        double here = num(u, "private_kb_mean");
        double there = num(json_object_get(ready, tier), "private_kb_mean");
        most = here > most ? here : most;
        most = there > most ? there : most;
    }
    begin_section(p, "h_memory", "n_memory");
    begin_svg(p, STEP * (int)json_object_size(end) + 6);
    json_object_foreach((json_t *)(uintptr_t)end, tier, u)
    {
        put(p, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>",
            LEFT - 10, y + 16, say(p, tier));
        put_memory_bar(p, num(json_object_get(ready, tier), "private_kb_mean"),
                       most, y, "pale");
        put_memory_bar(p, num(u, "private_kb_mean"), most, y + 13, "blue");
        y += STEP;
    }
    put(p, "</svg>");
    put_usage_table(p, end);
    put(p, "</section>");
}

/* ---- acts ---- */

static void put_acts(const struct page *p)
{
    static const char *const keys[] = {"p50", "p90", "p99", "p100"};
    const char *act;
    json_t *s;
    begin_section(p, "h_acts", NULL);
    put(p, "<table><tr><th>%s</th><th>%s</th>", say(p, "act"), say(p, "count"));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        put(p, "<th>%s</th>", keys[i]);
    }
    put(p, "</tr>");
    json_object_foreach(json_object_get(p->report, "acts_us"), act, s)
    {
        put(p, "<tr><td>%s</td><td>%.0f</td>", say(p, act), num(s, "n"));
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            put(p, "<td>%.1f ms</td>", num(s, keys[i]) / MS_DIGITS);
        }
        put(p, "</tr>");
    }
    put(p, "</table></section>");
}

enum err html_write(const json_t *report, const char *path, bool english,
                    struct errmsg *why)
{
    const struct page page = {fopen(path, "we"), report, english};
    if (page.out == NULL) {
        return err_set(why, ERR_IO, "%s cannot be written", path);
    }
    put_head(&page);
    put_hops(&page);
    put_rate(&page);
    put_faults(&page);
    put_memory(&page);
    put_acts(&page);
    put(&page, "</main></body></html>\n");
    bool good = ferror(page.out) == 0;
    return fclose(page.out) == 0 && good
               ? ERR_OK
               : err_set(why, ERR_IO, "%s cannot be written", path);
}
