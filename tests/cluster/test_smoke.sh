#!/usr/bin/env bash
# Five tiers: what a village and a county enter is answered at the province,
# proven equal on the way.
. "$(dirname "$0")/lib.sh"

make_line
start_all
check "village imports" enter "$VILLAGE" 1 300
check "county imports" enter "$COUNTY" 1001 100
check "equal everywhere" equal
check "acknowledged rows at their origin" holds_rows "$VILLAGE" 300
check "acknowledged rows at every tier" acked "$PROVINCE" "$CITY" "$COUNTY"

subject=$("$BENCH_GEN" --first 1 --rows 1 --subjects 50 --codes | head -n 1)
node_cmd "$PROVINCE" query --json "$subject" >"$WORK/answer"
check "the province answers about $subject" \
    jq -e '.records | length > 0' "$WORK/answer" >/dev/null
check "verify" node_cmd "$VILLAGE" verify >/dev/null
check "verify above" node_cmd "$VILLAGE" verify --with "127.0.0.1:$(tree_port "$PROVINCE")" >/dev/null
check "verify below" node_cmd "$PROVINCE" verify --with "127.0.0.1:$(tree_port "$TOWN")" \
    --log "$(own_log "$VILLAGE")" >/dev/null
node_cmd "$PROVINCE" verify --origin --json >"$WORK/answer"
check "all of it as its origins signed it" jq -e '.different == 0 and .logs == 5 and
    all(.rows[]; .here == .there)' "$WORK/answer" >/dev/null
check "again changes nothing" enter "$VILLAGE" 1 300
check "no entry twice" holds_rows "$VILLAGE" 300
within "$PATIENCE" "state is ok" is "$VILLAGE" .health.state ok

in_database() { # CODE COUNT
    [ "$(server_sql "SELECT COUNT(*) FROM cn_$1.cn_index")" = "$2" ]
}
if [ "${STORE:-}" = mariadb ]; then
    check "rows in the province's database" in_database "$PROVINCE" 400
    check "rows in the county's database" in_database "$COUNTY" 400
    within "$PATIENCE" "views of the province" views_hold "$PROVINCE" 400
    within "$PATIENCE" "views of the county" views_hold "$COUNTY" 400
    node_cmd "$PROVINCE" query --json "$subject" |
        jq -r '.records[].fields[] | select(.code | endswith("_WSH")) | .value' | sort >"$WORK/answer"
    check "the answer names documents" [ -s "$WORK/answer" ]
    server_sql "SELECT document_no FROM cn_$PROVINCE.v_record
        WHERE subject = '$subject'" | sort >"$WORK/seen"
    check "views show what a query answers" cmp "$WORK/answer" "$WORK/seen"
fi
