#include "health/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    UPLINK_WARN_MS = 60 * 1000, /* a cut line is daily life */
    UPLINK_ALARM_MS = 15 * 60 * 1000,
    VIEWS_STOPPED_WARN_MS = 60 * 1000, /* a server that is started again */
    VIEWS_BEHIND_WARN_MS = 5 * 60 * 1000,
    ISSUES_WARN = 1,
};
static const int64_t day_ms = INT64_C(24) * 3600 * 1000;

const char *const health_reason_ids[] = {
    "store-not-writable",
    "store-damaged",
    "log-forked",
    "log-restored",
    "store-on-hold",
    "store-keyring",
    "entries-without-effect",
    "views-stopped",
    "views-behind",
    "uplink-down",
    "logs-stopped",
    "child-silent",
    "certificate-expired",
    "certificate-expiring",
    "root-ca",
    "root-forked",
    "lists-rolled-back",
    "lists-forked-below",
    "lists-lost",
    "lists-stale",
    "lists-clock",
    "exchange-stopped",
    "exchange-stuck",
    "clock",
    NULL,
};

const char *health_level_name(enum health_level level)
{
    static const char *const names[] = {"ok", "warn", "alarm"};
    return names[level];
}

/* Both texts take the same arguments in the same order. What others say of a
 * cause stays as they say it. */
static void PRINTF_LIKE(4, 6) PRINTF_LIKE(5, 6)
    add(struct health_report *r, enum health_level level, const char *id,
        const char *en, const char *zh, ...)
{
    if (r->count == HEALTH_REASONS_MAX) {
        return;
    }
    va_list ap;
    r->reason[r->count].level = level;
    r->reason[r->count].id = id;
    va_start(ap, zh);
    (void)vsnprintf(r->reason[r->count].text, sizeof r->reason[0].text, en, ap);
    va_end(ap);
    va_start(ap, zh);
    (void)vsnprintf(r->reason[r->count].text_zh, sizeof r->reason[0].text_zh,
                    zh, ap);
    va_end(ap);
    r->count++;
    r->level = level > r->level ? level : r->level;
}

static void judge_uplink(const struct health_facts *f, struct health_report *r)
{
    if (!f->has_parent || f->connected) {
        return;
    }
    int64_t down_ms = f->now_ms - f->connected_since_ms;
    if (down_ms >= UPLINK_ALARM_MS) {
        add(r, HEALTH_ALARM, "uplink-down",
            "no connection to the parent for %lld min: %.90s",
            "与上级断开已 %lld 分钟：%.90s", (long long)(down_ms / 60000),
            f->connect_error);
    } else if (down_ms >= UPLINK_WARN_MS || f->connect_error[0] != 0) {
        add(r, HEALTH_WARN, "uplink-down",
            "no connection to the parent: %.110s", "与上级断开：%.110s",
            f->connect_error);
    }
}

/* The line stands, and something does not rise by it. */
static void judge_logs(const struct health_facts *f, struct health_report *r)
{
    if (f->stuck_logs == 0) {
        return;
    }
    add(r, f->stuck_for_ms >= UPLINK_ALARM_MS ? HEALTH_ALARM : HEALTH_WARN,
        "logs-stopped", "%llu logs do not rise, for %lld min: %.60s: %.60s",
        "%llu 个日志无法上报，已 %lld 分钟：%.60s：%.60s",
        (unsigned long long)f->stuck_logs, (long long)(f->stuck_for_ms / 60000),
        f->stuck_log,
        f->stuck_why[0] != 0 ? f->stuck_why : "see the log (SYNC-*)");
}

static void judge_children(const struct health_facts *f,
                           struct health_report *r)
{
    if (f->silent_children > 0) {
        add(r, HEALTH_WARN, "child-silent",
            "%llu children are silent, %012llu for %lld min; see: creditnode "
            "status",
            "%llu 个下级失联，%012llu 已 %lld 分钟；请查看：creditnode status",
            (unsigned long long)f->silent_children,
            (unsigned long long)f->silent_child,
            (long long)(f->silent_for_ms / 60000));
    }
}

static void judge_clock(const struct health_facts *f, struct health_report *r)
{
    long long parent_s = f->parent_skew_ms / 1000;
    if (llabs(f->parent_skew_ms) >= HEALTH_SKEW_MS) {
        add(r, HEALTH_WARN, "clock",
            parent_s > 0
                ? "this clock is %lld s behind the parent's: set it, here or "
                  "there"
                : "this clock is %lld s ahead of the parent's: set it, here or "
                  "there",
            parent_s > 0 ? "本机时钟比上级慢 %lld 秒：请校准本机或上级的时钟"
                         : "本机时钟比上级快 %lld 秒：请校准本机或上级的时钟",
            llabs(parent_s));
    } else if (llabs(f->child_skew_ms) >= HEALTH_SKEW_MS) {
        add(r, HEALTH_WARN, "clock",
            "this clock and a child's differ by %lld s: see creditnode status",
            "本机时钟与某下级相差 %lld 秒：请查看 creditnode status",
            llabs(f->child_skew_ms) / 1000);
    }
}

static void judge_store(const struct health_facts *f, struct health_report *r)
{
    if (!f->store.writable && !f->store.beside) {
        add(r, HEALTH_ALARM, "store-not-writable", "writes are refused: %.120s",
            "拒绝写入：%.120s", f->store.why);
    }
    if (f->store.damaged) {
        add(r, HEALTH_ALARM, "store-damaged", "%.62s: %.90s", "%.62s：%.90s",
            f->store.damage_todo, f->store.damage);
    }
    if (f->forked_logs > 0) {
        add(r, HEALTH_ALARM, "log-forked",
            "%llu logs are forked; see: creditnode logs --state forked",
            "%llu 个日志出现分叉；请查看：creditnode logs --state forked",
            (unsigned long long)f->forked_logs);
    }
    if (f->pulling_logs > 0) {
        add(r, HEALTH_WARN, "log-restored",
            "an old log is coming back from the parent after a restore",
            "恢复备份后，正从上级取回原有日志");
    }
    if (f->store.awaits_parent) {
        add(r, HEALTH_WARN, "store-on-hold",
            "new or restored store: records are kept and get their numbers "
            "when the parent said what it holds of this node",
            "新建或恢复的存储：记录已保存，待上级告知其持有的本节点数据后编号");
    }
    if (f->store.other_keyring) {
        add(r, HEALTH_ALARM, "store-keyring",
            "keys/secret is another than before, no person is found: put it "
            "back from the backup; if it is lost: creditnode reindex",
            "keys/secret 与原来的不同，查不到自然人：请从备份恢复该文件；"
            "若已丢失，请执行 creditnode reindex");
    }
    if (f->store.issues >= ISSUES_WARN) {
        add(r, HEALTH_WARN, "entries-without-effect",
            "%llu entries have no effect here; see: creditnode issues",
            "%llu 条条目在本节点未生效；请查看：creditnode issues",
            (unsigned long long)f->store.issues);
    }
}

static void judge_certificate(const struct health_facts *f,
                              struct health_report *r, const char *which,
                              int64_t not_after_ms)
{
    if (not_after_ms == 0) {
        return;
    }
    int64_t left_ms = not_after_ms - f->now_ms;
    if (left_ms <= 0) {
        add(r, HEALTH_ALARM, "certificate-expired",
            "the %s certificate has expired; see certs/renew.sh",
            "证书（%s）已过期；请用 certs/renew.sh 更新", which);
    } else if (left_ms < 30 * day_ms) {
        add(r, left_ms < 7 * day_ms ? HEALTH_ALARM : HEALTH_WARN,
            "certificate-expiring",
            "the %s certificate ends in %lld days; see certs/renew.sh",
            "证书（%s）将在 %lld 天后到期；请用 certs/renew.sh 更新", which,
            (long long)(left_ms / day_ms));
    }
}

static void judge_root(const struct health_facts *f, struct health_report *r)
{
    if (f->root_ca[0] != 0) {
        add(r, HEALTH_ALARM, "root-ca", "%.150s", "%.150s", f->root_ca);
    }
    if (f->root_fork[0] != 0) {
        add(r, HEALTH_ALARM, "root-forked", "%.150s", "%.150s", f->root_fork);
    }
}

static void judge_lists(const struct health_facts *f, struct health_report *r)
{
    if (f->parent_offers_older) {
        add(r, HEALTH_ALARM, "lists-rolled-back",
            "the parent offers older lists than are held here, which stay; it "
            "was put back, or withholds: ask there",
            "上级提供的名单比本节点旧，本节点不退回；上级可能恢复过备份或有"
            "所保留：请向上级询问");
    }
    if (f->other_histories > 0) {
        add(r, HEALTH_ALARM, "lists-forked-below",
            "%llu children hold another history of a directives log, or nodes "
            "below them do; see: creditnode directive status",
            "%llu 个下级或其所辖节点持有另一历史的名单日志；请查看："
            "creditnode directive status",
            (unsigned long long)f->other_histories);
    }
    if (f->lost_lists) {
        add(r, HEALTH_ALARM, "lists-lost",
            "child %012llu holds lists of this node that are lost here: "
            "creditnode directive export there, import here",
            "下级 %012llu 持有本节点已丢失的名单：请在该节点执行 creditnode "
            "directive export，再在本节点 import",
            (unsigned long long)f->lost_lists_child);
    }
    if (f->stale_lists > 0) {
        add(r, HEALTH_WARN, "lists-stale",
            "no news of %llu authorities' lists: answers go on and say so; "
            "see: creditnode directive lists",
            "%llu 个机关的名单没有新消息：答复照常并注明；请查看："
            "creditnode directive lists",
            (unsigned long long)f->stale_lists);
    }
    if (f->unproven_lists > 0) {
        add(r, HEALTH_WARN, "lists-clock",
            "lists come on time, but by this clock they are of another time: "
            "set the clock, here or at the issuer",
            "名单按时到达，但与本机时钟不符：请校准本机或发布节点的时钟");
    }
}

static void judge_exchange(const struct health_facts *f,
                           struct health_report *r)
{
    if (f->exchange_stopped > 0) {
        add(r, HEALTH_WARN, "exchange-stopped",
            "%llu exchange tables are not taken in; see: creditnode exchange "
            "status: %.80s",
            "%llu 张前置库表未被接收；请查看：creditnode exchange "
            "status：%.80s",
            (unsigned long long)f->exchange_stopped, f->exchange_why);
    }
    if (f->exchange_stuck > 0) {
        add(r, HEALTH_WARN, "exchange-stuck",
            "%llu rows of exchange tables are decided and cannot be marked; "
            "see the log (EXCHANGE-STUCK)",
            "%llu 行前置库数据已有结果但无法标记；请查看运行日志"
            "（EXCHANGE-STUCK）",
            (unsigned long long)f->exchange_stuck);
    }
}

/* What reads them is told no moment, so that somebody else has to watch. */
static void judge_views(const struct health_facts *f, struct health_report *r)
{
    const struct views_stats *v = &f->views;
    if (!v->on) {
        return;
    }
    if (v->why[0] != 0 && v->late_ms >= VIEWS_STOPPED_WARN_MS) {
        add(r, HEALTH_WARN, "views-stopped",
            "the views for SQL stand still, tried again: %.110s",
            "SQL 视图已停止更新，正在重试：%.110s", v->why);
    } else if (v->late_ms >= VIEWS_BEHIND_WARN_MS) {
        add(r, HEALTH_WARN, "views-behind",
            "the views for SQL are %llu entries and %lld minutes behind: "
            "reports are incomplete",
            "SQL 视图落后 %llu 条、%lld 分钟：报表不完整",
            (unsigned long long)v->behind, (long long)(v->late_ms / 60000));
    }
}

void health_judge(const struct health_facts *f, struct health_report *r)
{
    *r = (struct health_report){.level = HEALTH_OK};
    judge_store(f, r);
    judge_views(f, r);
    judge_uplink(f, r);
    judge_logs(f, r);
    judge_children(f, r);
    judge_certificate(f, r, "TLS", f->tls_not_after_ms);
    judge_certificate(f, r, "signing", f->sign_not_after_ms);
    judge_certificate(f, r, "sealing", f->seal_not_after_ms);
    judge_root(f, r);
    judge_lists(f, r);
    judge_exchange(f, r);
    judge_clock(f, r);
}
