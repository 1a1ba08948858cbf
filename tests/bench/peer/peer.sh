# peer.sh - what run.sh asks of the peer, MariaDB (to be sourced).
#
#   peer_up GROUP ROWS          brings up the servers of a group, loaded where
#                               the group asks for it
#   peer_run BENCH ROWS REPEAT  measures once; prints lines of JSON
#   peer_pids                   the servers that run, for waiting until quiet
#   peer_processes              all that stands still while the other side is
#                               measured
#   peer_ready                  waits until the links are up after that
#   peer_down                   stops the group's servers
# The groups and benches are those of own.sh.
# shellcheck shell=bash source-path=SCRIPTDIR source=server.sh
. "$BENCH_SOURCE/peer/server.sh"

PEER_CHAIN=(village township county city province)
PEER_CHILDREN=(c0 c1 c2 c3 c4 c5 c6 c7 c8 c9)

peer_client() { # COMMAND BENCH OPTION...; counts the CPU of all servers
    local command=$1 bench=$2 pid pids=()
    shift 2
    for pid in $(peer_pids); do pids+=(--pid "$pid"); done
    "$BENCH_BIN/bench_mariadb" "$command" --bench "$bench" "${pids[@]}" "$@"
}

peer_pids() {
    local name
    for name in $(peer_names peer); do peer_pid "$name"; done
}

peer_processes() {
    peer_pids
    cat "$PEER_DIR/nats/pids" 2>/dev/null || true
}

peer_ready() {
    local name i
    for name in $(peer_names peer); do
        for ((i = 0; i < 600; i++)); do
            ! mariadb --no-defaults -uroot -S "$(peer_socket "$name")" \
                -e 'SHOW ALL SLAVES STATUS\G' |
                grep -qE '_Running: (No|Connecting|Preparing)' || {
                sleep 0.1
                continue
            }
            break
        done
        [ $i -lt 600 ] || { echo "$name does not replicate" >&2; return 1; }
    done
}

peer_versions() {
    "$(peer_program mariadbd)" --no-defaults --version |
        sed 's/.*Ver \([0-9.]*\).*/MariaDB \1/'
    PATH=$PATH:/usr/sbin nats-server --version 2>/dev/null |
        sed 's/nats-server: v*/NATS /'
}

# Empties the table everywhere and forgets the binary logs, so that every
# repeat starts from the same state.
peer_truncate() {
    local name
    for name in "$@"; do
        peer_sql "$name" "SET sql_log_bin=0; TRUNCATE bench.record;
            FLUSH BINARY LOGS"
    done
    sleep 1
    for name in "$@"; do
        peer_sql "$name" "PURGE BINARY LOGS BEFORE NOW()"
    done
}

peer_up_chain() {
    local i name below=
    for i in "${!PEER_CHAIN[@]}"; do
        name=${PEER_CHAIN[i]}
        peer_start "$name" $((i + 1)) tls "${BENCH_POOL:-1G}" 1G
        peer_open_replication "$name" tls
        [ -z "$below" ] || {
            peer_follow "$below" "$name" tls
            peer_wait_links "$name" 1
        }
        below=$name
    done
    peer_sql village "$PEER_TABLE"
    peer_wait_table province
}

peer_wait_table() {
    local i
    for ((i = 0; i < 100; i++)); do
        peer_sql "$1" 'SELECT 1 FROM bench.record' >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    echo "the table did not reach $1" >&2
    return 1
}

peer_chain_ends() {
    echo --server "$(peer_socket village)" --sink "$(peer_socket province)"
}

peer_run_batches() { peer_batches batches "$1"; }
peer_batches() { # BENCH ROWS
    peer_truncate "${PEER_CHAIN[@]}"
    # shellcheck disable=SC2046 # two options and their paths
    peer_client load "$1" $(peer_chain_ends) --rows "$2" --batch 1000
}

peer_run_singles() {
    peer_truncate "${PEER_CHAIN[@]}"
    # shellcheck disable=SC2046
    peer_client load singles $(peer_chain_ends) --rows "$1" --batch 1 \
        --threads 8
}

peer_run_latency() {
    peer_truncate "${PEER_CHAIN[@]}"
    # shellcheck disable=SC2046
    peer_client latency latency $(peer_chain_ends) --rows "$1"
}

# Each child is a GTID domain of its own, as multi-source replication needs.
peer_up_fan() {
    local i name
    peer_start parent 100 local 512M 256M --gtid-domain-id=100
    peer_sql parent "SET sql_log_bin=0; $PEER_TABLE"
    for i in "${!PEER_CHILDREN[@]}"; do
        name=${PEER_CHILDREN[i]}
        peer_start "$name" $((110 + i)) plain 64M 96M \
            --gtid-domain-id=$((110 + i))
        peer_open_replication "$name" plain
        peer_sql "$name" "SET sql_log_bin=0; $PEER_TABLE"
        peer_follow "$name" parent plain "$name"
    done
    peer_wait_links parent ${#PEER_CHILDREN[@]}
}

peer_run_fan_in() {
    local name servers=()
    for name in "${PEER_CHILDREN[@]}"; do
        servers+=(--server "$(peer_socket "$name")")
    done
    peer_truncate parent "${PEER_CHILDREN[@]}"
    peer_client load fan_in "${servers[@]}" --sink "$(peer_socket parent)" \
        --rows "$1" --batch 1000
}

# ROWS into NAME, as fast as it goes: not measured.
peer_fill() {
    local name=$1 rows=$2 first part
    peer_sql "$name" "$PEER_TABLE; SET GLOBAL sync_binlog=0,
        innodb_flush_log_at_trx_commit=2"
    for ((first = 1; first <= rows; first += part)); do
        part=$((rows - first + 1 < 200000 ? rows - first + 1 : 200000))
        "$BENCH_BIN/bench_mariadb" load --bench fill --server \
            "$(peer_socket "$name")" --rows $part --first $first \
            --subjects $(((rows + 3) / 4)) >/dev/null
    done
    peer_sql "$name" "SET GLOBAL sync_binlog=1,
        innodb_flush_log_at_trx_commit=1; FLUSH BINARY LOGS;
        ANALYZE TABLE bench.record" >/dev/null
    sleep 1
    peer_sql "$name" 'PURGE BINARY LOGS BEFORE NOW()'
}

peer_up_copy() {
    peer_start source 1 local "${BENCH_POOL:-3G}" 2G
    peer_start target 2 local "${BENCH_POOL:-3G}" 2G
    peer_fill source "$1"
}

peer_run_full_copy() {
    peer_copy_by_dump "$1"
    if command -v mariabackup >/dev/null; then
        peer_copy_by_backup "$1"
    fi
}

# PEER ROWS START END, times as of date +%s.%N
peer_print_copy() {
    awk -v peer="$1" -v rows="$2" -v from="$3" -v to="$4" 'BEGIN {
        printf "{\"bench\":\"full_copy\",\"peer\":\"%s\",\"rows\":%d," \
            "\"seconds\":%.3f,\"rows_per_s\":%.1f}\n",
            peer, rows, to - from, rows / (to - from) }'
}

# SERVER ROWS: a copy that lost rows has no figure.
peer_check_rows() {
    local found
    found=$(peer_sql "$1" 'SELECT COUNT(*) FROM bench.record')
    [ "$found" -eq "$2" ] || {
        echo "$1 holds $found rows instead of $2" >&2
        return 1
    }
}

peer_copy_by_dump() {
    local from to
    peer_sql target "DROP DATABASE IF EXISTS bench; CREATE DATABASE bench;
        FLUSH BINARY LOGS"
    sleep 1
    peer_sql target 'PURGE BINARY LOGS BEFORE NOW()'
    from=$(date +%s.%N)
    mariadb-dump --no-defaults -uroot -S "$(peer_socket source)" \
        --single-transaction --quick --hex-blob bench |
        mariadb --no-defaults -uroot -S "$(peer_socket target)" bench
    to=$(date +%s.%N)
    peer_check_rows target "$1"
    peer_print_copy mariadb-dump "$1" "$from" "$to"
}

# From the first byte read to a server that answers.
peer_copy_by_backup() {
    local from to dir=$PEER_DIR/restored log=$PEER_DIR/backup.log
    mkdir "$dir"
    PEER_PORT['restored']=0
    from=$(date +%s.%N)
    {
        mariabackup --no-defaults --backup --user=root --parallel=2 \
            --socket="$(peer_socket source)" \
            --datadir="$PEER_DIR/source/data" --target-dir="$dir/copy" &&
            mariabackup --no-defaults --prepare --use-memory=1G \
                --target-dir="$dir/copy" &&
            mariabackup --no-defaults --copy-back --target-dir="$dir/copy" \
                --datadir="$dir/data"
    } >"$log" 2>&1 || {
        tail -5 "$log" >&2
        return 1
    }
    peer_boot restored 3 local 1G 1G
    to=$(date +%s.%N)
    peer_check_rows restored "$1"
    peer_stop restored
    peer_print_copy mariabackup "$1" "$from" "$to"
}

peer_up_point() {
    peer_start source 1 local "${BENCH_POOL:-3G}" 2G
    peer_fill source "$1"
}

peer_run_point_query() { peer_point point_query "$1"; }
peer_point() { # BENCH ROWS
    peer_client point "$1" --server "$(peer_socket source)" \
        --threads 16 --seconds "$BENCH_SECONDS" --subjects $((($2 + 3) / 4))
}

peer_up_idle() {
    peer_start village 1 tls "${BENCH_POOL:-1G}" 1G
    peer_sql village "$PEER_TABLE"
}

peer_run_idle_memory() {
    local kib
    sleep "$BENCH_SECONDS"
    kib=$(awk '$1 == "Pss:" { print $2 }' \
        "/proc/$(peer_pid village)/smaps_rollup")
    awk -v kib="$kib" 'BEGIN {
        printf "{\"bench\":\"idle_memory\",\"peer\":\"mariadb\"," \
            "\"pss_mib\":%.1f}\n", kib / 1024 }'
}

# ---- what nodes on MariaDB are measured against ----

peer_up_chain_db() { peer_up_chain; }
peer_run_batches_db() { peer_batches batches_db "$1"; }
peer_up_point_db() { peer_up_point "$1"; }
peer_run_point_query_db() { peer_point point_query_db "$1"; }

# ROWS: five times as many are there.
peer_up_apply_db() {
    peer_start source 1 local "${BENCH_POOL:-3G}" 2G
    peer_fill source $((5 * $1))
}

# ROWS REPEAT: further rows of the same subjects, by one connection.
peer_run_apply_db() {
    peer_client load apply_db --server "$(peer_socket source)" --batch 1000 \
        --rows "$1" --first $(((4 + $2) * $1 + 1)) \
        --subjects $(((5 * $1 + 3) / 4))
}

# ---- lists: NATS JetStream, if it is installed (Debian: nats-server) ----

peer_nats() { # whether it is
    PATH=$PATH:/usr/sbin command -v nats-server >/dev/null && command -v node >/dev/null
}

peer_up_tree() {
    peer_nats || { echo "nats-server or node is not installed: no peer" >&2; return 0; }
    mkdir -p "$PEER_DIR/nats"
    PATH=$PATH:/usr/sbin node "$BENCH_SOURCE/peer/nats.js" up "$PEER_DIR/nats" 20000 "${BENCH_LEAVES:-10}"
}

peer_run_directive() { peer_run_nats directive "$1"; }
peer_run_directives_bulk() { peer_run_nats directives_bulk $((($1 + 99) / 100 * 100)); }
peer_run_nats() {
    [ ! -e "$PEER_DIR/nats/plan.json" ] || node "$BENCH_SOURCE/peer/nats.js" "$1" "$PEER_DIR/nats" "$2"
}

peer_down_nats() {
    [ -e "$PEER_DIR/nats/pids" ] || return 0
    # shellcheck disable=SC2046 # one word a process
    kill $(cat "$PEER_DIR/nats/pids") 2>/dev/null || true
    sleep 1
    rm -rf "$PEER_DIR/nats"
}

# These have none.
peer_up_tree2of3() { :; }
peer_up_lists() { :; }
peer_run_directive_2of3() { :; }
peer_run_list_memory() { :; }
peer_run_list_check() { :; }

peer_up() { "peer_up_$1" "$2"; }
peer_run() { "peer_run_$1" "$2" "$3"; }

peer_down() {
    local name
    peer_down_nats
    for name in $(peer_names peer); do peer_stop "$name"; done
}
