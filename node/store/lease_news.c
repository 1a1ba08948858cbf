#include "store/lease_news.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

void lease_marks_look(struct lease_marks *marks, uint64_t term, uint64_t beat,
                      int64_t asked_ms)
{
    if (!marks->met || term < marks->term) { /* the row was made anew */
        *marks = (struct lease_marks){.term = term, .beat = beat};
    }
    bool begun = marks->met && term > marks->term;
    bool beaten = marks->met && term == marks->term && beat > marks->beat;
    if (begun || beaten) {
        marks->at[marks->next] =
            (struct lease_mark){.term = term,
                                .from = begun ? 0 : marks->beat + 1,
                                .to = beat,
                                .after_ms = marks->asked_ms};
        marks->next = (marks->next + 1) % LEASE_MARKS;
    }
    marks->met = true;
    marks->term = term;
    /* A beat that comes late sets it back, and was there all the same. */
    marks->beat = begun || beaten ? beat : marks->beat;
    marks->asked_ms = asked_ms;
}

bool lease_marks_before(const struct lease_marks *marks, uint64_t term,
                        uint64_t beat, int64_t *ms)
{
    for (size_t i = 0; i < LEASE_MARKS; i++) {
        const struct lease_mark *m = &marks->at[i];
        if (m->term == term && m->term != 0 && m->from <= beat &&
            beat <= m->to) {
            *ms = m->after_ms;
            return true;
        }
    }
    return false;
}

size_t lease_news_put(const struct lease_head *heads, size_t n, int64_t now_ms,
                      char out[LEASE_TEXT_MAX])
{
    size_t len = 0;
    out[0] = 0;
    for (size_t i = 0; i < n && i < LEASE_HEADS_MAX; i++) {
        char log[LOG_ID_TEXT_MAX];
        int64_t age_ms = now_ms - heads[i].came_ms;
        log_id_format(&heads[i].log, log);
        int more =
            snprintf(out + len, LEASE_TEXT_MAX - len, "%s %llu %llu %llu\n",
                     log, (unsigned long long)heads[i].size,
                     (unsigned long long)heads[i].signed_ms,
                     (unsigned long long)(age_ms > 0 ? age_ms : 0));
        if (more < 0 || (size_t)more >= LEASE_TEXT_MAX - len) {
            break;
        }
        len += (size_t)more;
    }
    out[len] = 0;
    return len;
}

/* The next word of a line, whose blanks are single. */
static struct slice next_word(struct slice *line)
{
    size_t len = 0;
    while (len < line->len && line->data[len] != ' ') {
        len++;
    }
    struct slice word = slice_of(line->data, len);
    size_t past = len < line->len ? len + 1 : len;
    *line = slice_of(line->data + past, line->len - past);
    return word;
}

static bool take_head(struct slice line, int64_t at_ms, struct lease_head *out)
{
    char log[LOG_ID_TEXT_MAX];
    uint64_t signed_ms;
    uint64_t age_ms;
    struct slice name = next_word(&line);
    if (name.len >= sizeof log) {
        return false;
    }
    memcpy(log, name.data, name.len);
    log[name.len] = 0;
    if (!log_id_parse(log, &out->log) ||
        !str_u64(next_word(&line), &out->size) ||
        !str_u64(next_word(&line), &signed_ms) || !str_u64(line, &age_ms) ||
        signed_ms > INT64_MAX || age_ms > INT32_MAX) {
        return false;
    }
    out->signed_ms = (int64_t)signed_ms;
    out->came_ms = at_ms - (int64_t)age_ms;
    return true;
}

size_t lease_news_read(struct slice text, int64_t at_ms,
                       struct lease_head out[LEASE_HEADS_MAX])
{
    size_t n = 0;
    struct slice line;
    while (n < LEASE_HEADS_MAX && str_next_line(&text, &line)) {
        n += take_head(line, at_ms, &out[n]);
    }
    return n;
}
