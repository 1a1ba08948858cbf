#!/usr/bin/env bash
# SIGHUP takes over what may change and refuses the rest by name; SIGTERM ends
# a node with status 0 at any time; check-config refuses what serve would.
. "$(dirname "$0")/lib.sh"

allow RELOAD-REFUSED CERT-REFUSED
make_small
start_all
hup() { # CODE PATTERN: waits for the line
    local from
    from=$(($(log_end "$1") + 1))
    kill -HUP "$(tree_pid "$1")"
    within "$PATIENCE" "$2 after SIGHUP" says "$1" "$2" "$from"
}
sed -i 's/level = "info"/level = "debug"/' "$TREE/$VILLAGE/common.cfg"
hup "$VILLAGE" 'RELOAD-OPTION.*option=log.level value="?debug'
sed -i 's/level = "debug"/level = "info"/' "$TREE/$VILLAGE/common.cfg"
hup "$VILLAGE" 'RELOAD .*restart_needed=0'
cp "$TREE/$VILLAGE/node.cfg" "$WORK/good.cfg"
sed -i 's/tier = "village"/tier = "hamlet"/' "$TREE/$VILLAGE/node.cfg"
hup "$VILLAGE" 'RELOAD-REFUSED.*node.tier'
cp "$WORK/good.cfg" "$TREE/$VILLAGE/node.cfg"
sed -i 's/reserve = "64 MiB"/reserve = "65 MiB"/' "$TREE/$VILLAGE/node.cfg"
hup "$VILLAGE" 'RELOAD-RESTART.*store.reserve'
cp "$WORK/good.cfg" "$TREE/$VILLAGE/node.cfg"

# New certificates, taken over while records flow: the three of the village,
# then those of the township, for which the village seals from then on.
renew() { "$ROOT/certs/renew.sh" "$TREE/$1/certs" --federation-dir "$TREE/fed" >/dev/null || fail "renewal"; }
check "import" enter "$VILLAGE" 1 50
check "equal" equal
cp "$TREE/$VILLAGE/certs/sign.pem" "$WORK/old-sign.pem"
renew "$VILLAGE"
from=$(($(log_end "$VILLAGE") + 1))
enter "$VILLAGE" 5001 2000 &
hup "$VILLAGE" 'RELOAD .*certificates=renewed'
for use in tls sign seal; do
    within "$PATIENCE" "the new $use certificate" says "$VILLAGE" "CERT-RENEWED.*use=$use" "$from"
done
wait $! || fail "import while certificates change"
check "import" enter "$VILLAGE" 101 50
check "equal with the new certificates" equal
# Nothing is signed with the old one any more: it may be revoked.
for code in "$TOWN" "$COUNTY"; do
    "$ROOT/certs/revoke.sh" "$TREE/$code/revoked" "$WORK/old-sign.pem" --reason old >/dev/null
    hup "$code" 'RELOAD .*restart_needed=0'
done
check "import" enter "$VILLAGE" 201 50
check "equal with the old certificate revoked" equal
from=$(($(log_end "$VILLAGE") + 1))
renew "$TOWN"
hup "$TOWN" 'RELOAD .*certificates=renewed'
within "$PATIENCE" "the village learns whom it seals for" says "$VILLAGE" SYNC-ANCESTRY "$from"
from=$(($(log_end "$VILLAGE") + 1))
hup "$VILLAGE" 'RELOAD .*certificates=unchanged'
! says "$VILLAGE" CERT-RENEWED "$from" || fail "renewed though nothing changed"
# What could not be read is read again, though the file is the same as before.
renew "$VILLAGE"
from=$(($(log_end "$VILLAGE") + 1))
chmod 0644 "$TREE/$VILLAGE/certs/tls.key"
stop "$TOWN"
sleep 1 # files are looked at once a second at most
start "$TOWN" # the village calls it again
within "$PATIENCE" "it is refused" says "$VILLAGE" 'CERT-REFUSED.*tls.key' "$from"
from=$(($(log_end "$VILLAGE") + 1))
chmod 0600 "$TREE/$VILLAGE/certs/tls.key"
kill -HUP "$(tree_pid "$VILLAGE")"
within "$PATIENCE" "it is read again" says "$VILLAGE" 'CERT-RENEWED.*use=tls' "$from"
# Another node's: refused by name, the old ones stay.
mkdir "$WORK/own" && cp -a "$TREE/$VILLAGE/certs/." "$WORK/own/"
for use in sign seal; do
    cp "$TREE/$TOWN/certs/$use.pem" "$TREE/$TOWN/certs/$use.key" "$TREE/$VILLAGE/certs/"
    hup "$VILLAGE" "CERT-REFUSED.*$use.cert.*township"
    cp -a "$WORK/own/." "$TREE/$VILLAGE/certs/"
done
check "import" enter "$VILLAGE" 301 50
check "equal with the old certificates" equal

# SIGTERM under load; at_end looks at the status of all of them too.
for i in 1 2 3; do
    enter "$VILLAGE" $((i * 10000)) 3000 &
    sleep "0.$i"
    stop "$VILLAGE"
    wait $! || true
    start "$VILLAGE"
done
# A reload that comes while it ends does not kill it.
pid=$(tree_pid "$VILLAGE")
kill "$pid"
while tree_runs "$pid"; do kill -HUP "$pid" 2>/dev/null; done
stop "$VILLAGE"
start "$VILLAGE"
kill -INT "$(tree_pid "$TOWN")"
stop "$TOWN"
start "$TOWN"
check "equal" equal

# Faults of the configuration, each named.
refused() { # PATTERN [--set KEY=VALUE]...
    local pattern=$1
    shift
    ! node_cmd "$VILLAGE" check-config "$@" >"$WORK/out" 2>&1 ||
        fail "check-config took: $*"
    grep -qE "$pattern" "$WORK/out" || fail "not named: $pattern in $(cat "$WORK/out")"
}
check "check-config takes the good one" node_cmd "$VILLAGE" check-config >/dev/null
refused 'node.code' --set node.code=12
refused 'nod\.e' --set nod.e=1
refused 'root-document: hash' --set "federation.root_hash=$(printf '0%.0s' {1..64})"
refused 'tls.cert|tls.pem' --set "tls.cert=$TREE/$TOWN/certs/tls.pem"
refused 'village|township' --set "sign.cert=$TREE/$TOWN/certs/sign.pem" --set "sign.key=$TREE/$TOWN/certs/sign.key"
refused 'store.cache' --set "store.cache=1 KiB"
refused 'data.dir' --set data.dir=
chmod 0644 "$TREE/$VILLAGE/certs/tls.key"
refused 'tls.key.*600|600.*tls.key' --set log.level=info
chmod 0600 "$TREE/$VILLAGE/certs/tls.key"
printf 'node: { code = "34' >"$WORK/broken.cfg"
! "$CREDITNODE" check-config -c "$WORK/broken.cfg" >"$WORK/out" 2>&1 || fail "took a broken file"
grep -q 'broken.cfg:1' "$WORK/out" || fail "no file and line: $(cat "$WORK/out")"

# A second node over the same data is refused and the first goes on.
! timeout 30 "$CREDITNODE" serve -c "$(tree_conf "$VILLAGE")" >"$WORK/out" 2>&1 ||
    fail "two nodes over one store"
check "import" enter "$VILLAGE" 90001 10
check "equal" equal
