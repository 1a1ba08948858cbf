#!/usr/bin/env bash
# A node put back from an old backup is recognised, gets its old log back from
# its parent and goes on in a successor log; what was entered since the restore
# is kept, whether the line was there or not.
#   test_restore.sh online|offline|empty [SUITE]
. "$(dirname "$0")/lib.sh"

how=${1:-online}
make_small "${2:-intl}"
make_relay "$VILLAGE"
start_all
check "import" enter "$VILLAGE" 1 200
check "equal" equal
stop "$VILLAGE"
cp -a "$TREE/$VILLAGE/data" "$WORK/backup"
start "$VILLAGE"
check "import after the backup" enter "$VILLAGE" 201 150
check "equal" equal
old=$(own_log "$VILLAGE")
old_size=$(own_size "$VILLAGE")
stop "$VILLAGE"

empty_node "$VILLAGE"
[ "$how" = empty ] || cp -a "$WORK/backup" "$TREE/$VILLAGE/data"
mv "$WORK/acked/$VILLAGE" "$WORK/acked/before"
[ "$how" = online ] || line "$VILLAGE" cut
from=$(log_end "$VILLAGE")
start "$VILLAGE"
check "import after the restore" enter "$VILLAGE" 1001 100
# Their numbers may change: with the line away nobody can know yet.
rm "$WORK/acked/$VILLAGE"
[ "$how" = online ] || line "$VILLAGE" join

closed() {
    [ "$(logs_of "$VILLAGE" "select(.log == \"$old\") | \"\(.state) \(.size)\"")" = "closed $old_size" ]
}
within "$PATIENCE" "the old log is whole again" closed
check "a new log" [ "$(own_log "$VILLAGE")" != "$old" ]
within "$PATIENCE" "the restore was noticed" says "$VILLAGE" "SYNC-SUCCEED|SYNC-RESTORED" "$from"
check "more rows" enter "$VILLAGE" 2001 50
check "equal" equal
check "what was entered before the restore" acked "$VILLAGE" "$COUNTY"

# Entered again, nothing changes: every row is known.
check "again" enter "$VILLAGE" 1001 100
cut -d, -f2 "$WORK/receipt.$VILLAGE" | sort | uniq -c | tee "$WORK/outcomes" >&2
check "nothing of the restored node was lost" [ "$(awk '/unchanged/ {print $1}' "$WORK/outcomes")" = 100 ]
check "again" enter "$VILLAGE" 201 150
cut -d, -f2 "$WORK/receipt.$VILLAGE" | sort | uniq -c >&2
# Without the old keys the content cannot be compared: a new version, no new record.
check "nothing of the old log was lost" [ "$(grep -cE '"(un)?changed"' "$WORK/receipt.$VILLAGE")" = 150 ]
check "equal" equal
check "all of it, above" acked "$VILLAGE" "$TOWN" "$COUNTY"
quiet() { is "$VILLAGE" .health.state ok; }
within "$PATIENCE" "the state is ok again" quiet
check "scrub" node_cmd "$VILLAGE" scrub >/dev/null
