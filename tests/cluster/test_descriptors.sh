#!/usr/bin/env bash
# A node that runs out of descriptors says so, keeps its records, and goes on
# when there are some again.
. "$(dirname "$0")/lib.sh"

allow 'STORE-|Too many open files'
make_small
start "$COUNTY"
TREE_RUN="prlimit --nofile=96:96"
start "$TOWN"
TREE_RUN=
start "$VILLAGE"
check "import" enter "$VILLAGE" 1 50
check "equal" equal
from=$(($(log_end "$TOWN") + 1))

# More connections than the node may have; they say nothing.
port=$(tree_port "$TOWN")
hold() {
    local i fd
    for ((i = 0; i < 150; i++)); do
        exec {fd}<>"/dev/tcp/127.0.0.1/$port" || break
    done 2>/dev/null
    : >"$WORK/holding"
    until [ -e "$WORK/let_go" ]; do sleep 0.1; done
}
hold &
holder=$!
PROCESSES+=("$holder")
within "$PATIENCE" "connections" test -e "$WORK/holding"
within "$PATIENCE" "the node says that descriptors are out" says "$TOWN" RPC-FDS-OUT "$from"
used() { find "/proc/$(tree_pid "$TOWN")/fd" | wc -l; }
note "$(used) descriptors are in use"
check "some are left for files" [ "$(used)" -lt 90 ]
check "the village is not disturbed" enter "$VILLAGE" 101 50
check "the township lives" tree_alive "$TOWN"
: >"$WORK/let_go"
wait "$holder"
check "more rows" enter "$TOWN" 501 50
check "equal when they are gone" equal
check "everything acknowledged" acked "$COUNTY"
check "the node used few descriptors" [ "$(used)" -lt 96 ]
