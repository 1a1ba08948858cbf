#!/usr/bin/env bash
# A line of five tiers begins with an earlier program and is upgraded under load,
# from its middle outwards: so a node of the earlier one stands above and below
# one of the present. Every other end is a kill -9; where the county has a
# database, its first start is killed while it moves the tables. Records rise and
# a list comes down after each step; nothing acknowledged is missing, nothing is
# there twice, and the earlier program does not open what the present one keeps.
#   OLD=PROGRAM test_upgrade.sh
# OLD: an earlier creditnode (docs/simulator.md); left out without one.
. "$(dirname "$0")/lib.sh"
. "$HERE/processes.sh"

if [ -z "${OLD:-}" ]; then
    echo "no earlier program: OLD=PROGRAM names one"
    exit 77
fi
OLD=$(realpath "$OLD")
# Each may meet the end of another in the middle of anything.
allow STORE-BACKGROUND
: "${BEFORE:=12000}" # rows that are there already: more than one step of a move
ROWS=40
TREE_ISSUERS="000000000000:2:3 $PROVINCE:1:1"

# A node whose folder has the mark `old` has the earlier program, its commands too.
NEW=$CREDITNODE
CREDITNODE=$WORK/creditnode
cat >"$CREDITNODE" <<END
#!/bin/sh
for word; do
    [ ! -e "\${word%/node.cfg}/old" ] || exec "$OLD" "\$@"
done
exec "$NEW" "\$@"
END
chmod +x "$CREDITNODE"

make_line
for code in "$PROVINCE" "$CITY" "$COUNTY" "$TOWN" "$VILLAGE"; do
    : >"$TREE/$code/old"
    set_option "$code" replication.renew="2 s"
done
start_all
check "rows before" enter "$VILLAGE" 1000001 "$BEFORE"
decide_list --publish
check "equal before" equal
load_begins "$VILLAGE" 1
within "$PATIENCE" "load" more_batches "$VILLAGE" 1
log=$(own_log "$VILLAGE")

rose() { [ "$(size_at "$PROVINCE" "$log")" -gt $((BEFORE + before * ROWS)) ] 2>/dev/null; }
# CODE: has the province's list as far as itself.
has_list() { [ "$(listed_at "$1" position)" = "$(listed_at "$PROVINCE" position)" ]; }
goes_on() { # TEXT
    before=$(batches "$VILLAGE")
    within "$PATIENCE" "$1: the village enters on" more_batches "$VILLAGE" $((before + 1))
    before=$(batches "$VILLAGE")
    within "$PATIENCE" "$1: that rises" rose
    decide_list --publish
    within "$PATIENCE" "$1: a list comes down" has_list "$VILLAGE"
}

# CODE: its first start is ended by kill -9 while rows move to the new table.
moves() {
    [ "$(server_sql "SELECT COUNT(*) FROM (SELECT 1 FROM cn_$1.cn_index LIMIT 1) x" 2>/dev/null)" = 1 ] ||
        ! tree_alive "$1"
}
kill_its_move() {
    tree_spawn "$1"
    within "$PATIENCE" "$1 moves its rows" moves "$1"
    kill_node "$1"
    note "killed: $(server_sql "SELECT COUNT(*) FROM cn_$1.cn_index") rows moved, $(server_sql "SELECT COUNT(*) FROM cn_$1.cn_row" 2>/dev/null || echo 0) not"
    # Or it would take what was moved for new.
    from=$(log_end "$1")
    : >"$TREE/$1/old"
    tree_spawn "$1"
    within "$PATIENCE" "the earlier program ends at $1" eval "! tree_alive $1"
    ! says "$1" ' READY ' "$from" || fail "the earlier program opened what is half moved"
    rm -f "$TREE/$1/old" "$TREE/$1/pid"
}

step=0
upgrade() { # CODE
    note "$1 is upgraded"
    if [ $((step % 2)) = 0 ]; then stop "$1"; else kill_node "$1"; fi
    step=$((step + 1))
    rm "$TREE/$1/old"
    ! { [ "$1" = "$COUNTY" ] && on_server "$1"; } || kill_its_move "$1"
    start "$1"
    goes_on "$1 upgraded"
    check "scrub of $1" node_cmd "$1" scrub >/dev/null
}

for code in ${ORDER:-$COUNTY $VILLAGE $PROVINCE $TOWN $CITY}; do
    upgrade "$code"
done
load_ends
check "equal" equal
check "everything acknowledged" acked "$PROVINCE" "$COUNTY" "$TOWN"
total=$((BEFORE + $(batches "$VILLAGE") * ROWS))
check "nothing twice" holds_rows "$VILLAGE" "$total"
if on_server "$COUNTY"; then
    within "$PATIENCE" "views of the county" views_hold "$COUNTY" "$total"
fi

note "everybody answers the same, also after the index was made anew"
told() { # CODE: about each subject
    local subject
    for subject in $subjects; do
        node_cmd "$1" query --json "$subject" | jq -c '.records[] | [.log, .number, .version]'
    done | sort
}
subjects=$("$BENCH_GEN" --first 1000001 --rows 5 --subjects 50 --codes)
told "$VILLAGE" >"$WORK/told"
check "the village answers" [ -s "$WORK/told" ]
for code in "$PROVINCE" "$COUNTY" "$TOWN"; do
    told "$code" | cmp - "$WORK/told" || fail "$code answers otherwise"
    check "reindex of $code" node_cmd "$code" reindex >/dev/null
    told "$code" | cmp - "$WORK/told" || fail "$code answers otherwise after a reindex"
done

note "the earlier program does not open it, and changes nothing"
for code in "$COUNTY" "$TOWN"; do
    stop "$code"
    from=$(log_end "$code")
    : >"$TREE/$code/old"
    tree_spawn "$code"
    within "$PATIENCE" "the earlier program ends at $code" eval "! tree_alive $code"
    ! says "$code" ' READY ' "$from" || fail "the earlier program opened the store of $code"
    rm -f "$TREE/$code/old" "$TREE/$code/pid"
    start "$code"
done
check "a row more" enter "$VILLAGE" 2000001 1
check "equal again" equal
check "scrub" node_cmd "$COUNTY" scrub >/dev/null
