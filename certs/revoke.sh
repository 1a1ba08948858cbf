#!/usr/bin/env bash
# Adds certificates to a list of revoked ones (one SHA-256 fingerprint a line)
# that nodes read at start and on reload.
#
#   certs/revoke.sh LIST CERT.pem... [--reason TEXT]
#
#   LIST      such as DIR/revoked of the federation; made if it is missing
#   CERT.pem  the first certificate of the file is revoked
. "${BASH_SOURCE[0]%/*}/lib.sh"

args=() reason=unspecified
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --reason) value "$@" && reason=$REPLY && shift ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) args+=("$1") ;;
    esac
    shift
done
[ ${#args[@]} -ge 2 ] || die "name the list and the certificates (see --help)"
list=${args[0]}
make_work
exec 9>>"$list.lock"
flock 9
[ ! -e "$list" ] || cp "$list" "$work/list"
for cert in "${args[@]:1}"; do
    hex=$(openssl x509 -in "$cert" -outform DER 2>"$work/said" |
        sha256sum | cut -d' ' -f1) || die "$cert: $(cat "$work/said")"
    if grep -qs "^$hex" "$work/list"; then
        continue
    fi
    name=$(openssl x509 -in "$cert" -noout -ext subjectAltName |
        sed -n 's/.*URI:\([^, ]*\).*/\1/p')
    printf '%s # %(%Y-%m-%d)T %s %s\n' "$hex" -1 "$name" \
        "${reason//[[:cntrl:]]/?}" >>"$work/list"
done
cp "$work/list" "$list.new"
chmod 644 "$list.new" # nodes run as users of their own
mv "$list.new" "$list"
