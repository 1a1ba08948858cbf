#!/usr/bin/env bash
# Makes the intermediate CA of a province, or of any other office that signs
# certificates for the nodes below it.
#
#   certs/make-intermediate.sh DIR --code CODE [--days N]
#
#   DIR          the federation's folder, with the root's key
#   --code CODE  12-digit division code, such as 340000000000
#   --days N     validity (default 1825)
. "${BASH_SOURCE[0]%/*}/lib.sh"

dir='' code='' days=1825
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --code) value "$@" && code=$REPLY && shift ;;
    --days) value "$@" && days=$REPLY && shift ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) [ -z "$dir" ] && dir=$1 || die "one folder only, not also $1" ;;
    esac
    shift
done
[ -n "$dir" ] || die "name the federation's folder (see --help)"
check_code "$code"
[ ! -d "$dir/intermediate/$code" ] ||
    die "$dir/intermediate/$code: exists already"
make_work
open_federation "$dir"
set_dates "$days"
make_intermediate "$dir" "$code"
printf '%s\n' "$dir/intermediate/$code"
