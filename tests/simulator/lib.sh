# shellcheck shell=bash
# What tests of runs with real nodes begin with; sourced. $work is a folder of
# their own.
set -u
sim=${CREDITSIM:?the program} node=${CREDITNODE:?the node}
work=$(mktemp -d /var/tmp/creditsim-test.XXXXXX)
trap 'rm -rf "$work"' EXIT

# REPORT: what a run of --json ended with; the verdict last, for of long output
# that is what is looked at.
verdict() {
    jq -r '"faults: \(.faults_done) done, \(.faults_left_out) left out; \(.acknowledged) rows acknowledged",
        (.last_events[] | "  " + .),
        if .holds then "all held" else "BROKEN \(.broken) at \(.node): \(.text)" end' "$1" 2>/dev/null
}

# BODY: a node program, $work/node, that does BODY first; "$@" are its
# arguments.
spoiled() {
    printf '#!/usr/bin/env bash\nnode=%q\n%s\nexec "$node" "$@"\n' "$node" "$1" \
        >"$work/node"
    chmod +x "$work/node"
}
