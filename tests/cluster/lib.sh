# lib.sh - what the tests of real processes share (to be sourced).
#
# A test is a bash program that makes a tree of nodes, does something to it and
# states what must hold. Waiting is always for a condition, with a deadline.
# At the end of every test: each node ends with status 0 on SIGTERM, no
# sanitizer report, no error line that the test did not announce, no process
# left.
#
# Given by ctest: CREDITNODE (program), BIN (folder of relay, acked, call),
# BENCH_GEN (writes rows). SUITE=gm: the federation's suite, intl otherwise.
# STORE=mariadb: counties and above keep their stores on a MariaDB server that
# the test starts. KEEP=1 keeps the folder.
# shellcheck shell=bash disable=SC2034

set -uo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
: "${CREDITNODE:=$ROOT/build/dev/node/creditnode}"
: "${BIN:=$(dirname "$CREDITNODE")/../tests/cluster}"
: "${LIAR:=$(dirname "$CREDITNODE")/../simulate/liar}"
: "${BENCH_GEN:=$(dirname "$CREDITNODE")/../tests/bench/bench_gen}"
# Seconds within which anything healthy is over, however slow the machine.
: "${PATIENCE:=120}"
: "${SUITE:=intl}"
# Of what was freed 16 MiB are kept back: fresh pages are what a start costs.
export ASAN_OPTIONS="detect_leaks=1:quarantine_size_mb=16:${ASAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions='$ROOT/tests/support/lsan.supp':print_suppressions=0:${LSAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="suppressions='$ROOT/tests/support/tsan.supp' halt_on_error=1 ${TSAN_OPTIONS:-}"
export LC_ALL=C.UTF-8

PROVINCE=340000000000
CITY=341800000000
COUNTY=341821000000
TOWN=341821100000
VILLAGE=341821100201
VILLAGE2=341821100202

# Not on /tmp: that is memory on many machines.
WORK=$(mktemp -d /var/tmp/creditnode-test.XXXXXX)
TREE=$WORK/tree
TREE_SUITE=$SUITE
TREE_NEXT_PORT=next_port
# Most tests have the same federations and offices: their keys are made once.
TREE_MOULDS=$ROOT/build/moulds
TREE_READY_S=$PATIENCE
ALLOWED=()   # patterns of error lines that the test provokes
PROCESSES=() # of the test's own helpers
BROKEN=0
WHY= # said once more at the end: of long output that is what is looked at

. "$ROOT/simulate/tree.sh"

# Ports below the range that the kernel gives to outgoing connections: a node
# that is down for a moment gets its own port again. Handed out one after the
# other to all tests that run at the same time. The simulator has those below
# (simulate/run/run.c), Galera those above (galera.sh).
next_port() {
    local file=${TMPDIR:-/tmp}/creditnode-test-port.$UID port
    exec 9>>"$file.lock"
    flock 9
    port=$(cat "$file" 2>/dev/null || echo 20000)
    while :; do
        port=$((port >= 20000 && port < 30999 ? port + 1 : 20000))
        grep -qi ":$(printf '%04X' "$port") .* 0A " /proc/net/tcp /proc/net/tcp6 \
            2>/dev/null || break
    done
    echo "$port" >"$file"
    exec 9>&-
    echo "$port"
}

# Of a question to a node more than half went into the start of jq, which
# makes all of its own library anew each time.
! command -v gojq >/dev/null || jq() { gojq "$@"; }

# ---- verdicts ----

note() { printf '%s  %s\n' "$(date +%H:%M:%S.%3N)" "$*" >&2; }

fail() { # TEXT...: ends the test
    note "FAILED: $*"
    BROKEN=1
    WHY=$*
    exit 1
}

check() { # TEXT COMMAND...
    local text=$1
    shift
    "$@" || fail "$text"
}

# SECONDS TEXT COMMAND...: waits until the command succeeds. The longer it takes
# the more rarely it is asked: each time starts processes.
within() {
    local limit=$1 text=$2 end tries=0 pauses=(0.05 0.1 0.2)
    shift 2
    end=$((SECONDS + limit))
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "not within $limit s: $text"
        sleep "${pauses[tries < 40 ? tries / 20 : 2]}"
        tries=$((tries + 1))
    done
}

# PATTERN...: error lines that the test provokes (extended regex).
allow() { ALLOWED+=("$@"); }

# ---- trees ----

# Makes a federation and the line province ... village; starts nothing.
make_line() {
    check "federation" tree_federation "$PROVINCE"
    add_node "$PROVINCE" province ''
    add_node "$CITY" city "$PROVINCE"
    add_node "$COUNTY" county "$CITY"
    add_node "$TOWN" township "$COUNTY"
    add_node "$VILLAGE" village "$TOWN"
}

# Only a township with its county, as the top, and one village.
make_small() {
    check "federation" tree_federation "$PROVINCE"
    add_node "$COUNTY" county ''
    add_node "$TOWN" township "$COUNTY"
    add_node "$VILLAGE" village "$TOWN"
}

# CODE TIER PARENT: with short waits, so that tests need not be long.
add_node() {
    check "node $1" tree_add "$1" "$2" "$3" "test $2"
    # Not in the data folder, which tests lose, fill and lock.
    printf 'admin: { socket = "%s"; };\n' "$TREE/$1/admin.sock" >>"$(tree_conf "$1")"
    set_option "$1" replication.backoff_min="50 ms"
    set_option "$1" replication.backoff_max="500 ms"
    set_option "$1" replication.ack_relay="100 ms"
    set_option "$1" replication.full_retry="3 s"
    set_option "$1" rpc.keepalive="2 s"
    set_option "$1" rpc.keepalive_timeout="5 s"
    set_option "$1" replication.silence="10 s"
    set_option "$1" replication.first_log="1 h" # who has decided nothing has none
    case ${STORE:-},$2 in
    mariadb,county | mariadb,city | mariadb,province) use_mariadb "$1" ;;
    esac
}

set_option() { printf '%s\n' "$2" >>"$TREE/$1/set"; } # CODE KEY=VALUE

start_all() { check "start" tree_up; }
start() { check "start of $1" tree_start "$1"; }
stop() { check "stop of $1" tree_stop "$1"; }
kill_node() { tree_kill "$1"; }

# CODE FOLDER: what CODE, which is down, keeps, as of now; and put back.
keep_data() {
    rm -rf "$2"
    cp -a "$TREE/$1/data" "$2"
    ! on_server "$1" || check "dump of $1" mariadb-dump --no-defaults -uroot \
        --socket="$SERVER/socket" --result-file="$2.sql" "cn_$1"
}
put_back_data() {
    rm -rf "${TREE:?}/$1/data"
    cp -a "$2" "$TREE/$1/data"
    if on_server "$1"; then
        new_database "$1"
        check "dump of $1, read back" server_client "cn_$1" <"$2.sql"
    fi
}
on_server() { grep -qs store.backend=mariadb "$TREE/$1/set"; } # CODE

# The data folder of CODE is lost: keys and store.
empty_node() {
    rm -rf "${TREE:?}/$1/data"
    ! on_server "$1" || new_database "$1"
}

# ---- a database server ----

SERVER=$WORK/mariadb # its socket's path may have 107 bytes
SERVER_PID=

server_client() { mariadb --no-defaults -uroot --socket="$SERVER/socket" -N "$@"; }
server_sql() { server_client -e "$1"; }
server_answers() { server_sql 'SELECT 1' >/dev/null 2>&1; }

server_start() {
    local as=()
    [ "$(id -u)" -ne 0 ] || as=(--user=root)
    PATH=$PATH:/usr/sbin mariadbd --no-defaults --datadir="$SERVER/data" \
        --socket="$SERVER/socket" --pid-file="$SERVER/pid" --skip-networking \
        --innodb-buffer-pool-size=64M --innodb-log-file-size=16M "${as[@]}" >>"$SERVER/log" 2>&1 &
    SERVER_PID=$!
    within "$PATIENCE" "database server" server_answers
}

server_kill() {
    kill -9 "$SERVER_PID" 2>/dev/null || true
    wait "$SERVER_PID" 2>/dev/null || true
    SERVER_PID=
}

server_make() {
    mkdir -p "$SERVER"
    check "database server" "$ROOT/tests/support/mariadb-dir.sh" "$SERVER/data"
    server_start
}

new_database() { # CODE
    check "database of $1" \
        server_sql "DROP DATABASE IF EXISTS cn_$1; CREATE DATABASE cn_$1"
}

# The views are behind nothing, and hold each entry of a record once.
views_hold() { # CODE ENTRIES
    [ "$(server_sql "SELECT SUM(behind),
        (SELECT SUM(entries) FROM cn_$1.v_import),
        (SELECT COUNT(*) FROM cn_$1.v_record) FROM cn_$1.v_node")" = \
        "0	$2	$2" ]
}

use_mariadb() { # CODE
    [ -d "$SERVER" ] || server_make
    new_database "$1"
    set_option "$1" store.backend=mariadb
    set_option "$1" mariadb.socket="$SERVER/socket"
    set_option "$1" mariadb.database="cn_$1"
    set_option "$1" mariadb.user=root
    set_option "$1" mariadb.views=on
}

# ---- asking ----

# CODE COMMAND ARG... With ASKER (the program of another build) it is that which
# asks for the JSON of what a node holds, hundreds of times a test: the node makes
# it, the command prints it, and with a sanitizer its own start takes three times
# as long. The first time of each command in a test is the tested program's.
node_cmd() {
    local code=$1 command=$2 program=$CREDITNODE
    shift 2
    case "$command $*" in
    status\ *--json* | logs\ *--json* | query\ *--json* | \
        directive\ status\ *--json* | directive\ list\ *--json* | directive\ effects\ *--json*)
        if [ -e "$WORK/asked.$command" ]; then
            program=${ASKER:-$CREDITNODE}
        else
            : >"$WORK/asked.$command"
        fi
        ;;
    esac
    "$program" "$command" -c "$(tree_conf "$code")" --lang en "$@"
}

# CODE FILTER: of `status --json`.
status() {
    local json
    json=$(node_cmd "$1" status --json 2>/dev/null)
    [ -n "$json" ] && jq -r "$2" <<<"$json"
}

# CODE FILTER: of `logs --json`, one row after the other.
logs_of() { node_cmd "$1" logs --json 2>/dev/null | jq -r ".rows[] | $2"; }

# CODE: entries of its own active log; its id.
own_size() { logs_of "$1" 'select(.own and .state == "active" and (.log | contains("/records/"))) | .size'; }
own_log() { logs_of "$1" 'select(.own and .state == "active" and (.log | contains("/records/"))) | .log'; }
size_at() { logs_of "$1" "select(.log == \"$2\") | .size"; } # CODE LOG

is() { # CODE FILTER VALUE
    [ "$(status "$1" "$2")" = "$3" ]
}

# CODE PATTERN [FROM-LINE]: a line of its log
# (No pipe: grep leaves at the first hit, and what still writes would fail it.)
says() { grep -qaE "$2" < <(tail -n "+${3:-1}" "$TREE/$1/log"); }
log_end() { wc -l <"$TREE/$1/log"; }

# [SECONDS] CODE...: every one of these holds what those below it entered,
# equal in size and root.
equal() {
    local limit=$PATIENCE confs=() code
    if [ $# -gt 0 ] && [ "${#1}" -lt 12 ]; then
        limit=$1
        shift
    fi
    [ $# -gt 0 ] || mapfile -t confs < <(tree_confs)
    for code in "$@"; do confs+=("$(tree_conf "$code")"); done
    "$CREDITNODE" watch --lang en --interval 50 --until-equal "$limit" \
        "${confs[@]}" >"$WORK/watch" 2>&1 && return 0
    cat "$WORK/watch" >&2
    return 1
}

# ---- records ----

rows() { # FIRST COUNT: CSV
    "$BENCH_GEN" --first "$1" --rows "$2" --subjects 50
}

# CODE FIRST COUNT: enters rows; what was acknowledged is remembered. Status as
# of import.
enter() {
    local code=$1 rc=0
    mkdir -p "$WORK/acked"
    rows "$2" "$3" | node_cmd "$code" import --stdin --quiet \
        --receipt "$WORK/receipt.$code" >>"$WORK/import.$code" 2>&1 || rc=$?
    tail -n +2 "$WORK/receipt.$code" >>"$WORK/acked/$code"
    return $rc
}

# CODE...: everything acknowledged is answered there.
acked() {
    local code rc=0
    for code in "$@"; do
        cat "$WORK/acked/"* |
            "$BIN/acked" "$TREE/$code/admin.sock" >&2 || rc=1
    done
    return $rc
}

# CODE SIZE: how many of the own log's entries are records.
records_in() {
    local log
    log=$(own_log "$1")
    export -f node_cmd tree_conf
    export CREDITNODE TREE
    # shellcheck disable=SC2016 # expanded by the shell that is started
    seq "$2" | xargs -P 2 -n 100 bash -c 'code=$1 log=$2; shift 2
        for n in "$@"; do
            ! node_cmd "$code" query --log "$log" --number "$n" >/dev/null 2>&1 || echo "$n"
        done' _ "$1" "$log" | wc -l
}

# CODE COUNT: the own log holds exactly COUNT records, none twice: besides them
# there are entry 1 and the seal key, wrapped to each ancestor; once, or again
# if the node was killed before it had noted that.
holds_rows() {
    local size expected=$(($2 + 1)) up
    up=$(cat "$TREE/$1/parent")
    while [ -n "$up" ]; do
        expected=$((expected + 1))
        up=$(cat "$TREE/$up/parent")
    done
    size=$(own_size "$1")
    [ "$size" = "$expected" ] && return 0
    note "$1 has $size entries, expected $expected"
    [ "$size" -gt "$expected" ] && [ "$(records_in "$1" "$size")" = "$2" ] && return 0
    return 1
}

# ---- load ----

LOADS=()
# Between two batches. Without it one village keeps a processor busy, and what
# is tested waits behind a backlog that no fault made; it is as long as a batch
# takes, so that half of all moments are in the middle of one.
: "${LOAD_PAUSE:=0.1}"

enter_for_ever() { # CODE FIRST
    local batch=0
    while [ ! -e "$WORK/enough" ]; do
        if enter "$1" $(($2 + batch * ROWS)) "$ROWS" 2>/dev/null; then
            batch=$((batch + 1))
            # In one step: whoever reads finds a number.
            echo $batch >"$WORK/batches.$1.new"
            mv "$WORK/batches.$1.new" "$WORK/batches.$1"
        fi
        sleep "$LOAD_PAUSE"
    done
}

# CODE FIRST: from now on batch after batch of $ROWS rows is entered there, from
# record FIRST on; one that broke off is entered again.
load_begins() {
    enter_for_ever "$1" "$2" &
    LOADS+=("$!")
    PROCESSES+=("$!")
}
load_ends() {
    : >"$WORK/enough"
    wait "${LOADS[@]}"
}
# CODE: how many were acknowledged whole.
batches() { cat "$WORK/batches.$1" 2>/dev/null || echo 0; }
more_batches() { [ "$(batches "$1")" -gt "$2" ] 2>/dev/null; } # CODE THAN

# ---- lines ----

# CODE: puts a relay between CODE and its parent; before CODE starts.
make_relay() {
    local code=$1 port parent
    port=$(next_port)
    parent=$(cat "$TREE/$code/parent")
    mkfifo "$TREE/$code/line"
    "$BIN/relay" "$port" "$(tree_port "$parent")" "$TREE/$code/line" \
        </dev/null >"$TREE/$code/relay.out" 2>&1 &
    PROCESSES+=($!)
    within "$PATIENCE" "relay of $code" grep -qs PORT "$TREE/$code/relay.out"
    echo "$port" >"$TREE/$code/via"
}

# CODE ORDER...: cut, join, freeze up|down, rate N, flip; done when it returns.
line() {
    local code=$1
    shift
    rm -f "$TREE/$code/obeyed"
    printf '%s\nstats %s\n' "$*" "$TREE/$code/obeyed" >"$TREE/$code/line"
    within "$PATIENCE" "the line of $code: $*" test -e "$TREE/$code/obeyed"
}

line_bytes() { # CODE: bytes that went up so far
    line "$1" stats "$TREE/$1/stats"
    awk '{print $2}' "$TREE/$1/stats"
}

line_connections() { # CODE: that were made so far
    line "$1" stats "$TREE/$1/stats"
    awk '{print $6}' "$TREE/$1/stats"
}

# ---- end ----

reports() { # CODE: of sanitizers
    grep -aE 'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|AddressSanitizer:DEADLYSIGNAL|assertion' \
        "$TREE/$1/log"
}

show_report() { # CODE: how it begins; the end is among the last lines
    grep -aE -m1 -A60 'Sanitizer|runtime error:' "$TREE/$1/log" >&2
}

unexpected_errors() { # CODE
    local pattern
    pattern=$(IFS='|'; echo "${ALLOWED[*]}")
    grep -aE '^[0-9T:.Z-]+ error ' "$TREE/$1/log" |
        grep -avE "${pattern:-^$}"
}

# Few lines of each, for whoever sees only the end of them all: without those
# of each try to connect.
show_logs() {
    local code
    while read -r code; do
        note "---- last lines of $code"
        tail -n 200 "$TREE/$code/log" 2>/dev/null |
            grep -avE '(SYNC|FOLLOW)-LOST .*failed to connect' | tail -n 15 | cut -c1-300 >&2
    done <"$TREE/order"
}

broken() { # TEXT: found at the end
    note "$1"
    BROKEN=1
    WHY="${WHY:+$WHY; }$1"
}

at_end() {
    local code rc=$? pid
    trap - EXIT
    [ $rc -eq 0 ] || [ $rc -eq 77 ] || BROKEN=1 # 77: left out
    if [ -e "$TREE/order" ]; then
        while read -r code; do
            ! tree_alive "$code" || kill -CONT "$(tree_pid "$code")" 2>/dev/null
        done <"$TREE/order"
        tree_down || broken "not all nodes ended cleanly"
        while read -r code; do
            [ -e "$TREE/$code/log" ] || continue
            ! reports "$code" || { broken "sanitizer report of $code"; show_report "$code"; }
            ! unexpected_errors "$code" >&2 || broken "unexpected error line of $code"
        done <"$TREE/order"
    fi
    [ -z "$SERVER_PID" ] || server_kill
    for pid in "${PROCESSES[@]}"; do ! tree_runs "$pid" || kill "$pid" 2>/dev/null; done
    ! pgrep -f "serve -c $TREE/" >&2 || broken "a node is left"
    if [ $BROKEN -ne 0 ]; then
        [ ! -e "$TREE/order" ] || show_logs
        note "FAILED: ${0##*/}: ${WHY:-ended with status $rc}"
    fi
    if [ $BROKEN -ne 0 ] && [ "${KEEP:-0}" = 1 ]; then
        note "kept: $WORK"
    else
        rm -rf "$WORK"
    fi
    [ $BROKEN -eq 0 ] || exit 1
    exit $rc
}
trap at_end EXIT
trap 'exit 130' INT TERM
