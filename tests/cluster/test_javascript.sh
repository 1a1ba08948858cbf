#!/usr/bin/env bash
# Apps with another maker's gRPC (grpc-js): they query, cancel, compress, send
# garbage and use certificates that open nothing; each gets a status with its
# reason and the node goes on. Left out (77) where npm reaches no registry.
. "$(dirname "$0")/lib.sh"

command -v npm >/dev/null && command -v node >/dev/null || { note "no npm"; exit 77; }
(mkdir "$WORK/js" && cd "$WORK/js" && npm install --no-fund --no-audit --ignore-scripts \
    @grpc/grpc-js @grpc/proto-loader @grpc/reflection >npm.log 2>&1) || { note "npm installs nothing here"; exit 77; }
cp "$ROOT/tests/support/client.js" "$WORK/js/"
export PROTOS=$ROOT/proto CSV=$WORK/rows.csv

make_small
app() { # NAME SCOPES
    "$ROOT/certs/make-app.sh" "$TREE/fed" "$WORK/$1" --name "$1" --scopes "$2" >/dev/null ||
        fail "certificate of $1"
}
app hall public,shared
app desk ingest,public
app stranger public,shared
sed -i "s/^apps = ();/apps = ( $(cat "$WORK/hall/entry"), $(cat "$WORK/desk/entry") );/" \
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
check "equal" equal
within "$PATIENCE" "the state is ok" is "$TOWN" .health.state ok
