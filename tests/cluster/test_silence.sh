#!/usr/bin/env bash
# What does not rise by a line that stands, and a child of which nothing is
# heard, are told by the state, and numbers for a monitoring system with them.
. "$(dirname "$0")/lib.sh"

# By its digits a township of another county: the city does not know better.
STRANGE=341822100000
TREE_ISSUERS="000000000000:2:3 $CITY:1:1"
check "federation" tree_federation "$PROVINCE"
add_node "$CITY" city ''
add_node "$COUNTY" county "$CITY"
add_node "$TOWN" township "$COUNTY"
add_node "$STRANGE" township "$COUNTY"
exception() { # CODE: knows whose child it is
    sed -i "s/^children = ();/children = ( { code = \"$STRANGE\"; parent = \"$COUNTY\"; } );/" "$(tree_conf "$1")"
}
exception "$COUNTY"
set_option "$STRANGE" parent.code="$COUNTY"
sed -i '/^replication.silence=/d' "$TREE/$COUNTY/set"
set_option "$COUNTY" replication.silence="1 s" # three of them are too long
start_all
has_reason() { status "$1" '.health.reasons[].id' | grep -qx "$2"; } # CODE ID
has_none() { status "$1" '.health.reasons[].id' >"$WORK/ids" && ! grep -qx "$2" "$WORK/ids"; }
rose() { [ "$(size_at "$CITY" "$(own_log "$1")")" = "$(own_size "$1")" ]; } # CODE
says_state() { grep -qE "$2" < <(node_cmd "$1" status); }                    # CODE PATTERN
# CODE [LINE...]: its metrics are well formed and have these.
has_metrics() {
    local code=$1 line
    shift
    node_cmd "$code" status --metrics >"$WORK/metrics" || return 1
    awk -f "$ROOT/tests/support/metrics.awk" "$WORK/metrics" || return 1
    for line in "$@"; do
        grep -qxF "$line" "$WORK/metrics" || return 1
    done
}

note "a log that the parent takes no more of"
check "rows" enter "$STRANGE" 1 20
check "rows of the other" enter "$TOWN" 1001 20
within "$PATIENCE" "the county says so" has_reason "$COUNTY" logs-stopped
within "$PATIENCE" "and which" is "$COUNTY" .uplink.stuck.log "$(own_log "$STRANGE")"
within "$PATIENCE" "and why" says_state "$COUNTY" "STOPPED.*$STRANGE/records"
within "$PATIENCE" "other logs rise" rose "$TOWN"
within "$PATIENCE" "as numbers" has_metrics "$COUNTY" "creditnode_up 1" "creditnode_health 1" \
    'creditnode_health_reason{reason="logs-stopped"} 1' 'creditnode_uplink_stopped_logs 1' \
    'creditnode_uplink_state{state="streaming"} 1' "creditnode_child_connected{child=\"$TOWN\"} 1"
exception "$CITY"
stop "$CITY"
start "$CITY"
within "$PATIENCE" "it rises" rose "$STRANGE"
within "$PATIENCE" "and that is told" has_none "$COUNTY" logs-stopped
within "$PATIENCE" "nobody is silent" has_none "$COUNTY" child-silent

note "a child that is silent"
stop "$TOWN"
within "$PATIENCE" "the county says so" has_reason "$COUNTY" child-silent
within "$PATIENCE" "and which" is "$COUNTY" '[.silent_children[].code] | join(" ")' "$TOWN"
kill_node "$COUNTY"
start "$COUNTY"
within "$PATIENCE" "also if it was not seen since the start" has_reason "$COUNTY" child-silent
within "$PATIENCE" "and which" says_state "$COUNTY" "^silent +$TOWN"
within "$PATIENCE" "as numbers" has_metrics "$COUNTY" 'creditnode_children_silent 1' \
    'creditnode_health_reason{reason="child-silent"} 1'
check "decide and publish" node_cmd "$CITY" directive node-revoke "$TOWN" --reason "示例：撤销" \
    --key "$TREE/fed/deciders/$CITY-1.key" --yes --publish >"$WORK/out"
within "$PATIENCE" "one that was shut out is not waited for" has_none "$COUNTY" child-silent

note "numbers of the top, and of a node that does not answer"
check "no parent" has_metrics "$CITY" "creditnode_children_silent 0"
check "no line upward" test "$(grep -c creditnode_uplink "$WORK/metrics")" = 0
! node_cmd "$TOWN" status --metrics >"$WORK/metrics" 2>/dev/null || fail "status 0 without a node"
check "still well formed" awk -f "$ROOT/tests/support/metrics.awk" "$WORK/metrics"
check "and says so" grep -qx 'creditnode_up 0' "$WORK/metrics"
