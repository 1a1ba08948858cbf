#!/usr/bin/env bash
# make-area.sh - cuts one area out of the table of administrative divisions.
set -euo pipefail

package=china-division@2.7.0

usage() {
    cat <<HELP
usage: make-area.sh [--from PATH] [--parent CODE=CODE]... PREFIX > FILE.csv

Writes every division whose code begins with PREFIX, the divisions above it
and the national root as CSV: code,tier,parent,name. Codes have 12 digits; a
parent stands before its children.

  PREFIX              2, 4, 6 or 9 digits (34, 3418, 341802, 341802001), or
                      "all" for the whole country
  --from PATH         the npm package $package, unpacked (a folder) or
                      packed (.tgz); without it "npm pack" brings it
  --parent CODE=CODE  the child and its real parent, both with 12 digits,
                      where the code does not say it: a county that the
                      province runs itself, such as
                      --parent 130682000000=130000000000 (may be repeated)
  --help              this text

Placeholders are names without an office, so they are left out and their
children hang one tier higher: 1101 under Beijing, 4690 under Hainan, 441900
under Dongguan.
HELP
}

die() {
    echo "make-area.sh: $*" >&2
    exit 2
}

# Sets `tables` to the folder that holds the package's CSV files.
find_tables() {
    local from=$1 tgz work
    if [ -d "$from" ]; then
        tables=$from/dist
        return
    fi
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of this very call
    trap "rm -rf '$work'" EXIT
    if [ -n "$from" ]; then
        tgz=$(realpath "$from")
    else
        tgz=$work/$(cd "$work" && npm pack --silent "$package") ||
            die "npm pack $package failed; give the package with --from"
    fi
    tar -xzf "$tgz" -C "$work"
    tables=$work/package/dist
}

# Arguments: prefix, "CODE=CODE ..." of --parent, folder.
cut_area() {
    local f files=() status=0
    for f in provinces cities areas streets villages; do
        [ -r "$3/$f.csv" ] || die "$3/$f.csv is missing: not $package?"
        files+=("$3/$f.csv")
    done
    awk -F, -v prefix="$1" -v real="$2" '
    function wide(code) {
        return substr(code "000000000000", 1, 12)
    }
    # The nearest code above that is an office.
    function parent_of(code,    up) {
        if (wide(code) in override)
            return override[wide(code)]
        up = length(code) == 12 ? 9 : length(code) == 9 ? 6 : length(code) - 2
        up = substr(code, 1, up)
        while (up != "" && up in placeholder)
            up = substr(up, 1, length(up) - 2)
        return wide(up)
    }
    function wanted(code) {
        return index(code, prefix) == 1 || index(prefix, code) == 1
    }
    BEGIN {
        n = split("1101 1201 3101 4190 4290 4690 5001 5002 6590 " \
                  "441900 442000 460400 620201", list, " ")
        for (i = 1; i <= n; i++)
            placeholder[list[i]]
        n = split(real, list, " ")
        for (i = 1; i <= n; i++)
            override[substr(list[i], 1, 12)] = substr(list[i], 14)
        tier[2] = "province"; tier[4] = "city"; tier[6] = "county"
        tier[9] = "township"; tier[12] = "village"
        print "code,tier,parent,name"
        print "000000000000,national,,全国"
    }
    FNR > 1 && wanted($1) && !($1 in placeholder) {
        name = $2
        gsub(/"/, "", name)
        found += index($1, prefix) == 1
        print wide($1) "," tier[length($1)] "," parent_of($1) "," name
    }
    END { exit found == 0 }
    ' "${files[@]}" || status=$?
    [ $status -ne 1 ] || die "no division begins with \"$1\""
    return $status
}

from='' real='' prefix='' tables=''
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage; exit 0 ;;
    --from) from=${2:?--from needs a path}; shift ;;
    --parent)
        [[ ${2-} =~ ^[0-9]{12}=[0-9]{12}$ ]] || die "--parent needs CODE=CODE"
        real+=" $2"; shift ;;
    -*) die "unknown option $1; see --help" ;;
    *) [ -z "$prefix" ] || die "one PREFIX only"; prefix=$1 ;;
    esac
    shift
done
[[ $prefix =~ ^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|all)$ ]] ||
    die "PREFIX must have 2, 4, 6 or 9 digits or be \"all\"; see --help"
[ "$prefix" != all ] || prefix=''
find_tables "$from"
cut_area "$prefix" "$real" "$tables"
