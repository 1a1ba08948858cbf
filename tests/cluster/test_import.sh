#!/usr/bin/env bash
# Every sample in both encodings by every way in: the same rows, the same
# faults, one record each; and a command line that helps whoever errs.
. "$(dirname "$0")/lib.sh"
. "$HERE/apps.sh"

SAMPLES=$ROOT/simulate/samples
make_small
set_option "$VILLAGE" inbox.path="$TREE/$VILLAGE/inbox"
set_option "$VILLAGE" inbox.interval="100 ms"
set_option "$VILLAGE" inbox.settle="200 ms"
make_app desk ingest
make_app hall public,shared,authorised
grant "$VILLAGE" desk ingest hall public,shared,authorised
start_all

# ---- the samples ----

# FILE: what a receipt says, whoever wrote it: line outcome key number column
# rule text; a known row counts as a new one.
plain() {
    tr -d '"\r' <"$1" | tail -n +2 | sed 's/,[^,]*\.csv$//; s/,standard input$//
        s/^\([0-9]*\),\(unchanged\|changed\),/\1,new,/' | grep -v '^0,note'
}

# WAY FILE: exit status of import; the receipt goes to $WORK/receipt
by_file() { node_cmd "$VILLAGE" import --receipt "$WORK/receipt" "$1" >"$WORK/out" 2>&1; }
by_stdin() { node_cmd "$VILLAGE" import --stdin --receipt "$WORK/receipt" <"$1" >"$WORK/out" 2>&1; }
by_inbox() {
    local name=${1##*/} to=$TREE/$VILLAGE/inbox
    cp "$1" "$to/.$name.part" && mv "$to/.$name.part" "$to/$name"
    within "$PATIENCE" "$name is done" test -e "$to/done/$name"
    cp "$to/done/$name.receipt.csv" "$WORK/receipt"
    rm "$to/done/$name" "$to/done/$name.receipt.csv"
    ! grep -q ',refused,' "$WORK/receipt" || return 3
}
by_grpc() {
    printf 'csv: "%s"' "$(pb_bytes "$1")" | ask desk "$VILLAGE" Submit >"$WORK/submitted" ||
        fail "Submit of $1: $(cat "$WORK/refusal")"
    ! grep -q 'outcome: "refused"' "$WORK/submitted" || return 3
}

first=1
# FILE GOOD REFUSED
sample() {
    local file=$1 good=$2 refused=$3 code charset way want=0 rc
    local base=${file%.csv}
    [ "$refused" -eq 0 ] || want=3
    iconv -f "$4" -t utf-8 "$SAMPLES/$file" | sed '1s/^\xef\xbb\xbf//' >"$WORK/$base-utf8.csv"
    iconv -f utf-8 -t gb18030 "$WORK/$base-utf8.csv" >"$WORK/$base-gb18030.csv"
    cp "$SAMPLES/$file" "$WORK/$base-asis.csv"
    for way in by_file by_stdin by_inbox by_grpc; do
        for charset in asis utf8 gb18030; do
            code=$WORK/$base-$charset.csv
            rc=0
            "$way" "$code" || rc=$?
            [ $rc -eq $want ] || fail "$way of $base-$charset: status $rc, not $want: $(cat "$WORK/out")"
            if [ "$way" = by_grpc ]; then
                grpc_counts "$good" "$refused" "$base-$charset"
                continue
            fi
            plain "$WORK/receipt" >"$WORK/plain"
            if [ $first -eq 1 ]; then
                cp "$WORK/plain" "$WORK/plain.$base"
                first=0
                [ "$(cut -d, -f2 "$WORK/plain" | grep -cx new)" = "$good" ] ||
                    fail "$base: not $good good rows: $(cat "$WORK/out")"
                [ "$(grep ',refused,' "$WORK/plain" | cut -d, -f1 | sort -u | wc -l)" = "$refused" ] ||
                    fail "$base: not $refused bad rows"
            else
                cmp "$WORK/plain.$base" "$WORK/plain" >&2 ||
                    fail "$way of $base-$charset gives another receipt"
            fi
        done
    done
    first=1
}

grpc_counts() { # GOOD REFUSED NAME
    [ "$(grep -c 'outcome: "unchanged"' "$WORK/submitted")" = "$1" ] ||
        fail "Submit of $3: not $1 rows unchanged"
    [ "$(grep -c 'outcome: "refused"' "$WORK/submitted")" = "$2" ] ||
        fail "Submit of $3: not $2 rows refused"
    [ "$(grep -c ' text: "' "$WORK/submitted")" = "$(grep -c ' text_zh: "' "$WORK/submitted")" ] ||
        fail "Submit of $3: not each fault in both languages"
}

sample licences-2018-utf8bom.csv 24 0 utf-8
sample penalties-2018-gb18030.csv 20 0 gb18030
sample penalties-2016.csv 18 0 utf-8
sample licences-dirty.csv 6 16 utf-8
check "each row is one record, whichever way it came" holds_rows "$VILLAGE" 68
check "equal" equal

# ---- receipts and JSON ----

node_cmd "$VILLAGE" import --json "$SAMPLES/licences-dirty.csv" "$SAMPLES/penalties-2016.csv" >"$WORK/json"
[ $? -eq 3 ] || fail "status of refused rows"
check "shape of --json" jq -e 'length == 2 and
    (.[0] | .rows == 22 and .refused == 16 and .unchanged == 6 and (.file | endswith("dirty.csv"))
        and (.faults | length >= 16) and (.faults[0] | has("line") and has("column") and has("rule") and has("text"))
        and .faults_left_out == 0) and
    (.[1] | .rows == 18 and .refused == 0 and .faults == [])' "$WORK/json" >/dev/null
node_cmd "$VILLAGE" import --receipt "$WORK/both" "$SAMPLES/licences-dirty.csv" "$SAMPLES/penalties-2016.csv" >/dev/null
grep -q 'dirty.csv"$' "$WORK/both" && grep -q '2016.csv"$' "$WORK/both" ||
    fail "the receipt does not tell the files apart"
node_cmd "$VILLAGE" import --quiet "$SAMPLES/licences-dirty.csv" >"$WORK/out" 2>/dev/null
[ "$(wc -l <"$WORK/out")" = 1 ] || fail "--quiet prints more than the sums: $(cat "$WORK/out")"

# ---- whoever errs ----

# STATUS PATTERN ARG...: import fails so and says so
errs() {
    local want=$1 pattern=$2 rc=0
    shift 2
    node_cmd "$VILLAGE" import "$@" >"$WORK/out" 2>&1 </dev/null || rc=$?
    [ $rc -eq "$want" ] || fail "import $*: status $rc, not $want: $(cat "$WORK/out")"
    grep -qE "$pattern" "$WORK/out" || fail "import $*: says $(cat "$WORK/out")"
}
mkdir -p "$WORK/folder"
head -c 100000 "$CREDITNODE" >"$WORK/binary"
: >"$WORK/empty.csv"
errs 2 'name files.*--help'
errs 2 'name files' --stdin "$WORK/empty.csv"
errs 2 'invalid|unrecognized|unknown|name files' --no-such-option x
errs 1 'missing.csv: No such file' "$WORK/missing.csv"
errs 1 'folder: a folder; name the files in it' "$WORK/folder"
errs 1 'binary: .' "$WORK/binary"
errs 1 'empty.csv: .*header' "$WORK/empty.csv"
errs 1 'standard input: .*header' --stdin
errs 1 'missing.csv: No such file' "$WORK/missing.csv" "$SAMPLES/penalties-2016.csv"
grep -q '18 unchanged' "$WORK/out" || fail "one missing file kept the others out"
errs 1 'no/receipt: No such file' --receipt "$WORK/no/receipt" "$SAMPLES/penalties-2016.csv"
node_cmd "$VILLAGE" import --json "$WORK/empty.csv" >"$WORK/json" 2>/dev/null &&
    fail "an empty file is no success"
check "a refused file in --json" jq -e '.[0] | has("file") and has("error")' "$WORK/json" >/dev/null
node_cmd "$VILLAGE" import --receipt "$WORK/r" "$WORK/empty.csv" >/dev/null 2>&1
grep -q '^0,"refused",.*"file",".*header' "$WORK/r" || fail "a refused file is not in the receipt"
cp "$WORK/binary" "$TREE/$VILLAGE/inbox/binary.csv"
within "$PATIENCE" "a binary file is rejected" test -e "$TREE/$VILLAGE/inbox/rejected/binary.csv.receipt.csv"

# Of a pipe that goes on for ever after the file was refused nobody waits.
node_cmd "$VILLAGE" import --stdin < <(printf 'XK_XDR_MC,XK_WSH,XK_NR\n'; yes 'x,y,z' | head -n 20000; exec sleep 100) >"$WORK/out" 2>&1
[ $? -eq 1 ] || fail "a refused pipe: $(cat "$WORK/out")"

# A long import shows how far it is, on a terminal only. It is long because the
# node sleeps from when the file is being read for more than a second.
rows 1 5000 >"$WORK/long.csv"
is_read() {
    local pid fd
    kill -0 "$import" || return 0 # It ended: its status says why.
    pid=$(pgrep -nf "import -c .*$WORK/long.csv$") || return 1
    for fd in "/proc/$pid/fd/"*; do
        [ ! "$fd" -ef "$WORK/long.csv" ] ||
            [ "$(awk '/^pos:/ {print $2}' "/proc/$pid/fdinfo/${fd##*/}")" = 0 ] || return 0
    done 2>/dev/null
    return 1
}
takes_long() { # COMMAND...
    local import
    kill -STOP "$(tree_pid "$VILLAGE")"
    "$@" </dev/null &
    import=$!
    within "$PATIENCE" "the file is being read" is_read
    sleep 1.5
    kill -CONT "$(tree_pid "$VILLAGE")"
    wait $import
}
import_long() {
    "$CREDITNODE" import -c "$(tree_conf "$VILLAGE")" --lang en --quiet "$WORK/long.csv"
}
export -f import_long tree_conf
export CREDITNODE TREE VILLAGE WORK
# Which shell reads the command is told: dash knows no exported functions.
on_terminal() { SHELL=$BASH script -qec "$1" "$WORK/tty"; }
if on_terminal true >/dev/null 2>&1; then
    takes_long on_terminal import_long >/dev/null ||
        fail "import on a terminal: $(cat "$WORK/tty")"
    grep -qE 'long.csv: [0-9]+ \([0-9]+ %\), [0-9]+/s, [0-9]+ s left' "$WORK/tty" ||
        fail "no progress: $(cat -v "$WORK/tty")"
else
    note "no terminal can be had (devpts): an import on one is left out"
fi
takes_long import_long >"$WORK/out" 2>&1 || fail "import without one: $(cat "$WORK/out")"
! grep -q '/s' "$WORK/out" || fail "progress without a terminal"

within "$PATIENCE" "who entered it over gRPC is told" says "$VILLAGE" \
    'ENTERED .*peer=spiffe://[a-z.-]*/app/desk key=[0-9a-f]{16} method=Submit calls=[1-9]'

# ---- apps that may not ----

printf 'csv: "a"' | refused hall "$VILLAGE" Submit DENIED
printf 'csv: ""' | refused desk "$VILLAGE" Submit INVALID
printf 'csv: "a,b\\n1,2\\n"' | refused desk "$VILLAGE" Submit INVALID
{ printf 'csv: "'; yes '\n' | head -n 5000 | tr -d '\n'; printf '"'; } |
    refused desk "$VILLAGE" Submit TOO_LARGE
printf 'subject: "91999900MA000100X7"' | refused desk "$VILLAGE" Subject DENIED

# ---- a node that is not there ----

stop "$VILLAGE"
errs 1 'is the node running' "$SAMPLES/penalties-2016.csv" "$SAMPLES/licences-dirty.csv"
[ "$(grep -c 'is the node running' "$WORK/out")" = 1 ] || fail "said for every file"
start "$VILLAGE"
check "equal" equal
