#!/usr/bin/env bash
# A node is shut out by a directive of an authority above it: its open calls end
# at its parent, it is refused by name from then on, also after a start, and
# comes back when it is restored. What is below a revoked node sends it nothing.
# An authority that is not above it has no say.
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

TREE_ISSUERS="000000000000:2:3 $COUNTY:2:3 $TOWN:1:1"
make_small
start_all
keys=$TREE/fed/deciders
by_two() { # COMMAND...: makes a package; signed by two of the county's three deciders
    rm -f "$WORK/package"
    check "prepare" directive "$COUNTY" "$@" -o "$WORK/package" >"$WORK/out" &&
        check "first" "$CREDITNODE" directive sign "$WORK/package" --key "$keys/$COUNTY-1.key" --lang en >"$WORK/shown" &&
        check "second" "$CREDITNODE" directive sign "$WORK/package" --key "$keys/$COUNTY-3.key" >/dev/null &&
        check "publish" directive "$COUNTY" publish "$WORK/package" >/dev/null
}
decide() { by_two "$1" "$2" --reason "示例：设备被盗"; } # WHAT CODE
is_refused() { status "$1" .uplink.error | grep -q "$1 was revoked by $COUNTY on.*示例：设备被盗"; }
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
grep -qE 'node +new parent +decided +reason' "$WORK/shown" && ! grep -q document "$WORK/shown" ||
    fail "the reason has no label of its own: $(cat "$WORK/shown")"
"$CREDITNODE" directive show "$WORK/package" --lang zh | grep -qE '节点 +新上级 +决定日期 +理由' ||
    fail "in Chinese: $("$CREDITNODE" directive show "$WORK/package" --lang zh)"
within "$PATIENCE" "its parent refuses it by name" is_refused "$VILLAGE"
note "after $(($(date +%s%3N) - from)) ms"
within "$PATIENCE" "the township names the reason" says "$TOWN" "SYNC-DENIED.*$VILLAGE was revoked by $COUNTY"
within "$PATIENCE" "both streams are gone" says "$VILLAGE" "FOLLOW-LOST.*was revoked by"
for code in "$COUNTY" "$TOWN"; do
    check "$code knows" known "$code" "\"$VILLAGE\""
done
is_counted() { # NODES REACHED REVOKED MISSING, at the county of its newest directive
    [ "$(directive "$COUNTY" status --json 2>/dev/null | jq -c '[.nodes, .reached, .revoked, [.missing[].code]]')" = "$1" ]
}
within "$PATIENCE" "it is counted apart, not as missing" is_counted "[3,2,[\"$VILLAGE\"],[]]"
directive "$COUNTY" status >"$WORK/out"
grep -q "Revoked, 1: $VILLAGE" "$WORK/out" && ! grep -q Missing "$WORK/out" || fail "for people: $(cat "$WORK/out")"
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

note "what one above has restored, one below does not revoke"
! directive "$TOWN" node-revoke "$VILLAGE" --reason x -o "$WORK/no" >"$WORK/out" 2>&1 &&
    grep -q "$COUNTY restored this node" "$WORK/out" || fail "a revocation without effect: $(cat "$WORK/out")"

note "a revoked node that does not read"
calls_of() { # HOLDER CHILD: both of them
    local n
    n=$(directive "$1" lists --json | jq "[.children[] | select(.code == \"$2\")] | length")
    echo "$(status "$1" ".children[] | select(.code == \"$2\") | .connected") $((n > 0))"
}
has_calls() { [ "$(calls_of "$TOWN" "$VILLAGE")" = "$1" ]; }
{
    echo "$LIST_HEADER"
    for ((i = 0; i < 1500; i++)); do
        printf '示例商贸有限公司,913400001000000167,示例认〔2026〕%s号,%s,示例条例第十条,2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,%s,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' \
            "$i" "$(head -c 300 /dev/urandom | base64 -w0)" "${COUNTY:0:6}"
    done
} >"$WORK/many.csv"
within "$PATIENCE" "both calls are open" has_calls "true 1"
kill -STOP "$(tree_pid "$VILLAGE")"
by_two import "$WORK/many.csv"
held() { [ "$(directive "$1" lists --json | jq "[.lists[].position] | max")" -gt 1500 ]; }
within "$PATIENCE" "the township has the list" held "$TOWN"
decide node-revoke "$VILLAGE"
within "$PATIENCE" "its calls are gone, though it reads nothing" has_calls "false 0"
kill -CONT "$(tree_pid "$VILLAGE")"
within "$PATIENCE" "refused" is_refused "$VILLAGE"
[ "$(directive "$TOWN" nodes --json | jq .refused)" -gt 0 ] || fail "nobody counted it"
decide node-restore "$VILLAGE"
within "$PATIENCE" "the village has the list" held "$VILLAGE"
within "$PATIENCE" "the village knows it is back" known "$VILLAGE" ""

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

note "a township over its county, by a package made by hand"
digest=sha256
[ "$SUITE" = gm ] && digest=sm3
hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; } # DIGITS: as bytes
{
    # Format, type, subject kind, item; entered at; version; decided; lengths.
    hex 0115000000050001000001a21a4d4000
    hex "$(printf '%032d' 0)00000001$(printf '%032d' 0)"
    hex "01352907$(printf '%024d' 0)0c00000000000003"
    printf '%s' "$COUNTY"
    hex 120178
} >"$WORK/entry"
{
    printf 'creditnode-package 1\nfederation %s\nsuite %s\nissuer %s\n' \
        "$(sed -n 's/^federation //p' "$WORK/one" | head -1)" "$SUITE" "$TOWN"
    printf 'id 0123456789abcdef0123456789abcdef\nprepared %s000\n' "$(date +%s)"
    printf 'expires %s\nentries 1\n' "$(TZ=Asia/Shanghai date -d '+30 days' +%Y%m%d)"
    printf 'root %s\n' "$({ printf '\0'; cat "$WORK/entry"; } | openssl dgst -r "-$digest" | cut -d' ' -f1)"
    printf 'entry %s\n' "$(base64 -w0 "$WORK/entry")"
} >"$WORK/byhand"
check "sign it" "$CREDITNODE" directive sign "$WORK/byhand" --key "$keys/$TOWN-1.key" >/dev/null
directive "$TOWN" publish "$WORK/byhand" >"$WORK/out"
[ $? = 3 ] || fail "nothing of it is in force, and the exit status does not tell: $(cat "$WORK/out")"
grep -q 'Published: 0 entries are in force' "$WORK/out" && grep -q "no effect: .*outside its issuer's area" "$WORK/out" ||
    fail "said to be in force: $(cat "$WORK/out")"
outside() { node_cmd "$1" issues --lang en | grep -q "$TOWN/directives/.*outside its issuer's area"; }
for code in "$TOWN" "$VILLAGE"; do
    within "$PATIENCE" "$code says that it is outside its area" outside "$code"
    check "$code counts nobody as revoked" known "$code" ""
done
within "$PATIENCE" "the state says so" is "$TOWN" .health.state warn
check "rows" enter "$VILLAGE" 300 5
within "$PATIENCE" "the county, which they would have revoked, has them" same_records "$COUNTY" "$VILLAGE"
