#!/usr/bin/env bash
# The line is cut for long and the child's records change ten times over:
# entering is never refused, nothing queues up, and catching up sends each entry
# once.
. "$(dirname "$0")/lib.sh"

ROWS=200
make_small
make_relay "$VILLAGE"
start_all
check "import" enter "$VILLAGE" 1 $ROWS
check "equal" equal
within "$PATIENCE" "all is acknowledged" is "$VILLAGE" .uplink.behind_entries 0
bytes=$(line_bytes "$VILLAGE")
line "$VILLAGE" cut

change() { # ROUND: the same records in other words
    rows 1 $ROWS | sed "s/甲市市场监管局,11999900MB0000019D,1,/&/; 2,\$s/\$/$1/" |
        node_cmd "$VILLAGE" import --stdin --quiet --json
}
for round in 1 2 3 4 5 6 7 8 9 10; do
    change "$round" >"$WORK/out" || fail "import of round $round refused: $(cat "$WORK/out")"
    check "every row is a change" [ "$(jq '.[0].changed' "$WORK/out")" = $ROWS ]
    within "$PATIENCE" "nothing queues" is "$VILLAGE" .store.queued 0
    within "$PATIENCE" "nothing in flight" is "$VILLAGE" .uplink.in_flight_bytes 0
done
check "the lag is known" is "$VILLAGE" .uplink.behind_entries $((10 * ROWS))
sent=$(status "$VILLAGE" .uplink.sent_entries)
line "$VILLAGE" join
check "equal" equal
check "each entry was sent once" is "$VILLAGE" .uplink.sent_entries $((sent + 10 * ROWS))
note "$(($(line_bytes "$VILLAGE") - bytes)) bytes for $((10 * ROWS)) entries"
check "eleven versions" holds_rows "$VILLAGE" $((11 * ROWS))
check "rows of the first version are in the history" acked "$COUNTY"

# A line that takes a byte wrong, freezes one way, or crawls, is no fault of
# the logs.
for fault in flip "freeze up" "freeze down" "rate 2000"; do
    from=$(log_end "$VILLAGE")
    line "$VILLAGE" "$fault"
    check "import with: $fault" enter "$VILLAGE" $((10000 + RANDOM)) 30
    case $fault in freeze*) within "$PATIENCE" "the silence is noticed" says "$VILLAGE" SYNC-LOST "$from" ;; esac
    line "$VILLAGE" join
    line "$VILLAGE" rate 0
    check "equal after: $fault" equal
done
