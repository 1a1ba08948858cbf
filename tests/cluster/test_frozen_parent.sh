#!/usr/bin/env bash
# A parent that stands still (SIGSTOP) is noticed by the child, which goes on
# working, and by itself catches up when the parent wakes.
. "$(dirname "$0")/lib.sh"

make_small
start_all
check "import" enter "$VILLAGE" 1 50
check "equal" equal
from=$(log_end "$VILLAGE")
kill -STOP "$(tree_pid "$TOWN")"
check "entering goes on" enter "$VILLAGE" 101 200
lost() { ! is "$VILLAGE" .uplink.state streaming; }
within "$PATIENCE" "the child notices" lost
within "$PATIENCE" "and says so" says "$VILLAGE" "SYNC-LOST|SYNC-TIMEOUT" "$from"
check "its apps are answered" acked "$VILLAGE"
within "$PATIENCE" "the state is not ok" is "$VILLAGE" .health.state warn
kill -CONT "$(tree_pid "$TOWN")"
check "equal" equal
within "$PATIENCE" "the state is ok again" is "$VILLAGE" .health.state ok

# A child that stands still holds up nobody.
kill -STOP "$(tree_pid "$VILLAGE")"
check "the township works" enter "$TOWN" 501 50
check "and is heard" equal "$TOWN" "$COUNTY"
kill -CONT "$(tree_pid "$VILLAGE")"
check "equal" equal
