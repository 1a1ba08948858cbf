#!/usr/bin/env bash
# On the node: makes its three keys and the requests for their certificates.
# The keys never leave the node; carry the .csr files to the CA, which runs
# certs/sign.sh, and bring its .pem files back.
#
#   certs/request.sh OUTDIR --federation FED --tier TIER --code CODE [options]
#
#   --tier TIER      national province city county township village
#   --code CODE      12-digit division code of the node
#   --suite intl|gm  as in the root document (default intl)
#   --dns NAME       host name of the node for TLS; may repeat
#   --ip ADDRESS     address of the node for TLS; may repeat
#
# Keys that are in OUTDIR already are kept.
. "${BASH_SOURCE[0]%/*}/lib.sh"

dir='' federation='' tier='' code='' suite=intl hosts=''
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --federation) value "$@" && federation=$REPLY && shift ;;
    --tier) value "$@" && tier=$REPLY && shift ;;
    --code) value "$@" && code=$REPLY && shift ;;
    --suite) value "$@" && suite=$REPLY && shift ;;
    --dns) check_host "${2:-}" && hosts=$hosts,DNS:$2 && shift ;;
    --ip) check_ip "${2:-}" && hosts=$hosts,IP:$2 && shift ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) [ -z "$dir" ] && dir=$1 || die "one folder only, not also $1" ;;
    esac
    shift
done
[ -n "$dir" ] || die "name the folder for the keys (see --help)"
check_federation "$federation"
check_tier "$tier"
check_code "$code"
check_suite "$suite"
make_work
request_node "$dir" "$tier" "$code" "$hosts"
printf '%s\n' "$dir"/{tls,sign,seal}.csr
