#!/usr/bin/env bash
# creditsim pure as a person uses it: what it prints and returns, and that the
# command a failure prints does repeat it.
set -u
sim=${CREDITSIM:?the program}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAIL: $*"
    exit 1
}
pure() { # ARGS...: runs it, output in $work/out
    "$sim" pure --certs "$work" "$@" >"$work/out" 2>&1
}
says() { # TEXT: is in the output
    grep -qF -- "$1" "$work/out" || fail "no \"$1\" in: $(cat "$work/out")"
}

pure --help || fail "help: status $?"
says 'Exit status'
pure --invariants || fail "invariants: status $?"
says 'acknowledged'
pure --plant list || fail "plant list: status $?"
says 'ack-early'
pure --seeds 2 --busy 30 --faults 10 || fail "$(cat "$work/out")"
says '2 schedules held'
pure --plan --faults 5 || fail "plan: status $?"
[ "$(wc -l <"$work/out")" = 5 ] || fail "a plan of 5: $(cat "$work/out")"

for bad in '--shape 2' '--shape 1,0' '--seeds x' '--keep a' '--nonsense' \
    '--plant nothing' 'words' '--faults 257'; do
    # shellcheck disable=SC2086 # an option and its value
    pure $bad
    [ $? = 2 ] || fail "$bad was taken"
done

pure --seeds 20 --busy 30 --faults 20 --plant submit-early
[ $? = 1 ] || fail "not caught: $(cat "$work/out")"
says 'BROKEN acknowledged'
says 'last events:'
says 'with the fewest faults'
again=$(grep -A1 'repeat with' "$work/out" | tail -n 1)
what=$(grep -A2 'BROKEN acknowledged' "$work/out" | sed -n '2,3p')
# shellcheck disable=SC2086 # the words of the command, as a person pastes it
set -- ${again/*creditsim pure/}
pure "$@"
[ $? = 1 ] || fail "\"$again\" did not fail"
says 'BROKEN acknowledged'
grep -q "node $(echo "$what" | awk '{print $2; exit}')" "$work/out" ||
    fail "\"$again\" failed elsewhere"

"$sim" >"$work/out" 2>&1
[ $? = 2 ] || fail "no command: status $?"
"$sim" --help >"$work/out" || fail "--help: status $?"
says 'creditsim pure'
echo PASS
