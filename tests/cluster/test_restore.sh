#!/usr/bin/env bash
# A node put back from an old backup is recognised, gets its old log back from
# its parent and goes on in a successor log; what was entered since the restore
# is kept, whether the line was there or not.
#   test_restore.sh online|offline|empty [village|county]
. "$(dirname "$0")/lib.sh"

how=${1:-online}
case ${2:-village} in
village) make_small && node=$VILLAGE above=("$TOWN" "$COUNTY") ;;
county) make_line && node=$COUNTY above=("$CITY" "$PROVINCE") ;;
esac
make_relay "$node"
start_all
check "import" enter "$node" 1 200
check "equal" equal
stop "$node"
keep_data "$node" "$WORK/backup"
start "$node"
check "import after the backup" enter "$node" 201 150
check "equal" equal
old=$(own_log "$node")
old_size=$(own_size "$node")
stop "$node"

[ "$how" != empty ] || empty_node "$node"
[ "$how" = empty ] || put_back_data "$node" "$WORK/backup"
mv "$WORK/acked/$node" "$WORK/acked/before"
[ "$how" = online ] || line "$node" cut
from=$(log_end "$node")
start "$node"
check "import after the restore" enter "$node" 1001 100
# Their numbers may change: with the line away nobody can know yet.
rm "$WORK/acked/$node"
[ "$how" = online ] || line "$node" join

closed() {
    [ "$(logs_of "$node" "select(.log == \"$old\") | \"\(.state) \(.size)\"")" = "closed $old_size" ]
}
within "$PATIENCE" "the old log is whole again" closed
check "a new log" [ "$(own_log "$node")" != "$old" ]
within "$PATIENCE" "the restore was noticed" says "$node" "SYNC-SUCCEED|SYNC-RESTORED" "$from"
check "more rows" enter "$node" 2001 50
check "equal" equal
check "what was entered before the restore" acked "$node" "${above[@]: -1}"

# Entered again, nothing changes: every row is known.
check "again" enter "$node" 1001 100
cut -d, -f2 "$WORK/receipt.$node" | sort | uniq -c | tee "$WORK/outcomes" >&2
check "nothing of the restored node was lost" [ "$(awk '/unchanged/ {print $1}' "$WORK/outcomes")" = 100 ]
check "again" enter "$node" 201 150
cut -d, -f2 "$WORK/receipt.$node" | sort | uniq -c >&2
# Without the old keys the content cannot be compared: a new version, no new record.
check "nothing of the old log was lost" [ "$(grep -cE '"(un)?changed"' "$WORK/receipt.$node")" = 150 ]
check "equal" equal
check "all of it, above" acked "$node" "${above[@]}"
quiet() { is "$node" .health.state ok; }
within "$PATIENCE" "the state is ok again" quiet
check "scrub" node_cmd "$node" scrub >/dev/null
