#!/usr/bin/env bash
# A poor line that carries much both ways at once is slow, and not dead: it is
# not given up, nothing goes twice, and what is small and new does not wait for
# all that was there before.
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

RATE=16000 # bytes a second, each way
TREE_ISSUERS="000000000000:2:3 $COUNTY:1:1"
make_small
# As short as they may be beside that rate, so that what lies in the line's
# queues and is more than some seconds shows.
for code in "$COUNTY" "$TOWN"; do
    set_option "$code" replication.silence="15 s"
    set_option "$code" rpc.keepalive_timeout="15 s"
    set_option "$code" replication.renew="2 s"
done
make_relay "$TOWN"
start_all
key=$TREE/fed/deciders/$COUNTY-1.key
rose() { [ "$(size_at "$COUNTY" "$(own_log "$1")")" = "$(own_size "$1")" ]; } # CODE
is_behind() { ! rose "$VILLAGE"; }

listings 1201 1201 >"$WORK/one.csv"
check "open the log" directive "$COUNTY" import "$WORK/one.csv" --key "$key" --yes --publish >/dev/null
check "rows" enter "$VILLAGE" 1 50
check "equal" equal
within "$PATIENCE" "the list is there" list_arrived "$TOWN"
from=$(($(log_end "$TOWN") + 1))
before=$(line_connections "$TOWN")
sent=$(line_bytes "$TOWN")

note "much goes up and down"
line "$TOWN" rate "$RATE"
listings 1 1200 >"$WORK/many.csv"
check "a large package" directive "$COUNTY" import "$WORK/many.csv" --key "$key" --yes --publish >/dev/null
check "many rows" enter "$VILLAGE" 101 3000
check "one row of the township" enter "$TOWN" 9001 1
within "$PATIENCE" "that rises" rose "$TOWN"
check "before all that was there before it" is_behind
within $((2 * PATIENCE)) "the rest rises" rose "$VILLAGE"
within "$PATIENCE" "the package comes" list_arrived "$TOWN"
check "equal" equal
! says "$TOWN" 'SYNC-LOST|SYNC-TIMEOUT|FOLLOW-LOST' "$from" || fail "the line was given up"
check "one connection" [ "$(line_connections "$TOWN")" = "$before" ]
size=$(logs_of "$TOWN" "select(.log == \"$(own_log "$VILLAGE")\") | .size")
sent=$(($(line_bytes "$TOWN") - sent))
note "$size entries, $sent bytes went up"
check "everything acknowledged" acked "$COUNTY"
