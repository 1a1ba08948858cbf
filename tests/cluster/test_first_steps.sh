#!/usr/bin/env bash
# The first steps of README.md, with what cmake --install puts in place: keys,
# certificates and configuration made by root are the node's once they are given
# to its user, and that user runs it.
. "$(dirname "$0")/lib.sh"

usr=$WORK/usr etc=$WORK/etc var=$WORK/var share=$WORK/usr/share/creditnode
FED=$WORK/fed
as_node=()
anchor=ca.pem
[ "$SUITE" = intl ] || anchor=signing-ca.pem
[ "$(id -u)" -ne 0 ] || as_node=(setpriv --reuid nobody --regid nogroup --clear-groups)
# The suppressions may lie where that user cannot read.
export LSAN_OPTIONS="print_suppressions=0:detect_leaks=0"
chmod 711 "$WORK"
: >"$WORK/out" && chmod 666 "$WORK/out"

# The federation, by deciders' own keys.
check "install" cmake --install "$(dirname "$CREDITNODE")/.." --prefix "$usr" >/dev/null
[ -e "$usr/lib/systemd/system/creditnode.service" ] || fail "no unit"
for who in li wang; do
    check "key of $who" "$share/certs/make-decider.sh" "$WORK/$who" --suite "$SUITE" >/dev/null
done
check "federation" "$share/certs/make-federation.sh" "$FED" --name demo.credit --suite "$SUITE" \
    --issuer 000000000000:2 --decider "000000000000:$WORK/li.pub:li" \
    --decider "000000000000:$WORK/wang.pub:wang" >"$WORK/hash"

# Step 2 and 3.
check "request" "$share/certs/request.sh" "$etc/certs" --federation demo.credit \
    --tier national --code 000000000000 --ip 127.0.0.1 --suite "$SUITE" >/dev/null
mkdir "$WORK/carried" "$WORK/back"
cp "$etc"/certs/*.csr "$WORK/carried"
check "signing" "$share/certs/sign.sh" "$FED" "$WORK/carried" "$WORK/back" --yes
cp "$WORK"/back/* "$etc/certs/"
cp "$FED/root-document" "$etc/"
cp "$share/tiers/national.cfg" "$etc/node.cfg"
cp "$share/tiers/common.cfg" "$share/tiers/identity.cfg" "$etc/"
tree_fill "$etc/common.cfg" name FILL-IN demo.credit \
    root_document FILL-IN root-document root_hash FILL-IN "$(cat "$WORK/hash")" \
    suite intl "$SUITE"
tree_fill "$etc/identity.cfg" ca FILL-IN certs/ca.pem ca FILL-IN "certs/$anchor" \
    revoked FILL-IN certs/revoked \
    cert FILL-IN certs/tls.pem key FILL-IN certs/tls.key \
    cert FILL-IN certs/sign.pem key FILL-IN certs/sign.key \
    cert FILL-IN certs/seal.pem key FILL-IN certs/seal.key
tree_fill "$etc/node.cfg" address 0.0.0.0:7460 "127.0.0.1:$(next_port)" \
    dir /var/lib/creditnode "$var" reserve '*' "64 MiB"
! grep '= "FILL-IN"' "$etc"/*.cfg || fail "FILL-IN left"

check_config() {
    "${as_node[@]}" "$usr/bin/creditnode" check-config -c "$etc/node.cfg" >"$WORK/out" 2>&1
}
if [ ${#as_node[@]} -gt 0 ]; then
    mkdir "$var" && chown nobody "$var"
    ! check_config || fail "root's keys are the node's"
    grep -q "Permission denied; the node's user must own it" "$WORK/out" || fail "no reason: $(cat "$WORK/out")"
    chown -R nobody: "$etc"
fi
check "check-config" check_config

# Steps 5 to 7, the last two as root.
"${as_node[@]}" "$usr/bin/creditnode" serve -c "$etc/node.cfg" >"$WORK/log" 2>&1 &
PROCESSES+=($!)
within "$PATIENCE" "READY" grep -q ' READY ' "$WORK/log"
check "import" "$usr/bin/creditnode" import -c "$etc/node.cfg" \
    "$ROOT/simulate/samples/licences-2018-utf8bom.csv" >"$WORK/out"
within "$PATIENCE" "status" "$usr/bin/creditnode" status -c "$etc/node.cfg" >"$WORK/out"
says() { "$usr/bin/creditnode" status -c "$etc/node.cfg" --lang "$1" | grep -q "$2"; } # LANG LINE
for line in '已运行 [0-9]* 秒：正常$' '^存储      本级 [1-9][0-9]* 条' '^上级      '; do
    says zh "$line" || fail "status in Chinese has no line '$line'"
done
for line in ', up [0-9]* s: ok$' '^store     [1-9][0-9]* own' '^parent    '; do
    says en "$line" || fail "status in English has no line '$line'"
done
kill "${PROCESSES[0]}"
wait "${PROCESSES[0]}" || fail "status $? at its end: $(tail -n 3 "$WORK/log")"
