#!/usr/bin/env bash
# The disk of a tier is full or read-only: the node says so, refuses writes with
# a clear error, loses nothing acknowledged, and goes on by itself when there is
# room.
#   test_disk.sh village|township|county
# With a file system of its own if this may be mounted; elsewhere the node's
# reserve stands for the full disk and the read-only case is left out.
. "$(dirname "$0")/lib.sh"

allow STORE-FULL STORE-BACKGROUND
make_small
case ${1:-village} in
village) full=$VILLAGE ;;
township) full=$TOWN ;;
county) full=$COUNTY ;;
esac
data=$TREE/$full/data
mkdir -p "$data"
mounted=0 ballast=0
if mount -t tmpfs -o size=48m creditnode-test "$data" 2>/dev/null; then
    mounted=1
    trap 'umount -l "$data" 2>/dev/null; at_end' EXIT
    set_option "$full" store.reserve="1 MiB"
    set_option "$full" store.write_buffer="256 KiB"
    # Room is less than what RocksDB likes to set aside.
    fill() { fallocate -l "$(($(stat -f -c '%a * %S' "$data" | sed 's/ //g')))" "$data/ballast.$((++ballast))" 2>/dev/null; }
    room() { rm -f "$data"/ballast.*; }
else
    note "no mount permitted: the reserve stands for a full disk"
    free=$(($(stat -f -c '%a * %S' "$WORK")))
    set_option "$full" store.reserve="$(((free >> 20) - 2048)) MiB"
    fill() { fallocate -l 4G "$WORK/ballast"; }
    room() { rm -f "$WORK/ballast"; }
fi
start_all
check "import" enter "$VILLAGE" 1 200
check "equal" equal

refuses() {
    local from=$1
    says "$full" "STORE-FULL" "$from" &&
        is "$full" .store.writable false && is "$full" .health.state alarm
}
writes() { is "$full" .store.writable true; }

blocked() { # HOW: entering at the full node is refused, elsewhere it goes on
    local from=$2
    if [ "$full" = "$VILLAGE" ]; then
        enter_until_refused "$1"
    else
        check "entering goes on below ($1)" enter "$VILLAGE" $((RANDOM + 1000)) 100
    fi
    within "$PATIENCE" "the node says that it cannot write ($1)" refuses "$from"
    [ "$full" = "$VILLAGE" ] ||
        within "$PATIENCE" "its child is told when to come again ($1)" \
            says "$full" 'SYNC-APPEND.*retry after 3000 ms' "$from"
    ! enter "$full" $((RANDOM + 100000)) 20 || fail "rows were taken ($1)"
    grep -qiE 'no space|read-only|free some disk' "$WORK/import.$full" ||
        fail "no clear error: $(tail -n 2 "$WORK/import.$full")"
    note "refused: $(tail -n 1 "$WORK/import.$full" | cut -c1-200)"
    check "reads go on ($1)" node_cmd "$full" logs >/dev/null
    check "the rows before are answered ($1)" acked "$VILLAGE"
}
enter_until_refused() {
    local i
    for ((i = 0; i < 50; i++)); do
        enter "$full" $((200000 + i * 200)) 200 || return 0
    done
    fail "never refused ($1)"
}

# ---- full ----
from=$(($(log_end "$full") + 1))
fill
blocked full "$from"
room
within "$PATIENCE" "writes again" writes
check "entering again" enter "$VILLAGE" 300001 50
check "equal" equal
check "nothing acknowledged was lost" acked "$VILLAGE" "$COUNTY"

# ---- full, and started so ----
fill
from=$(($(log_end "$full") + 1))
stop "$full"
if tree_start "$full" 2>/dev/null; then
    # Starting may have freed a little; room is looked at when there is
    # something to write.
    refuses_when_full() {
        fill
        enter "$VILLAGE" $((RANDOM + 500000)) 5 || true
        refuses "$from"
    }
    within "$PATIENCE" "the full node says so after its start" refuses_when_full
else
    tail -n 1 "$TREE/$full/log" | grep -qiE 'space|full|reserve' ||
        fail "no reason: $(tail -n 1 "$TREE/$full/log")"
    rm -f "$TREE/$full/pid"
    room
    start "$full"
fi
room
within "$PATIENCE" "writes again" writes
check "equal" equal

# ---- read-only ----
# A file system that is written cannot be made read-only, so the node starts on
# one that is.
if [ $mounted = 1 ]; then
    stop "$full"
    check "remount" mount -o remount,ro "$data"
    from=$(($(log_end "$full") + 1))
    if tree_start "$full" 2>/dev/null; then
        ! enter "$full" 600001 20 || fail "rows were taken on a read-only disk"
        within "$PATIENCE" "the state is alarm" is "$full" .health.state alarm
        status "$full" .store.why | grep -qi read-only || fail "no cause: $(status "$full" .store)"
        check "the rows before are answered" acked "$VILLAGE"
        mount -o remount,rw "$data" || fail "remount"
        within "$PATIENCE" "writes again" writes
    else
        tail -n 1 "$TREE/$full/log" | grep -qi 'read-only' ||
            fail "no reason: $(tail -n 1 "$TREE/$full/log")"
        note "start refused: $(tail -n 1 "$TREE/$full/log" | cut -c1-200)"
        rm -f "$TREE/$full/pid"
        mount -o remount,rw "$data" || fail "remount"
        start "$full"
    fi
fi
check "more rows" enter "$VILLAGE" 400001 50
check "equal" equal
check "nothing acknowledged was lost" acked "$VILLAGE" "$COUNTY"
check "scrub" node_cmd "$full" scrub >/dev/null
stop "$full"
start "$full"
check "equal after a restart" equal
