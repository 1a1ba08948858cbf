#!/usr/bin/env bash
# Makes a federation: root CA, intermediates, deciders' keys, root document.
#
#   certs/make-federation.sh DIR --name FED [options]
#
#   --name FED           1 to 63 of a-z 0-9 . _ -; part of every node's name
#   --suite intl|gm      cryptographic suite, for ever (default intl)
#   --province CODE      an intermediate CA for this province; may repeat (the
#                        national one is always made)
#   --issuer CODE:K:N    who may issue directives, decided by K of N keys; may
#                        repeat (default 000000000000:2:3)
#   --days N             validity of the CAs (default 3650)
#
# Prints the hash of the root document, which every node's configuration
# names. Keep DIR off line; nodes get what certs/sign.sh writes.
. "${BASH_SOURCE[0]%/*}/lib.sh"

dir='' federation='' suite=intl days=3650 provinces=("$NATIONAL") issuers=()
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --name) value "$@" && federation=$REPLY && shift ;;
    --suite) value "$@" && suite=$REPLY && shift ;;
    --province) value "$@" && provinces+=("$REPLY") && shift ;;
    --issuer) value "$@" && issuers+=("$REPLY") && shift ;;
    --days) value "$@" && days=$REPLY && shift ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) [ -z "$dir" ] && dir=$1 || die "one folder only, not also $1" ;;
    esac
    shift
done
[ -n "$dir" ] || die "name the folder to make (see --help)"
[ ! -e "$dir/root-document" ] || die "$dir: holds a federation already"
check_federation "$federation"
check_suite "$suite"
[ ${#issuers[@]} -gt 0 ] || issuers=("$NATIONAL:2:3")

make_work
CA_BASES=ca
[ "$suite" = intl ] || CA_BASES="ca signing-ca"
mkdir -p "$dir/root" "$dir/deciders"

key_id() { # private key: SHA-256 of its public half
    openssl pkey -in "$1" -pubout -outform DER | sha256sum | cut -d' ' -f1
}

make_decider() { # name: key, and its line of the root document
    local key=$dir/deciders/$1.key
    if [ "$suite" = gm ]; then
        quiet_openssl genpkey -algorithm SM2 -out "$key"
    else
        quiet_openssl genpkey -algorithm EC \
            -pkeyopt ec_paramgen_curve:P-256 -out "$key"
    fi
    openssl pkey -in "$key" -pubout -out "$dir/deciders/$1.pub"
    printf 'decider %s %s\n' "$(key_id "$key")" "$1"
}

write_root_document() {
    local base issuer i code k n
    printf '%s\n' 'creditnode-root 1' "federation $federation" \
        "suite $suite" 'version 1' 'previous none'
    for base in $CA_BASES; do
        printf 'ca %s\n' "$(openssl x509 -in "$dir/$base.pem" -outform DER |
            sha256sum | cut -d' ' -f1)"
    done
    for issuer in "${issuers[@]}"; do
        IFS=: read -r code k n <<<"$issuer"
        check_code "$code"
        [[ $k:$n =~ ^[1-9][0-9]?:[1-9][0-9]?$ ]] && [ "$k" -le "$n" ] ||
            die "--issuer $issuer: CODE:K:N with K of N keys, at most 99"
        printf 'issuer %s %s %s\n' "$code" "$k" "$n"
        for ((i = 1; i <= n; i++)); do
            make_decider "$code-$i"
        done
    done
}

for base in $CA_BASES; do
    kind=intl
    [ "$base" = ca ] || kind=gm
    make_root "$dir/root/$base" "$kind" "$federation $base root" "$days"
    cp "$dir/root/$base.pem" "$dir/$base.pem"
done
set_dates "$days"
for code in "${provinces[@]}"; do
    check_code "$code"
    make_intermediate "$dir" "$code"
done
[ -e "$dir/revoked" ] ||
    printf '# SHA-256 of revoked certificates; see certs/revoke.sh\n' \
        >"$dir/revoked"
write_root_document >"$work/root-document"
mv "$work/root-document" "$dir/root-document"
chmod 644 "$dir/root-document" "$dir/revoked" "$dir"/*.pem
sha256sum "$dir/root-document" | cut -d' ' -f1
