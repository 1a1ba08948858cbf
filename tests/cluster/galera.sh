# shellcheck shell=bash
# Three database servers of one Galera cluster, on this machine; sourced after
# lib.sh. Servers have numbers 1 to 3; each has its folder $GALERA/N and, in
# GALERA_PIDS, its process. Galera itself listens at ports of its own choice
# three times: they are looked for.

GALERA=$WORK/galera
GALERA_PIDS=()
GALERA_LIB=${GALERA_LIB:-/usr/lib/galera/libgalera_smm.so}
GALERA_BASE=
GALERA_SST=$(cd "$(dirname "${BASH_SOURCE[0]}")/galera" && pwd)

galera_there() { [ -e "$GALERA_LIB" ]; }

galera_sql() { # N SQL
    mariadb --no-defaults -uroot --socket="$GALERA/$1/socket" -Ne "$2"
}
galera_says() { # N VARIABLE
    galera_sql "$1" "SHOW STATUS LIKE '$2'" 2>/dev/null | cut -f2
}
galera_synced() { [ "$(galera_says "$1" wsrep_local_state_comment)" = Synced ]; }
galera_size() { [ "$(galera_says "$1" wsrep_cluster_size)" = "$2" ]; }

port_is_free() { ! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Ten in a row: of server N one for SQL (N) and two for Galera (2N+2, 2N+3).
# Beyond what next_port gives, since they stay free until a server is up.
galera_find_ports() {
    local base i free
    for ((base = 31000 + RANDOM % 160 * 10; base < 32760; base += 10)); do
        free=1
        for ((i = 1; i < 10; i++)); do
            port_is_free $((base + i)) || free=
        done
        [ -z "$free" ] || break
    done
    GALERA_BASE=$base
}

galera_peers() {
    local n
    for n in 1 2 3; do
        printf '%s127.0.0.1:%d' "$([ $n = 1 ] || echo ,)" $((GALERA_BASE + 2 * n + 2))
    done
}

# N OPTION...: the settings of docs/operations.md, but for the small buffers.
galera_start() {
    local n=$1 dir=$GALERA/$1 port=$((GALERA_BASE + 2 * $1 + 2)) as=()
    shift
    [ "$(id -u)" -ne 0 ] || as=(--user=root)
    PATH=$GALERA_SST:$PATH:/usr/sbin mariadbd \
        --no-defaults --datadir="$dir/data" --socket="$dir/socket" \
        --pid-file="$dir/pid" --bind-address=127.0.0.1 \
        --port=$((GALERA_BASE + n)) --skip-name-resolve \
        --innodb-buffer-pool-size=64M --innodb-log-file-size=64M \
        --binlog-format=ROW --innodb-autoinc-lock-mode=2 --wsrep-on=ON \
        --wsrep-provider="$GALERA_LIB" --wsrep-cluster-name=test \
        --wsrep-node-name="n$n" --wsrep-node-address=127.0.0.1 \
        --wsrep-slave-threads=2 --wsrep-sst-method=local \
        --wsrep-cluster-address="gcomm://$(galera_peers)" \
        --wsrep-provider-options="base_port=$port;gmcast.listen_addr=tcp://127.0.0.1:$port;ist.recv_addr=127.0.0.1:$((port + 1));gcache.size=64M;socket.ssl=no;evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S;evs.keepalive_period=PT0.5S;evs.inactive_check_period=PT0.5S;gmcast.peer_timeout=PT2S" \
        "${as[@]}" "$@" >>"$dir/log" 2>&1 &
    GALERA_PIDS[n]=$!
    PROCESSES+=($!)
}

# N: and waits until it has what the others have.
galera_join() {
    galera_start "$1"
    within "$PATIENCE" "database server $1 has joined" galera_synced "$1"
}

galera_kill() { # N
    ! tree_runs "${GALERA_PIDS[$1]}" || kill -9 "${GALERA_PIDS[$1]}" 2>/dev/null || true
    wait "${GALERA_PIDS[$1]}" 2>/dev/null || true
}

galera_make() {
    local n
    galera_find_ports
    for n in 1 2 3; do
        mkdir -p "$GALERA/$n"
    done
    for n in 1 2 3; do
        check "database server" "$ROOT/tests/support/mariadb-dir.sh" "$GALERA/$n/data"
    done
    galera_start 1 --wsrep-new-cluster
    within "$PATIENCE" "the first database server" galera_synced 1
    check "an account" galera_sql 1 \
        "CREATE USER node@'%'; GRANT ALL ON *.* TO node@'%'"
    galera_join 2
    galera_join 3
    check "three servers" galera_size 1 3
}

# CODE: its store is in the cluster; server 1 is the preferred one.
use_galera() {
    [ -d "$GALERA" ] || galera_make
    galera_sql 1 "CREATE DATABASE cn_$1"
    set_option "$1" store.backend=mariadb
    set_option "$1" mariadb.address="127.0.0.1:$((GALERA_BASE + 1)), 127.0.0.1:$((GALERA_BASE + 2)), 127.0.0.1:$((GALERA_BASE + 3))"
    set_option "$1" mariadb.database="cn_$1"
    set_option "$1" mariadb.user=node
}

# The line of five tiers, whose county has its store in the cluster; nothing is
# started. Without Galera on this machine the test ends as skipped.
galera_county() {
    local node
    if ! galera_there; then
        echo "no Galera library here (package galera-4)"
        exit 77
    fi
    # Each may meet its end in the middle of anything.
    allow STORE-FULL STORE-BACKGROUND
    make_line
    for node in "$PROVINCE" "$CITY" "$COUNTY" "$TOWN" "$VILLAGE"; do
        set_option "$node" replication.segment="4 KiB"
    done
    use_galera "$COUNTY"
}

# CODE of a process: the server that most of its connections are at; 0: none.
galera_of() {
    local n most=0 best=0 has pid
    pid=$(tree_pid "$1")
    for n in 1 2 3; do
        has=$(ss -Htnp state established "dport = :$((GALERA_BASE + n))" 2>/dev/null |
            grep -c "pid=$pid,")
        [ "$has" -le "$most" ] || { most=$has best=$n; }
    done
    echo "$best"
}
