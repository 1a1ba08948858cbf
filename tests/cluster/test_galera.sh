#!/usr/bin/env bash
# A county whose store is in a Galera cluster of three servers: the server that
# it writes to is killed under load, again and again. It goes on with another,
# nothing acknowledged is missing, nothing is there twice, all three servers
# hold the same.
#   test_galera.sh [KILLS], or KILLS in the environment
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/galera.sh"

KILLS=${1:-${KILLS:-6}}
ROWS=40
galera_county
start_all

load_begins "$VILLAGE" 1
log=$(own_log "$VILLAGE")

# The one that has most of the county's connections.
writes_at() {
    local n most=0 best=0 has
    for n in 1 2 3; do
        has=$(galera_sql $n "SELECT COUNT(*) FROM information_schema.processlist
            WHERE db='cn_$COUNTY'" 2>/dev/null) || continue
        [ "$has" -le "$most" ] || { most=$has best=$n; }
    done
    echo "$best"
}

# More than it had, and what was acknowledged before the kill.
takes_in() {
    [ "$(size_at "$COUNTY" "$log")" -gt $((before * ROWS)) ] 2>/dev/null
}

for ((i = 1; i <= KILLS; i++)); do
    within "$PATIENCE" "load" more_batches "$VILLAGE" "$(batches "$VILLAGE")"
    n=$(writes_at)
    check "the county is at a server" [ "$n" != 0 ]
    before=$(batches "$VILLAGE")
    galera_kill "$n"
    began=$(date +%s%N)
    within "$PATIENCE" "the village enters on" more_batches "$VILLAGE" $((before + 1))
    before=$(batches "$VILLAGE")
    within "$PATIENCE" "the county takes in again" takes_in
    echo "without server $n: going on after $((($(date +%s%N) - began) / 1000000)) ms, at server $(writes_at)"
    galera_join "$n"
done

# At another server somebody changes the row that each commit begins with, and
# puts it back: commits come into conflict, and none is lost or done twice.
disturb() { # N
    while [ ! -e "$WORK/calm" ]; do
        galera_sql "$1" "USE cn_$COUNTY; BEGIN;
            SET @was = (SELECT claim FROM cn_meta WHERE k = 2 FOR UPDATE);
            UPDATE cn_meta SET claim = 0 WHERE k = 2;
            UPDATE cn_meta SET claim = @was WHERE k = 2; COMMIT" 2>/dev/null
    done
}
conflicts() {
    echo $(($(galera_says "$1" wsrep_local_cert_failures) + $(galera_says "$1" wsrep_local_bf_aborts)))
}
in_conflict() { [ "$(conflicts "$n")" -gt "$had" ]; }
n=$(writes_at)
had=$(conflicts "$n")
disturb $((n % 3 + 1)) &
disturber=$!
PROCESSES+=("$disturber")
within "$PATIENCE" "commits in conflict" in_conflict
: >"$WORK/calm"
wait "$disturber"
note "commits in conflict: $(($(conflicts "$n") - had))"
before=$(batches "$VILLAGE")
within "$PATIENCE" "the county takes in all the same" takes_in

load_ends
check "equal everywhere" equal
check "everything acknowledged is there" acked "$PROVINCE" "$COUNTY" "$TOWN"
check "nothing twice" holds_rows "$VILLAGE" $(($(batches "$VILLAGE") * ROWS))
check "scrub" node_cmd "$COUNTY" scrub >/dev/null

# Whichever server is asked.
sums() {
    galera_sql "$1" "SET SESSION wsrep_sync_wait=1;
        CHECKSUM TABLE cn_$COUNTY.cn_block, cn_$COUNTY.cn_index,
        cn_$COUNTY.cn_part, cn_$COUNTY.cn_node, cn_$COUNTY.cn_meta" | cut -f2
}
tree_stop "$COUNTY"
check "the second server has the same" [ "$(sums 1)" = "$(sums 2)" ]
check "the third server has the same" [ "$(sums 1)" = "$(sums 3)" ]
start "$COUNTY"
check "equal at the end" equal
