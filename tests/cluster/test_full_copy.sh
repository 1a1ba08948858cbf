#!/usr/bin/env bash
# A parent that lost its store gets a full copy; cut off ten times on the way it
# goes on where it was: what is sent twice is at most what was in flight.
. "$(dirname "$0")/lib.sh"

WINDOW=65536
ROWS=4000
make_small
for node in "$COUNTY" "$TOWN" "$VILLAGE"; do
    set_option "$node" replication.window="64 KiB"
    set_option "$node" replication.segment="8 KiB"
    # A slow line is no dead one: its pings come behind what it carries.
    set_option "$node" rpc.keepalive_timeout="60 s"
done
make_relay "$TOWN"
start_all
check "import" enter "$VILLAGE" 1 $ROWS
check "equal" equal
once=$(line_bytes "$TOWN")
note "a full copy takes $once bytes"

stop "$COUNTY"
empty_node "$COUNTY"
line "$TOWN" rate $((once / 80))
from=$(log_end "$TOWN")
start "$COUNTY"
log=$(own_log "$VILLAGE")
grown() { [ "$(size_at "$COUNTY" "$log" || echo 0)" -gt "$1" ] 2>/dev/null; }
reached=0
for ((i = 1; i <= 10; i++)); do
    within "$PATIENCE" "copy goes on after cut $((i - 1))" grown "$reached"
    line "$TOWN" freeze up
    reached=$(size_at "$COUNTY" "$log")
    line "$TOWN" cut
    check "not over yet" [ "$reached" -lt "$ROWS" ]
    line "$TOWN" join
done
line "$TOWN" rate 0
check "equal after the cuts" equal
all=$(($(line_bytes "$TOWN") - once))
# A handshake takes some KiB too.
bound=$((once + 10 * (WINDOW + 16384)))
note "with ten cuts: $all bytes, at most $bound"
check "little was sent twice" [ "$all" -le "$bound" ]
within "$PATIENCE" "the log says full" says "$TOWN" "SYNC-FULL.*$log" "$from"
within "$PATIENCE" "the log says resumed" says "$TOWN" "SYNC-RESUMED.*$log" "$from"
check "everything is there" acked "$COUNTY"

# What was missed while the line was away is sent alone.
line "$TOWN" cut
check "import" enter "$VILLAGE" $((ROWS + 1)) 20
from=$(log_end "$TOWN")
before=$(line_bytes "$TOWN")
line "$TOWN" join
check "equal" equal
rest=$(($(line_bytes "$TOWN") - before))
note "incremental: $rest bytes"
check "only the rest was sent" [ "$rest" -lt 32768 ]
within "$PATIENCE" "the log says incremental" says "$TOWN" "SYNC-INCREMENTAL.*$log" "$from"
