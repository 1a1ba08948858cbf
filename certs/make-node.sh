#!/usr/bin/env bash
# For demonstrations and tests: certs/request.sh and certs/sign.sh at once, on
# one machine, for localhost. A real node makes its keys itself.
#
#   certs/make-node.sh DIR OUTDIR --tier TIER --code CODE [options]
#
#   DIR             the federation's folder
#   OUTDIR          gets ca.pem and tls|sign|seal .pem .key
#                   (suite gm: also signing-ca.pem)
#   --dns --ip      further names for TLS (localhost and 127.0.0.1 are in)
#   --ca CODE       which intermediate signs (default: of the node's province;
#                   made if it is missing)
#   --days N        validity (default 365)
#   --not-after T   exact end, as date(1) reads it; may lie in the past
. "${BASH_SOURCE[0]%/*}/lib.sh"

args=() tier='' code='' ca='' days=365 until=''
hosts=,DNS:localhost,IP:127.0.0.1
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --tier) value "$@" && tier=$REPLY && shift ;;
    --code) value "$@" && code=$REPLY && shift ;;
    --dns) check_host "${2:-}" && hosts=$hosts,DNS:$2 && shift ;;
    --ip) check_ip "${2:-}" && hosts=$hosts,IP:$2 && shift ;;
    --ca) value "$@" && ca=$REPLY && shift ;;
    --days) value "$@" && days=$REPLY && shift ;;
    --not-after) value "$@" && until=$REPLY && shift ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) args+=("$1") ;;
    esac
    shift
done
[ ${#args[@]} -eq 2 ] ||
    die "name the federation's folder and the node's (see --help)"
dir=${args[0]} out=${args[1]}
check_tier "$tier"
check_code "$code"
make_work
open_federation "$dir"
[ -n "$ca" ] || ca=$(province_of "$code")
check_code "$ca"
set_dates 1825
make_intermediate "$dir" "$ca"
set_dates "$days" "$until"
request_node "$out" "$tier" "$code" "$hosts"
read_requests "$out"
sign_node "$dir" "$ca" "$out" "$out"
rm -f "$out"/{tls,sign,seal}.csr
