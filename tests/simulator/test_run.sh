#!/usr/bin/env bash
# creditsim run with real nodes: it holds, and it says by name what does not
# when a program between it and the node spoils something.
. "$(dirname "$0")/lib.sh"

fail() {
    tail -n 40 "$work/said"
    verdict "$work/out" || tail -n 20 "$work/out"
    echo "FAIL: $*"
    exit 1
}
run() { # ARGS...: a short run, its report in $work/out
    "$sim" run --shape 1,1 --seconds 3 --rows 5 --json "$@" >"$work/out" 2>"$work/said"
}
is() { # FILTER VALUE
    [ "$(jq -r "$1" "$work/out")" = "$2" ] || fail "$1 is not $2"
}
caught() { # INVARIANT ARGS...
    local name=$1
    shift
    run --node "$work/node" "$@"
    [ $? = 1 ] || fail "$name was not caught"
    is .broken "$name"
    ! pgrep -f "^$work/node" >/dev/null || fail "$name: a process is left"
}

"$sim" run --help >"$work/out" || fail "help"
for bad in '--shape 2' '--rows 0' '--seconds x' 'words' '--nonsense'; do
    # shellcheck disable=SC2086 # an option and its value
    run $bad
    [ $? = 2 ] || fail "$bad was taken"
done

run --faults kill --every 0.5 --seconds 6 || fail "it does not hold"
is .holds true
is .nodes 2
[ "$(jq .kills "$work/out")" -gt 0 ] || fail "nothing was killed"
[ "$(jq .acknowledged "$work/out")" -gt 0 ] || fail "nothing was entered"

# shellcheck disable=SC2016 # for the program that is written
spoiled 'if [ "$1" = import ]; then
    "$node" "$@"; rc=$?
    for last; do :; done
    sed -i "2s/,[0-9a-f]\{32\},/,0123456789abcdef0123456789abcdef,/; \
        2s/,\"[0-9a-f]\{32\}\",/,\"0123456789abcdef0123456789abcdef\",/" \
        "$(dirname "$last")/receipts.csv"
    exit $rc
fi'
caught acknowledged --faults none
# shellcheck disable=SC2016
spoiled '[[ "$*" != serve*/340100000000/* ]] || set -- "$@" --set parent.address=127.0.0.1:1'
caught converged --faults none --patience 15
# shellcheck disable=SC2016
spoiled '[ "$1" != serve ] || exec sleep 100'
caught ready --patience 2
# shellcheck disable=SC2016
spoiled '[ "$1" != serve ] || echo "2026-01-01T00:00:00Z error TEST cause=planted" >&2'
caught error-line
# shellcheck disable=SC2016
spoiled '[ "$1" != serve ] || { "$node" "$@" & trap "kill $!" TERM; wait; wait; exit 3; }'
caught clean-exit --faults none
# A check of a store that was refused says nothing of it: it is checked again.
# shellcheck disable=SC2016
spoiled '[ "$1" != scrub ] || [ -e "${0%/*}/refused" ] || { : >"${0%/*}/refused"; exit 1; }'
run --node "$work/node" --faults flip --every 2 --seconds 8 || fail "it does not hold"
[ -e "$work/refused" ] || fail "no store was checked"
echo PASS
