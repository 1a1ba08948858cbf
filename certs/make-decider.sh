#!/usr/bin/env bash
# On a decider's own machine: makes the pair of keys with which that person
# signs directives and versions of the root document.
#
#   certs/make-decider.sh NAME [--suite intl|gm]
#
#   NAME             writes NAME.key, which never leaves this machine or medium,
#                    and NAME.pub, which goes to the federation
#   --suite intl|gm  as in the root document (default intl)
#
# Prints the key's id. Tell it to the federation over another road than NAME.pub
# takes: the root document names the id, nothing else proves whose key it is.
# A key that is there is not replaced.
. "${BASH_SOURCE[0]%/*}/lib.sh"

name='' suite=intl
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage ;;
    --suite) value "$@" && suite=$REPLY && shift ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) [ -z "$name" ] && name=$1 || die "one name only, not also $1" ;;
    esac
    shift
done
[ -n "$name" ] || die "name the file to make, without .key (see --help)"
check_suite "$suite"
[ ! -e "$name.key" ] || die "$name.key: is there already; choose another name"
make_work
make_decider "$name" "$suite"
decider_id "$name.pub" "$suite"
