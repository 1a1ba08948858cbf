#!/usr/bin/env bash
# tidy.sh BUILD [FILE...] - clang-tidy over the given files, or all of node/,
# with the compile database in folder BUILD. Rules: .clang-tidy in the root.
# TIDY_NODES: how far the analyzer follows paths (20000).
# Exit status 1: findings, 77: cannot be checked here.
set -u
build=$(cd "${1:?usage: tidy.sh build-folder [file...]}" && pwd) || exit 2
shift
tidy=$(command -v clang-tidy-14 || command -v clang-tidy)
if [ -z "$tidy" ]; then
    echo 'skipped: clang-tidy is not installed'
    exit 77
fi
"$tidy" --version | grep -q 'version 14\.' ||
    echo 'warning: the rules were tried with version 14 of clang-tidy'
if [ $# -eq 0 ]; then
    root=$(cd "$(dirname "$0")/../.." && pwd)
    mapfile -d '' -t files < <(find "$root/node" -name '*.c' -print0 | sort -z)
    set -- "${files[@]}"
fi
# The analyzer takes most of the time, most of that in a few functions where it
# follows paths up to 225,000 states far. With 20,000 it takes two fifths of what
# 75,000 take; what lies deeper is looked for at night. The database may be of gcc,
# some of whose warnings clang does not know.
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" "$tidy" -p "$build" --quiet \
    --extra-arg=-Xclang --extra-arg=-analyzer-config \
    --extra-arg=-Xclang --extra-arg="max-nodes=${TIDY_NODES:-20000}" \
    --extra-arg=-Wno-unknown-warning-option 2>/dev/null
