# own.sh - what run.sh asks of creditnode (to be sourced); the counterpart of
# peer/peer.sh.
#
# Groups share their processes: chain (batches, singles, latency), copy
# (full_copy), fan (fan_in), point (point_query), idle (idle_memory); those of
# own_lists.sh and own_db.sh. A group is brought up once, then each bench of it runs once a repeat, in turn with
# the peer's. Nothing is emptied between repeats, because a log cannot be: each
# repeat writes other rows, bench_gen --first $(((REPEAT - 1) * ROWS + 1)).
#
# Given by run.sh: $BENCH_BIN (bench_gen, bench_client), $BENCH_NODE
# (creditnode), $BENCH_SOURCE, $BENCH_SECONDS, and a folder on a real disk in
# own_begin.
#
# Each own_run_* prints one line of flat JSON with at least the fields named
# at the function, made by measure.h like the peer's:
#   {"bench":"batches","peer":"own","rows":200000,"rows_per_s":...}
# CPU is that of all node processes and of the client, from just before the
# first row is sent until the end is seen. Rows are prepared before that.
# Every function returns non-zero if rows are missing, a log does not verify
# or a process died: then there is no figure.
# shellcheck shell=bash

OWN_DIR=
OWN_PIDS=()
OWN_CHAIN=(341802001200 341802001000 341802000000 341800000000 340000000000)
OWN_TIERS=(village township county city province)
OWN_CHILDREN=(341802001200 341802001201 341802001202 341802001203 341802001204
    341802001205 341802001206 341802001207 341802001208 341802001209)
OWN_CHILDREN=("${OWN_CHILDREN[@]:0:${BENCH_CHILDREN:-10}}")

CREDITNODE=$BENCH_NODE
ROOT=${ROOT:-$(cd "$BENCH_SOURCE/../.." && pwd)}
TREE=
TREE_FEDERATION=bench.credit
# Keys are no part of what is measured: made once a month.
TREE_MOULDS=$ROOT/build/moulds
# shellcheck source-path=SCRIPTDIR source=../../simulate/tree.sh
. "$ROOT/simulate/tree.sh"

own_missing() { # prints what is not built; empty if all is there
    local program
    for program in "$BENCH_NODE" "$BENCH_BIN/bench_client" \
        "$BENCH_BIN/bench_disk"; do
        [ -x "$program" ] || echo "${program##*/}"
    done
}

own_begin() { # PARENT-FOLDER: makes the folder of this run
    OWN_DIR=$(mktemp -d "$1/bench-own.XXXXXX")
}

own_end() {
    [ -n "$OWN_DIR" ] || return 0
    own_down
    rm -rf "$OWN_DIR"
    OWN_DIR=
}

# All that stands still while the other side is measured.
own_processes() {
    own_pids
    own_db_pids
    [ -z "$TREE" ] || cat "$TREE"/*/pid 2>/dev/null || true
}

# After that: until every node that runs has its parent, if that runs.
own_ready() {
    local code parent i
    [ -n "$TREE" ] || return 0
    while read -r code; do
        parent=$(cat "$TREE/$code/parent")
        [ -n "$parent" ] && tree_alive "$code" && tree_alive "$parent" || continue
        for ((i = 0; i < 600; i++)); do
            ! own_streams "$code" || break
            sleep 0.1
        done
        [ $i -lt 600 ] || { echo "$code has no line to $parent" >&2; return 1; }
    done <"$TREE/order"
}

own_streams() { # CODE
    [ "$("$BENCH_NODE" status --json -c "$(tree_conf "$1")" |
        jq -r '.uplink.state')" = streaming ]
}

own_versions() { :; }

own_pids() { [ ${#OWN_PIDS[@]} -eq 0 ] || printf '%s\n' "${OWN_PIDS[@]}"; }

own_down() { # stops the group's nodes; what is not clean is an error
    local rc=0
    [ -z "$TREE" ] || tree_down || rc=1
    OWN_PIDS=() TREE=
    own_db_down
    [ -z "$OWN_DIR" ] || rm -rf "${OWN_DIR:?}"/*
    return $rc
}

# A federation of its own and the certificate of the client, who may do all.
own_federation() {
    TREE=$OWN_DIR/tree
    tree_federation 340000000000
    "$ROOT/certs/make-app.sh" "$TREE/fed" "$TREE/app" --name bench \
        --kind operator --scopes ingest,authorised >/dev/null
}

# As tree_add; the client may ask and enter at the node.
own_node() {
    tree_add "$@" &&
        sed -i "s/^apps = ();/apps = ( $(cat "$TREE/app/entry") );/" \
            "$(tree_conf "$1")"
}

own_count_pids() { # CODE...: remembers the processes whose CPU counts
    local code
    OWN_PIDS=()
    for code in "$@"; do OWN_PIDS+=("$(tree_pid "$code")"); done
    mapfile -t -O ${#OWN_PIDS[@]} OWN_PIDS < <(own_db_pids)
}

# COMMAND BENCH OPTION...
own_client() {
    local command=$1 bench=$2 pid pids=()
    shift 2
    for pid in "${OWN_PIDS[@]}"; do pids+=(--pid "$pid"); done
    "$BENCH_BIN/bench_client" "$command" --bench "$bench" \
        --certs "$TREE/app" "${pids[@]}" "$@"
}

own_address() { echo "127.0.0.1:$(tree_port "$1")"; }

own_heads() { # CODE OF-CODE: "LOG SIZE ROOT" of OF-CODE's log at CODE
    "$BENCH_NODE" logs --json -c "$(tree_conf "$1")" |
        jq -r --arg of "$2" '.rows[] | select(.origin == $of) |
            "\(.log) \(.size) \(.root)"'
}

own_goal() { # CODE ROWS: prints the entry that so many more rows will end at
    local log size
    read -r log size _ <<<"$(own_heads "$1" "$1")"
    echo "$log#$((size + $2))"
}

# CODE AT-CODE: the log of CODE is the same at both, by size and root. Entries
# of keys may still be on their way.
own_check_equal() {
    local here there i
    for ((i = 0; i < 50; i++)); do
        there=$(own_heads "$2" "$1")
        here=$(own_heads "$1" "$1")
        if [ -n "$here" ] && [ "$here" = "$there" ]; then return 0; fi
        sleep 0.1
    done
    echo "the log of $1 is \"$here\", at $2 \"$there\"" >&2
    return 1
}

own_wait_links() { # PARENT-CODE COUNT: until so many logs of others are there
    local i n
    for ((i = 0; i < 300; i++)); do
        n=$("$BENCH_NODE" logs --json -c "$(tree_conf "$1")" |
            jq '[.rows[] | select(.own | not)] | length')
        [ "$n" -lt "$2" ] || return 0
        sleep 0.1
    done
    echo "$n of $2 logs have reached $1" >&2
    return 1
}

# N: that many creditnode processes, each the parent of the one before it:
# village, township, county, city, province; mutual TLS, every commit synced,
# embedded store. Returns when every link is up.
own_start_chain() {
    own_add_chain "$1"
    own_run_chain "$1"
}

own_add_chain() { # N
    local i parent=''
    own_federation
    for ((i = $1 - 1; i >= 0; i--)); do
        own_node "${OWN_CHAIN[i]}" "${OWN_TIERS[i]}" "$parent" bench
        parent=${OWN_CHAIN[i]}
    done
}

own_run_chain() { # N
    tree_up
    own_count_pids "${OWN_CHAIN[@]:0:$1}"
    own_wait_links "${OWN_CHAIN[$1 - 1]}" $(($1 - 1))
}

# One parent and ten (BENCH_CHILDREN) village nodes under it, links up.
own_start_fan() {
    local code
    own_federation
    own_node 341802001000 township '' bench
    for code in "${OWN_CHILDREN[@]}"; do
        own_node "$code" village 341802001000 bench
    done
    tree_up
    own_count_pids 341802001000 "${OWN_CHILDREN[@]}"
    own_wait_links 341802001000 ${#OWN_CHILDREN[@]}
}

# FILE ROWS FIRST SUBJECTS
own_rows() {
    "$BENCH_BIN/bench_gen" --rows "$2" --first "$3" --subjects "$4" >"$1"
}

# CODE ROWS: not measured.
own_fill() {
    local size
    own_enter "$1" "$2" 1 $((($2 + 3) / 4))
    read -r _ size _ <<<"$(own_heads "$1" "$1")"
    [ "$size" -ge "$2" ] && return 0
    echo "the log of $1 has $size entries, not $2 and more" >&2
    return 1
}

own_enter() { # CODE ROWS FIRST SUBJECTS
    own_rows "$OWN_DIR/rows.csv" "$2" "$3" "$4"
    "$BENCH_NODE" import --quiet -c "$(tree_conf "$1")" "$OWN_DIR/rows.csv" \
        >/dev/null
    rm "$OWN_DIR/rows.csv"
}

own_up_chain() { own_start_chain 5; }
own_up_fan() { own_start_fan; }
own_up_idle() { own_start_chain 1; }

# ROWS: a city node that holds so many rows; the parent's address is fixed, but
# nothing listens there yet. The parent was there once: before a new store has
# heard from its parent, it numbers nothing.
own_up_copy() {
    own_federation
    own_node 340000000000 province '' bench
    own_node 341800000000 city 340000000000 bench
    # Else the figure is that of the wait between two attempts to connect.
    printf 'replication: { backoff_min = "20 ms"; backoff_max = "100 ms"; };\n' \
        >>"$(tree_conf 341800000000)"
    tree_start 340000000000
    tree_start 341800000000
    own_wait_links 340000000000 1
    tree_stop 340000000000
    rm -rf "$TREE/340000000000/data"
    own_count_pids 341800000000
    own_fill 341800000000 "$1"
}

own_up_point() { # ROWS: a city node that holds so many rows, alone
    own_federation
    own_node 341800000000 city '' bench
    # As much memory as the peer's buffer pool.
    printf 'store: { cache = "3 GiB"; };\n' >"$OWN_DIR/store"
    sed -i -e '/^store: {/,/^};/d' -e "\$r $OWN_DIR/store" \
        "$(tree_conf 341800000000)"
    tree_start 341800000000
    own_count_pids 341800000000
    own_fill 341800000000 "$1"
}

# ROWS REPEAT: imports the rows at the village, 1,000 an import batch. Ends
# when the province has indexed and verified the last one.
# rows, rows_per_s, accepted_rows_per_s, cpu_us_per_row, cpu_client_us_per_row
own_run_batches() { own_batches batches "$@"; }
own_batches() { # BENCH ROWS REPEAT
    local village=${OWN_CHAIN[0]} province=${OWN_CHAIN[4]}
    local first=$((($3 - 1) * $2 + 1)) subjects=$((($2 + 3) / 4))
    own_rows "$OWN_DIR/rows.csv" "$2" $first $subjects
    own_client import "$1" --node "$BENCH_NODE" \
        --conf "$(tree_conf "$village")" --file "$OWN_DIR/rows.csv" \
        --sink "$(own_address "$province")" \
        --goal "$(own_goal "$village" "$2")" \
        --rows "$2" --first $first --subjects $subjects
    rm "$OWN_DIR/rows.csv"
    own_check_equal "$village" "$province"
}

# ROWS REPEAT: one record a call, from 8 clients at once, each call answered
# when durable at the village. Ends as batches do. The numbers of its rows are
# behind those of any batches.
# rows, rows_per_s, accepted_rows_per_s, cpu_us_per_row, accept_p50_ms,
# accept_p99_ms
own_run_singles() {
    local village=${OWN_CHAIN[0]} province=${OWN_CHAIN[4]}
    own_client singles singles --server "$(own_address "$village")" \
        --sink "$(own_address "$province")" --rows "$1" --threads 8 \
        --first $((100000000 + $2 * $1))
    own_check_equal "$village" "$province"
}

# COUNT REPEAT: isolated records 20 to 30 ms apart; from the village's answer
# until a query at the province finds the record; the query is repeated every
# 0.15 ms over one open connection. 10 warm-ups.
# rows, p50_ms, p99_ms, max_ms, accept_p50_ms, accept_p99_ms
own_run_latency() {
    own_client latency latency --server "$(own_address "${OWN_CHAIN[0]}")" \
        --sink "$(own_address "${OWN_CHAIN[4]}")" --rows "$1" \
        --first $((200000000 + $2 * ($1 + 10)))
    own_check_equal "${OWN_CHAIN[0]}" "${OWN_CHAIN[4]}"
}

# ROWS REPEAT: starts an empty parent; from its start until it has indexed and
# verified everything. Removes it again.
# rows, seconds, rows_per_s
own_run_full_copy() {
    local parent=340000000000 source=341800000000 from to
    local goal
    goal=$(own_goal $source 0)
    from=$(date +%s.%N)
    tree_spawn $parent
    own_client arrival full_copy --sink "$(own_address $parent)" \
        --goal "$goal"
    to=$(date +%s.%N)
    tree_await $parent
    own_check_equal $source $parent
    tree_stop $parent
    rm -rf "$TREE/$parent/data"
    awk -v rows="$1" -v from="$from" -v to="$to" 'BEGIN {
        printf "{\"bench\":\"full_copy\",\"peer\":\"own\",\"rows\":%d," \
            "\"seconds\":%.3f,\"rows_per_s\":%.1f}\n",
            rows, to - from, rows / (to - from) }'
}

# ROWS REPEAT: the rows are shared among the ten children, each loaded by a
# client of its own in batches of 1,000. Ends when the parent has all.
# rows, rows_per_s, cpu_us_per_row
own_run_fan_in() {
    local parent=341802001000 n=${#OWN_CHILDREN[@]} each first i code options=()
    local subjects=$((($1 + 3) / 4))
    each=$((($1 + n - 1) / n))
    for i in "${!OWN_CHILDREN[@]}"; do
        code=${OWN_CHILDREN[i]}
        first=$(((($2 - 1) * n + i) * each + 1))
        own_rows "$OWN_DIR/rows.$i" $each $first $subjects
        options+=(--conf "$(tree_conf "$code")" --file "$OWN_DIR/rows.$i"
            --goal "$(own_goal "$code" $each)")
    done
    own_client import fan_in --node "$BENCH_NODE" "${options[@]}" \
        --sink "$(own_address $parent)" --rows $((each * n)) \
        --first $((($2 - 1) * each * n + 1)) --subjects $subjects
    rm "$OWN_DIR"/rows.*
    for code in "${OWN_CHILDREN[@]}"; do own_check_equal "$code" $parent; done
}

# ROWS REPEAT: over gRPC with mutual TLS, 16 calls in flight: one query for each
# credit code in turn; then, for $BENCH_SECONDS each, empty calls and queries by
# random credit codes (four records an answer), then both once more; means.
# TWO lines: "peer":"empty_call" with queries_per_s, and "peer":"own" with
# queries_per_s, rows_per_query, first_per_s (of the first queries; of a
# repeat they are no longer the first), p50_ms, p99_ms
own_run_point_query() { own_point point_query "$1"; }
own_point() { # BENCH ROWS
    own_client point "$1" --server "$(own_address 341800000000)" \
        --threads 16 --seconds "$BENCH_SECONDS" --subjects $((($2 + 3) / 4))
}

# - REPEAT: PSS of the village node, $BENCH_SECONDS after it was ready; no
# second process of the same binary may run, or PSS shares its pages.
# pss_mib
own_run_idle_memory() {
    local kib
    sleep "$BENCH_SECONDS"
    kib=$(awk '$1 == "Pss:" { print $2 }' \
        "/proc/$(tree_pid "${OWN_CHAIN[0]}")/smaps_rollup")
    awk -v kib="$kib" 'BEGIN {
        printf "{\"bench\":\"idle_memory\",\"peer\":\"own\"," \
            "\"pss_mib\":%.1f}\n", kib / 1024 }'
}

# shellcheck source-path=SCRIPTDIR source=own_lists.sh
. "$BENCH_SOURCE/own_lists.sh"
# shellcheck source-path=SCRIPTDIR source=own_db.sh
. "$BENCH_SOURCE/own_db.sh"

own_up() { "own_up_$1" "$2"; }
own_run() { "own_run_$1" "$2" "$3"; }
