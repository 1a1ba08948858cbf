#!/usr/bin/env bash
# Lists that lie: a relay put back to an older state offers less than is known
# below; an issuer put back must not sign a second history; two histories of one
# list fork its log, and what was in force before stays; an issuer that no root
# document names, and a decision held back past its day, count for nothing.
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

TREE_ISSUERS="000000000000:2:3 $COUNTY:1:1"
allow STORE-FORKED FEED-FORKED FOLLOW-FORKED FOLLOW-ROLLBACK RECEIPT-FORK SYNC-FORKED SYNC-DIFFERS
make_small
for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
    set_option "$code" replication.renew="400 ms"
done
start_all
key=$TREE/fed/deciders/$COUNTY-1.key
A=913400001000000167
B=913400001000000242
C=91340000100000032W
decide() { # CODE SUBJECT
    {
        echo "$LIST_HEADER"
        printf '示例商贸有限公司,%s,示例认〔2026〕7号,示例事由,示例条例第十条,2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,%s,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' \
            "$2" "${COUNTY:0:6}"
    } >"$WORK/one.csv"
    directive "$1" import "$WORK/one.csv" --key "$key" --yes --publish >"$WORK/out" 2>&1
}
listed() { [ "$(node_cmd "$1" query "$2" --json 2>/dev/null | jq -r '.listings | length')" = "$3" ]; } # CODE SUBJECT COUNT
reason() { status "$1" '.health.reasons[].id' | grep -qx "$2"; }                                        # CODE ID
no_reason() { ! reason "$1" "$2"; }
log_state() { logs_of "$1" "select(.log | startswith(\"$COUNTY/directives/\")) | .state"; }
is_state() { [ "$(log_state "$1")" = "$2" ]; }
keep() { keep_data "$1" "$WORK/$2"; }         # CODE NAME
put_back() { put_back_data "$1" "$WORK/$2"; } # CODE NAME

check "a first decision" decide "$COUNTY" "$A"
within "$PATIENCE" "the village lists A" listed "$VILLAGE" "$A" 1

note "a relay that was put back offers less"
stop "$TOWN"
keep "$TOWN" town
start "$TOWN"
check "a second decision" decide "$COUNTY" "$B"
within "$PATIENCE" "the village lists B" listed "$VILLAGE" "$B" 1
kill_node "$COUNTY"
kill_node "$TOWN"
put_back "$TOWN" town
start "$TOWN"
within "$PATIENCE" "the village says so" says "$VILLAGE" FOLLOW-ROLLBACK
within "$PATIENCE" "an alarm" reason "$VILLAGE" lists-rolled-back
listed "$VILLAGE" "$B" 1 || fail "the village took the older list"
start "$COUNTY"
within "$PATIENCE" "the township has both again" listed "$TOWN" "$B" 1
within "$PATIENCE" "the alarm is over" no_reason "$VILLAGE" lists-rolled-back

note "an issuer that was put back signs no second history"
stop "$COUNTY"
keep "$COUNTY" county
start "$COUNTY"
check "a third decision" decide "$COUNTY" "$C"
within "$PATIENCE" "the village lists C" listed "$VILLAGE" "$C" 1
kill_node "$COUNTY"
put_back "$COUNTY" county
start "$COUNTY"
within "$PATIENCE" "the issuer sees it" is_state "$COUNTY" forked
within "$PATIENCE" "an alarm at the issuer" reason "$COUNTY" log-forked
! decide "$COUNTY" "$C" || fail "it signed on"
grep -q 'stopped: forked' "$WORK/out" || fail "no reason: $(cat "$WORK/out")"
listed "$VILLAGE" "$C" 1 || fail "the village forgot C"

note "two histories, shown to one child after the other"
kill_node "$TOWN"
kill_node "$COUNTY"
put_back "$COUNTY" county
start "$COUNTY"
check "another third decision, while nobody listens" decide "$COUNTY" 91340000100000040P
start "$TOWN"
within "$PATIENCE" "the township sees two heads" is_state "$TOWN" forked
within "$PATIENCE" "an alarm" reason "$TOWN" log-forked
within "$PATIENCE" "the issuer knows too" is_state "$COUNTY" forked
within "$PATIENCE" "by the receipt as well" reason "$COUNTY" lists-forked-below
directive "$COUNTY" status --json | jq -e '.reached == 1 and .nodes == 3 and .missing[0].disagrees' >/dev/null ||
    fail "nodes of another history are counted: $(directive "$COUNTY" status --json)"
for subject in "$A" "$B" "$C"; do
    listed "$VILLAGE" "$subject" 1 || fail "the village lost $subject"
done

note "a node that no root document names"
stop "$VILLAGE"
directive "$TOWN" import "$WORK/one.csv" --dry-run >"$WORK/out" 2>&1
grep -q "names no deciders for $TOWN" "$WORK/out" || fail "a county's decision at a township: $(cat "$WORK/out")"
sed "s/,${COUNTY:0:6},失信/,341802,失信/; s/2026〕7号,示例事由/2026〕8号,示例事由/" "$WORK/one.csv" >"$WORK/other.csv"
directive "$COUNTY" import "$WORK/other.csv" --dry-run >"$WORK/out" 2>&1
grep -q 'authority-area' "$WORK/out" || fail "another county's decision: $(cat "$WORK/out")"
sed "s/,${COUNTY:0:6},失信/,$TOWN,失信/" "$WORK/one.csv" >"$WORK/town.csv"
directive "$TOWN" import "$WORK/town.csv" --key "$key" --yes --publish >"$WORK/out" 2>&1 && fail "published"
grep -q "names no deciders for $TOWN" "$WORK/out" || fail "no reason: $(cat "$WORK/out")"
