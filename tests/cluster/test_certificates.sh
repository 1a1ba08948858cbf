#!/usr/bin/env bash
# Who may connect: not another CA, not an expired certificate, not the wrong
# tier or code, not an app; a broken certificate on reload is refused and the
# old one stays; a revoked one is shut out.
. "$(dirname "$0")/lib.sh"

allow CERT-REFUSED RELOAD-TRUST
make_small
# The township runs without a list of revoked certificates at first.
cp "$TREE/$TOWN/identity.cfg" "$WORK/with-list"
sed -i '/revoked = /d' "$TREE/$TOWN/identity.cfg"
start "$COUNTY"
start "$TOWN"
start "$VILLAGE"
check "import" enter "$VILLAGE" 1 20
check "equal" equal
stop "$VILLAGE"
certs=$TREE/$VILLAGE/certs
cp -a "$certs" "$WORK/good"
node=("$ROOT/certs/make-node.sh")

# PATTERN-OF-CHECK: the node itself refuses to start with what is in certs/.
refuses_to_start() {
    ! timeout 30 "$CREDITNODE" serve -c "$(tree_conf "$VILLAGE")" >"$WORK/out" 2>&1 ||
        fail "started: $1"
    grep -qE "$1" "$WORK/out" || fail "no reason like $1: $(cat "$WORK/out")"
    note "start refused: $(tail -n 1 "$WORK/out" | cut -c1-200)"
}
put_back() { rm -rf "$certs" && cp -a "$WORK/good" "$certs"; }

put_certs() { # OPTIONS of make-node
    rm -rf "$certs"
    "${node[@]}" "$@" >/dev/null || fail "make-node $*"
}
put_certs "$TREE/fed" "$certs" --tier village --code "$VILLAGE2"
refuses_to_start "$VILLAGE2"
put_certs "$TREE/fed" "$certs" --tier township --code "$VILLAGE"
refuses_to_start township
put_certs "$TREE/fed" "$certs" --tier village --code "$VILLAGE" --not-after yesterday
refuses_to_start 'expired|not valid|ended'
put_back
: >"$certs/tls.pem"
refuses_to_start tls.pem
put_back
head -c 2000 /dev/urandom >"$certs/ca.pem"
refuses_to_start ca.pem
put_back

# Clients with certificates that the township must refuse. TLS says little to
# the client; the township names the reason.
tls() { # CERT KEY: the handshake, then what the server thinks of it
    timeout 30 openssl s_client -connect "127.0.0.1:$(tree_port "$TOWN")" -alpn h2 \
        -CAfile "$WORK/good/ca.pem" -cert "$1" -key "$2" -servername localhost \
        </dev/null >"$WORK/out" 2>&1
}
"$ROOT/certs/make-federation.sh" "$WORK/otherfed" --name "$TREE_FEDERATION" --province "$PROVINCE" >/dev/null
"${node[@]}" "$WORK/otherfed" "$WORK/other" --tier village --code "$VILLAGE" >/dev/null
"${node[@]}" "$TREE/fed" "$WORK/expired" --tier village --code "$VILLAGE" --not-after yesterday >/dev/null
# At most one line a second is logged.
is_refused() {
    tls "$WORK/$1/tls.pem" "$WORK/$1/tls.key"
    says "$TOWN" "RPC-HANDSHAKE.*verify failed" "$2"
}
for who in other expired; do
    within "$PATIENCE" "the township refuses $who" is_refused "$who" $(($(log_end "$TOWN") + 1))
done

# A node whose parent it is not, with a good certificate: the county's child.
from=$(($(log_end "$COUNTY") + 1))
"$LIAR" "$(tree_conf "$VILLAGE")" "127.0.0.1:$(tree_port "$COUNTY")" "$VILLAGE" none \
    2>&1 | head -c 300 >&2
within "$PATIENCE" "the county denies the village" says "$COUNTY" "SYNC-DENIED.*$VILLAGE" "$from"

# Rotation: empty, garbage, another node's: refused by name, the old one stays.
start "$VILLAGE"
bad() { # TEXT COMMAND: spoils tls.pem, reloads
    local from
    shift
    "$@"
    from=$(($(log_end "$VILLAGE") + 1))
    kill -HUP "$(tree_pid "$VILLAGE")"
    within "$PATIENCE" "CERT-REFUSED after $*" says "$VILLAGE" CERT-REFUSED "$from"
}
spoil_empty() { : >"$certs/tls.pem"; }
spoil_garbage() { head -c 3000 /dev/urandom >"$certs/tls.pem"; }
spoil_other() { cp "$TREE/$TOWN/certs/tls.pem" "$TREE/$TOWN/certs/tls.key" "$certs/"; }
spoil_ca() {
    put_back
    : >"$certs/ca.pem"
}
# A CA of another federation beside ours: the root document does not name it.
spoil_foreign() {
    put_back
    cat "$WORK/otherfed/ca.pem" >>"$certs/ca.pem"
}
for how in empty garbage other ca foreign; do
    bad "$how" "spoil_$how"
    check "the old certificate works on" enter "$VILLAGE" $((RANDOM + 100)) 5
    check "equal" equal
done
put_back
from=$(($(log_end "$VILLAGE") + 1))
kill -HUP "$(tree_pid "$VILLAGE")"
within "$PATIENCE" "reload" says "$VILLAGE" 'RELOAD ' "$from"
check "import" enter "$VILLAGE" 40001 5
check "equal" equal

# Revoked: shut out at the next connection, by name.
stop "$VILLAGE"
"$ROOT/certs/revoke.sh" "$TREE/$TOWN/revoked" "$certs/tls.pem" --reason stolen >/dev/null
cp "$WORK/with-list" "$TREE/$TOWN/identity.cfg"
from=$(($(log_end "$TOWN") + 1))
kill -HUP "$(tree_pid "$TOWN")"
within "$PATIENCE" "the list is taken over by the reload" says "$TOWN" 'RELOAD .*restart_needed=0 .*trust=read' "$from"
start "$VILLAGE"
within "$PATIENCE" "the revoked village is denied" says "$TOWN" "(SYNC-DENIED|RPC-HANDSHAKE).*revoked" "$from"
check "it still enters records" enter "$VILLAGE" 50001 5
