#!/usr/bin/env bash
# On the CA: shows what a node's three requests ask for and, when confirmed,
# writes the certificate chains and trust anchors.
#
#   certs/sign.sh DIR CSRDIR [OUTDIR] [options]
#
#   DIR             the federation's folder, with the intermediate's key
#   CSRDIR          tls.csr sign.csr seal.csr from certs/request.sh
#   OUTDIR          gets tls.pem sign.pem seal.pem (leaf first, then the
#                   intermediate), ca.pem and, in suite gm, signing-ca.pem
#                   (default CSRDIR)
#   --ca CODE       which intermediate signs (default: of the node's province)
#   --days N        validity (default 365), at most that of the intermediate
#   --not-after T   exact end, as date(1) reads it; may lie in the past
#   --yes           do not ask
#
# Compare the key fingerprints with those that the node shows (--show CSRDIR)
# over another road than the one the requests came by.
. "${BASH_SOURCE[0]%/*}/lib.sh"

args=() ca='' days=365 until='' yes='' show=''
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --ca) value "$@" && ca=$REPLY && shift ;;
    --days) value "$@" && days=$REPLY && shift ;;
    --not-after) value "$@" && until=$REPLY && shift ;;
    --yes) yes=1 ;;
    --show) show=1 ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) args+=("$1") ;;
    esac
    shift
done

show_key() { # csr
    openssl req -in "$1" -noout -pubkey | openssl pkey -pubin -outform DER |
        sha256sum | cut -d' ' -f1
}

make_work
if [ -n "$show" ]; then
    [ ${#args[@]} -eq 1 ] || die "--show takes the folder of the requests"
    for use in tls sign seal; do
        printf '%-5s key %s\n' "$use" "$(show_key "${args[0]}/$use.csr")"
    done
    exit 0
fi
[ ${#args[@]} -ge 2 ] && [ ${#args[@]} -le 3 ] ||
    die "name the federation's folder and that of the requests (see --help)"
dir=${args[0]} csrs=${args[1]} out=${args[2]:-${args[1]}}
open_federation "$dir"
read_requests "$csrs"
[ -n "$ca" ] || ca=$(province_of "${uri##*/}")
check_code "$ca"
set_dates "$days" "$until"
find_ca "$dir" "$ca"
within_issuer "$REPLY"/*ca.pem
if [ -z "$yes" ]; then
    printf 'node   %s\nsigner %s\nuntil  %s\n' "$uri" "$ca" "$not_after"
    for use in tls sign seal; do
        printf '%-5s  %s\n       key %s\n' "$use" "${names[$use]}" \
            "$(show_key "$csrs/$use.csr")"
    done
    read -r -p 'Type the node code to issue these: ' answer
    [ "$answer" = "${uri##*/}" ] || die "not issued"
fi
sign_node "$dir" "$ca" "$csrs" "$out"
