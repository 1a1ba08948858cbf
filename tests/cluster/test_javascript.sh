#!/usr/bin/env bash
# Apps with another maker's gRPC (grpc-js): they query, cancel, compress, send
# garbage and use certificates that open nothing; each gets a status with its
# reason and the node goes on. The example of docs/apps.md does what that page
# says. Left out (77) where npm reaches no registry.
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

command -v npm >/dev/null && command -v node >/dev/null || { note "no npm"; exit 77; }
(mkdir "$WORK/js" && cd "$WORK/js" && npm install --no-fund --no-audit --ignore-scripts \
    --fetch-retries 2 --fetch-retry-mintimeout 1000 --fetch-retry-maxtimeout 5000 \
    @grpc/grpc-js @grpc/proto-loader @grpc/reflection >npm.log 2>&1) || { note "npm installs nothing here"; exit 77; }
cp "$ROOT/tests/support/client.js" "$ROOT/docs/examples/app.js" "$WORK/js/"
export PROTOS=$ROOT/proto CSV=$WORK/rows.csv

TREE_ISSUERS="$COUNTY:1:1"
make_small
app() { # NAME SCOPES
    "$ROOT/certs/make-app.sh" "$TREE/fed" "$WORK/$1" --name "$1" --scopes "$2" >/dev/null ||
        fail "certificate of $1"
}
app hall public,shared
app desk ingest,public
app tender public,feedback
app stranger public,shared
sed -i "s/^apps = ();/apps = ( $(cat "$WORK/hall/entry"), $(cat "$WORK/desk/entry"), $(cat "$WORK/tender/entry") );/" \
    "$(tree_conf "$TOWN")"
start_all
check "import" enter "$VILLAGE" 1 200
check "equal" equal
subject=$("$BENCH_GEN" --first 1 --rows 200 --subjects 50 --codes | head -n 1)
rows 5001 20 >"$CSV"

asks() { # APP CASE FILTER: of the answer must be true
    local who=$WORK/$1
    timeout 60 node "$WORK/js/client.js" "$(tree_port "$TOWN")" "$who/ca.pem" \
        "$who/app.pem" "$who/app.key" "$2" "$subject" >"$WORK/answer" 2>"$WORK/answer.err" ||
        fail "client $1 $2: $(tail -n 3 "$WORK/answer.err")"
    note "$1 $2: $(cut -c1-200 "$WORK/answer")"
    jq -e "$3" "$WORK/answer" >/dev/null || fail "$1 $2: $(cat "$WORK/answer")"
}
asks hall health '.code == 0 and .status == "SERVING"'
asks hall subject '.code == 0 and .records > 0 and .fields > 0'
# A tool without any .proto of this node; whoever passed TLS may ask.
whole='.files == (.services | length) and .unknown == 5 and
    (.services | contains(["creditnode.query.v1.Query", "creditnode.ingest.v1.Ingest",
        "creditnode.federation.v1.Federation", "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection"]))'
asks hall reflection ".code == 0 and .fields > 0 and $whole"
asks hall reflection_old ".code == 0 and .fields > 0 and $whole"
asks stranger reflection ".name == \"PERMISSION_DENIED\" and $whole"
asks hall wrong_subject '.name == "INVALID_ARGUMENT" and .detail != ""'
asks hall many '.bad == 0'
asks hall cancel '.code == 0'
asks hall gzip '.code != 0'
asks hall garbage '.name == "INVALID_ARGUMENT"'
asks hall empty '.name == "INVALID_ARGUMENT"'
asks hall giant '.name == "RESOURCE_EXHAUSTED" or .name == "INVALID_ARGUMENT"'
asks hall no_method '.name == "UNIMPLEMENTED"'
# An app is no node, and may only do what it is listed for.
asks hall federation '.name == "PERMISSION_DENIED"'
asks hall cancel_stream '.code != 0'
asks hall submit '.name == "PERMISSION_DENIED"'
asks desk submit '.code == 0 and .rows == 20 and .outcome == "new"'
asks desk submit '.code == 0 and .outcome == "unchanged"'
asks stranger subject '.name == "PERMISSION_DENIED"'
# Another CA: TLS ends it.
"$ROOT/certs/make-federation.sh" "$WORK/otherfed" --name "$TREE_FEDERATION" >/dev/null
"$ROOT/certs/make-app.sh" "$WORK/otherfed" "$WORK/other" --name hall --scopes public >/dev/null
cp "$WORK/hall/ca.pem" "$WORK/other/ca.pem"
asks other subject '.name == "UNAVAILABLE"'

asks hall subject '.code == 0'

example() { # STATUS APP ARG...: of the example
    local rc=0
    NODES=localhost:$(tree_port "$TOWN") CERTS=$WORK/$2 WITHIN=${WITHIN:-$PATIENCE} \
        timeout $((2 * PATIENCE)) node "$WORK/js/app.js" "${@:3}" >"$WORK/answer" 2>"$WORK/answer.err" || rc=$?
    [ $rc = "$1" ] || fail "example $2 ${*:3}: status $rc: $(tail -n 3 "$WORK/answer" "$WORK/answer.err")"
}
said() { # FILTER: of the answer must be true
    jq -e "$1" "$WORK/answer" >/dev/null || fail "no '$1': $(cat "$WORK/answer")"
}

note "example: rows, one of them wrong"
cat >"$WORK/rows.json" <<'END'
[{"XK_XDR_MC": "样例\"甲\",公司", "XK_XDR_LB": "法人及非法人组织", "XK_XDR_SHXYM": "91999900MA000100X7",
  "XK_FRDB": "赵样", "XK_XKWS": "决定书", "XK_WSH": "样许〔2026〕1号", "XK_XKLB": "普通", "XK_NR": "取水\n第二行",
  "XK_JDRQ": "2026-03-02", "XK_YXQZ": "2026-03-02", "XK_YXQZI": "2031-03-01", "XK_XKJG": "样例水务局",
  "XK_XKJGDM": "11230500001755309F", "XK_ZT": "1", "XK_LYDW": "样例水务局", "XK_LYDWDM": "11230500001755309F"}]
END
jq '. + [.[0] | .XK_XDR_SHXYM = "91999900MA000100X8" | .XK_WSH = "样许〔2026〕2号"]' "$WORK/rows.json" >"$WORK/two.json"
example 3 desk submit "$WORK/two.json"
said '[.[] | [.row, .outcome, .faults[0].rule]] == [[0, "new", null], [1, "refused", "uscc-check"]]'
example 0 desk submit "$WORK/rows.json"
said '.[0].outcome == "unchanged"'
example 4 hall subject 91999900MA000100X7 # the county decided nothing yet
said '.records[0].fields | any(.value == "取水\n第二行")'
example 1 hall submit "$WORK/rows.json"
grep -q '^DENIED: .*ingest' "$WORK/answer.err" || fail "no reason: $(cat "$WORK/answer.err")"
example 1 stranger check "$subject"
grep -q '^DENIED: .*apps' "$WORK/answer.err" || fail "no reason: $(cat "$WORK/answer.err")"

note "example: a listed bidder, and what was done"
listed=913400001000000167
{
    echo "$LIST_HEADER"
    printf '示例商贸有限公司,%s,示例认〔2026〕7号,示例事由,示例条例第十条,2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,%s,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' \
        "$listed" "${COUNTY:0:6}"
} >"$WORK/decision.csv"
check "decide" node_cmd "$COUNTY" directive import "$WORK/decision.csv" \
    --key "$TREE/fed/deciders/$COUNTY-1.key" --yes --publish >/dev/null
is_listed() { [ "$(node_cmd "$TOWN" query "$listed" --json 2>/dev/null | jq '.listings | length')" = 1 ]; }
within "$PATIENCE" "the list is here" is_listed
example 3 tender check 91340000100000032W "$listed"
said '(.hits | length) == 1 and .hits[0].listings[0].colour == "black" and .recorded'
read -r log number < <(jq -r '.hits[0].listings[0] | "\(.log) \(.number)"' "$WORK/answer")
is_clear() { example 0 tender check 91340000100000032W; }
while_fresh() { node_cmd "$TOWN" directive lists --json | jq -e 'all(.lists[]; .freshness == "fresh")' >/dev/null && is_clear; }
within "$PATIENCE" "nobody is listed, and that is sure" while_fresh
example 4 tender check 91340000100000032W 913400001000000168
said '.invalid == ["913400001000000168"]'
example 0 tender feedback "$log" "$number" applied C01
said '.version == 2'
example 1 tender feedback "$log" "$number" applied
grep -q '^INVALID: .*measures' "$WORK/answer.err" || fail "no reason: $(cat "$WORK/answer.err")"
example 1 hall feedback "$log" "$number" applied C01
grep -q '^DENIED: .*feedback' "$WORK/answer.err" || fail "no reason: $(cat "$WORK/answer.err")"
effect() { node_cmd "$COUNTY" directive effects "$number" --json 2>/dev/null | jq -e '.listings[0].applied == 1' >/dev/null; }
within "$PATIENCE" "the county sees it" effect

note "example: a node that is silent, and one that comes back"
kill -STOP "$(tree_pid "$TOWN")"
WITHIN=4 example 1 hall subject "$subject"
grep -q '^DEADLINE_EXCEEDED: ' "$WORK/answer.err" || fail "no deadline: $(cat "$WORK/answer.err")"
kill -CONT "$(tree_pid "$TOWN")"
stop "$TOWN"
example 0 desk submit "$WORK/rows.json" &
waiting=$!
start "$TOWN"
wait "$waiting" || fail "not sent again: $(cat "$WORK/answer.err")"
said '.[0].outcome == "unchanged"'
check "equal" equal
within "$PATIENCE" "the state is ok" is "$TOWN" .health.state ok
