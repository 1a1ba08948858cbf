/* creditsim crowd: very many light children of one real node (crowd/crowd.h).
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "creditsim.h"
#include "crowd/crowd.h"

static const char help[] =
    "creditsim crowd [options]\n"
    "\n"
    "Starts one real node and plays its children in this process, each with a\n"
    "certificate, keys, a signed log and a connection of its own. All join,\n"
    "send records and follow the parent's lists; what that costs the parent "
    "is\n"
    "printed. Nothing may be refused, cut off or missing.\n"
    "\n"
    "  --children N    (default 100; at most 2097)\n"
    "  --at-once N     handshakes under way (default 32)\n"
    "  --records N     of each child, one a message (default 10)\n"
    "  --directives N  each in a package of its own (default 5)\n"
    "  --quiet N       seconds without work, of which the processor time is\n"
    "                  told (default 20)\n"
    "  --patience N    seconds for what must come to an end (default 300)\n"
    "  --set KEY=VALUE of the parent, as in rpc.quota=\"64 MiB\"; up to 8\n"
    "  --dir DIR       folder; must not exist (default: made)\n"
    "  --keep          leave it: the parent's log is DIR/341800000000/log\n"
    "  --json          for programs\n"
    "  --node PROGRAM  another creditnode\n"
    "\n"
    "Exit status: 0 all held, 1 something did not, 2 usage, 3 it could not be\n"
    "made.\n";

struct options {
    struct crowd_conf conf;
    const char *dir;
    bool keep;
    bool json;
};

static const struct option names[] = {
    {"children", required_argument, NULL, 'c'},
    {"at-once", required_argument, NULL, 'a'},
    {"records", required_argument, NULL, 'r'},
    {"directives", required_argument, NULL, 'd'},
    {"quiet", required_argument, NULL, 'q'},
    {"patience", required_argument, NULL, 'p'},
    {"set", required_argument, NULL, 's'},
    {"dir", required_argument, NULL, 'f'},
    {"node", required_argument, NULL, 'n'},
    {"keep", no_argument, NULL, 'k'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool take_number(struct options *o, int c, bool *good)
{
    const struct {
        int c;
        unsigned long max;
        uint32_t *number;
    } numbers[] = {
        {'c', PARENT_CHILDREN_MAX, &o->conf.children},
        {'a', PARENT_CHILDREN_MAX, &o->conf.at_once},
        {'r', 1000, &o->conf.records},
        {'d', 1000, &o->conf.directives},
        {'q', 3600, &o->conf.quiet_s},
        {'p', 86400, &o->conf.patience_s},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        unsigned long value = 0;
        if (numbers[i].c == c) {
            *good = sim_number(optarg, numbers[i].max, &value);
            *numbers[i].number = (uint32_t)value;
            return true;
        }
    }
    return false;
}

static bool take(struct options *o, int c)
{
    bool good = true;
    if (take_number(o, c, &good)) {
        return good;
    }
    switch (c) {
    case 's':
        good = o->conf.set_n < PARENT_SET_MAX;
        if (good) {
            o->conf.set[o->conf.set_n++] = optarg;
        }
        break;
    case 'f':
        o->dir = optarg;
        break;
    case 'n':
        o->conf.creditnode = optarg;
        break;
    case 'k':
        o->keep = true;
        break;
    case 'j':
        o->json = true;
        break;
    default:
        good = false;
    }
    return good;
}

/* False: *status says how it ends. */
static bool parse(struct options *o, int argc, char **argv, int *status)
{
    int c;
    *o = (struct options){.conf = {.creditnode = CREDITNODE,
                                   .source = SOURCE_DIR,
                                   .children = 100,
                                   .at_once = 32,
                                   .records = 10,
                                   .directives = 5,
                                   .quiet_s = 20,
                                   .patience_s = 300}};
    *status = SIM_USAGE;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'h') {
            (void)fputs(help, stdout);
            *status = SIM_HOLDS;
            return false;
        }
        if (!take(o, c)) {
            (void)fputs("creditsim crowd --help tells the options\n", stderr);
            return false;
        }
    }
    if (optind != argc || o->conf.children == 0 || o->conf.at_once == 0) {
        (void)fputs("creditsim crowd --help tells the options\n", stderr);
        return false;
    }
    return true;
}

static double share(double of, double n)
{
    return n > 0 ? of / n : 0;
}

/* What one child, one record of it, one directive at it cost. */
static json_t *report_json(const struct crowd_conf *conf,
                           const struct crowd_report *r)
{
    double n = conf->children;
    double records = n * conf->records;
    double directives = n * conf->directives;
    double minutes = n * conf->quiet_s / 60.0;
    return json_pack(
        "{s:I,s:f,s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:f,"
        "s:f,s:I}",
        "children", (json_int_t)conf->children, "join_s", r->join_s, "again",
        (json_int_t)r->again, "join_cpu_ms_a_child",
        share((double)r->join_ms, n), "bytes_up_a_child",
        share((double)r->up, n), "bytes_down_a_child",
        share((double)r->down, n), "private_mib",
        (double)r->joined.own / (1 << 20), "private_kib_a_child",
        share(((double)r->joined.own - (double)r->alone.own) / 1024, n),
        "private_mib_end", (double)r->end.own / (1 << 20), "descriptors",
        (json_int_t)r->end.descriptors, "threads", (json_int_t)r->end.threads,
        "record_cpu_us", share((double)r->records_ms * 1e3, records),
        "records_s", r->records_s, "directive_cpu_us_a_child",
        share((double)r->directives_ms * 1e3, directives),
        "directive_slowest_s", r->directive_s, "first_receipt_cpu_us",
        share((double)r->first_receipts_ms * 1e3, conf->directives > 0 ? n : 0),
        "receipt_cpu_us",
        share((double)r->receipts_ms * 1e3, conf->directives > 0 ? n : 0),
        "quiet_cpu_ms_a_child_minute", share((double)r->quiet_ms, minutes),
        "heads", (json_int_t)r->heads);
}

static void print_report(json_t *report)
{
    const char *key;
    json_t *value;
    json_object_foreach(report, key, value)
    {
        (void)printf("%-28s %.10g\n", key, json_number_value(value));
    }
}

static int run_in(struct options *o)
{
    struct crowd_report r;
    struct errmsg why = {""};
    enum err err = crowd_run(&o->conf, &r, &why);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "creditsim crowd: %s\n", why.text);
        return err == ERR_CONFLICT || err == ERR_TIMEOUT ? SIM_BROKEN
                                                         : SIM_CANNOT;
    }
    json_t *report = report_json(&o->conf, &r);
    if (o->json) {
        (void)json_dumpf(report, stdout, JSON_REAL_PRECISION(6));
        (void)printf("\n");
    } else {
        print_report(report);
    }
    json_decref(report);
    return SIM_HOLDS;
}

int creditsim_crowd(int argc, char **argv)
{
    struct options o;
    int status = SIM_USAGE;
    char folder[SIM_FOLDER_MAX];
    if (!parse(&o, argc, argv, &status)) {
        return status;
    }
    if (!sim_folder_make(o.dir, folder)) {
        return SIM_CANNOT;
    }
    o.conf.folder = folder;
    log_set_level(LOG_ERROR);
    status = run_in(&o);
    if (o.keep || status != SIM_HOLDS) {
        (void)fprintf(stderr, "kept: %s\n", folder);
    } else {
        sim_folder_remove(folder);
    }
    return status;
}
