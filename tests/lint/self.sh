#!/usr/bin/env bash
# self.sh - the lint finds what it is there for: runs it over a small tree in
# which every rule is broken once, and over one in which none is.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -r "$tree"' EXIT
faults=0

put() { # FILE LINE...
    local file=$tree/$1
    shift
    mkdir -p "$(dirname "$file")"
    printf '%s\n' "$@" >"$file"
}

expect() { # CHECK WANTED-OUTPUT; it must fail if there is any
    local got status
    got=$("$here/lint.sh" "$1" "$tree")
    status=$?
    got=$(grep -v '^[TP][a-z]* .*\.$' <<<"$got" | sort)
    if [ "$got" != "$2" ] || [ $((status != 0)) != $((${#2} > 0)) ]; then
        printf '%s: status %d, expected\n%s\ngot\n%s\n' "$1" "$status" "$2" \
            "$got"
        faults=1
    fi
}

put node/base/mem.c '#include "base/mem.h"' 'p = malloc(1);'
put node/store/store_impl.h '/* store_impl.h - private to store. */'
put node/store/rocksdb/rocksdb.c '#include <rocksdb/c.h>' \
    '#include "store/store_impl.h"' '#include "credit/record.h"'
put node/credit/record.c '#include "mlog/entry.h"'
put node/sync/sync.c '#include "rpc/rpc.h"' '    ops->free(x); mem_free(x);'
put node/node.c '#include <uv.h>' '#include "api/api.h"' '/* free(x) */'
expect includes ''
expect banned ''

put node/base/bad.c '#include "conf/conf.h"'
put node/credit/bad.c '#include "store/store.h"'
put node/mlog/bad.c '#include "credit/record.h"' '#include <openssl/evp.h>'
put node/sync/bad.c '#include "ingest/ingest.h"' \
    '#include "store/store_impl.h"' '#include <grpc/grpc.h>'
put node/api/bad.c '#include "../node.h"' '#  include <csv.h>'
put node/extra/bad.c 'int x;'
expect includes 'node/api/bad.c:1: "../node.h" climbs; write "folder/header.h"
node/api/bad.c:2: <csv.h> may be used in ^node/ingest/ only
node/base/bad.c:1: base may not use conf (conf/conf.h)
node/credit/bad.c:1: credit may not use store (store/store.h)
node/extra/bad.c:1: folder extra has no place among the arrows
node/mlog/bad.c:1: mlog may not use credit (credit/record.h)
node/mlog/bad.c:2: <openssl/evp.h> may be used in ^node/ident/ only
node/sync/bad.c:1: sync may not use ingest (ingest/ingest.h)
node/sync/bad.c:2: store/store_impl.h is private to store
node/sync/bad.c:3: <grpc/grpc.h> may be used in ^node/rpc/ only'

put tests/unit/bad.c 'n = atoi(text);' 'x = (char *)malloc (3);'
expect banned 'tests/unit/bad.c:1:n = atoi(text);
tests/unit/bad.c:2:x = (char *)malloc (3);'

put node/base/line.c '    log_warn(log,' '             "LINE-BROKE", "err=%s");' \
    'log_info(a->log, "LINE", "");' 'static const char id[] = "LINE-LATE";' \
    'log_line(level, a->log, "LINE-LEVEL", "");' 'log_debug(log, "LINE-DEEP", "");' \
    'stop(log, bad ? "LINE-BAD" : "LINE-WORSE", "UTF-8");'
put docs/operations.md '## Log lines' '| `LINE`, `LINE-LATE` | it is `GONE` | |' '| `LINE-BAD` | | |'
expect loglines 'docs/operations.md: LINE-BROKE is logged and not listed
docs/operations.md: LINE-LEVEL is logged and not listed
docs/operations.md: LINE-WORSE is logged and not listed'
put docs/operations.md '## Log lines' '| `LINE`, `LINE-BROKE` | | |' '| `LINE-GONE` | | |' \
    '| `LINE-LATE`, `LINE-LEVEL` | | |' '| `LINE-BAD`, `LINE-WORSE` | | |'
expect loglines 'docs/operations.md: LINE-GONE is listed and not logged'

git -C "$tree" init -q
put README.md 'See /network/ and docs.'
git -C "$tree" add -A
expect text ''
put README.md 'See /wo''rk/main.' 'From py''pi.org.'
git -C "$tree" add -A
expect text 'README.md:1:See /wo''rk/main.
README.md:2:From py''pi.org.'
exit $faults
