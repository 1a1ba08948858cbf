#!/usr/bin/env bash
# Questions by gRPC and by command: scopes, pages, histories, holders; and a
# command line that helps whoever errs.
. "$(dirname "$0")/lib.sh"
. "$HERE/apps.sh"

make_small
make_app hall public
make_app none feedback
make_app stranger public
make_app boss authorised --kind operator
make_app li authorised --kind operator
grant "$COUNTY" hall public none feedback boss authorised
start_all

# 1,200 records of one subject, with long texts: more than one message holds.
head=XK_XDR_MC,XK_XDR_LB,XK_XDR_SHXYM,XK_FRDB,XK_XKWS,XK_WSH,XK_XKLB,XK_NR,XK_JDRQ,XK_YXQZ,XK_YXQZI,XK_XKJG,XK_XKJGDM,XK_ZT,XK_LYDW,XK_LYDWDM
org=宣城市样例甲贸易有限公司,法人及非法人组织,91999900MA000100X7,赵样一,样例决定书
end=2026-01-03,2026-01-03,2031-01-02,宣城市样例市场监督管理局,11999900000001011N,1,宣城市样例市场监督管理局,11999900000001011N
long=$(printf '准予样例%.0s' {1..250})
table() { # COUNT CONTENT
    echo "$head"
    seq 1 "$1" | sed "s/.*/$org,样许〔2026〕&号,普通,$2,$end/"
}
table 1200 "$long" | node_cmd "$VILLAGE" import --stdin --quiet >/dev/null || fail "import"
table 1 "另一内容" | node_cmd "$VILLAGE" import --stdin --quiet >/dev/null || fail "import of a change"
table 1 '"第三内容\n    公开属性  公开"' | node_cmd "$VILLAGE" import --stdin --quiet --receipt "$WORK/third" >/dev/null || fail "import of a change"
check "equal" equal

# ---- pages ----

subject=91999900MA000100X7
after= total=0 pages=0
while :; do
    printf 'subject: "%s" limit: 1000 %s' "$subject" "${after:+after: \"$after\"}" |
        ask hall "$COUNTY" Subject >"$WORK/page" || fail "page: $(cat "$WORK/refusal")"
    [ "$(wc -c <"$WORK/reply")" -le 1052672 ] || fail "a reply of $(wc -c <"$WORK/reply") bytes"
    total=$((total + $(grep -c '^records {' "$WORK/page")))
    pages=$((pages + 1))
    after=$(sed -n 's/^next: "\(.*\)"$/\1/p' "$WORK/page")
    [ -n "$after" ] && [ $pages -lt 20 ] || break
done
[ $total -eq 1200 ] || fail "$total records on $pages pages"
[ $pages -gt 2 ] || fail "a page of more than a message"

total=0 after=() pages=0
while :; do
    node_cmd "$COUNTY" query --json --limit 500 "${after[@]}" "$subject" >"$WORK/page" || fail "page by command"
    total=$((total + $(jq '.records | length' "$WORK/page")))
    pages=$((pages + 1))
    after=(--after "$(jq -r '.next // ""' "$WORK/page")")
    [ -n "${after[1]}" ] && [ $pages -lt 20 ] || break
done
[ $total -eq 1200 ] || fail "$total records on $pages pages by command"

# ---- one record ----

IFS=, read -r _ _ key log number _ < <(tail -n +2 "$WORK/third" | tr -d '"')
printf 'log: "%s" number: %s' "$log" "$number" | ask hall "$COUNTY" Record >"$WORK/record" || fail "record"
[ "$(grep -c '^history {' "$WORK/record")" = 2 ] || fail "not two earlier versions"
grep -A3 '^record {' "$WORK/record" | grep -q 'version: 3' || fail "not the current version first"
[ "$(grep -c 'durable: true' "$WORK/record")" -ge 1 ] || fail "nobody holds it"
held() {
    node_cmd "$VILLAGE" query --json "$subject" "$key" |
        jq -e '[.held_by[] | select(.durable) | .tier] == ["village", "township", "county"]' >/dev/null
}
within "$PATIENCE" "the village knows that all tiers hold it" held
check "shape of one record" jq -e '.record.version == 3 and (.history | map(.version)) == [2, 1] and
    .more == false and (.node.code | length) == 12 and (.record.fields | length) > 5' \
    <(node_cmd "$COUNTY" query --json --log "$log" --number "$number") >/dev/null

node_cmd "$COUNTY" query --log "$log" --number "$number" >"$WORK/shown"
grep -q '第三内容?    公开属性  公开' "$WORK/shown" || fail "a value makes lines of its own: $(cat "$WORK/shown")"

# ---- scopes ----

one() { printf 'subject: "%s" limit: 1' "$subject"; }
one | refused none "$COUNTY" Subject DENIED
one | refused stranger "$COUNTY" Subject DENIED
one | refused li "$COUNTY" Subject DENIED
# The same name by another CA of the federation, another key.
"$ROOT/certs/make-app.sh" "$TREE/fed" "$WORK/app-twin" --name hall --scopes public >/dev/null ||
    fail "certificate of the twin"
one | refused twin "$COUNTY" Subject DENIED
one | refused hall "$TOWN" Subject DENIED
one | ask boss "$COUNTY" Subject >/dev/null || fail "the operator: $(cat "$WORK/refusal")"
printf 'subject: "9199990"' | refused hall "$COUNTY" Subject INVALID
printf 'log: "%s"' "$log" | refused hall "$COUNTY" Record INVALID
printf 'log: "%s" number: 1' "$log" | refused hall "$COUNTY" Record NOT_FOUND
printf 'log: "%s" number: 999999' "$log" | refused hall "$COUNTY" Record NOT_FOUND

# ---- whoever errs ----

# STATUS PATTERN COMMAND ARG...
errs() {
    local want=$1 pattern=$2 rc=0
    shift 2
    node_cmd "$COUNTY" "$@" >"$WORK/out" 2>&1 </dev/null || rc=$?
    [ $rc -eq "$want" ] || fail "$*: status $rc, not $want: $(cat "$WORK/out")"
    grep -qE "$pattern" "$WORK/out" || fail "$*: says $(cat "$WORK/out")"
}
errs 2 'query --help' query
errs 2 'query --help' query --limit many "$subject"
errs 2 'query --help' query --limit
errs 2 'query --help' query a b c
errs 2 'query --help' query --log "$log"
errs 1 'no unified social credit code' query 123
errs 1 'no log of records' query --log x --number 1
errs 1 '32 hex digits' query "$subject" xyz
errs 1 'not found' query "$subject" 00000000000000000000000000000000
errs 0 '0 records' query 91999900MA00010187
for command in status logs issues verify scrub reindex watch; do
    errs 2 "$command --help" "$command" --no-such-option
    [ $command = watch ] || errs 2 "$command --help" "$command" surplus
done
errs 2 'logs --help' logs --state asleep
errs 2 'status --help' status --lang fr
for command in status logs issues scrub; do
    node_cmd "$COUNTY" "$command" --json >"$WORK/out" 2>/dev/null
    jq -e 'type == "object" and (has("type") | not)' "$WORK/out" >/dev/null || fail "$command --json: $(cat "$WORK/out")"
done
errs 1 'no parent.*--with.*--origin' verify
errs 1 'one of them' verify --origin --with 127.0.0.1:1
"$CREDITNODE" >"$WORK/out" 2>&1
[ $? -eq 2 ] || fail "status without a command"
"$CREDITNODE" stauts >"$WORK/out" 2>&1
[ $? -eq 2 ] && grep -q "no command 'stauts'" "$WORK/out" || fail "a misspelt command"
"$CREDITNODE" status -c "$WORK/none.cfg" >"$WORK/out" 2>&1
[ $? -eq 1 ] && grep -q 'none.cfg' "$WORK/out" || fail "no configuration: $(cat "$WORK/out")"
for command in serve check-config import query status watch logs issues verify reindex scrub; do
    "$CREDITNODE" "$command" --help | grep -q "^usage: creditnode $command" || fail "$command --help"
done
stop "$COUNTY"
for command in status logs issues verify scrub reindex; do
    errs 1 'is the node running' "$command"
done
errs 1 'is the node running' query "$subject"
"$CREDITNODE" watch --once --lang en "$(tree_conf "$COUNTY")" >"$WORK/out" 2>&1
grep -q 'no answer' "$WORK/out" || fail "watch of a node that is down: $(cat "$WORK/out")"
start "$COUNTY"

# ---- a certificate that a handshake found before SIGHUP ----

renewed_by_handshake() {
    one | ask hall "$COUNTY" Subject >/dev/null
    says "$COUNTY" CERT-RENEWED
}
"$ROOT/certs/renew.sh" "$TREE/$COUNTY/certs" --federation-dir "$TREE/fed" \
    >/dev/null || fail "renewal"
within "$PATIENCE" "a handshake takes the new certificate" renewed_by_handshake
kill -HUP "$(tree_pid "$COUNTY")"
within "$PATIENCE" "the reload tells of it" says "$COUNTY" 'RELOAD .*certificates=renewed'
