#!/usr/bin/env bash
# Renews a node's certificates; its keys stay, so its logs go on under the
# same key.
#
#   certs/renew.sh NODEDIR --request CSRDIR     on the node: new requests
#   certs/renew.sh NODEDIR --federation-dir DIR [--days N | --not-after T]
#       [--ca CODE]                             both sides on one machine
#
#   NODEDIR          with tls|sign|seal .pem .key
#   --days N         validity (default 365)
#   --not-after T    exact end, as date(1) reads it
#   --ca CODE        which intermediate signs (default that of the province)
#
# After --request: the CA runs certs/sign.sh on CSRDIR; then put its .pem
# files over those of NODEDIR. The node takes them up on reload. For new keys
# use certs/request.sh in an empty folder.
. "${BASH_SOURCE[0]%/*}/lib.sh"

node='' csrs='' dir='' days=365 ca='' until=''
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --request) value "$@" && csrs=$REPLY && shift ;;
    --federation-dir) value "$@" && dir=$REPLY && shift ;;
    --days) value "$@" && days=$REPLY && shift ;;
    --not-after) value "$@" && until=$REPLY && shift ;;
    --ca) value "$@" && ca=$REPLY && shift ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) [ -z "$node" ] && node=$1 || die "one node only, not also $1" ;;
    esac
    shift
done
[ -n "$node" ] || die "name the node's folder (see --help)"
[ -n "$csrs" ] || [ -n "$dir" ] || die "say how: --request DIR for a CA elsewhere, or --federation-dir DIR"
make_work

# What the present certificate says is what the new one shall say.
line=$(openssl x509 -in "$node/tls.pem" -noout -ext subjectAltName | tail -n 1)
hosts='' uri='' suite=intl
IFS=, read -r -a parts <<<"$line"
for part in "${parts[@]}"; do
    part=${part#"${part%%[! ]*}"}
    case $part in
    URI:*) uri=${part#URI:} ;;
    DNS:*) hosts=$hosts,$part ;;
    'IP Address:'*) hosts=$hosts,IP:${part#IP Address:} ;;
    esac
done
IFS=/ read -r _ _ federation tier code <<<"$uri"
check_federation "$federation"
check_tier "$tier"
check_code "$code"
[ ! -f "$node/signing-ca.pem" ] || suite=gm
for use in tls sign seal; do
    [ -f "$node/$use.key" ] || die "$node/$use.key: missing"
    ln -s "$(realpath "$node/$use.key")" "$work/$use.key"
done
request_node "$work" "$tier" "$code" "$hosts"
if [ -n "$csrs" ]; then
    mkdir -p "$csrs"
    cp "$work"/{tls,sign,seal}.csr "$csrs/"
    printf '%s\n' "$csrs"/{tls,sign,seal}.csr
    exit 0
fi
open_federation "$dir"
read_requests "$work"
set_dates "$days" "$until"
sign_node "$dir" "${ca:-$(province_of "$code")}" "$work" "$work/new"
for file in "$work"/new/*.pem; do
    cp "$file" "$node/.${file##*/}"
    mv "$node/.${file##*/}" "$node/${file##*/}"
done
