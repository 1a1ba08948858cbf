#!/usr/bin/env bash
# Who holds a directive: each node signs for itself and those below it, so the
# issuer knows at once whom it has reached and who is missing; also of nodes
# that are away, and after a start.
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

TREE_ISSUERS="000000000000:2:3 $COUNTY:1:1"
make_small
add_node "$VILLAGE2" village "$TOWN"
start_all
key=$TREE/fed/deciders/$COUNTY-1.key
A=913400001000000167
B=913400001000000242
C=91340000100000032W
decide() { # SUBJECT: prints the number of the last entry
    {
        echo "$LIST_HEADER"
        printf '示例商贸有限公司,%s,示例认〔2026〕7号,示例事由,示例条例第十条,2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,%s,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' \
            "$1" "${COUNTY:0:6}"
    } >"$WORK/one.csv"
    directive "$COUNTY" import "$WORK/one.csv" --key "$key" --yes --publish --json | jq .last
}
# CODE [NUMBER]: how many nodes hold it of how many
reached() { directive "$@" --json 2>/dev/null | jq -r '"\(.reached)/\(.nodes)"'; }
is_reached() { [ "$(reached "$1" status $2)" = "$3" ]; } # CODE NUMBER REACHED/NODES
missing() { directive "$COUNTY" status "$1" --json | jq -r '.missing[].code' | sort; }

note "everybody has it"
first=$(decide "$A")
[ "$first" -gt 0 ] || fail "not published"
within "$PATIENCE" "all four have it" is_reached "$COUNTY" "$first" 4/4
directive "$COUNTY" status "$first" | grep -q 'held by 4 of 4 nodes' ||
    fail "for people: $(directive "$COUNTY" status "$first")"
within "$PATIENCE" "the township knows its own" is_reached "$TOWN" "" 3/3
check "a middle entry stands for its package" is_reached "$COUNTY" $((first - 1)) 4/4
! directive "$COUNTY" status $((first + 1)) >"$WORK/out" 2>&1 && grep -q "holds $first entries" "$WORK/out" ||
    fail "a directive to come: $(cat "$WORK/out")"

note "one is away"
stop "$VILLAGE2"
second=$(decide "$B")
within "$PATIENCE" "three have it" is_reached "$COUNTY" "$second" 3/4
[ "$(missing "$second")" = "$VILLAGE2" ] || fail "missing: $(directive "$COUNTY" status "$second" --json)"
directive "$COUNTY" status "$second" --json | jq -e ".missing[0] | .size == $first and .nodes == 1 and
    .heard_ms > $(($(date +%s) * 1000 - 600000))" >/dev/null ||
    fail "what it holds, since when: $(directive "$COUNTY" status "$second" --json)"
check "of the one before nobody is missing" is_reached "$COUNTY" "$first" 4/4

note "a start forgets nobody"
stop "$TOWN"
stop "$COUNTY"
start "$COUNTY"
check "the county knows what was said" is_reached "$COUNTY" "$second" 3/4
third=$(decide "$C")
[ "$(reached "$COUNTY" status "$third")" = 1/4 ] || fail "nobody can have it: $(directive "$COUNTY" status --json)"
[ "$(missing "$third")" = "$(printf '%s\n' "$TOWN" "$VILLAGE2" | sort)" ] ||
    fail "missing: $(directive "$COUNTY" status "$third" --json)"
directive "$COUNTY" status "$third" --json | jq -e ".missing[] | select(.code == \"$TOWN\") |
    .nodes == 2 and (.connected | not)" >/dev/null || fail "the township stands for two: $(directive "$COUNTY" status --json)"

note "killed and back"
kill_node "$VILLAGE"
kill_node "$COUNTY"
for code in "$COUNTY" "$TOWN" "$VILLAGE" "$VILLAGE2"; do start "$code"; done
within "$PATIENCE" "all have all" is_reached "$COUNTY" "$third" 4/4
