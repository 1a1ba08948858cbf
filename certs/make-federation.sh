#!/usr/bin/env bash
# Makes a federation: root CA, intermediates, root document.
#
#   certs/make-federation.sh DIR --name FED [options]
#
#   --name FED           1 to 63 of a-z 0-9 . _ -; part of every node's name
#   --suite intl|gm      cryptographic suite, for ever (default intl)
#   --province CODE      an intermediate CA for this province; may repeat (the
#                        national one is always made)
#   --issuer CODE:K      who may issue directives, and how many deciders sign;
#                        may repeat. The first one's keep the root document
#   --decider CODE:PUB:NAME
#                        a decider of that issuer by the public half that
#                        certs/make-decider.sh made on a machine of that person
#   --issuer CODE:K:N    for trials: makes the N keys here, in DIR/deciders;
#                        whoever has DIR decides alone (default
#                        000000000000:2:3)
#   --days N             validity of the CAs (default 3650)
#
# Prints the hash of the root document, which every node's configuration
# names. Keep DIR off line; nodes get what certs/sign.sh writes.
. "${BASH_SOURCE[0]%/*}/lib.sh"

dir='' federation='' suite=intl days=3650 provinces=("$NATIONAL")
issuers=() deciders=()
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --name) value "$@" && federation=$REPLY && shift ;;
    --suite) value "$@" && suite=$REPLY && shift ;;
    --province) value "$@" && provinces+=("$REPLY") && shift ;;
    --issuer) value "$@" && issuers+=("$REPLY") && shift ;;
    --decider) value "$@" && deciders+=("$REPLY") && shift ;;
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
set_dates "$days"

check_offices() {
    local issuer code k n rest codes=' '
    for code in "${provinces[@]}"; do
        check_code "$code"
    done
    for issuer in "${issuers[@]}"; do
        IFS=: read -r code k n <<<"$issuer"
        check_code "$code"
        [[ $codes != *" $code "* ]] || die "--issuer $code: given twice"
        codes+="$code "
        [[ $k:${n:-99} =~ ^[1-9][0-9]?:[1-9][0-9]?$ && $k -le ${n:-99} ]] ||
            die "--issuer $issuer: CODE:K, or CODE:K:N with K of N keys, at most 99"
    done
    for rest in "${deciders[@]}"; do
        [[ $rest =~ ^[0-9]{12}:.+:[^:[:space:][:cntrl:]][^:[:cntrl:]]{0,95}$ ]] ||
            die "--decider $rest: CODE:PUBLIC-KEY-FILE:NAME"
        [[ $codes == *" ${rest%%:*} "* ]] ||
            die "--decider $rest: no --issuer ${rest%%:*}"
    done
}

# The lines of those whose public keys were given.
given_deciders() { # issuer
    local decider pub id
    for decider in "${deciders[@]}"; do
        [ "${decider%%:*}" = "$1" ] || continue
        pub=${decider#*:}
        pub=${pub%:*}
        id=$(decider_id "$pub" "$suite") || exit
        printf 'decider %s %s\n' "$id" "${decider##*:}"
    done
}

# The lines of those whose keys are made here, all in one folder.
made_deciders() { # issuer, how many
    local i id
    mkdir -p "$dir/deciders"
    for ((i = 1; i <= $2; i++)); do
        make_decider "$dir/deciders/$1-$i" "$suite"
        id=$(decider_id "$dir/deciders/$1-$i.pub" "$suite") || exit
        printf 'decider %s %s\n' "$id" "$1-$i"
    done
}

write_issuer() { # CODE:K or CODE:K:N
    local code k n lines
    IFS=: read -r code k n <<<"$1"
    lines=$(given_deciders "$code")
    if [ -n "$n" ]; then
        [ -z "$lines" ] ||
            die "--issuer $1: makes keys; with --decider say CODE:K"
        lines=$(made_deciders "$code" "$n")
        trial=$dir/deciders
    fi
    n=$(grep -c '^decider' <<<"$lines" || true)
    [ "$k" -le "$n" ] && [ "$n" -le 99 ] ||
        die "--issuer $1: $n deciders given, $k are to sign (--decider)"
    [ -z "$(cut -d' ' -f2 <<<"$lines" | sort | uniq -d)" ] ||
        die "--issuer $1: one key stands for two deciders"
    printf 'issuer %s %s %s\n%s\n' "$code" "$k" "$n" "$lines"
}

write_root_document() {
    local base
    printf '%s\n' 'creditnode-root 1' "federation $federation" \
        "suite $suite" 'version 1' 'previous none'
    for base in $CA_BASES; do
        printf 'ca %s\n' "$(openssl x509 -in "$dir/$base.pem" -outform DER |
            sha256sum | cut -d' ' -f1)"
    done
    cat "$work/issuers"
}

check_offices
mkdir -p "$dir/root"
# First, so that a key that does not fit leaves no CA behind.
trial=''
for issuer in "${issuers[@]}"; do
    write_issuer "$issuer"
done >"$work/issuers"
for base in $CA_BASES; do
    kind=intl
    [ "$base" = ca ] || kind=gm
    make_root "$dir/root/$base" "$kind" "$federation $base root" "$days"
    cp "$dir/root/$base.pem" "$dir/$base.pem"
done
for code in "${provinces[@]}"; do
    make_intermediate "$dir" "$code"
done
[ -e "$dir/revoked" ] ||
    printf '# SHA-256 of revoked certificates; see certs/revoke.sh\n' \
        >"$dir/revoked"
write_root_document >"$work/root-document"
mv "$work/root-document" "$dir/root-document"
chmod 644 "$dir/root-document" "$dir/revoked" "$dir"/*.pem
[ -z "$trial" ] ||
    say "for trials only: $trial holds all deciders' keys, so whoever has it" \
        "decides alone; see --decider"
sha256sum "$dir/root-document" | cut -d' ' -f1
