#!/usr/bin/env bash
# The federation gets another root CA (docs/operations.md, "Certificates"): nodes
# go over to it one after the other while records rise, and the old one is
# dropped.
. "$(dirname "$0")/lib.sh"

allow ROOT-CA
make_small
start_all
check "import" enter "$VILLAGE" 1 20
check "equal" equal

fed2=$WORK/fed2
N=000000000000
cas=(ca)
[ "$SUITE" = intl ] || cas=(ca signing-ca)
check "a new CA" "$ROOT/certs/make-federation.sh" "$fed2" --name "$TREE_FEDERATION" \
    --suite "$SUITE" --province "$PROVINCE" >/dev/null
fingerprint() { openssl x509 -in "$1" -outform DER | sha256sum | cut -d' ' -f1; }
has_version() { [ "$(status "$1" .root.version)" = "$2" ]; }
new_root() { # VERSION CHANGE...
    local to=$1 code k
    shift
    rm -f "$WORK/root-new"
    check "root $to" node_cmd "$COUNTY" root show --text >"$WORK/root-old"
    check "propose $to" node_cmd "$COUNTY" root propose -o "$WORK/root-new" "$@" >/dev/null
    for k in 1 2; do
        check "sign $to" "$CREDITNODE" root sign "$WORK/root-new" --previous "$WORK/root-old" \
            --key "$TREE/fed/deciders/$N-$k.key" >/dev/null
    done
    check "publish $to" node_cmd "$COUNTY" root publish "$WORK/root-new" >/dev/null
    for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
        within "$PATIENCE" "$code has root $to" has_version "$code" "$to"
    done
}
reload() { # CODE: and nothing is refused
    local from=$(($(log_end "$1") + 1))
    kill -HUP "$(tree_pid "$1")"
    within "$PATIENCE" "reload of $1" says "$1" 'RELOAD ' "$from"
    ! says "$1" 'CERT-REFUSED|RELOAD-TRUST|RELOAD-REFUSED' "$from" || fail "$1 refused the reload"
}
changes=()
for ca in "${cas[@]}"; do changes+=(--add-ca "$fed2/root/$ca.pem"); done
new_root 2 "${changes[@]}"
for ca in "${cas[@]}"; do cat "$TREE/fed/$ca.pem" >>"$fed2/$ca.pem"; done
for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
    for ca in "${cas[@]}"; do cp "$fed2/$ca.pem" "$TREE/$code/certs/"; done
    reload "$code"
done
n=300
for code in "$VILLAGE" "$COUNTY" "$TOWN"; do
    check "renewal of $code" "$ROOT/certs/renew.sh" "$TREE/$code/certs" --federation-dir "$fed2"
    reload "$code"
    check "import" enter "$VILLAGE" $((n += 100)) 10
    check "equal" equal
done
changes=()
for ca in "${cas[@]}"; do changes+=(--remove-ca "$(fingerprint "$TREE/fed/$ca.pem")"); done
new_root 3 "${changes[@]}"
for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
    for ca in "${cas[@]}"; do cp "$fed2/root/$ca.pem" "$TREE/$code/certs/$ca.pem"; done
    reload "$code"
done
for code in "$VILLAGE" "$TOWN" "$COUNTY"; do stop "$code"; done
start_all
check "import" enter "$VILLAGE" 901 10
check "equal" equal
