#!/usr/bin/env bash
# A village whose line carries 16 kbit/s from its first byte on: it comes up,
# what it enters rises, a list comes down; and when its store is lost, its log
# comes back from above, over one connection each time.
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

RATE=2000 # bytes a second, each way
ROWS=1200 # a log that is several messages, and more than a ping may wait for
TREE_ISSUERS="000000000000:2:3 $COUNTY:1:1"
make_small
# As docs/operations.md, "Poor lines", tells it to such an office.
for code in "$TOWN" "$VILLAGE"; do
    set_option "$code" rpc.keepalive="15 s"
    set_option "$code" rpc.keepalive_timeout="45 s"
    set_option "$code" rpc.handshake_timeout="60 s"
    set_option "$code" replication.greeting="60 s"
    set_option "$code" replication.silence="60 s"
done
make_relay "$VILLAGE"
line "$VILLAGE" rate "$RATE"
key=$TREE/fed/deciders/$COUNTY-1.key

# Seconds: what so many bytes take on that line, and what goes with them.
carries() { echo $((PATIENCE + 2 * $1 / RATE)); }
streams() { is "$VILLAGE" .uplink.state streaming; }
# TEXT [FROM-LINE]: nothing was given up since.
held() {
    ! says "$VILLAGE" 'SYNC-LOST|SYNC-TIMEOUT|FOLLOW-LOST' "${2:-1}" ||
        fail "$1: the line was given up: $(grep -aE -m1 'SYNC-LOST|SYNC-TIMEOUT|FOLLOW-LOST' <(tail -n "+${2:-1}" "$TREE/$VILLAGE/log"))"
}

note "its first start"
start_all
within "$PATIENCE" "the village has its parent" streams
held "its first start"
check "one connection" [ "$(line_connections "$VILLAGE")" = 1 ]
note "$(cat "$TREE/$VILLAGE/stats")"
check "rows" enter "$VILLAGE" 1 100
listings 1 50 >"$WORK/list.csv"
check "decisions" directive "$COUNTY" import "$WORK/list.csv" --key "$key" --yes --publish >/dev/null
check "the rows rise" equal "$(carries 100000)"
within "$(carries 50000)" "the list comes" list_arrived "$VILLAGE"
held "rows and a list"
note "$(cat "$TREE/$VILLAGE/stats")"

note "its store is lost"
line "$VILLAGE" rate 0
check "many rows" enter "$VILLAGE" 1001 $ROWS
check "equal" equal
log=$(own_log "$VILLAGE")
size=$(own_size "$VILLAGE")
stop "$VILLAGE"
empty_node "$VILLAGE"
line "$VILLAGE" rate "$RATE"
bytes_down() { line_bytes "$VILLAGE" >/dev/null && awk '{print $4}' "$TREE/$VILLAGE/stats"; }
down=$(bytes_down)
before=$(line_connections "$VILLAGE")
from=$(($(log_end "$VILLAGE") + 1))
start "$VILLAGE"
is_back() { [ "$(logs_of "$VILLAGE" "select(.log == \"$log\") | \"\(.state) \(.size)\"")" = "closed $size" ]; }
within "$(carries 400000)" "the log is whole again" is_back
note "$(($(bytes_down) - down)) bytes came down"
held "its log from above" "$from"
check "one connection" [ "$(line_connections "$VILLAGE")" = $((before + 1)) ]
check "a row in the new log" enter "$VILLAGE" 9001 1
check "that rises" equal "$(carries 50000)"
check "everything acknowledged" acked "$VILLAGE" "$TOWN" "$COUNTY"
