# own_db.sh - benches of nodes whose stores lie on MariaDB (to be sourced by
# own.sh).
#
# Groups: apply_db (a county on a server and a township below it), chain_db (as
# chain, with county, city and province on a server each), point_db (as point, on
# a server). The servers are set up like the peer's (peer/server.sh), binary log
# and all, and each is its node's alone.
# shellcheck shell=bash

OWN_COUNTY=341802000000 OWN_CITY=341800000000 OWN_DBS=0

own_db_pids() {
    local name
    for name in $(peer_names own); do peer_pid "$name"; done
}

own_db_down() {
    local name
    for name in $(peer_names own); do peer_stop "$name"; done
}

# CODE POOL: the node, which does not run yet, gets a server of its own.
own_use_db() {
    local name=own-$1
    [ -n "$PEER_DIR" ] || peer_begin "$(dirname "$OWN_DIR")"
    OWN_DBS=$((OWN_DBS + 1))
    peer_start "$name" $((200 + OWN_DBS)) local "$2" 1G
    peer_sql "$name" "CREATE DATABASE node"
    printf '%s\n' 'store.backend=mariadb' \
        "mariadb.socket=$(peer_socket "$name")" 'mariadb.database=node' \
        'mariadb.user=root' >>"$TREE/$1/set"
}

own_up_chain_db() {
    local code
    own_add_chain 5
    for code in "${OWN_CHAIN[@]:2}"; do own_use_db "$code" "${BENCH_POOL:-1G}"; done
    own_run_chain 5
}

own_run_batches_db() { own_batches batches_db "$@"; }

# ROWS: five times as many are there.
own_up_apply_db() {
    own_federation
    own_node $OWN_COUNTY county '' bench
    own_node "$OWN_TOWN" township $OWN_COUNTY bench
    own_use_db $OWN_COUNTY "${BENCH_POOL:-3G}"
    # Else the figure is that of the wait between two attempts to connect.
    printf 'replication: { backoff_min = "20 ms"; backoff_max = "100 ms"; };\n' \
        >>"$(tree_conf "$OWN_TOWN")"
    tree_up
    own_wait_links $OWN_COUNTY 1
    own_count_pids $OWN_COUNTY "$OWN_TOWN"
    own_fill "$OWN_TOWN" $((5 * $1))
    own_wait_equal "$OWN_TOWN" $OWN_COUNTY
}

own_wait_equal() { # CODE AT-CODE: for as long as 1,000,000 records may take
    local i
    for ((i = 0; i < 600; i++)); do
        ! own_check_equal "$1" "$2" 2>/dev/null || return 0
    done
    own_check_equal "$1" "$2"
}

own_ticks() { # PID...: processor time so far
    local pid sum=0 stat
    for pid in "$@"; do
        read -ra stat < <(sed 's/.*) //' "/proc/$pid/stat")
        sum=$((sum + stat[11] + stat[12]))
    done
    echo $sum
}

# ROWS REPEAT: further rows of the same subjects wait at the township while the
# county is down; from when that is ready until it holds them, verified and
# indexed. CPU: of the county, from its start, and of its server.
# rows, seconds, rows_per_s, cpu_us_per_row
own_run_apply_db() {
    local goal from to ticks server
    server=$(peer_pid own-$OWN_COUNTY)
    tree_stop $OWN_COUNTY
    own_enter "$OWN_TOWN" "$1" $(((4 + $2) * $1 + 1)) $(((5 * $1 + 3) / 4))
    goal=$(own_goal "$OWN_TOWN" 0)
    ticks=$(own_ticks "$server")
    tree_start $OWN_COUNTY
    own_count_pids $OWN_COUNTY "$OWN_TOWN"
    from=$(date +%s.%N)
    own_client arrival apply_db --sink "$(own_address $OWN_COUNTY)" \
        --goal "$goal"
    to=$(date +%s.%N)
    ticks=$(($(own_ticks "$server" "$(tree_pid $OWN_COUNTY)") - ticks))
    own_check_equal "$OWN_TOWN" $OWN_COUNTY
    awk -v rows="$1" -v from="$from" -v to="$to" -v ticks=$ticks \
        -v hz="$(getconf CLK_TCK)" 'BEGIN {
        printf "{\"bench\":\"apply_db\",\"peer\":\"own\",\"rows\":%d," \
            "\"seconds\":%.3f,\"rows_per_s\":%.1f,\"cpu_us_per_row\":%.1f}\n",
            rows, to - from, rows / (to - from), ticks / hz * 1e6 / rows }'
}

# ROWS: as own_up_point(); cache and the server's pool have together what the
# peer's pool has, and the cache, which answers that are given again come from, the
# larger part.
own_up_point_db() {
    own_federation
    own_node $OWN_CITY city '' bench
    own_use_db $OWN_CITY "${BENCH_POOL:-1G}"
    echo 'store.cache=2 GiB' >>"$TREE/$OWN_CITY/set"
    tree_start $OWN_CITY
    own_count_pids $OWN_CITY
    own_fill $OWN_CITY "$1"
}

own_run_point_query_db() { own_point point_query_db "$1"; }
