#!/usr/bin/env bash
# How long a county of two processes over a Galera cluster of three servers
# takes nothing in when the process that writes, or its database server, is
# killed with -9: until the row of an app that tries both addresses is
# acknowledged, and until a row that the village entered after the kill is there.
#   takeover.sh [TIMES]        CREDITNODE, BIN, BENCH_GEN as for tests/cluster
. "$(dirname "$0")/../cluster/lib.sh"
. "$(dirname "$0")/../cluster/apps.sh"
. "$(dirname "$0")/../cluster/galera.sh"
. "$(dirname "$0")/../cluster/processes.sh"

TIMES=${1:-5}
ROWS=10
galera_county
sed -i '/replication.backoff/d' "$TREE/$TOWN/set" # as it comes
make_app desk public,ingest
grant "$COUNTY" desk public,ingest
second_process "$COUNTY"
two_parents "$TOWN" "$COUNTY"
start_all
within "$PATIENCE" "one writes, the other stands by" find_sides "$COUNTY"
LOAD_PAUSE=0.02 # what is measured is not to wait for it
load_begins "$VILLAGE" 1
log=$(own_log "$VILLAGE")
row=900000

ms() { echo $(($(date +%s%N) / 1000000)); }
next_request() {
    row=$((row + 1))
    rows "$row" 1 >"$WORK/row.csv"
    pb_encode creditnode.ingest.v1.SubmitRequest ingest.proto \
        <<<"csv: \"$(pb_bytes "$WORK/row.csv")\"" >"$WORK/request"
}
submitted() { # CODE
    timeout 5 "$BIN/call" "127.0.0.1:$(tree_port "$1")" "$WORK/app-desk" \
        /creditnode.ingest.v1.Ingest/Submit <"$WORK/request" >/dev/null 2>&1
}
is_there() { # CODE: more than SIZE of the village
    local size
    size=$(size_at "$1" "$log")
    [ "${size:-0}" -gt "$held" ]
}
until_ms() { # COMMAND: tried at both, until one does it; in ms since $began
    until "$1" "$COUNTY" || "$1" "$COUNTY-b"; do sleep 0.01; done
    echo $(($(ms) - began))
}
measure() { # TEXT
    held=$(own_size "$VILLAGE")
    until_ms submitted >"$WORK/app.ms" &
    local app=$!
    until_ms is_there >"$WORK/child.ms"
    wait $app
    echo "$1: app $(cat "$WORK/app.ms") ms, child $(cat "$WORK/child.ms") ms"
}
ready() {
    within "$PATIENCE" "one writes, the other stands by" find_sides "$COUNTY"
    next_request
    check "the app enters" submitted "$writer"
    next_request
    sleep 2
}

note "load: $(cut -d' ' -f1-3 /proc/loadavg)"
for ((i = 0; i < TIMES; i++)); do
    ready
    began=$(ms)
    kill_node "$writer"
    measure "writer killed"
    start "$writer"
done
for ((i = 0; i < TIMES; i++)); do
    ready
    n=$(galera_of "$writer")
    began=$(ms)
    galera_kill "$n"
    measure "server of the writer killed"
    galera_join "$n"
done
load_ends
within "$PATIENCE" "one writes, the other stands by" find_sides "$COUNTY"
check "equal" equal "$PROVINCE" "$CITY" "$writer" "$TOWN" "$VILLAGE"
check "everything acknowledged is there" acked "$PROVINCE" "$writer"
