#!/usr/bin/env bash
# Makes the client certificate of an app or of an operator.
#
#   certs/make-app.sh DIR OUTDIR --name NAME --scopes LIST [options]
#
#   DIR             the federation's folder
#   OUTDIR          gets app.pem app.key ca.pem and the note `scopes`
#   --name NAME     1 to 63 of A-Z a-z 0-9 . _ -
#   --kind KIND     app (default) or operator
#   --scopes LIST   of public shared authorised ingest decide operate audit,
#                   with commas
#   --ca CODE       which intermediate signs (default the national one)
#   --days N        validity (default 365)
#   --not-after T   exact end, as date(1) reads it; may lie in the past
#
# The certificate says who the app is; what it may do stands in the node's
# configuration. `scopes` is the line to be entered there.
. "${BASH_SOURCE[0]%/*}/lib.sh"

args=() name='' kind=app scopes='' ca=$NATIONAL days=365 until=''
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --name) value "$@" && name=$REPLY && shift ;;
    --kind) value "$@" && kind=$REPLY && shift ;;
    --scopes) value "$@" && scopes=$REPLY && shift ;;
    --ca) value "$@" && ca=$REPLY && shift ;;
    --days) value "$@" && days=$REPLY && shift ;;
    --not-after) value "$@" && until=$REPLY && shift ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) args+=("$1") ;;
    esac
    shift
done
[ ${#args[@]} -eq 2 ] ||
    die "name the federation's folder and the app's (see --help)"
dir=${args[0]} out=${args[1]}
[ -n "$scopes" ] || die "--scopes: one or more of $SCOPES"
for scope in ${scopes//,/ }; do
    [[ " $SCOPES " = *" $scope "* ]] || die "scope '$scope': one of $SCOPES"
done
[ "$kind" = app ] || [ "$kind" = operator ] ||
    die "--kind '$kind': app or operator"
check_code "$ca"
make_work
open_federation "$dir"
uri=spiffe://$federation/$kind/$name
check_spiffe "$uri" "$federation"
[ -d "$dir/intermediate/$ca" ] ||
    die "$ca: no such CA; make it with certs/make-intermediate.sh"
mkdir -p "$out"
make_request "$out/app.key" "$work/app.csr" intl "$kind $name" "URI:$uri"
set_dates "$days" "$until"
issue "$dir/intermediate/$ca/ca" "$work/app.csr" "$work/leaf.pem" intl \
    "$(leaf_extensions client "URI:$uri")"
cat "$work/leaf.pem" "$dir/intermediate/$ca/ca.pem" >"$out/app.pem"
cp "$dir/ca.pem" "$out/ca.pem"
printf '%s %s\n' "$uri" "$scopes" >"$out/scopes"
