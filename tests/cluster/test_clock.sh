#!/usr/bin/env bash
# An issuer's clock runs a day ahead and is put back: meanwhile its lists come
# down and freshness is unproven, for a clock is wrong; afterwards they are fresh
# again at once, though heads of tomorrow were heard and are stored below.
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

TREE_ISSUERS="$COUNTY:1:1"
make_small
for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
    set_option "$code" replication.renew="400 ms"
done
freshness() { directive "$1" lists --json 2>/dev/null | jq -r '.lists[0].freshness'; }
is_fresh() { [ "$(freshness "$1")" = "$2" ]; }
listed() { [ "$(node_cmd "$1" query 913400001000000167 --json 2>/dev/null | jq '.listings | length')" = "$2" ]; }
everywhere() { # FUNCTION VALUE
    local code
    for code in "$TOWN" "$VILLAGE"; do within "$PATIENCE" "$1 $2 at $code" "$1" "$code" "$2"; done
}

note "a day ahead"
TREE_RUN="env CREDITNODE_CLOCK_SKEW_MS=86400000" start "$COUNTY"
start "$TOWN"
start "$VILLAGE"
cat >"$WORK/decisions.csv" <<END
$LIST_HEADER
示例商贸有限公司,913400001000000167,示例认〔2026〕7号,示例事由,示例条例第十条,2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,341821,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕
END
county_says_clock() { status "$COUNTY" '.health.reasons[].id' | grep -qx clock; }
within "$PATIENCE" "the county knows that a clock is wrong" county_says_clock
check "published" directive "$COUNTY" import "$WORK/decisions.csv" --key "$TREE/fed/deciders/$COUNTY-1.key" \
    --yes --publish >"$WORK/out" 2>&1
everywhere listed 1
everywhere is_fresh clock

note "put back"
stop "$COUNTY"
start "$COUNTY"
everywhere is_fresh fresh

note "and at who comes back"
kill_node "$VILLAGE"
start "$VILLAGE"
everywhere is_fresh fresh
listed "$VILLAGE" 1 || fail "not listed any more"
