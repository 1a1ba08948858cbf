#!/usr/bin/env bash
# A node is shut out by a directive of an authority above it: its open calls end
# at its parent, it is refused by name from then on, also after a start, and
# comes back when it is restored. What is below a revoked node sends it nothing.
. "$(dirname "$0")/lib.sh"

TREE_ISSUERS="000000000000:2:3 $COUNTY:2:3 $TOWN:1:1"
make_small "${1:-intl}"
start_all
keys=$TREE/fed/deciders
directive() { node_cmd "$1" directive "${@:2}"; }
decide() { # WHAT CODE: by two of the county's three deciders
    rm -f "$WORK/package"
    check "prepare" directive "$COUNTY" "$1" "$2" --reason "示例：设备被盗" -o "$WORK/package" >"$WORK/out" &&
        check "first" "$CREDITNODE" directive sign "$WORK/package" --key "$keys/$COUNTY-1.key" --lang en >"$WORK/shown" &&
        check "second" "$CREDITNODE" directive sign "$WORK/package" --key "$keys/$COUNTY-3.key" >/dev/null &&
        check "publish" directive "$COUNTY" publish "$WORK/package" >/dev/null
}
is_refused() { status "$1" .uplink.error | grep -q "$1 was revoked by $COUNTY on"; }
known() { directive "$1" nodes --json | jq -e ".nodes | map(select(.what == \"revoked\") | .code) == [$2]" >/dev/null; }
records_of() { size_at "$1" "$(own_log "$2")"; } # HOLDER ORIGIN
same_records() { [ "$(records_of "$1" "$2")" = "$(own_size "$2")" ]; }

check "rows" enter "$VILLAGE" 1 20
check "equal" equal

note "who may not decide"
! directive "$TOWN" node-revoke "$COUNTY" --reason x -o "$WORK/no" >"$WORK/out" 2>&1 &&
    grep -q 'not below this one' "$WORK/out" || fail "a township over its county: $(cat "$WORK/out")"
! directive "$COUNTY" node-revoke "$TOWN" -o "$WORK/no" >"$WORK/out" 2>&1 || fail "without a reason"
check "prepare" directive "$COUNTY" node-revoke "$VILLAGE" --reason x -o "$WORK/one" >/dev/null
check "one key" "$CREDITNODE" directive sign "$WORK/one" --key "$keys/$COUNTY-1.key" >/dev/null
! directive "$COUNTY" publish "$WORK/one" >"$WORK/out" 2>&1 && grep -q '1 of the 2' "$WORK/out" ||
    fail "by one of two: $(cat "$WORK/out")"

note "revoked"
from=$(date +%s%3N)
decide node-revoke "$VILLAGE"
grep -q "revoked.*$VILLAGE" "$WORK/shown" || fail "the deciders do not see what they sign: $(cat "$WORK/shown")"
within "$PATIENCE" "its parent refuses it by name" is_refused "$VILLAGE"
note "after $(($(date +%s%3N) - from)) ms"
check "the township names the reason" says "$TOWN" "SYNC-DENIED.*$VILLAGE was revoked by $COUNTY"
check "both streams are gone" says "$VILLAGE" "FOLLOW-LOST.*was revoked by"
for code in "$COUNTY" "$TOWN"; do
    check "$code knows" known "$code" "\"$VILLAGE\""
done
check "the village goes on for itself" enter "$VILLAGE" 100 5
[ "$(records_of "$TOWN" "$VILLAGE")" = $(($(own_size "$VILLAGE") - 5)) ] || fail "the township took from it"

note "also after a start"
kill_node "$TOWN"
start "$TOWN"
check "known at once" known "$TOWN" "\"$VILLAGE\""
within "$PATIENCE" "refused" is_refused "$VILLAGE"

note "restored"
decide node-restore "$VILLAGE"
within "$PATIENCE" "all of it is there" same_records "$TOWN" "$VILLAGE"
within "$PATIENCE" "the village knows both" known "$VILLAGE" ""
check "equal" equal

note "a revoked parent gets nothing, and brings the news of its return"
decide node-revoke "$TOWN"
within "$PATIENCE" "the county refuses it" is_refused "$TOWN"
stop "$TOWN"
stop "$VILLAGE"
decide node-restore "$TOWN"
for code in "$VILLAGE" "$TOWN"; do start "$code"; done
within "$PATIENCE" "nobody is revoked" known "$VILLAGE" ""
check "rows" enter "$VILLAGE" 200 5
check "equal" equal
