#!/usr/bin/env bash
# A real node and twenty light children: all join, every record is acknowledged,
# every directive comes down and is known to be held.
set -euo pipefail
: "${CREDITSIM:?}"
out=$(mktemp)
trap 'rm -f "$out"' EXIT

fail() {
    echo "FAILED: $1" >&2
    cat "$out" >&2
    exit 1
}

"$CREDITSIM" crowd --children 20 --records 3 --directives 2 --quiet 0 \
    --patience 120 --json >"$out" 2>&1 || fail "a crowd of 20"
for key in '"children": 20' '"bytes_up_a_child": [1-9]' \
    '"private_kib_a_child": [1-9]' '"record_cpu_us"' '"again": 0'; do
    grep -qE "$key" "$out" || fail "the report lacks $key"
done

# A parent that does not come up is no crowd.
rc=0
"$CREDITSIM" crowd --children 1 --node /bin/false --dir "$out.d" >"$out" 2>&1 || rc=$?
rm -rf "$out.d"
[ $rc = 3 ] || fail "no parent: status $rc"
grep -q 'it ended at once' "$out" || fail "no parent: no reason"
