#!/usr/bin/env bash
# Makes the intermediate CA of a province, or of any other office that signs
# certificates for the nodes below it; or renews it.
#
#   certs/make-intermediate.sh DIR --code CODE [--days N] [--renew]
#
#   DIR          the federation's folder, with the root's key
#   --code CODE  12-digit division code, such as 340000000000
#   --days N     validity (default 1825), at most that of the root
#   --renew      a new certificate for the CA that is there: name and key stay,
#                so what it signed stays good, in a chain with the new one.
#                Nodes get that chain with their next certificates
#                (certs/renew.sh, certs/sign.sh)
. "${BASH_SOURCE[0]%/*}/lib.sh"

dir='' code='' days=1825 renew=''
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --code) value "$@" && code=$REPLY && shift ;;
    --days) value "$@" && days=$REPLY && shift ;;
    --renew) renew=1 ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) [ -z "$dir" ] && dir=$1 || die "one folder only, not also $1" ;;
    esac
    shift
done
[ -n "$dir" ] || die "name the federation's folder (see --help)"
check_code "$code"
ca=$dir/intermediate/$code
if [ -n "$renew" ]; then
    [ -f "$ca/ca.key" ] || die "$ca: no such CA to renew; make it without --renew"
else
    [ ! -d "$ca" ] || die "$ca: exists already; --renew gives it a new certificate"
fi
make_work
open_federation "$dir"
set_dates "$days"
if [ -n "$renew" ]; then
    issue_intermediates "$dir" "$code" "$ca"
else
    make_intermediate "$dir" "$code"
fi
printf '%s\n' "$ca"
