#!/usr/bin/env bash
# mariadb-dir.sh OUT - an empty data folder for a MariaDB server of a test's
# own. Made once for a version of the server, and copied from then on.
set -euo pipefail
out=${1:?usage: mariadb-dir.sh OUT}
PATH=$PATH:/usr/sbin
moulds=$(cd "$(dirname "$0")/../.." && pwd)/build/moulds
version=$(mariadbd --no-defaults --version | tr -c 'A-Za-z0-9.\n' _)
mould=$moulds/mariadb-$(id -un)-${version:0:80}
mkdir -p "$moulds"
exec 9>"$moulds/mariadb.lock"
flock 9
if [ ! -d "$mould" ]; then
    rm -rf "$mould.new"
    # Small logs: they are most of what is copied.
    mariadb-install-db --no-defaults --datadir="$mould.new" \
        --auth-root-authentication-method=normal --skip-test-db \
        --user="$(id -un)" --innodb-log-file-size=16M >"$mould.log" 2>&1 || {
        tail -n 5 "$mould.log" >&2
        exit 1
    }
    mv "$mould.new" "$mould"
fi
cp -a "$mould" "$out"
