#!/usr/bin/env bash
# A county of two processes over a Galera cluster of three servers, under load.
# Round after round one of them or a server is killed, stopped or frozen.
# Another goes on; nothing acknowledged is missing, nothing is there twice; who
# was frozen and wakes writes nothing; the one that stands by answers what the
# one that writes answers, and says where that is.
#   test_processes.sh [ROUNDS]
# ROUNDS and EVENTS in the environment: how many, and which in turn.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/galera.sh"
. "$(dirname "$0")/processes.sh"

ROUNDS=${1:-${ROUNDS:-6}}
ROWS=40
TREE_ISSUERS="000000000000:2:3 $PROVINCE:1:1"
galera_county
for code in "$PROVINCE" "$CITY" "$COUNTY"; do
    set_option "$code" replication.renew="1 s"
done
second_process "$COUNTY"
two_parents "$TOWN" "$COUNTY"
start_all
within "$PATIENCE" "one writes" has_writer "$COUNTY"

load_begins "$VILLAGE" 1
log=$(own_log "$VILLAGE")

takes_in() { # more than was acknowledged before
    [ "$(size_at "$1" "$log")" -gt $((before * ROWS)) ] 2>/dev/null
}
# Whichever does.
some_takes_in() { takes_in "$writer" || takes_in "$other"; }

# What happens between the two, and how long nothing was taken in.
goes_on() { # TEXT COMMAND...
    local text=$1 began
    shift
    before=$(batches "$VILLAGE")
    began=$(date +%s%N)
    within "$PATIENCE" "$text: the village enters on" more_batches "$VILLAGE" $((before + 1))
    before=$(batches "$VILLAGE")
    within "$PATIENCE" "$text: taken in again" "$@"
    echo "$text: taken in again after $((($(date +%s%N) - began) / 1000000)) ms, two batches of the village among them"
}

kill_the_writer() {
    kill_node "$writer"
    goes_on "writer killed" takes_in "$other"
    start "$writer"
    within "$PATIENCE" "it stands by" stands_by "$writer"
}
stop_the_writer() {
    stop "$writer"
    goes_on "writer stopped" takes_in "$other"
    start "$writer"
    within "$PATIENCE" "it stands by" stands_by "$writer"
}
freeze_the_writer() {
    local lines
    lines=$(log_end "$writer")
    kill -STOP "$(tree_pid "$writer")"
    goes_on "writer frozen" takes_in "$other"
    term=$(process_says "$other" term)
    kill -CONT "$(tree_pid "$writer")"
    within "$PATIENCE" "awake it stands by" stands_by "$writer"
    within "$PATIENCE" "it had to be told" says "$writer" LEASE-LOST "$lines"
    check "the other stays" [ "$(process_says "$other" term)" = "$term" ]
    check "and nothing disturbed it" writes "$other"
}
kill_a_server() {
    n=$(galera_of "$writer")
    check "the writer is at a server" [ "$n" != 0 ]
    galera_kill "$n"
    goes_on "server $n killed" some_takes_in
    galera_join "$n"
}
freeze_a_server() {
    n=$(galera_of "$writer")
    check "the writer is at a server" [ "$n" != 0 ]
    kill -STOP "${GALERA_PIDS[$n]}"
    goes_on "server $n frozen" some_takes_in
    kill -CONT "${GALERA_PIDS[$n]}"
    within "$PATIENCE" "server $n is back" galera_synced "$n"
    within "$PATIENCE" "three servers" galera_size "$n" 3
}
kill_the_other() {
    kill_node "$other"
    goes_on "stand-by killed" takes_in "$writer"
    start "$other"
    within "$PATIENCE" "it stands by" stands_by "$other"
}

read -ra EVENTS <<<"${EVENTS:-freeze_a_server kill_the_writer freeze_the_writer kill_a_server stop_the_writer kill_the_other}"
for ((i = 0; i < ROUNDS; i++)); do
    within "$PATIENCE" "load" more_batches "$VILLAGE" "$(batches "$VILLAGE")"
    within "$PATIENCE" "one writes, the other stands by" find_sides "$COUNTY"
    "${EVENTS[i % ${#EVENTS[@]}]}"
done

load_ends
within "$PATIENCE" "one writes, the other stands by" find_sides "$COUNTY"
check "equal everywhere" equal "$PROVINCE" "$CITY" "$writer" "$TOWN" "$VILLAGE"
check "everything acknowledged is there" acked "$PROVINCE" "$writer" "$TOWN"
check "nothing twice" holds_rows "$VILLAGE" $(($(batches "$VILLAGE") * ROWS))
check "scrub" node_cmd "$writer" scrub >/dev/null

# Who stands by has the same heads, answers the same, and takes nothing.
heads_of() { node_cmd "$1" logs --json | jq -c '.rows[] | [.log, .size, .root]' | sort; }
same_heads() { [ "$(heads_of "$writer")" = "$(heads_of "$other")" ]; }
within "$PATIENCE" "the stand-by has the same heads" same_heads
check "and everything acknowledged" acked "$other"
enter "$other" 900000 1
[ $? = 6 ] || fail "a row at a stand-by: not refused by status 6"
check "it says who writes" grep -q "stands by: .* writes" "$WORK/import.$other"

# What the writer takes in is seen beside it.
check "new rows" enter "$VILLAGE" 950000 "$ROWS"
check "equal again" equal "$PROVINCE" "$CITY" "$writer" "$TOWN" "$VILLAGE"
within "$PATIENCE" "seen beside it" same_heads
check "answered there" acked "$other"

# Lists from above are as fresh there, though only the writer hears of them.
decide_list --publish
is_fresh() { [ "$(listed_at "$1" freshness)" = fresh ]; }
within "$PATIENCE" "fresh where it comes in" is_fresh "$writer"
within "$PATIENCE" "and beside" is_fresh "$other"
