#!/usr/bin/env bash
# An issuer that was put back to an older state gets its own log back from a
# file that a node below it wrote, opens a successor, and goes on deciding: with
# nothing decided since, with something decided since, killed on the way, and
# with nothing left at all.
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

TREE_ISSUERS="000000000000:2:3 $COUNTY:1:1"
allow STORE-FORKED FEED-FORKED FOLLOW-FORKED FOLLOW-ROLLBACK RECEIPT-FORK RECLAIM-SET-ASIDE SYNC-FORKED SYNC-DIFFERS
make_small
for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
    set_option "$code" replication.renew="400 ms"
done
start_all
key=$TREE/fed/deciders/$COUNTY-1.key
A=913400001000000167
B=913400001000000242
C=91340000100000032W
D=91340000100000040P
E=91340000100000059L
cd "$WORK" || exit 1
row() { # SUBJECT NUMBER
    printf '示例商贸有限公司,%s,示例认〔2026〕%d号,示例事由,示例条例第十条,2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,%s,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' \
        "$1" "$2" "${COUNTY:0:6}"
}
publish() { directive "$COUNTY" import "$1" --key "$key" --yes --publish >out 2>&1; } # CSV
decide() {                                                                       # SUBJECT
    { echo "$LIST_HEADER" && row "$1" 7; } >one.csv
    publish one.csv
}
listed() { [ "$(node_cmd "$1" query "$2" --json 2>/dev/null | jq -r '.listings | length')" = "$3" ]; } # CODE SUBJECT COUNT
reason() { status "$1" '.health.reasons[].id' | grep -qx "$2"; }                                        # CODE ID
no_reason() { ! reason "$1" "$2"; }
states() { logs_of "$1" "select(.log | startswith(\"$COUNTY/directives/\")) | .state" | sort | paste -sd ' '; }
are_states() { [ "$(states "$1")" = "$2" ]; } # CODE STATES
heads() { logs_of "$1" "select(.log | startswith(\"$COUNTY/directives/\")) | \"\(.log) \(.size) \(.root)\"" | sort; }
same_heads() { [ "$(heads "$1")" = "$(heads "$COUNTY")" ]; } # CODE
put_back() { put_back_data "$COUNTY" "$WORK/county"; }
keep() {
    stop "$COUNTY"
    keep_data "$COUNTY" "$WORK/county"
    start "$COUNTY"
}
export_from() { # CODE FILE
    rm -f "$2"
    check "export" directive "$1" export "$2" --log "$3" >/dev/null
}
newest_log() { logs_of "$COUNTY" "select(.own and .state == \"active\" and (.log | contains(\"/directives/\"))) | .log"; }
all_fresh() { # CODE
    node_cmd "$1" query "$A" --json | jq -e '[.lists[].freshness] | all(. == "fresh")' >/dev/null
}

note "nothing was decided since"
check "a first decision" decide "$A"
within "$PATIENCE" "the village lists A" listed "$VILLAGE" "$A" 1
keep
check "a second decision" decide "$B"
within "$PATIENCE" "the village lists B" listed "$VILLAGE" "$B" 1
first=$(newest_log)
kill_node "$COUNTY"
put_back
start "$COUNTY"
within "$PATIENCE" "the issuer sees it" are_states "$COUNTY" forked
! decide "$C" || fail "it signed on"
freshness() { directive "$1" lists --json | jq -r '.lists[] | select(.state != "closed") | .freshness'; } # CODE
[ "$(freshness "$COUNTY")" = stale ] || fail "an issuer that lacks its own decisions calls its lists $(freshness "$COUNTY")"
export_from "$VILLAGE" copy "$first"
rm -f tail
check "export of its end" directive "$VILLAGE" export tail --log "$first" --from 5 >/dev/null
! directive "$COUNTY" import tail >out 2>&1 || fail "took a part"
grep -q 'begins at entry 1' out || fail "no reason: $(cat out)"
check "import" directive "$COUNTY" import copy --json >taken
jq -e '.succeeded and .set_aside == 0 and .added == 3 and .held == 7' taken >/dev/null || fail "took otherwise: $(cat taken)"
are_states "$COUNTY" "active closed" || fail "states: $(states "$COUNTY")"
within "$PATIENCE" "the alarm is over" no_reason "$COUNTY" log-forked
listed "$COUNTY" "$B" 1 || fail "B is not back"
check "a third decision" decide "$C"
within "$PATIENCE" "the village lists C" listed "$VILLAGE" "$C" 1
within "$PATIENCE" "all is equal" same_heads "$VILLAGE"
for subject in "$A" "$B"; do
    listed "$VILLAGE" "$subject" 1 || fail "the village lost $subject"
done
sleep 1.5 # the log that ended is signed anew no more
within "$PATIENCE" "all is fresh" all_fresh "$VILLAGE"
check "import again" directive "$COUNTY" import copy --json >taken
jq -e '(.succeeded | not) and .added == 0' taken >/dev/null || fail "again it took: $(cat taken)"
all_have_it() { directive "$COUNTY" status --json 2>/dev/null | jq -e '.reached == .nodes' >/dev/null; }
within "$PATIENCE" "all have it" all_have_it

note "another decision was published since, to some"
keep
second=$(newest_log)
check "a fourth decision" decide "$D"
within "$PATIENCE" "the village lists D" listed "$VILLAGE" "$D" 1
kill_node "$TOWN"
kill_node "$COUNTY"
put_back
start "$COUNTY"
check "another fourth decision, while nobody listens" decide "$E"
start "$TOWN"
within "$PATIENCE" "the township sees two heads" reason "$TOWN" log-forked
within "$PATIENCE" "the issuer knows too" reason "$COUNTY" log-forked
export_from "$VILLAGE" copy "$second"
check "import" directive "$COUNTY" import copy --json >taken
jq -e '.succeeded and .set_aside == 1' taken >/dev/null || fail "took otherwise: $(cat taken)"
listed "$COUNTY" "$D" 1 || fail "D is not back"
listed "$COUNTY" "$E" 0 || fail "E counts though no copy below has it"
check "publish it again" directive "$COUNTY" publish "$TREE/$COUNTY/data/set-aside/"package-* >out
within "$PATIENCE" "the village lists E" listed "$VILLAGE" "$E" 1
for code in "$TOWN" "$VILLAGE"; do
    within "$PATIENCE" "$code has no alarm" no_reason "$code" log-forked
    within "$PATIENCE" "$code is equal" same_heads "$code"
    for subject in "$A" "$B" "$C" "$D" "$E"; do
        listed "$code" "$subject" 1 || fail "$code lost $subject"
    done
done

# What the issuer signed of the history that it gave up is told nobody any more,
# neither with a new line.
stop "$TOWN"
start "$TOWN"
check "a decision after that" decide 913400001000000835
within "$PATIENCE" "the village lists it" listed "$VILLAGE" 913400001000000835 1
sleep 1.5 # heads are told several times
for code in "$TOWN" "$VILLAGE"; do
    no_reason "$code" log-forked || fail "$code is told the history that was given up"
done

note "killed on the way"
keep
third=$(newest_log)
{
    echo "$LIST_HEADER"
    for i in $(seq 1 3000); do row "$A" "$((100 + i))"; done
} >many.csv
check "many decisions" publish many.csv
within "$PATIENCE" "the village has them" same_heads "$VILLAGE"
kill_node "$COUNTY"
put_back
start "$COUNTY"
within "$PATIENCE" "the issuer sees it" reason "$COUNTY" log-forked
export_from "$VILLAGE" copy "$third"
for after in 0.03 0.06 0.1; do
    directive "$COUNTY" import copy >out 2>&1 &
    sleep "$after"
    kill_node "$COUNTY"
    wait $! || true
    start "$COUNTY"
done
directive "$COUNTY" import copy >out 2>&1 || fail "import once more: $(cat out)"
check "and it decides again" decide 91340000100000067F
within "$PATIENCE" "all is equal" same_heads "$VILLAGE"
within "$PATIENCE" "the alarm is over" no_reason "$COUNTY" log-forked

note "nothing is left of it"
stop "$COUNTY"
empty_node "$COUNTY"
start "$COUNTY"
logs_of "$VILLAGE" "select(.log | startswith(\"$COUNTY/directives/\")) | .log" >logs
[ "$(wc -l <logs)" = 4 ] || fail "the village has other logs: $(cat logs)"
while read -r log; do
    export_from "$VILLAGE" copy "$log"
    check "import of $log" directive "$COUNTY" import copy >out
done <logs
listed "$COUNTY" "$E" 1 || fail "E is not back"
check "it decides" decide 91340000100000075A
within "$PATIENCE" "the village lists it" listed "$VILLAGE" 91340000100000075A 1
within "$PATIENCE" "all is equal" same_heads "$VILLAGE"
