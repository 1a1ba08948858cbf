#!/usr/bin/env bash
# A township moves to another county by a directive of the city: the old county
# refuses it and says where it belongs, the new one takes it and all below it,
# and the city goes on from where it was. `watch` goes by whose child a node is,
# not by its code. Another township is under a county that its code does not say
# by configuration: then every node above it has to know, up to the common one.
. "$(dirname "$0")/lib.sh"

COUNTY2=341822000000
TOWN2=341821102000
TREE_ISSUERS="000000000000:2:3 $CITY:1:1"
check "federation" tree_federation "$PROVINCE"
add_node "$CITY" city ''
add_node "$COUNTY" county "$CITY"
add_node "$COUNTY2" county "$CITY"
add_node "$TOWN" township "$COUNTY"
add_node "$VILLAGE" village "$TOWN"
add_node "$TOWN2" township "$COUNTY2"
set_option "$TOWN2" "parent.code=$COUNTY2"
exception_at() { # CODE: TOWN2 is not where its code says
    sed -i "s/^children = ();/children = ( { code = \"$TOWN2\"; parent = \"$COUNTY2\"; } );/" "$(tree_conf "$1")"
}
exception_at "$COUNTY2"
start_all
directive() { node_cmd "$1" directive "${@:2}"; }
move() { # TO
    check "decide and publish" directive "$CITY" node-move "$TOWN" --to "$1" --reason "示例：区划调整" \
        --key "$TREE/fed/deciders/$CITY-1.key" --yes --publish >"$WORK/out"
}
parent_at() { directive "$1" nodes --json | jq -r ".nodes[] | select(.code == \"$TOWN\") | .parent"; }
knows() { [ "$(parent_at "$1")" = "$2" ]; }
refused_as() { status "$TOWN" .uplink.error | grep -q "$1"; }
reparent() { # TO: what the township's operator does
    stop "$TOWN"
    printf '%s' "$1" >"$TREE/$TOWN/parent"
    sed -i '/^parent\.code=/d' "$TREE/$TOWN/set"
    set_option "$TOWN" "parent.code=$1"
    start "$TOWN"
}
has_rows() { [ "$(size_at "$1" "$(own_log "$VILLAGE")")" = "$(own_size "$VILLAGE")" ]; }
proof_at() { # CODE: has it all, as `watch` sees it?
    local confs
    mapfile -t confs < <(tree_confs)
    "$CREDITNODE" watch --once --json "${confs[@]}" | jq -r ".nodes[] | select(.code == \"$1\") | .equal"
}
# What the city took from its children since it started.
taken() { status "$CITY" '[.children[].received_entries] | add'; }

check "rows" enter "$VILLAGE" 1 200
check "rows" enter "$TOWN2" 5000 20

note "by configuration"
within "$PATIENCE" "the county hears that the city does not know" says "$COUNTY2" SYNC-STOP
stop "$CITY"
exception_at "$CITY"
start "$CITY"
check "equal" equal

note "who may not"
! directive "$CITY" node-move "$TOWN" --to "$VILLAGE" --reason x --dry-run >"$WORK/out" 2>&1 ||
    fail "below itself: $(cat "$WORK/out")"
! directive "$CITY" node-move "$TOWN" --to 330100000000 --reason x --dry-run >"$WORK/out" 2>&1 &&
    grep -q 'new parent is not below' "$WORK/out" || fail "to elsewhere: $(cat "$WORK/out")"

note "moved"
before=$(taken)
move "$COUNTY2"
for code in "$CITY" "$COUNTY" "$COUNTY2"; do
    within "$PATIENCE" "$code knows" knows "$code" "$COUNTY2"
done
within "$PATIENCE" "the old county says where it belongs" refused_as "moved to $COUNTY2"
check "rows meanwhile" enter "$VILLAGE" 1000 20
reparent "$COUNTY2"
within "$PATIENCE" "the new county has all" has_rows "$COUNTY2"
within "$PATIENCE" "the city has all" has_rows "$CITY"
within "$PATIENCE" "the township knows" knows "$TOWN" "$COUNTY2"
within "$PATIENCE" "the village knows" knows "$VILLAGE" "$COUNTY2"
# Twenty rows, and keys wrapped to the new ancestor; not the two hundred again.
[ $(($(taken) - before)) -lt 60 ] || fail "the city took $(($(taken) - before)) entries"

note "a restart changes nothing"
for code in "$COUNTY2" "$CITY" "$COUNTY"; do
    kill_node "$code"
    start "$code"
done
check "rows" enter "$VILLAGE" 2000 20
check "equal, the old county left out" equal
[ "$(size_at "$COUNTY" "$(own_log "$VILLAGE")")" -lt "$(own_size "$VILLAGE")" ] || fail "the old county still gets them"
# What it still holds of them goes no further, and that is as it should be.
within "$PATIENCE" "the old county's copies are refused" is "$COUNTY" '.uplink.stopped_logs > 0' true
within "$PATIENCE" "and no reason to worry" is "$COUNTY" '[.uplink.stuck.logs, (.silent_children | length)] | tostring' '[0,0]'
stop "$VILLAGE"
[ "$(proof_at "$COUNTY2")" = false ] || fail "the new county is compared with nothing"
[ "$(proof_at "$COUNTY")" = true ] || fail "the old county is still compared"
start "$VILLAGE"

note "and back"
move "$COUNTY"
within "$PATIENCE" "the new county refuses it now" refused_as "moved to $COUNTY\b"
reparent "$COUNTY"
within "$PATIENCE" "the county has all" has_rows "$COUNTY"
check "rows" enter "$VILLAGE" 3000 20
within "$PATIENCE" "the city has them" has_rows "$CITY"
