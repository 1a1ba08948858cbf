#!/usr/bin/env bash
# A village at rest has in memory what rest takes of the program and its libraries
# and little more: after its start, and again after it has worked.
. "$(dirname "$0")/lib.sh"

MOST_KIB=$((9 * 1024)) # 24 MiB after a start that gives nothing back

# In pages of files: what it holds of data is not meant.
resident() { awk '$1 == "RssFile:" {print $2}' "/proc/$(tree_pid "$VILLAGE")/status"; }
is_small() { [ "$(resident)" -le $MOST_KIB ]; }
is_large() { [ "$(resident)" -gt $MOST_KIB ]; }

make_small
start_all
within "$PATIENCE" "a line to the parent" says "$VILLAGE" SYNC-UP
within "$PATIENCE" "rest after the start" is_small
note "$(resident) KiB at rest"

check "import" enter "$VILLAGE" 1 2000
check "work takes more than rest" is_large
note "$(resident) KiB after it has worked"
check "equal" equal
# Twice the longest wait after a start.
within $((2 * PATIENCE)) "rest after work" is_small
note "$(resident) KiB at rest"

check "it works on" enter "$VILLAGE" 2001 100
check "all is there" holds_rows "$VILLAGE" 2100
check "equal at the end" equal
check "everything acknowledged is there" acked "$COUNTY"
