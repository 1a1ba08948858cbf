#!/usr/bin/env bash
# lint.sh CHECK [ROOT] - checks of the sources that no compiler makes.
#
#   includes  which folder of node/ may use which folder and library
#   banned    functions that must not be called
#   format    clang-format on changed C files (on all, if none is changed)
#   loglines  ids of log lines and their list in docs/operations.md agree
#   text      what tracked files must not speak of
#
# Prints file:line: what. Exit status 1: faults, 77: cannot be checked here.
set -u
check=${1:?usage: lint.sh includes|banned|format|loglines|text [root]}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${2:-$here/../..}" && pwd)
skipped=77

sources() { # FOLDER...: C files below the root's folders
    local folder
    for folder in "$@"; do
        [ -d "$root/$folder" ] &&
            find "$root/$folder" -name '*.[ch]' -not -name '*.pb-c.*' -print0
    done
}

includes() {
    sources node | sort -z | xargs -0 -r awk -v root="$root" \
        -f "$here/arrows.awk"
}

# Lines that are comments, and members named like a function, are no calls.
calls() { # NAMES: file:line: of each call of one of NAMES in the files read
    xargs -0 -r grep -nHE "(^|[^A-Za-z0-9_.>])($1)[[:space:]]*\(" |
        grep -vE '^[^:]+:[0-9]+:[[:space:]]*(\*|/\*|//)' |
        sed "s|^$root/||"
}

banned() {
    local found
    found=$(
        sources node tests simulate |
            calls 'sprintf|strcpy|strcat|strtok|atoi|rand|gets|alloca'
        sources node tests simulate |
            grep -zv '/node/base/mem\.c$' |
            calls 'malloc|calloc|realloc|free'
    )
    [ -z "$found" ] && return 0
    echo "$found"
    echo 'These functions are banned; use base/mem.h, base/buf.h, base/str.h.'
    return 1
}

changed() { # C files that differ from the last commit, or else all
    local files
    files=$(git -C "$root" diff --name-only --diff-filter=d HEAD -- '*.[ch]'
        git -C "$root" ls-files --others --exclude-standard -- '*.[ch]')
    if [ -z "$files" ]; then
        files=$(git -C "$root" ls-files -- '*.[ch]')
    fi
    [ -z "$files" ] || printf '%s\n' "$files"
}

long_headers() {
    local file lines
    sources node | grep -z '\.h$' | while IFS= read -r -d '' file; do
        lines=$(wc -l <"$file")
        [ "$lines" -le 260 ] ||
            echo "warning: ${file#"$root"/} has $lines lines (aim: 260)"
    done
}

format() {
    long_headers
    if ! command -v clang-format >/dev/null; then
        echo 'skipped: clang-format is not installed'
        return $skipped
    fi
    if ! git -C "$root" rev-parse --git-dir >/dev/null 2>&1; then
        echo 'skipped: not a git checkout'
        return $skipped
    fi
    cd "$root" && changed | tr '\n' '\0' |
        xargs -0 -r -n 16 -P "$(nproc)" clang-format --dry-run -Werror
}

# LEVEL|LEVEL: ids that stand in calls of the macros of these levels.
logged_as() {
    sources node | xargs -0 -r grep -hozP \
        "log_($1)\\([^,;]*,\\s*\"\\K[A-Z][A-Z0-9-]*(?=\")" | tr '\0' '\n'
}

# An id may come in a variable or by a condition, so whatever is written like
# one, with a hyphen, counts: but for those of level debug and a few words.
loglines() {
    local doc=$root/docs/operations.md logged listed used id faults=0
    local other='AES-256-GCM|SM4-CTR|SHA-256|P-256|UTF-8|UTF-16|FILL-IN'
    logged=$(
        logged_as 'info|warn|error'
        sources node | xargs -0 -r grep -hoE '"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+"' |
            tr -d '"' | grep -vxE "$other" | grep -vxFf <(logged_as debug)
    )
    logged=$(sort -u <<<"$logged")
    used=$(sources node | xargs -0 -r grep -hoE '"[A-Z][A-Z0-9-]*"' |
        tr -d '"' | sort -u)
    listed=$(awk '/^## / { here = /Log lines/ } here' "$doc" | grep '^| `' |
        cut -d'|' -f2 | grep -oE '[A-Z][A-Z0-9-]+' | sort -u)
    while read -r id; do
        [ -n "$id" ] && faults=1 &&
            echo "docs/operations.md: $id is logged and not listed"
    done < <(comm -23 <(echo "$logged") <(echo "$listed"))
    while read -r id; do
        [ -n "$id" ] && faults=1 &&
            echo "docs/operations.md: $id is listed and not logged"
    done < <(comm -13 <(echo "$used") <(echo "$listed"))
    return $faults
}

# Brackets keep the patterns from finding themselves.
text() {
    local found
    if ! git -C "$root" rev-parse --git-dir >/dev/null 2>&1; then
        echo 'skipped: not a git checkout'
        return $skipped
    fi
    found=$(cd "$root" && git grep -nIE \
        -e '(^|[^A-Za-z0-9_.])/(wor[k]|far[m])/' \
        -e '/tmp/[b]-' \
        -e 'registry[.]npmj[s]|registry[.]yarnpk[g]|npmmirro[r]' \
        -e 'deb[.]debia[n]|snapshot[.]debia[n]' \
        -e 'pyp[i][.]org|pythonhoste[d]|static[.]crate[s]|proxy[.]golan[g]' \
        -e 'repo[1]?[.]mave[n]|rubygem[s][.]org|docke[r][.]io|quay[.]i[o]')
    [ -z "$found" ] && return 0
    echo "$found"
    echo 'Paths of one machine and hosts of registries must not be tracked.'
    return 1
}

case $check in
includes | banned | format | loglines | text) "$check" ;;
*)
    echo "lint.sh: no check named $check" >&2
    exit 2
    ;;
esac
