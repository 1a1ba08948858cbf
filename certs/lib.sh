# lib.sh - what the certificate scripts share. Sourced, never run.
#
# Layout of a federation's folder (CA side):
#   root-document              version 1 (node/ident/rootdoc.h)
#   ca.pem signing-ca.pem      trust anchors (signing-ca.pem: suite gm only)
#   revoked                    fingerprints of revoked certificates
#   root/                      ca.pem ca.key [signing-ca.pem signing-ca.key]
#   intermediate/<code>/       the same, one a province; issued/ keeps copies
#   deciders/                  <code>-<i>.key .pub, in trials only
# TLS certificates are ECDSA P-256 in both suites: TLS 1.3 of OpenSSL 3.0 has
# no SM suites. In gm, signing and sealing stand under an SM2 hierarchy.

set -euo pipefail
umask 077
export LC_ALL=C TZ=UTC

# node/ident/ident_oid.h has the same numbers.
readonly OID_BASE=2.25.110088790728368891441502524953391924141
readonly OID_SIGN=$OID_BASE.1
readonly OID_SEAL=$OID_BASE.2
# OpenSSL 3.0 has no default for SM2's signer id (GB/T 35276).
readonly SM2_ID=distid:1234567812345678
readonly NATIONAL=000000000000
readonly TIERS="national province city county township village"
readonly SCOPES="public shared authorised ingest feedback"

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
    say "$@"
    exit 1
}

# Prints the comment at the head of the script itself.
usage() {
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
    exit 0
}

# value "$@": the value of the option in $1 into REPLY.
value() {
    [ $# -ge 2 ] || die "$1 needs a value (see --help)"
    REPLY=$2
}

work=
make_work() {
    [ -n "$work" ] || work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
}

# Runs openssl and shows what it said only if it failed.
quiet_openssl() {
    openssl "$@" 2>"$work/said" || die "openssl $1: $(cat "$work/said")"
}

# -- names --------------------------------------------------------------------

check_federation() {
    [[ $1 =~ ^[a-z0-9][a-z0-9._-]{0,62}$ ]] ||
        die "federation '$1': use 1 to 63 of a-z 0-9 . _ -"
}

check_suite() {
    [ "$1" = intl ] || [ "$1" = gm ] || die "suite '$1': intl or gm"
}

check_code() {
    [[ $1 =~ ^[0-9]{12}$ ]] || die "code '$1': use the 12-digit division code"
}

check_tier() {
    [[ " $TIERS " = *" $1 "* ]] || die "tier '$1': one of $TIERS"
}

check_host() {
    [[ $1 =~ ^[A-Za-z0-9]([A-Za-z0-9.-]{0,251})$ ]] || die "DNS name '$1': write it like node.county.example"
}

check_ip() {
    [[ $1 =~ ^[0-9a-fA-F.:]{2,45}$ ]] || die "IP address '$1': write it like 192.0.2.7 or 2001:db8::7"
}

check_spiffe() { # spiffe federation
    local role='(national|province|city|county|township|village)/[0-9]{12}'
    local other='(app|operator)/[A-Za-z0-9._-]{1,63}'
    [[ $1 =~ ^spiffe://[^/]+/($role|$other)$ ]] ||
        die "'$1' is not spiffe://federation/tier/12-digit-code"
    [[ $1 = "spiffe://$2/"* ]] || die "'$1' is not of federation $2"
}

root_value() { # folder key
    local key word
    [ -f "$1/root-document" ] ||
        die "$1: no root-document; make it with certs/make-federation.sh"
    while read -r key word; do
        if [ "$key" = "$2" ]; then
            printf '%s' "$word"
            return
        fi
    done <"$1/root-document"
    die "$1/root-document: no line '$2'"
}

# -- dates --------------------------------------------------------------------

# Sets not_before and not_after for openssl. A little in the past, because the
# clocks of two offices differ.
set_dates() { # days [not-after, anything date(1) reads]
    local now end
    printf -v now '%(%s)T' -1
    if [ -n "${2:-}" ]; then
        end=$(date -u -d "$2" +%s) || die "--not-after '$2': no date"
    else
        [[ $1 =~ ^[0-9]{1,5}$ ]] || die "--days '$1': a number"
        end=$((now + $1 * 86400))
    fi
    local start=$((now - 600))
    [ "$start" -lt "$end" ] || start=$((end - 86400))
    printf -v not_before '%(%Y%m%d%H%M%SZ)T' "$start"
    printf -v not_after '%(%Y%m%d%H%M%SZ)T' "$end"
}

# How to get beyond the end of a CA's certificate.
renewal_of() { # CA.pem
    local folder=${1%/*}
    if [[ $folder == */intermediate/* ]]; then
        printf 'certs/make-intermediate.sh %s --code %s --renew' \
            "${folder%/intermediate/*}" "${folder##*/}"
    else
        printf 'a new root CA: docs/operations.md, "Certificates"'
    fi
}

# within_issuer CA.pem...: nothing outlives what signed it, since every holder
# would refuse it from that day on. Moves not_after to the earliest end of
# these, and says so.
declare -A ca_ends
within_issuer() {
    local pem end now wanted=$not_after first=''
    printf -v now '%(%Y%m%d%H%M%SZ)T' -1
    for pem in "$@"; do
        if [ -z "${ca_ends[$pem]:-}" ]; then
            end=$(openssl x509 -in "$pem" -noout -enddate -dateopt iso_8601) ||
                die "$pem: no certificate"
            ca_ends[$pem]=${end//[^0-9]/}Z
        fi
        end=${ca_ends[$pem]}
        [[ $end > $now ]] || die "$pem ended at $end; $(renewal_of "$pem")"
        if [[ $end < $not_after ]]; then
            not_after=$end first=$pem
        fi
    done
    [ -z "$first" ] ||
        say "$first ends at $not_after, so what it signs does, too" \
            "(asked: $wanted); to go beyond that: $(renewal_of "$first")"
}

# -- keys, requests, certificates ---------------------------------------------

# key_suite USE SUITE: the algorithm of that key.
key_suite() {
    if [ "$1" = tls ]; then echo intl; else echo "$2"; fi
}

# ca_base USE SUITE: which hierarchy issues it.
ca_base() {
    if [ "$1" != tls ] && [ "$2" = gm ]; then echo signing-ca; else echo ca; fi
}

# make_request KEY CSR SUITE CN SAN: a new key (or the one that is there) and
# a request for it.
make_request() {
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout "$1")
    local sig=(-sha256)
    if [ "$3" = gm ]; then
        key=(-newkey sm2 -keyout "$1")
        sig=(-sm3 -sigopt "$SM2_ID")
    fi
    if [ -f "$1" ]; then
        key=(-key "$1")
    fi
    printf '%s\n' '[req]' 'distinguished_name=dn' 'prompt=no' \
        'string_mask=utf8only' 'req_extensions=ext' '[dn]' "O=$federation" \
        "CN=$4" '[ext]' "subjectAltName=$5" >"$work/req.cnf"
    quiet_openssl req -new -nodes "${key[@]}" "${sig[@]}" \
        -config "$work/req.cnf" -out "$2"
}

# make_root BASE SUITE CN DAYS: self-signed BASE.pem and BASE.key. A day longer
# than DAYS, so that an intermediate made today with DAYS fits in.
make_root() {
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256) sig=(-sha256)
    if [ "$2" = gm ]; then
        key=(-newkey sm2)
        sig=(-sm3 -sigopt "$SM2_ID")
    fi
    printf '%s\n' '[req]' 'distinguished_name=dn' 'prompt=no' \
        'string_mask=utf8only' 'x509_extensions=ext' '[dn]' "O=$federation" \
        "CN=$3" '[ext]' 'basicConstraints=critical,CA:TRUE' \
        'keyUsage=critical,keyCertSign,cRLSign' 'subjectKeyIdentifier=hash' \
        >"$work/root.cnf"
    quiet_openssl req -x509 -nodes "${key[@]}" "${sig[@]}" -days $(($4 + 1)) \
        -config "$work/root.cnf" -keyout "$1.key" -out "$1.pem"
}

# issue CA CSR OUT SUITE EXTENSIONS [SUBJECT]: signs with CA.pem and CA.key
# between not_before and not_after, or the end of CA.pem. SUBJECT instead of
# what the request says, which is for requests that come from elsewhere.
# `openssl ca` takes exact dates and is the fastest; its index starts empty each
# time, so it cannot grow.
issue() {
    local sig=(-md sha256) subject=()
    [ -z "${6:-}" ] || subject=(-subj "$6")
    within_issuer "$1.pem"
    if [ "$4" = gm ]; then
        sig=(-md sm3 -vfyopt "$SM2_ID" -sigopt "$SM2_ID")
    fi
    local kept=${1%/*}/issued
    [ -d "$kept" ] || mkdir -p "$kept"
    : >"$work/index"
    printf '%s\n' '[ca]' 'default_ca=c' '[c]' "database=$work/index" \
        "new_certs_dir=$kept" 'rand_serial=yes' 'unique_subject=no' \
        'policy=p' 'email_in_dn=no' '[p]' 'organizationName=optional' \
        'commonName=supplied' '[ext]' "$5" >"$work/ca.cnf"
    quiet_openssl ca -batch -notext -config "$work/ca.cnf" -extensions ext \
        -in "$2" -cert "$1.pem" -keyfile "$1.key" "${sig[@]}" "${subject[@]}" \
        -startdate "$not_before" -enddate "$not_after" -out "$3"
}

# leaf_extensions USE SAN
leaf_extensions() {
    local usage ext
    case $1 in
    tls) usage=digitalSignature ext=serverAuth,clientAuth ;;
    client) usage=digitalSignature ext=clientAuth ;;
    sign) usage=digitalSignature ext=$OID_SIGN ;;
    seal) usage=keyAgreement,keyEncipherment ext=$OID_SEAL ;;
    *) die "use '$1': tls, client, sign or seal" ;;
    esac
    printf '%s\n' 'basicConstraints=critical,CA:FALSE' \
        "keyUsage=critical,$usage" "extendedKeyUsage=$ext" \
        "subjectAltName=$2" 'authorityKeyIdentifier=keyid'
}

# -- deciders -----------------------------------------------------------------

# make_decider NAME SUITE: NAME.key and NAME.pub.
make_decider() {
    local algorithm=(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)
    [ "$2" = intl ] || algorithm=(-algorithm SM2)
    quiet_openssl genpkey "${algorithm[@]}" -out "$1.key"
    quiet_openssl pkey -in "$1.key" -pubout -out "$1.pub"
}

# decider_id PUB SUITE: what the root document calls that key, SHA-256 of it.
decider_id() {
    local curve=prime256v1 der=$work/decider.der
    [ "$2" = intl ] || curve=SM2
    quiet_openssl pkey -pubin -in "$1" -outform DER -out "$der"
    openssl pkey -pubin -in "$1" -noout -text |
        grep -x "ASN1 OID: $curve" >/dev/null ||
        die "$1: not a key on $curve; make it with certs/make-decider.sh --suite $2"
    sha256sum <"$der" | cut -d' ' -f1
}

# -- intermediates ------------------------------------------------------------

# issue_intermediates FOLDER CODE OUT: a certificate for each hierarchy's key in
# OUT, which is made if it is not there.
issue_intermediates() {
    local base suite
    for base in $CA_BASES; do
        suite=intl
        [ "$base" = ca ] || suite=gm
        make_request "$3/$base.key" "$work/ca.csr" "$suite" \
            "$federation $base $2" "URI:spiffe://$federation"
        issue "$1/root/$base" "$work/ca.csr" "$3/.$base.pem" "$suite" \
            "basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid"
        mv "$3/.$base.pem" "$3/$base.pem"
    done
}

# make_intermediate FOLDER CODE: appears complete or not at all, so several
# scripts may ask for it at once.
make_intermediate() {
    local dir=$1/intermediate/$2 new
    [ -d "$dir" ] && return
    mkdir -p "$1/intermediate"
    new=$(mktemp -d "$1/intermediate/.new-XXXXXX")
    issue_intermediates "$1" "$2" "$new"
    mv -T "$new" "$dir" 2>/dev/null || rm -rf "$new"
}

# open_federation FOLDER: sets federation, suite and CA_BASES.
open_federation() {
    federation=$(root_value "$1" federation)
    suite=$(root_value "$1" suite)
    check_federation "$federation"
    check_suite "$suite"
    CA_BASES=ca
    [ "$suite" = intl ] || CA_BASES="ca signing-ca"
}

# province_of CODE: whose intermediate signs it unless told otherwise.
province_of() {
    printf '%s0000000000' "${1:0:2}"
}

# -- nodes --------------------------------------------------------------------

# request_node OUTDIR TIER CODE EXTRA_SAN: three keys and requests. Uses
# federation and suite. EXTRA_SAN (",DNS:…,IP:…") is for TLS only.
request_node() {
    local use san
    mkdir -p "$1"
    for use in tls sign seal; do
        san=URI:spiffe://$federation/$2/$3
        [ "$use" != tls ] || san=$san$4
        make_request "$1/$use.key" "$1/$use.csr" "$(key_suite "$use" "$suite")" \
            "$2 $3 $use" "$san"
    done
}

# read_request CSR USE: sets uri and san from the request, checked. Nothing
# else of a request reaches the certificate.
read_request() {
    local line next='' curve=prime256v1 part parts
    [ "$(key_suite "$2" "$suite")" = intl ] || curve=SM2
    uri='' san='' key_curve=''
    [ -f "$1" ] || die "$1: missing; make it with certs/request.sh"
    quiet_openssl req -in "$1" -noout -text >"$work/text"
    while read -r line; do
        case $line in
        *'Subject Alternative Name:'*) next=1 ;;
        'ASN1 OID: '*) key_curve=${line#ASN1 OID: } ;;
        *)
            [ -z "$next" ] || [ -n "$san" ] || san=$line
            next=
            ;;
        esac
    done <"$work/text"
    [ "$key_curve" = "$curve" ] ||
        die "$1: key is $key_curve, this use needs $curve; the keys beside it are of another suite: delete them, then request.sh --suite $suite"
    IFS=, read -r -a parts <<<"$san"
    san=''
    for part in "${parts[@]}"; do
        part=${part# }
        case $part in
        URI:*)
            [ -z "$uri" ] || die "$1: more than one URI name"
            uri=${part#URI:}
            check_spiffe "$uri" "$federation"
            ;;
        DNS:*)
            check_host "${part#DNS:}"
            san=$san,$part
            ;;
        'IP Address:'*)
            check_ip "${part#IP Address:}"
            san=$san,IP:${part#IP Address:}
            ;;
        *) die "$1: name '$part' is of no kind that is issued" ;;
        esac
    done
    [ -n "$uri" ] || die "$1: no URI name"
    [ "$2" = tls ] || [ -z "$san" ] || die "$1: only tls may name hosts"
    san=URI:$uri$san
}

# find_ca FOLDER CODE: the folder of that intermediate into REPLY.
find_ca() {
    REPLY=$1/intermediate/$2
    [ -d "$REPLY" ] ||
        die "$REPLY: no such CA; make it with certs/make-intermediate.sh $1 --code $2"
}

# subject_of USE: what a person reads; from uri, the name that read_request
# checked.
subject_of() {
    local tier code
    IFS=/ read -r _ _ _ tier code <<<"$uri"
    printf '/O=%s/CN=%s %s %s' "$federation" "$tier" "$code" "$1"
}

# sign_node FOLDER CA_CODE CSRDIR OUTDIR: chains for the three requests, and
# the trust anchors and the list of revoked certificates beside them. Uses names[USE], filled by read_request.
sign_node() {
    local use base ca
    find_ca "$1" "$2"
    ca=$REPLY
    mkdir -p "$4"
    within_issuer "$ca"/*ca.pem
    for use in tls sign seal; do
        base=$ca/$(ca_base "$use" "$suite")
        local kind=intl
        [ "${base##*/}" = ca ] || kind=gm
        issue "$base" "$3/$use.csr" "$work/leaf.pem" "$kind" \
            "$(leaf_extensions "$use" "${names[$use]}")" "$(subject_of "$use")"
        cat "$work/leaf.pem" "$base.pem" >"$work/chain.pem"
        mv "$work/chain.pem" "$4/$use.pem"
    done
    for base in $CA_BASES; do
        cp "$1/$base.pem" "$4/$base.pem"
    done
    cp "$1/revoked" "$4/revoked"
    chmod 644 "$4/revoked"
}

# read_requests CSRDIR: fills names[USE] and uri; the three must agree.
declare -A names
read_requests() {
    local use first=
    for use in tls sign seal; do
        read_request "$1/$use.csr" "$use"
        names[$use]=$san
        [ -z "$first" ] || [ "$first" = "$uri" ] ||
            die "$1: $use.csr names $uri, tls.csr names $first"
        first=$uri
    done
}
