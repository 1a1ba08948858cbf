#!/usr/bin/env bash
# Connections on which nothing is called do not stay: not those that say
# nothing, nor those that greet in TLS, with a certificate of the federation,
# and leave it at that, nor those that speak HTTP/2. Children, who call all the
# time, go on.
. "$(dirname "$0")/lib.sh"

MANY=10 # of each kind
make_small
set_option "$TOWN" rpc.idle="5 s"
# Who does not answer a ping is found earlier; here nobody is asked.
for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
    set_option "$code" rpc.keepalive="1 h"
done
start_all
check "import" enter "$VILLAGE" 1 50
check "equal" equal
port=$(tree_port "$TOWN")
certs=$TREE/$VILLAGE/certs
from=$(($(log_end "$VILLAGE") + 1))

sockets() { find "/proc/$(tree_pid "$TOWN")/fd" -lname 'socket:*' | wc -l; }
before=$(sockets)
# Whoever signed it goes along.
awk '/BEGIN CERT/ {n++} n > 1' "$certs/tls.pem" >"$WORK/chain.pem"
check "a chain" test -s "$WORK/chain.pem"

# Each keeps its own side open and ends when the other closes.
say_nothing() { # FILE
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/$port" || return
    cat <&"$fd" >"$1"
    : >"$1.closed"
}
greet() { # FILE [TEXT]: what came back
    local fd
    mkfifo "$1.in"
    exec {fd}<>"$1.in"
    printf "${2:-}" >&"$fd"
    openssl s_client -quiet -connect "127.0.0.1:$port" -alpn h2 -CAfile "$certs/ca.pem" \
        -cert "$certs/tls.pem" -cert_chain "$WORK/chain.pem" -key "$certs/tls.key" <&"$fd" >"$1" 2>/dev/null
    : >"$1.closed"
}
preface='PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\000\000\000\004\000\000\000\000\000'
for ((i = 0; i < MANY; i++)); do
    say_nothing "$WORK/silent.$i" &
    PROCESSES+=($!)
    greet "$WORK/tls.$i" &
    PROCESSES+=($!)
    greet "$WORK/http.$i" "$preface" &
    PROCESSES+=($!)
done 2>/dev/null

heard() { [ "$(find "$WORK" -name "$1.*" -type f -size +0 | wc -l)" -eq $MANY ]; } # WHOM
closed() { [ "$(find "$WORK" -name "$1.*.closed" | wc -l)" -eq $MANY ]; }          # WHOM
within "$PATIENCE" "TLS took them, and HTTP/2" heard http
note "$(($(sockets) - before)) connections more"
check "entering goes on meanwhile" enter "$VILLAGE" 101 50
check "and replication too" equal
for whom in silent tls http; do
    within "$PATIENCE" "$whom: they are closed" closed "$whom"
done
let_go() { [ "$(sockets)" -le $((before + 2)) ]; }
within "$PATIENCE" "and cost no descriptor" let_go
check "entering" enter "$VILLAGE" 201 50
check "equal" equal
! says "$VILLAGE" 'SYNC-LOST|SYNC-TIMEOUT|FOLLOW-LOST' "$from" || fail "a child lost its line"
check "everything acknowledged" acked "$TOWN" "$COUNTY"
