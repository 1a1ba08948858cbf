#!/usr/bin/env bash
# From decision to effect: an app's check meets a listed subject, which its node
# notes, once a day; the app says what it did; that rises, and the authority sees
# what came of its directive. A full disk hinders no check.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apps.sh"
. "$HERE/lists.sh"

TREE_ISSUERS="000000000000:2:3 $COUNTY:1:1"
allow STORE-FULL
make_small
make_app counter public,feedback
make_app tender public,feedback
make_app reader public
make_app other ingest
grant "$VILLAGE" counter public,feedback tender public,feedback reader public other ingest
start_all
key=$TREE/fed/deciders/$COUNTY-1.key
A=913400001000000167
B=913400001000000242
{
    echo "$LIST_HEADER"
    printf '示例商贸有限公司,%s,示例认〔2026〕7号,示例事由,示例条例第十条,2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,%s,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' \
        "$A" "${COUNTY:0:6}"
} >"$WORK/one.csv"
check "decide" directive "$COUNTY" import "$WORK/one.csv" --key "$key" --yes --publish >/dev/null
checked() { ask "$1" "$VILLAGE" Check <<<"subjects: \"$A\" subjects: \"$B\""; } # APP
has_list() { checked tender >"$WORK/list" && grep -q "number: 3" "$WORK/list"; }
# FILTER: of the listing at the county.
effects() { directive "$COUNTY" effects 3 --json 2>/dev/null | jq -c ".listings[0] | $1"; }
is_effect() { [ "$(effects "$1")" = "$2" ]; }
feedback() { # APP TEXT: fields of the request behind log and number
    ask "$1" "$VILLAGE" Feedback <<<"log: \"$log\" number: 3 $2"
}

note "met, and noted once"
within "$PATIENCE" "the village has the list" has_list
check "check" checked counter >"$WORK/reply"
grep -q 'recorded: true' "$WORK/reply" || fail "not recorded: $(cat "$WORK/reply")"
log=$(sed -n 's/.*log: "\(.*directives.*\)"/\1/p' "$WORK/reply" | head -n 1)
before=$(own_size "$VILLAGE")
check "again" checked counter >"$WORK/reply"
grep -q 'recorded: true' "$WORK/reply" || fail "the second time"
[ "$(own_size "$VILLAGE")" = "$before" ] || fail "noted twice"
within "$PATIENCE" "the issuer sees two apps" is_effect '[.hit, .applied]' '[2,0]'
ask tender "$VILLAGE" Check <<<"subjects: \"$B\"" >"$WORK/reply"
grep -q 'recorded: true' "$WORK/reply" || fail "nothing met is all recorded"

note "one subject ten thousand times is no way to a large answer"
for ((i = 0; i < 10000; i++)); do echo "subjects: \"$A\""; done >"$WORK/many"
refused tender "$VILLAGE" Check TOO_LARGE <"$WORK/many"
grep -q 'each once' "$WORK/refusal" || fail "it was built before it was refused: $(cat "$WORK/refusal")"
check "some times" ask tender "$VILLAGE" Check < <(head -n 100 "$WORK/many") >"$WORK/reply"
[ "$(grep -c '^hits {' "$WORK/reply")" = 100 ] || fail "not as often as asked"

note "what was done"
check "feedback" feedback counter 'outcome: "applied" measures: "C01"' >"$WORK/reply"
grep -q 'version: 2' "$WORK/reply" || fail "no new version: $(cat "$WORK/reply")"
check "unchanged" feedback counter 'outcome: "applied" measures: "C01"' >"$WORK/reply"
grep -q 'version: 2' "$WORK/reply" || fail "again is another"
check "refused" feedback tender 'outcome: "refused" reason: "招标已截止"' >/dev/null
within "$PATIENCE" "who reported is told" says "$VILLAGE" 'ENTERED .*/app/counter .*method=Feedback'
within "$PATIENCE" "the issuer sees both" is_effect '[.hit, .applied, .refused]' '[0,1,1]'
[ "$(effects '[.executions[] | .app + " " + .outcome] | sort')" = '["counter applied","tender refused"]' ] ||
    fail "who did what: $(effects .executions)"
directive "$COUNTY" effects 3 >"$WORK/out"
grep -q "$VILLAGE.*counter.*applied.*C01" "$WORK/out" || fail "for people: $(cat "$WORK/out")"
check "a check after it leaves it as it is" checked counter >/dev/null
is_effect '[.hit, .applied, .refused]' '[0,1,1]' || fail "a check undid it: $(effects .)"

note "what is no report"
refused counter "$VILLAGE" Feedback INVALID <<<"log: \"$log\" number: 3 outcome: \"hit\""
refused counter "$VILLAGE" Feedback INVALID <<<"log: \"$log\" number: 3 outcome: \"applied\""
refused counter "$VILLAGE" Feedback INVALID <<<"log: \"$log\" number: 3 outcome: \"refused\" reason: \"11010519491231002X\""
refused counter "$VILLAGE" Feedback NOT_FOUND <<<"log: \"$log\" number: 2 outcome: \"not-applicable\""
refused counter "$VILLAGE" Feedback NOT_FOUND <<<"log: \"x\" number: 3 outcome: \"not-applicable\""
refused counter "$VILLAGE" Feedback INVALID <<<"log: \"$log\" number: 3 outcome: \"not-applicable\" day: 20991231"
refused counter "$VILLAGE" Feedback INVALID <<<"log: \"$log\" number: 3 outcome: \"not-applicable\" day: 20200101"
refused reader "$VILLAGE" Feedback DENIED <<<"log: \"$log\" number: 3 outcome: \"not-applicable\""
refused other "$VILLAGE" Feedback DENIED <<<"log: \"$log\" number: 3 outcome: \"not-applicable\""
refused other "$VILLAGE" Check DENIED <<<"subjects: \"$A\""

note "by hand, and as a record"
check "an office reports" node_cmd "$VILLAGE" feedback "$log#3" --outcome not-applicable --app window >"$WORK/out"
within "$PATIENCE" "it rises" is_effect '[.applied, .not_applicable, .refused]' '[1,1,1]'
node_cmd "$COUNTY" query "$log#3" --json | jq -e '.records | length == 3 and all(.item == "execution")' >/dev/null ||
    fail "as records: $(node_cmd "$COUNTY" query "$log#3" --json)"
printf '执行结果,应用,名单条目\n已实施,x,%s#3\n' "$log" >"$WORK/forged.csv"
! node_cmd "$VILLAGE" import "$WORK/forged.csv" >"$WORK/out" 2>&1 || fail "entered by a file: $(cat "$WORK/out")"

note "killed between the answer and the rise"
stop "$TOWN"
make_app late public
grant "$VILLAGE" counter public,feedback tender public,feedback late public
kill -HUP "$(tree_pid "$VILLAGE")"
late_check() { checked late >"$WORK/reply"; }
within "$PATIENCE" "the new app may ask" late_check
grep -q 'recorded: true' "$WORK/reply" || fail "not recorded: $(cat "$WORK/reply")"
kill_node "$VILLAGE"
start "$VILLAGE"
start "$TOWN"
within "$PATIENCE" "nothing acknowledged is lost" is_effect '.hit' 1

note "a full disk hinders no check"
stop "$VILLAGE"
make_app last public,feedback
grant "$VILLAGE" last public,feedback
set_option "$VILLAGE" store.reserve="1 TiB"
start "$VILLAGE"
last_check() { checked last >"$WORK/reply"; }
within "$PATIENCE" "answered" last_check
grep -q 'number: 3' "$WORK/reply" && ! grep -q 'recorded' "$WORK/reply" ||
    fail "with a full disk: $(cat "$WORK/reply")"
refused last "$VILLAGE" Feedback NO_SPACE <<<"log: \"$log\" number: 3 outcome: \"not-applicable\""
