# server.sh - MariaDB servers of one benchmark run (to be sourced).
#
# Every server lives in its own folder below $PEER_DIR, which peer_begin makes
# and peer_end removes. Those under nodes of the own side (own_db.sh) are set up
# like the peer's; their names begin with "own-". Servers are reached by a socket in that folder; only
# those that replicate listen, on 127.0.0.1. Nothing of an installed MariaDB
# is read or touched: no defaults file, no system service.
# shellcheck shell=bash

PEER_DIR=
declare -A PEER_PORT=()

PEER_DURABLE=(--innodb-flush-log-at-trx-commit=1 --sync-binlog=1)
# The log that replication reads and the order that GTIDs need.
PEER_COMMON=(--skip-name-resolve --max-allowed-packet=64M --log-bin=bin
    --log-slave-updates=1 --binlog-format=ROW --gtid-strict-mode=1
    --max-binlog-size=1G --slave-parallel-threads=4
    --slave-parallel-mode=optimistic)
# shellcheck disable=SC2034 # peer.sh uses it
PEER_TABLE="
CREATE DATABASE IF NOT EXISTS bench;
CREATE TABLE IF NOT EXISTS bench.record (
  origin CHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  seq BIGINT NOT NULL,
  id BINARY(16) NOT NULL,
  subject VARCHAR(18) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  item VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  category TINYINT NOT NULL,
  disclosure TINYINT NOT NULL,
  status TINYINT NOT NULL,
  decided DATE NOT NULL,
  expiry DATE NOT NULL,
  version INT NOT NULL,
  digest BINARY(32) NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (origin, seq), UNIQUE KEY (id), KEY (subject)
) ENGINE=InnoDB"

# They print what is not installed; nothing if all is there.
server_missing() { # for servers under nodes
    local program
    for program in mariadbd mariadb mariadb-install-db openssl; do
        peer_program "$program" >/dev/null || echo "$program"
    done
}

peer_missing() {
    server_missing
    peer_program mariadb-dump >/dev/null || echo mariadb-dump
}

# mariadbd is in sbin, which is not on everybody's path.
peer_program() {
    PATH=$PATH:/usr/sbin:/usr/local/sbin command -v "$1"
}

peer_begin() { # PARENT-FOLDER: makes the run's folder and an empty database
    PEER_DIR=$(mktemp -d "$1/bench-peer.XXXXXX")
    "$ROOT/tests/support/mariadb-dir.sh" "$PEER_DIR/empty" || return 1
    peer_certificates
}

peer_end() { # stops every server that still runs and removes the folder
    [ -n "$PEER_DIR" ] || return 0
    local name
    for name in "${!PEER_PORT[@]}"; do peer_stop "$name"; done
    rm -rf "$PEER_DIR"
    PEER_DIR=
}

peer_certificates() { # one CA; one certificate for every link's both ends
    (
        cd "$PEER_DIR" || exit
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -keyout ca.key -out ca.pem -subj /CN=bench-ca -days 2
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -keyout link.key -out link.csr -subj /CN=127.0.0.1
        openssl x509 -req -in link.csr -CA ca.pem -CAkey ca.key \
            -CAcreateserial -out link.pem -days 2
    ) >"$PEER_DIR/openssl.log" 2>&1
}

peer_names() { # own|peer: whose servers
    local name whose
    for name in "${!PEER_PORT[@]}"; do
        whose=peer
        [[ $name != own-* ]] || whose=own
        [ $whose != "$1" ] || echo "$name"
    done
}

peer_socket() { echo "$PEER_DIR/$1/socket"; }
peer_pid() { cat "$PEER_DIR/$1/pid"; }

peer_sql() { # NAME SQL
    mariadb --no-defaults -uroot -N -S "$(peer_socket "$1")" -e "$2"
}

# A port that nothing listened on a moment ago, below the range that the
# kernel gives to outgoing connections.
peer_free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# NAME ID NET POOL REDO [OPTION]...: a new server with an empty database.
# NET: tls (listens; the links are mutual TLS), plain (listens) or local.
peer_start() {
    local name=$1 id=$2 net=$3 pool=$4 redo=$5
    shift 5
    mkdir "$PEER_DIR/$name"
    cp -a "$PEER_DIR/empty" "$PEER_DIR/$name/data"
    PEER_PORT[$name]=$(peer_free_port)
    peer_boot "$name" "$id" "$net" "$pool" "$redo" "$@"
}

peer_boot() { # the same over a database that is there
    local name=$1 id=$2 net=$3 pool=$4 redo=$5 listen
    shift 5
    case $net in
    local) listen=(--skip-networking) ;;
    *) listen=(--bind-address=127.0.0.1 --port="${PEER_PORT[$name]}") ;;
    esac
    [ "$net" != tls ] || listen+=(--ssl-ca="$PEER_DIR/ca.pem"
        --ssl-cert="$PEER_DIR/link.pem" --ssl-key="$PEER_DIR/link.key"
        --tls-version=TLSv1.3)
    "$(peer_program mariadbd)" --no-defaults --user="$(id -un)" \
        --datadir="$PEER_DIR/$name/data" --socket="$(peer_socket "$name")" \
        --pid-file="$PEER_DIR/$name/pidfile" --server-id="$id" \
        --log-error="$PEER_DIR/$name/log" --innodb-buffer-pool-size="$pool" \
        --innodb-log-file-size="$redo" "${PEER_COMMON[@]}" \
        "${PEER_DURABLE[@]}" "${listen[@]}" "$@" >/dev/null 2>&1 &
    echo $! >"$PEER_DIR/$name/pid"
    disown $!
    peer_wait_ready "$name"
}

peer_wait_ready() {
    local i
    for ((i = 0; i < 600; i++)); do
        peer_sql "$1" 'SELECT 1' >/dev/null 2>&1 && return 0
        kill -0 "$(peer_pid "$1")" 2>/dev/null || break
        sleep 0.1
    done
    echo "mariadbd $1 did not start:" >&2
    tail -5 "$PEER_DIR/$1/log" >&2
    return 1
}

peer_stop() { # NAME: stops it and removes its folder
    local pid i
    if pid=$(cat "$PEER_DIR/$1/pid" 2>/dev/null); then
        kill "$pid" 2>/dev/null || true
        for ((i = 0; i < 150; i++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    fi
    rm -rf "${PEER_DIR:?}/$1"
    unset "PEER_PORT[$1]"
}

# NAME: lets others replicate from it.
peer_open_replication() {
    local require=NONE
    [ "$2" != tls ] || require=X509
    peer_sql "$1" "SET sql_log_bin=0;
        CREATE USER repl@'127.0.0.1' REQUIRE $require;
        GRANT REPLICATION SLAVE ON *.* TO repl@'127.0.0.1'"
}

# CHILD PARENT NET [CONNECTION]: PARENT takes everything CHILD writes.
peer_follow() {
    local child=$1 parent=$2 net=$3 link=${4:+"'$4'"} tls=''
    [ "$net" != tls ] || tls=", MASTER_SSL=1,
        MASTER_SSL_CA='$PEER_DIR/ca.pem', MASTER_SSL_CERT='$PEER_DIR/link.pem',
        MASTER_SSL_KEY='$PEER_DIR/link.key', MASTER_SSL_VERIFY_SERVER_CERT=1"
    peer_sql "$parent" "CHANGE MASTER $link TO
        MASTER_HOST='127.0.0.1', MASTER_PORT=${PEER_PORT[$child]},
        MASTER_USER='repl', MASTER_USE_GTID=slave_pos,
        MASTER_CONNECT_RETRY=1 $tls;
        START SLAVE $link"
}

# NAME CONNECTIONS: true when so many links are up on NAME.
peer_wait_links() {
    local i up
    for ((i = 0; i < 300; i++)); do
        up=$(mariadb --no-defaults -uroot -S "$(peer_socket "$1")" \
            -e 'SHOW ALL SLAVES STATUS\G' | grep -c 'Running: Yes' || true)
        [ "$up" -ne $(($2 * 2)) ] || return 0
        sleep 0.1
    done
    echo "replication to $1 did not start:" >&2
    tail -5 "$PEER_DIR/$1/log" >&2
    return 1
}
