/* The report of a run for programs. */
#include "run/work.h"

static const char *const tier_names[PROFILE_TIERS] = {
    "national", "province", "city", "county", "township", "village"};

static const unsigned percents[] = {50, 90, 99, 100};

static json_t *samples_json(const struct samples *s)
{
    json_t *object = json_pack("{s:I}", "n", (json_int_t)s->n);
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "p%u", percents[i]);
        (void)json_object_set_new(object, key,
                                  json_integer(samples_at(s, percents[i])));
    }
    return object;
}

/* Since all nodes were ready; -1: not yet, or never. */
static json_int_t since_work(const struct run *run, uint64_t at_ms)
{
    uint64_t start = run->phase_at_ms[RUN_WORKING];
    return at_ms == 0 || start == 0 || at_ms < start
               ? -1
               : (json_int_t)(at_ms - start);
}

static json_t *code_of(const struct run *run, unsigned node)
{
    char code[CODE_LEN + 1];
    code_format(run->node[node].place.code, code);
    return json_string(code);
}

static json_t *faults_json(const struct run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < run->faults_n; i++) {
        const struct run_fault *e = &run->fault[i];
        (void)json_array_append_new(
            list, json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I}", "kind",
                            e->kind, "node", code_of(run, e->node), "name",
                            run->node[e->node].place.name, "begin_ms",
                            since_work(run, e->begin_ms), "end_ms",
                            since_work(run, e->end_ms), "ready_ms",
                            since_work(run, e->ready_ms), "equal_ms",
                            since_work(run, e->equal_ms)));
    }
    return list;
}

/* The oldest first. */
static json_t *events_json(const struct run *run)
{
    json_t *list = json_array();
    unsigned from = run->events > RUN_EVENTS ? run->events - RUN_EVENTS : 0;
    for (unsigned i = from; i < run->events; i++) {
        (void)json_array_append_new(list,
                                    json_string(run->event[i % RUN_EVENTS]));
    }
    return list;
}

static json_t *seconds_json(const struct run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < run->seconds_n; i++) {
        const struct run_second *s = &run->second[i];
        (void)json_array_append_new(
            list, json_pack("[I, I, I, I]", since_work(run, s->at_ms),
                            (json_int_t)s->acked, (json_int_t)s->decided,
                            (json_int_t)s->ready));
    }
    return list;
}

/* ---- memory, processor time ---- */

struct use_sum {
    unsigned nodes;
    uint64_t rss;
    uint64_t rss_most;
    uint64_t own;
    uint64_t cpu_ms;
    uint64_t threads;
    uint32_t descriptors_most;
};

static void add_usage(struct use_sum *sum, const struct usage *u)
{
    if (u->threads == 0) {
        return; /* it was away */
    }
    sum->nodes++;
    sum->rss += u->rss;
    sum->rss_most = u->rss > sum->rss_most ? u->rss : sum->rss_most;
    sum->own += u->own;
    sum->cpu_ms += u->cpu_ms;
    sum->threads += u->threads;
    if (u->descriptors > sum->descriptors_most) {
        sum->descriptors_most = u->descriptors;
    }
}

static json_t *use_json(const struct use_sum *s)
{
    uint64_t n = s->nodes > 0 ? s->nodes : 1;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "nodes",
                     (json_int_t)s->nodes, "rss_kb_mean",
                     (json_int_t)(s->rss / n / 1024), "rss_kb_most",
                     (json_int_t)(s->rss_most / 1024), "private_kb_mean",
                     (json_int_t)(s->own / n / 1024), "cpu_ms_mean",
                     (json_int_t)(s->cpu_ms / n), "threads_mean",
                     (json_int_t)(s->threads / n), "descriptors_most",
                     (json_int_t)s->descriptors_most);
}

/* By tier, when all were ready (idle) and when all was equal (end). */
static json_t *usage_json(const struct run *run, bool end)
{
    struct use_sum tier[PROFILE_TIERS] = {{0}};
    struct use_sum all = {0};
    json_t *object = json_object();
    for (unsigned i = 0; i < run->nodes; i++) {
        const struct run_node *n = &run->node[i];
        const struct usage *u = end ? &n->usage_end : &n->usage;
        add_usage(&tier[profile_tier_index(n->place.tier)], u);
        add_usage(&all, u);
    }
    for (int i = 0; i < PROFILE_TIERS; i++) {
        if (tier[i].nodes > 0) {
            (void)json_object_set_new(object, tier_names[i],
                                      use_json(&tier[i]));
        }
    }
    (void)json_object_set_new(object, "all", use_json(&all));
    return object;
}

/* ---- latencies ---- */

static json_t *acts_json(const struct run *run)
{
    json_t *object = json_object();
    for (int i = 0; i < ACTS; i++) {
        (void)json_object_set_new(object, act_name((enum act_kind)i),
                                  samples_json(&run->act_us[i]));
    }
    return object;
}

static json_t *hops_json(const struct run *run)
{
    json_t *object = json_object();
    for (int i = 0; i < PROFILE_TIERS; i++) {
        if (run->hop_ms[i].n > 0) {
            (void)json_object_set_new(object, tier_names[i],
                                      samples_json(&run->hop_ms[i]));
        }
    }
    (void)json_object_set_new(object, "top", samples_json(&run->top_ms));
    return object;
}

/* ---- all ---- */

static json_int_t count_persons(const struct run *run)
{
    json_int_t n = 0;
    for (size_t i = 0; i < run->acked_n; i++) {
        n += run->row[i].person;
    }
    return n;
}

static void put_counts(const struct run *run, json_t *report)
{
    json_int_t imports = 0;
    json_int_t broken_off = 0;
    for (unsigned i = 0; i < run->nodes; i++) {
        imports += (json_int_t)run->node[i].imports;
        broken_off += (json_int_t)run->node[i].broken_off;
    }
    const struct {
        const char *name;
        json_int_t n;
    } counts[] = {
        {"seed", (json_int_t)run->conf->seed},
        {"nodes", run->nodes},
        {"kills", run->kills},
        {"faults_done", (json_int_t)run->faults_n},
        {"faults_left_out", run->left_out},
        {"excused", (json_int_t)run->excused},
        {"rss_max_kib", run->most.rss_kib},
        {"fds_max", run->most.fds},
        {"threads_max", run->most.threads},
        {"imports", imports},
        {"imports_broken_off", broken_off},
        {"acknowledged", (json_int_t)run->acked_n},
        {"persons", count_persons(run)},
        {"refused", (json_int_t)run->refused},
        {"directives", (json_int_t)(run->decided_n - run->removals)},
        {"directives_broken_off", (json_int_t)run->undecided},
        {"old_nodes", (json_int_t)run->old},
        {"upgrades", (json_int_t)run->upgrades},
        {"removals", (json_int_t)run->removals},
        {"feedback", (json_int_t)run->effects_n},
        {"feedback_broken_off", (json_int_t)run->unreported},
        {"queries", (json_int_t)run->act_us[ACT_QUERY].n},
        {"checks", (json_int_t)run->act_us[ACT_CHECK].n},
        {"unanswered", (json_int_t)run->unanswered},
        {"skipped", (json_int_t)run->skipped},
        {"logs", (json_int_t)run->logs},
        {"entries", (json_int_t)run->entries},
        {"walked_logs", (json_int_t)run->walked_logs},
        {"walked_entries", (json_int_t)run->walked_entries},
        {"unwalked_nodes", run->unwalked},
        {"made_in_ms", (json_int_t)run->made_in_ms},
        {"ready_in_ms", (json_int_t)run->ready_in_ms},
        {"equal_in_ms", (json_int_t)run->equal_in_ms},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        (void)json_object_set_new(report, counts[i].name,
                                  json_integer(counts[i].n));
    }
}

json_t *run_json(const struct run *run)
{
    bool holds = run->invariant == NULL;
    const struct profile *profile = run->conf->profile;
    json_t *report = json_pack(
        "{s:b, s:s, s:o, s:s, s:{s:s, s:s}, s:s}", "holds", holds, "broken",
        holds ? "" : run->invariant, "node",
        holds ? json_string("") : code_of(run, run->culprit), "text", run->text,
        "profile", "zh", profile->title_zh, "en", profile->title_en, "area",
        run->nodes > 0 ? run->node[0].place.name : "");
    (void)json_object_set_new(report, "at", json_string(run->at));
    put_counts(run, report);
    (void)json_object_set_new(
        report, "phases_ms",
        json_pack("{s:I, s:I, s:I}", "settling",
                  since_work(run, run->phase_at_ms[RUN_SETTLING]), "stopping",
                  since_work(run, run->phase_at_ms[RUN_STOPPING]), "over",
                  since_work(run, run->phase_at_ms[RUN_OVER])));
    (void)json_object_set_new(report, "acts_us", acts_json(run));
    (void)json_object_set_new(report, "hops_ms", hops_json(run));
    (void)json_object_set_new(report, "usage_ready", usage_json(run, false));
    (void)json_object_set_new(report, "usage_end", usage_json(run, true));
    (void)json_object_set_new(report, "faults", faults_json(run));
    (void)json_object_set_new(report, "last_events", events_json(run));
    (void)json_object_set_new(report, "seconds", seconds_json(run));
    return report;
}
