#include "sync/tails.h"

static struct tail *find(struct tails *tails, const struct log_id *log)
{
    size_t i = 0;
    while (i < tails->n && !log_id_eq(&tails->at[i].log, log)) {
        i++;
    }
    return &tails->at[i];
}

void tails_note(struct tails *tails, const struct log_id *log, uint64_t sure,
                uint64_t upto)
{
    struct tail *end = tails->at + tails->n;
    struct tail *t = find(tails, log);
    if (t == end && (sure >= upto || tails->n == TAILS_MAX)) {
        return;
    }
    tails->n += t == end;
    *t = (struct tail){*log, sure, upto};
    if (sure >= upto) {
        *t = tails->at[--tails->n];
    }
}

uint64_t tails_sure(const struct tails *tails, const struct log_id *log,
                    uint64_t known)
{
    for (size_t i = 0; i < tails->n; i++) {
        const struct tail *t = &tails->at[i];
        if (log_id_eq(&t->log, log) && known <= t->upto && t->sure < known) {
            return t->sure;
        }
    }
    return known;
}
