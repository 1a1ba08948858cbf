#!/usr/bin/env bash
# Makes the client certificate of an app or of an operator, and prints the entry
# of `apps` with which a node admits it.
#
#   certs/make-app.sh DIR OUTDIR --name NAME --scopes LIST [options]
#
#   DIR             the federation's folder
#   OUTDIR          gets app.pem app.key ca.pem and the note `entry`
#   --name NAME     1 to 63 of a-z 0-9 . _ -
#   --kind KIND     app (default) or operator
#   --scopes LIST   of public shared authorised ingest feedback, with commas
#   --csr FILE      a request for the app's own key, which then stays where it
#                   was made: no app.key. Nothing but its key is taken over
#   --ca CODE       which intermediate signs (default the national one)
#   --days N        validity (default 365)
#   --not-after T   exact end, as date(1) reads it; may lie in the past
#
# The certificate says who the app is; what it may do stands in the
# configuration of each node that is to answer it, under the hash of its key.
# Run it again before the certificate ends: the key in OUTDIR is kept, so the
# entry holds for the new certificate, too. The same with the same --csr.
. "${BASH_SOURCE[0]%/*}/lib.sh"

args=() name='' kind=app scopes='' csr='' ca=$NATIONAL days=365 until=''
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --name) value "$@" && name=$REPLY && shift ;;
    --kind) value "$@" && kind=$REPLY && shift ;;
    --scopes) value "$@" && scopes=$REPLY && shift ;;
    --csr) value "$@" && csr=$REPLY && shift ;;
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
[ -z "$csr" ] || [ -f "$csr" ] || die "--csr: no file $csr"
check_code "$ca"
make_work
open_federation "$dir"
uri=spiffe://$federation/$kind/$name
check_spiffe "$uri" "$federation"
[ "$name" = "${name,,}" ] || die "--name '$name': use lower-case letters"
[ -d "$dir/intermediate/$ca" ] ||
    die "$ca: no such CA; make it with certs/make-intermediate.sh"
mkdir -p "$out"
if [ -z "$csr" ]; then
    csr=$work/app.csr
    make_request "$out/app.key" "$csr" intl "$kind $name" "URI:$uri"
fi
set_dates "$days" "$until"
issue "$dir/intermediate/$ca/ca" "$csr" "$work/leaf.pem" intl \
    "$(leaf_extensions client "URI:$uri")" "/O=$federation/CN=$kind $name"
cat "$work/leaf.pem" "$dir/intermediate/$ca/ca.pem" >"$out/app.pem"
cp "$dir/ca.pem" "$out/ca.pem"
quiet_openssl x509 -in "$work/leaf.pem" -noout -pubkey >"$work/app.pub"
quiet_openssl pkey -pubin -in "$work/app.pub" -outform DER >"$work/app.der"
key=$(sha256sum "$work/app.der")
printf '{ name = "%s"; key = "%s"; scopes = ["%s"]; }\n' \
    "$name" "${key%% *}" "${scopes//,/'", "'}" | tee "$out/entry"
