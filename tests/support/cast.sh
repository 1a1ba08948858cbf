#!/usr/bin/env bash
# cast.sh OUT COMMAND - copies into the folder OUT what the shell command makes
# in an empty one; $C is the folder of the certificates' scripts. The command is
# run once for the same scripts and month: keys take longer than many a test.
set -euo pipefail
out=${1:?usage: cast.sh OUT COMMAND} command=${2:?usage: cast.sh OUT COMMAND}
root=$(cd "$(dirname "$0")/../.." && pwd)
export C=$root/certs
key=$( (printf '%s\n' "$command" && date +%Y-%m && cat "$C/"*.sh) | sha256sum)
mould=$root/build/moulds/${key:0:16}
mkdir -p "${mould%/*}"
exec 9>"${mould%/*}/lock"
flock 9
if [ ! -d "$mould" ]; then
    rm -rf "$mould.new"
    mkdir "$mould.new"
    (cd "$mould.new" && sh -ec "$command") >/dev/null 9>&-
    mv "$mould.new" "$mould"
fi
cp -a "$mould/"* "$out"
