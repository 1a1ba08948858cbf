#!/usr/bin/env bash
# An issuer that was put back publishes to one part of its area, and gets its log
# back from another part. What it publishes again after that is known to the
# first under its old place: it counts there once, and ends there with a removal
# that names the new place.
#   test_reclaim_other.sh
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

OTHER=341821101000 # a second township
TREE_ISSUERS="000000000000:2:3 $COUNTY:1:1"
allow STORE-FORKED FEED-FORKED FOLLOW-FORKED FOLLOW-ROLLBACK RECEIPT-FORK RECLAIM-SET-ASIDE SYNC-FORKED SYNC-DIFFERS
check "federation" tree_federation "$PROVINCE"
add_node "$COUNTY" county ''
add_node "$TOWN" township "$COUNTY"
add_node "$OTHER" township "$COUNTY"
for code in "$COUNTY" "$TOWN" "$OTHER"; do
    set_option "$code" replication.renew="400 ms"
done
start_all
key=$TREE/fed/deciders/$COUNTY-1.key
A=913400001000000167
D=91340000100000040P
E=91340000100000059L
cd "$WORK" || exit 1
decide() { # SUBJECT
    {
        echo "$LIST_HEADER"
        printf '示例商贸有限公司,%s,示例认〔2026〕7号,示例事由,示例条例第十条,2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,%s,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' \
            "$1" "${COUNTY:0:6}"
    } >one.csv
    directive "$COUNTY" import one.csv --key "$key" --yes --publish >out 2>&1
}
remove() { # SUBJECT
    directive "$COUNTY" list-remove YC_ZT_SHXYM="$1" YC_WSH=示例移〔2026〕1号 YC_SY=履行完毕 YC_RQ=2026-04-01 \
        YC_JG=示例县法院 YC_JGDM=11340000200000013H YC_MDLX=失信被执行人 YC_YWSH=示例认〔2026〕7号 \
        --key "$key" --yes --publish >out 2>&1
}
listed() { [ "$(node_cmd "$1" query "$2" --json 2>/dev/null | jq -r '.listings | length')" = "$3" ]; } # CODE SUBJECT COUNT
forked() { status "$1" '.health.reasons[].id' | grep -qx log-forked; }                                  # CODE
newest_log() { logs_of "$COUNTY" "select(.own and .state == \"active\" and (.log | contains(\"/directives/\"))) | .log"; }
holds() { [ "$(size_at "$1" "$2")" = "$(size_at "$COUNTY" "$2")" ]; } # CODE LOG

note "one history to the first township"
check "a first decision" decide "$A"
for code in "$TOWN" "$OTHER"; do
    within "$PATIENCE" "$code lists A" listed "$code" "$A" 1
done
first=$(newest_log)
stop "$OTHER"
stop "$COUNTY"
keep_data "$COUNTY" "$WORK/county"
start "$COUNTY"
check "a second decision" decide "$D"
within "$PATIENCE" "the first township lists D" listed "$TOWN" "$D" 1

note "another to the second"
kill_node "$TOWN"
kill_node "$COUNTY"
put_back_data "$COUNTY" "$WORK/county"
start "$COUNTY"
start "$OTHER"
check "another second decision" decide "$E"
within "$PATIENCE" "the second township lists E" listed "$OTHER" "$E" 1
start "$TOWN"
within "$PATIENCE" "the issuer knows of two heads" forked "$COUNTY"

note "the log comes back from the first"
rm -f copy
check "export" directive "$TOWN" export copy --log "$first" >/dev/null
check "import" directive "$COUNTY" import copy --json >taken
jq -e '.succeeded and .set_aside == 1' taken >/dev/null || fail "took otherwise: $(cat taken)"
check "publish it again" directive "$COUNTY" publish "$TREE/$COUNTY/data/set-aside/"package-* >out
second=$(newest_log)
[ "$second" != "$first" ] || fail "no successor"
within "$PATIENCE" "the first township lists E" listed "$TOWN" "$E" 1
within "$PATIENCE" "the second has the successor" holds "$OTHER" "$second"
listed "$OTHER" "$E" 1 || fail "E is not listed once at the second township"

note "a removal that names the new place"
check "removal" remove "$E"
for code in "$COUNTY" "$TOWN" "$OTHER"; do
    within "$PATIENCE" "$code lists E no more" listed "$code" "$E" 0
done
listed "$OTHER" "$A" 1 || fail "the second township lost A"
stop "$OTHER"
start "$OTHER"
listed "$OTHER" "$E" 0 || fail "E is listed again after a start"
check "reindex" node_cmd "$OTHER" reindex >out
listed "$OTHER" "$E" 0 || fail "E is listed again after a reindex"
