#!/usr/bin/env bash
# Whoever reaches a node's port or admin socket without manners is refused, costs
# bounded memory, and disturbs nobody.
. "$(dirname "$0")/lib.sh"

make_small
start_all
check "import" enter "$VILLAGE" 1 100
check "equal" equal
port=$(tree_port "$TOWN")
memory() { awk '/^VmRSS/ {print $2}' "/proc/$(tree_pid "$TOWN")/status"; }
before=$(memory)

throw() { # to the port, then listens a moment
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/$port" || return 0
    cat >&"$fd"
    timeout 1 cat <&"$fd" >/dev/null
    exec {fd}>&-
}
for ((i = 0; i < 10; i++)); do head -c 65536 /dev/urandom | throw; done 2>/dev/null
printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' | throw 2>/dev/null
printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' | throw 2>/dev/null
# The beginning of a TLS greeting that never goes on, many times.
half() {
    local i fd
    for ((i = 0; i < 200; i++)); do
        exec {fd}<>"/dev/tcp/127.0.0.1/$port" && printf '\026\003\001\002\000\001' >&"$fd"
    done
    until [ -e "$WORK/let_go" ]; do sleep 0.1; done
}
half 2>/dev/null &
PROCESSES+=($!)
check "entering goes on meanwhile" enter "$VILLAGE" 201 50
check "and replication too" equal
: >"$WORK/let_go"
wait $!

# With a good certificate, then nonsense inside.
certs=$TREE/$VILLAGE/certs
awk '/BEGIN CERT/ {n++} n > 1' "$certs/tls.pem" >"$WORK/chain.pem"
inside() {
    timeout 5 openssl s_client -quiet -connect "127.0.0.1:$port" -alpn h2 -CAfile "$certs/ca.pem" \
        -cert "$certs/tls.pem" -cert_chain "$WORK/chain.pem" -key "$certs/tls.key" >/dev/null 2>&1
}
head -c 200000 /dev/urandom | inside
{ printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'; head -c 200000 /dev/urandom; } | inside
# Frames of 16 MiB are announced, none comes.
{ printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'; printf '\377\377\377\000\000\000\000\000\001%.0s' {1..500}; } | inside
# Headers without end.
{ printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\000\000\000\004\000\000\000\000\000'
  for ((i = 0; i < 300; i++)); do printf '\000\100\000\011\000\000\000\000\001'; head -c 16384 /dev/zero; done
} | inside

# The admin socket: garbage, a frame too large, and a client that says nothing.
node <<EOT 2>/dev/null || note "no node: the admin socket is left out"
const net = require('net');
const path = '$TREE/$TOWN/admin.sock';
const throwAt = (bytes) => new Promise((done) => {
    const s = net.connect(path, () => s.write(bytes));
    s.on('close', done);
    s.on('error', done);
    s.resume();
    setTimeout(() => { s.destroy(); done(); }, 1000);
});
const frame = (text) => {
    const b = Buffer.alloc(4 + text.length);
    b.writeUInt32BE(text.length);
    b.write(text, 4);
    return b;
};
(async () => {
    await throwAt(Buffer.from('ffffffff00', 'hex'));
    await throwAt(frame('{"cmd":"status"'));
    await throwAt(frame('{"cmd":12}'));
    await throwAt(frame('{"cmd":"nothing"}'));
    await throwAt(frame('[' .repeat(100000)));
    await throwAt(Buffer.alloc(2 << 20));
    process.exit(0);
})();
EOT
check "the socket answers" is "$TOWN" .node.code "$TOWN"

grown=$(($(memory) - before))
note "memory grew by $grown KiB"
check "memory is bounded" [ "$grown" -lt 131072 ]
within "$PATIENCE" "refusals were said" says "$TOWN" RPC-HANDSHAKE
check "entering" enter "$VILLAGE" 301 50
check "equal" equal
check "everything acknowledged" acked "$TOWN" "$COUNTY"
within "$PATIENCE" "the state is ok" is "$TOWN" .health.state ok
