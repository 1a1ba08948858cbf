/* health.h - the state of this node in one word, and why. Pure.
 *
 * Silence is red: what was not heard of is never assumed to be well. */
#ifndef HEALTH_HEALTH_H
#define HEALTH_HEALTH_H

#include "store/store.h"
#include "store/views.h"

enum health_level { HEALTH_OK, HEALTH_WARN, HEALTH_ALARM };
const char *health_level_name(enum health_level level);

struct health_facts {
    int64_t now_ms; /* wall clock */
    bool has_parent;
    bool connected;             /* to the parent */
    int64_t connected_since_ms; /* last change of that, wall clock */
    const char *connect_error;  /* of the last failure, "" if none */
    struct store_stats store;
    struct views_stats views;
    uint64_t forked_logs;
    uint64_t pulling_logs;
    int64_t tls_not_after_ms;
    int64_t sign_not_after_ms;
    int64_t seal_not_after_ms; /* 0: no sealing certificate */
    int64_t parent_skew_ms;    /* its clock minus this one; 0: not connected */
    int64_t child_skew_ms;     /* the largest of the connected children's */
    uint64_t stuck_logs;       /* logs that the parent takes no more of */
    int64_t stuck_for_ms;      /* the longest */
    const char *stuck_log;     /* one of them */
    const char *stuck_why;     /* what was said of it, "": nothing */
    uint64_t silent_children;  /* nothing heard for HEALTH_SILENCES silences */
    int64_t silent_for_ms;     /* the longest */
    uint64_t silent_child;     /* that one's code */
    /* What is wrong with the root document, "" if nothing: the CA files trust
     * more than it names; a neighbour has another text of a version. */
    const char *root_ca;
    const char *root_fork;
    uint64_t stale_lists;     /* directives logs without news from the issuer */
    uint64_t unproven_lists;  /* with news, but the clocks differ */
    bool parent_offers_older; /* lists than are held here */
    bool lost_lists;          /* a child holds more of this node's own */
    uint64_t lost_lists_child;
    uint64_t exchange_stopped; /* tables */
    const char *exchange_why;  /* of one of them */
    uint64_t exchange_stuck;   /* rows that cannot be marked */
    /* Children that hold, or below which is held, another history of a list. */
    uint64_t other_histories;
};

/* A child is silent when nothing was heard of it for so many times
 * replication.silence. */
enum { HEALTH_SILENCES = 3 };
/* From here on another clock is called wrong. */
enum { HEALTH_SKEW_MS = 60 * 1000 };

/* All ids that a reason can have, NULL behind the last. */
extern const char *const health_reason_ids[];

enum { HEALTH_REASONS_MAX = 32 };
struct health_report {
    enum health_level level; /* the worst of the reasons */
    size_t count;
    struct {
        enum health_level level;
        const char *id; /* "uplink-down", stable */
        char text[160]; /* what it is and what to do */
        char text_zh[320];
    } reason[HEALTH_REASONS_MAX];
};
void health_judge(const struct health_facts *facts,
                  struct health_report *report);

#endif
