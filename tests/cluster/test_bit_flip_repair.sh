#!/usr/bin/env bash
# A byte flips on the disk of a township, then of its village: each says so,
# ends with status 5, is started anew, rebuilds its store and gets from its
# neighbours what was lost. No ancestor ever differs, nothing acknowledged is
# missing.
. "$(dirname "$0")/lib.sh"

make_small
allow STORE-DAMAGED STORE-CORRUPT STORE-FAULT SYNC-UNREADABLE STORE-REBUILD \
    STORE-BACKGROUND
start_all
for first in 1 1001; do
    check "import" enter "$VILLAGE" "$first" 1000
done
check "equal" equal

# CODE: flips a byte in the middle of its largest file of blocks. RocksDB
# writes the family's name into each file.
flip_block() {
    local file size
    file=$(grep -la nameblocks "$TREE/$1"/data/store/*.sst | xargs ls -S | head -n 1)
    size=$(stat -c %s "$file")
    note "flipping $file at $((size / 2)) of $size"
    printf '\x5a\xa5' |
        dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc status=none
}

# CODE: opening writes what was in memory to files.
settle_files() { stop "$1" && start "$1" && stop "$1"; }

ended() { ! tree_alive "$1"; }

# CODE: its exit status, as a supervisor sees it.
exit_status() {
    local rc=0
    wait "$(tree_pid "$1")" || rc=$?
    rm -f "$TREE/$1/pid"
    echo "status $rc" >&2
    return $rc
}

# CODE: damages the stopped node, starts it, has it find the damage, restarts.
damage_and_repair() {
    local code=$1 from rc=0
    flip_block "$code"
    from=$(log_end "$code")
    start "$code"
    # Read by a person, an app, a neighbour or the patrol: here by scrub.
    node_cmd "$code" scrub >/dev/null 2>&1
    within "$PATIENCE" "$code ends by itself" ended "$code"
    exit_status "$code" || rc=$?
    check "exit status 5" [ "$rc" = 5 ]
    check "damage is named" says "$code" 'STORE-DAMAGED .*(\.sst|number)' "$from"
    from=$(log_end "$code")
    start "$code"
    check "it was rebuilt" says "$code" 'STORE-REBUILD .*result=ok' "$from"
    check "something was lost here" says "$code" 'STORE-REBUILD .*log=.* lost=[1-9]' "$from"
    check "the old folder is kept" compgen -G "$TREE/$code/data/store.damaged-*" >/dev/null
}

quiet() { is "$1" .health.state ok; }

note "a township"
settle_files "$TOWN"
damage_and_repair "$TOWN"
check "equal again" equal
check "all of it" acked "$TOWN" "$COUNTY"
check "scrub" node_cmd "$TOWN" scrub >/dev/null
within "$PATIENCE" "the township is well" quiet "$TOWN"

note "a township whose village is away: the county gives back"
stop "$VILLAGE"
settle_files "$TOWN"
damage_and_repair "$TOWN"
size=$(size_at "$COUNTY" "$(logs_of "$COUNTY" "select(.size > 1000) | .log" | head -n 1)")
whole() { [ "$(logs_of "$TOWN" "select(.size == $size) | .size")" = "$size" ]; }
within "$PATIENCE" "the log is whole again" whole
start "$VILLAGE"
check "equal again" equal
check "all of it" acked "$TOWN" "$COUNTY"

note "the village itself"
old=$(own_log "$VILLAGE")
settle_files "$VILLAGE"
damage_and_repair "$VILLAGE"
# What comes while the log is in doubt is kept.
check "import after the damage" enter "$VILLAGE" 5001 100
closed() { [ "$(logs_of "$VILLAGE" "select(.log == \"$old\") | .state")" = closed ]; }
within "$PATIENCE" "the old log is whole again" closed
check "a new log" [ "$(own_log "$VILLAGE")" != "$old" ]
check "more rows" enter "$VILLAGE" 6001 100
check "equal again" equal
check "again, nothing new" enter "$VILLAGE" 1 1000
check "nothing of the old log was lost" \
    [ "$(grep -c unchanged "$WORK/receipt.$VILLAGE")" = 1000 ]
check "equal again" equal
check "scrub" node_cmd "$VILLAGE" scrub >/dev/null
within "$PATIENCE" "the village is well" quiet "$VILLAGE"

# Rows entered in doubt had no number yet when they were acknowledged: those
# before the damage are asked for by theirs.
head -n 2000 "$WORK/acked/$VILLAGE" >"$WORK/acked.before"
mv "$WORK/acked.before" "$WORK/acked/$VILLAGE"
check "all of it" acked "$VILLAGE" "$TOWN" "$COUNTY"
